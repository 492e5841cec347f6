"""What would change a figure, as data (the JSON of `dse sensitivity`) and as tables.

Three kinds of rows: `continuous` leaves with their exact elasticity, `count` leaves with the
changes that one fewer and one more make, and `price`, what a limit is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.text import Text

from dse.model.evaluator import Question
from dse.model.rules import RULES, Rule
from dse.model.sensitivity import ABOVE, BELOW, Number, Point, Slopes, Step, slopes, steps
from dse.model.uncertainty import interval
from dse.report.feasible import TIGHT
from dse.report.figures import digits, in_unit, percent
from dse.report.spec import shown
from dse.report.terminal import Column, cut, heading, note, table
from dse.search.problem import StudyProblem
from dse.search.slopes import design_slopes
from dse.search.works import works
from dse.spec.fields import CONFIDENCES, Source
from dse.spec.metrics import METRICS
from dse.spec.space import source_of
from dse.spec.system import System
from dse.spec.values import Triangular

Document = dict[str, Any]

CONTINUOUS, COUNT, PRICE = "continuous", "count", "price"

KINK = 1e-5
"""Elasticities of both sides that differ by more are told apart."""

WEAKNESS = dict(zip(CONFIDENCES, (0.02, 0.05, 0.15, 0.25, 0.4), strict=True))
"""By what share a number may be off, by its source's confidence, where that gives no interval."""

LATENCIES = {"tpot": "workload.tpot", "ttft": "workload.ttft"}
"""Limits of an operating point that are leaves themselves."""


def sensitivity_rows(
    system: System, question: Question, mapping: np.ndarray, metrics: Sequence[str]
) -> list[Document]:
    """All rows of a system without free values at a row of mappings; the largest first, by metric.

    Each has metric, path, kind and elasticity; continuous ones with `left` and `right` where the
    sides of a kink differ; counts `below` and `above`, relative changes of the metric; prices the
    `rule`, its `limit`, `unit`, `margin`, `binding`, the leaf that more of it is best spent on
    (`via`) and the relative change of the metric `per_unit`.
    """
    point = Point(system, question)
    numbers = point.weighed
    asked = [(point, number, side) for number in numbers for side in (BELOW, ABOVE)]
    found = slopes(asked, np.tile(np.asarray(mapping, np.float64), (len(asked), 1)))
    stepped = steps(point, question)
    made = []
    for metric in metrics:
        sides = found.elasticity(metric).reshape(-1, 2)
        each = dict(zip((n.path for n in numbers), sides, strict=True))
        rows = [
            *(_continuous(n, each.get(n.path)) for n in _quantities(point)),
            *(_count(step, metric) for step in stepped),
        ]
        rows = [
            row
            | _sourced(row["elasticity"], point.numbers[row["path"]], system, question)
            | _stale(point.numbers[row["path"]], point)
            for row in rows
        ]
        rows += _prices(point, metric, numbers, found, sides)
        made += [{"metric": metric, **row} for row in sorted(rows, key=_size)]
    return made


def _quantities(point: Point) -> list[Number]:
    return [n for n in point.numbers.values() if n.leaf.sort == "quantity"]


def _size(row: Document) -> float:
    return -abs(row["elasticity"]) if row["elasticity"] is not None else 0.0


def _continuous(number: Number, sides: np.ndarray | None) -> Document:
    """A leaf's elasticity; what is absent has none."""
    left, right = (0.0, 0.0) if sides is None else map(float, sides)
    row: Document = {"path": number.path, "kind": CONTINUOUS, "elasticity": 0.5 * (left + right)}
    if abs(left - right) > KINK * max(1.0, abs(left)):
        row |= {"left": left, "right": right}
    return row


def _count(step: Step, metric: str) -> Document:
    """A count's changes, and the elasticity of the arc between what it can be."""
    changes = [None if side is None else side[metric] for side in (step.below, step.above)]
    ends = zip(changes, (-1.0, 1.0), strict=True)
    value = step.number.value
    known = [(value, 1.0)] + [(value + d, 1.0 + c) for c, d in ends if c is not None]
    logs = [(math.log(x), math.log(y)) for x, y in sorted(known) if x > 0.0 and y > 0.0]
    run = logs[-1][0] - logs[0][0] if len(logs) > 1 else 0.0
    arc = (logs[-1][1] - logs[0][1]) / run if run else None
    return {
        "path": step.number.path,
        "kind": COUNT,
        "elasticity": arc,
        "below": changes[0],
        "above": changes[1],
    }


