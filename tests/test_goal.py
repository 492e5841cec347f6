"""Inverse questions: how a goal is read, and which design answers it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dse.errors import DseError, UsageError
from dse.search.goal import Goal, read_goal

REFERENCES = [
    {"name": "gb200-nvl72", "metrics": {"tokens_per_usd": 2000.0, "tpot_s": 0.02}},
    {"name": "trn2-ultraserver", "metrics": {"tokens_per_usd": 1000.0, "tpot_s": 0.03}},
]


@pytest.mark.parametrize(
    ("text", "metric", "upper", "target"),
    [
        ("tokens_per_usd >= 1.3 * gb200-nvl72", "tokens_per_usd", False, 2600.0),
        ("tokens_per_usd>=gb200-nvl72", "tokens_per_usd", False, 2000.0),
        ("tokens_per_usd >= 2 trn2-ultraserver", "tokens_per_usd", False, 2000.0),
        ("tpot_s <= 20 ms", "tpot_s", True, 0.02),
        ("tokens_per_usd >= 1e3", "tokens_per_usd", False, 1000.0),
        ("usd_per_chip_hour <= 3.6", "usd_per_chip_hour", True, 0.001),
    ],
)
def test_goals_are_read(text: str, metric: str, upper: bool, target: float) -> None:
    """A number, a number with its unit, a reference, a multiple of one: all in SI."""
    goal = read_goal(text, REFERENCES)
    assert (goal.metric, goal.upper) == (metric, upper)
    assert goal.target == pytest.approx(target)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tokens_per_us >= 3", "did you mean 'tokens_per_usd'"),
        ("tokens_per_usd >= 1.3 * gb200-nvl7", "did you mean 'gb200-nvl72'"),
        ("tokens_per_usd = 3", "cannot read"),
        ("tokens_per_usd >=", "cannot read"),
        ("tokens_per_usd >= 1e999", "no finite"),
    ],
)
def test_goals_that_make_no_sense_are_refused(text: str, message: str) -> None:
    """With the nearest name, or the grammar."""
    with pytest.raises(UsageError, match=message):
        read_goal(text, REFERENCES)


def test_a_goal_in_another_dimension_is_refused() -> None:
    """A time is no price: the error is one of ours."""
    with pytest.raises(DseError):
        read_goal("tpot_s <= 20 USD", REFERENCES)


def test_the_margin_of_a_goal_is_relative_and_finite() -> None:
    """Half of what is wanted is -0.5; what cannot be had is finite all the same."""
    goal = Goal(text="", metric="m", upper=False, target=10.0)
    np.testing.assert_allclose(goal.margin(np.array([5.0, 10.0, 20.0])), [-0.5, 0.0, 1.0])
    assert np.all(np.isfinite(goal.margin(np.array([np.nan, -np.inf, np.inf]))))
    upper = Goal(text="", metric="m", upper=True, target=10.0)
    np.testing.assert_allclose(upper.margin(np.array([5.0, 20.0])), [0.5, -1.0])


STUDY = """
kind = "study"
name = "small"
system = "trn4-ultraserver"
references = ["trn2-ultraserver", "trn4-ultraserver"]
price_basis = "at-cost"
objectives = { tokens_per_usd = "max" }
[[workloads]]
model = "llama-3.1-8b"
workload = "chat-decode"
[space]
"chip.die.core.count" = { range = [8, 14], step = 2 }
"chip.memory.stack" = { choice = ["hbm4-12h", "hbm4e-16h"] }
"chip.memory.stacks" = { choice = [2, 4, 8] }
"""


@pytest.mark.slow
@pytest.mark.parametrize("prefer", ["cheapest", "least-changed"])
def test_the_answer_is_that_of_the_whole_space(tmp_path: Any, prefer: str) -> None:
    """Of all 24 designs none that meets the goal costs less, or changes less."""
    from dse.search.goal import CHANGES, GoalProblem, answer
    from dse.search.levels import decode
    from dse.search.problem import StudyProblem
    from dse.search.run import load, run
    from dse.spec.catalog import Catalog
    from dse.spec.study import load_study

    (tmp_path / "small.toml").write_text(STUDY)
    base = StudyProblem(load_study("small", Catalog.default([tmp_path])))
    every = decode(np.arange(24), np.array([4, 2, 3]))
    attained = base.evaluate(every).metrics["tokens_per_usd"]
    target = float(np.quantile(attained, 0.6))
    goal = Goal(text="g", metric="tokens_per_usd", upper=False, target=target)
    problem = GoalProblem(base, goal, prefer)
    run(problem, "hybrid", 60, 1, tmp_path / "run", initial=problem.initial)
    found = answer(problem, load(tmp_path / "run"))
    whole = problem.evaluate(every)
    least = whole.objectives[whole.feasible, 0].min()
    assert found is not None
    assert found["metrics"]["tokens_per_usd"] >= target
    key = problem.objectives[0]
    if key == CHANGES:
        assert len(found["changes"]) == np.ceil(least)
    else:
        assert found["metrics"][key] == pytest.approx(least * 3600.0, rel=1e-6)
