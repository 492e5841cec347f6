"""A run's front as data: designs by path, metrics as files hold them, references, certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dse.search.front import distance, joining_price, knee, reached_by, to_maximise
from dse.search.record import RunData
from dse.spec.metrics import METRICS, meaningful

PRICED = ("tokens_per_usd", "usd_per_mtok", "usd_per_chip_hour", "usd_per_gw", "training_usd")
"""Objectives in proportion to all costs of ownership, or to their inverse."""


def front_document(data: RunData) -> dict[str, Any]:
    """The non-dominated feasible designs of a run, best first in the first objective.

    The JSON shape of `dse front`: points, references, certificate; and `spread`, the values that
    each parameter takes among the points. Metrics whose name carries a
    unit are in that unit, all others in SI. A point's `rank` counts from the best; the one where
    the front bends most has `knee`. A reference has its `distance` inside the front (a share, None
    where it has none) and, if a point is at least as good throughout, the `changes` that lead to
    the nearest such `point`. `joins_at` is the price (dollars an hour of a chip, all costs in
    proportion: so what it earns is in proportion to its inverse, at the same operating point) at
    which it joins the front. What a run found out by the model comes on top: see
    `dse.search.approach.approaches`.
    """
    problem = data.problem
    order = np.argsort(-data.values[data.front, 0], kind="stable")
    chosen = np.asarray(data.front)[order]
    points = [{"rank": i, **point_document(data, int(d))} for i, d in enumerate(chosen, start=1)]
    values = data.values[data.front][order]
    bend = knee(values)
    if bend is not None:
        points[bend]["knee"] = True
    return {
        "points": points,
        "references": [_reference(data, r, points, values) for r in problem["references"]],
        "spread": _spread(data),
        "certificate": {
            "space": problem["space"],
            "evaluated": data.counts.evaluated,
            "distinct": data.distinct,
            "feasible": data.counts.feasible,
            "front": len(points),
            "pruned": dict(data.counts.pruned),
            "complete": data.distinct + data.counts.ruled_out >= problem["space"],
            # runs of an earlier dse do not say
            "operate": problem.get("operate", ""),
            "pairs": data.counts.pairs,
            "hash": data.settings["fingerprint"],
            "method": data.settings["method"],
            "seed": data.settings["seed"],
        },
    }


def _spread(data: RunData) -> dict[str, list[Any]]:
    rows = data.levels[data.front].T
    pairs = zip(data.problem["parameters"], rows, strict=True)
    return {p["path"]: [p["values"][level] for level in np.unique(row)] for p, row in pairs}


def nearest_point(data: RunData) -> dict[str, Any]:
    """The design that violates least, for a run in which none is feasible."""
    worst = np.minimum(data.margins, 0.0).sum(axis=1)
    return point_document(data, int(np.argmax(worst)))


def violations(data: RunData) -> dict[str, int]:
    """How many designs break each rule, most first."""
    return data.broken


def written(problem: Mapping[str, Any], metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that mean something to the workloads of a problem, as output files hold them."""
    names = meaningful(workload["phase"] for workload in problem["workloads"])
    return {name: METRICS[name].written(float(metrics[name])) for name in names}


def point_document(data: RunData, index: int) -> dict[str, Any]:
    """One design of the log, in the shape of `points` in `front_document`."""
    parameters = data.problem["parameters"]
    chosen = zip(parameters, data.levels[index], strict=True)
    rules = data.settings["rules"]
    return {
        "id": index,
        "design": {p["path"]: p["values"][level] for p, level in chosen},
        "mapping": data.mapping[index],
        "metrics": written(data.problem, {n: values[index] for n, values in data.metrics.items()}),
        "margins": dict(zip(rules, map(float, data.margins[index]), strict=True)),
    }


def _reference(
    data: RunData,
    reference: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    values: np.ndarray,
) -> dict[str, Any]:
    problem = data.problem
    made = {**reference, "metrics": written(problem, reference["metrics"])}
    made |= data.compared.get(reference["name"], {})
    found = np.array([[reference["metrics"][name] for name in data.settings["objectives"]]], float)
    one = to_maximise(found, data.settings["senses"])[0]
    inside = distance(values, one)
    made["distance"] = inside if np.isfinite(inside) else None
    money = np.array([name in PRICED for name in data.settings["objectives"]])
    price = joining_price(values, one, money)
    if np.isfinite(price) and len(values):
        cost = float(made["metrics"]["usd_per_chip_hour"])
        made["joins_at"] = {"factor": price, "usd_per_chip_hour": price * cost}
    # changes lead to the front only at the price that its designs are paid at
    own_price = reference.get("price_basis", problem["price_basis"]) == problem["price_basis"]
    design = reference.get("design", {}) if own_price else {}
    paths = [p["path"] for p in problem["parameters"] if p["path"] in design]
    own = [design[path] for path in paths]
    rows = [[point["design"][path] for path in paths] for point in points]
    nearest = reached_by(rows, values, own, one) if paths and inside > 0.0 else None
    if nearest is not None:
        target = points[nearest]
        made["changes"] = {
            "point": target["id"],
            "parameters": [
                {"path": path, "from": design[path], "to": target["design"][path]}
                for path in paths
                if target["design"][path] != design[path]
            ],
        }
    return made
