"""Pareto fronts against brute force, the hypervolume against hand-computed areas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.search.front import (
    Archive,
    distance,
    hypervolume,
    joining_price,
    knee,
    non_dominated,
    normalise,
    reached_by,
    thinned,
    to_maximise,
)


def brute(values: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    """The definition, in two loops."""
    mask = np.zeros(len(values), dtype=bool)
    for i, one in enumerate(values):
        beaten = any(
            feasible[j]
            and np.all(other >= one)
            and (np.any(other > one) or (j < i and np.all(other == one)))
            for j, other in enumerate(values)
        )
        mask[i] = feasible[i] and not beaten
    return mask


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small tables with many ties, of one to four objectives, and which rows are feasible."""
    width, count = draw(st.integers(1, 4)), draw(st.integers(0, 25))
    cell = st.one_of(st.integers(-3, 3).map(float), st.floats(-5.0, 5.0, width=16))
    rows = draw(
        st.lists(st.lists(cell, min_size=width, max_size=width), min_size=count, max_size=count)
    )
    feasible = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return np.array(rows, dtype=float).reshape(count, width), np.array(feasible, dtype=bool)


@settings(max_examples=300, deadline=None)
@given(tables())
def test_non_dominated_is_what_its_definition_says(table: tuple[np.ndarray, np.ndarray]) -> None:
    """Ties, duplicates, infeasible and empty tables: the front equals the brute-force one."""
    values, feasible = table
    np.testing.assert_array_equal(non_dominated(values, feasible), brute(values, feasible))


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(1, 6))
def test_archive_in_batches_keeps_the_front_of_the_whole(
    table: tuple[np.ndarray, np.ndarray], size: int
) -> None:
    """Fed in batches the archive ends with the ids and values of the front of all rows."""
    values, feasible = table
    archive = Archive(values.shape[1])
    for start in range(0, len(values), size):
        part = slice(start, start + size)
        archive.add(values[part], np.arange(len(values))[part], feasible[part])
    expected = np.flatnonzero(brute(values, feasible))
    np.testing.assert_array_equal(archive.ids, expected)
    np.testing.assert_array_equal(archive.values, values[expected])
    assert len(archive) == len(expected)


def test_of_equal_rows_the_first_is_kept() -> None:
    """Duplicates of a front point appear once, by their first row, in two and three objectives."""
    two = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 1.0]])
    three = np.column_stack([two, np.zeros(4)])
    for values in (two, three):
        np.testing.assert_array_equal(non_dominated(values), [True, True, False, False])


def test_to_maximise_turns_only_what_is_minimised() -> None:
    """An objective of sense "min" is negated, one of sense "max" is left."""
    np.testing.assert_array_equal(
        to_maximise(np.array([[1.0, 2.0]]), ("max", "min")), [[1.0, -2.0]]
    )


def test_normalise_puts_ideal_at_zero_and_nadir_at_one_on_a_log_scale() -> None:
    """The geometric middle of positive values, and of negated costs, is one half."""
    values = to_maximise(np.array([[1.0, 100.0], [10.0, 10.0], [100.0, 1.0]]), ("max", "min"))
    np.testing.assert_allclose(normalise(values), [[1.0, 1.0], [0.5, 0.5], [0.0, 0.0]])


def test_normalise_is_linear_where_a_logarithm_has_no_meaning() -> None:
    """A column with zero or both signs is scaled as it is, and stays finite."""
    np.testing.assert_allclose(normalise(np.array([[-1.0], [0.0], [3.0]])), [[1.0], [0.75], [0.0]])


def test_hypervolume_against_areas_by_hand() -> None:
    """One ideal point fills 1.1 ** k; two corners of the unit square leave one square out."""
    assert hypervolume(np.array([[3.0, 5.0]])) == pytest.approx(1.21)
    corners = np.array([[1.0, 10.0], [10.0, 1.0]])
    assert hypervolume(corners) == pytest.approx(2 * 1.1 * 0.1 - 0.1 * 0.1)
    ideal, nadir = np.array([10.0, 10.0]), np.array([1.0, 1.0])
    middle = np.array([[math.sqrt(10.0)] * 2])
    assert hypervolume(middle, ideal, nadir) == pytest.approx(0.6 * 0.6)
    assert hypervolume(np.zeros((0, 2)), ideal, nadir) == 0.0


def test_hypervolume_ignores_what_is_worse_than_the_reference() -> None:
    """A point far behind the nadir adds nothing, nor does it take anything away."""
    ideal, nadir = np.array([10.0, 10.0]), np.array([1.0, 1.0])
    good, bad = [[5.0, 5.0]], [[20.0, 0.1]]
    both = hypervolume(np.array(good + bad), ideal, nadir)
    assert both == pytest.approx(hypervolume(np.array(good), ideal, nadir))


