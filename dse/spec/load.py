"""From documents to specs: every leaf checked, every fault reported at once with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast

import attrs

from dse import units
from dse.errors import Finding, InputError, SpecError, nearest
from dse.spec.catalog import Catalog
from dse.spec.document import (
    Document,
    Origin,
    Path,
    at_reference,
    based,
    declaration,
    lay_all,
    read,
    spec_name,
)
from dse.spec.fields import CONFIDENCES, KINDS, Branch, Leaf, Source, fields_of, no_field, walk
from dse.spec.lines import parse_toml
from dse.spec.provenance import UNSOURCED, Carried, pinned
from dse.spec.raw import CONDITIONAL, alternatives, conditional, leaf_value, shown, weights
from dse.spec.space import needs, parameters, source_of
from dse.spec.values import Choice, Free, Weighted, is_free

_T = TypeVar("_T")
_HEAD = ("kind", "name", "doc", "base", "sources")
SETTING = Origin("--set")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)


def load(of: type[_T], name: str, catalog: Catalog, settings: Iterable[tuple[str, str]] = ()) -> _T:
    """The spec of class `of` by name or file, with `--set` assignments laid over it.

    Raises SpecError with all faults of all files it rests on.
    """
    values = given(settings)
    return cast(_T, build_laid(read(cast(Any, of).kind, name, catalog), values, catalog))


def from_data(data: Mapping[str, Any], catalog: Catalog) -> Any:
    """The spec that a file with this content would hold; SpecError with every fault.

    `data` is what TOML gives: `kind`, `name`, perhaps `base`, and values as files write them.
    """
    kind = data.get("kind")
    if kind not in KINDS:
        expected = "kind = one of " + ", ".join(KINDS)
        raise SpecError(Finding(message=f"found kind {shown(kind)}", expected=expected))
    document = Document(kind=str(kind), data=dict(data))
    return build_whole(based(document, catalog), catalog)


def build_laid(
    document: Document, values: Iterable[tuple[str, Any, Origin]], catalog: Catalog
) -> Any:
    """The spec of a document with (path, value, origin) laid over it; SpecError if at fault."""
    findings: list[Finding] = []
    document = lay_all(document, values, findings)
    try:
        made = build_whole(document, catalog)
    except InputError as error:
        raise SpecError([*findings, *error.findings]) from error
    if findings:
        raise SpecError(findings)
    return made


def given(settings: Iterable[tuple[str, str]]) -> list[tuple[str, Any, Origin]]:
    """`--set` assignments as (path, value, origin); SpecError for a path that is set twice."""
    listed = list(settings)
    paths = [path for path, _ in listed]
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise SpecError(
            Finding(message=f"{path} is set twice", path="--set", expected="each path once")
            for path in twice
        )
    return [(path, setting(text), SETTING) for path, text in listed]


def setting(text: str) -> Any:
    """The value of `--set path=value`: TOML where it is TOML, otherwise the text itself."""
    if len(text) > 4000:
        raise SpecError(Finding(message="a value of more than 4000 characters", path="--set"))
    try:
        data, _ = parse_toml(f"value = {text}".encode(errors="surrogatepass"))
    except SpecError:
        return text
    return data["value"] if set(data) == {"value"} else text


def build_whole(document: Document, catalog: Catalog) -> Any:
    """As build, for a spec that no other holds: its conditions must name what there is."""
    made = build(document, catalog)
    try:
        needs(made)
    except SpecError as error:
        raise SpecError(
            document.placed(tuple(fault.path.split(".")), fault) for fault in error.findings
        ) from error
    return made


def build(document: Document, catalog: Catalog) -> Any:
    """The spec that a document describes; SpecError with every fault."""
    builder = _Builder(document=document, catalog=catalog)
    made = builder.spec(KINDS[document.kind], document.data, (), named=True)
    if builder.findings:
        raise SpecError(sorted(set(builder.findings), key=lambda f: (f.file, f.line, str(f))))
    return made


@attrs.define
class _Builder:
    """Builds one document's spec and gathers its findings."""

    document: Document
    catalog: Catalog
    findings: list[Finding] = attrs.field(factory=list)

    def spec(self, cls: type, data: Mapping[str, Any], path: Path, *, named: bool) -> Any:
        """An instance of `cls`; what was wrong is left out."""
        fields = fields_of(cls)
        for key in data:
            if key not in fields and not (named and key in _HEAD):
                self._unknown(cls, key, (*path, key))
        values = {}
        for name, meta in fields.items():
            if name in data and (value := self._field(meta, data[name], (*path, name))) is not None:
                values[name] = value
        if named:
            values["sources"] = pinned(cls, data, self._sources(cls, data.get("sources", {})))
        return cls(**values)

    def _unknown(self, cls: type, key: str, path: Path) -> None:
        self._note(path, *no_field(cls, key))

    def _note(self, path: Path, message: str, expected: str, hint: str = "") -> None:
        self.findings.append(self.document.finding(path, message, expected, hint))

    def _field(self, meta: Leaf | Branch, raw: Any, path: Path) -> Any:
        if isinstance(meta, Leaf):
            return self._leaf(meta, raw, path)
        if meta.named:
            return self._reference(meta, raw, path)
        if isinstance(raw, Mapping) and not is_free(raw):
            return self.spec(meta.of, raw, path, named=False)
        fields = ", ".join(fields_of(meta.of))
        self._note(path, f"found {shown(raw)}", expected=f"a table with some of {fields}")
        return None

    def _leaf(self, leaf: Leaf, raw: Any, path: Path) -> Any:
        try:
            return leaf_value(leaf, raw)
        except InputError as error:
            self._place(path, error)
            return None

    def _reference(self, meta: Branch, raw: Any, path: Path) -> Any:
        try:
            if is_free(raw):
                return self._several(meta, raw, path)
            return self._referred(cast(Any, meta.of).kind, raw, path)
        except InputError as error:
            self.findings += at_reference(error, self.document, path).findings
            return None

    def _several(self, meta: Branch, raw: Mapping[str, Any], path: Path) -> Free | None:
        """A choice of specs, or uncertain alternatives."""
        kind = cast(Any, meta.of).kind
        key = next((key for key in ("choice", "alternatives") if key in raw), "")
        if not key or not set(raw) <= {key, *(CONDITIONAL if key == "choice" else ("weights",))}:
            expected = f'{{ choice = ["one {kind}", "another"] }}'
            raise SpecError(Finding(message=f"found {shown(raw)}", expected=expected))
        listed = enumerate(alternatives(raw[key]))
        made = [self._fixed(meta, item, (*path, key, str(index))) for index, item in listed]
        if key == "alternatives":
            given = weights(raw)
            return None if None in made else Weighted(alternatives=made, weights=given)
        place = (*path, "otherwise")
        more = conditional(raw, lambda item: self._fixed(meta, item, place))
        missing = None in made or ("otherwise" in more and more["otherwise"] is None)
        return None if missing else Choice(made, **more)

    def _fixed(self, meta: Branch, raw: Any, path: Path) -> Any:
        """A spec that a choice may hold: one without a choice of its own."""
        one = self._reference(meta, raw, path)
        if isinstance(one, Free) or (one is not None and parameters(one)):
            self._note(path, "a choice inside a choice", expected="a spec that is fixed")
        return one

    def _referred(self, kind: str, raw: Any, path: Path) -> Any:
        if isinstance(raw, Mapping):
            if raw.get("kind", kind) != kind:
                message = f"found kind {shown(raw['kind'])}"
                raise SpecError(Finding(message=message, expected=f'kind = "{kind}", or none'))
            return build(based(self.document.inline(kind, path, raw), self.catalog), self.catalog)
        if not isinstance(raw, str):
            expected = f"the name of a {kind}, or a table"
            raise SpecError(Finding(message=f"found {shown(raw)}", expected=expected))
        key = (kind, spec_name(raw))
        if key not in self.catalog.specs:
            self.catalog.specs[key] = build(read(kind, raw, self.catalog), self.catalog)
        return self.catalog.specs[key]

    def _sources(self, cls: type, raw: Any) -> dict[str, Source]:
        if not isinstance(raw, Mapping):
            expected = 'a table of "path" = { ref = "..." }'
            self._note(("sources",), f"found {shown(raw)}", expected=expected)
            return {}
        made = {}
        for key, value in raw.items():
            try:
                made[key] = source_from(value)
                if not isinstance(value, Carried):
                    _check_interval(declaration(cls, tuple(key.split(".")), key), made[key])
            except InputError as error:
                if not isinstance(value, Carried):
                    self._place(("sources", key), error)
        return made

    def _place(self, path: Path, error: InputError) -> None:
        self.findings += [self.document.placed(path, fault) for fault in error.findings]


