"""A study as a search problem."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from dse.model.evaluator import evaluate
from dse.model.pytree import lower, stack
from dse.search.problem import StudyProblem
from dse.spec.catalog import Catalog
from dse.spec.metrics import METRICS
from dse.spec.study import load_study

STUDY = """
kind = "study"
name = "small"
system = "trn4-ultraserver"
references = ["trn2-ultraserver", "trn4-ultraserver"]
price_basis = "at-cost"
objectives = { tokens_per_usd = "max", chip_cost_usd = "min" }
[[workloads]]
model = "llama-3.3-70b"
workload = "chat-decode"
weight = 3.0
[[workloads]]
model = "llama-3.1-8b"
workload = "chat-decode"
[space]
"chip.die.core.count" = { range = [8, 14], step = 2 }
"chip.memory.stack" = { choice = ["hbm4-12h", "hbm4e-16h"] }
"chip.memory.stacks" = { choice = [2, 4, 8] }
[constraints]
"chip.power" = "<= 1500 W"
"tpot" = "<= 20 ms"
"""


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> StudyProblem:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "small.toml").write_text(STUDY)
    return StudyProblem(load_study("small", Catalog.default([folder])))


def test_a_gathered_batch_is_the_bound_specs(problem: StudyProblem) -> None:
    """Gathering leaves by level gives, leaf by leaf, what binding in the language gives."""
    rng = np.random.default_rng(0)
    sizes = [len(p.levels) for p in problem.parameters]
    levels = rng.integers(0, sizes, size=(20, len(sizes)))
    expected = stack([lower(problem.bound(row)) for row in levels])
    for gathered, bound in zip(
        jax.tree.leaves(problem._stacked(levels)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_array_equal(gathered, bound)


def test_size_counts_all_designs(problem: StudyProblem) -> None:
    """The size of a space is the product of its levels: 4 x 2 x 3."""
    assert problem.size == 24


def test_a_mix_costs_the_weighted_sum_of_its_workloads(problem: StudyProblem) -> None:
    """Dollars for a token of the mix are the sum of weight times dollars for each workload."""
    levels = np.zeros((1, 3), np.int64)
    found = problem._evaluate(problem._stacked(levels))
    each = [float(one.metrics["usd_per_mtok"][0]) for one in found]
    mixed = problem.evaluate(levels).metrics
    assert mixed["usd_per_mtok"][0] == pytest.approx(0.75 * each[0] + 0.25 * each[1], rel=1e-6)
    assert mixed["tokens_per_usd"][0] == pytest.approx(1.0 / mixed["usd_per_mtok"][0], rel=1e-5)


def test_a_mix_by_hand(problem: StudyProblem) -> None:
    """Weights are shares of the tokens. Of four tokens three come at 100 a second, one at 50:
    0.03 + 0.02 s, 80 a second; at 20 and 10 tokens a joule 0.15 + 0.1 J, 16 a joule; at 2 and 6
    dollars a million 3; 1,000 W for 60 % of the time and 500 W for 40 % are 800 W; so MFU 0.5 and
    0.25 are 0.4; latency and users' speed are the worst workload's. Each workload keeps the
    operating point that it has alone.
    """
    given = {
        "tokens_per_s": (100.0, 50.0),
        "tokens_per_joule": (20.0, 10.0),
        "usd_per_mtok": (2.0, 6.0),
        "tokens_per_usd": (1 / 2.0, 1 / 6.0),
        "average_power_w": (1000.0, 500.0),
        "mfu": (0.5, 0.25),
        "tpot_s": (0.02, 0.04),
        "tokens_per_s_per_user": (50.0, 25.0),
        "chip_power_w": (700.0, 700.0),
    }
    expected = (80.0, 16.0, 3.0, 1 / 3.0, 800.0, 0.4, 0.04, 25.0, 700.0)
    found = []
    for at in range(2):
        values = {name: np.ones(1) for name in METRICS}
        values |= {name: np.asarray([pair[at]]) for name, pair in given.items()}
        found.append(SimpleNamespace(metrics=values))
    mixed = problem.mix(found)  # type: ignore[arg-type]
    for name, value in zip(given, expected, strict=True):
        assert mixed[name][0] == pytest.approx(value), name
    systems = problem._stacked(np.asarray([[1, 0, 2]]))
    alone = [evaluate(systems, question) for question in problem.questions]
    together = problem.evaluate(np.asarray([[1, 0, 2]])).mapping[0]
    assert [each.mapping(0)["tp"] for each in alone] == [m["tp"] for m in together.values()]


def test_what_an_hour_costs_is_what_its_tokens_cost(problem: StudyProblem) -> None:
    """Dollars an hour of the mix over its tokens an hour are its dollars for a token."""
    found = problem.evaluate(np.asarray([[2, 1, 2]])).metrics
    used = problem.study.facility.utilisation
    token = found["usd_per_chip_hour"] / found["tokens_per_s_per_chip"] / used
    np.testing.assert_allclose(token, found["usd_per_mtok"], rtol=1e-4)


def test_a_latency_limit_filters_operating_points(problem: StudyProblem) -> None:
    """With a limit of 20 ms, tighter than the workload's 50, every design decodes within it."""
    result = problem.evaluate(np.asarray([[0, 0, 2], [3, 1, 2]]))
    assert np.all(result.metrics["tpot_s"] <= 0.020 * (1 + 1e-4))
    assert all(question.workload.tpot == pytest.approx(0.020) for question in problem.questions)


