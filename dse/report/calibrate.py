"""A fitted stack as tables, JSON and a spec file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from dse.errors import Finding, SpecError
from dse.evidence.fit_errors import KINDS, Line, read_lines, text_of_lines, with_fit
from dse.evidence.lineage import Lineage
from dse.evidence.measured import Resolver, read_rows
from dse.evidence.prediction import Row
from dse.evidence.stack_file import family_data, stack_data
from dse.evidence.stack_fit import StackFit, fit_stack
from dse.evidence.summary import Summary
from dse.report.figures import percent
from dse.report.terminal import Column, heading, rendered, table
from dse.spec.catalog import Catalog, head
from dse.spec.fields import fields_of
from dse.spec.load import given, load
from dse.spec.workload import Software
from dse.spec.write import text_of


@attrs.frozen(kw_only=True)
class Asked:
    """What is to be fitted to which rows.

    names: stacks, more than one of them together under the common stack `pool`; base: the stack
    that the fit starts from; family: how the software of rows begins, empty for the stack's name;
    tables: those whose rows count, all if empty; versions: rows of versions with files of their
    own count; settings: laid over the base; crossed: fit again with parts left out; errors: the
    file in which the errors of fits are kept.
    """

    names: tuple[str, ...]
    pool: str = ""
    base: str = "default"
    family: str = ""
    tables: tuple[str, ...] = ()
    versions: bool = False
    settings: Sequence[tuple[str, str]] = ()
    crossed: bool = True
    errors: Path | None = None

    @property
    def name(self) -> str:
        """The stack whose numbers are common to all rows."""
        return self.pool or self.names[0]


def calibrated(
    files: Sequence[Path], asked: Asked, catalogue: Catalog, say: Callable[[str], None]
) -> tuple[StackFit, dict[str, str]]:
    """The fit, and the text of each spec file that it makes, by name; without a name, that of the
    file of errors."""
    kept = read_lines(asked.errors) if asked.errors else []
    resolver = Resolver.beside(files, catalogue)
    rows = [row for row in read_rows(files) if not asked.tables or row.table in asked.tables]
    kin = Lineage(asked.names, resolver) if asked.pool or asked.versions else None
    rows = [row for row in rows if _counts(row, asked, resolver, kin)]
    if not rows:
        hint = "name the beginning of a software column with --rows, or other tables"
        begin = asked.family or " or ".join(asked.names)
        message = f"no row's software begins with {begin!r}"
        raise SpecError(Finding(message=message, file=str(files[0]), hint=hint))
    start = load(Software, asked.base, catalogue, asked.settings)
    laid = {path.removeprefix("software."): value for path, value, _ in given(asked.settings)}
    found = fit_stack(
        asked.name,
        rows,
        resolver,
        start,
        lineage=kin,
        held=laid,
        crossed=asked.crossed,
        say=say,
    )
    if kin is None:
        made = {asked.name: stack_data(found, asked.base, laid)}
    else:
        made = family_data(found, asked.base, laid, kin)
    for entry in catalogue.entries:
        if (entry.kind, entry.name) == ("software", asked.name):
            # what people wrote about a stack stays
            made[asked.name]["doc"] = head(entry.file).get("doc", made[asked.name]["doc"])
    texts = {name: text_of(data) for name, data in made.items()}
    if asked.errors:
        texts[""] = text_of_lines(with_fit(kept, found, resolver))
    return found, texts


def fits_markdown(lines: Sequence[Line]) -> str:
    """A table of mean and median errors of fitted stacks, a column for each kind."""
    head = ["stack", "of", "values", *KINDS.values()]
    table = [f"| {' | '.join(head)} |", "|---|---|---:|" + "---:|" * len(KINDS)]
    groups: dict[tuple[str, str], dict[str, Line]] = {}
    for line in lines:
        groups.setdefault((line["stack"], line["part"]), {})[line["error"]] = line
    for (name, part), kinds in groups.items():
        number = next(iter(kinds.values()))["values"]
        cells = [_cell(kinds[kind]) if kind in kinds else "" for kind in KINDS]
        table.append(f"| {name} | {part} | {number} | {' | '.join(cells)} |")
    return "\n".join(table)


def _cell(line: Line) -> str:
    return " / ".join(f"{100.0 * float(line[name]):.1f}" for name in ("mean", "median"))


def _counts(row: Row, asked: Asked, resolver: Resolver, kin: Lineage | None) -> bool:
    if kin is not None:
        return row.software.startswith(asked.family) and bool(kin.path(row.software))
    # rows that a longer name stands for have a stack of their own
    longest = max(len(asked.name), len("default"))
    begins = row.software.startswith(asked.family or asked.name)
    return begins and len(resolver.software(row.software).name) <= longest


def calibration_text(found: StackFit) -> str:
    """Tables of the numbers with their intervals, of versions, and of errors."""
    leaves = fields_of(Software)
    fields = list(found.fit.values)
    show: Any = {name: leaves[name].show for name in fields}  # type: ignore[union-attr]
    ends = found.fit.intervals
    numbers = [
        Column("number", fields),
        Column("fitted", [show[n](_short(found.fit.values[n])) for n in fields], right=True),
        Column("low", [show[n](_short(ends[n][0])) for n in fields], right=True),
        Column("high", [show[n](_short(ends[n][1])) for n in fields], right=True),
    ]
    numbers += [
        Column(name, [show[n](_short(own.values[n])) for n in fields], right=True)
        for name, own in found.fit.own.items()
    ]
    parts = [heading(f"{found.name}: fitted numbers, 95 % intervals"), table(numbers)]
    if found.fit.maturity:
        factors = [f"{value:.3g}" for value in found.fit.maturity.values()]
        columns = [Column("version", list(found.fit.maturity)), Column("maturity", factors)]
        parts += [heading("Versions"), table(columns)]
    summaries = {KINDS[kind]: each for kind, each in found.errors.items()}
    summaries |= {f"  without {family}": each for family, each in found.families.items()}
    listed = list(summaries.values())
    errors = [
        Column("error of", list(summaries)),
        Column("values", [str(each.number) for each in listed], right=True),
        *(
            Column(key, [percent(getattr(each, key)) for each in listed], right=True)
            for key in ("mean", "median", "p90", "bias", "worst")
        ),
    ]
    parts += [heading("Errors"), table(errors)]
    software = found.software
    if len(software) > 1:
        parts += [heading("Mean error by software"), table(_by_software(software))]
    return rendered(*parts)


def _by_software(software: Mapping[str, Mapping[str, Summary]]) -> list[Column]:
    kinds = [kind for kind in KINDS if kind in next(iter(software.values()))]
    each = list(software.values())
    numbers = [str(kinds["fitted"].number) for kinds in each]
    return [
        Column("software", list(software)),
        Column("values", numbers, right=True),
        *(
            Column(
                KINDS[kind], [percent(each[kind].mean) for each in software.values()], right=True
            )
            for kind in kinds
        ),
    ]


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def calibration_json(found: StackFit) -> str:
    """The same figures as JSON."""
    document = {
        "software": found.name,
        "values": found.fit.values,
        "intervals": found.fit.intervals,
        "maturity": found.fit.maturity,
        "errors": {kind: attrs.asdict(each) for kind, each in found.errors.items()},
        "families": {family: attrs.asdict(each) for family, each in found.families.items()},
        "own": {name: attrs.asdict(each) for name, each in found.fit.own.items()},
        "by_software": {
            name: {kind: attrs.asdict(each) for kind, each in kinds.items()}
            for name, kinds in found.software.items()
        },
        "residuals": [
            {"id": row.id, "metric": metric}
            | {kind: float(np.expm1(errors[i])) for kind, errors in found.residuals.items()}
            for i, (row, metric) in enumerate(zip(found.fit.rows, found.fit.metrics, strict=True))
        ],
        "rows": list(dict.fromkeys(row.id for row in found.fit.rows)),
        "unpredicted": found.unpredicted,
    }
    return json.dumps(document, indent=2) + "\n"
