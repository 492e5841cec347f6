"""`studies/README.md`: what it says is in results files, and what holds no longer is refused."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from click.testing import CliRunner

from dse.cli.answers import answers_command
from dse.errors import CheckFailed, InputError, UsageError
from dse.report.answers import read_results, results_text, rounded
from dse.report.answers_page import (
    QUESTIONS,
    RESULTS,
    TEMPLATE,
    answered,
    rendered_page,
    sections,
    typed_numbers,
)
from dse.report.answers_words import band, filled, level
from dse.report.leaning import leaning
from dse.search.footing import SERVED, TRAINED
from dse.search.front import hypervolume, to_maximise
from dse.search.problem import StudyProblem
from dse.search.result import written
from dse.search.run import load, run
from dse.spec.catalog import Catalog
from dse.spec.study import load_study

STUDIES = Path(__file__).parent.parent / "studies"

ANSWERED = [name for name in sections(STUDIES / TEMPLATE) if name != QUESTIONS]
RESULT = read_results(STUDIES / RESULTS)

TOLERANCE = 0.95
"""The share of the committed front's hypervolume that a search with a fifth of its evaluations has.

Seen from the announced Trainium4; it had 0.979. Seen from the front's own corner, where a little
lost at one end weighs most, it had 0.872.
"""

PARTS = (
    *("*Question.*", "*Command.*", "```text", "*Finding.*", "*What it leans on.*"),
    "*How robust.*",
)


def page(source: str, **results: Any) -> str:
    """A template rendered with some results."""
    return rendered_page(source, results, Path("page.jinja"))


def test_readme_is_what_the_results_say() -> None:
    """README.md is rendered from its template and the results files: nothing was edited by hand."""
    assert (STUDIES / "README.md").read_text(encoding="utf-8") == answered(STUDIES)


@pytest.mark.parametrize("name", ANSWERED)
def test_each_study_is_answered_in_full(name: str) -> None:
    """Question, command, table, picture, finding, what it leans on, how robust."""
    text = (STUDIES / "README.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert [
        part for part in (*PARTS, f"`dse run {name}`", f"({name}.svg)") if part not in section
    ] == []


def test_files_are_small() -> None:
    """Pictures stay below 200 kB, results files too."""
    pictures = {p.name: p.stat().st_size for p in STUDIES.glob("*.svg")}
    files = {p.name: p.stat().st_size for p in (STUDIES / RESULTS).glob("*.json")}
    assert [name for name, size in pictures.items() if size >= 200_000] == []
    assert [name for name, size in files.items() if size >= 200_000] == []


def test_numbers_of_prose_come_from_results() -> None:
    """A typed figure is found with its line; names, code, tables and expressions are not."""
    source = "\n".join(
        [
            "GB200 leads Trainium4 on Llama-3.3-70B by {{ a.b }}, `x <= 50 ms`, a 70B model",
            "{# 3 #}{% set a = 4 %}",
            "by 30 % at 2x",
            "{{ holds(a > 1, 'more than 12 stacks') }} {{ f('n2 4') }}",
        ]
    )
    assert typed_numbers(source) == [(3, "30"), (3, "2x"), (4, "12"), (4, "4")]


def test_a_sentence_that_no_longer_holds_is_refused() -> None:
    """`holds` gives its sentence while the condition is true, and names it with its line if not."""
    source = "one\n{% call holds(results.a.n > 1) %}A leads by {{ results.a.n }}.{% endcall %}\n"
    assert page(source, a={"n": 2}) == "one\nA leads by 2."
    with pytest.raises(CheckFailed, match=r"page\.jinja:2: no longer true: A leads by 1\."):
        page(source, a={"n": 1})
    with pytest.raises(CheckFailed, match="no longer true: short"):
        page("{{ holds(false, 'short') }}")


def test_directions_are_checked() -> None:
    """`more` and `less` give shares, and refuse the other direction."""
    assert page("{{ more(3, 2) }} more, {{ less(1, 4) }} less") == "50 % more, 75 % less"
    for wrong in ("{{ more(2, 3) }}", "{{ less(4, 1) }}", "{{ more(2, 2) }}"):
        with pytest.raises(CheckFailed, match="is not"):
            page(wrong)


BOUND = {
    "study": "s",
    "parameters": [{"path": "chip.dies"}, {"path": "chip.memory.stacks"}],
    "bounds": [{"path": "chip.memory.stacks", "end": "highest", "level": "16"}],
}


def test_a_bound_of_the_front_is_explained() -> None:
    """A section that does not name, as code, a parameter whose bound the front holds is refused."""
    source = "{{ explained(results.s, text) }}"
    told = "The `stacks` are cheap."
    assert page(source.replace("text", repr(told)), s=BOUND) == told
    with pytest.raises(CheckFailed, match=r"not explained: chip\.memory\.stacks \(highest, 16\)"):
        page(source.replace("text", "'Many stacks, `dies`.'"), s=BOUND)


def test_faults_of_a_template_are_told_with_their_line() -> None:
    """What is undefined, wrongly written, or has no results is one message with file and line."""
    for source, said in (
        ("one\n{{ results.a.nothing }}", r"page\.jinja:2: .*nothing"),
        ("one\n{{ a.", r"page\.jinja:2: "),
        ("one\n{{ reference(results.a, 'x') }}", r"page\.jinja:2: .*'x' is none of y"),
        ("{{ results['none'] }}", r"none has no results yet"),
    ):
        with pytest.raises(InputError, match=said):
            page(source, a={"references": [{"name": "y"}]})


def test_bands_stand_with_their_unit() -> None:
    """Nine of ten samples lie between two figures, in the unit in which people see them."""
    row = {"robust": {"bands": {"tpot_s": {"p5": 0.01, "p50": 0.02, "p95": 0.0412}}}}
    assert band(row, "tpot_s", 2) == "10 ms to 41 ms"


LEVELS: dict[str, Any] = {
    "objectives": {"tokens_per_usd": "max"},
    "parameters": [
        {"path": "chip.memory.stacks", "values": [2.0, 4.0, 6.0, 8.0]},
        {"path": "scale_up.topology", "values": ["switch", "torus", "mesh"]},
        {"path": "chip.die.core.sram", "values": [3.0, 1.0, 2.0]},
    ],
    "levels": {
        "chip.memory.stacks": [
            {"level": "2", "best_share": 0.04, "over": {}},
            {"level": "4", "best_share": 0.02, "over": {}},
            {"level": "6", "best_share": 0.91, "over": {}},
            {"level": "8", "best_share": 0.03, "over": {}},
        ],
        "scale_up.topology": [
            {"level": "switch", "best_share": 0.06, "over": {}},
            {"level": "torus", "best_share": 0.04, "over": {}},
            {"level": "mesh", "best_share": 0.9, "over": {}},
        ],
        "chip.die.core.sram": [
            {"level": "3 MiB", "best_share": 0.06, "over": {}},
            {"level": "1 MiB"},
            {"level": "2 MiB", "best_share": 0.94, "over": {}},
        ],
    },
    "crossed": [
        {
            "paths": ["scale_up.topology", "chips"],
            "rows": [
                {
                    "levels": ["switch", "16"],
                    "best": {"tokens_per_usd": 4.0},
                    "over": {"p5": 0.4, "p50": 0.5, "p95": 0.6},
                },
                {
                    "levels": ["switch", "32"],
                    "best": {"tokens_per_usd": 8.0},
                    "over": {"p5": 1.0, "p50": 1.0, "p95": 1.0},
                },
                {"levels": ["mesh", "16"], "best": {"tokens_per_usd": None}},
                {
                    "levels": ["mesh", "32"],
                    "best": {"tokens_per_usd": 2.0},
                    "over": {"p5": 0.2, "p50": 0.25, "p95": 0.3},
                },
            ],
        }
    ],
}


def test_levels_that_are_best_in_samples() -> None:
    """Numbers from the fifth to the ninety-fifth percentile, one where both are the same; names
    that are best in a twentieth of the samples, the most frequent first."""
    asked = "{{ chosen(results.s, '%s') }}"
    said = {path: page(asked % path, s=LEVELS) for path in LEVELS["levels"]}
    assert said == {
        "chip.memory.stacks": "4 to 6",
        "scale_up.topology": "mesh (90 %) and switch (6 %)",
        "chip.die.core.sram": "2 to 3 MiB",
    }
    band = {"p5": 0.312, "p50": 0.4, "p95": 0.549}
    assert page("{{ about(0.352, results.s) }}", s=band) == "35.2 % (31 to 55)"


def test_levels_of_two_parameters_at_once() -> None:
    """The best row with a level of the first; a table in per cent of the best of all; pairs that
    are not told of together are refused."""
    asked = "{{ best_with(results.s, 'scale_up.topology', '%s', 'chips').levels | last }}"
    assert [page(asked % name, s=LEVELS) for name in ("switch", "mesh")] == ["32", "32"]
    known = {**LEVELS, "parameters": [*LEVELS["parameters"], {"path": "chips"}]}
    table = page("{{ crossed_text(results.s, 'scale_up.topology', 'chips') }}", s=known)
    rows = [line.split("  ") for line in table.splitlines()[2:]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [["16", "50.0 [40, 60]", "-"], ["32", "100.0 [100, 100]", "25.0 [20, 30]"]]
    for wrong in ("crossed_text(results.s, 'chips', 'x')", "best_with(results.s, 'a', 'b', 'c')"):
        with pytest.raises(InputError, match="not told of together"):
            page("{{ " + wrong + " }}", s=known)


def test_prose_is_filled() -> None:
    """Lines of 100 characters at most; lists hang, code is not torn, blocks of text stay."""
    text = (
        f"*A.* {'word ' * 30}`a b c d`\n- one {'two ' * 40}\n- three\n\n```text\n{'x ' * 80}\n```\n"
    )
    made = filled(text)
    prose, _, block = made.partition("\n\n```")
    assert max(map(len, prose.splitlines())) <= 100
    assert "`a b c d`" in prose
    assert "\n\n- one" in prose
    assert re.search(r"two\n  two", prose)
    assert block == f"text\n{'x ' * 80}\n```"


def test_results_are_rounded_but_for_what_finds_designs_again() -> None:
    """Figures have six digits and no infinity; values of designs keep theirs; lines are short."""
    data = {"x": [1234567.8, 0.12345678, float("inf")], "design": {"sram": 1048576.5}}
    text = results_text(rounded({"a": data, "long": ["word"] * 40}))
    assert '{"x": [1234570, 0.123457, null], "design": {"sram": 1048576.5}}' in text
    assert json.loads(text)["long"] == ["word"] * 40
    assert max(map(len, text.splitlines())) <= 100


def test_a_results_file_that_is_torn_is_named(tmp_path: Path) -> None:
    """Half a file is one message that says how to write it anew."""
    (tmp_path / "torn.json").write_text('{"study": ')
    with pytest.raises(InputError, match=r"torn\.json.*\n.*dse\.cli\.answers"):
        read_results(tmp_path)


def precision_of(results: Any) -> str | None:
    """The precision in which all workloads of a study are asked, if it is one that is compared."""
    found = {
        name
        for task in results["workloads"]
        for name, table in (TRAINED if task["phase"] == "pretrain" else SERVED).items()
        if table.items() <= task["precision"].items()
    }
    return found.pop() if len(found) == 1 else None


@pytest.mark.parametrize("name", ANSWERED)
def test_systems_compared_are_the_references(name: str) -> None:
    """At the study's own precision the comparison has the figures of references and first design,
    those at a merchant's price included."""
    results = RESULT[name]
    precision = precision_of(results)
    if precision is None:
        pytest.skip("its workloads differ in precision")
    rows = {row["name"]: row["figures"][precision] for row in results["compare"]["rows"]}
    for one in (*results["references"], {**results["points"][0], "name": "the front's first"}):
        own = rows[one["name"].partition(" (")[0]][one.get("price_basis", results["price_basis"])]
        for metric in ("tokens_per_usd", "tokens_per_joule"):
            assert own[metric] == pytest.approx(one["metrics"][metric], rel=1e-5)


