"""Inverse questions: the cheapest, or the least changed, design of a study that meets a target.

The target becomes one more rule, and what is preferred the only objective, so that any method
searches it, gradients and rounding included. Operating points stay those of the study.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np

from dse import units
from dse.errors import UsageError, nearest
from dse.search.problem import StudyProblem
from dse.search.protocol import Evaluations, Parameter
from dse.search.relaxation import StudyRelaxation
from dse.spec.metrics import METRICS

CHEAPEST, LEAST_CHANGED = "cheapest", "least-changed"
PREFERENCES = (CHEAPEST, LEAST_CHANGED)
COST = "usd_per_chip_hour"
"""What the cheapest design has least of: servers, network, building, energy, for a chip."""

CHANGES = "changes"

_GOAL = re.compile(r"\s*(\w+)\s*(>=|<=)\s*(.+?)\s*")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)")
GRAMMAR = '"METRIC >= NUMBER [UNIT] [* REFERENCE]" or with <=, as "tokens_per_usd >= 1.3 * NAME"'


@attrs.frozen(kw_only=True)
class Goal:
    """`metric` at least (at most, where `upper`) `target`, SI; `text` as it was given."""

    text: str
    metric: str
    upper: bool
    target: float

    def margin(self, values: np.ndarray) -> np.ndarray:
        """[n] relative margins of [n] values of the metric; finite."""
        sign = -1.0 if self.upper else 1.0
        scaled = sign * (np.asarray(values, float) - self.target) / (abs(self.target) or 1.0)
        return np.clip(np.nan_to_num(scaled, nan=-1e30), -1e30, 1e30)


def read_goal(text: str, references: Sequence[Mapping[str, Any]]) -> Goal:
    """The goal that a text says; `references` have a name and SI metrics under the study's tasks.

    Raises UsageError, with the nearest name, for an unknown metric or reference, and for a text or
    number that cannot be read.
    """
    match = _GOAL.fullmatch(text)
    if match is None:
        raise UsageError(f"cannot read the goal {text!r}; write {GRAMMAR}")
    name, relation, right = match.groups()
    if name not in METRICS:
        _unknown("metric", name, list(METRICS))
    target = _target(name, right, references)
    if not np.isfinite(target):
        raise UsageError(f"the goal {text!r} has no finite target")
    return Goal(text=" ".join(text.split()), metric=name, upper=relation == "<=", target=target)


def _target(metric: str, text: str, references: Sequence[Mapping[str, Any]]) -> float:
    """The right side of a goal, SI: a number with a unit, a reference's own, or a multiple."""
    known = {str(reference["name"]): reference["metrics"] for reference in references}
    number = _NUMBER.fullmatch(text)
    if number is None:
        return _own(metric, text.lstrip("* "), known)
    factor, rest = float(number[1]), number[2].strip()
    if rest.startswith("*") or rest in known:
        return factor * _own(metric, rest.lstrip("* "), known)
    unit = METRICS[metric].unit
    if rest:
        return float(units.parse(f"{number[1]} {rest}", unit))
    return factor * (units.factor(unit) if METRICS[metric].named else 1.0)


def _own(metric: str, name: str, known: Mapping[str, Mapping[str, float]]) -> float:
    if name not in known:
        _unknown("reference of the study", name, list(known))
    return float(known[name][metric])


def _unknown(kind: str, name: str, names: list[str]) -> None:
    said = f"the goal names {name!r}, which is no {kind}"
    listed = "" if len(names) > 12 else f"there are {', '.join(names) or 'none'}"
    raise UsageError("; ".join(filter(None, (said, nearest(name, names), listed))))


