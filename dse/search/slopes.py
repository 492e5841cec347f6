"""What a study's figures do when one number of a design moves: exact, over the mix of workloads.

A leaf of the system, its software or facility moves in all workloads at once; one of a model or a
workload moves in that alone, and is called by the label of its workload where there are several.
Mappings are held, as is the time in which a prompt's cache moves between two systems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from dse.model.breakdown import operate
from dse.model.disaggregation import Side
from dse.model.pytree import lower, stack
from dse.model.sensitivity import AT, Number, Point, Slopes, slopes
from dse.search.problem import StudyProblem
from dse.search.works import Work, mixture, transfers, works
from dse.spec.system import System

STEP = 1e-6
"""Part of a slope by which the metrics of each workload are moved to see what the mix gains: its
sums and quotients are exact to ten digits in float64."""

OWN = ("model", "workload")
"""Leaves of these are of one workload alone."""

Chosen = Callable[[str, Number], bool]
"""Whether a leaf of a name is asked for."""


@attrs.frozen(kw_only=True, eq=False)
class Leaves:
    """Leaves of one design by name, and the study's figures with their slopes to each, [n]."""

    numbers: Mapping[str, Number]
    slopes: Slopes


@attrs.frozen(eq=False)
class _Done:
    """One part of the study: rows of slopes, and which of them each design and leaf has."""

    slopes: Slopes
    rows: list[Mapping[str, int]]
    useful: np.ndarray


def design_slopes(
    problem: StudyProblem,
    systems: Sequence[System],
    points: Sequence[Mapping[str, Any]],
    chosen: Chosen,
) -> list[Leaves]:
    """Slopes of all metrics and margins of designs at the mappings of their points.

    To the leaves that are `chosen`, none of which is zero.
    """
    parts = works(problem)
    asked = [_points(work, systems) for work in parts]
    named = [_named(parts, [each[i] for each in asked], chosen) for i in range(len(systems))]
    done = [
        _done(work, own, systems, points, [names[place] for names in named])
        for place, (work, own) in enumerate(zip(parts, asked, strict=True))
    ]
    moved = transfers(parts, systems, points)
    return list(_mixed(problem, done, named, moved))


def _points(work: Work, systems: Sequence[System]) -> list[Point]:
    """Each design, or what decodes for it, under one part of the study."""
    if work.other is not None:
        return [Point(work.other, work.question)] * len(systems)
    return [Point(system, work.question) for system in systems]


def _named(
    parts: Sequence[Work], points: Sequence[Point], chosen: Chosen
) -> list[dict[str, Number]]:
    """The chosen leaves of one design by name, in each part those that move there."""
    made: list[dict[str, Number]] = []
    for work, point in zip(parts, points, strict=True):
        named = {_name(work, n, alone=len(parts) == 1): n for n in point.numbers.values()}
        kept = {name: n for name, n in named.items() if n.value != 0.0 and chosen(name, n)}
        # of another system nothing moves with the design
        moves = {name: n for name, n in kept.items() if not (work.other and n.of_system)}
        made.append(moves)
    return made


def _name(work: Work, number: Number, *, alone: bool) -> str:
    own = number.path.partition(".")[0] in OWN and not alone
    return f"{number.path}@{work.label}" if own else number.path


def _done(
    work: Work,
    asked: Sequence[Point],
    systems: Sequence[System],
    points: Sequence[Mapping[str, Any]],
    named: Sequence[Mapping[str, Number]],
) -> _Done:
    """All rows of one part: for each design itself, then its leaves."""
    rows: list[tuple[Point, Number | None, float]] = []
    owners: list[int] = []
    places: list[Mapping[str, int]] = []
    for owner, (point, names) in enumerate(zip(asked, named, strict=True)):
        start = len(rows)
        rows += [(point, None, AT), *((point, number, AT) for number in names.values())]
        owners += [owner] * (1 + len(names))
        places.append({"": start, **{name: start + 1 + i for i, name in enumerate(names)}})
    found = slopes(rows, work.rows(points)[owners])
    useful = _useful(work, systems, points) if work.side else np.zeros(len(systems))
    return _Done(found, places, useful)


def _useful(
    work: Work, systems: Sequence[System], points: Sequence[Mapping[str, Any]]
) -> np.ndarray:
    """Useful FLOP of a token [n], which no number of a design changes."""
    done_by = [work.other or system for system in systems]
    stacked = stack([lower(system) for system in done_by])
    question = work.question
    phase = question.workload.phase
    found = operate(stacked, question.setting, phase, work.rows(points), work.batch(points))
    return np.asarray(found.operation.useful_flops / found.metrics["tokens_per_s"], np.float64)


def _mixed(
    problem: StudyProblem,
    done: Sequence[_Done],
    named: Sequence[Sequence[Mapping[str, Number]]],
    moved: Mapping[int, np.ndarray],
) -> Iterator[Leaves]:
    """The study's figures and slopes of each design, from those of all parts."""
    union = [{k: n for part in reversed(parts) for k, n in part.items()} for parts in named]
    owners = np.repeat(np.arange(len(union)), [len(names) for names in union])
    places = [_rows(each, union) for each in done]
    late = {task: seconds[owners] for task, seconds in moved.items()}

    def figures(step: float) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
        sides = [_side(each, rows, owners, step) for each, rows in zip(done, places, strict=True)]
        with np.errstate(all="ignore"):
            made = mixture(problem, sides, late)
        return made.metrics, made.margins

    at, below, above = figures(0.0), figures(-STEP), figures(STEP)
    with np.errstate(all="ignore"):
        gained = [
            {name: (high[name] - low[name]) / (2.0 * STEP) for name in high}
            for low, high in zip(below, above, strict=True)
        ]
    ends = np.cumsum([0, *(len(names) for names in union)])
    for names, start, end in zip(union, ends[:-1], ends[1:], strict=True):
        part = slice(start, end)
        tables = [{name: v[part] for name, v in table.items()} for table in (*at, *gained)]
        yield Leaves(
            numbers=names,
            slopes=Slopes(
                metrics=tables[0],
                margins=tables[1],
                metric_slopes=tables[2],
                margin_slopes=tables[3],
            ),
        )


def _rows(done: _Done, union: Sequence[Mapping[str, Number]]) -> np.ndarray:
    """The row of one part for each leaf of each design; of what does not move there, its own."""
    rows = zip(done.rows, union, strict=True)
    return np.array([own.get(name, own[""]) for own, names in rows for name in names], int)


def _side(done: _Done, rows: np.ndarray, owners: np.ndarray, step: float) -> Side:
    """One part's figures, moved along their slopes."""
    found = done.slopes

    def moved(values: Mapping[str, np.ndarray], along: Mapping[str, np.ndarray]) -> Any:
        return {name: v[rows] + step * along[name][rows] for name, v in values.items()}

    with np.errstate(all="ignore"):
        metrics = moved(found.metrics, found.metric_slopes)
        margins = moved(found.margins, found.margin_slopes)
        return Side(metrics, margins, done.useful[owners] * metrics["tokens_per_s"])