def test_hypervolume_grows_with_every_point_of_a_front() -> None:
    """Against fixed ideal and nadir a non-dominated point adds volume, in three objectives."""
    values = np.array([[9.0, 2.0, 2.0], [2.0, 9.0, 2.0], [2.0, 2.0, 9.0], [5.0, 5.0, 5.0]])
    ideal, nadir = values.max(axis=0), values.min(axis=0)
    volumes = [hypervolume(values[: n + 1], ideal, nadir) for n in range(4)]
    assert np.all(np.diff(volumes) > 0.0)


def test_the_knee_is_farthest_from_the_chord() -> None:
    """Of a bent front the bend; a straight one (in logarithms) and two points have none."""
    bent = np.array([[1.0, 100.0], [50.0, 60.0], [100.0, 1.0]])
    straight = np.array([[1.0, 100.0], [10.0, 10.0], [100.0, 1.0]])
    assert knee(bent) == 1
    assert knee(straight) is None
    assert knee(bent[:2]) is None


def test_distance_is_the_factor_by_which_all_objectives_must_improve() -> None:
    """Half of a front point in both is 100 % inside; beyond it is negative; costs count alike."""
    front = np.array([[8.0, 2.0], [4.0, 4.0]])
    assert distance(front, np.array([2.0, 2.0])) == pytest.approx(1.0)
    assert distance(front, np.array([4.0, 4.0])) == pytest.approx(0.0)
    assert distance(front, np.array([8.0, 8.0])) == pytest.approx(-0.5)
    costs = to_maximise(np.array([[8.0, 2.0]]), ("max", "min"))
    assert distance(costs, np.array([8.0 / 1.07, -2.0 * 1.07])) == pytest.approx(0.07)
    assert math.isnan(distance(front[:0], front[0]))
    assert math.isnan(distance(front, np.array([0.0, 1.0])))


def test_a_reference_is_led_to_the_front_by_the_fewest_changes() -> None:
    """Of the points that are nowhere worse the one with most in common."""
    designs = [["a", 1, 5], ["b", 1, 3], ["a", 1, 3]]
    values = np.array([[5.0, 5.0], [4.0, 6.0], [9.0, 1.0]])
    assert reached_by(designs, values, ["b", 2, 3], np.array([3.0, 3.0])) == 1
    assert reached_by(designs, values, ["b", 2, 3], np.array([10.0, 3.0])) is None


def test_the_price_at_which_a_reference_joins_the_front() -> None:
    """Twice as dear as the cheapest that is as frugal: at half its price; the best is there."""
    front = np.array([[8.0, 2.0], [4.0, 4.0]])
    money = np.array([True, False])
    assert joining_price(front, np.array([2.0, 3.0]), money) == pytest.approx(0.5)
    assert joining_price(front, np.array([2.0, 2.0]), money) == pytest.approx(0.25)
    assert joining_price(front, np.array([1.0, 5.0]), money) == 1.0
    costs = np.array([[-2.0, 4.0]])
    assert joining_price(costs, np.array([-6.0, 4.0]), money) == pytest.approx(1 / 3)
    assert math.isnan(joining_price(front, np.array([2.0, 2.0]), np.array([False, False])))


def curve(count: int) -> np.ndarray:
    """A bent front of so many rows over four decades, most of them crowded at one end."""
    first = np.exp(np.linspace(0.0, 1.0, count) ** 8 * math.log(1e4))
    return np.column_stack([first, 1e4 / first - 0.9])


@pytest.mark.parametrize("number", [4, 20, 100])
def test_a_thinned_front_stands_for_the_whole(number: int) -> None:
    """Few rows, the ends and the knee among them, and none left out is far from one that stays."""
    values = curve(3000)
    kept = thinned(values, number)
    assert number / 4 <= len(kept) <= number
    assert np.all(np.diff(kept) > 0)
    assert {0, len(values) - 1, knee(values)} <= set(kept.tolist())
    scaled = normalise(values)
    # as good but for a box in each objective
    behind = (scaled[kept][None] - scaled[:, None]).max(axis=2).min(axis=1)
    assert behind.max() <= 4.0 / number


def test_thinning_keeps_what_is_few() -> None:
    """A front of as many rows as may stay is left as it is; one row is the best in the first."""
    values = curve(20)
    np.testing.assert_array_equal(thinned(values, 20), np.arange(20))
    assert thinned(values, 1).tolist() == [19]
    assert thinned(values[:0], 5).tolist() == []


def test_thinning_in_three_objectives_keeps_the_best_in_each() -> None:
    """On a sphere of a thousand rows; values of either sign are cut as they are."""
    rows = np.abs(np.random.default_rng(0).normal(size=(1000, 3)))
    values = rows / np.linalg.norm(rows, axis=1, keepdims=True) - [0.5, 0.0, 0.0]
    kept = thinned(values, 30)
    assert 10 <= len(kept) <= 30
    assert set(values.argmax(axis=0).tolist()) <= set(kept.tolist())
