"""What a mix of workloads attains: each metric of the mix from those of its workloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dse.spec.metrics import METRICS

PER_TOKEN = ("usd_per_mtok", "gco2e_per_mtok")
"""Metrics of a mix that are sums over workloads, weighted by their shares of tokens."""

RATES = ("tokens_per_s", "tokens_per_s_per_chip", "tokens_per_usd", "tokens_per_joule")
"""Metrics of a mix whose inverses are such sums: time, dollars, joules for a token."""

TIMED = ("mfu", "average_power_w", "usd_per_chip_hour", "capital", "operating")
"""Metrics of a mix that are means over time: a workload takes its share of tokens over its rate."""

WORST = {
    "tpot_s": np.max,
    "ttft_s": np.max,
    "ttft_unqueued_s": np.max,
    "step_time_s": np.max,
    "tokens_per_s_per_user": np.min,
    "goodput": np.min,
}
"""Metrics of a mix that its worst workload gives."""

PEAKS = ("memory_used", "batch", "days", "training_usd", "training_mwh")
"""Metrics of a mix that are largest over its workloads."""


def mixed(
    found: Sequence[Mapping[str, np.ndarray]], weights: Sequence[float]
) -> dict[str, np.ndarray]:
    """All metrics [n] of the mix, SI; `weights` are the workloads' shares of the tokens."""
    shares = (np.asarray(weights) / np.sum(weights))[:, None]
    times = shares_of_time(found, weights)
    made = {}
    for name in METRICS:
        values = np.stack([np.asarray(each[name], np.float64) for each in found])
        if len(found) == 1:
            made[name] = values[0]
        elif name in PER_TOKEN:
            made[name] = (shares * values).sum(axis=0)
        elif name in RATES:
            made[name] = 1.0 / (shares / np.maximum(values, 1e-300)).sum(axis=0)
        elif name in TIMED:
            made[name] = (times * values).sum(axis=0)
        elif name in WORST:
            made[name] = WORST[name](values, axis=0)
        else:
            made[name] = values.max(axis=0) if name in PEAKS else values.mean(axis=0)
    return made


def shares_of_time(
    found: Sequence[Mapping[str, np.ndarray]], weights: Sequence[float]
) -> np.ndarray:
    """The part of its time [w, n] that a system spends on each workload: its tokens over its rate.

    `weights` are the workloads' shares of the tokens.
    """
    rates = np.stack([np.asarray(each["tokens_per_s"], np.float64) for each in found])
    times = np.asarray(weights)[:, None] / np.maximum(rates, 1e-300)
    return np.asarray(times / times.sum(axis=0))
