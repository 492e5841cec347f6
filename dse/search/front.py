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


def knee(values: np.ndarray) -> int | None:
    """The row of a front [n, k] farthest beyond the plane through its best in each objective.

    In normalised objectives (see `normalise`) the plane is where they sum to what they sum to at
    the ends; with two objectives it is the chord (Das, Structural Optimization 18, 1999). None for
    fewer than three rows, and where no row stands beyond it.
    """
    if len(values) < 3 or values.shape[1] < 2:
        return None
    scaled = normalise(values)
    ends = scaled[scaled.argmin(axis=0)].sum(axis=1).min()
    depth = ends - scaled.sum(axis=1)
    best = int(np.argmax(depth))
    return best if depth[best] > 1e-9 else None


FINEST = 1 << 12
"""Boxes along an objective at most: finer ones tell nothing apart that a reader would."""


def thinned(values: np.ndarray, number: int) -> np.ndarray:
    """At most `number` rows of a front [n, k] that stand for all of it, as sorted indices.

    Objectives are cut into equal boxes on their logarithmic scale (see `normalise`), as fine as
    leaves no more than `number` that no better box dominates; of each the row nearest to its best
    corner stays. That is an approximation of the front to within a box (Laumanns et al., Evol.
    Comp. 10, 2002). The best row in each objective and the knee stay whatever their box.
    """
    if len(values) <= number:
        return np.arange(len(values))
    scaled, bend = normalise(values), knee(values)
    always = [*scaled.argmin(axis=0).tolist(), *([] if bend is None else [bend])]
    coarse, fine = 1, FINEST
    kept = np.array(list(dict.fromkeys(always))[:number])
    while coarse <= fine:
        middle = (coarse + fine) // 2
        tried = np.union1d(_boxes(scaled, middle), always)
        if len(tried) <= number:
            kept, coarse = tried, middle + 1
        else:
            fine = middle - 1
    return np.sort(kept)


def _boxes(scaled: np.ndarray, number: int) -> np.ndarray:
    """One row of each box, of `number` along an objective, that no other box dominates."""
    order = np.argsort(scaled.sum(axis=1), kind="stable")
    boxes = np.floor(scaled[order] * number)
    return np.asarray(order[non_dominated(-boxes)])


def distance(values: np.ndarray, one: np.ndarray) -> float:
    """How far `one` [k] stands inside a front [n, k], as a share: 0.07 is 7 % inside.

    The least factor, less one, by which all its objectives must improve to reach the front: the
    multiplicative epsilon indicator (Zitzler et al., IEEE Trans. Evol. Comp. 7, 2003). Negative
    where it stands beyond; nan for an empty front and where an objective has no logarithm.
    """
    rows = np.vstack([np.asarray(one, dtype=float)[None, :], values])
    signed = np.all(rows > 0.0, axis=0) | np.all(rows < 0.0, axis=0)
    if len(values) == 0 or not np.all(signed) or not np.all(np.isfinite(rows)):
        return float("nan")
    scaled = _logarithmic(rows)
    return float(np.expm1((scaled[1:] - scaled[0]).min(axis=1).max()))


def reached_by(
    designs: Sequence[Sequence[object]],
    values: np.ndarray,
    design: Sequence[object],
    one: np.ndarray,
) -> int | None:
    """The row of a front nearest to `design` of those at least as good as `one` [k] throughout.

    `designs` are n rows of parameter values; the nearest changes fewest. None if no row is as good.
    """
    better = np.flatnonzero(np.all(values >= one, axis=1))
    if not len(better):
        return None
    changed = [sum(a != b for a, b in zip(designs[int(i)], design, strict=True)) for i in better]
    return int(better[int(np.argmin(changed))])


def joining_price(values: np.ndarray, one: np.ndarray, money: np.ndarray) -> float:
    """The factor on its costs below which `one` [k] would join a front [n, k].

    `money` [k] marks objectives in proportion to costs (negative values) or to their inverse
    (positive values); both improve by the same factor as costs fall. 1 where it stands on the front
    or beyond; nan where no price helps, and where an objective has no logarithm.
    """
    beaten = values[np.all(values[:, ~money] >= one[~money], axis=1)]
    if not len(beaten):
        return 1.0
    if not money.any():
        return float("nan")
    inside = distance(beaten[:, money], one[money])
    return float(1.0 / (1.0 + max(inside, 0.0)))