def source_from(raw: Any) -> Source:
    """The source that a file's table means; SpecError where it says less or more."""
    known = [a.name for a in attrs.fields(Source)]
    texts = isinstance(raw, Mapping) and all(isinstance(v, str) for v in raw.values())
    if not texts or not raw.get("ref") or not set(raw) <= set(known):
        expected = '{ ref = "...", confidence = "...", note, date, low, high }, all of them text'
        raise SpecError(Finding(message=f"found {shown(raw)}", expected=expected))
    source = Source(**raw)
    if source.date and not _DATE.fullmatch(source.date):
        message = f"found date {source.date!r}"
        raise SpecError(Finding(message=message, expected='a date, such as "2025-12-04" or "2025"'))
    if source.confidence not in CONFIDENCES:
        message = f"found confidence {source.confidence!r}"
        expected = "one of " + ", ".join(CONFIDENCES)
        hint = nearest(source.confidence, CONFIDENCES)
        raise SpecError(Finding(message=message, expected=expected, hint=hint))
    return source


def _check_interval(meta: Leaf | Branch, source: Source) -> None:
    """Raise an InputError unless the interval of a quantity's source is one, in its unit."""
    if isinstance(meta, Leaf) and meta.numeric:
        ends = [units.parse(end, meta.unit) for end in (source.low, source.high) if end]
        if ends != sorted(ends):
            message = f"low {source.low} is above high {source.high}"
            raise SpecError(Finding(message=message, expected="low <= high"))


