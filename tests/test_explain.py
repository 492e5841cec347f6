"""`dse explain` and the detail that it shares with the page: parts that add up, formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_cli_run import write

import dse.report.detail as detail
from dse.cli import cli
from dse.report.trees import branch, divided, leaf, scaled, tree_rows


def dse(*arguments: str) -> Result:
    """One command line, in this process."""
    result = CliRunner().invoke(cli, list(arguments))
    assert "Traceback" not in result.output
    assert "fault of dse itself" not in result.output
    return result


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the tiny study in the current folder; no derivatives, which take long to compile."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    assert dse("run", "tiny.toml", "--no-mirror").exit_code == 0
    monkeypatch.setattr(detail, "_add_slopes", _none)


def _none(_problem: Any, documents: list[dict[str, Any]], *_: Any) -> None:
    for document in documents:
        document |= {"elasticities": [], "prices": []}


def explained(*arguments: str) -> dict[str, Any]:
    result = dse("explain", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def adds_up(tree: dict[str, Any]) -> bool:
    """Whether the children of each branch of a tree add up to it."""
    return all(
        sum(child["value"] for child in each["children"]) == pytest.approx(each["value"], rel=1e-4)
        for _, each in tree_rows(tree)
        if each["children"]
    )


def test_parts_of_a_point_add_up(run: None) -> None:
    """Time to the step, power and cost to what the run logged, memory to what is used."""
    for point in ("1", "gb200-nvl72"):
        made = explained("tiny", point)
        metrics = made["metrics"]
        seconds = sum(row["seconds"] for row in made["breakdown"])
        assert seconds == pytest.approx(metrics["step_time_s"], rel=1e-4)
        assert {row["phase"] for row in made["breakdown"]} == {"decode"}
        used = sum(row["bytes"] for row in made["footprint"]) / made["capacity_bytes"]
        assert used == pytest.approx(metrics["memory_used"], rel=1e-4)
        assert made["power"]["value"] == pytest.approx(metrics["average_power_w"], rel=1e-4)
        chips = 64 if point == "1" else 72
        assert made["cost"]["value"] == pytest.approx(
            chips * metrics["usd_per_chip_hour"], rel=1e-4
        )
        assert adds_up(made["power"])
        assert adds_up(made["cost"])


def test_bounds_of_time_are_those_of_the_model(run: None) -> None:
    """Reading a cache waits for HBM, launches for nothing, collectives for links or latency."""
    made = explained("tiny", "1")
    bounds = {(row["group"], row["bound"]) for row in made["breakdown"]}
    assert ("attention", "HBM") in bounds
    assert {bound for group, bound in bounds if group == "launch"} == {"latency"}
    assert {b for g, b in bounds if g == "collectives"} <= {"scale-up", "scale-out", "latency"}


def test_a_point_is_compared_with_a_reference(run: None) -> None:
    """The reference stands beside it; what it breaks is said; tables fit 80 columns."""
    made = explained("tiny", "1", "--against", "trn2-ultraserver")
    assert made["against"]["name"] == "trn2-ultraserver"
    assert made["current"]
    assert explained("tiny", "trn2-ultraserver")["broken"]
    text = dse("explain", "tiny", "1", "--against", "trn2-ultraserver").stdout
    assert "against" in text
    assert max(map(len, text.splitlines())) <= 80


def test_formulas_have_their_numbers_and_sources(run: None) -> None:
    """Each formula's value is in its text; those of tokens repeat the metrics."""
    made = explained("tiny", "1", "--formulas")
    formulas = {each["name"]: each for each in made["formulas"]}
    dollar, joule = formulas["tokens for a dollar"], formulas["tokens for a joule"]
    assert dollar["value"] == pytest.approx(made["metrics"]["tokens_per_usd"], rel=1e-4)
    assert joule["value"] == pytest.approx(made["metrics"]["tokens_per_joule"], rel=1e-4)
    weights = formulas["memory: weights read once"]
    assert {s["path"] for s in weights["sources"]} >= {"software.memory", "chip.memory.stacks"}
    assert all(source["ref"] for each in made["formulas"] for source in each["sources"])


def test_words_that_the_run_does_not_have(run: None) -> None:
    """A rank beyond the front and an unknown reference are wrong usage; nearest is a design."""
    assert dse("explain", "tiny", "99").exit_code == 2
    result = dse("explain", "tiny", "gb200-nvl7")
    assert result.exit_code == 2
    assert "gb200-nvl72" in result.stderr
    assert explained("tiny", "nearest")["design"]


def test_a_run_without_its_study_says_so(run: None) -> None:
    """The study's file is named with --study where it is not beside the run."""
    Path("elsewhere").mkdir()
    Path("tiny.toml").rename("elsewhere/tiny.toml")
    assert "--study" in dse("explain", "tiny", "1").stderr
    assert dse("explain", "tiny", "1", "--study", "elsewhere/tiny.toml").exit_code == 0


def test_where_nothing_is_feasible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest design is explained, with the rules that it breaks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detail, "_add_slopes", _none)
    write(tmp_path, **{"<= 3000 USD": "<= 300 USD"})
    assert dse("run", "tiny.toml", "--no-mirror").exit_code == 3
    assert "nearest" in dse("explain", "tiny", "1").stderr
    made = explained("tiny", "nearest")
    assert "chip.cost <= 300 USD" in made["broken"]
    assert "chip.cost <= 300 USD" in made["active"]
    (tried,) = made["repairs"]
    assert not tried["feasible"]
    assert "chip.cost <= 300 USD stays broken" in dse("explain", "tiny", "nearest").stdout


def test_the_change_that_makes_a_design_feasible(run: None) -> None:
    """A reference that is too dear has fewer stacks; the change is shown with what it loses."""
    made = explained("tiny", "trn2-ultraserver")
    assert made["broken"]
    (change,) = made["repairs"]
    assert change["changes"] == [{"path": "chip.memory.stacks", "from": 4.0, "to": 2.0}]
    assert change["gain"]["tokens_per_usd"] < 0.0
    text = dse("explain", "tiny", "trn2-ultraserver").stdout
    assert "chip.memory.stacks: 4 to 2" in text
    assert max(map(len, text.splitlines())) <= 80


def test_trees() -> None:
    """A branch is the sum of its parts, a division keeps proportions, scaling keeps shape."""
    tree = branch("all", [leaf("a", 1.0, "W"), divided("b", 6.0, {"x": 1.0, "y": 2.0}, "W")], "W")
    lines = [(depth, each["name"], each["value"]) for depth, each in tree_rows(tree)]
    below = [(1, "b", 6.0), (2, "y", 4.0), (2, "x", 2.0), (1, "a", 1.0)]
    assert lines == [(0, "all", 7.0), *below]
    assert scaled(tree, 2.0)["children"][0]["children"][0]["value"] == 8.0
    assert divided("b", 6.0, {"x": 1.0}, "W") == leaf("b", 6.0, "W")
