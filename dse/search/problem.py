"""A study as a search problem: level indices in, objectives and margins of every rule out.

Levels are bound once, in the language; what a level changes in the model's leaves becomes a table,
and a batch of designs is one gather per changed leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import attrs
import jax
import numpy as np

import dse
from dse.errors import SpecError
from dse.model.disaggregation import Disaggregated, disaggregate, sides
from dse.model.evaluator import Evaluation, Question, evaluate
from dse.model.pairs import Block
from dse.model.programs import source_hash
from dse.model.pytree import lower, stack
from dse.model.screen import MEMORY, screen
from dse.search.mix import mixed
from dse.search.pairs import front_of_pairs
from dse.search.parameters import described, nearest_level, searched
from dse.search.protocol import Evaluations, Parameter, Points
from dse.search.space import space_size
from dse.spec.metrics import EVERY, LATENCIES, METRICS
from dse.spec.space import bind, fixed, look_up
from dse.spec.study import Constraint, Study, Task
from dse.spec.system import System

if TYPE_CHECKING:
    from dse.search.relaxation import StudyRelaxation

Found = Evaluation | Disaggregated
"""What designs give under a workload, alone or with a system that decodes what they read."""


@attrs.define(slots=False)
class StudyProblem:
    """Implements `dse.search.protocol.Problem` for a study."""

    study: Study

    def __attrs_post_init__(self) -> None:
        if not self.parameters:
            raise SpecError(f"study {self.study.name} has no free parameters")

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The free leaves; numbers and counts are ordered, specs and words are not."""
        return searched(self.study.system)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives."""
        return tuple(self.study.objectives)

    @property
    def senses(self) -> tuple[str, ...]:
        """ "max" or "min" for each objective."""
        return tuple(self.study.objectives.values())

    @cached_property
    def rules(self) -> tuple[str, ...]:
        """Names of all rules: of the model, then the study's own."""
        return tuple(self.least_margins(self._evaluate(self._stacked(self._first()))))

    @property
    def references(self) -> Sequence[System]:
        """The systems that are shown beside the designs."""
        return self.study.references

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the study with all its specs, and of this version of the model."""
        study = attrs.evolve(self.study, file="", budget=1, seed=0, method="nsga2", doc="")
        content = f"{dse.__version__} {source_hash()} {study!r}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        """Evaluations of [n, p] level indices."""
        return self.evaluations(self._evaluate(self._stacked(levels)), len(levels))

    def evaluations(self, found: list[Found], number: int) -> Evaluations:
        """What `number` designs attain, from what each workload gives."""
        metrics = self.mix(found)
        margins = self.least_margins(found)
        return Evaluations(
            objectives=np.stack([metrics[name] for name in self.objectives], axis=1),
            margins=np.stack(list(margins.values()), axis=1),
            metrics=metrics,
            mapping=_Mappings(self, found, number),
        )

    @property
    def every_point(self) -> bool:
        """Whether all operating points that none dominates are asked for."""
        return self.study.operate == EVERY

    def operating_points(self, levels: np.ndarray) -> Points:
        """Those of [n, p] level indices."""
        return front_of_pairs(self, self._stacked(levels), self.questions[0])

    def limited(self, block: Block) -> dict[str, np.ndarray]:
        """Margins [n, m] by rule of all pairs of a block; the study's own limits last."""
        own = [limit for limit in self.study.constraints if limit.name not in LATENCIES]
        limits = {limit.text: _room(limit, block.metrics[limit.metric]) for limit in own}
        return {**block.margins, **limits}

    def screen(self, levels: np.ndarray) -> dict[str, np.ndarray]:
        """Margins [n], by rule, that [n, p] level indices have whatever the operating point.

        Where one is negative the rule's margin is negative in `evaluate` too, but for rounding.
        """
        systems = self._stacked(levels)
        margins: dict[str, np.ndarray] = {}
        for task, question in zip(self.study.tasks, self.questions, strict=True):
            found, metrics = screen(systems, question)
            weights = found.pop(MEMORY)
            margins |= found
            if task.decoder is not None:
                # figures and memory are those of two systems together
                continue
            margins[MEMORY] = np.minimum(margins.get(MEMORY, np.inf), weights)
            for limit in self.study.constraints:
                if limit.metric in metrics and limit.workload in ("", task.workload.name):
                    margins[limit.text] = _room(limit, metrics[limit.metric])
        known = {rule: margins[rule] for rule in self.rules if rule in margins}
        # what a designer would change first names the reason
        return {rule: known[rule] for rule in sorted(known, key=lambda rule: rule == MEMORY)}

    def __reduce__(self) -> tuple[type[StudyProblem], tuple[Study]]:
        return type(self), (self.study,)

    def describe(self) -> dict[str, Any]:
        """What a reader of the run folder needs, references evaluated."""
        study = self.study
        return {
            "study": study.name,
            "doc": study.doc,
            "system": study.system.name,
            "price_basis": study.price_basis,
            "software": study.software.name,
            "facility": study.facility.name,
            "workloads": [_task(task) for task in study.tasks],
            "space": self.size,
            "parameters": [described(p) for p in self.parameters],
            "objectives": dict(study.objectives),
            "operate": study.operate,
            "constraints": [constraint.text for constraint in study.constraints],
            "rules": list(self.rules),
            "references": self.evaluate_references(),
            "version": dse.__version__,
        }

    @property
    def size(self) -> int:
        """Designs of the space."""
        return space_size(self.parameters)

    def judged(self, systems: Sequence[System], price: float = 1.0) -> Evaluations:
        """What systems attain, of the space or not, paid at `price` times their price."""
        lowered = stack([lower(fixed(system)) for system in systems])
        return self.evaluations(self._evaluate(lowered, price), len(systems))

    def price_of(self, system: System) -> float:
        """What a system is paid at, USD for each of its chips."""
        found = self._evaluate(stack([lower(fixed(system))]))[0]
        alone = found.read if isinstance(found, Disaggregated) else found
        return float(np.asarray(alone.result.design.price.total)[0]) / system.chips

    def paying_for(self, name: str) -> StudyProblem:
        """The problem at the price basis of a reference; itself for all others and designs."""
        bases = dict(
            zip((r.name for r in self.references), self.study.reference_bases, strict=True)
        )
        basis = bases.get(name, self.study.price_basis)
        if basis == self.study.price_basis:
            return self
        if basis not in self._paying:
            self._paying[basis] = attrs.evolve(
                self, study=attrs.evolve(self.study, price_basis=basis)
            )
        return self._paying[basis]

    @cached_property
    def _paying(self) -> dict[str, StudyProblem]:
        """The problem at other price bases."""
        return {}

    def evaluate_references(self) -> list[dict[str, Any]]:
        """Each reference at its best operating point, with the rules that it breaks."""
        made = []
        for system, basis in zip(self.references, self.study.reference_bases, strict=True):
            lowered = stack([lower(fixed(system))])
            found = self.paying_for(system.name)._evaluate(lowered)
            margins = {name: float(v[0]) for name, v in self.least_margins(found).items()}
            violated = [name for name, value in margins.items() if value < 0.0]
            made.append(
                {
                    "name": system.name,
                    "price_basis": basis,
                    "design": self.design(system),
                    "mapping": self._mapping(found, 0),
                    "metrics": {n: float(v[0]) for n, v in self.mix(found).items()},
                    "margins": margins,
                    "feasible": not violated,
                    "violated": violated,
                }
            )
        return made

    def design(self, system: System) -> dict[str, Any]:
        """What a system has at the paths that the study searches."""
        values = {p.path: look_up(system, p.path) for p in self.parameters}
        return {path: getattr(value, "name", value) for path, value in values.items()}

    def initial(self) -> np.ndarray:
        """[m, p] level indices of the designs of the space that are nearest to the references."""
        rows = dict.fromkeys(
            tuple(nearest_level(p, look_up(system, p.path)) for p in self.parameters)
            for system in self.references
        )
        return np.asarray([*rows], np.int64).reshape(-1, len(self.parameters))

    def bound(self, levels: Sequence[int]) -> System:
        """One design as a spec."""
        return fixed(self.uncertain(levels))

    def uncertain(self, levels: Sequence[int]) -> System:
        """One design as a spec that keeps its beliefs of what is not known."""
        chosen = {p.path: p.levels[i] for p, i in zip(self.parameters, levels, strict=True)}
        return bind(self.study.system, chosen)

    def levels_of(self, design: Mapping[str, Any]) -> list[int]:
        """Level indices of a design as files have it: values by path, specs by name."""
        plain = [[getattr(v, "name", v) for v in p.levels] for p in self.parameters]
        pairs = zip(self.parameters, plain, strict=True)
        return [values.index(design[parameter.path]) for parameter, values in pairs]

    def _first(self) -> np.ndarray:
        return np.zeros((1, len(self.parameters)), np.int64)

    @property
    def labels(self) -> list[str]:
        """What each workload's mapping is called."""
        return [_label(task, self.study.tasks) for task in self.study.tasks]

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """What designs are asked by each workload, latency limits of the study included."""
        study = self.study
        chosen = study.operate if study.operate != EVERY else self.objectives[0]
        return tuple(
            Question(
                model=task.model,
                workload=_limited(task, study.constraints),
                software=study.software,
                facility=study.facility,
                price_basis=study.price_basis,
                objective=chosen,
                sense=study.objectives.get(chosen, METRICS[chosen].better),
            )
            for task in study.tasks
        )

    @cached_property
    def _tables(self) -> tuple[list[np.ndarray], list[tuple[int, int, np.ndarray]]]:
        """Leaves of the first design, and (leaf, parameter, values by level) of what changes."""
        start = {p.path: p.levels[0] for p in self.parameters}
        base = fixed(bind(self.study.system, start))
        leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(lower(base))]
        changes: list[tuple[int, int, np.ndarray]] = []
        for index, parameter in enumerate(self.parameters):
            bound = (bind(base, {parameter.path: level}) for level in parameter.levels)
            columns = np.asarray([jax.tree.leaves(lower(fixed(b))) for b in bound], np.float32)
            varying = np.flatnonzero((columns != columns[0]).any(axis=0))
            changes.extend((int(leaf), index, columns[:, leaf]) for leaf in varying)
        return leaves, changes

    def _stacked(self, levels: np.ndarray) -> System:
        """[n, p] level indices as a lowered System with leaves [n]."""
        leaves, changes = self._tables
        columns = [np.full(len(levels), leaf, np.float32) for leaf in leaves]
        for leaf, parameter, values in changes:
            columns[leaf] = values[levels[:, parameter]]
        structure = jax.tree.structure(lower(fixed(self.study.system)))
        return jax.tree.unflatten(structure, columns)

    def _evaluate(self, systems: System, price: float = 1.0) -> list[Found]:
        questions = [attrs.evolve(question, price=price) for question in self.questions]
        each = zip(self.study.tasks, questions, self._answers, strict=True)
        return [
            disaggregate(systems, question, answer) if task.decoder else evaluate(systems, question)
            for task, question, answer in each
        ]

    @cached_property
    def _answers(self) -> tuple[Evaluation | None, ...]:
        """How each workload's own system decodes; None where designs do."""
        asked = zip(self.study.tasks, self.questions, strict=True)
        return tuple(
            evaluate(stack([lower(task.decoder)]), sides(question)[1])
            if isinstance(task.decoder, System)
            else None
            for task, question in asked
        )

    def least_margins(self, found: Sequence[Any]) -> dict[str, np.ndarray]:
        """The least margin of each rule over all workloads; the study's own limits last."""
        margins = {
            name: np.min([each.margins[name] for each in found], axis=0)
            for name in found[0].margins
        }
        for constraint in self.study.constraints:
            if constraint.name not in LATENCIES:
                margins[constraint.text] = self._limit(constraint, found)
        return {name: np.asarray(value, np.float64) for name, value in margins.items()}

    def _limit(self, constraint: Constraint, found: Sequence[Any]) -> np.ndarray:
        tasks = zip(found, self.study.tasks, strict=True)
        values = [
            each.metrics[constraint.metric]
            for each, task in tasks
            if constraint.workload in ("", task.workload.name)
        ]
        return np.min([_room(constraint, value) for value in values], axis=0)

    def mix(self, found: Sequence[Any]) -> dict[str, np.ndarray]:
        """Metrics of the mix of workloads, SI, float64; weights are shares of the tokens."""
        return mixed([each.metrics for each in found], [task.weight for task in self.study.tasks])

    def _mapping(self, found: list[Found], index: int) -> dict[str, Any]:
        made = {}
        for label, each in zip(self.labels, found, strict=True):
            if isinstance(each, Disaggregated):
                made[f"{label}.prefill"] = _point(each.read, index)
                made[f"{label}.decode"] = _point(each.answer, index)
            else:
                made[label] = _point(each, index)
        return made

    @cached_property
    def relaxed(self) -> StudyRelaxation | None:
        """The study between its levels; None where another system decodes for a workload."""
        from dse.search.relaxation import StudyRelaxation

        decodes = any(task.decoder for task in self.study.tasks)
        return None if decodes else StudyRelaxation(self)


