"""Studies whose designs read prompts that another system's chips answer."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest

from dse.errors import SpecError
from dse.model.evaluator import evaluate
from dse.model.pytree import lower, stack
from dse.report.detail import point_documents
from dse.search.problem import StudyProblem
from dse.search.robust import robustness
from dse.spec.catalog import Catalog
from dse.spec.study import load_study
from dse.spec.system import System
from dse.spec.workload import SAME

STUDY = """
kind = "study"
name = "split"
system = "h100-server"
references = ["h100-server", "b200-server"]
price_basis = "at-cost"
objectives = { tokens_per_usd = "max" }
[[workloads]]
model = "llama-3.3-70b"
workload = "chat-serve"
decode_system = "h200-server"
[space]
"chip.memory.stacks" = { choice = [2, 5] }
"chip.die.core.count" = { choice = [108, 144] }
[constraints]
ttft = "<= 1 s"
"chip.power" = "<= 650 W"
"""


def study_of(folder: Path, text: str = STUDY) -> StudyProblem:
    """The problem of a study's text."""
    (folder / "split.toml").write_text(text)
    return StudyProblem(load_study("split", Catalog.default([folder])))


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> StudyProblem:
    return study_of(tmp_path_factory.mktemp("studies"))


def test_designs_read_for_the_system_that_decodes(problem: StudyProblem) -> None:
    """A token costs its decode on the fixed system and four prompt tokens on the design."""
    levels = np.asarray([[0, 0], [1, 1]])
    found = problem._evaluate(problem._stacked(levels))[0]
    question = attrs.evolve(
        problem.questions[0],
        workload=attrs.evolve(problem.questions[0].workload, phase="decode", pays_prefill=0.0),
    )
    decoder = problem.study.tasks[0].decoder
    assert isinstance(decoder, System)
    alone = evaluate(stack([lower(decoder)]), question).metrics["usd_per_mtok"][0]
    read = found.read.metrics["usd_per_mtok"]
    made = problem.evaluate(levels).metrics
    np.testing.assert_allclose(made["usd_per_mtok"], alone + 4.0 * read, rtol=1e-5)
    assert made["chip_power_w"][0] < 700.0


def test_limits_hold_for_both_together(problem: StudyProblem) -> None:
    """The time to the first token, with the transfer, keeps the study's limit; the chip's power
    is the design's own; every operating margin is the lesser of both sides."""
    found = problem.evaluate(np.asarray([[0, 0], [1, 1]]))
    assert np.all(found.metrics["ttft_s"] <= 1.0 + 1e-4)
    column = problem.rules.index("chip.power <= 650 W")
    power = found.metrics["chip_power_w"]
    np.testing.assert_allclose(found.margins[:, column], (650 - power) / 650, rtol=1e-5)
    pair = problem._evaluate(problem._stacked(np.asarray([[1, 1]])))[0]
    memory = min(pair.read.margins["memory"][0], pair.answer.margins["memory"][0])
    assert pair.margins["memory"][0] == memory


def test_a_pair_does_not_depend_on_its_batch(problem: StudyProblem) -> None:
    """A design evaluated among others has the figures that it has alone."""
    rows = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]])
    together, alone = problem.evaluate(rows), problem.evaluate(rows[2:3])
    np.testing.assert_array_equal(together.objectives[2:3], alone.objectives)
    np.testing.assert_array_equal(together.margins[2:3], alone.margins)


def test_both_mappings_are_kept(problem: StudyProblem) -> None:
    """Each side's mapping and batch stand under the workload's name; the run says who decodes."""
    kept = problem.evaluate(np.asarray([[1, 1]])).mapping[0]
    assert set(kept) == {"chat-serve.prefill", "chat-serve.decode"}
    assert all(mapping["batch"] >= 1 for mapping in kept.values())
    described = problem.describe()
    assert described["workloads"][0]["decode_system"] == "h200-server"
    assert {"h100-server", "b200-server"} == {r["name"] for r in described["references"]}


def test_the_same_design_decodes(tmp_path: Path) -> None:
    """ "same": each design decodes what it reads, as two fleets of one kind."""
    problem = study_of(tmp_path, STUDY.replace('"h200-server"', '"same"'))
    assert problem.study.tasks[0].decoder == SAME
    pair = problem._evaluate(problem._stacked(np.asarray([[0, 0], [1, 1]])))[0]
    for name in ("chip_power_w", "chip_cost_usd"):
        np.testing.assert_array_equal(pair.read.metrics[name], pair.answer.metrics[name])


def test_a_study_overrides_the_workload(tmp_path: Path) -> None:
    """A workload's own decode_system holds unless the study names another."""
    own = STUDY.replace('decode_system = "h200-server"\n', "").replace("chat-serve", "chat-split")
    assert study_of(tmp_path, own).study.tasks[0].decoder == SAME
    named = study_of(tmp_path, STUDY.replace("chat-serve", "chat-split")).study.tasks[0].decoder
    assert getattr(named, "name", named) == "h200-server"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"h200-server"\n[space]', '"h20-serv"\n[space]', "did you mean 'h20-server'"),
        ('"h200-server"\n[space]', "3\n[space]", "a system's name"),
        ('"chat-serve"', '"long-prefill"', "decodes nothing"),
        ("decode_system", "decode_sytem", "did you mean 'decode_system'"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """An unknown system, no name, a phase without decode, a misspelt field: with the nearest."""
    with pytest.raises(SpecError) as caught:
        study_of(tmp_path, STUDY.replace(old, new))
    assert message in str(caught.value)
    assert "split.toml" in str(caught.value)


@pytest.mark.slow
def test_a_shared_workload_is_sampled_and_explained(problem: StudyProblem) -> None:
    """Without doubts each sample is the design itself; its parts add up over both systems."""
    found = problem.evaluate(np.asarray([[1, 1]]))
    metrics = {name: float(values[0]) for name, values in found.metrics.items()}
    margins = dict(zip(problem.rules, map(float, found.margins[0]), strict=True))
    point = {
        "design": {"chip.memory.stacks": 5.0, "chip.die.core.count": 144.0},
        "mapping": found.mapping[0],
        "metrics": metrics,
        "margins": margins,
    }
    made = robustness(problem, [point], [], number=3, seed=0, uncertain="declared")
    np.testing.assert_allclose(made.metrics["tokens_per_usd"][0], metrics["tokens_per_usd"], 1e-4)
    assert made.feasible.all() == (min(margins.values()) >= 0.0)
    (detail,) = point_documents(problem, [point])
    assert detail["power"]["value"] == pytest.approx(metrics["average_power_w"], rel=1e-3)
    an_hour = 3600.0 * problem.study.system.chips * metrics["usd_per_chip_hour"]
    assert detail["cost"]["value"] == pytest.approx(an_hour, rel=1e-3)
    sides = {child["name"] for child in detail["cost"]["children"]}
    assert sides == {"decode on h200-server", "prefill on h100-server"}
    elasticities = {
        row["path"]: row["value"]
        for row in detail["elasticities"]
        if row["metric"] == "tokens_per_usd"
    }
    # both sides stand in one facility; memory of the design is read by its prompts alone
    assert elasticities["facility.utilisation"] == pytest.approx(1.0, rel=1e-6)
    assert abs(elasticities.get("chip.memory.stack.rate", 0.0)) < 0.3
