"""What a search may change of a system: its free leaves as parameters, with their conditions.

Nothing here knows the model: the size of a study is told without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from dse.search.protocol import Parameter
from dse.spec.fields import Leaf
from dse.spec.space import Need, bind, current, leaf_at, needs, parameters
from dse.spec.system import System
from dse.spec.values import Free

Needs = tuple[tuple[int, frozenset[int]], ...]


def searched(system: System) -> tuple[Parameter, ...]:
    """The free leaves of a system; numbers and counts are ordered, specs and words are not."""
    asked, free = needs(system), parameters(system)
    plain = [_parameter(path, value) for path, value in free.items() if not value.when]
    made = {parameter.path: parameter for parameter in plain}
    # in the order in which conditions rest on each other; what never is free is left out
    for path in asked:
        group = _needs(system, asked[path], list(made.values()))
        if group is not None:
            levels = (*free[path].levels(), free[path].otherwise)
            bare = _parameter(path, free[path])
            made[path] = attrs.evolve(bare, levels=levels, needs=group) if group else bare
    return tuple(made.values())


def _parameter(path: str, value: Free) -> Parameter:
    leaf = leaf_at(System, path)
    ordered = isinstance(leaf, Leaf) and leaf.numeric
    return Parameter(path=path, levels=value.levels(), ordered=ordered)


def _needs(system: System, group: Sequence[Need], above: Sequence[Parameter]) -> Needs | None:
    """Conditions on searched parameters by level; None where another never holds."""
    found: list[tuple[int, frozenset[int]]] = []
    for need in group:
        index = _over(need.path, above)
        if index is None:
            if not need.met(current(system, need.path)):
                return None
            continue
        path = above[index].path
        systems = (bind(system, {path: level}) for level in above[index].levels)
        met = (need.met(current(each, need.path)) for each in systems)
        found.append((index, frozenset(i for i, holds in enumerate(met) if holds)))
    return tuple(found)


def _over(path: str, above: Sequence[Parameter]) -> int | None:
    """The parameter that says what stands at a path: at it, or a spec around it."""
    for index, parameter in enumerate(above):
        if path == parameter.path or path.startswith(f"{parameter.path}."):
            return index
    return None


def nearest_level(parameter: Parameter, value: Any) -> int:
    """The level nearest to a value; of names the same one, else the first."""
    if parameter.ordered:
        return int(np.argmin([abs(level - value) for level in parameter.levels]))
    names = [getattr(level, "name", level) for level in parameter.levels]
    wanted = getattr(value, "name", value)
    return names.index(wanted) if wanted in names else 0


def described(parameter: Parameter) -> dict[str, Any]:
    """A parameter for readers of a run: its path, unit, values in SI, and how they are shown."""
    leaf = leaf_at(System, parameter.path)
    plain = [getattr(level, "name", level) for level in parameter.levels]
    numeric = isinstance(leaf, Leaf) and leaf.numeric
    shown = [leaf.show(v) if numeric else str(v) for v in plain]  # type: ignore[union-attr]
    unit = leaf.unit if isinstance(leaf, Leaf) else ""
    return {"path": parameter.path, "unit": unit, "values": plain, "levels": shown}
