"""`dse bench --search`: how searches compare, as data, tables, Markdown and a plot."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from rich.text import Text

from dse.errors import Finding, InputError
from dse.report.bench import Document
from dse.report.figures import digits
from dse.report.progress import reporting
from dse.report.svg import Chart, Series, draw
from dse.report.terminal import Column, heading, note, table

POINTS = (300, 1_000, 3_000, 10_000)
"""Evaluations at which methods are compared."""

SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds at which they are."""

SWEPT = 2_000_000
"""A space of at most so many designs is swept, so that the truth is known."""

REACHED = 0.95
"""A share of the hypervolume to which seconds are counted."""

BEGIN, END = "<!-- dse bench --search: begin -->", "<!-- dse bench --search: end -->"
"""What stands between these lines of a Markdown file is replaced."""


@attrs.frozen(kw_only=True)
class Asked:
    """What is compared, and where finished runs are kept."""

    study: Any
    methods: Sequence[str]
    seeds: int
    evaluations: int
    folder: Path
    clock: str = "seconds"


def comparison_document(asked: Asked, say: Callable[[str], None]) -> Document:
    """The JSON of `dse bench --search`; runs what the folder lacks. `say` hears of each run."""
    from dse.search import compare
    from dse.search.front import hypervolume
    from dse.search.problem import StudyProblem

    problem = StudyProblem(asked.study)
    todo = compare.trials(asked.methods, asked.seeds, asked.evaluations)
    if problem.size <= SWEPT:
        todo.append(compare.Trial(label="exact", seed=0, budget=problem.size))
    asked.folder.mkdir(parents=True, exist_ok=True)
    if any(not (asked.folder / f"{trial.name}.json").exists() for trial in todo):
        say(f"{asked.study.name}: preparing the programs")
        compare.warm_up(problem)
    courses = {}
    for number, trial in enumerate(todo, 1):
        name = f"{trial.name} ({number} of {len(todo)})"
        with reporting(name) as report:
            courses[trial] = compare.course(problem, trial, asked.folder, report.update)
    exact = next((each for trial, each in courses.items() if trial.method == "exact"), None)
    front = compare.front_of([exact] if exact is not None else [*courses.values()])
    ends = np.stack([front.max(axis=0), front.min(axis=0)])
    volume = hypervolume(front, *ends)
    methods = {
        method: [each for trial, each in courses.items() if trial.label == method]
        for method in asked.methods
    }
    return {
        "study": asked.study.name,
        "space": problem.size,
        "truth": "exact" if exact is not None else "all runs together",
        "front": len(front),
        "hypervolume": volume,
        "seeds": asked.seeds,
        "clock": asked.clock,
        "exact": None if exact is None else _swept(exact, compare.legal_mappings(problem)),
        "machine": _machine(),
        "methods": {
            method: _figures(asked, found, ends, volume) for method, found in methods.items()
        },
    }


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "processors": len(os.sched_getaffinity(0)),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def _swept(exact: Any, mappings: float) -> dict[str, float]:
    seconds, cpu = exact.ended
    return {
        "evaluated": exact.designs,
        "pruned": exact.pruned,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "mappings_per_design": mappings,
        "pairs_per_cpu_second": exact.designs * mappings / cpu,
    }


def _figures(
    asked: Asked, courses: Sequence[Any], ends: np.ndarray, volume: float
) -> dict[str, Any]:
    """Medians and quartiles of the share of the hypervolume, over the seeds."""

    def shares(at: Sequence[float], clock: str) -> list[dict[str, Any]]:
        found = np.stack([each.volumes(at, clock, ends) for each in courses]) / volume
        return [_spread(point, column) for point, column in zip(at, found.T, strict=True)]

    last = max(each.spent for each in courses)
    ended = max(each.ended[asked.clock == "cpu"] for each in courses)
    points = sorted({*(p for p in POINTS if p <= last), int(last)})
    curve = np.unique(np.geomspace(20.0, last, 40).astype(int)).tolist()
    return {
        "at_evaluations": shares(points, "evaluations"),
        "at_seconds": shares(SECONDS, asked.clock),
        "curve": shares(curve, "evaluations"),
        "time_curve": shares(np.geomspace(0.2, max(ended, 0.4), 40).tolist(), asked.clock),
        "seconds_to_95": _to_reach(courses, asked.clock, ends, volume),
        "designs": float(np.median([each.designs for each in courses])),
        "seconds": float(np.median([each.ended[0] for each in courses])),
        "cpu_seconds": float(np.median([each.ended[1] for each in courses])),
    }


def _spread(at: float, values: np.ndarray) -> dict[str, Any]:
    """Quartiles [3] of a point, None where fewer than half of the runs came so far."""
    told = values[np.isfinite(values)]
    enough = 2 * len(told) > len(values)
    low, middle, high = np.quantile(told, [0.25, 0.5, 0.75]).tolist() if enough else [None] * 3
    return {"at": at, "low": low, "median": middle, "high": high}


def _to_reach(courses: Sequence[Any], clock: str, ends: np.ndarray, volume: float) -> float | None:
    """The median time to REACHED of the hypervolume; None if half of the runs never had it."""
    from dse.search.front import hypervolume

    times = []
    for each in courses:
        told = np.unique(getattr(each, clock))
        had = (
            time
            for time in told
            if hypervolume(each.values[getattr(each, clock) <= time], *ends) >= REACHED * volume
        )
        times.append(next(had, np.inf))
    median = float(np.median(times))
    return median if np.isfinite(median) else None


