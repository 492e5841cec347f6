"""How far predictions agree with measurements: errors by group, and the order of systems."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import combinations

import attrs
import numpy as np

from dse.evidence.prediction import TABLES
from dse.evidence.validate import Outcome

GAP = 0.1
"""Systems whose measured values differ by less than this share are not put in order."""

SETS = {
    "train": "training",
    "memory": "training memory",
    "gemm": "GEMM",
    "attention": "attention",
    "collective": "collectives",
    "power": "node power",
}
"""The set of each table's outcomes; serving has one for each mode."""

GROUPS: dict[str, Callable[[Outcome], str]] = {
    "table": lambda outcome: outcome.row.table,
    "phase": lambda outcome: outcome.phase,
    "metric": lambda outcome: outcome.metric,
    "system": lambda outcome: outcome.row.system,
    "family": lambda outcome: outcome.row.family,
    "model": lambda outcome: outcome.row.model,
    "software": lambda outcome: outcome.row.software,
}
"""What errors are grouped by."""

_SAME = (
    "mode", "phase", "op", "dtype", "kv_dtype", "precision", "weights", "activations", "kv",
    "seq", "seq_in", "seq_out", "seq_q", "seq_kv", "batch", "chips", "ranks", "nodes", "bytes",
    "m", "n", "k", "heads", "kv_heads", "head_dim", "frozen",
)  # fmt: skip
"""Cells that rows of two systems must share to be put in order."""


@attrs.frozen(kw_only=True)
class Statistics:
    """Errors of outcomes; shares, nan where there is none.

    `mape`, `median` and `p90` take what is not predicted as 100 %; `bias` is the mean signed
    difference and `median_bias` its median, of what is predicted.
    """

    rows: int
    predicted: int
    mape: float
    median: float
    p90: float
    worst: float
    bias: float
    median_bias: float

    @property
    def coverage(self) -> float:
        """Predicted share."""
        return self.predicted / self.rows if self.rows else math.nan


def statistics(outcomes: Iterable[Outcome]) -> Statistics:
    """The errors of outcomes; those of rows that may go unpredicted are left out."""
    counted = [outcome for outcome in outcomes if not outcome.lacking]
    errors = np.array([outcome.error for outcome in counted])
    signed = np.array([o.difference for o in counted if o.predicted is not None])
    middle, high = np.quantile(errors, [0.5, 0.9]) if counted else (math.nan, math.nan)
    return Statistics(
        rows=len(counted),
        predicted=len(signed),
        mape=float(errors.mean()) if counted else math.nan,
        median=float(middle),
        p90=float(high),
        worst=float(errors.max()) if counted else math.nan,
        bias=float(signed.mean()) if len(signed) else math.nan,
        median_bias=float(np.median(signed)) if len(signed) else math.nan,
    )


def set_of(outcome: Outcome) -> str:
    """The set that an outcome's error is reported in."""
    row = outcome.row
    name = SETS.get(row.table) or f"serving, {row.text('mode', 'mode unknown')}"
    return f"{name}, {outcome.apart}" if outcome.apart else name


def sets(outcomes: Iterable[Outcome]) -> dict[str, Statistics]:
    """Errors by set in the order of tables, those reported apart in sets of their own."""
    listed = sorted(outcomes, key=lambda o: (TABLES.index(o.row.table), o.apart, set_of(o)))
    return grouped(listed, set_of)


def grouped(outcomes: Iterable[Outcome], key: Callable[[Outcome], str]) -> dict[str, Statistics]:
    """Errors by group, in the order in which the groups are met; nameless ones are left out."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if key(outcome) and not outcome.lacking:
            groups[key(outcome)].append(outcome)
    return {name: statistics(members) for name, members in groups.items()}


@attrs.frozen
class Ordering:
    """Pairs of systems whose measured values differ, and how many are the right way round."""

    pairs: int
    right: int

    @property
    def share(self) -> float:
        """The share that is the right way round."""
        return self.right / self.pairs if self.pairs else math.nan


def orderings(outcomes: Iterable[Outcome]) -> dict[str, Ordering]:
    """By table: pairs at equal model, lengths, precision, batch and chips; and all together.

    Sets that are apart are left out. A pair with a row that nothing predicts is wrong.
    """
    tables: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if not outcome.lacking and not outcome.apart:
            tables[outcome.row.table].append(outcome)
    found = {table: ordering(members) for table, members in tables.items()}
    found = {table: each for table, each in found.items() if each.pairs}
    pairs = sum(each.pairs for each in found.values())
    right = sum(each.right for each in found.values())
    return {**found, "all": Ordering(pairs, right)}


def ordering(outcomes: Iterable[Outcome]) -> Ordering:
    """Pairs of outcomes of two systems that are otherwise alike."""
    groups: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[_alike(outcome)].append(outcome)
    pairs = right = 0
    for members in groups.values():
        for one, other in combinations(members, 2):
            if one.row.system != other.row.system and _gap(one.measured, other.measured) > GAP:
                pairs += 1
                right += _same_way(one, other)
    return Ordering(pairs, right)


def _alike(outcome: Outcome) -> tuple[str, ...]:
    row = outcome.row
    return (outcome.metric, row.table, row.model, *(row.text(key) for key in _SAME))


def _gap(one: float, other: float) -> float:
    return max(one, other) / min(one, other) - 1.0


def _same_way(one: Outcome, other: Outcome) -> bool:
    if one.predicted is None or other.predicted is None:
        return False
    return (one.predicted - other.predicted) * (one.measured - other.measured) > 0.0
