"""Figures of many errors."""

from __future__ import annotations

import attrs
import numpy as np


@attrs.frozen(kw_only=True)
class Summary:
    """Errors as shares: |predicted / measured - 1|, and the signed mean."""

    number: int
    mean: float
    median: float
    p90: float
    bias: float
    worst: float


def summary(errors: np.ndarray) -> Summary:
    """Figures of log(predicted / measured) [n]."""
    shares = np.expm1(errors)
    size = np.abs(shares)
    return Summary(
        number=len(size),
        mean=float(size.mean()),
        median=float(np.median(size)),
        p90=float(np.quantile(size, 0.9)),
        bias=float(shares.mean()),
        worst=float(size.max()),
    )
