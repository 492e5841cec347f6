"""A spec with free parameters is a space; binding them gives a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from dse.spec.fields import Branch, Leaf, fields_of
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
    """A copy in which each dotted path holds the value given."""
    for path, value in values.items():
        instance = _bind(instance, path.split("."), value)
    return instance


def _bind(instance: Any, parts: list[str], value: Any) -> Any:
    if len(parts) > 1:
        value = _bind(getattr(instance, parts[0]), parts[1:], value)
    return attrs.evolve(instance, **{parts[0]: value})


def look_up(instance: Any, path: str) -> Any:
    """The value at a dotted path."""
    for part in path.split("."):
        instance = getattr(instance, part)
    return instance


def source_of(instance: Any, path: str) -> Any:
    """The source of a leaf: the outermost spec that speaks of it, by its longest path."""
    parts = path.split(".")
    for depth in range(len(parts)):
        sources = getattr(instance, "sources", None) or {}
        for end in range(len(parts), depth, -1):
            head = ".".join(parts[depth:end])
            if head in sources:
                return sources[head]
        instance = getattr(instance, parts[depth])
        if isinstance(instance, Free):
            return None
    return None


def fixed(instance: _T) -> _T:
    """A copy with every free value at its typical value."""
    changes: dict[str, Any] = {}
    for name, meta in fields_of(type(instance)).items():
        value = getattr(instance, name)
        value = value.typical() if isinstance(value, Free) else value
        changes[name] = fixed(value) if isinstance(meta, Branch) else value
    return attrs.evolve(instance, **changes)  # type: ignore[type-var]


def leaf_at(cls: type, path: str) -> Leaf | Branch:
    """The declaration at a dotted path of a class."""
    *head, last = path.split(".")
    for part in head:
        meta = fields_of(cls)[part]
        assert isinstance(meta, Branch), path
        cls = meta.of
    return fields_of(cls)[last]
