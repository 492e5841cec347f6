"""A warm start: the front of another run as designs of this space, mapped by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dse.errors import Finding, RunError
from dse.search.protocol import Parameter
from dse.search.record import RunData

LARGEST = 200
"""Designs that a warm start takes at most, spread over the front: one large generation."""


def warm_designs(
    data: RunData, parameters: Sequence[Parameter], base: np.ndarray | None = None
) -> np.ndarray:
    """[m, p] designs of the space of `parameters` that are nearest to the front of a run.

    A number goes to the nearest level, a name to itself; what the run did not search, or has under
    a name that is no level here, is taken from `base` [p] (the first level by default). Designs
    that come to the same are given once. Raises RunError if the run has no front, or searched
    nothing of this space.
    """
    columns = _columns(data, parameters)
    rows = _thinned(data)
    if not len(rows):
        _fail(data, "this run has no feasible design to start from")
    if not columns:
        _fail(data, "this run searched no parameter of this study")
    made = np.tile(
        np.zeros(len(parameters), np.int64) if base is None else np.asarray(base), (len(rows), 1)
    )
    for index, (column, values) in columns.items():
        for place, row in enumerate(rows):
            level = _level(parameters[index], values[data.levels[row, column]])
            made[place, index] = made[place, index] if level is None else level
    _, first = np.unique(made, axis=0, return_index=True)
    return made[np.sort(first)]


def _columns(
    data: RunData, parameters: Sequence[Parameter]
) -> dict[int, tuple[int, Sequence[Any]]]:
    """For each parameter of ours that the run searched: its column there, and its values."""
    described: Sequence[Mapping[str, Any]] = data.problem.get("parameters", ())
    there = {each["path"]: (column, each["values"]) for column, each in enumerate(described)}
    return {i: there[p.path] for i, p in enumerate(parameters) if p.path in there}


def _thinned(data: RunData) -> np.ndarray:
    """The rows of the front, best first in the first objective; of many, evenly spread ones."""
    front = data.front[np.argsort(-data.values[data.front, 0], kind="stable")]
    if len(front) <= LARGEST:
        return front
    return front[np.linspace(0, len(front) - 1, LARGEST).astype(int)]


def _level(parameter: Parameter, value: Any) -> int | None:
    """The nearest level; None for a name that is none of them."""
    free = parameter.levels[:-1] if parameter.needs else parameter.levels
    levels = [getattr(level, "name", level) for level in free]
    if value in levels:
        return levels.index(value)
    if not parameter.ordered or isinstance(value, str) or value is None:
        return None
    return int(np.argmin([abs(float(level) - float(value)) for level in levels]))


def _fail(data: RunData, message: str) -> None:
    raise RunError(Finding(message=message, file=str(data.folder), hint="leave --warm-start out"))
