"""A run's front as data: designs by path, metrics as files hold them, references, certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dse.search.run import RunData
from dse.spec.metrics import METRICS, meaningful


def front_document(data: RunData) -> dict[str, Any]:
    """The non-dominated feasible designs of a run, best first in the first objective.

    The JSON shape of `dse front`: points, references, certificate. Metrics whose name carries a
    unit are in that unit, all others in SI.
    """
    problem = data.problem
    order = np.argsort(-data.values[data.front, 0], kind="stable")
    points = [_point(data, int(index)) for index in np.asarray(data.front)[order]]
    return {
        "points": points,
        "references": [_reference(problem, r) for r in problem["references"]],
        "certificate": {
            "space": problem["space"],
            "evaluated": len(data.levels),
            "distinct": len(np.unique(data.levels, axis=0)),
            "feasible": int(np.sum(data.feasible)),
            "pruned": {},
            "hash": data.settings["fingerprint"],
            "method": data.settings["method"],
            "seed": data.settings["seed"],
        },
    }


def nearest_point(data: RunData) -> dict[str, Any]:
    """The design that violates least, for a run in which none is feasible."""
    worst = np.minimum(data.margins, 0.0).sum(axis=1)
    return _point(data, int(np.argmax(worst)))


def violations(data: RunData) -> dict[str, int]:
    """How many designs break each rule, most first."""
    broken = (data.margins < 0.0).sum(axis=0)
    rules = data.settings["rules"]
    order = np.argsort(-broken, kind="stable")
    return {rules[i]: int(broken[i]) for i in order if broken[i]}


def written(problem: Mapping[str, Any], metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that mean something to the workloads of a problem, as output files hold them."""
    names = meaningful(workload["phase"] for workload in problem["workloads"])
    return {name: METRICS[name].written(float(metrics[name])) for name in names}


def _point(data: RunData, index: int) -> dict[str, Any]:
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


def _reference(problem: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    return {**reference, "metrics": written(problem, reference["metrics"])}
