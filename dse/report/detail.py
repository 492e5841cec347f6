"""Points of a run in full: where time, memory, power and money go, and what would change them.

Each point is taken at the operating point that the run logged, and evaluated again by the model
as it is now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from dse.errors import Finding, InputError, RunError
from dse.model.breakdown import bound_times, chip_parts
from dse.model.evaluator import Evaluation, Question, evaluate
from dse.model.pytree import lower, stack
from dse.model.sensitivity import Number
from dse.report.evaluation import WHOLE, evaluation_document
from dse.report.formulas import formula_documents
from dse.report.operation import add_operation, breakdown_rows, capacity
from dse.report.trees import cost_tree, power_tree, scaled
from dse.search.prices import limit_prices
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.slopes import Leaves, design_slopes
from dse.spec.catalog import Catalog
from dse.spec.space import fixed
from dse.spec.study import load_study
from dse.spec.system import System
from dse.spec.variation import MARK, parted

Document = dict[str, Any]

ACTIVE = 0.01
"""A relative margin below this binds."""

TOLD = 24
"""Elasticities of a point and metric that are told, the largest first."""


def problem_of(data: RunData, catalogue: Catalog, study: str = "") -> StudyProblem:
    """The problem that a run searched, from the study of its name or a file.

    Without a name: of the catalogue, else a file in the current folder. RunError where there is
    none, or where it searches other parameters.
    """
    name = data.problem["study"]
    whole, variation = parted(name)
    beside = Path(f"{whole}.toml")
    try:
        found = load_study(study or name, catalogue)
    except InputError:
        if study:
            raise
        if not beside.is_file():
            _no_study(data, name, "is not known")
        found = load_study(f"{beside}{MARK}{variation}" if variation else str(beside), catalogue)
    problem = StudyProblem(found)
    searched = [each["path"] for each in data.problem["parameters"]]
    if [each.path for each in problem.parameters] != searched:
        _no_study(data, name, "searches other parameters now")
    return problem


def _no_study(data: RunData, name: str, why: str) -> NoReturn:
    raise RunError(
        Finding(
            message=f"the study {name} of this run {why}",
            file=str(data.folder / "run.json"),
            hint="name its file with --study",
        )
    )


def point_documents(
    problem: StudyProblem,
    points: Sequence[Mapping[str, Any]],
    *,
    formulas: bool = False,
    only: Collection[str] | None = None,
) -> list[Document]:
    """Points and references of `front_document` in full, each with

    design, mapping, metrics, margins (as given), breakdown [{workload, phase, group, bound,
    seconds}], footprint [{workload, part, bytes}, with capacity_bytes where another system holds
    it], capacity_bytes, power and cost as trees {name, value, unit, children} whose children add
    up, elasticities [{path, kind, metric, value}] of the objectives, the largest TOLD of each,
    active, the rules that bind, and prices, what a limit that binds is worth (see
    `dse.search.prices`). Of a mix of workloads trees are means over the time that each takes, and
    elasticities those of the mix. `only` names the leaves whose elasticities are asked for.
    `formulas` adds those of the first workload.
    """
    if not points:
        return []
    paid = [problem.paying_for(str(point.get("name", ""))) for point in points]
    if any(each is not paid[0] for each in paid):
        made: dict[int, Document] = {}
        for basis in dict.fromkeys(map(id, paid)):
            own = [place for place, each in enumerate(paid) if id(each) == basis]
            chosen = [points[place] for place in own]
            told = point_documents(paid[own[0]], chosen, formulas=formulas, only=only)
            made |= dict(zip(own, told, strict=True))
        return [made[place] for place in range(len(points))]
    problem = paid[0]
    systems = [system_of(problem, point) for point in points]
    documents = [
        {
            **{key: point[key] for key in ("name", "id", "rank", "knee") if key in point},
            **{key: point.get(key, {}) for key in ("design", "mapping", "metrics", "margins")},
            "breakdown": [],
            "footprint": [],
            "capacity_bytes": capacity(system),
            "active": active(point["margins"]),
        }
        for point, system in zip(points, systems, strict=True)
    ]
    add_operation(problem, documents, systems, points, formulas=formulas)
    _add_slopes(problem, documents, systems, points, only)
    return documents


def active(margins: Mapping[str, float]) -> list[str]:
    """Rules that bind: broken, or with hardly any room; what counts things has none to spare."""
    return [n for n, m in margins.items() if m < (0.0 if n in WHOLE else ACTIVE)]


def system_of(problem: StudyProblem, point: Mapping[str, Any]) -> System:
    """The system of a point, by its levels, or of a reference, by its name."""
    if name := point.get("name"):
        return fixed(next(each for each in problem.references if each.name == name))
    return problem.bound(problem.levels_of(point["design"]))


def evaluated(
    systems: Sequence[System],
    question: Question,
    *,
    pinned: Mapping[str, int] | None = None,
    batch: float | None = None,
    formulas: bool = False,
) -> tuple[Evaluation, list[Document]]:
    """Systems without free values at their best operating points: the documents of `dse eval`.

    Each also has its time by operator group and bound (`groups`), power and cost as trees, of all
    chips that work, the `active` rules, and formulas where they are asked for.
    """
    stacked = stack([lower(system) for system in systems])
    found = evaluate(stacked, question, pinned=pinned, batch=batch)
    documents = [evaluation_document(found, i, each, question) for i, each in enumerate(systems)]
    setting, phase = question.setting, question.workload.phase
    times = bound_times(stacked, setting, phase, found.rows, found.metrics["batch"])
    power = chip_parts(stacked, setting, found.result)
    for index, (document, system) in enumerate(zip(documents, systems, strict=True)):
        share = document["chips"] / system.chips
        groups = breakdown_rows(times, index, question.workload.name, phase)
        document["groups"] = groups
        document["power"] = scaled(power_tree(found.result, power, index), share)
        document["cost"] = scaled(cost_tree(found.result, index), share)
        document["active"] = active(document["margins"])
        if formulas:
            document["formulas"] = formula_documents(system, question, found.result, index)
    return found, documents


def _add_slopes(
    problem: StudyProblem,
    documents: list[Document],
    systems: Sequence[System],
    points: Sequence[Mapping[str, Any]],
    only: Collection[str] | None,
) -> None:
    """Adds the largest elasticities of the objectives, and prices of limits."""
    free = {parameter.path for parameter in problem.parameters if parameter.ordered}

    def chosen(name: str, number: Number) -> bool:
        told = number.leaf.sort == "quantity" and (only is None or name in only)
        return told or name in free

    found = design_slopes(problem, systems, points, chosen)
    for document, system, leaves in zip(documents, systems, found, strict=True):
        document["elasticities"] = _elasticities(problem.objectives, leaves)
        document["prices"] = limit_prices(problem, system, document["margins"], leaves)


def _elasticities(objectives: Sequence[str], leaves: Leaves) -> list[Document]:
    """The largest of each objective; a count has none, as it has no percent."""
    names = list(leaves.numbers)
    smooth = np.array([n.leaf.sort == "quantity" for n in leaves.numbers.values()])
    made = []
    for metric in objectives:
        values = np.where(smooth, np.nan_to_num(leaves.slopes.elasticity(metric)), 0.0)
        order = np.argsort(-np.abs(values), kind="stable")[:TOLD]
        made += [
            {
                "path": names[i],
                "kind": "continuous",
                "metric": metric,
                "value": float(values[i]),
            }
            for i in order
            if values[i] != 0.0
        ]
    return made
