"""A run's front: designs and references in one table, a scatter of both, CSV."""

from __future__ import annotations

import csv
import io
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.text import Text

from dse.errors import Finding, RunError
from dse.report.evaluation import precision_text
from dse.report.figures import (
    in_unit,
    metric_number,
    metric_seen,
    metric_title,
    metric_unit,
    percent,
)
from dse.report.references import reference_view
from dse.report.scatter import Mark, scatter
from dse.report.terminal import GAP, Column, fitting, heading, note, width
from dse.search.front import thinned, to_maximise
from dse.search.result import nearest_point, violations
from dse.spec.metrics import EVERY

Document = dict[str, Any]


DESCRIBED = ("study", "doc", "price_basis", "space", "parameters", "objectives", "references")
"""What the description of a run's problem must hold."""


def check_described(data: Any) -> None:
    """Raises RunError if the run was not written by `dse run` of a study."""
    missing = [key for key in DESCRIBED if key not in data.problem]
    if missing:
        raise RunError(
            Finding(
                message=f"the run does not say its {', '.join(missing)}",
                file=str(data.folder / "run.json"),
                hint="restore it, or start over with --fresh",
            )
        )


def shortened(problem: Mapping[str, Any], document: Document, limit: int | None) -> Document:
    """The document with at most `limit` points that stand for the whole front; None keeps all."""
    points, goals = document["points"], problem["objectives"]
    if limit is None or len(points) <= limit:
        return document
    rows = np.array([[point["metrics"][name] for name in goals] for point in points], float)
    kept = thinned(to_maximise(rows, tuple(goals.values())), limit)
    return {**document, "points": [points[index] for index in kept]}


def front_view(problem: Mapping[str, Any], document: Document, limit: int | None) -> list[Any]:
    """Table, scatter, references and certificate of one run."""
    shown = shortened(problem, document, limit)
    letters = _letters(document["references"])
    parts: list[Any] = [*_head(problem), *_tables(problem, shown, letters)]
    left_out = document["certificate"]["front"] - len(shown["points"])
    if left_out:
        parts.append(note(f"{left_out:,} more on the front are like these: --all shows them"))
    parts += _common(problem, document)
    parts += _plot(problem, document, letters)
    parts += _references(problem, document, letters)
    return [*parts, Text(""), note(certificate_text(document["certificate"]))]


def _letters(references: Sequence[Document]) -> list[str]:
    """The sign of each reference."""
    return [string.ascii_uppercase[i % 26] for i in range(len(references))]


def _head(problem: Mapping[str, Any]) -> list[Any]:
    basis = f"price basis {problem['price_basis']}, {problem.get('facility', '')}"
    parts: list[Any] = [
        Text(f"{problem['study']}: {problem['doc']}", style="bold"),
        note(f"{basis}, software {problem.get('software', '')}"),
    ]
    for task in problem.get("workloads", ()):
        precision = precision_text(task["precision"])
        parts.append(note(f"{task['model']}, {task['workload']}: {precision}"))
    return [*parts, Text("")]


def _tables(problem: Mapping[str, Any], shown: Document, letters: list[str]) -> list[Any]:
    """One table, with the references' names where the width allows, their letters elsewhere."""
    points, references = shown["points"], shown["references"]
    goals = [_goal(name, points, references) for name in problem["objectives"]]
    varying = [_parameter(p, points, references) for p in _varying(problem, points)]
    numbers = [str(i + 1) for i in range(len(points))]
    named = Column("#", [*numbers, *(f"{a} {r['name']}" for a, r in _zip(letters, references))])
    short = Column("#", [*numbers, *letters])
    state = Column(
        "",
        [*[""] * len(points), *(_state(r) for r in references)],
        styles=[*[""] * len(points), *("" if r["feasible"] else "red" for r in references)],
    )
    columns = [*goals, state, *varying] if any(state.cells) else [*goals, *varying]
    if problem.get("operate") == EVERY:
        columns += _operation(points, references)
    key = named if sum(c.width + GAP for c in (named, *columns)) <= width() else short
    made: list[Any] = []
    for table in fitting([key, *columns]):
        made += [table, Text("")]
    return made[:-1]


