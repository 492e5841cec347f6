"""Charts as standalone SVG: axes with units, clouds, points, lines, bands, labels; no library.

A picture brings its own background and follows the reader's theme, so that it can be read on any
page. All text is escaped. Labels move aside until they lie on no other label and on no point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

import attrs

from dse.report.figures import digits
from dse.report.scatter import Axis, axis

WIDTH, HEIGHT = 860, 540
LEFT, RIGHT, TOP, BOTTOM = 84, 28, 92, 62
"""Room around the plot, in pixels."""

TEXT = 13
WIDE = 0.56
"""Width of an average character of a sans-serif face over its size."""

STYLE = """\
:root{--paper:#ffffff;--ink:#1c2430;--soft:#5b6675;--grid:#e4e8ed;--cloud:#c3ccd6;\
--c0:#0b62b5;--c1:#b3470b;--c2:#22733a;--c3:#7a3e9d;--c4:#8a6d00;--c5:#a81e4d}
@media (prefers-color-scheme:dark){:root{--paper:#12171e;--ink:#e8edf3;--soft:#a3aebc;\
--grid:#28313c;--cloud:#455261;--c0:#6cb4f5;--c1:#f2955a;--c2:#71c98a;--c3:#c99ae6;--c4:#dcbf52;\
--c5:#f283a5}}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:var(--ink)}
.title{font-size:17px;font-weight:600}.soft{fill:var(--soft)}
.grid{stroke:var(--grid);fill:none}.frame{stroke:var(--soft);fill:none}
.label{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.cloud{stroke:var(--cloud);stroke-width:3;stroke-linecap:round;fill:none}
"""


@attrs.frozen(kw_only=True)
class Series:
    """What one colour draws: `kind` is "line", "steps", "dots", "rings", "band" or "cloud".

    `points` are (x, y), of a band (x, low, high). A name puts it into the legend; `labels`, one for
    each point or none, stand beside the points. `colour` counts from 0; a cloud has its own.
    """

    kind: str
    points: Sequence[tuple[float, ...]]
    name: str = ""
    labels: Sequence[str] = ()
    colour: int = 0

    def corners(self) -> Iterator[tuple[float, float]]:
        """All (x, y) that the axes must reach."""
        return ((x, y) for x, *heights in self.points for y in heights)


@attrs.frozen(kw_only=True)
class Chart:
    """A chart's titles; `x` and `y` name axes with their units."""

    title: str
    x: str
    y: str
    subtitle: str = ""
    logarithmic: tuple[bool | None, bool | None] = (None, None)
    """Of each axis; None: if it spans decades."""


@attrs.frozen
class Frame:
    """Where values lie on the picture."""

    across: Axis
    down: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        return (
            LEFT + self.across.share(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.down.share(y) * (HEIGHT - TOP - BOTTOM),
        )


def draw(chart: Chart, series: Sequence[Series]) -> str:
    """The chart as one SVG document; what is not finite, or has no logarithm, is left out.

    The axes span all series but clouds, which are cut off at the frame.
    """
    solid = [each for each in series if each.kind != "cloud" and each.points] or series
    corners = [c for each in solid for c in each.corners() if all(map(math.isfinite, c))]
    frame = Frame(
        *(_axis([c[i] for c in corners] or [0.0, 1.0], chart.logarithmic[i]) for i in (0, 1))
    )
    shown = [_legible(each, frame) for each in series]
    parts = [*_axes(chart, frame), *(part for each in shown for part in _drawn(each, frame))]
    parts += [*_labels(shown, frame), *_legend([each for each in shown if each.name])]
    about = f"{chart.title}: {chart.y} against {chart.x}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(about)}">',
            f"<title>{escape(about)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" style="fill:var(--paper)"/>',
            f'<text class="title" x="20" y="30">{escape(chart.title)}</text>',
            f'<text class="soft" x="20" y="50">{escape(chart.subtitle)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def _axis(values: Sequence[float], logarithmic: bool | None) -> Axis:
    """An axis with a little room at both ends, zero not crossed for it."""
    made = axis(values, 2)
    if logarithmic is not None:
        positive = [v for v in values if v > 0.0] or [1.0]
        made = attrs.evolve(made, logarithmic=logarithmic)
        made = attrs.evolve(made, low=min(positive)) if logarithmic else made
    if made.logarithmic:
        room = (made.high / made.low) ** 0.05 if made.high > made.low else 2.0
        return attrs.evolve(made, low=made.low / room, high=made.high * room)
    margin = 0.05 * (made.high - made.low) or abs(made.high) * 0.5 or 1.0
    low = 0.0 if 0.0 <= made.low < 0.25 * made.high else made.low - margin
    return attrs.evolve(made, low=low, high=made.high + margin)


def _legible(series: Series, frame: Frame) -> Series:
    """The series without points that cannot be drawn."""
    signs = ((frame.across.logarithmic, 0), *((frame.down.logarithmic, i) for i in (1, 2)))
    kept = [
        index
        for index, point in enumerate(series.points)
        if all(map(math.isfinite, point))
        and all(point[i] > 0.0 for logarithmic, i in signs if logarithmic and i < len(point))
    ]
    labels = [series.labels[i] for i in kept] if series.labels else ()
    return attrs.evolve(series, points=[series.points[i] for i in kept], labels=labels)


def ticks(of: Axis, wanted: int = 7) -> list[float]:
    """Round values of an axis: 1, 2 and 5 times powers of ten."""
    if of.logarithmic and of.high / of.low > 8.0:
        powers = range(math.floor(math.log10(of.low)), math.ceil(math.log10(of.high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [m * 10.0**p for p in powers for m in steps]
            found = [value for value in found if of.low <= value <= of.high]
            if len(found) <= wanted + 3:
                break
        return found
    rough = (of.high - of.low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough)
    first = math.ceil(of.low / step - 1e-9)
    last = math.floor(of.high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _axes(chart: Chart, frame: Frame) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    lines, texts = [], []
    for value in ticks(frame.across):
        x = frame.at(value, frame.down.low)[0]
        lines.append(f"M{x:.1f} {TOP}V{bottom}")
        texts.append(_text(x, bottom + 20, _tick(value), "middle"))
    for value in ticks(frame.down):
        y = frame.at(frame.across.low, value)[1]
        lines.append(f"M{LEFT} {y:.1f}H{right}")
        texts.append(_text(LEFT - 8, y + 4, _tick(value), "end"))
    kinds = ["log" if each.logarithmic else "" for each in (frame.across, frame.down)]
    names = [
        f"{name} [{kind}]" if kind else name
        for name, kind in zip((chart.x, chart.y), kinds, strict=True)
    ]
    middle = (TOP + bottom) / 2
    return [
        f'<path class="grid" d="{"".join(lines)}"/>',
        f'<path class="frame" d="M{LEFT} {TOP}V{bottom}H{right}"/>',
        *texts,
        _text((LEFT + right) / 2, HEIGHT - 16, names[0], "middle"),
        f'<text text-anchor="middle" transform="translate(20 {middle}) rotate(-90)">'
        f"{escape(names[1])}</text>",
    ]


def _tick(value: float) -> str:
    """A number short enough for an axis: millions as 20M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size <= abs(value) < 1e3 * size:
            return f"{digits(value / size)}{letter}"
    return digits(value)


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    styled = f' class="{kind}"' if kind else ""
    return f'<text{styled} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _drawn(series: Series, frame: Frame) -> list[str]:
    colour = f"var(--c{series.colour % 6})"
    at = [frame.at(point[0], point[1]) for point in series.points]
    if not at:
        return []
    if series.kind == "cloud":
        # what falls onto one spot is drawn once
        spots = sorted({(round(x / 3) * 3, round(y / 3) * 3) for x, y in at if _inside(x, y)})
        return [f'<path class="cloud" d="{"".join(f"M{x} {y}h0" for x, y in spots)}"/>']
    if series.kind == "band":
        back = [frame.at(x, high) for x, _, high in reversed(series.points)]
        return [f'<path d="{_path([*at, *back])}Z" style="fill:{colour};opacity:.18"/>']
    if series.kind in ("line", "steps"):
        line = at if series.kind == "line" else _stairs(at)
        return [f'<path d="{_path(line)}" style="fill:none;stroke:{colour};stroke-width:2"/>']
    full = series.kind == "dots"
    inside = f"fill:{colour}" if full else f"fill:var(--paper);stroke:{colour};stroke-width:2"
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 if full else 5}" style="{inside}"/>'
        for x, y in at
    ]


def _inside(x: float, y: float) -> bool:
    return LEFT < x < WIDTH - RIGHT and TOP < y < HEIGHT - BOTTOM


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The edge of what points dominate that run from the best x to the worst."""
    corners = [corner for (_, y), (x, b) in pairwise(points) for corner in ((x, y), (x, b))]
    return [points[0], *corners]


Box = tuple[float, float, float, float]


def _labels(series: Sequence[Series], frame: Frame) -> list[str]:
    """Each label at the nearest free place around its point, with a line where it is far."""
    points = [frame.at(*p[:2]) for s in series if s.kind in ("dots", "rings") for p in s.points]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    made = []
    for each in series:
        for point, label in zip(each.points, each.labels, strict=False):
            if label:
                x, y = frame.at(point[0], point[1])
                box = _free(x, y, label, taken)
                taken.append(box)
                made += _placed(x, y, label, box)
    return made


def _free(x: float, y: float, label: str, taken: Sequence[Box]) -> Box:
    """The first place around a point that meets nothing, or the one that meets least."""
    wide, high = len(label) * TEXT * WIDE, TEXT + 2.0
    best, least = (x, y, x + wide, y + high), math.inf
    for gap in (8.0, 16.0, 28.0, 42.0, 60.0, 84.0):
        for across, up in ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1)):
            left = x + across * gap - (1 - across) / 2 * wide
            top = y - up * gap - high / 2
            box = (left, top, left + wide, top + high)
            cost = sum(_overlap(box, other) for other in taken) + 10.0 * _outside(box)
            if cost < least:
                best, least = box, cost
            if cost == 0.0:
                return box
    return best


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0.0 and high > 0.0 else 0.0


def _outside(box: Box) -> float:
    """How far a label reaches over the edge of the plot."""
    beyond = (LEFT + 2 - box[0], TOP - box[1], box[2] - (WIDTH - 6), box[3] - (HEIGHT - BOTTOM))
    return sum(max(0.0, each) for each in beyond)


def _placed(x: float, y: float, label: str, box: Box) -> list[str]:
    near = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
    text = _text(box[0], box[3] - 4, label, kind="label")
    if math.dist(near, (x, y)) < 14.0:
        return [text]
    return [f'<path class="frame" d="M{x:.1f} {y:.1f}L{near[0]:.1f} {near[1]:.1f}"/>', text]


def _legend(named: Sequence[Series]) -> list[str]:
    parts, x, y = [], 20.0, 74.0
    for each in named:
        colour = "var(--cloud)" if each.kind == "cloud" else f"var(--c{each.colour % 6})"
        ring = each.kind == "rings"
        inside = f"fill:none;stroke:{colour};stroke-width:2" if ring else f"fill:{colour}"
        parts.append(f'<circle cx="{x + 5:.1f}" cy="{y - 4:.1f}" r="4.5" style="{inside}"/>')
        parts.append(_text(x + 15, y, each.name, kind="soft"))
        x += 15 + len(each.name) * TEXT * WIDE + 18
    return parts
