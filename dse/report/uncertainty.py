"""Bands of every metric under uncertain constants, and which of them spread it the most."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.text import Text

from dse.model.uncertainty import PER_INPUT, Samples, shares
from dse.report.figures import digits, metric_number, metric_unit, percent
from dse.report.terminal import GAP, Column, fitting, heading, note, table, width
from dse.search.protocol import OPERATING
from dse.search.robust import PERCENTILES, percentiles
from dse.spec.metrics import METRICS

Document = dict[str, Any]

TOP = 10
"""Inputs that a table lists."""


def uncertainty_document(samples: Samples, names: list[str], objective: str) -> Document:
    """Bands of metrics as files hold them, shares of the objective's variance, broken rules."""
    bands = {name: _band(METRICS[name], samples.metrics[name]) for name in names}
    found, explained = shares(samples.metrics[objective], samples.inputs)
    listed = sorted(zip(found, samples.inputs, strict=True), key=lambda pair: -pair[0])
    broken = {name: float(np.mean(value < 0.0)) for name, value in samples.margins.items()}
    return {
        "bands": bands,
        "variance": [
            {"kind": each.kind, "name": each.name, "path": each.path, "share": share}
            for share, each in listed
            if share > 0.0
        ],
        "explained": explained,
        "variance_of": objective,
        "inputs": len(samples.inputs),
        "feasible_share": float(np.mean(feasible(samples))),
        "broken": {name: share for name, share in broken.items() if share > 0.0},
    }


def feasible(samples: Samples) -> np.ndarray:
    """Which samples keep the limits of their operating point, [n]."""
    return np.asarray(np.min([samples.margins[name] for name in OPERATING], axis=0) >= 0.0)


def _band(metric: Any, values: np.ndarray) -> dict[str, float]:
    return {key: metric.written(end) for key, end in percentiles(values).items()}


def best_shares(found: list[Samples], objective: str) -> list[float]:
    """The share of samples in which each system is the best; ties count in equal parts.

    A system that breaks its limits in a sample is not the best of it.
    """
    sign = 1.0 if METRICS[objective].better == "max" else -1.0
    scores = np.stack([np.where(feasible(s), sign * s.metrics[objective], -np.inf) for s in found])
    winning = (scores == scores.max(axis=0)) & np.isfinite(scores)
    number = np.maximum(winning.sum(axis=0), 1)
    return [float(np.mean(row / number)) for row in winning]


def relative_bands(found: list[Samples], objective: str) -> list[dict[str, float]]:
    """Bands of each system's objective over the first system's, sample by sample."""
    first = np.asarray(found[0].metrics[objective], np.float64)
    return [percentiles(s.metrics[objective] / first) for s in found]


def uncertainty_view(document: Document) -> list[Any]:
    """Tables of one design's bands and of what spreads its objective."""
    number = document["samples"]
    parts: list[Any] = [
        heading(f"Bands over {number:,} samples of {document['inputs']} constants"),
        note(f"seed {document['seed']}; the mapping stays, the batch follows the limits"),
        *_bands(document),
    ]
    infeasible = 1.0 - document["feasible_share"]
    if infeasible > 0.0:
        parts.append(Text(f"{percent(infeasible)} of the samples break limits of operation"))
    rules = {n: s for n, s in document["broken"].items() if n not in OPERATING}
    if rules:
        told = ", ".join(f"{name} in {percent(share)}" for name, share in rules.items())
        parts.append(Text(f"Rules of the design that samples break: {told}"))
    return parts + _variance(document)


def _bands(document: Document) -> list[Any]:
    bands, values = document["bands"], document["metrics"]
    names = list(bands)
    columns = [
        Column("metric", names),
        Column("unit", [metric_unit(name) for name in names]),
        Column("value", [metric_number(name, values[name]) for name in names], right=True),
    ]
    for key, share in PERCENTILES.items():
        cells = [metric_number(name, bands[name][key]) for name in names]
        columns.append(Column(f"{share:.0f} %", cells, right=True))
    # float32 of a design and of its samples differ in the last place
    outside = [
        name
        for name in names
        if not bands[name]["p5"] * (1.0 - 1e-5) <= values[name] <= bands[name]["p95"] * (1.0 + 1e-5)
    ]
    # no gap follows the last column
    whole = sum(column.width + GAP for column in columns) - GAP
    parts: list[Any] = [table(columns)] if whole <= width() else fitting(columns, keys=2)
    if outside:
        why = "intervals of their constants reach further one way"
        parts.append(note(f"beyond their band, as {why}: {', '.join(outside)}"))
    return parts


def _variance(document: Document) -> list[Any]:
    listed = document["variance"][:TOP]
    metric = document["variance_of"]
    if not listed:
        why = (
            f"at least {PER_INPUT} are needed" if document["samples"] < PER_INPUT else "none found"
        )
        return [heading(f"Shares of the variance of ln {metric}: {why}")]
    told = f"together {percent(document['explained'])}"
    return [
        heading(f"Constants by their share of the variance of ln {metric} ({told})"),
        table(
            [
                Column("of", [f"{each['kind']} {each['name']}" for each in listed]),
                Column("path", [each["path"] for each in listed], fold=True),
                Column("share", [percent(each["share"]) for each in listed], right=True),
            ]
        ),
    ]


def comparison_bands(documents: list[Document]) -> list[Any]:
    """The objective's band of each system, and how often each is the best."""
    objective = documents[0]["variance_of"]
    names = [each["name"] for each in documents]
    columns = [Column("system", names)]
    for key, share in PERCENTILES.items():
        cells = [metric_number(objective, each["bands"][objective][key]) for each in documents]
        columns.append(Column(f"{share:.0f} %", cells, right=True))
    ratios = [[digits(each["over_first"][key], 3) for key in ("p5", "p95")] for each in documents]
    columns.append(Column("over first", ["-".join(pair) for pair in ratios], right=True))
    columns.append(Column("best in", [percent(e["best_share"]) for e in documents], right=True))
    number, unit = documents[0]["samples"], metric_unit(objective)
    return [
        heading(f"{objective} ({unit or '1'}) over {number:,} samples"),
        note("shared constants take the same sample in every system"),
        *fitting(columns),
    ]
