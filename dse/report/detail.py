"""Points of a run in full: where time, memory, power and money go, and what would change them.

Each point is taken at the operating point that the run logged, and evaluated again by the model
as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from dse.errors import Finding, InputError, RunError
from dse.model.breakdown import bound_times, chip_parts, operate
from dse.model.disaggregation import sides
from dse.model.evaluator import Evaluation, Question, evaluate
from dse.model.pytree import lower, stack
from dse.model.sensitivity import AT, Point, slopes
from dse.report.evaluation import WHOLE, evaluation_document
from dse.report.formulas import formula_documents
from dse.report.trees import cost_tree, power_tree, scaled
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.relaxation import mapping_row
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


class _Part(NamedTuple):
    """One workload's share of some points: the systems that do it and how each operates."""

    label: str
    question: Question
    systems: list[System]
    mappings: list[Mapping[str, Any]]

    @property
    def rows(self) -> np.ndarray:
        """The mappings [n, 8] as the model takes them."""
        return np.array([mapping_row(mapping) for mapping in self.mappings])

    @property
    def batch(self) -> np.ndarray:
        """Sequences in flight, [n]."""
        return np.array([float(m["batch"]) for m in self.mappings])


def point_documents(
    problem: StudyProblem, points: Sequence[Mapping[str, Any]], *, formulas: bool = False
) -> list[Document]:
    """Points and references of `front_document` in full, each with

    design, mapping, metrics, margins (as given), breakdown [{workload, phase, group, bound,
    seconds}], footprint [{workload, part, bytes}], capacity_bytes, power and cost as trees {name,
    value, unit, children} whose children add up, elasticities [{path, kind, metric, value}] of the
    objectives, the largest TOLD of each, and active, the rules that bind. Trees and elasticities
    are those of the first workload, of a mix, at its own operating point. `formulas` adds those.
    """
    if not points:
        return []
    paid = [problem.paying_for(str(point.get("name", ""))) for point in points]
    if any(each is not paid[0] for each in paid):
        alone = [
            point_documents(p, [q], formulas=formulas) for p, q in zip(paid, points, strict=True)
        ]
        return [document for documents in alone for document in documents]
    problem = paid[0]
    systems = [_system(problem, point) for point in points]
    parts = list(_parts(problem, systems, points))
    documents = [
        {
            **{key: point[key] for key in ("name", "id", "rank", "knee") if key in point},
            **{key: point.get(key, {}) for key in ("design", "mapping", "metrics", "margins")},
            "breakdown": [],
            "footprint": [],
            "capacity_bytes": _capacity(system),
            "active": active(point["margins"]),
        }
        for point, system in zip(points, systems, strict=True)
    ]
    for place, part in enumerate(parts):
        _add_operation(documents, part, first=place == 0)
    _add_elasticities(documents, parts[0], problem.objectives)
    if formulas:
        _add_formulas(documents, parts[0])
    return documents


def active(margins: Mapping[str, float]) -> list[str]:
    """Rules that bind: broken, or with hardly any room; what counts things has none to spare."""
    return [n for n, m in margins.items() if m < (0.0 if n in WHOLE else ACTIVE)]


def _capacity(system: System) -> float:
    memory = system.chip.memory
    return float(memory.capacity * (1.0 - memory.reserve))


def _system(problem: StudyProblem, point: Mapping[str, Any]) -> System:
    """The system of a point, by its levels, or of a reference, by its name."""
    if name := point.get("name"):
        return fixed(next(each for each in problem.references if each.name == name))
    return problem.bound(problem.levels_of(point["design"]))


def _parts(
    problem: StudyProblem, systems: list[System], points: Sequence[Mapping[str, Any]]
) -> list[_Part]:
    """Each workload with its systems and mappings; one that another system decodes is two."""
    made = []
    for label, task, question in zip(
        problem.labels, problem.study.tasks, problem.questions, strict=True
    ):
        if task.decoder is None:
            found = [point["mapping"][label] for point in points]
            made.append(_Part(label, question, systems, found))
            continue
        other = task.decoder if isinstance(task.decoder, System) else None
        for side, asked in zip(("prefill", "decode"), sides(question), strict=True):
            found = [point["mapping"][f"{label}.{side}"] for point in points]
            own = [fixed(other)] * len(systems) if other and side == "decode" else systems
            made.append(_Part(f"{label}.{side}", asked, own, found))
    return made


def _add_operation(documents: list[Document], part: _Part, *, first: bool) -> None:
    """Adds what one workload does on each point; the `first` also what it draws and costs."""
    stacked = stack([lower(system) for system in part.systems])
    setting, phase = part.question.setting, part.question.workload.phase
    times = bound_times(stacked, setting, phase, part.rows, part.batch)
    found = operate(stacked, setting, phase, part.rows, part.batch)
    power = chip_parts(stacked, setting, found)
    for index, document in enumerate(documents):
        document["breakdown"] += breakdown_rows(times, index, part.label, phase)
        document["footprint"] += [
            {"workload": part.label, "part": name, "bytes": float(value[index])}
            for name, value in found.operation.footprint._asdict().items()
            if value[index] > 0.0
        ]
        if first:
            document["power"] = power_tree(found, power, index)
            document["cost"] = cost_tree(found, index)


def _add_formulas(documents: list[Document], part: _Part) -> None:
    stacked = stack([lower(system) for system in part.systems])
    question = part.question
    found = operate(stacked, question.setting, question.workload.phase, part.rows, part.batch)
    for index, (document, system) in enumerate(zip(documents, part.systems, strict=True)):
        document["formulas"] = formula_documents(system, question, found, index)


def breakdown_rows(times: Any, index: int, label: str, phase: str) -> list[Document]:
    """One point's time by operator group and bound, without what is zero."""
    return [
        {"workload": label, "phase": phase, "group": group, "bound": bound, "seconds": seconds}
        for group, bounds in times.items()
        for bound, values in bounds.items()
        if (seconds := float(values[index])) > 0.0
    ]


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


def _add_elasticities(documents: list[Document], part: _Part, objectives: Sequence[str]) -> None:
    """Adds the largest elasticities of the objectives."""
    points = [Point(system, part.question) for system in part.systems]
    asked = [(point, number, AT) for point in points for number in point.continuous]
    owners = [place for place, point in enumerate(points) for _ in point.continuous]
    found = slopes(asked, part.rows[owners])
    for document in documents:
        document["elasticities"] = []
    for metric in objectives:
        values = np.nan_to_num(found.elasticity(metric))
        for place, document in enumerate(documents):
            own = np.flatnonzero(np.asarray(owners) == place)
            order = own[np.argsort(-np.abs(values[own]), kind="stable")][:TOLD]
            document["elasticities"] += [
                {
                    "path": asked[i][1].path,
                    "kind": "continuous",
                    "metric": metric,
                    "value": float(values[i]),
                }
                for i in order
                if values[i] != 0.0
            ]