@pytest.mark.parametrize("name", ANSWERED)
def test_each_system_has_its_best_precision(name: str) -> None:
    """By price basis that with most tokens per dollar of those in which it operates."""
    for row in RESULT[name]["compare"]["rows"]:
        for basis, best in row["best"].items():
            told = {n: f[basis] for n, f in row["figures"].items() if f[basis]["operates"]}
            most = max((f["tokens_per_usd"] for f in told.values()), default=None)
            assert (told[best]["tokens_per_usd"] if best else None) == most


@pytest.mark.parametrize("name", ANSWERED)
def test_levels_are_worth_what_the_front_attains(name: str) -> None:
    """With the level that the front's first design has, the best is that design or a better one."""
    results = RESULT[name]
    first, (goal, sense) = results["points"][0], next(iter(results["objectives"].items()))
    sign = 1.0 if sense == "max" else -1.0
    for path, value in first["design"].items():
        row = level(results, path, value)
        assert sign * row["best"][goal] >= sign * first["metrics"][goal] * (1.0 - 1e-5 * sign)


def test_the_command_renders_from_results_alone(tmp_path: Path) -> None:
    """--render writes README.md; without the results of a section it says which are missing."""
    for place in (STUDIES / TEMPLATE, *STUDIES.glob("*.svg")):
        shutil.copy(place, tmp_path)
    shutil.copytree(STUDIES / RESULTS, tmp_path / RESULTS)
    options = ["--render", "--into", str(tmp_path)]
    made = CliRunner().invoke(answers_command, options)
    assert (made.exit_code, made.stdout) == (0, "")
    assert (tmp_path / "README.md").read_text() == (STUDIES / "README.md").read_text()
    (tmp_path / RESULTS / "trainium4-memory.json").unlink()
    made = CliRunner().invoke(answers_command, options)
    assert "trainium4-memory have no results yet" in made.stderr


