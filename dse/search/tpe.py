"""One generation of Optuna's TPE, asked of a study in memory that holds all designs so far.

As with `dse.search.breed` a fresh study is made for each generation, so the designs follow from
the log and the seed. This module imports Optuna: import it lazily.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial

from dse.search.breed import DIRECTIONS, quiet
from dse.search.protocol import Parameter


def sample(
    *,
    parameters: Sequence[Parameter],
    order: Sequence[int],
    senses: Sequence[str],
    levels: np.ndarray,
    objectives: np.ndarray,
    margins: np.ndarray,
    count: int,
    seed: int,
) -> np.ndarray:
    """[count, p] designs by the tree-structured Parzen estimator (Bergstra et al., 2011).

    The study has `levels` [n, p], `objectives` [n, k] in the sense of `senses`, and `margins`
    [n, c] (negative: violated). A parameter is asked for where its needs are met, in `order`, which
    puts those that others rest on first; elsewhere it stands at its last level. Designs may repeat
    one another and the study's.
    """
    with quiet():
        # what came before is start enough; each parameter by itself, as Optuna does by default for
        # several objectives: it needs nothing more where some parameters are not free
        sampler = TPESampler(seed=seed, n_startup_trials=1, multivariate=False)
        directions = [DIRECTIONS[sense] for sense in senses]
        study = optuna.create_study(sampler=sampler, directions=directions)
        study.add_trials(_finished(parameters, levels, objectives, margins))
        return np.array([_asked(study.ask(), parameters, order) for _ in range(count)], dtype=int)


def _distribution(parameter: Parameter) -> BaseDistribution:
    size = len(parameter.levels) - bool(parameter.needs)
    if parameter.ordered:
        return IntDistribution(0, size - 1)
    return CategoricalDistribution(tuple(range(size)))


def _finished(
    parameters: Sequence[Parameter],
    levels: np.ndarray,
    objectives: np.ndarray,
    margins: np.ndarray,
) -> Iterator[FrozenTrial]:
    """The log as finished trials; Optuna calls a constraint met at 0 or below."""
    distributions = {str(i): _distribution(p) for i, p in enumerate(parameters)}
    rows = zip(levels.tolist(), objectives.tolist(), (-margins).tolist(), strict=True)
    for row, values, violations in rows:
        free = [
            str(index)
            for index, (parameter, level) in enumerate(zip(parameters, row, strict=True))
            if not parameter.needs or level < len(parameter.levels) - 1
        ]
        yield optuna.trial.create_trial(
            params={name: row[int(name)] for name in free},
            distributions={name: distributions[name] for name in free},
            values=values,
            constraints={str(rule): value for rule, value in enumerate(violations)},
        )


def _asked(trial: Trial, parameters: Sequence[Parameter], order: Sequence[int]) -> list[int]:
    row = [len(parameter.levels) - 1 for parameter in parameters]
    for index in order:
        parameter = parameters[index]
        if all(row[other] in allowed for other, allowed in parameter.needs):
            row[index] = int(trial._suggest(str(index), _distribution(parameter)))
    return row
