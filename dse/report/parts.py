"""Die areas and design powers from parts, each part left out of the fit that predicts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dse.evidence import design_power, die_rows
from dse.report.figures import digits
from dse.report.terminal import Column, heading, note, table
from dse.spec.catalog import Catalog

Document = dict[str, Any]


def parts_document(catalogue: Catalog) -> Document:
    """Every die and chip with what is published and predicted, SI, and errors as shares."""
    return {"die_area": _areas(catalogue), "design_power": _powers(catalogue)}


def _areas(catalogue: Catalog) -> Document:
    rows = die_rows.die_rows(catalogue)
    found = die_rows.die_summary(rows, catalogue)
    return _table(
        "mm2",
        list(die_rows.CONSTANTS),
        [_row(r.name, r.published * 1e6, r.predicted * 1e6, r.vendor_out * 1e6) for r in rows],
    ) | {
        "fitted": found.constants,
        "bounds": [
            {"name": name, "bound": bound * 1e6, "predicted": predicted * 1e6}
            for name, bound, predicted in die_rows.bounds(catalogue)
        ],
    }


def _powers(catalogue: Catalog) -> Document:
    parts = design_power.vendor_parts(catalogue)
    alone = design_power.left_out(parts, design_power.die_of)
    vendors = design_power.left_out(parts, design_power.vendor_of)
    rows = [
        _row(one.name, one.published, one.predicted, other.predicted)
        for one, other in zip(alone, vendors, strict=True)
    ]
    return _table("W", list(design_power.FITTED), rows)


def _row(name: str, published: float, left_out: float, vendor_out: float) -> Document:
    return {
        "name": name,
        "published": published,
        "predicted": left_out,
        "error": left_out / published - 1.0,
        "vendor_left_out": vendor_out,
        "vendor_error": vendor_out / published - 1.0,
    }


def _table(unit: str, constants: Sequence[str], rows: Sequence[Document]) -> Document:
    alone, vendors = (np.abs([row[key] for row in rows]) for key in ("error", "vendor_error"))
    return {
        "unit": unit,
        "constants": list(constants),
        "median": float(np.median(alone)),
        "worst": float(alone.max()),
        "vendor_median": float(np.median(vendors)),
        "vendor_worst": float(vendors.max()),
        "rows": list(rows),
    }


TITLES = {"die_area": "die area from parts", "design_power": "design power from parts"}


def parts_view(document: Document) -> list[Any]:
    """A table of each kind: published, and predicted without the die and without its vendor."""
    shown: list[Any] = []
    for key, title in TITLES.items():
        found = document[key]
        rows, unit = found["rows"], found["unit"]
        shown += [
            heading(f"{title}, each die left out of the fit"),
            table(
                [
                    Column("die" if key == "die_area" else "chip", [row["name"] for row in rows]),
                    Column(f"published {unit}", _digits(rows, "published"), right=True),
                    Column("left out", _digits(rows, "predicted"), right=True),
                    Column("error %", _shares(rows, "error"), right=True),
                    Column("vendor left out", _digits(rows, "vendor_left_out"), right=True),
                    Column("error %", _shares(rows, "vendor_error"), right=True),
                ]
            ),
            note(_said(found)),
        ]
        shown += [
            note(f"{b['name']}: {digits(b['predicted'])}, published below {digits(b['bound'])}")
            for b in found.get("bounds", ())
        ]
    return shown


def parts_markdown(document: Document) -> str:
    """The same as Markdown, the figures of each kind first."""
    parts = []
    for key, title in TITLES.items():
        found = document[key]
        lines = [
            f"| {title} | published {found['unit']} | left out | error % | vendor left out % |",
            "|---|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {row['name']} | {digits(row['published'])} | {digits(row['predicted'])} "
            f"| {100.0 * row['error']:+.1f} | {100.0 * row['vendor_error']:+.1f} |"
            for row in found["rows"]
        ]
        parts.append("\n".join([*lines, "", f"{_said(found)[:1].upper()}{_said(found)[1:]}."]))
    return "\n\n".join(parts)


def _said(found: Document) -> str:
    median, worst, other = (100.0 * found[key] for key in ("median", "worst", "vendor_median"))
    return (
        f"median error {median:.1f} %, worst {worst:.1f} %; vendor left out: median {other:.1f} %; "
        f"{len(found['constants'])} fitted constants: {', '.join(found['constants'])}"
    )


def _digits(rows: Sequence[Document], key: str) -> list[str]:
    return [digits(row[key]) for row in rows]


def _shares(rows: Sequence[Document], key: str) -> list[str]:
    return [f"{100.0 * row[key]:+.1f}" for row in rows]