class _Mappings(Sequence[dict[str, Any]]):
    """The mappings of designs, each made when it is asked for: a sweep keeps very few."""

    def __init__(self, problem: StudyProblem, found: list[Found], number: int) -> None:
        self._made = partial(problem._mapping, found)
        self._number = number

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, index: Any) -> Any:
        places = range(self._number)[index]
        return [*map(self._made, places)] if isinstance(index, slice) else self._made(places)


def _room(constraint: Constraint, values: np.ndarray) -> np.ndarray:
    """Relative margins [n] of a limit of the study."""
    sign = 1.0 if constraint.upper else -1.0
    scale = abs(constraint.limit) or 1.0
    return np.asarray(sign * (constraint.limit - values) / scale)


def _point(found: Evaluation, index: int) -> dict[str, Any]:
    return found.mapping(index) | {"batch": int(np.asarray(found.result.metrics["batch"])[index])}


def _label(task: Task, tasks: Sequence[Task]) -> str:
    """The workload's name, with the model's where several models share it."""
    twins = [other for other in tasks if other.workload.name == task.workload.name]
    return task.workload.name if len(twins) == 1 else f"{task.workload.name}@{task.model.name}"


def _limited(task: Task, constraints: Sequence[Constraint]) -> Any:
    """The workload with the study's latency limits, where they are tighter."""
    workload = task.workload
    for constraint in constraints:
        applies = constraint.workload in ("", workload.name)
        if constraint.name in LATENCIES and applies:
            limit = min(getattr(workload, constraint.name), constraint.limit)
            workload = attrs.evolve(workload, **{constraint.name: limit})
    return workload


def _task(task: Task) -> dict[str, Any]:
    workload = task.workload
    return {
        "model": task.model.name,
        "workload": workload.name,
        # who both reads and decodes has a time to the first token as well
        "phase": "serve" if task.decoder else workload.phase,
        "weight": task.weight,
        **({"decode_system": getattr(task.decoder, "name", task.decoder)} if task.decoder else {}),
        "precision": {
            name: getattr(workload, name)
            for name in ("weights", "key_values", "activations", "communication")
        },
    }
