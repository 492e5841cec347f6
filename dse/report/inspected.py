"""What the model says of a run's designs, for its page: details, curves, rooflines, weak inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dse.model.curve import PHASES, curve
from dse.model.evaluator import Question, evaluate
from dse.model.pytree import lower, stack
from dse.report.curve import curve_document
from dse.report.detail import point_documents
from dse.report.figures import metric_seen
from dse.report.page_document import Inspected, detailed_rows
from dse.report.sensitivity import sources_of
from dse.search.front import knee
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.result import front_document, point_document
from dse.spec.space import fixed
from dse.spec.system import System

Document = dict[str, Any]

WEAKEST = 25
"""Inputs that are ranked by what their doubt moves."""

CHANGED = (
    "The study, its specs or dse have changed since the run: breakdowns, curves and elasticities "
    "are those of today. dse run --fresh makes the run anew."
)


def inspect(
    data: RunData,
    problem: StudyProblem,
    say: Callable[[str], None],
    sampled: Document | None = None,
) -> Inspected:
    """What the model says of the run `data` of `problem`; `say` tells of progress.

    `sampled` is the run's `front_document` with `dse.report.robust`'s samples. Where study, specs
    or model have changed since the run, `missing` says so.
    """
    changed = problem.fingerprint != data.settings["fingerprint"]
    shown = _shown(data, problem)
    say(f"Curves and rooflines of {len(shown)} systems ...")
    curves, rooflines = _curves(problem, shown), _rooflines(problem, shown)
    rows = detailed_rows(data).tolist()
    say(f"{len(rows)} designs and {len(problem.references)} references in full ...")
    details = _details(data, problem, rows)
    say("Sources ...")
    return Inspected(
        details=details,
        curves=curves,
        rooflines=rooflines,
        sources=_sources(data, problem),
        bands=_bands(sampled) if sampled else {},
        robust=_robust(sampled) if sampled else {},
        missing=CHANGED if changed else "",
    )


def _sources(data: RunData, problem: StudyProblem) -> list[Document]:
    """The inputs that the first objective of the front's bend rests on while the least is known."""
    points = front_document(data)["points"]
    if not points:
        return []
    point = next((each for each in points if each.get("knee")), points[0])
    system = problem.bound(data.levels[point["id"]].tolist())
    rows = sources_of(problem, system, point, problem.objectives[0])[:WEAKEST]
    kept = ("metric", "path", "shown", "elasticity", "weakness", "score", "confidence", "source")
    return [{"of": f"Design {point['id']}"} | {key: each[key] for key in kept} for each in rows]


def _bands(sampled: Document) -> dict[str, dict[str, tuple[float, float]]]:
    """The 5 to 95 % bands of the objectives of the front, in the units in which people see them."""
    return {
        str(point["id"]): {
            name: (_seen(name, band["p5"]), _seen(name, band["p95"]))
            for name, band in point["robust"]["bands"].items()
        }
        for point in sampled["points"]
    }


def _seen(name: str, value: float) -> float:
    return float(metric_seen(name, value) or 0.0)


def _robust(sampled: Document) -> Document:
    """How the samples were drawn, and each design's shares of them, by number or `ref:NAME`."""
    told = sampled["robust"]
    keys = ("front_share", "feasible_share", "best_share")
    rows = [(str(point["id"]), point) for point in sampled["points"]]
    rows += [(f"ref:{each['name']}", each) for each in sampled["references"]]
    return {
        "samples": told["samples"],
        "inputs": told["inputs"],
        "flips": [each["path"] for each in told["flips"]],
        "shares": {name: {key: row["robust"][key] for key in keys} for name, row in rows},
    }


def _details(data: RunData, problem: StudyProblem, rows: Sequence[int]) -> dict[str, Document]:
    """Designs of the log by number, and references by `ref:NAME`, without what columns hold.

    Of designs beside the front elasticities are sought among the leaves that are told of it.
    """
    points = [point_document(data, row) for row in rows]
    references = front_document(data)["references"]
    names = [*map(str, rows), *(f"ref:{each['name']}" for each in references)]
    # the front comes first among rows
    count = len(data.front)
    first = point_documents(problem, [*points[:count], *references])
    only = {each["path"] for document in first for each in document["elasticities"]}
    rest = point_documents(problem, points[count:], only=only)
    made = [*first[:count], *rest, *first[count:]]
    held = ("id", "name", "design", "metrics")
    bare = [{key: value for key, value in each.items() if key not in held} for each in made]
    return dict(zip(names, bare, strict=True))


def _shown(data: RunData, problem: StudyProblem) -> list[tuple[str, System]]:
    """The references, and the front's ends and bend, by name."""
    front = data.front
    order = front[np.argsort(-data.values[front, 0], kind="stable")]
    bend = knee(data.values[order])
    places = [0, len(order) - 1, *([] if bend is None else [bend])] if len(order) else []
    chosen = [int(order[place]) for place in sorted(set(places))]
    designs = [(f"Design {row}", problem.bound(data.levels[row].tolist())) for row in chosen]
    return [*designs, *((system.name, fixed(system)) for system in problem.references)]


def _curves(problem: StudyProblem, shown: Sequence[tuple[str, System]]) -> list[Document]:
    """Throughput against interactivity under the first workload that has users."""
    asked = [q for q in problem.questions if q.workload.phase in PHASES]
    made = []
    for name, system in shown if asked else ():
        question = asked[0]
        chips = int(question.workload.chips or system.all_chips)
        points = curve(lower(system), question)
        label = f"{question.model.name}, {question.workload.name}"
        found = curve_document(name, question.workload.phase, chips, points)
        made += [found | {"workload": label}] if points else []
    return made


def _rooflines(problem: StudyProblem, shown: Sequence[tuple[str, System]]) -> list[Document]:
    """Each system's ceilings and its operating point under every workload that it serves alone."""
    alone = [
        question
        for task, question in zip(problem.study.tasks, problem.questions, strict=True)
        if not task.decoder
    ]
    systems = stack([lower(system) for _, system in shown])
    found = [(question, evaluate(systems, question)) for question in alone]
    made = []
    for index, (name, system) in enumerate(shown):
        points = [_stands(question, each, index) for question, each in found]
        if not points:
            continue
        # the widest peak that any workload may use is the ceiling of all
        peaks = [system.chip.matrix_peak(q.workload.activations) for q in alone]
        bandwidth = float(system.chip.memory.bandwidth)
        ceilings = {"peak": max(peaks), "bandwidth": bandwidth}
        made.append({"name": name, **ceilings, "points": points})
    return made


def _stands(question: Question, found: Any, index: int) -> Document:
    """An operating point on the roofline: FLOP for a byte of memory, and FLOP/s, of one chip."""
    operation = found.result.operation
    flops = float(operation.activity.flops[index])
    moved = float(operation.activity.memory[index])
    return {
        "phase": f"{question.model.name}, {question.workload.name}",
        "intensity": flops / moved,
        "rate": flops / float(operation.step[index]),
    }
