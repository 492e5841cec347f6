"""Where numbers come from: sources by dotted path, through bases, overrides and references.

A source speaks of a path and all below it; the longest path wins. What a file sets itself loses
the source that a base gave it, and what it replaces takes its sources along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from dse.spec.fields import Branch, fields_of, spec_path
from dse.spec.values import is_free

Path = tuple[str, ...]
UNSOURCED = "not given"
_T = TypeVar("_T")


class Carried(dict[str, Any]):
    """A source that merging gave a path of its own; it was checked where it was written."""


_NOT_GIVEN = Carried(ref=UNSOURCED, confidence="assumption")


def plain_sources(
    kind: str, data: Mapping[str, Any], origins: dict[Path, _T]
) -> tuple[dict[str, Any], dict[Path, _T]]:
    """`data` and `origins` with one key for each source: its dotted path, kind name left out."""
    data = dict(data)
    raw = data.get("sources")
    if not isinstance(raw, Mapping):
        return data, origins
    flat, moved = {}, dict(origins)
    for path, value in _entries(raw):
        key = ".".join(spec_path(kind, ".".join(path)))
        flat[key] = value
        if ("sources", *path) in origins:
            moved["sources", key] = origins["sources", *path]
    data["sources"] = flat
    return data, moved


def _entries(raw: Mapping[str, Any], prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each source of a table, whether its key was quoted or dotted."""
    for key, value in raw.items():
        inner = value.values() if isinstance(value, Mapping) else ()
        if inner and all(isinstance(item, Mapping) for item in inner):
            yield from _entries(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def merge_sources(
    base: Mapping[str, Any], child: Mapping[str, Any], said: Iterable[Path]
) -> dict[str, Any]:
    """Sources of `child`, which sets the leaves `said`, over those of its `base`."""
    inherited, own = _table(base), _table(child)
    leaves = [path for path in said if path[0] != "sources"]
    gone = replaced(leaves)
    inherited = {k: source for k, source in inherited.items() if not inside(k.split("."), gone)}
    merged = inherited | own
    for path in leaves:
        dotted = ".".join(path)
        mine = covering(own, dotted)
        if len(covering(inherited, dotted)) > len(mine):
            merged[dotted] = _carried(own[mine]) if mine else _NOT_GIVEN
    return merged


def _carried(source: Any) -> Carried:
    return Carried(source if isinstance(source, Mapping) else {})


def _table(data: Mapping[str, Any]) -> dict[str, Any]:
    sources = data.get("sources")
    return dict(sources) if isinstance(sources, Mapping) else {}


def replaced(leaves: Iterable[Path]) -> set[Path]:
    """What setting `leaves` replaces: a table with a base of its own replaces a whole reference."""
    return {path[:-1] if path[-1] == "base" else path for path in leaves}


def inside(path: Sequence[str], heads: set[Path]) -> bool:
    """Whether `path` lies truly below one of `heads`."""
    return any(tuple(path[:end]) in heads for end in range(1, len(path)))


def covering(sources: Mapping[str, Any], path: str) -> str:
    """The longest source path that covers `path`, or the empty string."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if (head := ".".join(parts[:end])) in sources:
            return head
    return ""


def pinned(cls: type, data: Mapping[str, Any], sources: Mapping[str, _T]) -> dict[str, _T]:
    """`sources`, and one for each leaf that `data` sets inside a spec that it refers to.

    Such a leaf is sourced here; the others of that spec in its own file, although a source of
    the reference seems to speak of all of it.
    """
    made = dict(sources)
    for path in _inner_leaves(cls, data, (), inside=False):
        dotted = ".".join(path)
        if head := covering(sources, dotted):
            made[dotted] = sources[head]
    return made


def _inner_leaves(
    cls: type, data: Mapping[str, Any], path: Path, *, inside: bool
) -> Iterator[Path]:
    for name, meta in fields_of(cls).items():
        value = data.get(name)
        table = isinstance(value, Mapping) and not is_free(value)
        if isinstance(meta, Branch) and isinstance(value, Mapping) and table:
            if not (meta.named and "sources" in value):
                below = (*path, name)
                yield from _inner_leaves(meta.of, value, below, inside=inside or meta.named)
        elif inside and name in data:
            yield (*path, name)
