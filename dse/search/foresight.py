"""Which unseen designs a regression on the log expects to widen the front.

Candidates are all neighbours of the front and many variations of the best designs so far; none of
them costs an evaluation before it is chosen. What is uncertain is taken for better than expected,
so that a search also goes where it knows little (Srinivas et al., ICML 2010).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.search.front import non_dominated, to_maximise
from dse.search.known import Known, merits, promising
from dse.search.levels import keys
from dse.search.protocol import Parameter
from dse.search.regression import Coding, fitted
from dse.search.space import Space

LARGEST = 500
"""Designs of a regression at most: two thirds the best so far, the others by chance."""

PARENTS = 40
"""Designs beside the front from which variations are made."""

VARIATIONS = 20
"""Variations among which to choose each design."""

HOPE = 1.0
"""Standard deviations by which a design is taken for better than expected."""

SLACK = 0.02
"""A violation below this does not count: it is not known so precisely."""


class Foresight:
    """Chooses designs of a space by what is known of others."""

    def __init__(self, parameters: Sequence[Parameter], senses: Sequence[str]) -> None:
        self.designs = Space(parameters)
        self.senses = tuple(senses)
        self.coding = Coding(parameters)
        self.ordered = np.array([parameter.ordered for parameter in parameters])
        self.choices = self.designs.sizes - np.array([bool(p.needs) for p in parameters])

    def chosen(
        self,
        count: int,
        known: Known,
        front: np.ndarray,
        beside: np.ndarray,
        seen: set[bytes],
        random: np.random.Generator,
    ) -> np.ndarray:
        """At most `count` unseen designs [m, p], the most promising first.

        `front` are the rows of `known` that stand on it, `beside` [n, p] designs to consider.
        """
        best = self._best(known, 2 * LARGEST // 3, front)
        others = np.setdiff1d(np.arange(len(known.levels)), best)
        rows = np.concatenate([best, random.permutation(others)[: LARGEST - len(best)]])
        parents = known.levels[np.concatenate([front, best[:PARENTS]])]
        candidates = self._unseen(
            np.vstack([beside, self._variations(VARIATIONS * count, parents, random)]), seen
        )
        if count < 1 or not len(candidates):
            return candidates[:0]
        values, short = self._hoped(known, rows, candidates, random)
        value, _ = merits(known.objectives, self.senses)
        return candidates[promising(values, short, value[front], count)]

    def _best(self, known: Known, count: int, front: np.ndarray) -> np.ndarray:
        """Rows of the first fronts, the later without the earlier ones, up to `count`."""
        values = to_maximise(known.objectives, self.senses)
        left = np.all(known.margins >= 0.0, axis=1)
        if not left.any():
            return front
        found: list[int] = []
        while left.any() and len(found) < count:
            rank = np.flatnonzero(non_dominated(values, left))
            found += rank.tolist()
            left[rank] = False
        return np.array(found[:count])

    def _variations(
        self, count: int, parents: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """[count, p] mixtures of two parents, some two of their parameters changed."""
        one, other = parents[random.integers(len(parents), size=(2, count))]
        share = random.choice([0.0, 0.3, 0.5], size=(count, 1))
        made = np.where(random.random(one.shape) < share, other, one)
        number = random.integers(0, 3, size=(count, 1))
        changed = random.random(made.shape) < number / made.shape[1]
        step = np.clip(made + random.choice([-1, 1], size=made.shape), 0, self.choices - 1)
        drawn = random.integers(0, self.choices, size=made.shape)
        near = self.ordered & (random.random(made.shape) < 0.5)
        return np.where(changed, np.where(near, step, drawn), made)

    def _unseen(self, levels: np.ndarray, seen: set[bytes]) -> np.ndarray:
        """The designs that are not in `seen`, each once."""
        rows = self.designs.canonical(levels)
        first: dict[bytes, int] = {}
        for place, key in enumerate(keys(rows)):
            if key not in seen:
                first.setdefault(key, place)
        return rows[list(first.values())]

    def _hoped(
        self,
        known: Known,
        rows: np.ndarray,
        candidates: np.ndarray,
        random: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Merits [n, k] that candidates may have, and by how much [n] they may break rules."""
        value, _ = merits(known.objectives, self.senses)
        # how bad the worst are says nothing of the front
        value = np.maximum(value, np.quantile(value, 0.1, axis=0))[rows]
        short = np.clip(np.minimum(known.margins[rows], 0.0).sum(axis=1), -1.0, 0.0)
        table = np.column_stack([value, short])
        model = fitted(self.coding, known.levels[rows], table, random)
        mean, unknown = model.predicted(self.coding.points(candidates))
        hoped = mean + HOPE * unknown
        violated = np.minimum(mean[:, -1] + 0.5 * HOPE * unknown[:, -1] + SLACK, 0.0)
        return hoped[:, :-1], violated
