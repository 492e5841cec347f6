"""Predictions against measurements: as JSON, CSV, Markdown, and tables with the worst rows."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.text import Text

from dse.evidence.agreement import GROUPS, Statistics, grouped, orderings, sets, statistics
from dse.evidence.breakdown import told
from dse.evidence.breakdown import worst as worst_of
from dse.evidence.validate import Outcome, Validation
from dse.report.figures import digits
from dse.report.scatter import Mark, scatter
from dse.report.terminal import Column, fitting, heading, note, table, width

BEGIN = "<!-- errors: written by `dse validate --markdown` -->"
END = "<!-- end of errors -->"
"""Lines of specs/measured/README.md between which the table of errors stands."""

_HIDDEN = ("id", "source", "system", "model", "software", "metric", "value", "notes", "confidence",
           "latency_us", "ttft_s", "tpot_s", "output_tokens_per_s")  # fmt: skip
"""Cells that are not shown with the worst rows: they stand elsewhere or say too much."""

_SIGNS = {"train": "t", "serve": "s", "gemm": "g", "attention": "a", "collective": "c"}
_FIRST = "f"
_RATIOS = (0.2, 5.0)
_IDS = 3


def validation_document(validation: Validation) -> dict[str, Any]:
    """Every outcome, those without a prediction, and the errors; values SI, errors shares."""
    return {
        "rows": [_row(o) for o in validation.outcomes if o.predicted is not None],
        "unpredicted": [
            {"id": o.row.id, "reason": o.reason, "metric": o.metric, "counted": not o.lacking}
            for o in validation.unpredicted
        ],
        "worst": [_broken(o) for o in validation.outcomes if o.breakdown is not None],
        "summary": summary(validation),
    }


def _broken(outcome: Outcome) -> dict[str, Any]:
    """One of the worst outcomes: shares of its predicted time by operator group and by bound."""
    made = outcome.breakdown
    shares = {} if made is None else {"operators": made.operators, "bounds": made.bounds}
    return _row(outcome) | shares


def _row(outcome: Outcome) -> dict[str, Any]:
    row = outcome.row
    return {
        "id": row.id,
        "system": row.system,
        "model": row.model,
        "software": row.software,
        "metric": outcome.metric,
        "measured": outcome.measured,
        "predicted": outcome.predicted,
        "difference": outcome.difference,
        "table": row.table,
        "phase": outcome.phase,
        "stack": outcome.stack,
        "apart": outcome.apart,
    }


def summary(validation: Validation) -> dict[str, Any]:
    """Errors of all, by set and by group, the order of systems, the stack of each software."""
    counted = validation.counted
    mixed = [outcome for outcome in counted if not outcome.apart]
    return {
        "all": _figures(statistics(counted)),
        "sets": _each(sets(counted)),
        **{name: _each(grouped(_of_group(name, counted, mixed), key))
           for name, key in GROUPS.items()},
        "ordering": {
            name: {"pairs": each.pairs, "right": each.right, "share": each.share}
            for name, each in orderings(counted).items()
        },
        "stacks": dict(validation.stacks),
    }  # fmt: skip


def _of_group(name: str, counted: list[Outcome], mixed: list[Outcome]) -> list[Outcome]:
    """Outcomes for a grouping: those that are apart only where a metric's name tells them."""
    return counted if name == "metric" else mixed


def _figures(of: Statistics) -> dict[str, float]:
    return attrs.asdict(of) | {"coverage": of.coverage}


def _each(groups: Mapping[str, Statistics]) -> dict[str, dict[str, float]]:
    return {name: _figures(each) for name, each in groups.items()}


def validation_csv(validation: Validation) -> str:
    """Every outcome as a line of CSV, what is not predicted with the reason."""
    stream = io.StringIO()
    head = [*_row(validation.outcomes[0]), "reason", "source"] if validation.outcomes else ["id"]
    writer = csv.DictWriter(stream, head, lineterminator="\n")
    writer.writeheader()
    for outcome in validation.outcomes:
        values = _row(outcome) | {"reason": outcome.reason, "source": outcome.row.source}
        writer.writerow({key: _cell(value) for key, value in values.items()})
    return stream.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)


