"""Proposers: unseen designs only, a function of the log, and better than chance."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import UsageError
from dse.search.front import hypervolume, to_maximise
from dse.search.levels import decode, encode, keys, neighbour, spread
from dse.search.propose import (
    METHODS,
    Proposal,
    Proposer,
    check_method,
    default_batch_size,
    proposer,
)
from dse.search.protocol import Parameter

SENSES = ("min", "max")
Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def space(*sizes: int, names: int = 0) -> tuple[Parameter, ...]:
    """Parameters with these numbers of levels, the last `names` of them categorical."""
    return tuple(
        Parameter(path=f"x{i}", levels=tuple(range(size)), ordered=i < len(sizes) - names)
        for i, size in enumerate(sizes)
    )


def zdt1(levels: np.ndarray, top: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """A discrete ZDT1, one objective turned to be maximised; a rule cuts off a corner."""
    x = levels / top
    g = 1.0 + 9.0 * x[:, 1:].mean(axis=1)
    second = g * (1.0 - np.sqrt(x[:, 0] / g))
    return np.column_stack([0.1 + x[:, 0], 11.0 - second]), (0.9 - x[:, :1])


def walk(made: Proposer, evaluate: Evaluate, generations: int) -> list[Proposal]:
    """Proposes, evaluates and observes so many generations, or until the space is used up."""
    proposals = []
    for generation in range(generations):
        one = made.propose(generation)
        if len(one.levels) == 0:
            break
        made.observe(generation, one.parents, one.levels, *evaluate(one.levels))
        proposals.append(one)
    return proposals


def make(
    method: str, parameters: tuple[Parameter, ...], seed: int = 1, batch_size: int = 40
) -> Proposer:
    return proposer(method, parameters, SENSES, seed=seed, batch_size=batch_size)


def flat(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An evaluation by which all designs are alike."""
    return np.ones((len(levels), 2)), np.zeros((len(levels), 0))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_encode_and_decode_are_inverse_and_in_mixed_radix_order(sizes: list[int]) -> None:
    """The numbers of a space decode to every design once, the last parameter turning fastest."""
    codes = np.arange(math.prod(sizes))
    levels = decode(codes, np.array(sizes))
    assert levels.tolist() == [list(index) for index in np.ndindex(*sizes)]
    np.testing.assert_array_equal(encode(levels, np.array(sizes)), codes)


