"""Numbers as people read them: four significant digits, in the unit that the field declares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dse.spec.metrics import METRICS

DIGITS = 4


def digits(value: float, number: int = DIGITS) -> str:
    """A plain number to so many significant digits."""
    if not math.isfinite(value):
        return "-"
    if value == 0.0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if not -5 <= size < 9:
        return f"{value:.{number - 1}e}"
    rounded = round(value, number - 1 - size)
    text = f"{rounded:,.{max(number - 1 - size, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def in_unit(value: float, unit: str) -> str:
    """An SI value as a number in `unit`, without the unit."""
    from dse import units

    return digits(value / units.factor(unit)) if unit not in ("", "1") else digits(value)


def with_unit(value: float, unit: str) -> str:
    """An SI value with its unit."""
    return f"{in_unit(value, unit)} {unit}" if unit not in ("", "1") else digits(value)


def metric_number(name: str, value: float | None) -> str:
    """A metric as files hold it, as a number in the unit in which people see it."""
    if value is None:
        return "-"
    metric = METRICS[name]
    return digits(value) if metric.named else in_unit(value, metric.unit)


def metric_unit(name: str) -> str:
    """The unit in which people see a metric; empty for a plain number."""
    unit = METRICS[name].unit
    return "" if unit == "1" else unit


def metric_seen(name: str, value: float | None) -> float | None:
    """A metric as files hold it, in the unit in which people see it."""
    metric = METRICS[name]
    if value is None or metric.named:
        return value
    from dse import units

    return value / units.factor(metric.unit)


def metric_column(name: str, values: np.ndarray) -> np.ndarray:
    """SI values of a metric, as a run's log holds them, in the unit in which people see it."""
    from dse import units

    return np.asarray(values / units.factor(METRICS[name].unit))


def metric_title(name: str) -> str:
    """A metric's name in words, with its unit."""
    unit = metric_unit(name)
    return f"{name.replace('_', ' ')}" + (f", {unit}" if unit else "")


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{digits(100.0 * share, 3)} %"


def mapping_text(mapping: dict[str, Any]) -> str:
    """The degrees of a mapping that are not trivial, and the batch."""
    degrees = [k for k in ("tp", "pp", "ep") if mapping.get(k, 1) != 1]
    parts = [f"{name}={mapping[name]}" for name in degrees] or ["tp=1"]
    if mapping.get("micro_batch", 1) != 1:
        parts.append(f"micro_batch={mapping['micro_batch']}")
    if mapping.get("recompute"):
        parts.append("recompute")
    if mapping.get("zero", 1) != 1:
        parts.append(f"zero={mapping['zero']}")
    return " ".join([*parts, f"batch={mapping['batch']:,}"])