def test_constraints_are_rules_by_name(problem: StudyProblem) -> None:
    """A limit of the study stands among the rules; its margin is relative to the limit."""
    result = problem.evaluate(np.asarray([[0, 0, 0], [3, 1, 2]]))
    column = problem.rules.index("chip.power <= 1500 W")
    power = result.metrics["chip_power_w"]
    np.testing.assert_allclose(result.margins[:, column], (1500 - power) / 1500, rtol=1e-6)


def test_references_are_shown_with_the_rules_they_break(problem: StudyProblem) -> None:
    """A reference beyond a limit is infeasible and names the limit; one within is feasible."""
    shown = {reference["name"]: reference for reference in problem.evaluate_references()}
    announced = shown["trn4-ultraserver"]
    over = announced["metrics"]["chip_power_w"] > 1500.0
    assert over == ("chip.power <= 1500 W" in announced["violated"])
    assert announced["feasible"] == (not announced["violated"])
    assert shown["trn2-ultraserver"]["metrics"]["chip_power_w"] == pytest.approx(500.0)


def test_evaluation_does_not_depend_on_the_batch(problem: StudyProblem) -> None:
    """A design evaluated among others has the figures it has alone."""
    rows = np.asarray([[a, b, c] for a in range(4) for b in range(2) for c in range(3)])
    together = problem.evaluate(rows)
    alone = problem.evaluate(rows[17:18])
    np.testing.assert_array_equal(together.objectives[17:18], alone.objectives)
    np.testing.assert_array_equal(together.margins[17:18], alone.margins)


def test_the_fingerprint_follows_the_specs(problem: StudyProblem, tmp_path: Path) -> None:
    """Another limit is another study; the same study read again has the same fingerprint."""
    (tmp_path / "small.toml").write_text(STUDY)
    again = StudyProblem(load_study("small", Catalog.default([tmp_path])))
    (tmp_path / "small.toml").write_text(STUDY.replace("1500 W", "1400 W"))
    changed = StudyProblem(load_study("small", Catalog.default([tmp_path])))
    assert again.fingerprint == problem.fingerprint
    assert changed.fingerprint != problem.fingerprint


def test_the_operator_maximises_the_first_objective(problem: StudyProblem) -> None:
    """No pinned mapping of a design gives more tokens per dollar than the one chosen."""
    systems = problem._stacked(np.asarray([[1, 1, 1]]))
    question = problem.questions[0]
    best = evaluate(systems, question).metrics["tokens_per_usd"][0]
    for tp in (1, 2, 4, 8):
        found = evaluate(systems, question, pinned={"tp": tp})
        if found.feasible[0]:
            assert found.metrics["tokens_per_usd"][0] <= best * (1 + 1e-6)


def test_a_search_begins_at_its_references(problem: StudyProblem) -> None:
    """A reference within the space starts as itself, one outside as its nearest design."""
    paths = [parameter.path for parameter in problem.parameters]
    old, announced = (
        {path: p.levels[i] for path, p, i in zip(paths, problem.parameters, row, strict=True)}
        for row in problem.initial()
    )
    assert announced["chip.die.core.count"] == 12.0
    assert announced["chip.memory.stack"].name == "hbm4-12h"
    assert announced["chip.memory.stacks"] == 8.0
    assert old["chip.die.core.count"] == 8.0
    assert old["chip.memory.stacks"] == 4.0