def _sourced(
    elasticity: float | None, number: Number, system: System, question: Question
) -> Document:
    """Value and source of a leaf, how far it may be off, and by how much that moves the metric."""
    head, _, rest = number.path.partition(".")
    part = getattr(question, head, None)
    source = source_of(system, number.path) if part is None else source_of(part, rest)
    off = weakness(number, source)
    return {
        "value": number.value,
        "unit": number.leaf.unit,
        "shown": shown(number.leaf, number.value),
        "source": source.ref if source else "",
        "confidence": source.confidence if source else "assumption",
        "weakness": off,
        "score": abs(elasticity or 0.0) * off,
    }


def sources_of(
    problem: StudyProblem, system: System, point: Mapping[str, Any], metric: str
) -> list[Document]:
    """The inputs of a design that the mix of a study rests on, the least known first.

    Rows as the continuous ones of `sensitivity_rows`, `point` as `front_document` has it.
    """
    (leaves,) = design_slopes(problem, [system], [point], lambda _, n: n.leaf.sort == "quantity")
    elasticities = np.nan_to_num(leaves.slopes.elasticity(metric)).tolist()
    asked = {work.label: work.question for work in works(problem)}
    rows = []
    for (name, number), value in zip(leaves.numbers.items(), elasticities, strict=True):
        question = asked.get(name.partition("@")[2], problem.questions[0])
        row = {"metric": metric, "path": name, "kind": CONTINUOUS, "elasticity": value}
        rows.append(row | _sourced(value, number, system, question))
    return ranked(rows, by_source=True)


def _stale(number: Number, point: Point) -> Document:
    """The published figures that a change of the leaf makes void."""
    paths = [each.path for each in point.numbers.values() if each.place in number.stale]
    return {"falls_away": paths} if paths else {}


def weakness(number: Number, source: Source | None) -> float:
    """By what share a number may be off: half its source's interval, or what its kind allows."""
    belief = interval(number.value, number.leaf, source) if source else None
    if isinstance(belief, Triangular):
        if belief.low > 0.0:
            return 0.5 * math.log(belief.high / belief.low)
        return 0.5 * (belief.high - belief.low) / abs(number.value)
    return WEAKNESS[source.confidence if source else "assumption"]


def _prices(
    point: Point, metric: str, numbers: list[Number], found: Slopes, sides: np.ndarray
) -> Iterator[Document]:
    """What each limit is worth: of an operating point, then of the rules of a design."""
    each = {number.path: place for place, number in enumerate(numbers)}
    for name, path in LATENCIES.items():
        margin = float(found.margins[name][0])
        if margin < 1.0:
            gain = float(sides[each[path]].mean())
            limit = point.numbers[path]
            yield _price(name, path, "ms", limit.value, margin, gain, gain != 0.0, path)
    reserve = point.numbers["chip.memory.reserve"]
    if reserve.value > 0.0:
        usable = 1.0 - reserve.value
        gain = -float(sides[each[reserve.path]].mean()) * usable / reserve.value
        memory, margin = point.system.chip.memory, float(found.margins["memory"][0])
        room = memory.capacity * usable
        yield _price("memory", "chip.memory.reserve", "GB", room, margin, gain, gain != 0.0, "")
    for rule in RULES:
        margin = float(rule.margin(point.system))
        limit_value = float(rule.bound(point.system))
        if limit_value > 0.0:
            gain, via = _exchange(rule, metric, each, found, sides)
            tight = margin < (TIGHT if rule.unit != "1" else 1e-6)
            limits = (rule.name, rule.limits[0], rule.unit, limit_value)
            yield _price(*limits, margin, gain, tight, via)


def _exchange(
    rule: Rule, metric: str, each: dict[str, int], found: Slopes, sides: np.ndarray
) -> tuple[float, str]:
    """d ln metric / d ln limit where more of a limit is spent on the best of a rule's leaves."""
    sign = 1.0 if METRICS[metric].better == "max" else -1.0
    use = found.use(rule.name).reshape(-1, 2).mean(axis=1)
    best, via = 0.0, ""
    for path in rule.paths:
        place = each.get(path)
        if place is None or not abs(use[place]) > 1e-6:
            continue
        gain = float(sides[place].mean() / use[place])
        if math.isfinite(gain) and sign * gain > sign * best:
            best, via = gain, path
    return best, via


def _price(
    rule: str,
    path: str,
    unit: str,
    limit: float,
    margin: float,
    gain: float,
    binding: bool,
    via: str,
) -> Document:
    shown_limit = float(in_unit(limit, unit).replace(",", ""))
    return {
        "path": path,
        "kind": PRICE,
        "elasticity": gain if binding else 0.0,
        "rule": rule,
        "limit": limit,
        "unit": unit,
        "margin": margin,
        "binding": binding,
        "via": via,
        "once_binding": gain,
        "per_unit": (gain if binding else 0.0) / shown_limit,
    }