def test_without_jinja_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering says which extra it takes."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UsageError, match=r"pip install 'dse\[studies\]'"):
        page("")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "budget"), [("trainium4-decode", 2000), ("trainium4-memory", 1)])
def test_a_shorter_search_finds_the_same(name: str, budget: int, tmp_path: Path) -> None:
    """With a fifth of the evaluations TOLERANCE of the committed front's hypervolume at least (all
    of an exact one), and the references' figures within a thousandth."""
    results = RESULT[name]
    study = load_study(name, Catalog.default())
    problem = StudyProblem(study)
    run(problem, study.method, budget, study.seed, tmp_path / "run", initial=problem.initial)
    data = load(tmp_path / "run")
    table = [[p["metrics"][goal] for goal in problem.objectives] for p in results["points"]]
    committed = to_maximise(np.array(table), problem.senses)
    found = data.values[data.front]
    announced = next(r for r in results["references"] if r["name"] == results["system"])
    seen = np.array([[announced["metrics"][goal] for goal in problem.objectives]])
    ends = np.vstack([committed, found]).max(axis=0), to_maximise(seen, problem.senses)[0]
    share = hypervolume(found, *ends) / hypervolume(committed, *ends)
    assert share >= (TOLERANCE if budget > 1 else 1.0 - 1e-4)
    for one, own in zip(results["references"], data.problem["references"], strict=True):
        assert one["name"] == own["name"]
        metrics = written(data.problem, own["metrics"])
        told = {metric: metrics[metric] for metric in one["metrics"]}
        assert one["metrics"] == pytest.approx(told, rel=1e-3)


@pytest.mark.slow
def test_what_a_mix_leans_on_is_its_derivative() -> None:
    """Elasticities of the mix's tokens per dollar are those of a small change of the software; what
    the study searches is not among them."""
    results = RESULT["trainium4-decode"]
    problem = StudyProblem(load_study("trainium4-decode", Catalog.default()))
    rows = {row["path"]: row["elasticity"] for row in leaning(problem, results["points"][0])}
    assert not set(rows) & {parameter.path for parameter in problem.parameters}
    levels = np.array([problem.levels_of(results["points"][0]["design"])])
    for name in ("matrix", "memory"):
        ends = []
        for factor in (0.99, 1.01):
            value = getattr(problem.study.software, name) * factor
            software = attrs.evolve(problem.study.software, **{name: value})
            there = StudyProblem(attrs.evolve(problem.study, software=software))
            ends.append(float(there.evaluate(levels).metrics["tokens_per_usd"][0]))
        slope = np.log(ends[1] / ends[0]) / np.log(1.01 / 0.99)
        assert rows[f"software.{name}"] == pytest.approx(slope, abs=0.02)
