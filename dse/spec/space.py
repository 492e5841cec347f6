"""A spec with free parameters is a space; binding them gives a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from dse.errors import Finding, SpecError
from dse.spec.document import declaration
from dse.spec.fields import Branch, Leaf, Source, fields_of
from dse.spec.values import Free, Uncertain

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
    """A copy in which each dotted path holds the value given, in SI.

    A spec is bound before what lies inside it. SpecError for an unknown path, for a value that
    its field does not take, and for a path through a choice that is not bound.
    """
    for path in sorted(values, key=lambda path: path.count(".")):
        parts = path.split(".")
        declaration(type(instance), tuple(parts), path)
        instance = _bind(instance, parts, values[path], path)
    return instance


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
    """A copy with every free value at its typical value."""
    changes: dict[str, Any] = {}
    for name, meta in fields_of(type(instance)).items():
        value = getattr(instance, name)
        value = value.typical() if isinstance(value, Free) else value
        changes[name] = fixed(value) if isinstance(meta, Branch) else value
    made: _T = attrs.evolve(instance, **changes)  # type: ignore[misc]
    return made


def leaf_at(cls: type, path: str) -> Leaf | Branch:
    """The declaration at a dotted path of a class; SpecError names the nearest field."""
    return declaration(cls, tuple(path.split(".")), path)