def ranked(rows: Sequence[Document], *, by_source: bool) -> list[Document]:
    """Rows by elasticity, or continuous leaves by elasticity times weakness of source."""
    if not by_source:
        return list(rows)
    kept = [row for row in rows if row["kind"] == CONTINUOUS]
    return sorted(kept, key=lambda row: -row["score"])


def sensitivity_view(title: str, rows: Sequence[Document], limit: int, *, by_source: bool) -> Any:
    """Tables of one or several metrics."""
    parts: list[Any] = [
        Text(title, style="bold"),
        note("mapping held, batch moves with the limits; a leaf moves as --set moves it"),
    ]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        own = [row for row in rows if row["metric"] == metric]
        parts += _source_table(metric, own, limit) if by_source else _tables(metric, own, limit)
    return parts


def _tables(metric: str, rows: list[Document], limit: int) -> list[Any]:
    smooth = [r for r in rows if r["kind"] == CONTINUOUS and r["elasticity"]]
    counts = [r for r in rows if r["kind"] == COUNT and (r["below"] or r["above"])]
    listed = smooth[: limit or None]
    parts: list[Any] = [heading(f"{metric}: % gained for 1 % of a leaf")]
    parts.append(
        table(
            [
                Column("leaf", [r["path"] for r in listed], fold=True),
                Column("value", [cut(r["shown"], 14) for r in listed], right=True),
                Column("elasticity", [digits(r["elasticity"], 3) for r in listed], right=True),
                Column("source", [r["confidence"] for r in listed]),
            ]
        )
    )
    parts += [
        note(f"{r['path']}: {digits(r['left'], 3)} falling, {digits(r['right'], 3)} rising")
        for r in listed
        if "left" in r
    ]
    if len(smooth) > len(listed):
        parts.append(note(f"{len(smooth) - len(listed)} more leaves move it: --limit 0 shows all"))
    return [*parts, *_counts(counts[: limit or None]), *_limits(rows)]


def _counts(rows: list[Document]) -> list[Any]:
    if not rows:
        return []
    return [
        heading("Counts, each at its own best mapping"),
        table(
            [
                Column("leaf", [r["path"] for r in rows], fold=True),
                Column("value", [digits(r["value"]) for r in rows], right=True),
                Column("one less", [_change(r["below"]) for r in rows], right=True),
                Column("one more", [_change(r["above"]) for r in rows], right=True),
            ]
        ),
    ]


def _change(value: float | None) -> str:
    return "-" if value is None else percent(value)


def _limits(rows: list[Document]) -> list[Any]:
    """Prices of the limits that bind, and what others are once they do."""
    prices = [r for r in rows if r["kind"] == PRICE]
    binding = [r for r in prices if r["binding"]]
    parts: list[Any] = [heading("Limits that bind, and what more of them is worth")]
    if not binding:
        parts.append(Text("none"))
    for row in binding:
        parts.append(Text(_worth(row)))
    slack = [f"{r['rule']} ({percent(r['margin'])})" for r in prices if not r["binding"]]
    return [*parts, note(f"with room to spare: {', '.join(slack)}")] if slack else parts


def _worth(row: Document) -> str:
    """A price in words."""
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    head = f"{row['rule']}, {in_unit(row['limit'], row['unit'])}{unit}"
    if not row["elasticity"]:
        return f"{head}: more of it is worth nothing"
    spent = f", spent on {row['via']}" if row["via"] not in ("", row["path"]) else ""
    return f"{head}: +1{unit} is worth {percent(row['per_unit'])} {row['metric']}{spent}"


def _source_table(metric: str, rows: list[Document], limit: int) -> list[Any]:
    listed = [r for r in rows if r["score"] > 0.0][: limit or None]
    return [
        heading(f"{metric}: inputs by elasticity x weakness of their source"),
        table(
            [
                Column("leaf", [r["path"] for r in listed], fold=True),
                Column("elast.", [digits(r["elasticity"] or 0.0, 2) for r in listed], right=True),
                Column("off by", [percent(r["weakness"]) for r in listed], right=True),
                Column("moves it", [percent(r["score"]) for r in listed], right=True),
                Column("confidence", [r["confidence"] for r in listed]),
                Column("source", [cut(r["source"] or "default", 18) for r in listed]),
            ]
        ),
    ]
