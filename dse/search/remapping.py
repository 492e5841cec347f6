"""Samples whose software is mapped anew: each takes the best of the mappings that are known.

One mapping for all samples would be unfair to a design that a model just fits: where a sample has a
little less memory, it would fail, and no one would deploy it so.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from dse.model.evaluator import Question
from dse.model.uncertainty import Drawn, Samples, operated
from dse.search.front import to_maximise
from dse.search.protocol import OPERATING

MOST = 6
"""Mappings that a sample may choose from beside the one that was found."""


def known(rows: np.ndarray) -> np.ndarray:
    """The different ones of mappings [n, 8], the most frequent first, MOST of them."""
    made, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    return np.asarray(made[np.lexsort((first, -counts))][:MOST])


def remapped(drawn: Drawn, question: Question, rows: Sequence[np.ndarray]) -> Samples:
    """Samples at the best of several mappings each, the first one where several are equal.

    Best is the objective of the question among those at which a sample operates; where it does so
    at none, what it lacks of the limits.
    """
    rows = [*{tuple(np.asarray(row).tolist()): row for row in rows}.values()]
    each = [operated(drawn, question.workload.phase, row) for row in rows]
    if len(each) == 1:
        return each[0]
    least = [np.min([s.margins[n] for n in OPERATING if n in s.margins], axis=0) for s in each]
    lacks = np.minimum(least, 0.0)
    values = np.stack([s.metrics[question.objective] for s in each])[..., None]
    scores = np.where(lacks == 0.0, to_maximise(values, (question.sense,))[..., 0], -np.inf)
    best = np.where(np.any(lacks == 0.0, axis=0), np.argmax(scores, axis=0), np.argmax(lacks, 0))
    chosen = best, np.arange(drawn.number)
    return attrs.evolve(
        each[0],
        metrics={n: np.stack([s.metrics[n] for s in each])[chosen] for n in each[0].metrics},
        margins={n: np.stack([s.margins[n] for s in each])[chosen] for n in each[0].margins},
        useful=np.stack([s.useful for s in each])[chosen],
    )
