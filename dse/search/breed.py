"""One generation of Optuna's NSGA-II, bred from a pool of evaluated designs.

A study that grows is rescanned for every trial it is asked for. Here each generation is a fresh
study in memory that holds the pool alone, so the price of a design does not grow with the run and
the children follow from the pool and the seed. This module imports Optuna: import it lazily.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import NSGAIISampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}


class _PoolSampler(NSGAIISampler):
    """NSGA-II whose first generation is whatever the study holds when it is asked."""

    def __init__(self, distributions: dict[str, BaseDistribution], size: int, seed: int) -> None:
        super().__init__(population_size=size, seed=seed)
        self._distributions = distributions
        self._elite: list[FrozenTrial] = []

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._distributions

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        return 1

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        if generation == 0:
            return []
        if not self._elite:
            self._elite = self.select_parent(study, generation)
        return self._elite


def breed(
    *,
    sizes: Sequence[int],
    ordered: Sequence[bool],
    senses: Sequence[str],
    levels: np.ndarray,
    objectives: np.ndarray,
    margins: np.ndarray,
    population: int,
    count: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Children [count, p] and the elite: the rows of the pool that were taken as parents.

    The pool has `levels` [n, p] (indices below `sizes` [p]), `objectives` [n, k] in the sense of
    `senses`, and `margins` [n, c] (negative: violated). The elite is the best `population` rows by
    Optuna's constrained non-dominated sort, the last rank cut by crowding. Children may repeat one
    another and the pool. The pool needs two rows at least; `seed` is below 2 ** 32.
    """
    distributions = _distributions(sizes, ordered)
    sampler = _PoolSampler(distributions, min(population, len(levels)), seed)
    directions = [DIRECTIONS[sense] for sense in senses]
    with quiet():
        study = optuna.create_study(sampler=sampler, directions=directions)
        study.add_trials(_finished(distributions, levels, objectives, margins))
        elite = sorted(trial.number for trial in sampler.get_parent_population(study, 1))
        children = [_row(study.ask(distributions), len(sizes)) for _ in range(count)]
    return np.array(children, dtype=int).reshape(count, len(sizes)), np.array(elite, dtype=int)


def _distributions(sizes: Sequence[int], ordered: Sequence[bool]) -> dict[str, BaseDistribution]:
    """The free parameters by their position; one with a single level is not for Optuna."""
    return {
        str(position): IntDistribution(0, size - 1)
        if ordered[position]
        else CategoricalDistribution(tuple(range(size)))
        for position, size in enumerate(sizes)
        if size > 1
    }


def _finished(
    distributions: dict[str, BaseDistribution],
    levels: np.ndarray,
    objectives: np.ndarray,
    margins: np.ndarray,
) -> Iterator[FrozenTrial]:
    """The pool as finished trials; Optuna calls a constraint met at 0 or below."""
    rows = zip(levels.tolist(), objectives.tolist(), (-margins).tolist(), strict=True)
    for row, values, violations in rows:
        yield optuna.trial.create_trial(
            params={name: row[int(name)] for name in distributions},
            distributions=distributions,
            values=values,
            constraints={str(rule): value for rule, value in enumerate(violations)},
        )


def _row(trial: Trial, width: int) -> list[Any]:
    params = trial.params
    return [params.get(str(position), 0) for position in range(width)]


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna's level of logging is one for the process: lowered here, restored after."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