def validation_view(validation: Validation, worst: int) -> list[Any]:
    """Errors by set and group, the order of systems, the worst rows, what is not predicted."""
    counted = validation.counted
    mixed = [outcome for outcome in counted if not outcome.apart]
    parts = [heading("errors"), *_table("set", sets(counted))]
    for name, key in GROUPS.items():
        groups = grouped(_of_group(name, counted, mixed), key)
        if len(groups) > 1:
            parts += [heading(f"by {name}"), *_table(name, groups)]
    parts.append(
        note("in cache, below 20 us, time to first token: apart, in no other table than metric's")
    )
    parts += _order(validation)
    parts += _stacks(validation)
    parts += _drawn(counted)
    parts += _worst(counted, worst)
    parts += _left(validation)
    return parts


def _table(name: str, groups: Mapping[str, Statistics]) -> list[Any]:
    each = list(groups.values())
    columns = [
        Column(name, list(groups)),
        Column("rows", [f"{s.rows:,}" for s in each], right=True),
        *(
            Column(title, [share(getattr(s, field)) for s in each], right=True)
            for title, field in _SHARES.items()
        ),
    ]
    return list(fitting(columns))


_SHARES = {
    "mean %": "mape",
    "median %": "median",
    "p90 %": "p90",
    "bias %": "bias",
    "covered %": "coverage",
}
"""Columns of the tables of errors."""


def share(value: float) -> str:
    """A share in per cent to one decimal; a dash for what is no number."""
    return f"{100.0 * value:,.1f}" if math.isfinite(value) else "-"


def _order(validation: Validation) -> list[Any]:
    found = orderings(validation.counted)
    if not found["all"].pairs:
        return []
    columns = [
        Column("table", list(found)),
        Column("pairs", [f"{each.pairs:,}" for each in found.values()], right=True),
        Column("right %", [share(each.share) for each in found.values()], right=True),
    ]
    said = "two systems, all else equal, measured more than 10 % apart: the right way round"
    return [heading("order of systems"), table(columns), note(said)]


def _stacks(validation: Validation) -> list[Any]:
    rows: dict[str, int] = defaultdict(int)
    for outcome in validation.outcomes:
        rows[outcome.row.software] += 1
    columns = [
        Column("software", [name or "(not named)" for name in rows]),
        Column("values", [f"{number:,}" for number in rows.values()], right=True),
        Column("stands for it", [validation.stacks[name] for name in rows]),
    ]
    return [heading("software"), table(columns)]


def _drawn(counted: Iterable[Outcome]) -> list[Any]:
    """Predicted over measured time against measured time; a token's where a rate was measured."""
    low, high = _RATIOS
    marks = []
    for outcome in counted:
        timed = outcome.row.table not in ("memory", "power")
        if outcome.predicted is None or not timed or outcome.predicted <= 0.0:
            continue
        rate = "tokens_per_s" in outcome.metric
        ratio = outcome.predicted / outcome.measured
        time = 1.0 / outcome.measured if rate else outcome.measured
        sign = _FIRST if outcome.metric == "ttft_s" else _SIGNS.get(outcome.row.table, "x")
        marks.append(Mark(x=time, y=min(max(1 / ratio if rate else ratio, low), high), sign=sign))
    if not marks:
        return []
    said = "t training, s serving, f time to first token, g GEMM, a attention, c collective"
    text = scatter(marks, "measured s, or s a token", "predicted / measured time")
    return [heading("predicted over measured time"), Text(text), note(said)]


def _worst(counted: Sequence[Outcome], number: int) -> list[Any]:
    """By table, the predictions that are off by most factors, and what they are made of.

    Those that are apart are left out where a table has others.
    """
    parts: list[Any] = []
    for name in dict.fromkeys(outcome.row.table for outcome in counted):
        of_table = [outcome for outcome in counted if outcome.row.table == name]
        found = worst_of([o for o in of_table if not o.apart] or of_table, number)
        if found:
            parts.append(heading(f"worst rows: {name}"))
            parts += [Text(line) for outcome in found for line in _lines(outcome)]
    return parts


