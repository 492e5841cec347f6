"""Studies: a system with free parameters, what is asked of it, what is wanted, within limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, NoReturn

import attrs

from dse import units
from dse.errors import Finding, InputError, SpecError, nearest
from dse.spec.catalog import STUDY, Catalog
from dse.spec.decoder import decoder
from dse.spec.document import (
    Document,
    Origin,
    Path,
    at_reference,
    declaration,
    read,
)
from dse.spec.facility import PRICE_BASES, Facility
from dse.spec.fields import Leaf, spec_path
from dse.spec.lines import load_toml
from dse.spec.load import build_laid, given, load, source_from
from dse.spec.metrics import CONSTRAINED, EVERY, LATENCIES, METRICS, SELECTABLE
from dse.spec.raw import shown
from dse.spec.space import fixed, parameters
from dse.spec.system import System
from dse.spec.values import is_free
from dse.spec.variation import MARK, Entries, parted, variations, varied
from dse.spec.workload import LanguageModel, Software, Workload

METHODS = ("hybrid", "gradient", "nsga2", "tpe", "qmc", "random", "exact")
_KEYS = (
    *("kind", "name", "doc", "system", "references", "price_basis", "objectives", "operate"),
    *("workloads", "space", "constraints", "search", "software", "facility", "sources"),
    "variations",
)


@attrs.frozen(kw_only=True)
class Task:
    """One workload of a study: a model, what is asked, its share of the tokens.

    `decoder` is the system that decodes while designs read the prompts (SAME: more of the design);
    None: designs do both.
    """

    model: LanguageModel
    workload: Workload
    weight: float = 1.0
    decoder: System | str | None = None


@attrs.frozen(kw_only=True)
class Constraint:
    """`metric` of a workload, or of all, at most or at least `limit`; `name` as the file has it."""

    text: str
    name: str
    metric: str
    workload: str = ""
    upper: bool = True
    limit: float


@attrs.frozen(kw_only=True)
class Study:
    """A question, ready to be searched.

    `operate` is the metric in which the operator takes a design's best operating point, or EVERY.
    `reference_bases` are the price bases of the references; one that is not the study's own stands
    in the reference's name. `variations` are the docs of its what-ifs by name.
    """

    name: str
    doc: str
    file: str
    system: System
    references: tuple[System, ...]
    reference_bases: tuple[str, ...]
    price_basis: str
    objectives: Mapping[str, str]
    operate: str
    tasks: tuple[Task, ...]
    constraints: tuple[Constraint, ...]
    software: Software
    facility: Facility
    method: str
    budget: int
    seed: int
    variations: Mapping[str, str] = attrs.field(factory=dict, repr=False)


def load_study(name: str, catalog: Catalog, settings: Iterable[tuple[str, str]] = ()) -> Study:
    """A study by name or file, or its variation (NAME@VARIATION); SpecError with every fault.

    `settings` lay over its system.
    """
    whole, variation = parted(name)
    file = catalog.find(STUDY, whole)
    data, lines = load_toml(file)
    origins = {path: Origin(str(file), line) for path, line in lines.items()}
    document = Document(kind=STUDY, data=data, file=str(file), origins=origins)
    return read_study(document, catalog, settings, variation)


def read_study(
    document: Document,
    catalog: Catalog,
    settings: Iterable[tuple[str, str]] = (),
    variation: str = "",
) -> Study:
    """The study that a document describes, as load_study."""
    found = document.data.get("kind")
    if found != STUDY:
        message = f"found kind {found!r}" if found is not None else "no kind"
        raise SpecError(document.finding(("kind",), message, f'kind = "{STUDY}"'))
    reader = _Reader(document, catalog)
    if variation:
        reader.document, reader.laid = varied(document, variation)
    study = reader.study(FilePath(document.file).stem, variation, list(settings))
    if reader.findings or study is None:
        raise SpecError(dict.fromkeys(reader.findings))
    return study


@attrs.define
class _Reader:
    document: Document
    catalog: Catalog
    findings: list[Finding] = attrs.field(factory=list)
    laid: dict[str, Entries] = attrs.field(factory=dict)

    def study(self, stem: str, variation: str, settings: list[tuple[str, str]]) -> Study | None:
        data = self.document.data
        self._known((), data, _KEYS)
        if data.get("name") != stem:
            self._note(("name",), f"name {data.get('name')!r} is not the file's", f'"{stem}"')
        doc = data.get("doc", "")
        if not isinstance(doc, str):
            self._note(("doc",), f"found {shown(doc)}", "a text")
        self._sources()
        system = self._system(settings)
        tasks = self._tasks()
        search = self._table("search", ("method", "budget", "seed"))
        basis = self._word(("price_basis",), PRICE_BASES, data.get("price_basis"))
        references = self._references(basis)
        made = {
            "references": tuple(system for system, _ in references),
            "reference_bases": tuple(each for _, each in references),
            "price_basis": basis,
            "objectives": (objectives := self._objectives()),
            "operate": self._operate(tasks, objectives),
            "constraints": self._constraints(),
            "software": self._named(Software, ("software",), data.get("software", "default")),
            "facility": self._named(Facility, ("facility",), data.get("facility", "hyperscale-us")),
            "method": self._word(("search", "method"), METHODS, search.get("method", "hybrid")),
            "budget": self._whole("budget", search.get("budget", 2000), 1),
            "seed": self._whole("seed", search.get("seed", 0), 0),
            "variations": self._variations(),
        }
        if self.findings or system is None:
            return None
        name = f"{stem}{MARK}{variation}" if variation else stem
        file = self.document.file
        return Study(name=name, doc=doc, file=file, system=system, tasks=tasks, **made)

    def _variations(self) -> Mapping[str, str]:
        try:
            return variations(self.document)
        except SpecError as error:
            self.findings += error.findings
            return {}

    def _sources(self) -> None:
        """A study's sources are for its readers; they have the form of a spec's."""
        for key, raw in self._table("sources").items():
            try:
                source_from(raw)
            except InputError as error:
                self._absorb(error, ("sources", key))

    def _note(self, path: Path, message: str, expected: str = "", hint: str = "") -> None:
        self.findings.append(self.document.finding(path, message, expected, hint))

    def _absorb(self, error: InputError, path: Path) -> None:
        self.findings += at_reference(error, self.document, path).findings

    def _known(self, path: Path, table: Mapping[str, Any], allowed: Sequence[str]) -> None:
        for key in table:
            if key not in allowed:
                expected = "one of " + ", ".join(allowed)
                self._note((*path, key), f"unknown field {key!r}", expected, nearest(key, allowed))

    def _table(self, key: str, allowed: Sequence[str] = ()) -> Mapping[str, Any]:
        raw = self.document.data.get(key, {})
        if not isinstance(raw, Mapping):
            self._note((key,), f"found {shown(raw)}", "a table")
            return {}
        if allowed:
            self._known((key,), raw, allowed)
        return raw

    def _flat(self, key: str) -> dict[str, tuple[Path, Any]]:
        """A table's entries by dotted path, with their own, whether keys were quoted or dotted."""
        made: dict[str, tuple[Path, Any]] = {}
        for path, value in _values(self._table(key), ()):
            dotted = ".".join(path)
            if dotted in made:
                self._note((key, *path), f"{dotted} is said twice", "each path once")
            made[dotted] = ((key, *path), value)
        return made

    def _named(self, of: type, path: Path, raw: Any) -> Any:
        try:
            return self._loaded(of, self._name(of, raw))
        except InputError as error:
            self._absorb(error, path)
            return None

    def _loaded(self, of: Any, name: str) -> Any:
        """A spec with what the variation lays over its kind."""
        if laid := self.laid.get(of.kind):
            return build_laid(read(of.kind, name, self.catalog), laid, self.catalog)
        return load(of, name, self.catalog)

    def _name(self, of: Any, raw: Any) -> str:
        """The name of a spec; a path to a file is relative to the study's."""
        if not isinstance(raw, str):
            raise SpecError(Finding(message=f"found {shown(raw)}", expected=f"a {of.kind}'s name"))
        return str(FilePath(self.document.file).parent / raw) if raw.endswith(".toml") else raw

    def _word(self, path: Path, words: tuple[str, ...], raw: Any) -> str:
        if raw not in words:
            expected = "one of " + ", ".join(words)
            self._note(path, f"found {shown(raw)}", expected, nearest(str(raw), words))
            return words[0]
        return str(raw)

    def _whole(self, key: str, raw: Any, low: int) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= 10**9:
            self._note(("search", key), f"found {shown(raw)}", f"a whole number, at least {low}")
            return low
        return raw

    def _system(self, settings: list[tuple[str, str]]) -> System | None:
        try:
            name = self._name(System, self.document.data.get("system"))
            document = read("system", name, self.catalog)
        except InputError as error:
            self._absorb(error, ("system",))
            return None
        try:
            laid = self.laid.get("system", [])
            made = build_laid(document, [*self._space(), *laid, *given(settings)], self.catalog)
        except InputError as error:
            self._absorb(error, ("system",))
            return None
        if not parameters(made):
            self._note(("space",), "an empty space", '"chip.dies" = { choice = [2, 4] }')
        return made  # type: ignore[no-any-return]

    def _space(self) -> list[tuple[str, Any, Origin]]:
        """What the space lays over the system, checked for paths inside each other."""
        entries = self._flat("space")
        paths: dict[Path, str] = {}
        for path in sorted(entries, key=len):
            parts = spec_path("system", path)
            above = [paths[head] for n in range(len(parts)) if (head := parts[: n + 1]) in paths]
            if above:
                message = f"{path} lies inside {above[0]}"
                self._note(entries[path][0], message, "paths none of which holds another")
            paths[parts] = path
        return [(path, raw, self.document.origin(key)) for path, (key, raw) in entries.items()]

    def _references(self, basis: str) -> list[tuple[System, str]]:
        """The systems that are shown beside the designs, each with its price basis."""
        raw = self.document.data.get("references", [])
        if not isinstance(raw, list):
            self._note(("references",), f"found {shown(raw)}", "a list of systems")
            return []
        found = [self._reference(("references", str(i)), item, basis) for i, item in enumerate(raw)]
        made = [each for each in found if each is not None]
        twice = [item for i, item in enumerate(raw) if item in raw[:i]]
        if twice:
            self._note(("references",), f"{shown(twice[0])} stands twice", "each system once")
        # at the price of a variation two may be one
        return list({system.name: (system, own) for system, own in made}.values())

    def _reference(self, path: Path, raw: Any, basis: str) -> tuple[System, str] | None:
        """A system, by its name or in a table with the price basis that it has instead."""
        own = basis
        if isinstance(raw, Mapping):
            self._known(path, raw, ("system", "price_basis"))
            own = self._word((*path, "price_basis"), PRICE_BASES, raw.get("price_basis", basis))
            path, raw = (*path, "system"), raw.get("system")
        system = self._named(System, path, raw)
        if system is None:
            return None
        return (system if own == basis else at_basis(system, own)), own

    def _tasks(self) -> tuple[Task, ...]:
        raw = self.document.data.get("workloads")
        if not isinstance(raw, list) or not raw or not all(isinstance(r, Mapping) for r in raw):
            self._note(("workloads",), "no workloads", "[[workloads]] with model and workload")
            return ()
        return tuple(t for i, item in enumerate(raw) if (t := self._task(item, str(i))) is not None)

    def _task(self, raw: Mapping[str, Any], index: str) -> Task | None:
        path = ("workloads", index)
        self._known(path, raw, ("model", "workload", "weight", "decode_system"))
        model = self._named(LanguageModel, (*path, "model"), raw.get("model"))
        workload = self._named(Workload, (*path, "workload"), raw.get("workload"))
        weight = raw.get("weight", 1.0)
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not number or not 0 < weight <= 1e9:
            self._note((*path, "weight"), f"found {shown(weight)}", "a number above zero")
            return None
        if model is None or workload is None:
            return None
        second = self._decoder((*path, "decode_system"), workload, raw.get("decode_system"))
        return Task(model=model, workload=workload, weight=float(weight), decoder=second)

    def _decoder(self, path: Path, workload: Workload, raw: Any) -> System | str | None:
        """What decodes: as the study says, else as the workload does."""
        try:
            name = workload.decode_system if raw is None else self._name(System, raw)
            made = decoder(attrs.evolve(workload, decode_system=name), self.catalog)
            laid = isinstance(made, System) and self.laid.get("system")
            return fixed(self._loaded(System, name)) if laid else made
        except InputError as error:
            self._absorb(error, path)
            return None

    def _objectives(self) -> Mapping[str, str]:
        raw = self._table("objectives")
        if not raw:
            self._note(("objectives",), "no objectives", '{ tokens_per_usd = "max" }')
        for name, sense in raw.items():
            path = ("objectives", name)
            if name not in METRICS:
                expected = "one of " + ", ".join(METRICS)
                self._note(path, f"unknown metric {name!r}", expected, nearest(name, list(METRICS)))
            elif sense not in ("max", "min"):
                self._note(path, f"found {shown(sense)}", '"max" or "min"')
        return dict(raw)

    def _operate(self, tasks: tuple[Task, ...], objectives: Mapping[str, str]) -> str:
        """What an operator maximises: the first objective unless the study says otherwise."""
        raw = self.document.data.get("operate")
        if raw is None:
            return next(iter(objectives), "")
        if raw == EVERY and (len(tasks) > 1 or any(task.decoder for task in tasks)):
            expected = "one workload that designs serve alone, or a metric"
            self._note(("operate",), f'found "{EVERY}" for a mix of systems or workloads', expected)
        return self._word(("operate",), (EVERY, *SELECTABLE), raw)

    def _constraints(self) -> tuple[Constraint, ...]:
        tasks = self.document.data.get("workloads")
        listed = tasks if isinstance(tasks, list) else []
        tables = [task for task in listed if isinstance(task, Mapping)]
        workloads = {FilePath(str(task.get("workload"))).stem for task in tables}
        made = []
        for key, (path, raw) in self._flat("constraints").items():
            try:
                made.append(_constraint(key, raw, workloads))
            except InputError as error:
                self._absorb(error, path)
        return tuple(made)


