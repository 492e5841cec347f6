"""What each workload does at points of a run: time, memory, power and cost, mixed by their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dse.model.breakdown import bound_times, chip_parts, operate
from dse.model.disaggregation import Side
from dse.model.estimate import Result
from dse.model.pytree import lower, stack
from dse.report.formulas import formula_documents
from dse.report.trees import Tree, blended, branch, cost_tree, power_tree, scaled
from dse.search.mix import shares_of_time
from dse.search.problem import StudyProblem
from dse.search.works import Work, mixture, transfers, works
from dse.spec.system import System

Document = dict[str, Any]

TREES = ("power", "cost")


class _Done(NamedTuple):
    """One part of a study: who does it, the model's result [n], and trees of each point."""

    work: Work
    systems: Sequence[System]
    found: Result
    trees: Sequence[Mapping[str, Tree]]


def capacity(system: System) -> float:
    """Bytes of a chip's memory that may be used."""
    memory = system.chip.memory
    return float(memory.capacity * (1.0 - memory.reserve))


def add_operation(
    problem: StudyProblem,
    documents: list[Document],
    systems: Sequence[System],
    points: Sequence[Mapping[str, Any]],
    *,
    formulas: bool,
) -> None:
    """Adds breakdown, footprint, power and cost of each point, and formulas of its first part."""
    done = [_done(documents, work, systems, points) for work in works(problem)]
    for document, trees in zip(documents, _trees(problem, done, systems, points), strict=True):
        document |= trees
    first = done[0]
    for index, document in enumerate(documents if formulas else ()):
        document["formulas"] = formula_documents(
            first.systems[index], first.work.question, first.found, index
        )


def _done(
    documents: list[Document],
    work: Work,
    designs: Sequence[System],
    points: Sequence[Mapping[str, Any]],
) -> _Done:
    """One part, with its time and memory added to the documents."""
    systems = [work.other or design for design in designs]
    stacked = stack([lower(system) for system in systems])
    question = work.question
    setting, phase = question.setting, question.workload.phase
    rows, batch = work.rows(points), work.batch(points)
    times = bound_times(stacked, setting, phase, rows, batch)
    found = operate(stacked, setting, phase, rows, batch)
    power = chip_parts(stacked, setting, found)
    trees = []
    for index, document in enumerate(documents):
        document["breakdown"] += breakdown_rows(times, index, work.label, phase)
        other = {"capacity_bytes": capacity(work.other)} if work.other else {}
        document["footprint"] += [
            {"workload": work.label, "part": name, "bytes": float(value[index]), **other}
            for name, value in found.operation.footprint._asdict().items()
            if value[index] > 0.0
        ]
        trees.append({"power": power_tree(found, power, index), "cost": cost_tree(found, index)})
    return _Done(work, systems, found, trees)


def breakdown_rows(times: Any, index: int, label: str, phase: str) -> list[Document]:
    """One point's time by operator group and bound, without what is zero."""
    return [
        {"workload": label, "phase": phase, "group": group, "bound": bound, "seconds": seconds}
        for group, bounds in times.items()
        for bound, values in bounds.items()
        if (seconds := float(values[index])) > 0.0
    ]


def _trees(
    problem: StudyProblem,
    done: Sequence[_Done],
    systems: Sequence[System],
    points: Sequence[Mapping[str, Any]],
) -> list[dict[str, Tree]]:
    """Power and cost of each point: of a mix the mean over time, of two systems both."""
    late = transfers([each.work for each in done], systems, points)
    sides = [Side.of(each.found) for each in done]
    mixed = mixture(problem, sides, late)
    weights = [task.weight for task in problem.study.tasks]
    times = shares_of_time([each.metrics for each in mixed.found], weights)
    made = []
    for index in range(len(systems)):
        row = {}
        for name in TREES:
            tasks = [
                _of_task([each for each in done if each.work.task == task], mixed.read, name, index)
                for task in range(len(weights))
            ]
            row[name] = blended(tasks, times[:, index].tolist())
        made.append(row)
    return made


def _of_task(parts: Sequence[_Done], read: Mapping[int, np.ndarray], name: str, index: int) -> Tree:
    """A workload's tree: where two systems share it, one branch for each, for the chips of one."""
    trees = [part.trees[index][name] for part in parts]
    if len(parts) == 1:
        return trees[0]
    share = float(read[parts[0].work.task][index])
    ratio = parts[0].systems[index].chips / parts[1].systems[index].chips
    sides = [
        scaled(tree, factor) | {"name": f"{part.work.side} on {part.systems[index].name}"}
        for part, tree, factor in zip(parts, trees, (share, (1.0 - share) * ratio), strict=True)
    ]
    return branch(trees[0]["name"], sides, trees[0]["unit"])
