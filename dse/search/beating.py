"""What a design must be, and may cost, to beat a reference by a margin in every objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dse.search.front import to_maximise
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.result import PRICED, point_document

LEAST = ("chip_cost_usd", "chip_power_w", "die_area_mm2")
"""What a design that beats a reference would have least of."""

HIGHEST = 100.0
"""The highest price that is looked at, over the design's own."""


def beating(problem: StudyProblem, data: RunData, factor: float) -> list[dict[str, Any]]:
    """For each reference: what of the log beats it by `factor` in every objective.

    `designs` is how many feasible designs do; `least` has, for each of LEAST, the one with the
    least of it; `price` the highest price at which the front's first design still does.
    """
    return [_one(problem, data, reference, factor) for reference in data.problem["references"]]


def _one(
    problem: StudyProblem, data: RunData, reference: Mapping[str, Any], factor: float
) -> dict[str, Any]:
    senses = data.settings["senses"]
    own = np.array([[reference["metrics"][name] for name in data.settings["objectives"]]], float)
    # where less is better a margin of 30 % is a 1.3th
    asked = to_maximise(own, senses)[0] * [factor if s == "max" else 1.0 / factor for s in senses]
    there = np.flatnonzero(data.feasible & np.all(data.values >= asked, axis=1))
    return {
        "name": reference["name"],
        "factor": factor,
        "designs": len(there),
        "least": {
            name: point_document(data, int(there[np.argmin(data.metrics[name][there])]))
            for name in LEAST
            if len(there)
        },
        "price": highest_price(problem, data, asked) if len(there) else None,
    }


def highest_price(
    problem: StudyProblem, data: RunData, asked: np.ndarray
) -> dict[str, float] | None:
    """The price at which the front's first design still has `asked` [k], by bisection.

    As a `factor` on all that is paid for it, and in dollars of a chip with its share of the system.
    None without an objective that prices bear on, or where its own price is too high already.
    """
    first = data.front[np.argmax(data.values[data.front, 0])]
    system = problem.bound(data.levels[first].tolist())
    priced = [i for i, name in enumerate(problem.objectives) if name in PRICED]

    def enough(price: float) -> bool:
        found = problem.judged([system], price)
        values = to_maximise(found.objectives, problem.senses)[0]
        return bool(np.all(values[priced] >= asked[priced]))

    if not priced or not enough(1.0):
        return None
    low, high = 1.0, HIGHEST
    # 24: a ten-millionth of the range, finer than float32
    for _ in range(24):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if enough(middle) else (low, middle)
    return {"factor": float(low), "usd_per_chip": float(low) * problem.price_of(system)}
