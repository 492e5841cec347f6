"""What a predicted time is made of: by operator group, and by what binds it.

Operator groups are what a predictor says of its own rows (`Batch.parts`). What binds is found for
any predictor by the prediction itself: matrix products bind as much of a time as it shortens, to
first order, where they attain more (the elasticity, by differences).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import jax
import numpy as np

from dse.evidence.prediction import Batch, predict
from dse.model.pytree import replace
from dse.spec.workload import Software

STEP = 0.02
"""Change of the logarithm of an efficiency: rounding of float32 is then below 1e-4 of a share."""

LEAST = 0.005
"""Shares of less are not told."""

BOUNDS: Mapping[str, tuple[str, ...]] = {
    "matrix": ("matrix",),
    "attention's arrays": ("attention", "attention_backward"),
    "vector": ("vector",),
    "memory": ("memory",),
    "links": ("network", "scale_out"),
}
"""Efficiencies of a stack by what they bind. What none of them shortens is overhead."""

OVERHEAD = "overhead"


@attrs.frozen
class Breakdown:
    """Shares of a predicted time; each adds up to one, but for what rounds to nothing.

    `operators` is empty where the predictor has no parts.
    """

    operators: Mapping[str, float]
    bounds: Mapping[str, float]


def breakdowns(batch: Batch, stacks: Software) -> list[dict[str, Breakdown]]:
    """For each row of a batch, the breakdown of each metric; `stacks` has leaves [n]."""
    bound, parts = _bounds(batch, stacks), _parts(batch, stacks)
    return [
        {
            metric: Breakdown(_shares(parts[r].get(metric, {})), _shares(bound[r][m]))
            for m, metric in enumerate(batch.metrics)
        }
        for r in range(len(batch.rows))
    ]


def _bounds(batch: Batch, stacks: Software) -> list[list[dict[str, float]]]:
    """[row][metric] elasticities of a time by what binds it, and what they leave."""
    before = _logarithm(predict(batch, stacks))
    falls = {}
    for name, fields in BOUNDS.items():
        changed = {field: getattr(stacks, field) * math.exp(STEP) for field in fields}
        after = _logarithm(predict(batch, replace(stacks, **changed)))
        # a throughput rises as a time falls
        falls[name] = np.abs(before - after) / STEP
    rest = np.maximum(1.0 - sum(falls.values()), 0.0)
    found = falls | {OVERHEAD: rest}
    return [
        [{name: float(found[name][r, m]) for name in found} for m in range(len(batch.metrics))]
        for r in range(len(batch.rows))
    ]


def _logarithm(values: np.ndarray) -> np.ndarray:
    safe = np.where(np.isfinite(values) & (values > 0.0), values, 1.0)
    return np.asarray(np.log(safe.astype(float)))


def _parts(batch: Batch, stacks: Software) -> list[dict[str, dict[str, float]]]:
    """[row][metric] seconds by operator group; empty without parts."""
    if batch.parts is None:
        return [{} for _ in batch.rows]
    found = jax.jit(jax.vmap(_plain(batch.parts)))(stacks, batch.inputs)
    return [
        {metric: {k: float(v[r]) for k, v in parts.items()} for metric, parts in found.items()}
        for r in range(len(batch.rows))
    ]


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose result has no class of its own."""
    return lambda software, row: {k: dict(v) for k, v in function(software, row).items()}


def _shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Parts over their sum, the largest first, those below LEAST left out."""
    whole = sum(parts.values())
    if not (math.isfinite(whole) and whole > 0.0):
        return {}
    shares = {name: value / whole for name, value in parts.items()}
    return {k: v for k, v in sorted(shares.items(), key=lambda kv: -kv[1]) if v >= LEAST}


def worst(outcomes: Iterable[Any], number: int) -> list[Any]:
    """The outcomes whose predictions are off by most factors, worst first."""
    found = [o for o in outcomes if o.predicted is not None and o.predicted > 0.0]
    return sorted(found, key=lambda o: -abs(math.log(o.predicted / o.measured)))[:number]


def told(shares: Mapping[str, float], most: int = 4) -> str:
    """The largest shares as text, in per cent."""
    return ", ".join(f"{k} {100.0 * v:.0f}" for k, v in list(shares.items())[:most])


def rows_of(outcomes: Sequence[Any]) -> list[Any]:
    """The rows of outcomes, each once, in order."""
    return list({id(outcome.row): outcome.row for outcome in outcomes}.values())