def test_spread_uses_each_level_equally() -> None:
    """60 designs over 1, 2, 3 and 5 levels: each level as often as the next."""
    levels = spread(60, np.array([1, 2, 3, 5]), np.random.default_rng(0))
    for column, size in zip(levels.T, (1, 2, 3, 5), strict=True):
        np.testing.assert_array_equal(np.bincount(column), [60 // size] * size)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 1000))
def test_a_neighbour_differs_in_one_step_of_one_parameter(sizes: list[int], seed: int) -> None:
    """Ordered parameters move by one level, names to any other; the row itself stays."""
    random = np.random.default_rng(seed)
    ordered = [bool(random.integers(2)) for _ in sizes]
    row = random.integers(0, sizes)
    before = row.copy()
    moved = neighbour(row, np.array(sizes), ordered, random)
    changed = np.flatnonzero(moved != row)
    np.testing.assert_array_equal(row, before)
    assert np.all((moved >= 0) & (moved < sizes))
    assert len(changed) == (1 if max(sizes) > 1 else 0)
    assert all(not ordered[i] or abs(int(moved[i] - row[i])) == 1 for i in changed)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("sizes", [(3, 4, 5, 2), (1, 1), (7,), (1, 90), (41,)])
def test_every_method_uses_up_a_small_space_without_repeating(
    method: str, sizes: tuple[int, ...]
) -> None:
    """Each design is proposed exactly once, generations are full until the space ends."""
    made = make(method, space(*sizes, names=1))
    proposals = walk(made, flat, 100)
    found = [key for one in proposals for key in keys(one.levels)]
    assert len(set(found)) == len(found) == math.prod(sizes)
    assert all(len(one.levels) == 40 for one in proposals[:-1])


@pytest.mark.parametrize("method", ["nsga2", "random"])
def test_a_large_space_is_sampled_without_repeating(method: str) -> None:
    """Within the levels, full generations, no design twice, though children often repeat."""
    made = make(method, space(*[16] * 3, names=1))
    proposals = walk(made, zdt1, 30)
    levels = np.vstack([one.levels for one in proposals])
    assert len(set(keys(levels))) == len(levels) == 30 * 40
    assert levels.min() == 0
    assert levels.max() == 15


@pytest.mark.parametrize("method", sorted(METHODS))
def test_designs_follow_from_seed_and_generation(method: str) -> None:
    """The same seed gives the same designs and parents, another seed others."""
    size = 12 if method == "tpe" else 40
    made = [make(method, space(*[8] * 6), seed, size) for seed in (1, 1, 2)]
    runs = [walk(each, zdt1, 3) for each in made]
    levels = [np.vstack([one.levels for one in run]) for run in runs]
    np.testing.assert_array_equal(levels[0], levels[1])
    assert [one.parents for one in runs[0]] == [one.parents for one in runs[1]]
    assert not np.array_equal(levels[0], levels[2])


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_proposer_is_a_function_of_the_log(method: str) -> None:
    """One that only observed goes on as the one that proposed, also within a generation."""
    parameters = space(*[8] * 6, names=2)
    size = 12 if method == "tpe" else 40
    whole = walk(make(method, parameters, batch_size=size), zdt1, 6)
    for cut in (0, size - 1) if method == "tpe" else (0, size // 3, size - 1):
        other = make(method, parameters, batch_size=size)
        for generation in range(4):
            one = whole[generation]
            other.observe(generation, one.parents, one.levels, *zdt1(one.levels))
        one = whole[4]
        head, rest = one.levels[:cut], one.levels[cut:]
        if cut:
            other.observe(4, one.parents, head, *zdt1(head))
        again = other.propose(4)
        np.testing.assert_array_equal(again.levels, rest)
        assert again.parents == one.parents
        other.observe(4, again.parents, again.levels, *zdt1(again.levels))
        np.testing.assert_array_equal(other.propose(5).levels, whole[5].levels)


def best(levels: np.ndarray) -> float:
    """The hypervolume of a run against the ideal and nadir of the true front."""
    objectives, margins = zdt1(levels)
    kept = to_maximise(objectives, SENSES)[np.all(margins >= 0.0, axis=1)]
    edge = np.zeros((14, 8), dtype=int)
    edge[:, 0] = np.arange(14)
    truth = to_maximise(zdt1(edge)[0], SENSES)
    return hypervolume(kept, truth.max(axis=0), truth.min(axis=0))


def test_nsga2_finds_more_than_chance() -> None:
    """At 800 of 16 ** 8 designs it holds most of the volume (0.66), random search next to none."""
    parameters = space(*[16] * 8)
    found = {
        method: [
            best(np.vstack([p.levels for p in walk(make(method, parameters, seed, 20), zdt1, 40)]))
            for seed in (1, 2)
        ]
        for method in ("nsga2", "random")
    }
    assert min(found["nsga2"]) > max(found["random"]) + 0.3


def test_nsga2_finds_its_way_to_what_is_feasible() -> None:
    """Where one design in 4,000 is feasible, the last generation mostly is."""

    def evaluate(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margins = np.column_stack([3.0 - levels.sum(axis=1), 1.0 - levels[:, 0]])
        return np.column_stack([1.0 + levels[:, 0], 1.0 + levels[:, 1]]), margins

    proposals = walk(make("nsga2", space(*[6] * 6)), evaluate, 12)
    shares = [np.all(evaluate(p.levels)[1] >= 0.0, axis=1).mean() for p in proposals]
    assert shares[0] < 0.05
    assert sum(share * 40 for share in shares) >= 25


def test_the_elite_is_the_constrained_non_dominated_sort() -> None:
    """Feasible ranks come first, then the least violation; the cut rank keeps its extremes."""
    from dse.search.breed import breed

    objectives = np.array(
        [[1.0, 9.0], [5.0, 5.1], [5.1, 5.2], [9.0, 9.9], [0.0, 99.0], [0.0, 99.0]]
    )
    margins = np.array([[0.1], [0.0], [0.2], [0.3], [-0.2], [-0.1]])
    levels = decode(np.arange(6), np.array([2, 3]))

    def elite(population: int) -> list[int]:
        return breed(
            sizes=[2, 3],
            ordered=[True, False],
            senses=("min", "min"),
            levels=levels,
            objectives=objectives,
            margins=margins,
            population=population,
            count=3,
            seed=1,
        )[1].tolist()

    assert elite(2) == [0, 1]
    assert elite(3) == [0, 1, 2]
    assert elite(4) == [0, 1, 2, 3]
    assert elite(5) == [0, 1, 2, 3, 5]


def test_breeding_respects_senses_and_leaves_logging_alone() -> None:
    """To maximise is the reverse of to minimise; Optuna's level of logging is restored."""
    from dse.search.breed import breed

    before = logging.getLogger("optuna").level
    objectives = np.array([[1.0], [2.0], [3.0]])
    found = {}
    for sense in ("max", "min"):
        found[sense] = breed(
            sizes=[3, 1],
            ordered=[True, True],
            senses=(sense,),
            levels=decode(np.arange(3), np.array([3, 1])),
            objectives=objectives,
            margins=np.zeros((3, 0)),
            population=2,
            count=5,
            seed=1,
        )
    assert found["max"][1].tolist() == [1, 2]
    assert found["min"][1].tolist() == [0, 1]
    assert found["max"][0].shape == (5, 2)
    assert np.all(found["max"][0][:, 1] == 0)
    assert logging.getLogger("optuna").level == before


def test_tpe_comes_nearer_to_the_front_than_chance() -> None:
    """The distance to the front grows with the mean of all but the first level, by chance 7.5."""
    made = make("tpe", space(*[16] * 4), batch_size=20)
    means = [one.levels[:, 1:].mean() for one in walk(made, zdt1, 5)]
    assert 6.5 < means[0] < 8.5
    assert means[-1] < 6.0


def test_qmc_covers_each_level_of_numbers_and_names_evenly() -> None:
    """The first 64 designs hold each of 8 levels 8 times, over two generations too."""
    made = make("qmc", space(*[8] * 4, names=1), batch_size=32)
    levels = np.vstack([one.levels for one in walk(made, zdt1, 2)])
    for column in levels.T:
        np.testing.assert_array_equal(np.bincount(column), [8] * 8)


CONDITIONAL = (
    *space(16, 16),
    Parameter(path="kind", levels=("a", "b"), ordered=False),
    # free where the kind is "b"; the last level stands for "not free"
    Parameter(path="rate", levels=(1, 2, 3, 0), needs=((2, frozenset({1})),)),
)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_conditional_parameters_are_drawn_where_they_are_free(method: str) -> None:
    """Elsewhere they stand at their last level, so that no design comes in two forms."""
    made = make(method, CONDITIONAL, batch_size=20)
    levels = np.vstack([one.levels for one in walk(made, zdt1, 4)])
    assert len(set(keys(levels))) == 80
    free = levels[:, 2] == 1
    assert set(levels[free, 3]) == {0, 1, 2}
    assert set(levels[~free, 3]) == {3}


@pytest.mark.parametrize("method", ["nsga2", "random"])
def test_initial_designs_come_first(method: str) -> None:
    """In order and without repetition, over as many generations as they need."""
    initial = decode(np.arange(100), np.array([8] * 4))
    made = proposer(
        method,
        space(*[8] * 4),
        SENSES,
        seed=1,
        batch_size=40,
        initial=np.vstack([initial[:1], initial]),
    )
    levels = np.vstack([p.levels for p in walk(made, flat, 4)])
    assert len(set(keys(levels))) == 160
    np.testing.assert_array_equal(levels[0], initial[0])
    assert set(keys(initial)) <= set(keys(levels[: 101 + 19]))


@pytest.mark.parametrize(
    "initial", [np.zeros((2, 3)), np.array([[0, 8, 0, 0]]), np.array([[0, -1, 0, 0]])]
)
def test_initial_designs_outside_of_the_space_are_refused(initial: np.ndarray) -> None:
    """Of another width, above or below the levels."""
    with pytest.raises(ValueError, match="initial"):
        proposer("random", space(*[8] * 4), SENSES, seed=1, batch_size=4, initial=initial)


def test_a_log_that_does_not_follow_is_refused() -> None:
    """A generation is missing, or its parents are not of the one before."""
    levels = decode(np.arange(40), np.array([8] * 4))
    made = make("nsga2", space(*[8] * 4))
    with pytest.raises(ValueError, match="generation 2"):
        made.observe(2, (), levels, *flat(levels))
    made.observe(0, (), levels, *flat(levels))
    with pytest.raises(ValueError, match=r"\[40\]"):
        made.observe(1, (3, 40), levels, *flat(levels))


def test_unknown_methods_are_refused() -> None:
    """With the nearest name; the method that proposes nothing is known as well."""
    with pytest.raises(UsageError, match="did you mean 'nsga2'"):
        check_method("nsga3")
    check_method("exact")
    check_method("nsga2")


def test_default_batch_sizes() -> None:
    """A short run still has many generations, a long one those of 200."""
    assert [default_batch_size("nsga2", n) for n in (10, 2000, 20000)] == [20, 50, 200]
    assert default_batch_size("tpe", 20000) == 50
