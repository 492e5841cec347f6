"""Claims as their file declares them: what is said, by whom, how closely it should be met."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from dse import units
from dse.errors import Finding, InputError, SpecError, nearest
from dse.evidence.claim_arithmetic import Figure
from dse.evidence.claim_facts import Function, inputs_of
from dse.spec.catalog import Catalog
from dse.spec.lines import Key, line_of, load_toml
from dse.spec.raw import shown

KIND = "claims"
VERDICTS = ("reproduced", "off", "contradicted", "not-reproducible")
"""Every verdict a claim may have; of the last there is no function that could compute it."""

_HEAD = ("kind", "name", "doc", "claim")
_NEEDED = ("id", "quote", "source", "claimed", "expected")
_TEXTS = ("id", "quote", "source", "expected", "date", "note", "reason")
_KEYS = (
    "id",
    "quote",
    "source",
    "date",
    "claimed",
    "tolerance",
    "inputs",
    "gives",
    "expected",
    "note",
    "reason",
)
_ID = re.compile(r"[A-Z]\d{1,3}(-[A-Za-z0-9-]{1,24})?")
_NUMBER = re.compile(r"\s*[+-]?[\d._]+(?:[eE][+-]?\d+)?\s*")


@attrs.frozen(kw_only=True)
class Claim:
    """One published claim. `claimed` is in SI or a yes or no, `unit` the one that it is stated in.

    `reason` says why nothing computes it; `note` explains what is computed or found; `gives`
    names the constants of specs that are taken from this figure, so that it cannot test them.
    """

    id: str
    quote: str
    source: str
    claimed: float | bool
    unit: str
    text: str
    expected: str
    tolerance: float = 0.0
    date: str = ""
    note: str = ""
    reason: str = ""
    inputs: Mapping[str, Figure] = attrs.field(factory=dict)
    gives: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    def finding(self, message: str, expected: str = "") -> Finding:
        """A finding at this claim."""
        return Finding(
            message=message, expected=expected, path=self.id, file=self.file, line=self.line
        )


def claims_file(catalog: Catalog) -> Path:
    """The claims of the first folder that has any; SpecError if none has."""
    for entry in catalog.entries:
        # one that cannot be read must not give way to the next: reading it says what is wrong
        if entry.kind == KIND or (not entry.kind and entry.file.name == "claims.toml"):
            return entry.file
    hint = "the catalogue that comes with dse has one: specs/claims.toml"
    raise SpecError(Finding(message="no file of claims in any spec folder", hint=hint))


def read_claims(file: Path, functions: Mapping[str, Function]) -> tuple[Claim, ...]:
    """All claims of a file that these functions can compute; SpecError with every fault."""
    data, lines = load_toml(file)
    reader = _Reader(file=str(file), lines=lines, functions=functions)
    claims = reader.claims(data)
    if reader.findings:
        raise SpecError(reader.findings)
    return claims


@attrs.define
class _Reader:
    file: str
    lines: Mapping[Key, int]
    functions: Mapping[str, Function]
    findings: list[Finding] = attrs.field(factory=list)

    def claims(self, data: Mapping[str, Any]) -> tuple[Claim, ...]:
        self._known((), "", data, _HEAD)
        if data.get("kind") != KIND:
            self._note(("kind",), "", f"found kind {data.get('kind')!r}", f'kind = "{KIND}"')
        items = data.get("claim")
        if not isinstance(items, list) or not items:
            self._note(("claim",), "", f"found {shown(items)}", "claims, each opened by [[claim]]")
            return ()
        made = [self._claim(str(index), item) for index, item in enumerate(items)]
        self._repeated(items)
        return tuple(claim for claim in made if claim)

    def _note(
        self, place: Key, path: str, message: str, expected: str = "", hint: str = ""
    ) -> None:
        """A finding at the key `place` that calls it `path`."""
        path = path or ".".join(place)
        self._keep([Finding(message=message, expected=expected, hint=hint)], place, path)

    def _keep(self, findings: Iterable[Finding], place: Key, path: str) -> None:
        line = line_of(self.lines, place)
        found = [attrs.evolve(f, path=path, file=self.file, line=line) for f in findings]
        self.findings += found

    def _known(self, place: Key, path: str, data: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        for key in data:
            if key not in keys:
                whole = f"{path}.{key}" if path else key
                expected = "one of " + ", ".join(keys) if keys else "no inputs"
                self._note(
                    (*place, key), whole, f"unknown key {key!r}", expected, nearest(key, keys)
                )

    def _claim(self, index: str, item: Any) -> Claim | None:
        """The claim of one table; None if anything is wrong with it."""
        place: Key = ("claim", index)
        if not isinstance(item, Mapping):
            self._note(place, "", f"found {shown(item)}", "a table opened by [[claim]]")
            return None
        name = str(item.get("id", f"claim {int(index) + 1}"))[:40]
        before = len(self.findings)
        self._shape(place, name, item)
        if len(self.findings) > before:
            return None
        function = self.functions.get(name)
        self._computable(place, name, item, function)
        claimed, unit = self._claimed(place, name, item["claimed"])
        inputs = self._inputs(place, name, item.get("inputs", {}), function)
        tolerance = self._tolerance(place, name, item)
        if len(self.findings) > before:
            return None
        texts = {key: item.get(key, "") for key in _TEXTS}
        return Claim(
            **texts,
            claimed=claimed,
            unit=unit,
            text=_said(item["claimed"]),
            tolerance=tolerance,
            inputs=inputs,
            gives=tuple(item.get("gives", ())),
            file=self.file,
            line=line_of(self.lines, place),
        )

    def _shape(self, place: Key, name: str, item: Mapping[str, Any]) -> None:
        """Keys, texts and words are what they should be."""
        self._known(place, name, item, _KEYS)
        for key in _NEEDED:
            if key not in item:
                self._note(place, name, f"no {key}", f"{key} = ...")
        for key in _TEXTS:
            if key in item and (not isinstance(item[key], str) or not item[key].strip()):
                self._note((*place, key), f"{name}.{key}", f"found {shown(item[key])}", "a text")
        gives = item.get("gives", [])
        if not isinstance(gives, list) or not all(isinstance(each, str) for each in gives):
            self._note((*place, "gives"), f"{name}.gives", f"found {shown(gives)}", '["spec.leaf"]')
        if isinstance(item.get("id"), str) and not _ID.fullmatch(item["id"]):
            expected = "a letter and a number, such as A7 or A7-ratio"
            self._note((*place, "id"), name, f"found {shown(item['id'])}", expected)
        if isinstance(word := item.get("expected"), str) and word not in VERDICTS:
            expected, hint = "one of " + ", ".join(VERDICTS), nearest(word, VERDICTS)
            self._note((*place, "expected"), f"{name}.expected", f"found {word!r}", expected, hint)

    def _computable(
        self, place: Key, name: str, item: Mapping[str, Any], function: Function | None
    ) -> None:
        """A claim has a function, or a reason why it has none, and expects what fits."""
        none = item["expected"] == "not-reproducible"
        if function is None and "reason" not in item:
            hint = nearest(name, list(self.functions))
            expected = "an id that dse computes, or a reason why nothing can"
            self._note(place, name, "no function computes this claim", expected, hint)
        elif function is None and not none:
            expected = 'expected = "not-reproducible"'
            self._note((*place, "expected"), name, "no function computes this claim", expected)
        elif function is not None and (none or "reason" in item):
            message = "a function computes this claim"
            self._note(place, name, message, "neither a reason nor not-reproducible")

    def _claimed(self, place: Key, name: str, raw: Any) -> tuple[float | bool, str]:
        if isinstance(raw, bool):
            return raw, ""
        value = self._figure((*place, "claimed"), f"{name}.claimed", raw)
        if value.value == 0.0 and value.text:
            self._note((*place, "claimed"), name, "a claim of zero has no relative difference")
        return value.value, _unit_of(raw) if isinstance(raw, str) else "1"

    def _figure(self, place: Key, path: str, raw: Any) -> Figure:
        """A number or a quantity; of no text where it is neither."""
        if _is_number(raw) and abs(raw) <= 1e300:
            return Figure(float(raw), f"{raw:,}")
        if not isinstance(raw, str):
            self._note(place, path, f"found {shown(raw)}", 'a number, or a text such as "2.9 TB/s"')
            return Figure(0.0, "")
        try:
            unit = _unit_of(raw)
            return Figure(units.parse(raw, unit), raw.strip(), units.dimension(unit))
        except InputError as error:
            self._keep(error.findings, place, path)
            return Figure(0.0, "")

    def _inputs(
        self, place: Key, name: str, raw: Any, function: Function | None
    ) -> dict[str, Figure]:
        place = (*place, "inputs")
        if not isinstance(raw, Mapping):
            self._note(place, f"{name}.inputs", f"found {shown(raw)}", 'a table of "name" = "1 W"')
            return {}
        wanted = inputs_of(function) if function else ()
        self._known(place, f"{name}.inputs", raw, wanted)
        for key in wanted:
            if key not in raw:
                self._note(
                    place, f"{name}.inputs", f"no input {key!r}", "all of " + ", ".join(wanted)
                )
        return {
            key: self._figure((*place, key), f"{name}.inputs.{key}", value)
            for key, value in raw.items()
        }

    def _tolerance(self, place: Key, name: str, item: Mapping[str, Any]) -> float:
        """A relative tolerance, which what is computed as a number must have."""
        raw: Any = item.get("tolerance")
        if _is_number(raw) and 0 <= raw < 1:
            return float(raw)
        exempt = isinstance(item["claimed"], bool) or "reason" in item
        if raw is not None or not exempt:
            found = "no tolerance" if raw is None else f"found {shown(raw)}"
            expected = "a share of what is claimed, from 0 to below 1, such as 0.01"
            self._note((*place, "tolerance"), f"{name}.tolerance", found, expected)
        return 0.0

    def _repeated(self, items: list[Any]) -> None:
        seen: set[str] = set()
        for index, item in enumerate(items):
            name = item.get("id") if isinstance(item, Mapping) else None
            if isinstance(name, str) and name in seen:
                self._note(("claim", str(index), "id"), name, "a second claim of this id")
            seen.add(str(name))


def _is_number(raw: Any) -> bool:
    return isinstance(raw, (int, float)) and not isinstance(raw, bool)


def _unit_of(text: str) -> str:
    """The unit of a quantity's text; 1 where it has none."""
    match = _NUMBER.match(text)
    return text[match.end() :].strip() or "1" if match else "1"


def _said(raw: Any) -> str:
    """What is claimed as people read it."""
    if isinstance(raw, bool):
        return "yes" if raw else "no"
    return raw.strip() if isinstance(raw, str) else f"{raw:,}"