def _operation(points: Sequence[Document], references: Sequence[Document]) -> list[Column]:
    """What tells operating points of one design apart: degrees that vary, and the batch."""
    rows = [next(iter(row["mapping"].values())) for row in (*points, *references)]
    names = dict.fromkeys(name for row in rows for name in row)
    shown = [name for name in names if len({row.get(name) for row in rows[: len(points)]}) > 1]
    return [Column(n, [f"{row.get(n, 1):,}" for row in rows], right=True) for n in shown]


def _zip(letters: list[str], references: Sequence[Document]) -> list[tuple[str, Document]]:
    return list(zip(letters, references, strict=True))


def _state(reference: Document) -> str:
    return "" if reference["feasible"] else "infeasible"


def _goal(name: str, points: Sequence[Document], references: Sequence[Document]) -> Column:
    rows = [*points, *references]
    unit = metric_unit(name)
    header = name.replace("_", " ").replace(" per ", "\nper ")
    header = header if unit in ("", "1/USD", "1/J", "1/s") else f"{header}\n{unit}"
    cells = [metric_number(name, row["metrics"].get(name)) for row in rows]
    return Column(header, cells, right=True)


def _varying(problem: Mapping[str, Any], points: Sequence[Document]) -> list[Mapping[str, Any]]:
    """Parameters that take more than one value among the points."""
    found = []
    for parameter in problem["parameters"]:
        if len({point["design"][parameter["path"]] for point in points}) > 1:
            found.append(parameter)
    names = short_names([p["path"] for p in problem["parameters"]])
    return [{**parameter, "short": names[parameter["path"]]} for parameter in found]


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Each path's last part, with as many before it as tell it from all others."""
    names = {}
    for path in paths:
        parts = path.split(".")
        for number in range(1, len(parts) + 1):
            tail = ".".join(parts[-number:])
            if sum(other == tail or other.endswith("." + tail) for other in paths) == 1:
                break
        names[path] = tail
    return names


def _parameter(
    parameter: Mapping[str, Any], points: Sequence[Document], references: Sequence[Document]
) -> Column:
    path, unit = parameter["path"], parameter["unit"]
    numeric = all(isinstance(value, (int, float)) for value in parameter["values"])
    shown_unit = unit if numeric and unit not in ("", "1") else ""
    header = parameter["short"].replace(".", "\n") + (f"\n{shown_unit}" if shown_unit else "")
    cells = [_level(parameter, point["design"]) for point in points]
    beside = [
        _level(parameter, r.get("design", {})) if path in r.get("design", {}) else "·"
        for r in references
    ]
    return Column(header, [*cells, *beside], right=numeric)


def _level(parameter: Mapping[str, Any], design: Mapping[str, Any]) -> str:
    value, unit = design[parameter["path"]], parameter["unit"]
    if isinstance(value, (int, float)):
        return in_unit(value, unit)
    return str(value)


def _common(problem: Mapping[str, Any], document: Document) -> list[Any]:
    """What all designs of the front share."""
    same = []
    for parameter in problem["parameters"]:
        path, values = parameter["path"], document["spread"][parameter["path"]]
        if len(values) == 1:
            place = parameter["values"].index(values[0])
            same.append(f"{path} = {parameter['levels'][place]}")
    return [Text(""), Text("All designs on the front: " + ", ".join(same))] if same else []


