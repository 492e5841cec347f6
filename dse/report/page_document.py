"""What the web page of a run holds, as data: every design in few bytes, some in full.

Levels and metrics of all designs are columns of bytes, deflated and written in base64. A metric
keeps 24 bits of its float32, so five digits, of which the page shows four. Whatever needs the model
(details of points, curves, rooflines, ranked inputs) is handed in, and may be missing.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from dse.report.evaluation import precision_text
from dse.report.figures import (
    digits,
    in_unit,
    mapping_text,
    metric_column,
    metric_seen,
    metric_unit,
)
from dse.report.front import certificate_text, short_names
from dse.report.references import reference_text
from dse.search.front import hypervolume, non_dominated, normalise
from dse.search.record import RunData
from dse.search.result import front_document
from dse.spec.metrics import METRICS, meaningful

ROWS = 100_000
"""Designs that a page holds; of a longer run the front and an even sample of the others."""

OTHERS = 500
"""Designs beside the front and the references that are kept in full: those nearest to it."""

CHECKPOINTS = 60
"""Points of the convergence curve."""

WIDEST = 4
"""Objectives beyond which a hypervolume would cost more than the search."""

FEASIBLE, FRONT = 1, 2
"""Bits of a design's state."""

Document = dict[str, Any]


@attrs.frozen(kw_only=True)
class Inspected:
    """What the model says of a run's designs; what is missing leaves its part of the page out.

    `details` maps the number of a design, or `ref:NAME`, to what `dse.report.detail` gives.
    `curves` are those of `dse.report.curve`; `rooflines` hold name, peak (FLOP/s), bandwidth
    (B/s) and points (phase, intensity in FLOP/B, rate in FLOP/s); `sources` rank inputs by what
    their doubt moves: path, elasticity, weakness, score, confidence, source; `robust` holds shares
    of samples by design; `bands` maps the number of a design and a metric to its (low, high),
    in the unit in which people see it. `missing` says why something is not there.
    """

    details: Mapping[str, Document] = attrs.field(factory=dict)
    curves: Sequence[Document] = ()
    rooflines: Sequence[Document] = ()
    sources: Sequence[Document] = ()
    bands: Mapping[str, Mapping[str, tuple[float, float]]] = attrs.field(factory=dict)
    robust: Mapping[str, Any] = attrs.field(factory=dict)
    missing: str = ""


def page_document(data: RunData, inspected: Inspected, *, watched: bool = False) -> Document:
    """Everything that the page shows of a run, JSON-ready."""
    problem = data.problem
    found = front_document(data)
    kept = kept_rows(data)
    names = _names(data)
    front = {point["id"] for point in found["points"]}
    state = data.feasible[kept] * FEASIBLE + np.isin(kept, list(front)) * FRONT
    return {
        "study": problem["study"],
        "doc": problem["doc"],
        "facts": _facts(problem),
        "objectives": [{"name": n, "sense": s} for n, s in problem["objectives"].items()],
        "constraints": list(problem.get("constraints", ())),
        "metrics": [_metric(name) for name in names],
        "parameters": _parameters(problem),
        "rows": len(kept),
        "columns": {
            "id": packed(kept.astype("<u4")),
            "state": packed(state.astype("u1")),
            "levels": [packed(column.astype("<u2")) for column in data.levels[kept].T],
            "metrics": [
                packed_metric(metric_column(name, data.metrics[name][kept])) for name in names
            ],
        },
        "front": [point["id"] for point in found["points"]],
        "knee": next((p["id"] for p in found["points"] if p.get("knee")), None),
        "references": [_reference(problem, each, names) for each in found["references"]],
        "convergence": convergence(data),
        "curves": list(inspected.curves),
        "rooflines": list(inspected.rooflines),
        "sources": list(inspected.sources),
        "bands": inspected.bands,
        "robust": inspected.robust,
        "missing": inspected.missing,
        "details": packed_text(inspected.details),
        "certificate": _certificate(data, found["certificate"], len(kept)),
        "version": problem.get("version", ""),
        "watched": watched,
        "revision": f"{data.settings['fingerprint']}-{data.settings['seed']}-{data.counts.decided}",
    }


def packed(column: np.ndarray) -> str:
    """The bytes of an array, deflated, in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(column).tobytes(), 6)).decode()


def packed_metric(values: np.ndarray) -> str:
    """Float32 rounded to its upper 24 bits: all first bytes, then all second, then all third."""
    with np.errstate(over="ignore"):
        whole = np.asarray(values, "<f4").view("<u4")
    finite = np.isfinite(np.asarray(values, "<f4"))
    rounded = np.where(finite, whole.astype(np.uint64) + 0x80, whole).astype("<u4")
    planes = rounded.view("u1").reshape(-1, 4)[:, 3:0:-1].T
    return packed(planes)


def packed_text(document: Any) -> str:
    """JSON, deflated, in base64."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def kept_rows(data: RunData, most: int = ROWS) -> np.ndarray:
    """At most so many designs: all, or the front and an even sample, in order."""
    number = len(data.levels)
    if number <= most:
        return np.arange(number)
    front = data.front
    rest = np.setdiff1d(np.arange(number), front)
    step = np.linspace(0, len(rest) - 1, max(most - len(front), 1)).astype(int)
    return np.sort(np.concatenate([front, rest[step]]))


