"""Every design of a space, in chunks of fixed size: what the method `exact` does.

A chunk is a function of the problem and its number alone, so it may be swept by any process, again
after that process died, and in any order. Designs that break a rule known from the design alone
are counted and not evaluated. What remains of a chunk are its counts and its own front; the log
keeps of that what no earlier chunk dominates, so memory and log grow with the front, not with the
space.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np

from dse.search.check import checked
from dse.search.counts import Counts
from dse.search.front import non_dominated, to_maximise
from dse.search.log import Batch
from dse.search.protocol import Evaluations, Points, Problem
from dse.search.space import Space
from dse.search.standing import Standing

LARGEST = 8192
"""Designs of a chunk of a large space: some seconds of the model, a few megabytes of tables."""

SMALLEST = 256
"""Designs of a chunk of a small space: the model's programs take that many at once."""

CLEAR = 1e-4
"""How far a rule must be broken for a design to be pruned. A program that computes the rules alone
rounds otherwise than one that computes everything; what is nearer is left to the latter."""


def chunk_size(space: int) -> int:
    """Designs of a chunk: a sixty-fourth of the space, in whole calls of the model."""
    wanted = -(-space // (64 * SMALLEST)) * SMALLEST
    return min(max(wanted, SMALLEST), LARGEST)


def sweep_chunk(
    problem: Problem, space: Space, number: int, size: int, *, prune: bool = True
) -> Batch:
    """Chunk `number` of `size` designs, evaluated: its counts and its own front.

    Where none of its designs is feasible it has one row, the least violating design; of pruned
    designs, the one that violates least what pruned it is considered. RunError if an evaluation is
    not finite.
    """
    levels = space.block(number * size, min((number + 1) * size, space.size()))
    screened = _screened(problem, levels) if prune else {}
    pruned, left = _pruned(screened, len(levels))
    rows = levels[left]
    broken = {rule: int(np.sum(values[~left] < 0.0)) for rule, values in screened.items()}
    counts = Counts(pruned=pruned, broken={rule: n for rule, n in broken.items() if n})
    found: Evaluations | None = None
    if len(rows):
        swept = _swept(problem, rows)
        counts += swept.counts
        rows, found = rows[swept.designs], swept.evaluations
    if not counts.feasible:
        violated = -sum((np.minimum(m, 0.0) for m in screened.values()), np.zeros(len(levels)))
        rows, found = _nearest(problem, rows, found, levels[~left], violated[~left])
    assert found is not None, "a chunk has at least one design"
    return Batch(
        number=number, generation=number, parents=(), levels=rows, evaluations=found, counts=counts
    )


def _screened(problem: Problem, levels: np.ndarray) -> dict[str, np.ndarray]:
    """Margins [n] of the rules that a problem can tell from its designs alone, by rule."""
    screen: Callable[[np.ndarray], dict[str, np.ndarray]] | None = getattr(problem, "screen", None)
    return screen(levels) if screen is not None else {}


def _pruned(screened: dict[str, np.ndarray], number: int) -> tuple[dict[str, int], np.ndarray]:
    """Designs pruned by each rule, and [n] True for those that are left."""
    left = np.ones(number, dtype=bool)
    pruned = {}
    for rule, margins in screened.items():
        falls = left & (margins < -CLEAR)
        if falls.any():
            pruned[rule] = int(falls.sum())
            left &= ~falls
    return pruned, left


def _swept(problem: Problem, rows: np.ndarray) -> Points:
    """The front of [n, p] designs: of their best operating points, or of all where those count.

    Where no design is feasible it is the least violating one.
    """
    counts: Counts | None = None
    found: Evaluations | None = None
    if getattr(problem, "every_point", False):
        points: Points = problem.operating_points(rows)  # type: ignore[attr-defined]
        counts, designs, found = points.counts, points.designs, points.evaluations
    if found is None:
        designs, found = np.arange(len(rows)), problem.evaluate(rows)
    found = checked(problem, rows[designs], found)
    if counts is None:
        counts = _counted(problem, found)
    if counts.feasible:
        values = to_maximise(found.objectives, problem.senses)
        kept = np.flatnonzero(non_dominated(values, found.feasible))
    else:
        kept = np.argmin(violation(found), keepdims=True)
    return Points(designs=designs[kept], evaluations=found.rows(kept), counts=counts)


def _counted(problem: Problem, found: Evaluations) -> Counts:
    broken = np.sum(found.margins < 0.0, axis=0)
    return Counts(
        evaluated=len(found.margins),
        feasible=int(found.feasible.sum()),
        broken={rule: int(n) for rule, n in zip(problem.rules, broken, strict=True) if n},
    )


def violation(found: Evaluations) -> np.ndarray:
    """[n] how far each design is from keeping all rules: the sum of its negative margins."""
    return np.asarray(-np.minimum(found.margins, 0.0).sum(axis=1))


def _nearest(
    problem: Problem,
    rows: np.ndarray,
    found: Evaluations | None,
    pruned: np.ndarray,
    least: np.ndarray,
) -> tuple[np.ndarray, Evaluations | None]:
    """The least violating design: that of `rows`, or the one of [m, p] pruned designs that
    violates least what is known of them; `least` [m] are bounds of it.
    """
    best = np.inf if found is None else float(violation(found)[0])
    if len(pruned) and least.min() < best:
        other = pruned[np.argmin(least, keepdims=True)]
        full = checked(problem, other, problem.evaluate(other)).rows(np.zeros(1, dtype=int))
        if violation(full)[0] < best:
            return other, full
    return rows, found


Source = Callable[[int, int], Iterator[Batch]]
"""Gives the chunks from a number on, in order; the second argument is the size of a chunk."""


class Sweep(Standing):
    """A run that enumerates its space. `source` sweeps the chunks elsewhere; default: here."""

    def __init__(
        self,
        problem: Problem,
        settings: dict[str, Any],
        *,
        source: Source | None = None,
        prune: bool = True,
    ) -> None:
        self.designs = Space(problem.parameters)
        self.size: int = settings["batch_size"]
        self.least = np.inf
        self.prune = prune
        self._source = source or self._here
        self._chunks: Iterator[Batch] | None = None
        super().__init__(problem, settings, self.designs.size())

    def _here(self, first: int, size: int) -> Iterator[Batch]:
        for number in itertools.count(first):
            yield sweep_chunk(self.problem, self.designs, number, size, prune=self.prune)

    def next(self) -> Batch:
        """The next chunk, of which only what no earlier one dominates is left."""
        if self._chunks is None:
            self._chunks = self._source(self.batches, self.size)
        batch = next(self._chunks)
        kept = self._new(batch.evaluations)
        return attrs.evolve(
            batch, levels=batch.levels[kept], evaluations=batch.evaluations.rows(kept)
        )

    def _new(self, found: Evaluations) -> np.ndarray:
        """Rows that enter the front or, while it is empty, violate less than any before."""
        if not found.feasible.any():
            nearer = not len(self.archive) and bool(np.any(violation(found) < self.least))
            return np.flatnonzero([nearer])
        values = to_maximise(found.objectives, self.problem.senses)
        pool = np.vstack([self.archive.values, values])
        return np.flatnonzero(non_dominated(pool)[len(self.archive) :])

    def observe(self, batch: Batch) -> None:
        """Takes a chunk that is in the log; raises ValueError if it is not of this run."""
        expected = min(self.size, self.space - self.batches * self.size)
        if batch.counts is None or batch.counts.decided != expected:
            raise ValueError(f"it does not count the {expected} designs of its chunk")
        super().observe(batch)
        if len(batch.levels):
            self.least = min(self.least, float(violation(batch.evaluations).min()))

    def close(self) -> None:
        """Ends the workers."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
