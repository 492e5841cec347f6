"""Errors of values that a fit has not seen: rows, sources or compute-die families left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

import numpy as np

from dse.evidence.calibrate import Problem
from dse.evidence.prediction import Row

FOLDS = 5


def left_out(problem: Problem, part: Callable[[Row], Hashable]) -> np.ndarray:
    """[n] errors of each value by the fit that has not seen any of the same `part`."""
    labels = [part(row) for row in problem.rows]
    errors = np.full(len(labels), np.nan)
    for label in dict.fromkeys(labels):
        away = np.array([each == label for each in labels])
        point = problem.solve(~away)
        errors[away] = problem.errors(point)[away]
    return errors


def folds(problem: Problem, number: int = FOLDS) -> np.ndarray:
    """[n] errors out of fold: rows, dealt one by one in the order of their sources and systems, are
    left out in turn, all values of a row together."""
    order = sorted({(row.source, row.system, row.id) for row in problem.rows})
    fold = {key: place % number for place, key in enumerate(order)}
    return left_out(problem, lambda row: fold[row.source, row.system, row.id])


def sources_out(problem: Problem, number: int = FOLDS) -> np.ndarray:
    """[n] errors of each value where whole groups of one source and system are left out in turn.

    Groups go to the fold with the fewest values so far; fewer groups than folds make fewer folds.
    """
    groups = Counter((row.source, row.system) for row in problem.rows)
    sizes = [0] * number
    fold: dict[Hashable, int] = {}
    for group, size in sorted(groups.items(), key=lambda item: (-item[1], item[0])):
        fold[group] = int(np.argmin(sizes))
        sizes[fold[group]] += size
    return left_out(problem, lambda row: fold[row.source, row.system])


def families_out(problem: Problem) -> np.ndarray:
    """[n] errors of each value by the fit that has seen no chip of its compute-die family."""
    return left_out(problem, lambda row: row.family)
