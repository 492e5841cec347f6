"""Spec files as data before they are specs: bases merged, overrides laid on, origins kept.

A document is a plain nested dict with, for every key, the file and line it came from; none is
changed once made. Merging knows the classes: a table over a reference means "that spec, but", and
a published figure (a die's area, a chip's power) falls away when what it was published for changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import attrs

from dse.errors import Finding, InputError, SpecError, nearest
from dse.spec.catalog import Catalog, head
from dse.spec.fields import KINDS, Branch, Leaf, Named, fields_of, no_field, spec_path
from dse.spec.lines import load_toml
from dse.spec.provenance import inside, merge_sources, plain_sources, replaced
from dse.spec.values import is_free

Path = tuple[str, ...]
MAXIMUM_BASES = 16
_NO_CHAIN = ("",)


class Origin(NamedTuple):
    """Where a key stands; `above` is the path of the table that holds its spec in that file."""

    file: str = ""
    line: int = 0
    above: Path = ()


NOWHERE = Origin()


@attrs.define
class Document:
    """A spec's data with the origin of each key; `own` are the leaf paths its own file sets."""

    kind: str
    data: dict[str, Any]
    origins: dict[Path, Origin] = attrs.field(factory=dict)
    file: str = ""
    own: tuple[Path, ...] = ()

    @cached_property
    def _paths(self) -> list[Path]:
        # sorted, so that a file of ten thousand inline tables does not scan all keys for each
        return sorted(self.origins)

    def origin(self, path: Path) -> Origin:
        """The origin of a key, or of the nearest key above it."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, Origin(self.file))

    def finding(self, path: Path, message: str, expected: str = "", hint: str = "") -> Finding:
        """A finding at a key of this document."""
        return self.placed(path, Finding(message=message, expected=expected, hint=hint))

    def placed(self, path: Path, finding: Finding) -> Finding:
        """`finding` at a key of this document."""
        file, line, above = self.origin(path)
        return attrs.evolve(finding, path=".".join((*above, *path)), file=file, line=line)

    def inline(self, kind: str, path: Path, data: Mapping[str, Any]) -> Document:
        """The table at `path` as a document of its own."""
        origins = {}
        for index in range(bisect_left(self._paths, path), len(self._paths)):
            inner = self._paths[index]
            if inner[: len(path)] != path:
                break
            origin = self.origins[inner]
            origins[inner[len(path) :]] = origin._replace(above=(*origin.above, *path))
        nearest_origin = self.origin(path)
        origins[()] = nearest_origin._replace(above=(*nearest_origin.above, *path))
        return Document(kind=kind, data=dict(data), origins=origins, file=self.file)


def read(kind: str, name: str, catalog: Catalog) -> Document:
    """The document of one spec, by name or as a file, with its bases merged."""
    return _read(kind, name, catalog, ())


def _read(kind: str, name: str, catalog: Catalog, chain: Path, below: str = "") -> Document:
    """As read; `below` is the file that names itself as its base, and means the one it hides."""
    if kind == "system" and not chain and (chip := _chip_named(name, catalog)):
        return _usual_system(chip, catalog)
    file = str(catalog.find(kind, name, below))
    if file in chain:
        names = [FilePath(entry).stem for entry in (*chain[chain.index(file) :], file)]
        loop = " -> ".join(names)
        raise SpecError(Finding(message=f"{kind} bases form a circle: {loop}", path="base"))
    if len(chain) > MAXIMUM_BASES:
        raise SpecError(Finding(message=f"more than {MAXIMUM_BASES} bases", path="base"))
    if (kind, file) not in catalog.documents:
        catalog.documents[kind, file] = based(_opened(kind, file), catalog, (*chain, file))
    return catalog.documents[kind, file]


def _chip_named(name: str, catalog: Catalog) -> Document | None:
    """The chip that stands where a system is asked for, or None where a system has the name."""
    if name.endswith(".toml"):
        kinds = {e.kind for e in catalog.entries if e.file == FilePath(name)}
        chip = (kinds or {str(head(FilePath(name)).get("kind"))}) == {"chip"}
    else:
        kinds = {entry.kind for entry in catalog.entries if entry.name == name}
        chip = "chip" in kinds and "system" not in kinds
    return read("chip", name, catalog) if chip else None


def _usual_system(chip: Document, catalog: Catalog) -> Document:
    """The server or pod of a chip, with the chip itself in it."""
    name, usual = chip.data.get("name"), chip.data.get("system")
    if not usual or not isinstance(usual, str):
        expected = 'system = "the server or pod that it usually comes in"'
        message = f"chip {name} has no usual system"
        held = ", ".join(_holders(str(name), catalog))
        hint = f"systems of it: {held}" if held else f"or name a system, with --set chip={name}"
        raise SpecError(chip.finding(("system",), message, expected, hint))
    system = read("system", usual, catalog)
    if system.data.get("chip") == name:
        return system
    origins = {p: o for p, o in system.origins.items() if p[:1] not in (("chip",), ("announced",))}
    origins |= {("chip", *path): origin for path, origin in chip.origins.items()}
    # what is published of a system holds with the chip that it was published with
    kept = {k: v for k, v in system.data.items() if k != "announced"}
    sources = {k: v for k, v in kept.get("sources", {}).items() if k.split(".")[0] != "announced"}
    data = {**kept, "name": name, "chip": dict(chip.data), "sources": sources}
    doc = f"{usual} with the chip {name}"
    return Document(kind="system", data={**data, "doc": doc}, origins=origins, file=chip.file)


def _holders(chip: str, catalog: Catalog) -> list[str]:
    """Systems that are made of a chip."""
    files = {e.name: head(e.file).get("chip") for e in catalog.entries if e.kind == "system"}
    plain = {name: c.get("base") if isinstance(c, dict) else c for name, c in files.items()}
    return sorted(name for name, held in plain.items() if held == chip)


def _opened(kind: str, file: str) -> Document:
    data, lines = load_toml(file)
    origins = {path: Origin(file, line) for path, line in lines.items()}
    document = Document(kind=kind, data=data, origins=origins, file=file)
    document.own = tuple(leaf_paths({k: v for k, v in data.items() if k != "sources"}))
    found = data.get("kind")
    if found != kind:
        raise SpecError(
            document.finding(
                ("kind",),
                f"found kind {found!r}" if "kind" in data else "no kind",
                expected=f'kind = "{kind}"',
                hint=nearest(str(found), list(KINDS)) if found not in KINDS else "",
            )
        )
    return document


def based(document: Document, catalog: Catalog, chain: Path = ()) -> Document:
    """The document laid over its `base`, if it names one; a base that is missing is an error."""
    child, origins = plain_sources(document.kind, document.data, document.origins)
    document = attrs.evolve(document, data=child, origins=origins)
    if "base" not in child:
        return document
    name = child.pop("base")
    if not isinstance(name, str):
        raise SpecError(document.finding(("base",), f"found {name!r}", expected="a name"))
    below = document.file if chain and name == document.data.get("name") else ""
    try:
        base = _read(document.kind, spec_name(name), catalog, chain or _NO_CHAIN, below)
    except InputError as error:
        raise at_reference(error, document, ("base",)) from error
    data = merge(KINDS[document.kind], base.data, child)
    gone = replaced(leaf_paths(child))
    kept = {p: o for p, o in base.origins.items() if p not in gone and not inside(p, gone)}
    return attrs.evolve(document, data=data, origins=kept | document.origins)


def spec_name(name: str) -> str:
    """A name that a spec file refers to; SpecError for a path."""
    if name.endswith(".toml") or "/" in name or "\\" in name:
        expected = "a name, which is looked up in the spec folders"
        hint = "put the file into a folder and name that with --specs"
        raise SpecError(Finding(message=f"found the path {name!r}", expected=expected, hint=hint))
    return name


def at_reference(error: InputError, document: Document, path: Path) -> InputError:
    """`error` of what a key refers to: findings without a place of their own stand at that key."""
    return type(error)(f if f.file else document.placed(path, f) for f in error.findings)


def merge(cls: type, base: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """`child` laid over `base`, both documents of class `cls`."""
    merged = dict(base)
    for key, value in child.items():
        meta = fields_of(cls).get(key)
        # only a spec with a name of its own has sources; of a part they are a fault
        if key == "sources" and issubclass(cls, Named) and isinstance(value, Mapping):
            continue
        if isinstance(meta, Branch) and isinstance(value, Mapping) and not is_free(value):
            merged[key] = _merge_branch(meta, base.get(key), value)
        else:
            merged[key] = value
    _void_published(cls, merged, base, child)
    plain = isinstance(child.get("sources", {}), Mapping) and issubclass(cls, Named)
    if plain and (sources := merge_sources(base, child, leaf_paths(child))):
        merged["sources"] = sources
    return merged


def _merge_branch(meta: Branch, base: Any, child: Mapping[str, Any]) -> dict[str, Any]:
    if meta.named and "base" in child:
        return dict(child)
    if meta.named and isinstance(base, str):
        return {"base": base, **child}
    if meta.named and is_free(base) and isinstance(base.get("choice"), list):
        # what is said of a choice is said of each of its specs
        items = base["choice"]
        laid = [_merge_branch(meta, i, child) if isinstance(i, (str, dict)) else i for i in items]
        return {**base, "choice": laid}
    return merge(meta.of, base if isinstance(base, Mapping) and not is_free(base) else {}, child)


def leaf_paths(data: Mapping[str, Any], prefix: Path = ()) -> Iterator[Path]:
    """Paths of all values below `data` that are not tables; a free value is one leaf."""
    for key, value in data.items():
        if isinstance(value, Mapping) and not is_free(value):
            yield from leaf_paths(value, (*prefix, key))
        else:
            yield (*prefix, key)


def value_at(data: Any, path: Path) -> Any:
    """The raw value at a path, or None."""
    for part in path:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _void_published(
    cls: type, merged: dict[str, Any], base: Mapping[str, Any], child: Mapping[str, Any]
) -> None:
    """Drop from `merged` each figure that was published for what `child` makes different."""
    published = getattr(cls, "published", {})
    apart = [tuple(path.split(".")) for path in getattr(cls, "unaffected", ())]
    said = [p for p in leaf_paths(child) if p not in apart] if published else []
    changed = [path for path in said if value_at(base, path) != value_at(child, path)]
    for target, causes in published.items():
        path = tuple(target.split("."))
        touched = any(_below(p, tuple(cause.split("."))) for p in changed for cause in causes)
        if touched and path not in said:
            # over a base still to be merged the figure must stay away: 0 derives it
            _set(merged, path, f"0 {_unit(cls, path)}" if "base" in base else None)


def _below(path: Path, head: Path) -> bool:
    return path[: len(head)] == head


def _unit(cls: type, path: Path) -> str:
    meta = declaration(cls, path, ".".join(path))
    return meta.unit if isinstance(meta, Leaf) else "1"


def _set(data: dict[str, Any], path: Path, value: Any) -> None:
    """Replace what stands at `path`, or remove it for None, in copies of the tables above it."""
    for key in path[:-1]:
        if not isinstance(data.get(key), Mapping):
            return
        data[key] = dict(data[key])
        data = data[key]
    if path[-1] in data:
        data[path[-1]] = value
        if value is None:
            del data[path[-1]]


def lay(document: Document, path: str, value: Any, origin: Origin = NOWHERE) -> Document:
    """The document with one leaf or reference set by dotted path."""
    cls = KINDS[document.kind]
    parts = spec_path(document.kind, path)
    try:
        declaration(cls, parts, path)
    except SpecError as error:
        (finding,) = error.findings
        raise SpecError(attrs.evolve(finding, file=origin.file, line=origin.line)) from None
    child: Any = value
    for part in reversed(parts):
        child = {part: child}
    data = merge(cls, document.data, child)
    origins = {p: o for p, o in document.origins.items() if p[: len(parts)] != parts}
    origins |= {(*parts, *inner): origin for inner in _paths_inside(value)}
    return attrs.evolve(document, data=data, origins=origins)


def _paths_inside(value: Any) -> Iterator[Path]:
    """The path of a raw value and of everything inside it."""
    yield ()
    items = value.items() if isinstance(value, Mapping) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        yield from ((str(key), *path) for path in _paths_inside(inner))


def lay_all(
    document: Document, values: Iterable[tuple[str, Any, Origin]], findings: list[Finding]
) -> Document:
    """The document with every (path, value, origin) set; faults are added to `findings`.

    Of two paths that overlap the longer is set last, whatever their order.
    """
    inner_last = sorted(values, key=lambda item: len(spec_path(document.kind, item[0])))
    for path, value, origin in inner_last:
        try:
            document = lay(document, path, value, origin)
        except SpecError as error:
            findings += error.findings
    return document


def declaration(cls: type, parts: Path, whole: str) -> Leaf | Branch:
    """What a path of fields leads to; SpecError, with `whole` as its path, names the nearest."""
    meta: Leaf | Branch | None = None
    for depth, part in enumerate(parts):
        if isinstance(meta, Leaf):
            above = ".".join(parts[:depth])
            message = f"{above!r} is a value and holds no {part!r}"
            raise SpecError(Finding(message=message, path=whole, expected=f"{above} alone"))
        cls = meta.of if meta else cls
        fields = fields_of(cls)
        if part not in fields:
            message, expected, hint = no_field(cls, part)
            above = ".".join(parts[:depth]) or cls.__name__
            message = message.replace("unknown", f"{above} has no", 1)
            raise SpecError(Finding(message=message, path=whole, expected=expected, hint=hint))
        meta = fields[part]
    assert meta is not None, "a path has at least one part"
    return meta
