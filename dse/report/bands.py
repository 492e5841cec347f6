"""A plot of medians and quartile bands as SVG, written out by hand: it needs no library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import attrs
import numpy as np

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 56, 120, 34, 46
Scale = Callable[[float], float]
COLOURS = ("#0b6e4f", "#c1440e", "#3d5a98", "#8a6d3b", "#7b2d8b", "#555555")


@attrs.frozen(kw_only=True, eq=False)
class Band:
    """One method: at x [n] the lower quartile, median and upper quartile [n, 3]; nan: nothing."""

    name: str
    x: np.ndarray
    quartiles: np.ndarray


def bands_svg(title: str, label: str, bands: Sequence[Band], limit: float = 1.0) -> str:
    """The plot: x on a log scale, y from 0 to `limit`."""
    ends = np.concatenate([band.x for band in bands])
    low, high = math.log10(ends.min()), math.log10(ends.max())
    span = max(high - low, 1e-9)

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(x) - low) / span

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(y / limit, 0.0), 1.0)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 20, title, weight="bold"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, label, anchor="middle"),
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 0.95, 1.0):
        y = down(share * limit)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 6, y + 4, f"{100 * share:.0f} %", anchor="end"))
    for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
        x = across(10.0**power)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{10.0**power:,g}", anchor="middle"))
    # the first method is drawn last, above the others
    for index, band in reversed(list(enumerate(bands))):
        parts += _drawn(band, COLOURS[index % len(COLOURS)], across, down)
    for index, band in enumerate(bands):
        y = TOP + 14 + 18 * index
        colour = COLOURS[index % len(COLOURS)]
        parts.append(_line(WIDTH - RIGHT + 10, y - 4, WIDTH - RIGHT + 30, y - 4, colour, 2.5))
        parts.append(_text(WIDTH - RIGHT + 36, y, band.name))
    return "\n".join([*parts, "</svg>\n"])


def _drawn(band: Band, colour: str, across: Scale, down: Scale) -> list[str]:
    """The band between the quartiles and the median above it."""
    kept = np.isfinite(band.quartiles).all(axis=1)
    x = [across(value) for value in band.x[kept]]
    low, middle, high = ([down(v) for v in column] for column in band.quartiles[kept].T)
    around = [*zip(x, high, strict=True), *reversed(list(zip(x, low, strict=True)))]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, middle, strict=True))
    area = " ".join(f"{a:.1f},{b:.1f}" for a, b in around)
    return [
        f'<polygon points="{area}" fill="{colour}" fill-opacity="0.18"/>',
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]


def _line(
    x: float, y: float, right: float, bottom: float, colour: str = "#dddddd", width: float = 1.0
) -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{bottom:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
