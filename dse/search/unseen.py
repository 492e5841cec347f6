"""The base of what proposes: unseen designs drawn uniformly, generation after generation.

No design is proposed twice: a repeated child gives way to an unseen neighbour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from dse.search.levels import decode, encode, keys, neighbour, rows
from dse.search.protocol import Evaluations, Parameter
from dse.search.space import Space

NEIGHBOURS = 8
"""How far a repeated child may walk before a random design takes its place."""


@attrs.frozen(kw_only=True, eq=False)
class Proposal:
    """Designs [n, p] to evaluate, and the indices (into the log) of those they were bred from."""

    levels: np.ndarray
    parents: tuple[int, ...] = ()


class Proposer:
    """Draws unseen designs uniformly; the base of the other methods.

    `observe` must be given every logged batch in order; `propose` then gives the next generation,
    or what is still missing of the current one. A generation shorter than its `size` means that
    the space is used up.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        senses: Sequence[str],
        *,
        seed: int,
        batch_size: int,
        initial: np.ndarray | None = None,
    ) -> None:
        self.ordered = tuple(parameter.ordered for parameter in parameters)
        self.senses = tuple(senses)
        self.designs = Space(parameters)
        self.sizes = self.designs.sizes
        # the last level of a conditional parameter stands for "not free" and is never drawn
        self.choices = self.sizes - np.array([bool(p.needs) for p in parameters], dtype=np.int64)
        self.space = self.designs.size()
        self.seed = seed
        self.batch_size = batch_size
        self.initial = _checked_initial(initial, self.sizes)
        self._seen: set[bytes] = set()
        self._generation = 0
        self._current: set[bytes] = set()

    def observe(
        self,
        generation: int,
        parents: Sequence[int],
        levels: np.ndarray,
        objectives: np.ndarray,
        margins: np.ndarray,
    ) -> None:
        """Takes a logged batch; raises ValueError if it does not follow those before it."""
        if generation not in (self._generation, self._generation + 1):
            raise ValueError(f"generation {generation} follows generation {self._generation}")
        if generation != self._generation:
            self._retire()
            self._generation = generation
            self._advance(parents)
        self._current |= set(keys(levels))
        self._remember(levels, objectives, margins)

    def notice(self, levels: np.ndarray, found: Evaluations) -> None:
        """Takes all that a logged batch holds, after `observe`: for methods that use more of it."""

    def size(self, generation: int) -> int:  # noqa: ARG002  (for those who override it)
        """Designs of a generation; never fewer than of the one before."""
        return self.batch_size

    def start(self, generation: int) -> int:
        """Designs of all generations before this one."""
        return sum(map(self.size, range(generation)))

    def generation_of(self, index: int) -> int:
        """The generation in which the design of this index, counted over all, is proposed."""
        generation = 0
        while index >= (size := self.size(generation)):
            if size == self.batch_size:
                return generation + index // size
            index -= size
            generation += 1
        return generation

    def charge(self, generation: int) -> float:  # noqa: ARG002  (for those who override it)
        """What generations up to this one cost beside their designs, in evaluations."""
        return 0.0

    def propose(self, generation: int) -> Proposal:
        """The designs of `generation`, the current one or the next, that are not logged yet."""
        if generation != self._generation:
            self._retire()
        proposal = self._generate(generation)
        missing = [key not in self._current for key in keys(proposal.levels)]
        return attrs.evolve(proposal, levels=proposal.levels[np.array(missing, dtype=bool)])

    def _retire(self) -> None:
        """The current generation is complete."""
        self._seen |= self._current
        self._current = set()

    def _advance(self, parents: Sequence[int]) -> None:
        """A new generation begins, bred from these rows of the log."""

    def _remember(self, levels: np.ndarray, objectives: np.ndarray, margins: np.ndarray) -> None:
        """A batch of the current generation was evaluated."""

    def _generate(self, generation: int) -> Proposal:
        """The whole generation, whatever of it is logged already."""
        random = self._random(generation)
        return Proposal(levels=self._filled(self._given(generation), random, generation))

    def _random(self, generation: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, generation])

    def _given(self, generation: int) -> np.ndarray:
        start = self.start(generation)
        return self.initial[start : start + self.size(generation)]

    def _filled(
        self, wanted: np.ndarray, random: np.random.Generator, generation: int
    ) -> np.ndarray:
        """`wanted` without repetitions, made up to a full generation of unseen designs."""
        room = min(self.size(generation), self.space - len(self._seen))
        taken: dict[bytes, None] = {}
        for row in self.designs.canonical(wanted):
            if len(taken) < room:
                self._take(row, taken, random)
        crowded = 2 * (len(self._seen) + room) > self.space
        while len(taken) < room:
            if crowded:
                drawn = self._unseen(taken, random)
            else:
                drawn = random.integers(0, self.choices, size=(room, len(self.sizes)))
                drawn = self.designs.canonical(drawn)
            fresh = [key for key in keys(drawn) if key not in self._seen and key not in taken]
            taken |= dict.fromkeys(dict.fromkeys(fresh[: room - len(taken)]))
        return rows(taken, len(self.sizes))

    def _take(self, row: np.ndarray, taken: dict[bytes, None], random: np.random.Generator) -> None:
        """Takes the row or, when it is known, the first unseen design of a short random walk."""
        for _ in range(NEIGHBOURS + 1):
            key = row.tobytes()
            if key not in self._seen and key not in taken:
                taken[key] = None
                return
            row = neighbour(row, self.sizes, self.ordered, random)
            (row,) = self.designs.canonical(row[None, :])

    def _unseen(self, taken: Mapping[bytes, None], random: np.random.Generator) -> np.ndarray:
        """All designs left, in random order: only for a space hardly larger than what is seen."""
        known = encode(rows([*self._seen, *taken], len(self.sizes)), self.sizes)
        return decode(random.permutation(np.setdiff1d(self.designs.codes(), known)), self.sizes)


def _checked_initial(initial: np.ndarray | None, sizes: np.ndarray) -> np.ndarray:
    if initial is None or len(initial) == 0:
        return np.zeros((0, len(sizes)), dtype=np.int64)
    given = np.asarray(initial, dtype=np.int64)
    if given.ndim != 2 or given.shape[1] != len(sizes):
        raise ValueError(f"initial designs have shape {given.shape}, not (any, {len(sizes)})")
    if np.any(given < 0) or np.any(given >= sizes):
        raise ValueError("an initial design has a level index outside of its parameter")
    return given
