"""A spec with free parameters is a space; binding them gives a spec.

A choice or range may be free only where its conditions hold. A condition names a path from the
spec that holds the value, or from one that holds that spec; the innermost that has such a field is
meant. So a chip's file, and a study that lays the same value over a system, may both say
`when = { "memory.stack" = "hbm4-12h" }`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, TypeVar

import attrs

from dse.errors import Finding, InputError, SpecError
from dse.spec.document import declaration
from dse.spec.fields import Branch, Leaf, Named, Source, fields_of, spec_path
from dse.spec.raw import leaf_value
from dse.spec.values import Condition, Free, Uncertain

_T = TypeVar("_T")


def free_values(instance: Any, prefix: str = "") -> Iterator[tuple[str, Free]]:
    """Every free value below a spec as (dotted path, value), in declaration order."""
    for name, meta in fields_of(type(instance)).items():
        value = getattr(instance, name)
        if isinstance(value, Free):
            yield f"{prefix}{name}", value
        elif isinstance(meta, Branch):
            yield from free_values(value, f"{prefix}{name}.")


def parameters(instance: Any) -> dict[str, Free]:
    """The values that a search binds: choices and ranges, not what is uncertain."""
    return {p: v for p, v in free_values(instance) if not isinstance(v, Uncertain)}


def bind(instance: _T, values: Mapping[str, Any]) -> _T:
    """A copy in which each dotted path holds the value given, in SI or as a file would have it.

    A spec is bound before what lies inside it, and a figure published for what changes falls away,
    as in a file. SpecError for an unknown path, for a value that its field does not take, and for a
    path through a choice that is not bound.
    """
    for path in sorted(values, key=lambda path: path.count(".")):
        parts = path.split(".")
        declaration(type(instance), tuple(parts), path)
        for stale in falls_away(instance, path):
            if stale not in values:
                instance = _bind(instance, stale.split("."), 0.0, stale)
        instance = _bind(instance, parts, values[path], path)
    return instance


def falls_away(instance: Any, path: str) -> Iterator[str]:
    """Paths of the figures, of the specs on the way, that hold only without a change at a path."""
    parts = path.split(".")
    for depth in range(len(parts)):
        if isinstance(instance, Free):
            return
        below = ".".join(parts[depth:])
        apart = below in getattr(type(instance), "unaffected", ())
        for target, causes in getattr(type(instance), "published", {}).items():
            changed = any(below == cause or below.startswith(f"{cause}.") for cause in causes)
            if changed and below != target and not apart:
                yield ".".join((*parts[:depth], target))
        instance = getattr(instance, parts[depth])


def _bind(instance: Any, parts: list[str], value: Any, path: str) -> Any:
    if isinstance(instance, Free):
        above = path.removesuffix("." + ".".join(parts))
        raise SpecError(Finding(message=f"{above} is free itself", path=path, hint="bind it first"))
    if len(parts) > 1:
        value = _bind(getattr(instance, parts[0]), parts[1:], value, path)
    return attrs.evolve(instance, **{parts[0]: value})


def look_up(instance: Any, path: str) -> Any:
    """The value at a dotted path."""
    for part in path.split("."):
        instance = getattr(instance, part)
    return instance


def source_of(instance: Any, path: str) -> Source | None:
    """The source of a leaf: of all specs on the way the longest path, of equals the outermost."""
    parts = path.split(".")
    best, length = None, 0
    for depth in range(len(parts)):
        sources = getattr(instance, "sources", None) or {}
        for end in range(len(parts), max(depth, length), -1):
            if (head := ".".join(parts[depth:end])) in sources:
                best, length = sources[head], end
                break
        instance = getattr(instance, parts[depth])
        if isinstance(instance, Free):
            break
    return best


def fixed(instance: _T) -> _T:
    """A copy with every free value at its typical value, or at `otherwise` where it is not free.

    SpecError where a condition cannot be judged.
    """
    return _typical(settled(instance))


def _typical(instance: _T) -> _T:
    changes: dict[str, Any] = {}
    for name, meta in fields_of(type(instance)).items():
        value = getattr(instance, name)
        value = value.typical() if isinstance(value, Free) else value
        changes[name] = _typical(value) if isinstance(meta, Branch) else value
    made: _T = attrs.evolve(instance, **changes)  # type: ignore[misc]
    return made


def leaf_at(cls: type, path: str) -> Leaf | Branch:
    """The declaration at a dotted path of a class; SpecError names the nearest field."""
    return declaration(cls, tuple(path.split(".")), path)


class Need(NamedTuple):
    """A condition made ready: the value at `path`, from the outermost spec, is one of `values`."""

    path: str
    values: tuple[Any, ...]

    def met(self, value: Any) -> bool:
        """Whether a value, or a spec by its name, is one of those asked for."""
        found = getattr(value, "name", value)
        if isinstance(found, str):
            return found in self.values
        return any(math.isclose(found, wanted, rel_tol=1e-9) for wanted in self.values)


def needs(instance: Any) -> dict[str, tuple[Need, ...]]:
    """The conditions of each conditional value by path; those that others rest on come first.

    SpecError, with the path of the value, where a condition names no value or they form a circle.
    """
    found = {}
    for path, value, holders in _conditional(instance, "", (("", instance),)):
        try:
            found[path] = tuple(_need(condition, holders) for condition in value.when)
        except InputError as error:
            raise SpecError(attrs.evolve(f, path=path) for f in error.findings) from error
    return {path: found[path] for path in _order(found)}


def _conditional(
    instance: Any, prefix: str, holders: tuple[tuple[str, Any], ...]
) -> Iterator[tuple[str, Free, tuple[tuple[str, Any], ...]]]:
    """Each conditional value with its path and the specs around it, innermost first."""
    for name, meta in fields_of(type(instance)).items():
        value, path = getattr(instance, name), f"{prefix}{name}"
        if isinstance(value, Free):
            if value.when:
                yield path, value, holders
        elif isinstance(meta, Branch):
            inner = ((f"{path}.", value),) if isinstance(value, Named) else ()
            yield from _conditional(value, f"{path}.", (*inner, *holders))


def _need(condition: Condition, holders: tuple[tuple[str, Any], ...]) -> Need:
    fault: InputError | None = None
    for prefix, holder in holders:
        parts = spec_path(getattr(holder, "kind", ""), condition.path)
        try:
            meta = declaration(type(holder), parts, condition.path)
        except SpecError as error:
            fault = error
            continue
        if isinstance(meta, Leaf):
            values = tuple(leaf_value(meta, value) for value in condition.values)
            return Need(f"{prefix}{'.'.join(parts)}", values)
        if meta.named:
            return Need(f"{prefix}{'.'.join(parts)}", condition.values)
        fault = SpecError(f"a condition on {condition.path}, which is a table and no value")
    raise fault or SpecError(f"no spec has {condition.path}")


def _order(found: dict[str, tuple[Need, ...]]) -> list[str]:
    def above(path: str) -> set[str]:
        return {other for other in found if path == other or path.startswith(f"{other}.")}

    graph = {path: set().union(*(above(n.path) for n in group)) for path, group in found.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        loop = " -> ".join(reversed(error.args[1]))
        message = f"conditions form a circle: {loop}"
        raise SpecError(Finding(message=message, path=error.args[1][0])) from None


def current(instance: Any, path: str) -> Any:
    """The value at a dotted path; free ones on the way stand at their typical value."""
    for part in path.split("."):
        instance = getattr(instance, part)
        instance = instance.typical() if isinstance(instance, Free) else instance
    return instance


def settled(instance: _T) -> _T:
    """A copy in which each conditional value is typical, or `otherwise` where it is not free."""
    for path, group in needs(instance).items():
        free = instance
        for part in path.split("."):
            free = getattr(free, part)
        assert isinstance(free, Free), "only free values have conditions"
        holds = all(need.met(current(instance, need.path)) for need in group)
        instance = bind(instance, {path: free.typical() if holds else free.otherwise})
    return instance
