"""Variations of a study: what if a price, a precision, an attained share were another?

`NAME@VARIATION` is a study of its own: NAME with the keys of `[variations.VARIATION]` in place of
its own, and what `set` says laid over its system, its references and all else it asks with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import attrs

from dse.errors import Finding, SpecError, nearest
from dse.spec.document import Document, Origin, Path
from dse.spec.raw import shown
from dse.spec.values import is_free

MARK = "@"
"""What parts a study's name from that of its variation."""

KEYS = ("doc", "price_basis", "software", "facility", "constraints", "set")
TARGETS = ("workload", "software", "facility")
"""Kinds beside a system that a path of `set` may begin with."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*", re.ASCII)

Entries = list[tuple[str, Any, Origin]]


def parted(name: str) -> tuple[str, str]:
    """The name or file of a study, and of its variation, empty where none is meant.

    A name with nothing before or after the mark is no variation's, and no study has it.
    """
    study, _, variation = name.rpartition(MARK)
    return (
        (study, variation) if study and variation and not FilePath(name).is_file() else (name, "")
    )


def variations(document: Document) -> dict[str, str]:
    """The names of a study's variations, with their docs; SpecError with every fault of form."""
    raw = document.data.get("variations", {})
    if not isinstance(raw, Mapping):
        expected = "a table of tables, such as [variations.half-price]"
        raise SpecError(document.finding(("variations",), f"found {shown(raw)}", expected))
    findings = [fault for name, table in raw.items() for fault in _faults(document, name, table)]
    if findings:
        raise SpecError(findings)
    return {name: table.get("doc", "") for name, table in raw.items()}


def _faults(document: Document, name: str, table: Any) -> Iterator[Finding]:
    path = ("variations", name)
    if not _NAME.fullmatch(name):
        yield document.finding(path, f"the name {name[:60]!r}", "letters, digits, dots and hyphens")
    if not isinstance(table, Mapping):
        yield document.finding(path, f"found {shown(table)}", f"a table with {', '.join(KEYS)}")
        return
    for key in table:
        if key not in KEYS:
            expected = "one of " + ", ".join(KEYS)
            hint = nearest(key, KEYS)
            yield document.finding((*path, key), f"unknown field {key!r}", expected, hint)
    for key in ("set", "constraints"):
        if not isinstance(table.get(key, {}), Mapping):
            yield document.finding((*path, key), f"found {shown(table[key])}", "a table")
    if not isinstance(table.get("doc", ""), str):
        yield document.finding((*path, "doc"), f"found {shown(table['doc'])}", "a text")


def varied(document: Document, name: str) -> tuple[Document, dict[str, Entries]]:
    """A study's document with a variation in it, and by kind what is laid over its specs.

    SpecError for a variation that is not there, or at fault.
    """
    known = list(variations(document))
    if name not in known:
        raise SpecError(
            Finding(
                message=f"no variation is named {name[:80]!r}",
                path="variations",
                file=document.file,
                expected=f"one of {', '.join(known)}" if known else "[variations.NAME] in the file",
                hint=nearest(name, known),
            )
        )
    above = ("variations", name)
    table = document.data["variations"][name]
    own = {key: value for key, value in table.items() if key != "set"}
    if "constraints" in own:
        own["constraints"] = {**document.data.get("constraints", {}), **own["constraints"]}
    moved = {
        path[2:]: origin
        for path, origin in document.origins.items()
        if path[:2] == above and path[2:3] in {(key,) for key in own}
    }
    made = attrs.evolve(document, data={**document.data, **own}, origins=document.origins | moved)
    laid: dict[str, Entries] = {kind: [] for kind in ("system", *TARGETS)}
    for path, value in flat(table.get("set", {}), ()):
        kind = path.partition(".")[0]
        target = kind if kind in TARGETS and "." in path else "system"
        inner = path.partition(".")[2] if target != "system" else path
        origin = document.origin((*above, "set", *_written(document, above, path)))
        laid[target].append((inner, value, origin))
    return made, laid


def _written(document: Document, above: Path, path: str) -> Path:
    """The keys of a path as the file has it: one that is quoted, or several."""
    return (path,) if (*above, "set", path) in document.origins else tuple(path.split("."))


def flat(table: Mapping[str, Any], above: Path) -> Iterator[tuple[str, Any]]:
    """The values of a table by dotted path, whether keys are quoted or dotted."""
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, Mapping) and not is_free(value) and "base" not in value:
            yield from flat(value, path)
        else:
            yield ".".join(path), value
