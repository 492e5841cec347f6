"""What would bring a reference to the front: each change alone, all in their best order, a price.

A reference that differs from a design of the front only in what the study searches is evaluated
with these changes. Whether it does is asked of the specs: a chip may carry a stack of the
catalogue at a rate of its own, and that is a change too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
    left = [path for path in paths if not _same(bind(system, {path: wanted[path]}), system)]
    (start,), _ = inside([system])
    made: list[dict[str, Any]] = []
    done: dict[str, Any] = {}
    alone: dict[str, tuple[float, list[str]]] = {}
    while left:
        tried = [bind(system, {**done, path: wanted[path]}) for path in left]
        found, broken = inside(tried)
        alone = alone or dict(zip(left, zip(found, broken, strict=True), strict=True))
        best = int(np.argmin(found))
        path = left.pop(best)
        done[path] = wanted[path]
        made.append(
            {
                **_change(path, look_up(system, path), wanted[path]),
                "alone": alone[path][0],
                "gain": start - alone[path][0],
                "breaks": alone[path][1],
                "together": found[best],
            }
        )
    return made


def _same(one: System, other: System) -> bool:
    """Whether the model sees the same system in both."""
    leaves = zip(*(jax.tree.leaves(lower(fixed(each))) for each in (one, other)), strict=True)
    return all(np.float32(a) == np.float32(b) for a, b in leaves)


def _change(path: str, old: Any, new: Any) -> dict[str, Any]:
    before, after = (getattr(value, "name", value) for value in (old, new))
    own = f"{before} of its own" if before == after else before
    return {"path": path, "from": own, "to": after}


def purchase(inside: Inside, system: System) -> Mapping[str, float] | None:
    """The price at which a system joins the front, by false position."""

    def far(price: float) -> float:
        return inside([system], price)[0][0] - NEAR

    factor = _root(far)
    if factor is None:
        return None
    return {"factor": factor, "usd_per_chip": factor * inside.problem.price_of(system)}


def _root(excess: Callable[[float], float]) -> float | None:
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