@attrs.define(slots=False)
class GoalProblem:
    """A study asked for one design: implements `dse.search.protocol.Problem`."""

    base: StudyProblem
    goal: Goal
    prefer: str = CHEAPEST

    def __attrs_post_init__(self) -> None:
        if self.base.every_point:
            message = 'operate = "all" asks for every operating point, a goal for one design'
            raise UsageError(f"{message}; operate by one metric")

    @property
    def name(self) -> str:
        return f"{self.base.name}: {self.prefer} with {self.goal.text}"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.base.parameters

    @property
    def objectives(self) -> tuple[str, ...]:
        return (COST,) if self.prefer == CHEAPEST else (CHANGES, COST)

    @property
    def senses(self) -> tuple[str, ...]:
        return ("min",) * len(self.objectives)

    @property
    def rules(self) -> tuple[str, ...]:
        return (*self.base.rules, self.goal.text)

    @property
    def references(self) -> Sequence[Any]:
        return ()

    @cached_property
    def fingerprint(self) -> str:
        """Of the study, the goal and the preference."""
        said = f"{self.base.fingerprint} {self.goal!r} {self.prefer}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @cached_property
    def start(self) -> np.ndarray:
        """[p] levels of the design that changes count from: the study's system among its
        references, or their first; the first levels where there are none."""
        names = [system.name for system in self.base.references]
        rows = self.base.initial()
        own = self.base.study.system.name
        if not len(rows):
            return np.zeros(len(self.parameters), np.int64)
        return np.asarray(rows[names.index(own) if own in names else 0])

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        """As the study, with the preference as objective and the goal as the last rule."""
        found = self.base.evaluate(levels)
        objectives, margins = self.judged(levels, found.metrics, found.margins)
        return attrs.evolve(found, objectives=objectives, margins=margins)

    def judged(
        self, positions: np.ndarray, metrics: Mapping[str, np.ndarray], margins: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Objectives [n, k] and margins [n, c] at [n, p] positions."""
        columns = [np.asarray(metrics[COST], float)]
        if self.prefer == LEAST_CHANGED:
            columns.insert(0, self.changes(positions))
        return np.stack(columns, axis=1), np.column_stack(
            [margins, self.goal.margin(metrics[self.goal.metric])]
        )

    def changes(self, positions: np.ndarray) -> np.ndarray:
        """[n] parameters that differ from the start; of numbers, small changes count a bit less."""
        sizes = np.array([len(p.levels) for p in self.parameters])
        ordered = np.array([p.ordered for p in self.parameters])
        away = np.abs(positions - self.start)
        share = away / np.maximum(sizes - 1, 1)
        return np.asarray(
            np.where(ordered, 0.9 * np.minimum(away, 1.0) + 0.1 * share, away > 0.0).sum(axis=1)
        )

    def describe(self) -> dict[str, Any]:
        """The study's description, with the question."""
        described = self.base.describe()
        described["objectives"] = dict(zip(self.objectives, self.senses, strict=True))
        return described | {
            "goal": self.goal.text,
            "target": self.goal.target,
            "prefer": self.prefer,
        }

    def initial(self) -> np.ndarray:
        """[m, p] designs to begin with: the start, then the references."""
        return np.vstack([self.start[None, :], self.base.initial()])

    @cached_property
    def relaxed(self) -> GoalRelaxation | None:
        """The question between levels; None where the study has no such form."""
        return None if self.base.relaxed is None else GoalRelaxation(self.base, self)


@attrs.define(slots=False)
class GoalRelaxation(StudyRelaxation):
    """A study between its levels, asked for a goal."""

    asked: GoalProblem

    def values(
        self, positions: np.ndarray, mappings: Sequence[Mapping[str, Any]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Preference and margins, the goal's last, with mappings held."""
        metrics, margins = self.attained(positions, mappings)
        return self.asked.judged(positions, metrics, margins)


def answer(problem: GoalProblem, data: Any) -> dict[str, Any] | None:
    """The design that a run of `problem` found, JSON-ready; None if none meets the goal.

    `design`, `changes` from the start, SI `metrics` that are objectives or the goal's, `mapping`.
    """
    if not len(data.front):
        return None
    best = int(data.front[np.lexsort(data.objectives[data.front].T[::-1])[0]])
    described = data.problem["parameters"]
    rows = zip(described, data.levels[best], problem.start, strict=True)
    changes = [
        {"path": p["path"], "from": p["levels"][base], "to": p["levels"][level]}
        for p, level, base in rows
        if level != base
    ]
    chosen = zip(described, data.levels[best], strict=True)
    return {
        "goal": problem.goal.text,
        "target": problem.goal.target,
        "prefer": problem.prefer,
        "id": best,
        "design": {p["path"]: p["values"][level] for p, level in chosen},
        "changes": changes,
        "metrics": {
            name: METRICS[name].written(float(data.metrics[name][best]))
            for name in dict.fromkeys((problem.goal.metric, COST, *problem.base.objectives))
        },
        "mapping": data.mapping[best],
        "evaluated": len(data.levels),
    }
