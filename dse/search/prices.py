"""What a limit is worth at a design: how much more the first objective gains where it is loosened.

To first order, between the levels of the space: the free numbers that one more percent of a limit
is best spent on, one alone or, where another limit binds as well, two of which the second makes
room in that other. So a price can be had by moving what it names, and at an optimum it is the
Lagrange multiplier. A number at an end of its levels moves inwards alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dse.model.pytree import lower
from dse.model.rules import RULES
from dse.search.problem import StudyProblem
from dse.search.slopes import Leaves
from dse.search.works import works
from dse.spec.metrics import LATENCIES, METRICS
from dse.spec.system import System

NEAR = 0.1
"""Margin up to which a limit is priced."""

BINDS = 0.01
"""Margin below which a limit binds, and what is spent on another must not use more of it."""

REACH = 10.0
"""Percent by which a number moves at most where a limit is loosened by one."""

LEAST = 1e-6
"""Uses and gains below this are none."""

Document = dict[str, Any]


class _Limit(NamedTuple):
    """A limit in SI, in whose `unit` people see it; `use` [p] is d ln value / d ln number."""

    name: str
    value: float
    unit: str
    margin: float
    use: np.ndarray

    @property
    def room(self) -> float:
        """Percent of its value that may still be used."""
        return 100.0 * self.margin if self.margin > BINDS else LEAST


class _Spent(NamedTuple):
    """What a percent of a limit gains in percent, and the numbers that take it, in percent."""

    gain: float
    changes: Mapping[int, float]


NOTHING = _Spent(0.0, {})


def limit_prices(
    problem: StudyProblem, system: System, margins: Mapping[str, float], leaves: Leaves
) -> list[Document]:
    """The limits that bind a design or nearly do, those worth most first; none where one is broken.

    Each has `limit`, its `value` (SI) and `unit`, `margin`, whether it is `binding`, the `metric`
    and its relative gain for a relative loosening (`elasticity`) and for one unit (`per_unit`),
    `via`, the numbers that it is spent on with how far they move for one (`change`), what all
    `objectives` do then, and `held_by`, the limits without which it would be worth more.
    """
    if min(margins.values()) < 0.0:
        return []
    free = _Free(problem, leaves)
    limits = [each for each in _limits(problem, system, margins, free) if each.use.any()]
    rows = [_row(problem, each, limits, free) for each in limits]
    rows += _operating(problem, system, margins, leaves)
    return sorted(rows, key=lambda row: -abs(row["elasticity"]))


class _Free:
    """The free numbers of a design: `places` among all leaves, and which way each may go."""

    def __init__(self, problem: StudyProblem, leaves: Leaves) -> None:
        names = list(leaves.numbers)
        ordered = [p for p in problem.parameters if p.ordered and p.path in leaves.numbers]
        self.paths = [parameter.path for parameter in ordered]
        self.leaves = leaves
        self.places = np.array([names.index(path) for path in self.paths], int)
        values = np.array([leaves.numbers[path].value for path in self.paths])
        ends = np.array([(min(p.levels), max(p.levels)) for p in ordered]).reshape(-1, 2)
        self.up = values < ends[:, 1] * (1.0 - LEAST)
        self.down = values > ends[:, 0] * (1.0 + LEAST)
        self.objectives = {
            name: np.nan_to_num(leaves.slopes.elasticity(name)[self.places])
            for name in problem.objectives
        }

    def use(self, rule: str, share: float) -> np.ndarray:
        """d ln value / d ln number [p] of a rule whose value is `share` of its limit."""
        slopes = self.leaves.slopes.margin_slopes[rule][self.places]
        used = np.nan_to_num(-slopes / max(share, LEAST))
        return np.asarray(np.where(np.abs(used) > LEAST, used, 0.0))

    def may(self, change: np.ndarray) -> np.ndarray:
        """[p] where each number may move as `change` says, the last axis of which is of numbers."""
        within = np.abs(change) <= REACH
        return np.asarray(within & np.where(change > 0.0, self.up, self.down))


def _limits(
    problem: StudyProblem, system: System, margins: Mapping[str, float], free: _Free
) -> Iterator[_Limit]:
    """Limits of the study on metrics that are near, then the model's rules of a design."""
    for own in problem.study.constraints:
        near = margins.get(own.text, 1.0) < NEAR
        if near and own.name not in LATENCIES and own.limit:
            share = 1.0 - (1.0 if own.upper else -1.0) * margins[own.text]
            use, unit = free.use(own.text, share), METRICS[own.metric].unit
            yield _Limit(own.text, own.limit, unit, margins[own.text], use)
    for rule in RULES:
        margin = margins.get(rule.name, 1.0)
        if margin < NEAR and rule.unit != "1":
            use, value = free.use(rule.name, 1.0 - margin), float(rule.bound(lower(system)))
            yield _Limit(rule.name, value, rule.unit, margin, use)