def check_file(file: FilePath, kind: str, catalog: Catalog, *, sourced: bool) -> list[Finding]:
    """Every fault of one spec file; `sourced` also refuses numbers without a source."""
    try:
        document = read(kind, str(file), catalog)
        made = build_whole(document, catalog)
    except InputError as error:
        return list(error.findings)
    findings = [*_unsourced(document, made), *_outside(document, made)] if sourced else []
    if document.data.get("name") != file.stem:
        message = f"name {document.data.get('name')!r} is not the file's"
        findings.append(document.finding(("name",), message, expected=f'name = "{file.stem}"'))
    return findings


def _unsourced(document: Document, made: Any) -> list[Finding]:
    """Numbers that the document's own file sets without a source of its own."""
    found = []
    for path in document.own:
        dotted = ".".join(path)
        if path[0] in _HEAD or "base" in path or "sources" in path:
            continue
        meta = declaration(KINDS[document.kind], path, dotted)
        source = source_of(made, dotted)
        if isinstance(meta, Leaf) and meta.numeric and (not source or source.ref == UNSOURCED):
            expected = f'"{dotted}" = {{ ref = "...", confidence = "..." }} in [sources]'
            found.append(document.finding(path, "a number without a source", expected=expected))
    return found


def _outside(document: Document, made: Any) -> list[Finding]:
    """Numbers that lie outside of the interval that their own source gives."""
    found = []
    for path, leaf, value in walk(made):
        source = made.sources.get(path)
        if source is None or not leaf.numeric or isinstance(value, Free) or not value:
            continue
        try:
            _check_within(leaf, source, value)
        except InputError as error:
            found += [document.placed(tuple(path.split(".")), fault) for fault in error.findings]
    return found


def _check_within(leaf: Leaf, source: Source, value: float) -> None:
    low = units.parse(source.low, leaf.unit) if source.low else value
    high = units.parse(source.high, leaf.unit) if source.high else value
    # 1e-9: an end may be the value itself, written in another unit
    if not low * (1.0 - 1e-9) <= value <= high * (1.0 + 1e-9):
        message = f"{leaf.show(value)} lies outside of its source's interval"
        expected = f"a value between {leaf.show(low)} and {leaf.show(high)}"
        raise SpecError(Finding(message=message, expected=expected))
