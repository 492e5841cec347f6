"""Spec classes as JAX pytrees: the class a user declares is the class a gradient comes back in.

`lower` turns a spec of the language into the model's form: every number a float, every option
a tuple of weights, names and sources dropped. All systems then share one tree structure, so one
compiled program serves them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import attrs
import jax
import jax.export
import numpy as np

import dse.spec.system as _system  # noqa: F401  (declares the classes registered below)
from dse.spec.fields import KINDS, Branch, Leaf, fields_of
from dse.spec.values import Free

_T = TypeVar("_T")


def _children(cls: type) -> tuple[str, ...]:
    """Names of the fields the model sees: numbers, options and specs, no text."""
    kept = []
    for name, meta in fields_of(cls).items():
        if isinstance(meta, Branch) or meta.sort != "text":
            kept.append(name)
    return tuple(kept)


def _register(cls: type, seen: set[type]) -> None:
    if cls in seen:
        return
    seen.add(cls)
    names = _children(cls)

    def flatten(instance: Any) -> tuple[tuple[Any, ...], None]:
        return tuple(getattr(instance, name) for name in names), None

    def flatten_with_keys(instance: Any) -> tuple[tuple[Any, ...], None]:
        pairs = ((jax.tree_util.GetAttrKey(n), getattr(instance, n)) for n in names)
        return tuple(pairs), None

    def unflatten(_: None, children: Any) -> Any:
        return _blank(cls, dict(zip(names, children, strict=True)))

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    jax.export.register_pytree_node_serialization(
        cls,
        serialized_name=f"dse.{cls.__name__}",
        serialize_auxdata=lambda _: b"",
        deserialize_auxdata=lambda _: None,
    )
    for meta in fields_of(cls).values():
        if isinstance(meta, Branch):
            _register(meta.of, seen)


def _blank(cls: type[_T], values: dict[str, Any]) -> _T:
    """An instance made without `__init__`: validators must not run on tracers."""
    instance = object.__new__(cls)
    for attribute in attrs.fields(cls):  # type: ignore[arg-type]
        value = values.get(attribute.name, "" if attribute.name != "sources" else {})
        object.__setattr__(instance, attribute.name, value)
    return instance


_seen: set[type] = set()
for _cls in list(KINDS.values()):
    _register(_cls, _seen)


def replace(instance: _T, **changes: Any) -> _T:
    """A copy with other field values and no validation, for use inside the model."""
    names = [a.name for a in attrs.fields(type(instance))]  # type: ignore[arg-type]
    values = {name: getattr(instance, name) for name in names} | changes
    return _blank(type(instance), values)


def lower(instance: _T) -> _T:
    """The model's form of a spec; a free value stands at its typical value."""
    values: dict[str, Any] = {}
    for name, meta in fields_of(type(instance)).items():
        value = getattr(instance, name)
        value = value.typical() if isinstance(value, Free) else value
        if isinstance(meta, Branch):
            values[name] = lower(value)
        elif meta.sort == "option":
            values[name] = tuple(1.0 if value == word else 0.0 for word in meta.options)
        elif meta.sort != "text":
            values[name] = float(value)
    return _blank(type(instance), values)


def stack(instances: list[_T], dtype: Any = np.float32) -> _T:
    """Lowered specs of one class as one spec whose leaves have shape [len(instances)]."""
    return jax.tree.map(lambda *leaves: np.asarray(leaves, dtype), *instances)


def leaves(instance: Any, prefix: str = "") -> Iterator[tuple[str, Leaf, Any]]:
    """(dotted path, declaration, value) of every leaf, in the order in which JAX flattens."""
    for name in _children(type(instance)):
        meta = fields_of(type(instance))[name]
        value = getattr(instance, name)
        if isinstance(meta, Branch):
            yield from leaves(value, f"{prefix}{name}.")
        elif meta.sort == "option":
            for word, weight in zip(meta.options, value, strict=True):
                yield f"{prefix}{name}.{word}", meta, weight
        else:
            yield f"{prefix}{name}", meta, value
