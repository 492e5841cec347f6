"""From documents to specs: every leaf checked, every fault reported at once with file and line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast

import attrs

from dse import units
from dse.errors import Finding, InputError, SpecError, UnitError, nearest
from dse.spec.catalog import Catalog
from dse.spec.document import Document, Path, based, covering, is_free, lay, leaf_paths, read
from dse.spec.fields import CONFIDENCES, KINDS, Branch, Leaf, Source, fields_of
from dse.spec.values import Choice, Free, Range, Uncertain

_T = TypeVar("_T")
_HEAD = ("kind", "name", "doc", "base", "sources")
MAXIMUM_LEVELS = 10_000


def load(
    of: type[_T], name: str, catalog: Catalog, settings: Iterable[tuple[str, str]] = ()
) -> _T:
    """The spec of class `of` by name or file, with `--set` assignments laid over it.

    Raises SpecError with all faults of all files it rests on.
    """
    kind = cast(Any, of).kind
    document = read(kind, name, catalog)
    for path, text in settings:
        document = lay(document, path, setting(text), ("--set", 0))
    return cast(_T, build(document, catalog))


def setting(text: str) -> Any:
    """The value of `--set path=value`: TOML where it is TOML, otherwise the text itself."""
    if len(text) > 4000:
        raise SpecError(Finding(message="a value of more than 4000 characters", path="--set"))
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def build(document: Document, catalog: Catalog) -> Any:
    """The spec that a document describes; SpecError with every fault."""
    builder = Builder(document=document, catalog=catalog)
    made = builder.spec(KINDS[document.kind], document.data, (), named=True)
    if builder.findings:
        raise SpecError(dict.fromkeys(builder.findings))
    return made


@attrs.define
class Builder:
    """Builds one document's spec and gathers its findings."""

    document: Document
    catalog: Catalog
    chain: tuple[str, ...] = ()
    findings: list[Finding] = attrs.field(factory=list)

    def spec(self, cls: type, data: Mapping[str, Any], path: Path, *, named: bool) -> Any:
        """An instance of `cls`; a blank one where something was wrong."""
        fields = fields_of(cls)
        for key in data:
            if key not in fields and not (named and key in _HEAD):
                self._unknown(cls, key, (*path, key))
        values = {}
        for name, meta in fields.items():
            if name not in data:
                continue
            value = self._field(meta, data[name], (*path, name))
            if value is not None:
                values[name] = value
        if named:
            values["sources"] = self._sources(cls, data.get("sources", {}), path)
        return cls(**values)

    def _unknown(self, cls: type, key: str, path: Path) -> None:
        known = list(fields_of(cls))
        self._note(
            path,
            f"unknown field {key!r}",
            expected="one of " + ", ".join(known),
            hint=nearest(key, known),
        )

    def _note(self, path: Path, message: str, **more: str) -> None:
        self.findings.append(self.document.finding(path, message, **more))

    def _field(self, meta: Leaf | Branch, raw: Any, path: Path) -> Any:
        if isinstance(meta, Leaf):
            return self._leaf(meta, raw, path)
        if not meta.named:
            if isinstance(raw, Mapping):
                return self.spec(meta.of, raw, path, named=False)
            self._note(path, f"found {raw!r}", expected="a table")
            return None
        return self._reference(meta, raw, path)

    def _leaf(self, meta: Leaf, raw: Any, path: Path) -> Any:
        if is_free(raw) and meta.sort != "text":
            return self._free(meta, raw, path)
        value = self._number(meta, raw, path)
        if value is not None and (fault := meta.fault(value)):
            file, line = self.document.origin(path)
            self.findings.append(attrs.evolve(fault, path=".".join(path), file=file, line=line))
            return None
        return value

    def _number(self, meta: Leaf, raw: Any, path: Path) -> Any:
        """A raw value in SI; None, with a finding, where it is not of the field's sort."""
        if meta.sort == "flag" and isinstance(raw, bool):
            return float(raw)
        if meta.sort == "quantity" and isinstance(raw, str):
            try:
                return units.parse(raw, meta.unit)
            except UnitError as error:
                fault = error.findings[0]
                self._note(path, fault.message, expected=fault.expected, hint=fault.hint)
                return None
        plain = isinstance(raw, (int, float)) and not isinstance(raw, bool)
        if meta.sort == "count" or (meta.sort == "quantity" and meta.unit == "1"):
            if plain and abs(raw) < 1e300:
                return float(raw)
        elif meta.sort in ("text", "option") and isinstance(raw, str):
            return raw
        self._note(path, f"found {_short(raw)}", expected=meta.expectation())
        return None

    def _free(self, meta: Leaf, raw: Mapping[str, Any], path: Path) -> Free | None:
        before = len(self.findings)
        try:
            made = self._free_value(meta, raw, path)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
            self._note(path, f"a value that is not understood: {_short(dict(raw))}", hint=str(error))
            return None
        if len(self.findings) > before or made is None:
            return None
        if fault := meta.fault(made):
            file, line = self.document.origin(path)
            self.findings.append(attrs.evolve(fault, path=".".join(path), file=file, line=line))
        return made

    def _free_value(self, meta: Leaf, raw: Mapping[str, Any], path: Path) -> Free | None:
        if "choice" in raw:
            self._only(raw, ("choice",), path)
            return self._choice([self._leaf(meta, item, path) for item in _list(raw["choice"])], path)
        if "range" in raw:
            return self._range(meta, raw, path)
        self._only(raw, ("low", "mode", "high"), path)
        ends = [self._number(meta, raw.get(k, raw["low"]), path) for k in ("low", "mode", "high")]
        if None in ends:
            return None
        if not ends[0] <= ends[1] <= ends[2]:
            self._note(path, "low, mode and high are out of order", expected="low <= mode <= high")
            return None
        return Uncertain(low=ends[0], mode=ends[1], high=ends[2])

    def _choice(self, values: list[Any], path: Path) -> Choice | None:
        if not values:
            self._note(path, "an empty choice", expected="at least one value")
            return None
        if any(isinstance(value, Free) for value in values):
            self._note(path, "a choice inside a choice", expected="plain values")
            return None
        return None if None in values else Choice(values)

    def _range(self, meta: Leaf, raw: Mapping[str, Any], path: Path) -> Range | None:
        self._only(raw, ("range", "step", "spacing", "points"), path)
        ends = [self._number(meta, item, path) for item in _list(raw["range"])]
        step = self._number(meta, raw["step"], path) if "step" in raw else 0.0
        if None in ends or step is None:
            return None
        spacing, points = raw.get("spacing", "linear"), raw.get("points", 9)
        fault = _range_fault(ends, step, spacing, points)
        if fault:
            self._note(path, fault, expected="{ range = [low, high], step = positive }")
            return None
        whole = meta.sort == "count"
        step = step or (1.0 if whole and spacing == "linear" and "points" not in raw else 0.0)
        made = Range(
            low=ends[0], high=ends[1], step=step, spacing=spacing, points=points, whole=whole
        )
        if (ends[1] - ends[0]) > MAXIMUM_LEVELS * (step or ends[1]):
            self._note(path, "a range of too many steps", expected=f"at most {MAXIMUM_LEVELS}")
            return None
        if not made.levels():
            self._note(path, "an empty range", expected="at least one level")
            return None
        return made

    def _only(self, raw: Mapping[str, Any], allowed: tuple[str, ...], path: Path) -> None:
        for key in raw:
            if key not in allowed:
                expected = "only " + ", ".join(allowed)
                self._note((*path, key), f"unknown key {key!r}", expected=expected)

    def _reference(self, meta: Branch, raw: Any, path: Path) -> Any:
        if is_free(raw) and "choice" in raw:
            self._only(raw, ("choice",), path)
            made = [self._reference(meta, item, path) for item in _list(raw["choice"])]
            return self._choice(made, path)
        kind = cast(Any, meta.of).kind
        if not isinstance(raw, (str, Mapping)) or is_free(raw):
            self._note(path, f"found {_short(raw)}", expected=f"the name of a {kind}, or a table")
            return None
        try:
            return self._referred(kind, raw, path)
        except InputError as error:
            file, line = self.document.origin(path)
            for finding in error.findings:
                placed = finding if finding.file else attrs.evolve(finding, file=file, line=line)
                whole = placed.path if finding.file else ".".join(path)
                self.findings.append(attrs.evolve(placed, path=whole))
            return None

    def _referred(self, kind: str, raw: str | Mapping[str, Any], path: Path) -> Any:
        if isinstance(raw, str):
            return build(read(kind, raw, self.catalog), self.catalog)
        inline = Document(kind=kind, data=dict(raw), file=self.document.file)
        inline.origins = {
            inner[len(path) :]: origin
            for inner, origin in self.document.origins.items()
            if inner[: len(path)] == path
        }
        return build(based(inline, self.catalog), self.catalog)

    def _sources(self, cls: type, raw: Any, path: Path) -> dict[str, Source]:
        where = (*path, "sources")
        if not isinstance(raw, Mapping):
            self._note(where, f"found {_short(raw)}", expected="a table of path = { ref = ... }")
            return {}
        kind = cast(Any, cls).kind
        made = {}
        for key, value in raw.items():
            source = self._source(value, (*where, key))
            if source is not None:
                # a leading kind name is optional in a source's path
                made[key.removeprefix(f"{kind}.") if key.split(".")[0] == kind else key] = source
        return made

    def _source(self, raw: Any, path: Path) -> Source | None:
        known = [a.name for a in attrs.fields(Source)]
        texts = isinstance(raw, Mapping) and all(isinstance(v, str) for v in raw.values())
        if not texts or not raw.get("ref") or not set(raw) <= set(known):
            expected = '{ ref = "...", confidence = "...", note, low, high }'
            self._note(path, f"found {_short(raw)}", expected=expected)
            return None
        source = Source(**raw)
        if source.confidence not in CONFIDENCES:
            self._note(
                path,
                f"found confidence {source.confidence!r}",
                expected="one of " + ", ".join(CONFIDENCES),
                hint=nearest(source.confidence, CONFIDENCES),
            )
        return source


