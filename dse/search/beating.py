"""What a design must be, and may cost, to beat a reference by a margin in every objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dse.search.approach import rising_root
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
    """The price at which the front's first design still has `asked` [k], by false position.

    As a `factor` on all that is paid for it, and in dollars of a chip with its share of the system.
    None without an objective that prices bear on, or where its own price is too high already.
    """
    first = data.front[np.argmax(data.values[data.front, 0])]
    system = problem.bound(data.levels[first].tolist())
    priced = [i for i, name in enumerate(problem.objectives) if name in PRICED]

    def excess(share: float) -> float:
        """What the worst objective lacks, linear in the price while the operating point stays."""
        found = problem.judged([system], 1.0 + share * (HIGHEST - 1.0))
        values = to_maximise(found.objectives, problem.senses)[0]
        # costs are negative here, figures for a dollar are positive
        lacks = np.where(values > 0.0, asked / values, values / asked)
        return float(lacks[priced].max() - 1.0)

    share = rising_root(excess) if priced else None
    if share is None:
        return None
    factor = 1.0 + share * (HIGHEST - 1.0)
    return {"factor": factor, "usd_per_chip": factor * problem.price_of(system)}
