"""One point of a run explained: beside a reference, part by part, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dse.errors import UsageError, nearest
from dse.report.detail import point_documents, system_of
from dse.report.figures import digits, in_unit, mapping_text, metric_number, metric_unit, percent
from dse.report.formulas import formulas_view
from dse.report.spec import shown
from dse.report.terminal import Column, heading, note, table
from dse.report.trees import time_table, tree_view
from dse.search.approach import repairs
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.result import front_document, nearest_point
from dse.spec.fields import Leaf
from dse.spec.space import leaf_at
from dse.spec.system import System

Document = dict[str, Any]

KNEE, NEAREST = "knee", "nearest"
"""Words for the point where a front bends most, and for the design that violates least."""

SHOWN = 12
"""Elasticities that a table shows."""


def explained(
    data: RunData, problem: StudyProblem, point: str, against: str, *, formulas: bool = False
) -> Document:
    """A point in full, and the one that it is compared with: the JSON of `dse explain`.

    `point` and `against` are a rank on the front, the name of a reference, `knee` or `nearest`.
    UsageError for what the run does not have.
    """
    front = front_document(data)
    chosen = [_chosen(data, front, point)]
    if against:
        chosen.append(_chosen(data, front, against))
    one, *others = point_documents(problem, chosen, formulas=formulas)
    made = {"study": problem.name, "point": point, **one}
    made["objectives"] = dict(problem.study.objectives)
    made["broken"] = {n: m for n, m in one["margins"].items() if m < 0.0}
    if made["broken"]:
        paid = problem.paying_for(str(one.get("name", "")))
        made["repairs"] = repairs(paid, system_of(problem, chosen[0]))
    made["current"] = data.settings["fingerprint"] == problem.fingerprint
    if others:
        made["against"] = {"point": against, **others[0]}
    return made


def _chosen(data: RunData, front: Document, name: str) -> Mapping[str, Any]:
    """The point or reference of a word."""
    known: dict[str, Mapping[str, Any]] = {r["name"]: r for r in front["references"]}
    known |= {str(point["rank"]): point for point in front["points"]}
    known.update((KNEE, point) for point in front["points"] if point.get("knee"))
    if name == NEAREST and len(data.levels):
        return nearest_point(data)
    if name not in known:
        names = [r["name"] for r in front["references"]]
        number = len(front["points"])
        ranks = f"ranks 1 to {number}" if number else f"no front, only {NEAREST}"
        hint = nearest(name, names) or f"it has {ranks}; references {', '.join(names)}"
        raise UsageError(f"the run has no point {name!r}; {hint}")
    return known[name]


def explain_view(document: Document) -> list[Any]:
    """Tables of one point."""
    other = document.get("against")
    times = sum(row["seconds"] for row in document["breakdown"])
    unit = "ms" if times < 1.0 else "s"
    parts: list[Any] = [Text(_title(document), style="bold")]
    if not document["current"]:
        parts.append(note("the study or the model changed since the run: figures may differ"))
    parts += [note(f"{k}: {mapping_text(m)}") for k, m in document["mapping"].items()]
    parts += [
        *_broken(document),
        *_repairs(document),
        *_design(document, other),
        *_metrics(document, other),
    ]
    parts += [heading("Time of a step"), time_table(document["breakdown"], unit)]
    parts += [heading("Memory of one chip"), _footprint(document)]
    for name in ("power", "cost"):
        parts += tree_view(document[name], other[name] if other else None)
    bound = ", ".join(document["active"]) or "none"
    parts += [heading("Active constraints"), Text(bound), *_prices(document)]
    for metric in document["objectives"]:
        parts += _elasticities(document, metric)
    return parts + (formulas_view(document["formulas"]) if "formulas" in document else [])


def _title(document: Document) -> str:
    name = document.get("name") or f"design {document['id']} of the log"
    rank = f", number {document['rank']} of its front" if "rank" in document else ""
    against = f", against {document['against']['point']}" if "against" in document else ""
    return f"{document['study']}: {name}{rank}{against}"


def _broken(document: Document) -> list[Any]:
    told = [f"{name} ({percent(margin)})" for name, margin in document["broken"].items()]
    return [Text(f"infeasible, breaks {', '.join(told)}", style="red")] if told else []


def _repairs(document: Document) -> list[Any]:
    """The smallest changes that make a design keep all rules, the best first."""
    rows = document.get("repairs", [])
    if not rows:
        return []
    if not rows[0]["feasible"]:
        still = ", ".join(rows[0]["broken"])
        return [
            note(f"no {len(rows[0]['changes'])} changes make it feasible: {still} stays broken")
        ]
    objectives = list(document["objectives"])
    columns = [
        Column("change", ["\n".join(map(_changed, row["changes"])) for row in rows], fold=True)
    ]
    for name in objectives:
        cells = ["-" if (g := row["gain"][name]) is None else percent(g) for row in rows]
        columns.append(Column(name, cells, right=True))
    number = len(rows[0]["changes"])
    said = "One change" if number == 1 else f"{number} changes"
    return [heading(f"{said} that would make it feasible, and what becomes of it"), table(columns)]


def _changed(change: Document) -> str:
    path = change["path"]
    return f"{path}: {_plain(path, change['from'])} to {_plain(path, change['to'])}"


def _design(document: Document, other: Document | None) -> list[Any]:
    design = document["design"]
    if not design:
        return []
    columns = [
        Column("parameter", list(design), fold=True),
        Column("value", [_plain(path, value) for path, value in design.items()], right=True),
    ]
    if other:
        cells = [_plain(path, other["design"].get(path, "-")) for path in design]
        columns.append(Column("against", cells, right=True))
    return [heading("Design"), table(columns)]


def _plain(path: str, value: Any) -> str:
    """A value as a file has it."""
    leaf = leaf_at(System, path)
    return shown(leaf, value) if isinstance(leaf, Leaf) and value != "-" else str(value)


def _metrics(document: Document, other: Document | None) -> list[Any]:
    names, values = list(document["metrics"]), document["metrics"]
    columns = [
        Column("metric", names),
        Column("value", [metric_number(n, values[n]) for n in names], right=True),
        Column("unit", [metric_unit(name) for name in names]),
    ]
    if other:
        theirs = other["metrics"]
        cells = [metric_number(n, theirs.get(n)) for n in names]
        ratios = [_ratio(values[n], theirs.get(n)) for n in names]
        columns += [Column("against", cells, right=True), Column("ratio", ratios, right=True)]
    return [heading("Metrics"), table(columns)]


def _ratio(value: float | None, other: float | None) -> str:
    return digits(value / other, 3) if value is not None and other else "-"


def _footprint(document: Document) -> Any:
    rows, room = document["footprint"], document["capacity_bytes"]
    several = len({row["workload"] for row in rows}) > 1
    names = [
        f"{row['workload']}: {row['part']}" if several else row["part"].replace("_", " ")
        for row in rows
    ]
    return table(
        [
            Column("holds", [*names, "usable"]),
            Column("GB", [in_unit(b, "GB") for b in (*(r["bytes"] for r in rows), room)], True),
            Column("share", [*(_share_held(row, room) for row in rows), ""], True),
        ]
    )


def _share_held(row: Document, room: float) -> str:
    """What a part takes of the memory of the chip that holds it."""
    return percent(row["bytes"] / row.get("capacity_bytes", room))


def _prices(document: Document) -> list[Any]:
    """What the limits that bind, or nearly do, are worth."""
    rows = document["prices"]
    if not rows:
        return []
    names = [each["limit"] for each in rows]
    return [
        heading(f"What more of a limit is worth in {rows[0]['metric']}"),
        table(
            [
                Column("limit", names, fold=True),
                Column("left", [percent(each["margin"]) for each in rows], right=True),
                Column(
                    "1 % more", [percent(0.01 * each["elasticity"]) for each in rows], right=True
                ),
                Column("one unit more", [_per_unit(each) for each in rows], right=True),
                Column("spent on", [_via(each) for each in rows], fold=True),
            ]
        ),
        *(
            note(f"{each['limit']} would be worth more if {', '.join(each['held_by'])} gave too")
            for each in rows
            if each["held_by"]
        ),
    ]


def _per_unit(row: Document) -> str:
    return f"{percent(row['per_unit'])}/{row['unit']}"


def _via(row: Document) -> str:
    return " and ".join(each["path"] for each in row["via"]) or (
        "batch" if row["elasticity"] else ""
    )


def _elasticities(document: Document, metric: str) -> list[Any]:
    rows = [row for row in document["elasticities"] if row["metric"] == metric][:SHOWN]
    return [
        heading(f"{metric}: % gained for 1 % of a leaf, mapping held"),
        table(
            [
                Column("leaf", [row["path"] for row in rows], fold=True),
                Column("elasticity", [digits(row["value"], 3) for row in rows], right=True),
            ]
        ),
    ]
