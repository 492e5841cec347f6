"""The errors of fits, kept beside the measurements: one CSV line for each stack, part and kind.

Of every fitted stack five errors are kept apart: of the rows it was fitted to, of rows left out in
turn, of whole sources left out, of compute-die families left out, and before any fit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from dse.errors import Finding, SpecError
from dse.evidence.agreement import set_of
from dse.evidence.measured import Resolver
from dse.evidence.stack_fit import StackFit
from dse.evidence.summary import Summary, summary
from dse.evidence.validate import Outcome, apart_of

KINDS: Mapping[str, str] = {
    "fitted": "rows of the fit",
    "out_of_fold": "rows left out in turn",
    "source_left_out": "source and system left out",
    "family_left_out": "compute-die family left out",
    "uncalibrated": "before any fit",
}
"""The kinds of error of a fit, and what people call them."""

COLUMNS = ("stack", "part", "error", "values", "mean", "median", "p90", "bias")
FIGURES = ("mean", "median", "p90", "bias")

Line = Mapping[str, str]


def lines_of(found: StackFit, resolver: Resolver) -> list[Line]:
    """A fit's errors: by set of measurements, by software, and by family left out."""
    made = [
        _line(found.name, part, kind, summary(errors[members]))
        for part, members in _parts(found, resolver).items()
        for kind, errors in found.residuals.items()
    ]
    return made + [
        _line(found.name, f"without {family}", "family_left_out", each)
        for family, each in found.families.items()
    ]


def _parts(found: StackFit, resolver: Resolver) -> dict[str, np.ndarray]:
    """Which values belong to each part; a part that is all of them stands alone."""
    fit = found.fit
    predicted = np.exp(fit.errors)
    groups: dict[str, list[str]] = {"set": [], "software": [row.software for row in fit.rows]}
    for row, metric, ratio in zip(fit.rows, fit.metrics, predicted, strict=True):
        measured = row.measured[metric]
        one = Outcome(row=row, metric=metric, measured=measured, predicted=measured * float(ratio))
        groups["set"].append(set_of(attrs.evolve(one, apart=apart_of(one, resolver))))
    parts: dict[str, np.ndarray] = {}
    for kind, names in groups.items():
        distinct = sorted(set(names) - {""})
        if kind == "set" or len(distinct) > 1:
            parts |= {name: np.array([each == name for each in names]) for name in distinct}
    return parts


def _line(stack: str, part: str, kind: str, errors: Summary) -> Line:
    figures = {name: f"{getattr(errors, name):.4g}" for name in FIGURES}
    return {"stack": stack, "part": part, "error": kind, "values": str(errors.number), **figures}


def read_lines(file: Path) -> list[Line]:
    """The lines of a file; SpecError for one of other columns, none for one that is not there."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            expected = "the columns " + ",".join(COLUMNS)
            message = "no file of errors of fits"
            raise SpecError(Finding(message=message, file=str(file), expected=expected))
        return list(reader)


def text_of_lines(lines: Iterable[Line]) -> str:
    """Lines as a file holds them."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def with_fit(lines: Sequence[Line], found: StackFit, resolver: Resolver) -> list[Line]:
    """Lines with those of a stack replaced, stacks in the order of their names."""
    others = [line for line in lines if line["stack"] != found.name]
    return sorted([*others, *lines_of(found, resolver)], key=lambda line: line["stack"])
