"""Spec files as data before they are specs: bases merged, overrides laid on, origins kept.

A document is a plain nested dict with, for every key, the file and line it came from. Merging
knows the classes: a table over a reference means "that spec, but", and a published figure
(a die's area, a chip's power) falls away when what it was published for is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from dse.errors import Finding, SpecError, nearest
from dse.spec.catalog import Catalog
from dse.spec.fields import KINDS, Branch, Leaf, fields_of
from dse.spec.lines import load_toml

Path = tuple[str, ...]
Origin = tuple[str, int]
MAXIMUM_BASES = 16
UNSOURCED = "not given"


@attrs.define
class Document:
    """A spec's data with the origin of each key; `own` are the leaf paths its own file sets."""

    kind: str
    data: dict[str, Any]
    origins: dict[Path, Origin] = attrs.field(factory=dict)
    file: str = ""
    own: tuple[Path, ...] = ()

    def origin(self, path: Path) -> Origin:
        """File and line of a key, or of the nearest key above it."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, (self.file, 0))

    def finding(self, path: Path, message: str, **more: str) -> Finding:
        """A finding at a key of this document."""
        file, line = self.origin(path)
        return Finding(message=message, path=".".join(path), file=file, line=line, **more)


def is_free(value: object) -> bool:
    """Whether a raw value is a choice, a range or an uncertain number."""
    if not isinstance(value, Mapping):
        return False
    return "choice" in value or "range" in value or {"low", "high"} <= value.keys()


def read(kind: str, name: str, catalog: Catalog, chain: Path = ()) -> Document:
    """The document of one spec with its bases merged."""
    if name in chain:
        loop = " -> ".join((*chain, name))
        raise SpecError(Finding(message=f"{kind} bases form a circle: {loop}", path="base"))
    if len(chain) > MAXIMUM_BASES:
        raise SpecError(Finding(message=f"more than {MAXIMUM_BASES} bases", path="base"))
    file = catalog.find(kind, name)
    data, lines = load_toml(file)
    document = Document(kind=kind, data=data, file=str(file))
    document.origins = {path: (str(file), line) for path, line in lines.items()}
    document.own = tuple(leaf_paths(data))
    _check_head(document, kind, name)
    return based(document, catalog, (*chain, name))


def based(document: Document, catalog: Catalog, chain: Path = ()) -> Document:
    """The document laid over its `base`, if it names one."""
    base_name = document.data.get("base")
    if base_name is None:
        return document
    if not isinstance(base_name, str):
        raise SpecError(document.finding(("base",), f"found {base_name!r}", expected="a name"))
    try:
        base = read(document.kind, base_name, catalog, chain)
    except SpecError as error:
        raise _placed(error, document) from error
    child = {k: v for k, v in document.data.items() if k != "base"}
    data = merge(KINDS[document.kind], base.data, child)
    origins = base.origins | document.origins
    return attrs.evolve(document, data=data, origins=origins)


def _placed(error: SpecError, document: Document) -> SpecError:
    file, line = document.origin(("base",))
    known = [f if f.file else attrs.evolve(f, file=file, line=line) for f in error.findings]
    return type(error)(known)


def _check_head(document: Document, kind: str, name: str) -> None:
    found = document.data.get("kind")
    if found != kind:
        raise SpecError(
            document.finding(
                ("kind",),
                f"found kind {found!r}",
                expected=f'kind = "{kind}"',
                hint=nearest(str(found), list(KINDS)),
            )
        )


def merge(cls: type, base: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """`child` laid over `base`, both documents of class `cls`."""
    merged = dict(base)
    for key, value in child.items():
        meta = fields_of(cls).get(key)
        if key == "sources":
            continue
        if isinstance(meta, Branch) and isinstance(value, Mapping) and not is_free(value):
            merged[key] = _merge_branch(meta, base.get(key), value)
        else:
            merged[key] = value
    _void_published(cls, merged, base, child)
    merged["sources"] = merge_sources(base.get("sources"), child)
    return merged


def _merge_branch(meta: Branch, base: Any, child: Mapping[str, Any]) -> dict[str, Any]:
    if meta.named and "base" in child:
        return dict(child)
    if meta.named and isinstance(base, str):
        return {"base": base, **child}
    known = base if isinstance(base, Mapping) and not is_free(base) else {}
    inner = merge(meta.of, known, child)
    if not inner["sources"]:
        del inner["sources"]
    return inner


def merge_sources(base: object, child: Mapping[str, Any]) -> dict[str, Any]:
    """Sources of both; a number that `child` sets without a source loses the inherited one."""
    own = child.get("sources")
    own = dict(own) if isinstance(own, Mapping) else {}
    inherited = dict(base) if isinstance(base, Mapping) else {}
    for path in leaf_paths({k: v for k, v in child.items() if k != "sources"}):
        dotted = ".".join(path)
        if covering(inherited, dotted) and not covering(own, dotted):
            own[dotted] = {"ref": UNSOURCED, "confidence": "assumption"}
    return inherited | own


def covering(sources: Mapping[str, Any], path: str) -> str:
    """The longest source path that covers `path`, or the empty string."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if (head := ".".join(parts[:end])) in sources:
            return head
    return ""