def unsourced(document: Document) -> list[Finding]:
    """Numbers that the document's own file sets without a source of its own."""
    sources = document.data.get("sources", {})
    sources = sources if isinstance(sources, Mapping) else {}
    own = {path for path in document.own if path[0] not in _HEAD}
    found = []
    for path in sorted(own):
        value = _at(document.data, path)
        number = isinstance(value, (int, float)) or (isinstance(value, str) and _quantity(document, path))
        if number and not covering(sources, ".".join(path)):
            expected = f'"{".".join(path)}" = {{ ref = "...", confidence = "..." }} in [sources]'
            found.append(document.finding(path, "a number without a source", expected=expected))
    return found


def check_file(file: FilePath, kind: str, catalog: Catalog, *, sourced: bool) -> list[Finding]:
    """Every fault of one spec file; `sourced` also refuses numbers without a source."""
    try:
        document = read(kind, str(file), catalog)
        build(document, catalog)
    except InputError as error:
        return list(error.findings)
    findings = unsourced(document) if sourced else []
    if document.data.get("name") != file.stem:
        message = f"name {document.data.get('name')!r} is not the file's"
        findings.append(document.finding(("name",), message, expected=f'name = "{file.stem}"'))
    return findings


def _quantity(document: Document, path: Path) -> bool:
    cls = KINDS[document.kind]
    for part in path:
        meta = fields_of(cls).get(part)
        if isinstance(meta, Branch):
            cls = meta.of
        else:
            return isinstance(meta, Leaf) and meta.sort == "quantity"
    return False


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part] if isinstance(data, Mapping) and part in data else None
    return data


def _list(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise ValueError("a list in square brackets is expected")
    if len(raw) > MAXIMUM_LEVELS:
        raise ValueError(f"at most {MAXIMUM_LEVELS} values")
    return raw


def _range_fault(ends: list[float], step: float, spacing: Any, points: Any) -> str:
    if len(ends) != 2 or ends[0] > ends[1]:
        return "a range needs two numbers in order"
    if step < 0:
        return "a step below zero"
    if spacing not in ("linear", "log", "powers-of-two"):
        return f"unknown spacing {spacing!r}"
    if spacing != "linear" and ends[0] <= 0:
        return f"a {spacing} range must start above zero"
    if isinstance(points, bool) or not isinstance(points, int) or not 1 <= points <= MAXIMUM_LEVELS:
        return f"points is {points!r}"
    return ""


def _short(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 80 else text[:77] + "..."


__all__ = ["Builder", "build", "check_file", "leaf_paths", "load", "setting", "unsourced"]
