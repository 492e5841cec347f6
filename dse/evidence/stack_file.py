"""The spec files of fitted stacks: values, intervals, rows used, and what no fit changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dse.evidence.calibrate import MATURITY_SPREAD, Numbers, summary
from dse.evidence.lineage import Lineage
from dse.evidence.prediction import Row
from dse.evidence.stack_fit import StackFit
from dse.spec.fields import Leaf, fields_of
from dse.spec.workload import Software
from dse.spec.write import leaf_raw


def stack_data(found: StackFit, base: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the fitted stack's file: values, intervals, rows used, residuals.

    `given` are values that were set over the base and not fitted, as files write them.
    """
    ref, noted = _said(found, [True] * len(found.fit.rows))
    numbers = Numbers(values=found.fit.values, intervals=found.fit.intervals)
    values, sources = _fitted(numbers, ref, noted)
    number = found.errors["fitted"].number
    doc = f"Fitted to {number} measured values: {noted}"
    if found.fit.own:
        doc = f"What {', '.join(found.fit.own)} have in common: fitted together to {number} values"
    set_here = {"ref": "set where the stack was fitted", "confidence": "assumption"}
    sources = dict.fromkeys(given, set_here) | sources
    return _head(found.name, base, doc) | dict(given) | values | {"sources": sources}


def family_data(
    found: StackFit, base: str, given: Mapping[str, Any], kin: Lineage
) -> dict[str, dict[str, Any]]:
    """The files of stacks that were fitted together, by name: what they have in common, each
    stack's own numbers, and each version's maturity."""
    made = {found.name: stack_data(found, base, given)}
    alone = not found.fit.own
    for name, numbers in found.fit.own.items():
        made[name] = _own_file(found, name, numbers, kin)
    if alone:
        facts = kin.said(found.name)
        made[found.name] = _with_facts(made[found.name], facts, kin.sources(found.name))
    for name, factor in found.fit.maturity.items():
        made[name] = _version_file(name, factor, kin)
    return made


def _own_file(found: StackFit, name: str, numbers: Numbers, kin: Lineage) -> dict[str, Any]:
    """The file of one of several stacks."""
    ref, noted = _said(found, [kin.stack(row) == name for row in found.fit.rows])
    facts = kin.said(name)
    kept = [field for field in numbers.values if field not in facts]
    numbers = Numbers(
        values={field: numbers.values[field] for field in kept},
        intervals={field: numbers.intervals[field] for field in kept},
    )
    values, sources = _fitted(numbers, ref, noted)
    doc = str(kin.files.get(name, {}).get("doc", f"Fitted together with others: {noted}"))
    data = _head(name, found.name, doc) | values | {"sources": sources}
    return _with_facts(data, facts, kin.sources(name))


def _with_facts(
    data: Mapping[str, Any], facts: Mapping[str, Any], sources: Mapping[str, Any]
) -> dict[str, Any]:
    """A file's content with fields that are not fitted, and their sources."""
    told = {key: sources[key] for key in facts if key in sources}
    body = {key: value for key, value in data.items() if key != "sources"}
    return body | dict(facts) | {"sources": data["sources"] | told}


def _version_file(name: str, factor: float, kin: Lineage) -> dict[str, Any]:
    """A version's file as it is, with the maturity that was fitted."""
    data = dict(kin.files[name])
    spread = f"its prior its base's with a spread of {MATURITY_SPREAD:g}"
    ref = f"fitted by dse calibrate to the rows of {name}, {spread}"
    sources = kin.sources(name) | {"maturity": {"ref": ref, "confidence": "estimate"}}
    return data | {"maturity": _round(factor), "sources": sources}


def _head(name: str, base: str, doc: str) -> dict[str, Any]:
    return {"kind": "software", "name": name, "base": base, "doc": doc}


def _said(found: StackFit, picked: list[bool]) -> tuple[str, str]:
    """What the source of a number fitted to some of the rows says: rows used, and how well."""
    rows = [row for row, one in zip(found.fit.rows, picked, strict=True) if one]
    errors = found.fit.errors[picked]
    fitted = summary(errors)
    ref = f"fitted by dse calibrate to {len(rows)} values of: {_listed(rows)}"
    return ref, f"mean error {100 * fitted.mean:.1f} %, median {100 * fitted.median:.1f} %"


def _listed(rows: list[Row]) -> str:
    return ", ".join(dict.fromkeys(row.source[:60] for row in rows))[:300]


def _fitted(numbers: Numbers, ref: str, noted: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields and sources of fitted numbers, as files write them."""
    leaves: dict[str, Leaf] = fields_of(Software)  # type: ignore[assignment]
    values = {name: leaf_raw(leaves[name], _round(v)) for name, v in numbers.values.items()}
    sources = {
        name: {
            "ref": ref,
            "confidence": "estimate",
            "note": f"95 % interval of the fit, within its bounds; {noted}",
            "low": _text(leaves[name], low),
            "high": _text(leaves[name], high),
        }
        for name, (low, high) in numbers.intervals.items()
    }
    return values, sources


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def _text(leaf: Leaf, value: float) -> str:
    raw = leaf_raw(leaf, _round(value))
    return raw if isinstance(raw, str) else f"{raw:g}"
