"""Every operating point: fronts over pairs of design and mapping against all pairs, one by one."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from test_cli_run import dse, write
from test_sweep import Zdt1, everything

from dse.errors import UsageError
from dse.search.counts import Counts
from dse.search.front import non_dominated, to_maximise
from dse.search.protocol import Evaluations, Points
from dse.search.run import load, run

MAPPINGS = 4


@attrs.define
class Operated(Zdt1):
    """ZDT1 whose designs operate at four mappings each, a trade of one objective for the other."""

    every_point: bool = True

    def pairs(self, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, Evaluations]:
        """All pairs: rows of the designs, mappings, what they attain; the last breaks a rule."""
        design = np.repeat(np.arange(len(levels)), MAPPINGS)
        mapping = np.tile(np.arange(MAPPINGS), len(levels))
        found = super().evaluate(levels).rows(design)
        share = mapping / MAPPINGS
        objectives = found.objectives + 0.3 * np.column_stack([share, -np.sqrt(share)])
        margins = found.margins - np.outer(mapping == MAPPINGS - 1, [0.0, 9.0, 0.0])
        each = [{"tp": int(m)} for m in mapping]
        return (
            design,
            mapping,
            attrs.evolve(found, objectives=objectives, margins=margins, mapping=each),
        )

    def operating_points(self, levels: np.ndarray) -> Points:
        design, _, found = self.pairs(levels)
        values = to_maximise(found.objectives, self.senses)
        kept = np.flatnonzero(non_dominated(values, found.feasible))
        counts = Counts(
            evaluated=len(levels),
            feasible=len(set(design[found.feasible].tolist())),
            pairs=len(design),
        )
        points = found.rows(kept) if len(kept) else None
        return Points(designs=design[kept], evaluations=points, counts=counts)


def test_a_sweep_of_all_points_is_the_front_of_all_pairs(tmp_path: Path) -> None:
    """Designs stand on the front once for each mapping; the certificate counts the pairs."""
    problem = Operated()
    result = run(problem, "exact", 1, 0, tmp_path / "run", batch_size=50)
    data = load(tmp_path / "run")
    levels, _ = everything(problem)
    design, mapping, found = problem.pairs(levels)
    best = non_dominated(to_maximise(found.objectives, problem.senses), found.feasible)
    expected = {(*levels[design[i]], mapping[i]) for i in np.flatnonzero(best)}
    reached = {(*data.levels[i], data.mapping[i]["tp"]) for i in data.front}
    assert reached == expected
    assert len({tuple(data.levels[i]) for i in data.front}) < len(data.front)
    assert data.counts.pairs == MAPPINGS * data.counts.evaluated
    assert result.evaluated + result.pruned == len(levels)


def test_without_a_feasible_point_the_nearest_design_is_told(tmp_path: Path) -> None:
    """Chunks without a feasible pair keep the design that violates least where it operates best."""
    run(Operated(memory=-0.5, power=9.0), "exact", 1, 0, tmp_path / "run", batch_size=50)
    data = load(tmp_path / "run")
    assert len(data.front) == 0
    least = np.minimum(everything(Zdt1(memory=-0.5, power=9.0))[1].margins, 0.0).sum(axis=1).max()
    assert np.minimum(data.margins, 0.0).sum(axis=1).max() == least


@pytest.mark.parametrize("method", ["nsga2", "hybrid", "random"])
def test_only_sweeps_keep_every_point(tmp_path: Path, method: str) -> None:
    """Other methods judge a design by one operating point: refused before anything is made."""
    with pytest.raises(UsageError, match="--method exact"):
        run(Operated(), method, 10, 0, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_goal_asks_for_one_design(tmp_path: Path) -> None:
    """A study of every operating point has no single answer: refused with the way out."""
    from dse.search.goal import Goal, GoalProblem
    from dse.search.problem import StudyProblem
    from dse.spec.catalog import Catalog
    from dse.spec.study import load_study

    write(tmp_path, price_basis='operate = "all"\nprice_basis')
    problem = StudyProblem(load_study("tiny", Catalog.default([tmp_path])))
    goal = Goal(text="g", metric="tokens_per_usd", upper=False, target=1.0)
    with pytest.raises(UsageError, match="operate by one metric"):
        GoalProblem(problem, goal)


@pytest.mark.slow
def test_pairs_of_the_model_against_each_evaluated_alone(tmp_path: Path) -> None:
    """The front of 75 designs with all mappings, each pair evaluated with its mapping held.

    Pairs are compared by a program that may round otherwise than the one that evaluates them: a
    point of either front is within 1e-5 of one of the other.
    """
    from dse.model.mapping import as_dict, table
    from dse.search.problem import StudyProblem
    from dse.search.relaxation import StudyRelaxation
    from dse.search.space import Space
    from dse.spec.catalog import Catalog
    from dse.spec.study import load_study

    user = 'tokens_per_s_per_user = "max"'
    changes = {"price_basis": 'operate = "all"\nprice_basis', 'tokens_per_joule = "max"': user}
    write(tmp_path, **changes, **{'"random"': '"exact"'})
    result = dse("run", str(tmp_path / "tiny.toml"), "-o", str(tmp_path / "run"), "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    names = ("tokens_per_usd", "tokens_per_s_per_user")
    found = np.array([[point["metrics"][name] for name in names] for point in document["points"]])
    problem = StudyProblem(load_study("tiny", Catalog.default([tmp_path])))
    levels = Space(problem.parameters).block(0, 75)
    task = problem.study.tasks[0]
    rows = table(task.model, task.workload.phase, int(problem.study.system.all_chips))
    held = [{task.workload.name: as_dict(row)} for row in rows]
    values, margins = StudyRelaxation(problem).values(
        np.repeat(levels, len(rows), axis=0), held * len(levels)
    )
    legal = margins[:, problem.rules.index("mapping")] >= 0.0
    assert document["certificate"]["operate"] == "all"
    assert document["certificate"]["pairs"] <= legal.sum()
    expected = values[non_dominated(values, np.all(margins >= 0.0, axis=1))]
    assert len(found) > 5
    for one, other in ((found, expected), (expected, found)):
        apart = np.abs(np.log(one[:, None, :] / other[None, :, :])).max(axis=2)
        assert apart.min(axis=1).max() < 1e-5
