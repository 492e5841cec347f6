"""Whether what a problem evaluates fits what it declared."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from dse.errors import RunError
from dse.search.protocol import Evaluations, Problem


def checked(problem: Problem, levels: np.ndarray, found: Evaluations) -> Evaluations:
    """The evaluations of [n, p] designs; raises RunError that names what does not fit."""
    _check_table(problem, levels, "objective", problem.objectives, found.objectives)
    _check_table(problem, levels, "margin of", problem.rules, found.margins)
    return found if len(found.mapping) else attrs.evolve(found, mapping=[{} for _ in levels])


def _check_table(
    problem: Problem, levels: np.ndarray, kind: str, names: Sequence[str], table: np.ndarray
) -> None:
    expected = (len(levels), len(names))
    if np.shape(table) != expected:
        raise RunError(f"{problem.name}: {kind} table has shape {np.shape(table)}, not {expected}")
    faults = np.argwhere(~np.isfinite(table))
    if len(faults):
        row, column = faults[0]
        design = {
            parameter.path: parameter.levels[level]
            for parameter, level in zip(problem.parameters, levels[row], strict=True)
        }
        value = table[row, column]
        raise RunError(f"{problem.name}: {kind} {names[column]!r} is {value} for {design}")
