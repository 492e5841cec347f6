"""Every operating point that none dominates: what a study asks for with `operate = "all"`.

Of a batch of designs all legal pairs of design and mapping pass by once; the front of those seen
so far is all that is kept. The kept pairs are then evaluated in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dse.model.evaluator import Question
from dse.model.pairs import Block, blocks, points
from dse.search.counts import Counts
from dse.search.front import non_dominated, to_maximise
from dse.search.protocol import Points
from dse.spec.system import System

if TYPE_CHECKING:
    from dse.search.problem import StudyProblem


def front_of_pairs(problem: StudyProblem, systems: System, question: Question) -> Points:
    """The feasible operating points of the designs of a lowered System (leaves [n]) that no other
    of them dominates, under the one workload of a study.
    """
    seen = _Seen(problem, np.size(systems.chips))
    for block in blocks(systems, question):
        seen.take(block)
    if not len(seen.designs):
        return Points(designs=seen.designs, evaluations=None, counts=seen.counts)
    found = points(systems, question, seen.designs, seen.rows, seen.batch)
    return Points(
        designs=seen.designs,
        evaluations=problem.evaluations([found], len(seen.designs)),
        counts=seen.counts,
    )


class _Seen:
    """The front of the pairs seen so far, and what became of each design."""

    def __init__(self, problem: StudyProblem, number: int) -> None:
        self._problem = problem
        self._pairs = 0
        self._feasible = np.zeros(number, dtype=bool)
        self._best = np.full((number, len(problem.rules)), -np.inf)
        self._values = np.zeros((0, len(problem.objectives)))
        self.designs = np.zeros(0, dtype=int)
        self.rows = np.zeros((0, 0), dtype=np.float32)
        self.batch = np.zeros(0, dtype=np.float32)

    @property
    def counts(self) -> Counts:
        """Designs, those that are feasible at any mapping, and those that keep a rule at none."""
        broken = (self._best < 0.0).sum(axis=0).tolist()
        return Counts(
            evaluated=len(self._feasible),
            feasible=int(self._feasible.sum()),
            broken={rule: n for rule, n in zip(self._problem.rules, broken, strict=True) if n},
            pairs=self._pairs,
        )

    def take(self, block: Block) -> None:
        """Counts the pairs of a block and keeps those that are on the front."""
        legal = block.margins["mapping"] >= 0.0
        self._pairs += int(legal.sum())
        feasible = legal
        for index, margins in enumerate(self._problem.limited(block).values()):
            kept = np.where(legal, margins, -np.inf).max(axis=1)
            self._best[block.designs, index] = np.maximum(self._best[block.designs, index], kept)
            feasible = feasible & (margins >= 0.0)
        design, row = np.nonzero(feasible)
        self._feasible[block.designs[design]] = True
        metrics = [block.metrics[name][design, row] for name in self._problem.objectives]
        values = to_maximise(np.stack(metrics, axis=1), self._problem.senses)
        self._merge(values, block.designs[design], block.rows[row], block.batch[design, row])

    def _merge(
        self, values: np.ndarray, designs: np.ndarray, rows: np.ndarray, batch: np.ndarray
    ) -> None:
        pool = np.vstack([self._values, values])
        kept = np.flatnonzero(non_dominated(pool))
        self._values = pool[kept]
        self.designs = np.concatenate([self.designs, designs])[kept]
        self.rows = np.concatenate([self.rows.reshape(-1, rows.shape[1]), rows])[kept]
        self.batch = np.concatenate([self.batch, batch])[kept]
