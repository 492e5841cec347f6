"""What the design alone rules out: safe, and the same rules as an evaluation of everything."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from dse.search.levels import keys
from dse.search.problem import StudyProblem
from dse.search.result import front_document
from dse.search.run import load, run
from dse.search.space import Space
from dse.search.sweep import CLEAR
from dse.spec.catalog import Catalog
from dse.spec.study import load_study

STUDY = """
kind = "study"
name = "screened"
system = "trn4-ultraserver"
references = []
price_basis = "at-cost"
objectives = { tokens_per_usd = "max", tokens_per_joule = "max" }
[[workloads]]
model = "llama-3.1-8b"
workload = "chat-decode"
[[workloads]]
model = "deepseek-v3"
workload = "chat-decode"
[space]
"chip.die.core.count" = { choice = [8, 16, 40] }
"chip.die.core.clock" = { choice = ["1.2 GHz", "2.4 GHz", "9 GHz"] }
"chip.memory.stack" = { choice = ["hbm3e-12h", "hbm4e-16h"] }
"chip.memory.stacks" = { choice = [1, 4, 8, 30] }
"chips" = { choice = [4, 8, 64] }
[constraints]
"chip.die.area" = "<= 500 mm2"
"chip.power" = "<= 1500 W"
"rack.power" = "<= 100 kW"
"chip.cost" = "<= 9000 USD"
"system.power" = "<= 200 kW"
"tpot" = "<= 20 ms"
"""


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> StudyProblem:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "screened.toml").write_text(STUDY)
    return StudyProblem(load_study("screened", Catalog.default([folder])))


def test_what_is_ruled_out_breaks_that_rule(problem: StudyProblem) -> None:
    """All 216 designs: margins are the evaluation's; that of memory is never below it."""
    space = Space(problem.parameters)
    levels = space.block(0, space.size())
    screened, found = problem.screen(levels), problem.evaluate(levels)
    broken = 0
    for rule, margins in screened.items():
        full = found.margins[:, problem.rules.index(rule)]
        if rule == "memory":
            assert np.all(margins >= full - 1e-5)
            assert np.any(margins < -CLEAR)
            assert np.any(margins >= 0.0)
        else:
            np.testing.assert_allclose(margins, full, rtol=1e-5, atol=1e-5, err_msg=rule)
        assert np.all(full[margins < -CLEAR] < 0.0), rule
        broken += bool(np.any(margins < -CLEAR))
    assert broken >= 6
    studied = {"chip.die.area <= 500 mm2", "chip.power <= 1500 W", "rack.power <= 100 kW"}
    assert studied | {"die.reticle", "chip.shoreline", "chip.interposer"} <= set(screened)
    # depends on the chips that a workload uses, latency on the operating point
    assert not {"system.power <= 200 kW", "tpot", "mapping"} & set(screened)


def test_pruning_changes_no_front(problem: StudyProblem, tmp_path: Path) -> None:
    """With and without: the same designs with the same figures; the certificate tells of all."""
    documents = []
    for prune in (True, False):
        run(problem, "exact", 1, 0, tmp_path / str(prune), prune=prune)
        documents.append(front_document(load(tmp_path / str(prune))))
    with_pruning, without = documents
    assert with_pruning["points"] == without["points"] != []
    certificate = with_pruning["certificate"]
    assert (
        certificate["space"]
        == 216
        == certificate["evaluated"] + sum(certificate["pruned"].values())
    )
    assert certificate["evaluated"] == certificate["distinct"] < 216
    assert certificate["feasible"] == without["certificate"]["feasible"]
    assert {"memory", "die.reticle"} & set(certificate["pruned"])
    assert without["certificate"]["pruned"] == {}
    assert certificate["complete"]
    assert certificate["hash"] == problem.fingerprint


def test_a_problem_passes_to_another_process_and_back(problem: StudyProblem) -> None:
    """Pickled, it is the same study of the same specs, and evaluates to the same figures."""
    again = pickle.loads(pickle.dumps(problem))
    assert again.fingerprint == problem.fingerprint
    levels = Space(problem.parameters).block(100, 102)
    first, second = problem.evaluate(levels), again.evaluate(levels)
    np.testing.assert_array_equal(first.objectives, second.objectives)
    assert list(first.mapping) == list(second.mapping)
    assert len(set(keys(levels))) == 2