def at_basis(system: System, basis: str) -> System:
    """A reference that is paid at another price basis than the study's: its name says so."""
    named: Any = system
    return attrs.evolve(named, name=f"{system.name} ({basis})")  # type: ignore[no-any-return]


def _values(table: Mapping[str, Any], above: Path) -> Iterator[tuple[Path, Any]]:
    """What a table of paths holds, by path: its tables, unless they stand for a value."""
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, Mapping) and not is_free(value) and not _is_value(path, value):
            yield from _values(value, path)
        else:
            yield path, value


def _is_value(path: Path, table: Mapping[str, Any]) -> bool:
    """Whether a table stands at a leaf, where none belongs, or for a spec with its base."""
    dotted = ".".join(path)
    try:
        meta = declaration(System, spec_path("system", dotted), dotted)
    except SpecError:
        return False
    return isinstance(meta, Leaf) or "base" in table


def _constraint(key: str, raw: Any, workloads: set[str]) -> Constraint:
    name, at, workload = key.partition("@")
    metric = CONSTRAINED.get(name, name if name in METRICS else "")
    if not metric:
        expected = f"one of {', '.join(CONSTRAINED)}, or a metric"
        _refuse(f"unknown limit {name!r}", expected, nearest(name, [*CONSTRAINED, *METRICS]))
    if at and workload not in workloads:
        known = sorted(workloads)
        expected = f"one of {', '.join(known)}" if known else "a workload of this study"
        _refuse(f"no workload is named {workload!r} here", expected, nearest(workload, known))
    unit = METRICS[metric].unit
    example = '"<= 0.5"' if unit == "1" else f'"<= 1.5 {unit}"'
    match = re.fullmatch(r"\s*(<=|>=)\s*(.+)", raw) if isinstance(raw, str) else None
    if not match:
        _refuse(f"found {shown(raw)}", f"<= or >= and a limit, such as {example}")
    if name in LATENCIES and match[1] == ">=":
        _refuse("a latency limited from below", f"a limit from above, such as {example}")
    return Constraint(
        text=f"{key} {raw}",
        name=name,
        metric=metric,
        workload=workload,
        upper=match[1] == "<=",
        limit=units.parse(match[2], unit),
    )


def _refuse(message: str, expected: str, hint: str = "") -> NoReturn:
    raise SpecError(Finding(message=message, expected=expected, hint=hint))
