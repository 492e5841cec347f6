"""What would bring a reference to the front, or a design within all rules: each change alone, then
all in their best order; and a price.

A reference that differs from a design of the front only in what the study searches is evaluated
with these changes. Whether it does is asked of the specs: a chip may carry a stack of the
catalogue at a rate of its own, and that is a change too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import attrs
import jax
import numpy as np

from dse.model.pytree import lower
from dse.search.folder import COMPARED, write_json
from dse.search.front import distance, to_maximise
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.result import PRICED, front_document
from dse.spec.space import bind, fixed, look_up
from dse.spec.system import System

NEAR = 1e-5
"""How far inside the front a reference still counts as on it: what rounding adds."""

MOST = 3
"""Changes together that may make a system feasible."""

STEPS = 40
"""Prices tried at most; false position needs some six."""


def compared(problem: StudyProblem, data: RunData) -> RunData:
    """The run's data with what brings its references to the front, kept in the run's folder.

    Raises RunError if it cannot be written there.
    """
    if data.compared or not len(data.front):
        return data
    said = approaches(problem, data)
    write_json(data.folder, COMPARED, {"rows": len(data.levels), "references": said})
    return data.with_compared(said)


def approaches(problem: StudyProblem, data: RunData) -> dict[str, dict[str, Any]]:
    """By the name of a reference: `steps`, if it lies in the space, and `chip_price`.

    A step is a change, each time the one that leads farthest, with how far inside the front the
    reference stands with it alone (`alone`) and with all up to it (`together`), what it gains alone
    (`gain`), and which rules it then breaks. `purchase` is what the system must be paid at to join
    the front, energy and building as they are: a `factor` and `usd_per_chip`; None where no price
    suffices.
    """
    front = data.values[data.front]
    made = {}
    for system, shown in zip(problem.references, front_document(data)["references"], strict=True):
        said: dict[str, Any] = {}
        inside = Inside(problem.paying_for(system.name), front)
        if changes := shown.get("changes"):
            levels = data.levels[changes["point"]]
            said["steps"] = steps(inside, system, problem.bound(levels))
        if (shown["distance"] or 0.0) > NEAR and set(problem.objectives) & set(PRICED):
            said["purchase"] = purchase(inside, system)
        made[system.name] = said
    return made


class Inside:
    """How far systems stand inside a front [n, k]."""

    def __init__(self, problem: StudyProblem, front: np.ndarray) -> None:
        self.problem = problem
        self._front = front

    def __call__(
        self, systems: Sequence[System], price: float = 1.0
    ) -> tuple[list[float], list[list[str]]]:
        """Of each system its distance, and the rules that it breaks."""
        found = self.problem.judged(systems, price)
        values = to_maximise(found.objectives, self.problem.senses)
        broken = [
            [rule for rule, margin in zip(self.problem.rules, row, strict=True) if margin < 0.0]
            for row in found.margins
        ]
        return [distance(self._front, one) for one in values], broken


def steps(inside: Inside, system: System, target: System) -> list[dict[str, Any]] | None:
    """The changes from a reference to a design, each time the one that leads farthest.

    None where the two differ in more than what is searched.
    """
    paths = [parameter.path for parameter in inside.problem.parameters]
    wanted = {path: look_up(target, path) for path in paths}
    if not _same(bind(system, wanted), target):
        return None
    options = [
        Change(path, wanted[path])
        for path in paths
        if not _same(bind(system, {path: wanted[path]}), system)
    ]
    (start,), _ = inside([system])
    alone: dict[Change, tuple[float, list[str]]] = {}

    def best(done: Sequence[Change], left: Sequence[Change]) -> int:
        found, broken = inside([Change.all(system, [*done, each]) for each in left])
        if not done:
            alone.update(zip(left, zip(found, broken, strict=True), strict=True))
        together.append(min(found))
        return int(np.argmin(found))

    together: list[float] = []
    order = _in_turn(options, best, len(options))
    return [
        {
            **_change(each.path, look_up(system, each.path), each.value),
            "alone": alone[each][0],
            "gain": start - alone[each][0],
            "breaks": alone[each][1],
            "together": reached,
        }
        for each, reached in zip(order, together, strict=True)
    ]


def _name(value: Any) -> Any:
    """A spec by its name; anything else as it is."""
    return getattr(value, "name", value)


@attrs.frozen
class Change:
    """A path of a system and what it is to hold."""

    path: str
    value: Any = attrs.field(eq=_name)

    @staticmethod
    def all(system: System, changes: Sequence[Change]) -> System:
        """The system with all changes."""
        return bind(system, {each.path: each.value for each in changes})


def _in_turn(
    options: Sequence[Change],
    best: Callable[[Sequence[Change], Sequence[Change]], int | None],
    most: int,
) -> list[Change]:
    """Changes, each time the best of those left after those done; each path once.

    `best` gives the place of the best, or None where no more is wanted.
    """
    done: list[Change] = []
    left = list(options)
    while left and len(done) < most:
        place = best(done, left)
        if place is None:
            break
        done.append(left[place])
        left = [each for each in left if each.path != done[-1].path]
    return done


def repairs(problem: StudyProblem, system: System) -> list[dict[str, Any]]:
    """The smallest changes of what is searched that make a system keep all rules.

    For each parameter that does so alone the level that loses least of the first objective, the
    best first; where none does, two or three changes, each time the one that leaves least broken.
    Each has `changes` (path, from, to), `feasible`, the rules still `broken`, the `objectives` and
    their relative `gain`. None where the system keeps all rules.
    """
    judge = _Repair(problem, system)
    if judge.start.broken == 0.0:
        return []
    single = judge.all_alone()
    if single:
        return [judge.document([change]) for change in single]
    return [judge.document(judge.together())]


class _Standing(NamedTuple):
    """How far a system breaks rules (sum of shares of limits), and its first merit.

    `objectives` [k] and `margins` [c] as `Evaluations` has them.
    """

    broken: float
    merit: float
    objectives: np.ndarray
    margins: np.ndarray


def _least(stands: Sequence[_Standing]) -> int:
    """The place of what breaks least; of those that break alike the best."""
    return min(range(len(stands)), key=lambda i: (stands[i].broken, -stands[i].merit))


class _Repair:
    """Changes of a system, judged many at once."""

    def __init__(self, problem: StudyProblem, system: System) -> None:
        self.problem = problem
        self.system = system
        self.options = list(self._options())
        self.known: dict[tuple[Change, ...], _Standing] = {}
        (self.start,) = self._judge([()])

    def _options(self) -> Iterator[Change]:
        """Every other level of what is free whatever else is chosen."""
        for parameter in self.problem.parameters:
            if parameter.needs:
                continue
            for level in parameter.levels:
                if not _same(bind(self.system, {parameter.path: level}), self.system):
                    yield Change(parameter.path, level)

    def _judge(self, tried: Sequence[tuple[Change, ...]]) -> list[_Standing]:
        """How systems with these changes stand."""
        new = [each for each in tried if each not in self.known]
        systems = [Change.all(self.system, each) for each in new]
        if systems:
            found = self.problem.judged(systems)
            merits = to_maximise(found.objectives, self.problem.senses)[:, 0]
            broken = -np.minimum(found.margins, 0.0).sum(axis=1)
            for index, each in enumerate(new):
                figures = found.objectives[index], found.margins[index]
                self.known[each] = _Standing(float(broken[index]), float(merits[index]), *figures)
        return [self.known[each] for each in tried]

    def all_alone(self) -> list[Change]:
        """The best level of each parameter that makes the system feasible by itself."""
        stands = self._judge([(each,) for each in self.options])
        found = [(s.merit, c) for s, c in zip(stands, self.options, strict=True) if not s.broken]
        best: dict[str, Change] = {}
        for _, change in sorted(found, key=lambda pair: -pair[0]):
            best.setdefault(change.path, change)
        return list(best.values())

    def together(self) -> list[Change]:
        """Up to MOST changes; fewer where some of them are enough."""
        made = _in_turn(self.options, self._best, MOST)
        pairs = list(combinations(made, 2))
        stands = self._judge(pairs)
        enough = [(s.merit, p) for s, p in zip(stands, pairs, strict=True) if not s.broken]
        return self._refined(max(enough, key=lambda pair: pair[0])[1] if enough else tuple(made))

    def _refined(self, made: tuple[Change, ...]) -> list[Change]:
        """The same paths, each in turn at the level that breaks least and then loses least."""
        for place in range(len(made)):
            path = made[place].path
            levels = [each for each in self.options if each.path == path]
            tried = [(*made[:place], each, *made[place + 1 :]) for each in levels]
            made = tried[_least(self._judge(tried))]
        return list(made)

    def _best(self, done: Sequence[Change], left: Sequence[Change]) -> int | None:
        if done and self.known[tuple(done)].broken == 0.0:
            return None
        return _least(self._judge([(*done, each) for each in left]))

    def document(self, changes: Sequence[Change]) -> dict[str, Any]:
        """What changes lead to."""
        problem = self.problem
        standing = self.known[tuple(changes)]
        before, after = self.start.objectives, standing.objectives
        rules = zip(problem.rules, standing.margins, strict=True)
        return {
            "changes": [
                _change(each.path, look_up(self.system, each.path), each.value) for each in changes
            ],
            "feasible": standing.broken == 0.0,
            "broken": [rule for rule, margin in rules if margin < 0.0],
            "objectives": dict(zip(problem.objectives, map(float, after), strict=True)),
            "gain": {
                name: float(after[i] / before[i] - 1.0) if before[i] else None
                for i, name in enumerate(problem.objectives)
            },
        }


def _same(one: System, other: System) -> bool:
    """Whether the model sees the same system in both."""
    leaves = zip(*(jax.tree.leaves(lower(fixed(each))) for each in (one, other)), strict=True)
    return all(np.float32(a) == np.float32(b) for a, b in leaves)


def _change(path: str, old: Any, new: Any) -> dict[str, Any]:
    before, after = _name(old), _name(new)
    own = f"{before} of its own" if before == after else before
    return {"path": path, "from": own, "to": after}


def purchase(inside: Inside, system: System) -> Mapping[str, float] | None:
    """The price at which a system joins the front, by false position."""

    def far(price: float) -> float:
        return inside([system], price)[0][0] - NEAR

    factor = rising_root(far)
    if factor is None:
        return None
    return {"factor": factor, "usd_per_chip": factor * inside.problem.price_of(system)}


def rising_root(excess: Callable[[float], float]) -> float | None:
    """The highest place in 0 to 1 at which a rising function is not above zero; None without one.

    False position with the weights of the Illinois rule (Dowell and Jarratt, BIT 11, 1971).
    """
    low, high = 0.0, 1.0
    below, above = excess(low), excess(high)
    if below > 0.0 or above <= 0.0:
        return None if below > 0.0 else high
    side = 0
    for _ in range(STEPS):
        tried = low + (high - low) * -below / (above - below)
        value = excess(tried)
        if abs(value) < NEAR / 10.0 or high - low < NEAR:
            return tried
        if value <= 0.0:
            low, below, above = tried, value, above / (2.0 if side < 0 else 1.0)
        else:
            high, above, below = tried, value, below / (2.0 if side > 0 else 1.0)
        side = -1 if value <= 0.0 else 1
    return low
