"""The regression on a log: exact where it knows, unsure elsewhere, blind to what is idle."""

from __future__ import annotations

import numpy as np
import pytest

from dse.search.known import Known, merits, promising
from dse.search.protocol import Parameter
from dse.search.regression import Coding, Regression, fitted

PARAMETERS = (
    *(Parameter(path=f"x{i}", levels=tuple(range(9))) for i in range(3)),
    Parameter(path="n", levels=("a", "b", "c"), ordered=False),
    Parameter(path="c", levels=(1, 2, 0), needs=((3, frozenset({1})),)),
)


def levels_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, [9, 9, 9, 3, 3], size=(count, 5))


def smooth(levels: np.ndarray) -> np.ndarray:
    """Of the second number nothing depends."""
    x = levels / 8.0
    name = np.array([0.0, 1.0, -1.0])[levels[:, 3]]
    return np.column_stack([np.sin(3.0 * x[:, 0]) + name, x[:, 0] * x[:, 2]])


def test_points_set_names_a_width_apart() -> None:
    """Numbers run from 0 to 1; any two names, and a number that is not always free, differ by 1."""
    points = Coding(PARAMETERS).points(
        np.array([[0, 4, 8, 0, 0], [0, 4, 8, 1, 0], [0, 4, 8, 2, 2], [8, 4, 8, 0, 0]])
    )
    assert points[0, :3].tolist() == [0.0, 0.5, 1.0]
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert apart[0, 1] == pytest.approx(1.0)
    assert apart[0, 2] == pytest.approx(np.sqrt(2.0))
    assert apart[0, 3] == pytest.approx(1.0)


def test_it_passes_through_what_it_knows_and_foresees_the_rest() -> None:
    """Known values are met to a hundredth; of others it knows better than their mean by far."""
    coding, known, other = Coding(PARAMETERS), levels_of(150), levels_of(200, seed=1)
    model = fitted(coding, known, smooth(known), np.random.default_rng(0))
    mean, unknown = model.predicted(coding.points(known))
    np.testing.assert_allclose(mean, smooth(known), atol=0.02)
    assert unknown.max() < 0.05
    error = model.predicted(coding.points(other))[0] - smooth(other)
    assert np.all(error.std(axis=0) < 0.15 * smooth(other).std(axis=0))


def test_lengths_tell_what_matters() -> None:
    """No length is longer than that of what changes nothing; what matters has a shorter one."""
    known = levels_of(150)
    coding = Coding(PARAMETERS)
    model = fitted(coding, known, smooth(known), np.random.default_rng(0))
    lengths = model.lengths[[list(coding.owner).index(i) for i in range(5)]]
    assert lengths[1] > 2.0 * lengths[0]
    assert lengths[1] == lengths.max()


def test_far_away_it_knows_the_mean_and_no_more() -> None:
    """Beyond its length a prediction is the mean of all, give or take their width."""
    points, values = np.zeros((2, 1)), np.array([[1.0], [3.0]])
    points[1] = 0.01
    model = Regression.of(points, values, np.array([0.1]))
    mean, unknown = model.predicted(np.array([[5.0]]))
    assert mean[0, 0] == pytest.approx(2.0)
    assert unknown[0, 0] == pytest.approx(1.0)


def test_merits_are_logarithms_where_all_are_positive() -> None:
    """Doubled counts the same anywhere; what is to be minimised is turned; zero forbids the log."""
    value, scale = merits(np.array([[1.0, 0.0], [np.e, 2.0]]), ("min", "max"))
    np.testing.assert_allclose(value, [[0.0, 0.0], [-1.0, 2.0]])
    assert scale.tolist() == [True, False]


def test_the_promising_are_apart_from_each_other_and_keep_the_rules() -> None:
    """Of two alike one is taken; a rule broken costs more than any gain."""
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    offered = np.array([[0.9, 0.9], [0.89, 0.89], [1.3, 0.0], [2.0, 2.0]])
    violated = np.array([0.0, 0.0, 0.0, -1.0])
    assert promising(offered, violated, front, 2).tolist() == [0, 2]


def test_the_front_of_what_is_known() -> None:
    """Feasible and not dominated; while nothing is feasible, the least violating."""

    def known(margins: list[float]) -> Known:
        return Known(
            levels=np.zeros((3, 1), int),
            objectives=np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]),
            margins=np.array(margins)[:, None],
            mappings=[{}] * 3,
        )

    assert known([1.0, 1.0, -1.0]).front(("max", "max")).tolist() == [1]
    assert known([-3.0, -1.0, -2.0]).front(("max", "max")).tolist() == [1, 2, 0]