def comparison_view(document: Document) -> list[Any]:
    """Tables for people."""
    truth = "the exact front" if document["exact"] else "the front of all runs together"
    parts: list[Any] = [
        Text(f"{document['study']}: shares of the hypervolume of {truth}", style="bold"),
        note(
            f"medians of {document['seeds']} seeds; {document['space']:,} designs, "
            f"{document['front']} on the front"
        ),
        heading("At equal evaluations"),
        _table(document, "at_evaluations", lambda at: f"{at:,}"),
        heading(f"At equal {_clock(document)}"),
        _table(document, "at_seconds", lambda at: f"{at:g} s"),
    ]
    if document["exact"]:
        parts += [Text(""), note(_sweep_line(document))]
    return parts


def _clock(document: Document) -> str:
    return "wall time" if document["clock"] == "seconds" else "processor time"


def _table(document: Document, key: str, title: Callable[[float], str]) -> Any:
    methods = document["methods"]
    ats = _ats(methods, key)
    columns = [Column("method", list(methods))]
    for at in ats:
        cells = [_cell(figures[key], at) for figures in methods.values()]
        columns.append(Column(title(at), cells, right=True))
    return table(columns)


def _ats(methods: Mapping[str, Any], key: str) -> list[float]:
    """Where some method has a figure."""
    points = [point for figures in methods.values() for point in figures[key]]
    return sorted({point["at"] for point in points if point["median"] is not None})


def _cell(points: Sequence[Mapping[str, Any]], at: float, *, quartiles: bool = False) -> str:
    found = next((point for point in points if point["at"] == at), None)
    if found is None or found["median"] is None:
        return "-"
    median = f"{100.0 * found['median']:.2f} %"
    low, high = (f"{100.0 * found[name]:.1f}" for name in ("low", "high"))
    return f"{median} [{low}, {high}]" if quartiles else median


def _sweep_line(document: Document) -> str:
    exact = document["exact"]
    return (
        f"Exact: {exact['evaluated']:,} designs evaluated and {exact['pruned']:,} pruned in "
        f"{exact['seconds']:.0f} s ({exact['cpu_seconds']:.0f} s of processor time), "
        f"{exact['mappings_per_design']:.0f} legal mappings a design, "
        f"{digits(exact['pairs_per_cpu_second'], 3)} pairs per CPU-second."
    )


def comparison_markdown(document: Document, command: str, plots: Sequence[str] = ()) -> str:
    """The section of a Markdown file, between its markers."""
    machine, methods = document["machine"], document["methods"]
    truth = "the exact front" if document["exact"] else "the front of all runs together"
    lines = [
        BEGIN,
        f"*Command.* `{command}` ({machine['date']}, {machine['processors']} processors, "
        f"{machine['platform']}).",
        "",
        f"Shares of the hypervolume of {truth} of `{document['study']}` ({document['space']:,} "
        f"designs, {document['front']} on the front): median [quartiles] of {document['seeds']} "
        'seeds. Gradients are paid for in evaluations; compilation is apart; "-": the run had '
        "ended.",
        "",
    ]
    for key, title in (("at_evaluations", "{:,}"), ("at_seconds", "{:g} s")):
        ats = _ats(methods, key)
        first = "evaluations" if key == "at_evaluations" else _clock(document)
        lines.append("| " + " | ".join([first, *(title.format(at) for at in ats)]) + " |")
        lines.append("|---|" + "---|" * len(ats))
        for name, figures in methods.items():
            cells = [_cell(figures[key], at, quartiles=True) for at in ats]
            lines.append("| " + " | ".join([name, *cells]) + " |")
        lines.append("")
    lines += [f"![{plot}]({plot})" for plot in plots]
    lines += [""] if plots else []
    lines += [_reach_line(document), *([_sweep_line(document)] if document["exact"] else []), END]
    return "\n".join(lines) + "\n"


def _reach_line(document: Document) -> str:
    told = {name: figures["seconds_to_95"] for name, figures in document["methods"].items()}
    found = [
        f"{name} {'never' if value is None else f'{digits(value, 2)} s'}"
        for name, value in told.items()
    ]
    return f"To {100 * REACHED:.0f} % of the hypervolume, {_clock(document)}: {', '.join(found)}."


def replace_section(place: Path, section: str) -> None:
    """Puts the section where the file has its markers; InputError if it has none."""
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(Finding(message=reason, file=str(place))) from None
    if BEGIN not in text or END not in text.partition(BEGIN)[2]:
        message = "this file has no place for the comparison"
        hint = f"put the lines {BEGIN} and {END} where it goes"
        raise InputError(Finding(message=message, file=str(place), hint=hint))
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2].removeprefix("\n")
    place.write_text(before + section + after, encoding="utf-8")


def comparison_plots(document: Document) -> dict[str, str]:
    """SVG by the end of its name: over evaluations, and over time."""
    labels = {"curve": ("evaluations", "evaluations"), "time_curve": ("time", "")}
    made = {}
    for key, (name, label) in labels.items():
        chart = Chart(
            title=f"{document['study']}: how much of the front, how soon",
            subtitle=f"medians and quartiles of {document['seeds']} seeds",
            x=label or f"{_clock(document)}, s",
            y="share of the hypervolume",
            logarithmic=(True, False),
        )
        methods = document["methods"].items()
        bands = [_band(each, of[key], colour) for colour, (each, of) in enumerate(methods)]
        made[name] = draw(chart, [series for band in bands for series in band])
    return made


def _band(name: str, points: Sequence[Mapping[str, Any]], colour: int) -> list[Series]:
    """The band between the quartiles, and the median in it."""
    known = [point for point in points if point["median"] is not None]
    around = [(point["at"], point["low"], point["high"]) for point in known]
    median = [(point["at"], point["median"]) for point in known]
    return [
        Series(kind="band", points=around, colour=colour),
        Series(kind="line", points=median, name=name if known else "", colour=colour),
    ]