def _row(problem: StudyProblem, limit: _Limit, limits: Sequence[_Limit], free: _Free) -> Document:
    held = [each for each in limits if each is not limit]
    metric = problem.objectives[0]
    sign = 1.0 if problem.senses[0] == "max" else -1.0
    gains = sign * free.objectives[metric]
    spent = _best(gains, limit.use, held, free)
    alone = _best(gains, limit.use, [], free)
    blocking = [
        each.name
        for each in held
        if alone.gain > spent.gain + LEAST
        and sum(each.use[i] * change for i, change in alone.changes.items()) > each.room
    ]
    via = [{"path": free.paths[i], "change": change} for i, change in spent.changes.items()]
    objectives = {
        name: sum(float(slopes[i]) * change for i, change in spent.changes.items())
        for name, slopes in free.objectives.items()
    }
    return _document(limit, metric, sign * spent.gain) | {
        "via": via,
        "objectives": objectives,
        "held_by": blocking,
    }


def _document(limit: _Limit, metric: str, elasticity: float) -> Document:
    from dse import units

    seen = limit.value / (units.factor(limit.unit) if limit.unit != "1" else 1.0)
    return {
        "limit": limit.name,
        "value": limit.value,
        "unit": limit.unit,
        "margin": limit.margin,
        "binding": limit.margin < BINDS,
        "metric": metric,
        "elasticity": elasticity,
        "per_unit": elasticity / abs(seen),
        "via": [],
        "objectives": {metric: elasticity},
        "held_by": [],
    }


def _best(gains: np.ndarray, use: np.ndarray, held: Sequence[_Limit], free: _Free) -> _Spent:
    """The best of one number, and of two where one of the other limits, which hold, needs both."""
    best = NOTHING
    if not use.any():
        return best
    with np.errstate(all="ignore"):
        change = np.where(use != 0.0, 1.0 / use, 0.0)
        legal = free.may(change) & (change != 0.0)
        for other in held:
            legal &= other.use * change <= other.room
        found = np.where(legal, gains * change, 0.0)
    if len(found) and found.max() > LEAST:
        place = int(np.argmax(found))
        best = _Spent(float(found[place]), {place: float(change[place])})
    for number, other in enumerate(held):
        rest = [each for place, each in enumerate(held) if place != number]
        if other.margin < BINDS:
            both = _pair(gains, use, other.use, rest, free)
            best = max(best, both, key=lambda each: each.gain)
    return best


def _pair(
    gains: np.ndarray, use: np.ndarray, held: np.ndarray, rest: Sequence[_Limit], free: _Free
) -> _Spent:
    """The best two numbers that take one more of a limit and no more of another that is `held`."""
    with np.errstate(all="ignore"):
        area = use[:, None] * held[None, :] - use[None, :] * held[:, None]
        one = np.where(np.abs(area) > LEAST, held[None, :] / area, 0.0)
        two = np.where(np.abs(area) > LEAST, -held[:, None] / area, 0.0)
    legal = free.may(one.T).T & free.may(two) & (one != 0.0) & (two != 0.0)
    for other in rest:
        legal &= other.use[:, None] * one + other.use[None, :] * two <= other.room
    found = np.where(legal, gains[:, None] * one + gains[None, :] * two, 0.0)
    if not found.size or found.max() <= LEAST:
        return NOTHING
    i, j = map(int, np.unravel_index(np.argmax(found), found.shape))
    return _Spent(float(found[i, j]), {i: float(one[i, j]), j: float(two[i, j])})


def _operating(
    problem: StudyProblem, system: System, margins: Mapping[str, float], leaves: Leaves
) -> Iterator[Document]:
    """Limits that the batch follows by itself: latencies, and memory."""
    names, slopes = list(leaves.numbers), leaves.slopes

    def elasticity(name: str, metric: str) -> float:
        return float(np.nan_to_num(slopes.elasticity(metric)[names.index(name)]))

    def gained(name: str, paths: Mapping[str, float], value: float, unit: str, of: str) -> Document:
        each = {
            metric: sum(factor * elasticity(path, metric) for path, factor in paths.items())
            for metric in problem.objectives
        }
        first = problem.objectives[0]
        limit = _Limit(name, value, unit, margins[of], np.zeros(0))
        return _document(limit, first, each[first]) | {"objectives": each}

    made = []
    for latency in LATENCIES:
        by_limit: dict[float, dict[str, float]] = {}
        for work in works(problem):
            path = f"workload.{latency}"
            name = path if path in leaves.numbers else f"{path}@{work.label}"
            if name in leaves.numbers:
                by_limit.setdefault(leaves.numbers[name].value, {})[name] = 1.0
        for value, paths in by_limit.items():
            shown = leaves.numbers[next(iter(paths))].leaf.show(value)
            made.append(gained(f"{latency} <= {shown}", paths, value, "ms", latency))
    reserve = "chip.memory.reserve"
    if reserve in leaves.numbers:
        memory, kept = system.chip.memory, leaves.numbers[reserve].value
        room = float(memory.capacity * (1.0 - memory.reserve))
        made.append(gained("memory", {reserve: -(1.0 - kept) / kept}, room, "GB", "memory"))
    yield from (row for row in made if abs(row["elasticity"]) > LEAST)