def _plot(problem: Mapping[str, Any], document: Document, letters: list[str]) -> list[Any]:
    names = list(problem["objectives"])[:2]
    rows = [(p, "o") for p in document["points"]]
    rows += [(r, letter) for letter, r in _zip(letters, document["references"])]
    if len(names) < 2 or not rows:
        return []
    marks = [_mark(row["metrics"], names, sign) for row, sign in rows]
    titles = [metric_title(name) for name in names]
    text = scatter([m for m in marks if m is not None], *titles, columns=min(width(), 100) - 1)
    more = (
        f"; the first two of {len(problem['objectives'])} objectives"
        if len(problem["objectives"]) > 2
        else ""
    )
    return [heading(f"o designs on the front, letters references{more}"), Text(text)]


def _mark(metrics: Mapping[str, Any], names: Sequence[str], sign: str) -> Mark | None:
    x, y = (metric_seen(name, metrics.get(name)) for name in names)
    return None if x is None or y is None else Mark(x=x, y=y, sign=sign)


def _references(problem: Mapping[str, Any], document: Document, letters: list[str]) -> list[Any]:
    references = document["references"]
    bends = [p["id"] for p in document["points"] if p.get("knee")]
    parts: list[Any] = [Text("")] if references or bends else []
    parts += [note(f"The front bends most at design {bend} of the log.") for bend in bends]
    for letter, reference in _zip(letters, references):
        parts += reference_view(problem, letter, reference)
    return parts


def certificate_text(certificate: Mapping[str, Any]) -> str:
    """How much of the space the front rests on."""
    space, evaluated = certificate["space"], certificate["evaluated"]
    pruned = certificate["pruned"]
    decided = certificate["distinct"] + sum(pruned.values())
    part = "all" if decided >= space else percent(decided / space)
    pairs = certificate.get("pairs")
    points = f" at {pairs:,} operating points" if pairs else ""
    rules = ", ".join(f"{number:,} by {rule}" for rule, number in pruned.items())
    before = f"{sum(pruned.values()):,} pruned before ({rules}), " if pruned else ""
    return (
        f"{evaluated:,} designs evaluated{points}, {certificate['distinct']:,} distinct, "
        f"{before}{part} of {space:,}; method {certificate.get('method', '-')}, "
        f"seed {certificate.get('seed', '-')}, hash {certificate['hash']}"
    )


def unmet(data: Any) -> str:
    """Why a run has no feasible design: the rules that fail most, and the nearest design."""
    name, number = data.problem["study"], data.counts.decided
    if not number:
        return f"{name}: nothing was evaluated yet"
    broken = list(violations(data).items())[:5]
    rules = [f"  {rule}: broken by {count:,} of {number:,}" for rule, count in broken]
    near = nearest_point(data)
    design = ", ".join(f"{path}={_value(data, path, v)}" for path, v in near["design"].items())
    failing = [f"{rule} ({percent(m)})" for rule, m in near["margins"].items() if m < 0.0]
    return "\n".join(
        [
            f"{name}: none of {number:,} designs keeps all rules",
            *rules,
            f"  the nearest breaks {', '.join(failing)}: {design}",
            f"  dse explain {data.folder} nearest: what it would take to be feasible",
        ]
    )


def _value(data: Any, path: str, value: Any) -> str:
    parameter = next(p for p in data.problem["parameters"] if p["path"] == path)
    return str(parameter["levels"][parameter["values"].index(value)])


def front_csv(document: Document) -> str:
    """Points, then references, one row each: name, design, mapping, metrics, margins."""
    rows = [_flat({"name": ""} | point) for point in document["points"]]
    rows += [_flat(reference) for reference in document["references"]]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _flat(row: Document) -> dict[str, Any]:
    flat: dict[str, Any] = {"name": row["name"]}
    flat["feasible"] = all(margin >= 0.0 for margin in row["margins"].values())
    flat |= row.get("design", {})
    for workload, mapping in row["mapping"].items():
        flat |= {f"mapping.{workload}.{name}": value for name, value in mapping.items()}
    flat |= row["metrics"]
    return flat | {f"margin.{name}": value for name, value in row["margins"].items()}
