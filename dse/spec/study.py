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
from dse.spec.space import parameters
from dse.spec.system import System
from dse.spec.values import is_free
from dse.spec.workload import LanguageModel, Software, Workload

METHODS = ("hybrid", "gradient", "nsga2", "tpe", "qmc", "random", "exact")
_KEYS = (
    *("kind", "name", "doc", "system", "references", "price_basis", "objectives", "operate"),
    *("workloads", "space", "constraints", "search", "software", "facility", "sources"),
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
    """

    name: str
    doc: str
    file: str
    system: System
    references: tuple[System, ...]
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


def load_study(name: str, catalog: Catalog, settings: Iterable[tuple[str, str]] = ()) -> Study:
    """A study by name or file; SpecError with every fault. `settings` lay over its system."""
    file = catalog.find(STUDY, name)
    data, lines = load_toml(file)
    origins = {path: Origin(str(file), line) for path, line in lines.items()}
    document = Document(kind=STUDY, data=data, file=str(file), origins=origins)
    return read_study(document, catalog, settings)


def read_study(
    document: Document, catalog: Catalog, settings: Iterable[tuple[str, str]] = ()
) -> Study:
    """The study that a document describes, as load_study."""
    found = document.data.get("kind")
    if found != STUDY:
        message = f"found kind {found!r}" if found is not None else "no kind"
        raise SpecError(document.finding(("kind",), message, f'kind = "{STUDY}"'))
    reader = _Reader(document, catalog)
    study = reader.study(FilePath(document.file).stem, list(settings))
    if reader.findings or study is None:
        raise SpecError(dict.fromkeys(reader.findings))
    return study


@attrs.define
class _Reader:
    document: Document
    catalog: Catalog
    findings: list[Finding] = attrs.field(factory=list)

    def study(self, stem: str, settings: list[tuple[str, str]]) -> Study | None:
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
        made = {
            "references": self._references(),
            "price_basis": self._word(("price_basis",), PRICE_BASES, data.get("price_basis")),
            "objectives": (objectives := self._objectives()),
            "operate": self._operate(tasks, objectives),
            "constraints": self._constraints(),
            "software": self._named(Software, ("software",), data.get("software", "default")),
            "facility": self._named(Facility, ("facility",), data.get("facility", "hyperscale-us")),
            "method": self._word(("search", "method"), METHODS, search.get("method", "hybrid")),
            "budget": self._whole("budget", search.get("budget", 2000), 1),
            "seed": self._whole("seed", search.get("seed", 0), 0),
        }
        if self.findings or system is None:
            return None
        return Study(
            name=stem, doc=doc, file=self.document.file, system=system, tasks=tasks, **made
        )

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
            return load(of, self._name(of, raw), self.catalog)
        except InputError as error:
            self._absorb(error, path)
            return None

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
            made = build_laid(document, [*self._space(), *given(settings)], self.catalog)
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

    def _references(self) -> tuple[System, ...]:
        raw = self.document.data.get("references", [])
        if not isinstance(raw, list):
            self._note(("references",), f"found {shown(raw)}", "a list of systems")
            return ()
        made = [self._named(System, ("references", str(i)), name) for i, name in enumerate(raw)]
        return tuple(system for system in made if system is not None)

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
            return decoder(attrs.evolve(workload, decode_system=name), self.catalog)
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
