"""Designs that gradients lead to, and the neighbours of the best ones.

A `Guide` knows what was evaluated before a generation began. It sends ascents over the relaxation
with many aims at once (weighted sums and epsilon-constraints), brings their ends back to levels,
repairs them there, and ranks the unseen neighbours of the front. All follows from the log and the
seed, so that a resumed run proposes what an unbroken one would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs
import numpy as np

from dse.search.ascent import Aim, Axes, Relaxation, ascend, ascent_cost
from dse.search.known import PENALTY, Known, merits, promising
from dse.search.levels import keys
from dse.search.protocol import Evaluations, Parameter
from dse.search.space import Space
from dse.search.unseen import Proposal, Proposer

STARTS = 8
"""Ascents of a generation at most."""

REPAIRS = 3
"""Moves of one level by which a rounded design is repaired or improved, its mapping held."""

CHEAP = 0.1
"""A held design that costs more is not used to rank candidates."""

CANDIDATES = 4
"""Neighbours that are ranked for each that is wanted."""


class Guide:
    """Where to go from what is known; `relaxation` is None for a problem that has no slopes."""

    def __init__(
        self,
        parameters: Sequence[Parameter],
        senses: Sequence[str],
        relaxation: Relaxation | None,
    ) -> None:
        self.parameters = tuple(parameters)
        self.senses = tuple(senses)
        self.designs = Space(parameters)
        self.relaxation = relaxation
        self.axes = None if relaxation is None else Axes(parameters, relaxation.continuous)
        self._known: list[Known] = []
        self._fresh: list[Known] = []

    def remember(self, levels: np.ndarray, found: Evaluations) -> None:
        """Takes a batch of the current generation."""
        made = Known(
            levels=levels,
            objectives=found.objectives,
            margins=found.margins,
            mappings=list(found.mapping) or [{} for _ in levels],
        )
        self._fresh.append(made)

    def retire(self) -> None:
        """The current generation is complete, and known from now on."""
        self._known += self._fresh
        self._fresh = []

    def known(self) -> Known:
        """All that was evaluated before the current generation."""
        parts = self._known
        return Known(
            levels=np.concatenate([part.levels for part in parts]),
            objectives=np.concatenate([part.objectives for part in parts]),
            margins=np.concatenate([part.margins for part in parts]),
            mappings=[one for part in parts for one in part.mappings],
        )

    @property
    def seed_cost(self) -> float:
        """What one seed costs before it is evaluated, in evaluations."""
        if self.relaxation is None:
            return 0.0
        moves = 2 * int(self.relaxation.continuous.sum()) + 1
        cheap = self.relaxation.value_cost <= CHEAP
        settling = (REPAIRS + 1) * moves * self.relaxation.value_cost if cheap else 0.0
        return ascent_cost(self.relaxation) + settling

    def ranking_cost(self, count: int) -> float:
        """What ranking for so many neighbours of a front costs at most, in evaluations."""
        cheap = self.relaxation is not None and self.relaxation.value_cost <= CHEAP
        return CANDIDATES * count * self.relaxation.value_cost if cheap and self.relaxation else 0.0

    def seeds(self, count: int, random: np.random.Generator) -> np.ndarray:
        """[count, p] levels where ascents with different aims end, rounded and repaired."""
        if self.relaxation is None or self.axes is None or not count:
            return np.zeros((0, len(self.parameters)), np.int64)
        known = self.known()
        aim = self._aims(known, count, random)
        start = self._starts(known, aim, random).astype(float)
        ends, mappings = ascend(self.relaxation, self.axes, start, aim)
        return self._settled(ends, mappings, aim)

    def _aims(self, known: Known, count: int, random: np.random.Generator) -> Aim:
        """Half of the aims are weighted sums, half one objective with floors to the others."""
        front = known.objectives[known.front(self.senses)]
        width = front.shape[1]
        measure = Aim(
            weights=np.zeros((1, width)),
            floors=np.zeros((1, width)),
            width=np.ones(width),
            signs=np.array([-1.0 if sense == "min" else 1.0 for sense in self.senses]),
            logarithmic=np.all(known.objectives > 0.0, axis=0),
        )
        merits = measure.merits(front)
        spans = np.maximum(merits.max(axis=0) - merits.min(axis=0), 0.2)
        weights = random.dirichlet(np.ones(width), size=count)
        floors = np.full((count, width), -np.inf)
        for row in range(0, count if width > 1 else 0, 2):
            one = int(random.integers(width))
            share = random.uniform(-0.1, 0.9, size=width)
            floors[row] = (merits.min(axis=0) + share * spans) / spans
            floors[row, one] = -np.inf
            weights[row] = np.where(np.arange(width) == one, 1.0, 0.02)
        return attrs.evolve(measure, weights=weights, floors=floors, width=spans)

    def _starts(self, known: Known, aim: Aim, random: np.random.Generator) -> np.ndarray:
        """The best known design for each aim; every other one with names drawn anew."""
        count = len(aim.weights)
        scores = np.stack(
            [
                aim.of(np.full(len(known.levels), row)).score(
                    known.objectives, known.margins, PENALTY
                )
                for row in range(count)
            ]
        )
        start = known.levels[scores.argmax(axis=1)].copy()
        drawn = random.integers(0, self.designs.sizes, size=start.shape)
        names = ~self.relaxation.continuous if self.relaxation is not None else np.array([])
        other = (np.arange(count) % 4 == 3)[:, None] & names
        return self.designs.canonical(np.where(other, drawn, start))

    def _settled(self, ends: np.ndarray, mappings: list[dict[str, Any]], aim: Aim) -> np.ndarray:
        """Ends rounded to levels, then moved a level at a time to where the aim is met best."""
        assert self.relaxation is not None
        levels = np.clip(np.rint(ends).astype(np.int64), 0, self.designs.sizes - 1)
        levels = self.designs.canonical(levels)
        if self.relaxation.value_cost > CHEAP:
            return levels
        for _ in range(REPAIRS + 1):
            candidates, owners = self._steps(levels)
            held = [mappings[owner] for owner in owners]
            objectives, margins = self.relaxation.values(candidates.astype(float), held)
            scores = aim.of(owners).score(objectives, margins, PENALTY)
            best = np.array(
                [np.argmax(np.where(owners == i, scores, -np.inf)) for i in range(len(levels))]
            )
            moved = candidates[best]
            if np.array_equal(moved, levels):
                break
            levels = moved
        return levels

    def _steps(self, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row, then it with each continuous parameter a level lower and higher; owners."""
        assert self.relaxation is not None
        made = [levels]
        for index in np.flatnonzero(self.relaxation.continuous):
            for step in (-1, 1):
                moved = levels.copy()
                moved[:, index] = np.clip(moved[:, index] + step, 0, self.designs.sizes[index] - 1)
                made.append(moved)
        return np.vstack(made), np.tile(np.arange(len(levels)), len(made))

    def neighbours(self, count: int, seen: set[bytes], random: np.random.Generator) -> np.ndarray:
        """At most `count` unseen neighbours [m, p] of the front, the most promising first."""
        known = self.known()
        front = known.front(self.senses)
        candidates, owners = self.around(known.levels[front], seen)
        chosen = random.permutation(len(candidates))[: CANDIDATES * count]
        candidates, owners = candidates[chosen], owners[chosen]
        if self.relaxation is None or self.relaxation.value_cost > CHEAP or not len(candidates):
            return candidates[:count]
        held = [known.mappings[front[owner]] for owner in owners]
        objectives, margins = self.relaxation.values(candidates.astype(float), held)
        best, scale = merits(known.objectives[front], self.senses)
        offered, _ = merits(objectives, self.senses, scale)
        violated = np.clip(np.minimum(np.nan_to_num(margins), 0.0), -10.0, 0.0).sum(axis=1)
        return candidates[promising(np.nan_to_num(offered, nan=-1e9), violated, best, count)]

    def around(self, levels: np.ndarray, seen: set[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Unseen designs one change away (a level, a name), and whose neighbours they are."""
        made, owners = [], []
        for index, parameter in enumerate(self.parameters):
            size = int(self.designs.sizes[index])
            shifts = (-1, 1) if parameter.ordered else range(1, size)
            for shift in shifts:
                moved = levels.copy()
                moved[:, index] += shift
                if not parameter.ordered:
                    moved[:, index] %= size
                inside = (moved[:, index] >= 0) & (moved[:, index] < size)
                made.append(moved[inside])
                owners.append(np.flatnonzero(inside))
        rows, whose = self.designs.canonical(np.vstack(made)), np.concatenate(owners)
        first: dict[bytes, int] = {}
        for place, key in enumerate(keys(rows)):
            if key not in seen:
                first.setdefault(key, place)
        places = np.array(list(first.values()), dtype=int)
        return rows[places], whose[places]


class Guided(Proposer):
    """Any proposer with a guide; one design in `part` of a generation is a seed, up to STARTS."""

    part: ClassVar[int]

    def __init__(
        self,
        parameters: Sequence[Parameter],
        senses: Sequence[str],
        *,
        relaxation: Relaxation | None = None,
        **options: Any,
    ) -> None:
        super().__init__(parameters, senses, **options)
        self.guide = Guide(parameters, senses, relaxation)

    def starts(self, generation: int) -> int:
        """Seeds of a generation."""
        return min(STARTS, -(-self.size(generation) // self.part))

    def notice(self, levels: np.ndarray, found: Evaluations) -> None:
        """Takes a logged batch with its mappings, after `observe`."""
        self.guide.remember(levels, found)

    def _retire(self) -> None:
        super()._retire()
        self.guide.retire()


class Gradient(Guided):
    """Ends of ascents and neighbours of the front, in turn; the first generation is spread."""

    part = 4

    def charge(self, generation: int) -> float:
        """What generations up to this one cost beside their designs, in evaluations."""
        starts = self.starts(generation)
        ranking = self.guide.ranking_cost(self.batch_size - starts)
        return generation * (starts * self.guide.seed_cost + ranking)

    def _generate(self, generation: int) -> Proposal:
        random, given = self._random(generation), self._given(generation)
        if generation == 0 or len(given) == self.batch_size:
            return super()._generate(generation)
        starts = self.starts(generation)
        seeds = self.guide.seeds(starts, random)
        beside = self.guide.neighbours(self.batch_size - starts, self._seen, random)
        wanted = np.vstack([given, seeds, beside])
        return Proposal(levels=self._filled(wanted, random, generation))
