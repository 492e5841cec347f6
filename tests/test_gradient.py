"""Ascents over relaxations with known slopes and optima, and what they propose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse.search.ascent import Aim, Axes, Slopes, ascend
from dse.search.levels import keys
from dse.search.propose import proposer
from dse.search.protocol import Evaluations, Parameter
from dse.search.record import load
from dse.search.run import run

TOP = 31


class Bowl:
    """Two bowls to be minimised around 0.3 and 0.7 of each of p parameters; x0 at least 0.4."""

    name, objectives, senses = "bowl", ("a", "b"), ("min", "min")
    rules, fingerprint, references = ("x0",), "bowl", ()
    value_cost, slope_cost = 1.0, 1.0

    def __init__(self, width: int = 4) -> None:
        levels = tuple(range(TOP + 1))
        self.parameters = tuple(Parameter(path=f"x{i}", levels=levels) for i in range(width))
        self.continuous = np.ones(width, dtype=bool)

    @property
    def relaxed(self) -> Bowl:
        return self

    def operate(self, positions: np.ndarray) -> list[dict[str, Any]]:
        return [{} for _ in positions]

    def values(self, positions: np.ndarray, mappings: Any) -> tuple[np.ndarray, np.ndarray]:
        found = self.slopes(positions, mappings)
        return found.objectives, found.margins

    def slopes(self, positions: np.ndarray, mappings: Any) -> Slopes:
        x = np.asarray(positions, float) / TOP
        away = np.stack([x - 0.3, x - 0.7], axis=1)
        wall = np.zeros((len(x), 1, x.shape[1]))
        wall[:, 0, 0] = 1.0 / TOP
        return Slopes(
            objectives=0.1 + (away**2).sum(axis=2),
            margins=x[:, :1] - 0.4,
            objective_slopes=2.0 * away / TOP,
            margin_slopes=wall,
        )

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        found = self.slopes(levels, [])
        return Evaluations(objectives=found.objectives, margins=found.margins)

    def describe(self) -> dict[str, Any]:
        return {}


def aim(weights: list[list[float]], floors: float = -np.inf) -> Aim:
    given = np.array(weights)
    return Aim(
        weights=given,
        floors=np.tile([-np.inf, floors], (len(given), 1)),
        width=np.ones(2),
        signs=-np.ones(2),
        logarithmic=np.array([False, False]),
    )


def test_ascents_end_at_the_optimum_of_their_weights_within_the_rules() -> None:
    """From one corner, each with weights of its own: 0.3 and 0.7, x0 not below its rule's 0.4."""
    bowl = Bowl()
    axes = Axes(bowl.parameters, bowl.continuous)
    start = np.full((2, 4), 16.0)
    ends, mappings = ascend(bowl, axes, start, aim([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(ends[0] / TOP, [0.4, 0.3, 0.3, 0.3], atol=0.06)
    np.testing.assert_allclose(ends[1] / TOP, 0.7, atol=0.06)
    assert mappings == [{}, {}]


def test_a_floor_holds_the_other_objective() -> None:
    """Best in the first objective subject to the second: nearer to it than without the floor."""
    bowl = Bowl()
    axes = Axes(bowl.parameters, bowl.continuous)
    start = np.full((1, 4), 20.0)
    free, _ = ascend(bowl, axes, start, aim([[1.0, 0.0]]))
    held, _ = ascend(bowl, axes, start, aim([[1.0, 0.0]], floors=-0.2))
    assert bowl.values(free, [])[0][0, 1] > 0.5
    assert bowl.values(held, [])[0][0, 1] < 0.3


def test_axes_are_logarithmic_where_levels_span_more_than_a_factor_of_two() -> None:
    """1, 2, 4, 8 and 0, 1, 2, 3 are both even; positions go there and back."""
    parameters = [Parameter(path=p, levels=v) for p, v in (("a", (1, 2, 4, 16)), ("b", (0, 1, 3)))]
    axes = Axes(parameters, np.array([True, True]))
    np.testing.assert_allclose(axes.grids[0], [0.0, 0.25, 0.5, 1.0])
    np.testing.assert_allclose(axes.grids[1], [0.0, 1 / 3, 1.0])
    positions = np.array([[0.0, 2.0], [2.5, 0.5], [3.0, 1.25]])
    np.testing.assert_allclose(axes.positions(axes.coordinates(positions)), positions)
    near = axes.positions(axes.coordinates(positions[1:2]) + 1e-6) - positions[1:2]
    np.testing.assert_allclose(near, axes.stretch(positions[1:2]) * 1e-6, rtol=1e-5)


@pytest.mark.parametrize("method", ["gradient", "hybrid"])
def test_a_guided_run_repeats_resumes_and_pays_for_its_gradients(
    tmp_path: Path, method: str
) -> None:
    """Stopped and continued it logs what an unbroken run logs; slopes are taken off the budget."""
    bowl = Bowl()
    left: list[float] = []
    report = {"on_progress": lambda progress: left.append(progress.seconds_left)}
    run(bowl, method, 400, 3, tmp_path / "whole", batch_size=24, **report)  # type: ignore[arg-type]
    assert left[0] > left[-1] == 0.0
    count = iter(range(100))
    stop = {"should_stop": lambda: next(count) >= 2}
    run(bowl, method, 200, 3, tmp_path / "parts", batch_size=24, **stop)  # type: ignore[arg-type]
    run(bowl, method, 200, 3, tmp_path / "parts", batch_size=24)
    run(bowl, method, 400, 3, tmp_path / "parts", batch_size=24)
    whole, parts = load(tmp_path / "whole"), load(tmp_path / "parts")
    np.testing.assert_array_equal(whole.levels, parts.levels)
    assert len(set(keys(whole.levels))) == len(whole.levels)
    made = proposer(method, bowl.parameters, bowl.senses, seed=3, batch_size=24, relaxation=bowl)
    spent = made.charge(made.generation_of(len(whole.levels) - 1))
    assert spent > 20.0
    assert len(whole.levels) + spent <= 401.0


def test_gradient_seeds_stand_at_the_front() -> None:
    """After one generation of chance the seeds of the next are nearly all non-dominated bowls."""
    bowl = Bowl()
    made = proposer(
        "gradient", bowl.parameters, bowl.senses, seed=1, batch_size=24, relaxation=bowl
    )
    first = made.propose(0).levels
    found = bowl.evaluate(first)
    made.observe(0, (), first, found.objectives, found.margins)
    made.notice(first, found)
    seeds = made.propose(1).levels[:6] / TOP
    # the front is the line from one bowl to the other
    assert np.median(np.abs(seeds[:, 1:] - seeds[:, 1:].mean(axis=1, keepdims=True))) < 0.06
    assert np.all(bowl.evaluate(made.propose(1).levels[:6]).margins > -0.05)


@pytest.mark.slow
def test_a_study_between_its_levels(tmp_path: Path) -> None:
    """At levels, its mapping held, it is the evaluation; its slopes lead from level to level."""
    from test_goal import STUDY

    from dse.search.problem import StudyProblem
    from dse.spec.catalog import Catalog
    from dse.spec.study import load_study

    (tmp_path / "small.toml").write_text(STUDY)
    problem = StudyProblem(load_study("small", Catalog.default([tmp_path])))
    levels = np.array([[0, 0, 1], [2, 1, 0], [3, 0, 2]])
    found, between = problem.evaluate(levels), problem.relaxed
    assert between is not None
    assert between.continuous.tolist() == [True, False, True]
    mappings = list(found.mapping)
    assert between.operate(levels.astype(float)) == mappings
    values, margins = between.values(levels.astype(float), mappings)
    np.testing.assert_allclose(values, found.objectives, rtol=1e-5)
    np.testing.assert_allclose(margins, found.margins, rtol=1e-4, atol=1e-4)
    at = between.slopes(levels.astype(float), mappings)
    assert np.all(at.objective_slopes[:, :, 1] == 0.0)
    moved = levels + 0.25 * np.array([[1, 0, 0], [1, 0, 0], [-1, 0, 0]])
    step = between.values(moved, mappings)[0] - values
    expected = values + np.array([[0.25], [0.25], [-0.25]]) * at.objective_slopes[:, :, 0]
    np.testing.assert_allclose(values + step, expected, rtol=1e-6)
