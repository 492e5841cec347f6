"""One generation of Optuna's NSGA-II, bred from a pool of evaluated designs.

A study that grows is rescanned for every trial it is asked for. Here each generation is bred by a
fresh sampler from the pool alone, so the price of a design does not grow with the run and the
children follow from the pool and the seed. This module imports Optuna: import it lazily.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import NSGAIISampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}


class _PoolSampler(NSGAIISampler):
    """NSGA-II that breeds from the pool given, without a storage between.

    To store a trial and ask for one takes several times as long as to breed it.
    """

    def __init__(
        self,
        distributions: dict[str, BaseDistribution],
        pool: list[FrozenTrial],
        size: int,
        seed: int,
    ) -> None:
        super().__init__(population_size=size, seed=seed)
        self._distributions = distributions
        self._bred_from = pool
        self._elite: list[FrozenTrial] = []

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        return 1

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return self._bred_from

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        if generation == 0:
            return []
        if not self._elite:
            self._elite = self.select_parent(study, generation)
        return self._elite

    def child(self, study: Study, width: int) -> list[int]:
        """The levels [width] of the next child, as a trial asked of the study would have them."""
        any_trial = self._bred_from[0]
        drawn = self.sample_relative(study, any_trial, self._distributions)
        for name, distribution in self._distributions.items():
            if name not in drawn:
                drawn[name] = self.sample_independent(study, any_trial, name, distribution)
        return [int(drawn.get(str(position), 0)) for position in range(width)]


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
    pool = list(_finished(distributions, levels, objectives, margins))
    sampler = _PoolSampler(distributions, pool, min(population, len(levels)), seed)
    directions = [DIRECTIONS[sense] for sense in senses]
    with quiet():
        study = optuna.create_study(sampler=sampler, directions=directions)
        elite = sorted(trial.number for trial in sampler.get_parent_population(study, 1))
        children = [sampler.child(study, len(sizes)) for _ in range(count)]
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
    for number, (row, values, violations) in enumerate(rows):
        yield finished(
            number=number,
            params={name: row[int(name)] for name in distributions},
            distributions=distributions,
            values=values,
            constraints={str(rule): value for rule, value in enumerate(violations)},
        )


def finished(
    *,
    params: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    values: Sequence[float],
    constraints: Mapping[str, float],
    attributes: dict[str, Any] | None = None,
    number: int = -1,
) -> FrozenTrial:
    """As Optuna's create_trial, which first converts distributions of its older versions: that
    took a quarter of a run's time. Whoever adds a trial to a study validates it.
    """
    now = datetime.now()
    trial = FrozenTrial(
        number=number,
        trial_id=-1,
        state=TrialState.COMPLETE,
        value=None,
        values=values,
        datetime_start=now,
        datetime_complete=now,
        params=params,
        distributions=distributions,
        user_attrs=attributes or {},
        system_attrs={},
        intermediate_values={},
    )
    for name, value in constraints.items():
        trial.set_constraint(name, value)
    return trial


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna's level of logging is one for the process: lowered here, restored after."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