def detailed_rows(data: RunData, others: int = OTHERS) -> np.ndarray:
    """The front, then the `others` feasible designs of the page that lie the least inside it."""
    front = data.front
    kept = kept_rows(data)
    near = np.setdiff1d(kept[data.feasible[kept]], front)
    if not len(front) or not len(near):
        return front
    values = data.values
    ideal, nadir = values[front].max(axis=0), values[front].min(axis=0)
    best = normalise(values[front], ideal, nadir)
    inside = np.full(len(near), np.inf)
    scaled = normalise(values[near], ideal, nadir)
    for one in best:
        inside = np.minimum(inside, (scaled - one).max(axis=1))
    return np.concatenate([front, near[np.argsort(inside, kind="stable")[:others]]])


def convergence(data: RunData) -> Document | None:
    """Hypervolume against designs evaluated, by the final front's ideal and nadir.

    Of one objective its best value so far. None where the log does not tell: of an exact run, of
    an empty one, and of more than four objectives.
    """
    number, values, feasible = len(data.levels), data.values, data.feasible
    width = values.shape[1]
    if data.swept or not feasible.any() or width > WIDEST:
        return None
    ends = np.unique(np.linspace(0, number, CHECKPOINTS + 1).astype(int))[1:]
    if width == 1:
        goal = data.settings["objectives"][0]
        best = np.maximum.accumulate(np.where(feasible, values[:, 0], -np.inf))[ends - 1]
        seen = [metric_seen(goal, _written(goal, abs(float(v)))) for v in best]
        return {"of": goal, "x": ends.tolist(), "y": _finite(seen)}
    front = values[data.front]
    ideal, nadir = front.max(axis=0), front.min(axis=0)
    made, archive, start = [], np.zeros((0, width)), 0
    for end in ends.tolist():
        pool = np.vstack([archive, values[start:end][feasible[start:end]]])
        archive, start = pool[non_dominated(pool)], end
        made.append(hypervolume(archive, ideal, nadir))
    return {"of": "hypervolume", "x": ends.tolist(), "y": made}


def _names(data: RunData) -> list[str]:
    """The metrics that mean something here: objectives first, then those that tell designs apart.

    A metric that is the same in all designs is left out.
    """
    problem = data.problem
    goals = list(problem["objectives"])
    asked = meaningful(task["phase"] for task in problem.get("workloads", ()))
    rest = [n for n in asked if n in data.metrics and n not in goals and np.ptp(data.metrics[n])]
    return [*goals, *rest]


def _facts(problem: Mapping[str, Any]) -> list[str]:
    """What the figures rest on, a line each."""
    tasks = [
        f"{task['model']}, {task['workload']}"
        + (f", {task['weight']:g} of the tokens" if task.get("weight", 1.0) != 1.0 else "")
        + f": {precision_text(task['precision'])}"
        for task in problem.get("workloads", ())
    ]
    limits = ", ".join(problem.get("constraints", ()))
    basis = (
        f"price basis {problem['price_basis']}, facility {problem.get('facility', '-')}, "
        f"software {problem.get('software', '-')}"
    )
    return [*tasks, *([f"limits: {limits}"] if limits else []), basis]


def _metric(name: str) -> Document:
    metric = METRICS[name]
    return {
        "name": name,
        "title": name.replace("_", " "),
        "unit": metric_unit(name),
        "doc": metric.doc,
        "better": metric.better,
    }


def _parameters(problem: Mapping[str, Any]) -> list[Document]:
    short = short_names([p["path"] for p in problem["parameters"]])
    return [
        {"path": p["path"], "short": short[p["path"]], "levels": [str(v) for v in p["levels"]]}
        for p in problem["parameters"]
    ]


def _written(name: str, value: float) -> float:
    return METRICS[name].written(value)


def _finite(values: Sequence[float | None]) -> list[float | None]:
    return [None if v is None or not np.isfinite(v) else v for v in values]


def _reference(problem: Mapping[str, Any], reference: Document, names: Sequence[str]) -> Document:
    seen = [metric_seen(name, reference["metrics"].get(name)) for name in names]
    design = reference.get("design", {})
    return {
        "name": reference["name"],
        "feasible": reference["feasible"],
        "design": {p["path"]: _shown(p, design.get(p["path"])) for p in problem["parameters"]},
        "metrics": _finite(seen),
        "mapping": {name: mapping_text(each) for name, each in reference["mapping"].items()},
        "note": reference_text(problem, reference),
    }


def _shown(parameter: Mapping[str, Any], value: Any) -> str:
    """A reference's value at a searched path, which may be none of its levels."""
    if isinstance(value, (int, float)):
        unit = parameter["unit"]
        return in_unit(value, unit) + (f" {unit}" if unit not in ("", "1") else "")
    return "-" if value is None else str(value)


def _certificate(data: RunData, certificate: Document, rows: int) -> Document:
    """The certificate as rows of a table, and in a sentence."""
    ruled = [
        [f"ruled out by {rule}", f"{number:,}"] for rule, number in certificate["pruned"].items()
    ]
    broken = [[f"designs that break {rule}", f"{number:,}"] for rule, number in data.broken.items()]
    return {
        "text": certificate_text(certificate),
        "rows": [
            ["designs of the space", f"{certificate['space']:,}"],
            ["evaluated", f"{certificate['evaluated']:,}"],
            ["distinct", f"{certificate['distinct']:,}"],
            *ruled,
            ["feasible", f"{certificate['feasible']:,}"],
            ["on the front", digits(len(data.front))],
            ["whole space decided", "yes" if certificate["complete"] else "no"],
            ["designs on this page", f"{rows:,}"],
            ["method", str(certificate["method"])],
            ["seed", str(certificate["seed"])],
            ["hash of study, specs and model", str(certificate["hash"])],
            *broken,
        ],
    }
