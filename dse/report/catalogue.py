"""The catalogue as people ask for it: by kind, by name, by file, and with its faults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from dse.errors import Finding, InputError, SpecError, UnknownNameError, nearest
from dse.report.terminal import Column, heading, table
from dse.spec.catalog import CLAIMS, STUDY, Catalog, Entry, kinds, shipped
from dse.spec.document import spec_name
from dse.spec.load import check_file
from dse.spec.variation import MARK, parted

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_PLURALS = {"memory": "memories", "facility": "facilities", "study": "studies"}


def kind_of(word: str) -> str:
    """The kind that a word names, in singular or plural; UnknownNameError with the nearest."""
    words = {kind: kind for kind in kinds()}
    words |= {_PLURALS.get(kind, f"{kind}s"): kind for kind in kinds()}
    if word.lower() in words:
        return words[word.lower()]
    raise UnknownNameError(
        Finding(
            message=f"no kind is called {word!r}",
            expected="one of " + ", ".join(kinds()),
            hint=nearest(word.lower(), list(words)),
        )
    )


def entries_of(catalogue: Catalog, word: str | None) -> list[Entry]:
    """All entries, or those of one kind, ordered by kind and name."""
    order = {kind: index for index, kind in enumerate(kinds())}
    wanted = kind_of(word) if word else None
    known = [e for e in catalogue.entries if e.kind != CLAIMS]
    chosen_entries = [e for e in known if wanted in (None, e.kind)]
    return sorted(chosen_entries, key=lambda e: (order.get(e.kind, len(order)), e.kind, e.name))


def list_view(entries: Sequence[Entry]) -> list[Any]:
    """One table a kind."""
    parts: list[Any] = []
    wide = max((len(entry.name) for entry in entries), default=0)
    for kind, group in groupby(entries, key=lambda entry: entry.kind):
        listed = list(group)
        names = [entry.name.ljust(wide) for entry in listed]
        docs = [entry.doc for entry in listed]
        title = _PLURALS.get(kind, f"{kind}s") if kind else "files that are no spec"
        parts += [heading(title), table([Column("name", names), Column("what", docs, fold=True)])]
    return parts


def resolve(catalogue: Catalog, name: str, word: str | None) -> Entry:
    """The one entry of a name or file; an error says which kinds hold the name."""
    wanted = kind_of(word) if word else None
    whole, variation = parted(name)
    if variation and whole.endswith(".toml"):
        return _entry_of_file(Path(whole), (STUDY,))
    if variation:
        return resolve(catalogue, whole, STUDY)
    if name.endswith(".toml"):
        return _entry_of_file(Path(name), kinds())
    known = [e for e in catalogue.entries if e.kind != CLAIMS]
    found = [e for e in known if e.name == name and wanted in (None, e.kind)]
    if not found and wanted == "system":
        # a chip stands for its usual system
        chips = (e for e in catalogue.entries if (e.kind, e.name) == ("chip", name))
        found = [attrs.evolve(entry, kind="system") for entry in chips]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(sorted(entry.kind for entry in found))
        message = f"{name!r} is the name of several kinds: {listed}"
        raise UnknownNameError(Finding(message=message, hint="say which with --kind"))
    raise _unknown(catalogue, name, wanted)


def _unknown(catalogue: Catalog, name: str, kind: str | None) -> UnknownNameError:
    known = [e for e in catalogue.entries if e.kind != CLAIMS]
    names = sorted({e.name for e in known if kind in (None, e.kind)})
    hint = nearest(name, names) or f"dse list {kind or ''}".strip() + " shows all names"
    return UnknownNameError(
        Finding(message=f"no {kind or 'spec or study'} is named {name!r}", hint=hint)
    )


def _entry_of_file(file: Path, known: Sequence[str]) -> Entry:
    """The head of a file; SpecError where it cannot be read or has no known kind."""
    from dse.spec.lines import load_toml

    data, lines = load_toml(file)
    kind: Any = data.get("kind")
    if kind not in known:
        raise SpecError(
            Finding(
                message=f"found kind {kind!r}",
                path="kind",
                file=str(file),
                line=lines.get(("kind",), 0),
                expected="one of " + ", ".join(known),
                hint=nearest(str(kind), known),
            )
        )
    return Entry(name=str(data.get("name", file.stem)), kind=kind, doc="", file=file)


def chosen(catalogue: Catalog, names: Sequence[str]) -> list[Entry]:
    """The entries of names and files, all of the catalogue where none is given."""
    if not names:
        return list(catalogue.entries)
    made = []
    for name in names:
        if name.endswith(".toml"):
            made.append(Entry(name=name, kind="", doc="", file=Path(name)))
            continue
        whole, variation = parted(name)
        kinds_of = (STUDY,) if variation else (*kinds(), CLAIMS, "")
        found = [e for e in catalogue.entries if e.name == whole and e.kind in kinds_of]
        if not found:
            raise _unknown(catalogue, name, None)
        made += found
    return made


def faults(entry: Entry, catalogue: Catalog) -> list[Finding]:
    """Every fault of one file; in the shipped catalogue numbers without a source too."""
    try:
        known = (*kinds(), CLAIMS)
        kind = entry.kind if entry.kind in known else _entry_of_file(entry.file, known).kind
        if kind == CLAIMS:
            from dse.evidence.claims import check_claims

            return check_claims(entry.file, catalogue)
        if kind != STUDY:
            place = entry.file.resolve()
            sourced = any(place.is_relative_to(folder) for folder in shipped())
            found = check_file(entry.file, kind, catalogue, sourced=sourced)
            return found or (_no_decoder(entry.file, catalogue) if kind == "workload" else [])
        from dse.spec.study import load_study

        whole = load_study(str(entry.file), catalogue)
        for name in whole.variations:
            load_study(f"{entry.file}{MARK}{name}", catalogue)
    except InputError as error:
        return list(error.findings)
    return []


def _no_decoder(file: Path, catalogue: Catalog) -> list[Finding]:
    """What is wrong with the decode_system of a workload that is right otherwise."""
    from dse.spec.decoder import decoder
    from dse.spec.document import at_reference, read
    from dse.spec.load import load
    from dse.spec.workload import Workload

    try:
        decoder(load(Workload, str(file), catalogue), catalogue)
    except InputError as error:
        document = read("workload", str(file), catalogue)
        return list(at_reference(error, document, ("decode_system",)).findings)
    return []


def new_variant(
    name: str,
    base: str,
    word: str | None,
    settings: Sequence[tuple[str, str]],
    catalogue: Catalog,
) -> str:
    """The file of a variant of `base`, as `dse new` writes it."""
    from dse.spec.load import given
    from dse.spec.write import variant

    if not _NAME.fullmatch(name):
        expected = "letters, digits, dots and hyphens, such as trainium4-wide"
        raise SpecError(Finding(message=f"the name {name[:60]!r}", expected=expected))
    kind = resolve(catalogue, base, word).kind
    if kind == STUDY:
        hint = "copy its file, which is short, and change the name"
        raise SpecError(Finding(message=f"{base} is a study and no base", hint=hint))
    values = [(path, value) for path, value, _ in given(settings)]
    return variant(kind, name, spec_name(base), values, catalogue)
