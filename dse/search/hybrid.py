"""The default method: gradient seeds, children of NSGA-II, and a sweep around the front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dse.search.gradient import Gradient, Guided
from dse.search.levels import spread
from dse.search.propose import Nsga2
from dse.search.unseen import Proposal, Proposer

SEEDED = 4
"""Of so many generations one begins with gradient seeds; so do the second and the third."""


class Hybrid(Guided, Nsga2):
    """Each generation: seeds when it is their turn, half of the rest neighbours, half children.

    The first generation is spread as that of NSGA-II. Without a relaxation there are no seeds, and
    neighbours are taken in random order.
    """

    part = 8

    def charge(self, generation: int) -> float:
        """What generations up to this one cost beside their designs, in evaluations."""
        seeded = sum(map(_seeded, range(1, generation + 1)))
        ranking = self.guide.ranking_cost(-(-self.batch_size // 2))
        return seeded * self.starts * self.guide.seed_cost + generation * ranking

    def _generate(self, generation: int) -> Proposal:
        random, given = self._random(generation), self._given(generation)
        missing = self.batch_size - len(given)
        if generation == 0 or not missing:
            return super()._generate(generation)
        count = min(self.starts, missing) if _seeded(generation) else 0
        seeds = self.guide.seeds(count, random) if count else given[:0]
        room = missing - len(seeds)
        beside = self.guide.neighbours(room - room // 2, self._seen, random)
        left = room - len(beside)
        if len(self._pool) < self.population:
            new, parents = spread(left, self.choices, random), tuple(self._pool)
        else:
            new, parents = self._bred(generation, left)
        wanted = np.vstack([given, seeds, beside, new])
        return Proposal(levels=self._filled(wanted, random), parents=parents)


def _seeded(generation: int) -> bool:
    return generation in (1, 2) or generation % SEEDED == 0


def guided(method: str) -> Callable[..., Proposer]:
    """The proposer of a method that follows gradients."""
    return Gradient if method == "gradient" else Hybrid
