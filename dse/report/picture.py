"""A run's front as one standalone SVG: every feasible design, the front, labelled references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dse.errors import Finding, InputError
from dse.report.figures import metric_column, metric_seen, metric_title
from dse.report.svg import Chart, Series, draw

Document = dict[str, Any]


def front_svg(data: Any, document: Document) -> str:
    """The first two objectives of the run `data`, whose front is `document`.

    Raises InputError for a run with a single objective: it has no front to draw.
    """
    problem = data.problem
    goals = list(problem["objectives"])[:2]
    if len(goals) < 2:
        hint = "dse front shows its best design"
        message = f"{problem['study']} has one objective, and a picture of a front takes two"
        raise InputError(Finding(message=message, file=str(data.folder), hint=hint))
    points, references = document["points"], document["references"]
    certificate = document["certificate"]
    evaluated, plural = certificate["evaluated"], len(problem["objectives"]) > 2
    chart = Chart(
        title=problem["study"],
        subtitle=_short(problem["doc"]),
        x=metric_title(goals[0]),
        y=metric_title(goals[1]),
    )
    kept = [r for r in references if r["feasible"]]
    broken = [r for r in references if not r["feasible"]]
    front = _places(points, goals)
    return draw(
        chart,
        [
            Series(
                kind="cloud", points=_cloud(data, goals), name=f"feasible of {evaluated:,} designs"
            ),
            *([] if plural else [Series(kind="steps", points=front)]),
            Series(kind="dots", points=front, name=f"front, {len(points):,} designs"),
            _named(kept, goals, "dots", "reference"),
            _named(broken, goals, "rings", "reference that breaks a rule"),
        ],
    )


def _short(text: str, room: int = 118) -> str:
    return text if len(text) <= room else text[: room - 1].rstrip(" ,;:(") + "…"


def _named(rows: Sequence[Document], goals: Sequence[str], kind: str, name: str) -> Series:
    return Series(
        kind=kind,
        points=_places(rows, goals),
        labels=[row["name"] for row in rows],
        name=name if rows else "",
        colour=1,
    )


def _places(rows: Sequence[Document], goals: Sequence[str]) -> list[tuple[float, ...]]:
    return [tuple(_number(goal, row["metrics"].get(goal)) for goal in goals) for row in rows]


def _number(goal: str, value: float | None) -> float:
    seen = metric_seen(goal, value)
    return float("nan") if seen is None else seen


def _cloud(data: Any, goals: Sequence[str]) -> list[tuple[float, ...]]:
    feasible = data.feasible
    columns = [metric_column(goal, data.metrics[goal][feasible]) for goal in goals]
    return list(zip(*(column.tolist() for column in columns), strict=True))