def leaf_paths(data: Mapping[str, Any], prefix: Path = ()) -> Iterator[Path]:
    """Paths of all values below `data` that are not tables; a free value is one leaf."""
    for key, value in data.items():
        if isinstance(value, Mapping) and not is_free(value):
            yield from leaf_paths(value, (*prefix, key))
        else:
            yield (*prefix, key)


def _void_published(
    cls: type, merged: dict[str, Any], base: Mapping[str, Any], child: Mapping[str, Any]
) -> None:
    changed = [".".join(path) for path in leaf_paths(child)]
    for target, causes in getattr(cls, "published", {}).items():
        touched = any(_below(path, cause) for path in changed for cause in causes)
        if touched and not any(_below(path, target) for path in changed):
            _drop(merged, target.split("."))


def _below(path: str, head: str) -> bool:
    return path == head or path.startswith(head + ".")


def _drop(data: dict[str, Any], path: list[str]) -> None:
    for key in path[:-1]:
        inner = data.get(key)
        if not isinstance(inner, Mapping):
            return
        data[key] = dict(inner)
        data = data[key]
    data.pop(path[-1], None)


def lay(document: Document, path: str, value: Any, origin: Origin = ("", 0)) -> Document:
    """The document with one leaf or reference set by dotted path."""
    parts = tuple(path.split("."))
    if parts[0] == document.kind and parts[0] not in fields_of(KINDS[document.kind]):
        parts = parts[1:]
    check_path(KINDS[document.kind], parts, path, origin)
    child: Any = value
    for part in reversed(parts):
        child = {part: child}
    data = merge(KINDS[document.kind], document.data, child)
    origins = {p: o for p, o in document.origins.items() if p[: len(parts)] != parts}
    return attrs.evolve(document, data=data, origins=origins | {parts: origin})


def check_path(cls: type, parts: Path, whole: str, origin: Origin = ("", 0)) -> Leaf | Branch:
    """The declaration that a dotted path leads to; SpecError names the nearest field."""
    meta: Leaf | Branch | None = None
    for depth, part in enumerate(parts):
        fields = fields_of(cls)
        meta = fields.get(part)
        ends = depth == len(parts) - 1
        if meta is None or (isinstance(meta, Leaf) and not ends):
            known = list(fields) if meta is None else []
            what = f"{cls.__name__} has no field {part!r}" if known else f"{part!r} is a number"
            raise SpecError(
                Finding(
                    message=what,
                    path=whole,
                    file=origin[0],
                    line=origin[1],
                    expected="one of " + ", ".join(known) if known else "a path that ends there",
                    hint=nearest(part, known),
                )
            )
        if isinstance(meta, Branch):
            cls = meta.of
    if meta is None:
        raise SpecError(Finding(message="an empty path", path=whole))
    return meta

