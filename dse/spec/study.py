"""Studies: a system with free parameters, what is asked of it, what is wanted, within which limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from dse import units
from dse.errors import Finding, InputError, SpecError, UnitError, nearest
from dse.spec.catalog import STUDY, Catalog
from dse.spec.document import Document, lay, leaf_paths, read
from dse.spec.facility import PRICE_BASES, Facility
from dse.spec.lines import load_toml
from dse.spec.load import build, load, setting
from dse.spec.metrics import CONSTRAINED, LATENCIES, METRICS
from dse.spec.space import parameters
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

METHODS = ("nsga2", "random", "exact")
_KEYS = (
    *("kind", "name", "doc", "system", "references", "price_basis", "objectives", "workloads"),
    *("space", "constraints", "search", "software", "facility", "sources"),
)


@attrs.frozen(kw_only=True)
class Task:
    """One workload of a study: a model, what is asked, its share of the tokens."""

    model: LanguageModel
    workload: Workload
    weight: float = 1.0


@attrs.frozen(kw_only=True)
class Constraint:
    """`name` (a metric, as METRICS has it) of a workload, or of all, at most or at least `limit`."""

    text: str
    name: str
    metric: str
    workload: str = ""
    upper: bool = True
    limit: float


@attrs.frozen(kw_only=True)
class Study:
    """A question, ready to be searched."""

    name: str
    doc: str
    file: str
    system: System
    references: tuple[System, ...]
    price_basis: str
    objectives: Mapping[str, str]
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
    document = Document(kind=STUDY, data=data, file=str(file))
    document.origins = {path: (str(file), line) for path, line in lines.items()}
    reader = _Reader(document, catalog)
    study = reader.study(file.stem, list(settings))
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
        for key in data:
            if key not in _KEYS:
                expected = "one of " + ", ".join(_KEYS)
                self._note((key,), f"unknown field {key!r}", expected, nearest(key, _KEYS))
        if data.get("kind") != STUDY:
            self._note(("kind",), f"found kind {data.get('kind')!r}", f'kind = "{STUDY}"')
        if data.get("name") != stem:
            self._note(("name",), f"name {data.get('name')!r} is not the file's", f'"{stem}"')
        system = self._system(settings)
        tasks = self._tasks()
        search = self._table("search", ("method", "budget", "seed"))
        made = {
            "references": self._references(),
            "price_basis": self._word("price_basis", PRICE_BASES, data.get("price_basis")),
            "objectives": self._objectives(),
            "constraints": self._constraints({task.workload.name for task in tasks}),
            "software": self._named(Software, "software", data.get("software", "default")),
            "facility": self._named(Facility, "facility", data.get("facility", "hyperscale-us")),
            "method": self._word("search.method", METHODS, search.get("method", "nsga2")),
            "budget": self._whole("budget", search.get("budget", 2000), 1),
            "seed": self._whole("seed", search.get("seed", 0), 0),
        }
        if self.findings or system is None:
            return None
        doc = str(data.get("doc", ""))
        return Study(
            name=stem, doc=doc, file=self.document.file, system=system, tasks=tasks, **made
        )

    def _note(self, path: tuple[str, ...], message: str, expected: str = "", hint: str = "") -> None:
        self.findings.append(
            self.document.finding(path, message, expected=expected, hint=hint)
        )

    def _absorb(self, error: InputError, path: tuple[str, ...]) -> None:
        file, line = self.document.origin(path)
        for f in error.findings:
            placed = f if f.file and f.line else attrs.evolve(f, file=file, line=line)
            whole = f if f.path else attrs.evolve(placed, path=".".join(path))
            self.findings.append(attrs.evolve(placed, path=f.path or whole.path))

    def _table(self, key: str, allowed: tuple[str, ...] = ()) -> Mapping[str, Any]:
        raw = self.document.data.get(key, {})
        if not isinstance(raw, Mapping):
            self._note((key,), f"found {raw!r}", "a table")
            return {}
        for name in raw:
            if allowed and name not in allowed:
                hint = nearest(name, allowed)
                self._note((key, name), f"unknown field {name!r}", ", ".join(allowed), hint)
        return raw

    def _named(self, of: type, key: str, raw: Any, path: tuple[str, ...] = ()) -> Any:
        path = path or (key,)
        if not isinstance(raw, str):
            self._note(path, f"found {raw!r}", f"the name of a {key}")
            return None
        try:
            return load(of, raw, self.catalog)
        except InputError as error:
            self._absorb(error, path)
            return None

    def _word(self, key: str, words: tuple[str, ...], raw: Any) -> str:
        if raw not in words:
            path = tuple(key.split("."))
            self._note(path, f"found {raw!r}", "one of " + ", ".join(words), nearest(str(raw), words))
            return words[0]
        return str(raw)

    def _whole(self, key: str, raw: Any, low: int) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= 10**9:
            self._note(("search", key), f"found {raw!r}", f"a whole number, at least {low}")
            return low
        return raw

    def _system(self, settings: list[tuple[str, str]]) -> System | None:
        raw = self.document.data.get("system")
        if not isinstance(raw, str):
            self._note(("system",), f"found {raw!r}", "the name of a system")
            return None
        before = len(self.findings)
        try:
            document = read("system", raw, self.catalog)
        except InputError as error:
            self._absorb(error, ("system",))
            return None
        space = dict(_flat(self._table("space")))
        overlaps = _overlapping(list(space))
        for path, other in overlaps:
            self._note(("space", path), f"overlaps with {other!r}", "paths none of which holds another")
        for path, value in space.items():
            origin = self.document.origin(("space", path))
            try:
                document = lay(document, path, value, origin)
            except InputError as error:
                self._absorb(error, ("space", path))
        if len(self.findings) > before:
            return None
        try:
            for path, text in settings:
                document = lay(document, path, setting(text), ("--set", 0))
            made = build(document, self.catalog)
        except InputError as error:
            self._absorb(error, ("space",))
            return None
        if not parameters(made):
            self._note(("space",), "an empty space", '"chip.dies" = { choice = [2, 4] }')
        return made  # type: ignore[no-any-return]

    def _references(self) -> tuple[System, ...]:
        raw = self.document.data.get("references", [])
        if not isinstance(raw, list):
            self._note(("references",), f"found {raw!r}", "a list of systems")
            return ()
        made = [self._named(System, "system", name, ("references",)) for name in raw]
        return tuple(system for system in made if system is not None)

    def _tasks(self) -> tuple[Task, ...]:
        raw = self.document.data.get("workloads")
        if not isinstance(raw, list) or not raw or not all(isinstance(r, Mapping) for r in raw):
            self._note(("workloads",), "no workloads", "[[workloads]] with model and workload")
            return ()
        return tuple(t for i, item in enumerate(raw) if (t := self._task(item, str(i))) is not None)

    def _task(self, raw: Mapping[str, Any], index: str) -> Task | None:
        allowed = ("model", "workload", "weight")
        for key in raw:
            if key not in allowed:
                hint = nearest(key, allowed)
                self._note(("workloads", index, key), f"unknown field {key!r}", "", hint)
        model = self._named(LanguageModel, "model", raw.get("model"), ("workloads", index, "model"))
        asked = raw.get("workload")
        workload = self._named(Workload, "workload", asked, ("workloads", index, "workload"))
        weight = raw.get("weight", 1.0)
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not number or not 0 < weight <= 1e9:
            self._note(("workloads", index, "weight"), f"found {weight!r}", "a number above zero")
            return None
        if model is None or workload is None:
            return None
        return Task(model=model, workload=workload, weight=float(weight))

    def _objectives(self) -> Mapping[str, str]:
        raw = self._table("objectives")
        if not raw:
            self._note(("objectives",), "no objectives", '{ tokens_per_usd = "max" }')
        for name, sense in raw.items():
            path = ("objectives", name)
            if name not in METRICS:
                self._note(path, f"unknown metric {name!r}", "", nearest(name, list(METRICS)))
            elif sense not in ("max", "min"):
                self._note(path, f"found {sense!r}", '"max" or "min"')
        return dict(raw)

    def _constraints(self, workloads: set[str]) -> tuple[Constraint, ...]:
        made = []
        for key, raw in self._table("constraints").items():
            constraint = self._constraint(key, raw, workloads)
            if constraint is not None:
                made.append(constraint)
        return tuple(made)

    def _constraint(self, key: str, raw: Any, workloads: set[str]) -> Constraint | None:
        path = ("constraints", key)
        name, _, workload = key.partition("@")
        metric = CONSTRAINED.get(name, name if name in METRICS else "")
        if not metric:
            known = [*CONSTRAINED, *METRICS]
            self._note(path, f"unknown limit {name!r}", ", ".join(CONSTRAINED), nearest(name, known))
            return None
        if workload and workload not in workloads:
            self._note(path, f"no workload {workload!r} here", ", ".join(sorted(workloads)))
            return None
        match = re.fullmatch(r"\s*(<=|>=)\s*(.+)", raw) if isinstance(raw, str) else None
        unit = METRICS[metric].unit
        if not match:
            self._note(path, f"found {raw!r}", f'"<= 1 {unit}" or ">= 1 {unit}"')
            return None
        upper = match[1] == "<="
        if name in LATENCIES and not upper:
            self._note(path, "a latency is limited from above", f'"<= 1 {unit}"')
            return None
        try:
            limit = units.parse(match[2], unit)
        except UnitError as error:
            self._absorb(error, path)
            return None
        return Constraint(
            text=f"{key} {raw}", name=name, metric=metric, workload=workload, upper=upper, limit=limit
        )


def _flat(table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Space entries by dotted path, whether keys were quoted or dotted."""
    for path in leaf_paths(table):
        value: Any = table
        for part in path:
            value = value[part]
        yield ".".join(path), value


def _overlapping(paths: list[str]) -> list[tuple[str, str]]:
    pairs = ((a, b) for a in paths for b in paths if a != b)
    return [(a, b) for a, b in pairs if a.startswith(b + ".")]