def _lines(outcome: Outcome) -> list[str]:
    """One of the worst outcomes: both values, the run, what its predicted time is made of."""
    predicted = outcome.predicted or 0.0
    values = f"measured {digits(outcome.measured)}, predicted {digits(predicted)}"
    lines = [
        f"{outcome.row.id}: {outcome.metric} {values} "
        f"({digits(predicted / outcome.measured, 3)} of it)",
        *_wrapped(cells_text(outcome)),
    ]
    if outcome.breakdown is not None:
        if outcome.breakdown.operators:
            lines += _wrapped(f"time, %: {told(outcome.breakdown.operators)}")
        lines += _wrapped(f"bound by, %: {told(outcome.breakdown.bounds)}")
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        width(),
        initial_indent="    ",
        subsequent_indent="      ",
        break_on_hyphens=False,
    )


def cells_text(outcome: Outcome) -> str:
    """What a row says of its run, in one line."""
    row = outcome.row
    named = [row.system, row.model, row.software]
    cells = [f"{k}={v}" for k, v in row.cells.items() if v.strip() and k not in _HIDDEN]
    return " ".join([part for part in named if part] + cells)


def _left(validation: Validation) -> list[Any]:
    reasons: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for outcome in validation.unpredicted:
        reasons[outcome.reason, outcome.lacking].append(outcome.row.id)
    if not reasons:
        return [heading("unpredicted"), note("none")]
    columns = [
        Column("values", [f"{len(ids):,}" for ids in reasons.values()], right=True),
        Column("counts as", ["-" if lacking else "100 %" for _, lacking in reasons]),
        Column("reason", [reason for reason, _ in reasons], fold=True),
        Column("rows", [_some(ids) for ids in reasons.values()], fold=True),
    ]
    return [heading("unpredicted"), table(columns)]


def _some(ids: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(ids))
    more = f", ... {len(distinct) - _IDS:,} more" if len(distinct) > _IDS else ""
    return ", ".join(distinct[:_IDS]) + more


def validation_markdown(validation: Validation) -> str:
    """The tables of errors by set, system, software and metric, and the order of systems."""
    counted = validation.counted
    mixed = [outcome for outcome in counted if not outcome.apart]
    parts = [_markdown_table("set", sets(counted))]
    for name in ("system", "family", "software", "metric"):
        groups = grouped(_of_group(name, counted, mixed), GROUPS[name])
        parts.append(_markdown_table(name, groups))
    order = ["| order of systems | pairs | right |", "|---|---:|---:|"]
    for name, each in orderings(counted).items():
        order.append(f"| {name} | {each.pairs:,} | {share(each.share)} % |")
    parts.append("\n".join(order))
    return "\n\n".join(parts) + "\n"


def _markdown_table(name: str, groups: Mapping[str, Statistics]) -> str:
    lines = [
        f"| {name} | rows | {' | '.join(_SHARES)} |",
        "|---|---:|" + "---:|" * len(_SHARES),
    ]
    for group, each in groups.items():
        cells = [share(getattr(each, field)) for field in _SHARES.values()]
        lines.append(f"| {group} | {each.rows:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def between_marks(text: str) -> str:
    """What stands between BEGIN and END; ValueError without them."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[start:end].strip() + "\n"


def with_errors(text: str, errors: str) -> str:
    """A text with other errors between its marks; ValueError without them."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:start]}\n\n{errors.strip()}\n\n{text[end:]}"


def around(file: str, errors: str) -> str:
    """The errors, inside what a file has around its marks if there is a file that has them."""
    kept = Path(file).read_text(encoding="utf-8") if Path(file).is_file() else ""
    return with_errors(kept, errors) if BEGIN in kept and END in kept else errors
