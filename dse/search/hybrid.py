"""The default method: gradient seeds, children of NSGA-II, and a sweep around the front.

Generations are small at first, when each tells much, and grow. Of each, once seeds are placed,
three tenths are children of NSGA-II, and the others those unseen neighbours of the front and
variations of the best designs of which a regression on the log expects most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dse.search.foresight import Foresight
from dse.search.gradient import Gradient, Guided
from dse.search.levels import keys, spread
from dse.search.propose import Nsga2
from dse.search.protocol import Parameter
from dse.search.unseen import Proposal, Proposer

SMALLEST = 30
"""Designs of the first generation."""

GROWTH = 1.05
"""How much larger than the one before a generation is, until it has the size of a batch."""

POPULATION = 20
"""Parents of a generation, at least: more than are left of a generation for children."""

SEEDED = 4
"""Of so many generations one begins with gradient seeds."""

CHILDREN = 0.3
"""The share of children of NSGA-II: they go where nothing is expected."""


class Hybrid(Guided, Nsga2):
    """Each generation: seeds when it is their turn, then three tenths children, then the expected.

    The first generation is spread as that of NSGA-II. Without a relaxation there are no seeds.
    """

    part = 8

    def __init__(
        self, parameters: Sequence[Parameter], senses: Sequence[str], **options: Any
    ) -> None:
        super().__init__(parameters, senses, **options)
        self.population = POPULATION
        self.foresight = Foresight(parameters, senses)

    def size(self, generation: int) -> int:
        """Designs of a generation: few at first."""
        # beyond the exponent a float has no more
        return min(self.batch_size, int(SMALLEST * GROWTH ** min(generation, 200)))

    def charge(self, generation: int) -> float:
        """What generations up to this one cost beside their designs, in evaluations."""
        seeded = sum(self.starts(each) for each in range(1, generation + 1))
        return seeded * self.guide.seed_cost

    def starts(self, generation: int) -> int:
        """Seeds of a generation."""
        turn = generation and generation % SEEDED == 0
        return super().starts(generation) if turn else 0

    def _generate(self, generation: int) -> Proposal:
        random, given = self._random(generation), self._given(generation)
        missing = self.size(generation) - len(given)
        if generation == 0 or not missing:
            return super()._generate(generation)
        seeds = self.guide.seeds(min(self.starts(generation), missing), random)
        room = missing - len(seeds)
        share = round(CHILDREN * room)
        if len(self._pool) < self.population:
            children, parents = spread(share, self.choices, random), tuple(self._pool)
        else:
            children, parents = self._bred(generation, share)
        taken = np.vstack([given, seeds, children])
        known = self.guide.known()
        front = known.front(self.senses)
        seen = self._seen | set(keys(taken))
        beside, _ = self.guide.around(known.levels[front], seen)
        new = self.foresight.chosen(room - share, known, front, beside, seen, random)
        wanted = np.vstack([given, seeds, new, children])
        return Proposal(levels=self._filled(wanted, random, generation), parents=parents)


def guided(method: str) -> Callable[..., Proposer]:
    """The proposer of a method that follows gradients."""
    return Gradient if method == "gradient" else Hybrid
