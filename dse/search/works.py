"""The parts of a study that are evaluated by themselves, and the mix that they make.

A part is a workload, or one side of it where one system reads its prompts and another decodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np

from dse.model.disaggregation import Side, joined, sides, transfer_time
from dse.model.evaluator import Question
from dse.model.pytree import lower, stack
from dse.search.problem import StudyProblem
from dse.search.relaxation import mapping_row
from dse.spec.space import fixed
from dse.spec.system import System

READS, DECODES = "prefill", "decode"
"""Sides of a workload that two systems share."""


@attrs.frozen(kw_only=True, eq=False)
class Work:
    """One part: its `label` among mappings, the number of its workload, its `side` (empty: whole).

    `other` is the system that does it in place of designs; None: they do.
    """

    label: str
    task: int
    question: Question
    side: str = ""
    other: System | None = None

    def rows(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Mappings [n, 8] of points of a run."""
        return np.array([mapping_row(point["mapping"][self.label]) for point in points])

    def batch(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Sequences in flight [n] of points of a run."""
        return np.array([float(point["mapping"][self.label]["batch"]) for point in points])


class Mixture(NamedTuple):
    """A study's metrics and margins [n] by name, SI; `found` by workload.

    `read` [n], by workload, is the share of the chips that read where others decode.
    """

    metrics: Mapping[str, np.ndarray]
    margins: Mapping[str, np.ndarray]
    found: Sequence[Side]
    read: Mapping[int, np.ndarray]


def works(problem: StudyProblem) -> list[Work]:
    """All parts in the order of the workloads, what reads before what decodes."""
    made = []
    asked = zip(problem.labels, problem.study.tasks, problem.questions, strict=True)
    for place, (label, task, question) in enumerate(asked):
        if task.decoder is None:
            made.append(Work(label=label, task=place, question=question))
            continue
        other = fixed(task.decoder) if isinstance(task.decoder, System) else None
        for side, part in zip((READS, DECODES), sides(question), strict=True):
            decodes = other if side == DECODES else None
            name = f"{label}.{side}"
            made.append(Work(label=name, task=place, question=part, side=side, other=decodes))
    return made


def mixture(
    problem: StudyProblem, done: Sequence[Side], transfers: Mapping[int, np.ndarray]
) -> Mixture:
    """The mix of what each of `works` gives; `transfers` are seconds [n] of what is shared."""
    found, read = [], {}
    left = list(done)
    for place, (task, question) in enumerate(
        zip(problem.study.tasks, problem.questions, strict=True)
    ):
        side = left.pop(0)
        if task.decoder is not None:
            work, moved = question.workload, transfers[place]
            metrics, margins, read[place] = joined(side, left.pop(0), work, moved)
            side = Side(metrics, margins, side.useful)
        found.append(side)
    return Mixture(problem.mix(found), problem.least_margins(found), found, read)


def transfers(
    parts: Sequence[Work], designs: Sequence[System], points: Sequence[Mapping[str, Any]]
) -> dict[int, np.ndarray]:
    """Seconds [n] in which a prompt's cache leaves each design, of workloads that two share."""
    read = [work for work in parts if work.side == READS]
    if not read:
        return {}
    stacked = stack([lower(design) for design in designs])
    return {
        work.task: transfer_time(stacked, work.question.setting, work.rows(points)) for work in read
    }
