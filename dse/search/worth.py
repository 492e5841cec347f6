"""What the levels of each parameter are worth: on the front, and over everything a run evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dse.search.protocol import Parameter
from dse.search.record import RunData
from dse.spec.metrics import METRICS

MOST = 0.75
"""A front of which so large a share holds an end of a range sits on that bound."""


def bounds(data: RunData, parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    """Parameters for which most of the front holds one end: path, end, level and share of it.

    Ends of ordered parameters are `lowest` and `highest`; of others, and of those whose ends the
    front holds alike, it is the `only` level that the whole front has.
    """
    rows, made = data.levels[data.front], []
    for index, parameter in enumerate(parameters):
        last = len(parameter.levels) - 1
        ends = {"lowest": 0, "highest": last} if parameter.ordered else {}
        ends = ends or {"only": int(rows[0, index]) if len(rows) else 0}
        for end, level in ends.items():
            share = float(np.mean(rows[:, index] == level)) if len(rows) and last else 0.0
            if share >= (1.0 if end == "only" else MOST):
                shown = data.problem["parameters"][index]["levels"][level]
                made.append({"path": parameter.path, "end": end, "level": shown, "share": share})
    return made


def best_by_level(data: RunData) -> dict[str, list[dict[str, Any]]]:
    """Of each parameter and level, how many feasible designs a run logged with it and the best
    value of each objective among them (None without any), as files hold it.

    A search goes where designs are good, so a level that it left early may be worth more.
    """
    feasible, goals = data.feasible, data.settings["objectives"]
    made = {}
    for index, parameter in enumerate(data.problem["parameters"]):
        column, rows = data.levels[:, index], []
        for level, shown in enumerate(parameter["levels"]):
            chosen = feasible & (column == level)
            number = int(chosen.sum())
            best = data.values[chosen].argmax(axis=0) if number else ()
            found = data.objectives[chosen]
            values = {
                name: METRICS[name].written(float(found[best[place], place])) if number else None
                for place, name in enumerate(goals)
            }
            value = parameter["values"][level]
            rows.append({"level": shown, "value": value, "designs": number, "best": values})
        made[parameter["path"]] = rows
    return made
