"""A scatter of two metrics in characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from dse.report.figures import digits

WIDEST_DECADES = 1.3
"""An axis that spans more decades than this is logarithmic."""


@attrs.frozen(kw_only=True)
class Mark:
    """One point and the character it is drawn with."""

    x: float
    y: float
    sign: str


@attrs.frozen
class Axis:
    """Maps values to cells 0 .. size - 1."""

    low: float
    high: float
    size: int
    logarithmic: bool

    def cell(self, value: float) -> int:
        """The cell of a value."""
        return min(max(round(self.share(value) * (self.size - 1)), 0), self.size - 1)

    def share(self, value: float) -> float:
        """How far along the axis a value stands: 0 at its low end, 1 at its high end."""
        start, end, at = (self._scaled(v) for v in (self.low, self.high, value))
        return (at - start) / (end - start) if end > start else 0.5

    def value(self, cell: int) -> float:
        """The value in the middle of a cell."""
        start, end = self._scaled(self.low), self._scaled(self.high)
        at = start + (end - start) * cell / max(self.size - 1, 1)
        return float(math.exp(at)) if self.logarithmic else at

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value


def axis(values: Sequence[float], size: int) -> Axis:
    """An axis over all values, logarithmic where they span decades."""
    low, high = min(values), max(values)
    wide = low > 0.0 and math.log10(high / low) > WIDEST_DECADES
    return Axis(low, high, size, wide)


def scatter(
    marks: Sequence[Mark], x_title: str, y_title: str, *, columns: int = 78, rows: int = 16
) -> str:
    """The points as lines of text; where several meet, the last in `marks` is seen."""
    kept = [m for m in marks if math.isfinite(m.x) and math.isfinite(m.y)]
    if not kept:
        return ""
    labels = max(len(digits(m.y, 3)) for m in kept) + 3
    across = axis([m.x for m in kept], max(columns - labels - 2, 10))
    down = axis([m.y for m in kept], rows)
    grid = [[" "] * across.size for _ in range(rows)]
    for mark in kept:
        grid[rows - 1 - down.cell(mark.y)][across.cell(mark.x)] = mark.sign
    ticks = {0, rows // 2, rows - 1}
    lines = [_kind(y_title, down)]
    for row, cells in enumerate(grid):
        label = digits(down.value(rows - 1 - row), 3) if row in ticks else ""
        lines.append(f"{label:>{labels}} |{''.join(cells).rstrip()}")
    lines.append(" " * labels + " +" + "-" * across.size)
    lines.append(" " * (labels + 2) + _x_labels(across))
    lines.append(_kind(x_title, across).rjust(labels + 2 + across.size))
    return "\n".join(lines)


def _kind(title: str, of: Axis) -> str:
    return f"{title} (logarithmic)" if of.logarithmic else title


def _x_labels(across: Axis) -> str:
    left, middle, right = (
        digits(across.value(cell), 3) for cell in (0, across.size // 2, across.size - 1)
    )
    half = across.size // 2
    line = left.ljust(half - len(middle) // 2) + middle
    return line + right.rjust(across.size - len(line))
