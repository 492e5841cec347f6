"""Pareto fronts: which designs are not dominated, how large a front is, and where it bends.

All values here are to be maximised; `to_maximise` turns an objective that is to be minimised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

REFERENCE = 1.1
"""The reference point of the hypervolume, where the ideal is 0 and the nadir is 1."""


def to_maximise(objectives: np.ndarray, senses: Sequence[str]) -> np.ndarray:
    """[n, k] objectives with those whose sense is "min" negated."""
    signs = np.array([-1.0 if sense == "min" else 1.0 for sense in senses])
    return np.asarray(np.asarray(objectives, dtype=float) * signs)


def non_dominated(values: np.ndarray, feasible: np.ndarray | None = None) -> np.ndarray:
    """Marks [n] the rows of `values` [n, k] that no other feasible row dominates.

    Of rows with equal values the first is kept. Infeasible rows neither count nor dominate.
    """
    values = np.asarray(values, dtype=float)
    chosen = np.arange(len(values)) if feasible is None else np.flatnonzero(feasible)
    mask = np.zeros(len(values), dtype=bool)
    mask[chosen[_front(values[chosen])]] = True
    return mask


def _front(values: np.ndarray) -> np.ndarray:
    """The indices of the front among [n, k] values, all feasible."""
    count, width = values.shape
    if count == 0:
        return np.zeros(0, dtype=int)
    if width == 1:
        return np.array([np.argmax(values[:, 0])])
    if width == 2:
        return _front_of_two(values)
    import moocore

    return np.flatnonzero(moocore.is_nondominated(values, maximise=True))


def _front_of_two(values: np.ndarray) -> np.ndarray:
    """Sorted by the first objective, a row stays if it raises the best second one so far."""
    order = np.lexsort((-values[:, 1], -values[:, 0]))
    second = values[order, 1]
    before = np.concatenate(([-np.inf], np.maximum.accumulate(second)[:-1]))
    return np.asarray(order[second > before])


def normalise(
    values: np.ndarray, ideal: np.ndarray | None = None, nadir: np.ndarray | None = None
) -> np.ndarray:
    """[n, k] values to be minimised instead, with the ideal at 0 and the nadir at 1.

    Ideal and nadir [k] default to the best and worst of each column. A column that has one sign
    throughout is measured by its logarithm, so that a factor counts the same anywhere on the
    front; one that has zeros or both signs is measured as it is. A column whose ideal equals its
    nadir has no width and is left unscaled.
    """
    values = np.atleast_2d(np.asarray(values, dtype=float))
    best = values.max(axis=0) if ideal is None else np.asarray(ideal, dtype=float)
    worst = values.min(axis=0) if nadir is None else np.asarray(nadir, dtype=float)
    scaled = _logarithmic(np.vstack([best, worst, values]))
    width = scaled[0] - scaled[1]
    return np.asarray((scaled[0] - scaled[2:]) / np.where(width > 0.0, width, 1.0))


def _logarithmic(values: np.ndarray) -> np.ndarray:
    """The increasing logarithm of each column that has one sign: log v, or -log -v."""
    positive, negative = np.all(values > 0.0, axis=0), np.all(values < 0.0, axis=0)
    size = np.log(np.where(positive | negative, np.abs(values), 1.0))
    return np.where(positive, size, np.where(negative, -size, values))


def hypervolume(
    values: np.ndarray, ideal: np.ndarray | None = None, nadir: np.ndarray | None = None
) -> float:
    """The normalised volume that `values` [n, k] dominate, up to 1.1 ** k.

    Two fronts are comparable only when both are given the same ideal and nadir.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 0:
        return 0.0
    import moocore

    return float(moocore.hypervolume(normalise(values, ideal, nadir), ref=REFERENCE))


class Archive:
    """The non-dominated set of all batches seen so far, in the memory of that set alone."""

    def __init__(self, width: int) -> None:
        self.values = np.zeros((0, width))
        self.ids = np.zeros(0, dtype=int)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, values: np.ndarray, ids: np.ndarray, feasible: np.ndarray | None = None) -> None:
        """Takes [n, k] values with [n] ids; of equal values the earliest added stays."""
        chosen = slice(None) if feasible is None else np.asarray(feasible, dtype=bool)
        pool = np.vstack([self.values, np.asarray(values, dtype=float)[chosen]])
        names = np.concatenate([self.ids, np.asarray(ids, dtype=int)[chosen]])
        kept = np.sort(_front(pool))
        self.values, self.ids = pool[kept], names[kept]

    def hypervolume(self) -> float:
        """The volume against this front's own ideal and nadir: it may fall as the front grows."""
        return hypervolume(self.values)
