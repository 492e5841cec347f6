"""What a search knows: designs evaluated, what each is worth, and which others promise more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from dse.search.front import non_dominated, to_maximise

PENALTY = 10.0
"""What a violation costs beside merits, in widths of the front."""


@attrs.frozen(kw_only=True, eq=False)
class Known:
    """Evaluated designs: levels [n, p], objectives [n, k], margins [n, c], n mappings."""

    levels: np.ndarray
    objectives: np.ndarray
    margins: np.ndarray
    mappings: list[Mapping[str, Any]]

    def front(self, senses: Sequence[str]) -> np.ndarray:
        """The indices of the feasible non-dominated; of the least violating where none is."""
        feasible = np.all(self.margins >= 0.0, axis=1)
        if not feasible.any():
            worst = np.minimum(self.margins, 0.0).sum(axis=1)
            return np.argsort(-worst, kind="stable")[:4]
        return np.flatnonzero(non_dominated(to_maximise(self.objectives, senses), feasible))


def merits(
    objectives: np.ndarray, senses: Sequence[str], logarithmic: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """[n, k] objectives to be maximised, on a log scale where that is given or all are positive.

    And [k] whether it is.
    """
    objectives = np.asarray(objectives, dtype=float)
    scale = np.asarray((objectives > 0.0).all(axis=0) if logarithmic is None else logarithmic)
    sizes = np.log(np.maximum(np.where(scale, objectives, 1.0), 1e-30))
    return to_maximise(np.where(scale, sizes, objectives), senses), scale


def promising(
    offered: np.ndarray, violated: np.ndarray, front: np.ndarray, count: int
) -> np.ndarray:
    """Rows of merits [n, k] that stand farthest beyond a front [m, k] and those taken before.

    The most promising first, `count` at most; `violated` [n] is by how much each breaks rules,
    0 or less.
    """
    span = np.maximum(front.max(axis=0) - front.min(axis=0), 1e-9)
    gain = np.full(len(offered), np.inf)
    for one in front:
        gain = np.minimum(gain, ((offered - one) / span).max(axis=1))
    taken: list[int] = []
    for _ in range(min(count, len(offered))):
        score = gain + PENALTY * violated
        score[taken] = -np.inf
        taken.append(int(np.argmax(score)))
        gain = np.minimum(gain, ((offered - offered[taken[-1]]) / span).max(axis=1))
    return np.array(taken, dtype=int)
