"""A study's answer as data: what `studies/results/NAME.json` holds, and how it is written.

Everything that the text of `studies/README.md` says in numbers is taken from these files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from dse.errors import Finding, InputError
from dse.report.front import shortened
from dse.report.leaning import METRIC, leaning
from dse.report.robust import add_robustness
from dse.search.beating import beating
from dse.search.choice import Choice, Searched
from dse.search.footing import footing
from dse.search.front import to_maximise
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.result import front_document, written
from dse.search.subspace import Subspace, gap
from dse.search.worth import best_by_level, bounds

Document = dict[str, Any]
Say = Callable[[str], object]

MARGIN = 1.3
"""What beats a reference has so much more of every objective."""

SAMPLED = 60
"""Designs of a front that are sampled, spread over it."""

KEPT = 12
"""Designs of a front that a results file holds, spread over it."""

CROSSED = (("scale_up.topology", "chip.scale_up.link"), ("scale_up.topology", "chips"))
"""Parameters that are also told of together, where a study searches both."""

EFFORT = 2
"""Designs that are evaluated for what levels are worth, at most, over the budget of the run."""

VARIED = (("chip.memory.stacks",),)
"""Parameters whose levels are told of in variations too, with VARIED_EFFORT in place of EFFORT."""

VARIED_EFFORT = 0.5

FIRST = "the front's first"
"""What the front's first design is called beside systems."""

DIGITS = 6
"""Significant digits of a figure in a results file."""

PLAIN = ("design", "cheapest", "held", "parameters", "spread", "value", "from", "to")
"""What keeps all its digits: values by which designs are found again."""

NEAR = 0.1
"""Margins below this are told: what binds, or nearly does."""

SHORT = (*("tokens_per_s_per_chip", "usd_per_chip_hour", "chip_power_w", "chip_cost_usd"),)
"""Metrics beside the objectives that are told of designs beside the front's own."""

MOST_WHOLE = 1e15
"""A number below it that is whole is written as one."""

LINE = 100
"""Characters of a line of a results file."""

DESCRIBED = (
    *("study", "doc", "version", "system", "price_basis", "software", "facility", "workloads"),
    *("objectives", "operate", "constraints", "space", "parameters"),
)
"""What is taken from a run's description as it is."""


@attrs.frozen(kw_only=True)
class Found:
    """Runs that answer a study: its own, those of its variations by name, a swept part."""

    problem: StudyProblem
    data: RunData
    variations: Mapping[str, Searched] = attrs.field(factory=dict)
    part: tuple[Subspace, RunData] | None = None


def answer_document(
    found: Found, *, samples: int, seed: int = 0, say: Say = lambda _: None
) -> Document:
    """The results file of a study whose front has a design; `say` is told what is done next.

    Beside description, front and references: `spread` and `bounds` say where the front lies in its
    space, `levels` and `crossed` what levels are worth alone and together, `announced` what the
    system that is varied has over the best designs, `beating` what beats each reference by MARGIN,
    `exact` what the search missed of a swept part, `compare` the references and the front's first
    design at other price bases and precisions, `sensitivity` what the knee leans on, `robust` what
    is uncertain, `variations` what else would hold.
    """
    problem, data = found.problem, found.data
    front = shortened(data.problem, front_document(data), SAMPLED)
    points = front["points"]
    made: Document = {key: data.problem[key] for key in DESCRIBED if key in data.problem}
    say(f"{problem.name}: the front in samples ...")
    add_robustness(problem, front, number=samples, seed=seed, uncertain="both")
    part = found.part
    shown = shortened(data.problem, front, KEPT)
    made |= {name: shown[name] for name in ("certificate", "spread")}
    made["points"] = [*map(_tight, shown["points"])]
    basis, goals = problem.study.price_basis, problem.objectives
    made["references"] = [_again(each, basis, goals) for each in shown["references"]]
    made["bounds"] = bounds(data, problem.parameters)
    choice = Choice(samples, seed)
    say(f"{problem.name}: what levels are worth ...")
    every = [*((parameter.path,) for parameter in problem.parameters), *CROSSED]
    made |= _levels((problem, data), every, EFFORT, choice)
    made["beating"] = [_beaten(each, goals) for each in beating(problem, data, MARGIN)]
    made["exact"] = gap(problem, data, *part) if part else None
    made["compare"] = _compared(problem, points)
    made["sensitivity"] = _sensitivity(problem, points)
    made["robust"] = shown.get("robust")
    own = {goal: _best(points, goal, data) for goal in goals}
    made["announced"] = _announced((problem, data), own, choice)
    made["variations"] = {}
    for name, each in found.variations.items():
        say(f"{problem.name}@{name} in samples ...")
        told = variation_document(problem.study.variations[name], points, goals, *each)
        made["variations"][name] = told | _varied((problem, data), own, each, choice)
    return made


def _levels(
    searched: Searched, groups: Sequence[tuple[str, ...]], effort: float, choice: Choice
) -> Document:
    """`levels` by path, and `crossed` of several: what they are worth, and in how many samples.

    `effort` is how many designs are evaluated for it, at most, over the budget of the run.
    """
    problem, data = searched
    paths = {parameter.path for parameter in problem.parameters}
    there = [group for group in groups if paths.issuperset(group)]
    worth = best_by_level(problem, data, int(effort * data.settings["budget"]), there)
    told = choice.levels(searched, worth)
    alone, crossed = {}, []
    for group, rows, sure in zip(worth.groups, worth.rows, told, strict=True):
        table = [row | (each or {}) for row, each in zip(rows, sure, strict=True)]
        if len(group) > 1:
            crossed.append({"paths": group, "rows": table})
        else:
            alone[group[0]] = [{"level": row.pop("levels")[0], **row} for row in table]
    return {"levels": alone, "crossed": crossed}


def _announced(
    searched: Searched, best: Mapping[str, Document | None], choice: Choice
) -> Document | None:
    """By objective, percentiles of what the system that a study varies has over the best design.

    None where it is no reference.
    """
    problem, data = searched
    rows = data.problem["references"]
    own = next((row for row in rows if row["name"] == problem.study.system.name), None)
    if own is None:
        return None
    pairs = best.items()
    return {g: choice.over(g, (searched, own), (searched, point)) for g, point in pairs if point}


def _varied(
    searched: Searched, own: Mapping[str, Document | None], found: Searched, choice: Choice
) -> Document:
    """By objective, percentiles of what the best design of a variation has `over` the study's;
    `announced`, what the system that is varied has over that best; and `levels` of VARIED."""
    _, data = found
    points = front_document(data)["points"]
    best = {goal: _best(points, goal, data) for goal in own}
    pairs = {goal: (best[goal], own[goal]) for goal in own}
    return {
        "over": {
            goal: choice.over(goal, (found, new), (searched, old))
            for goal, (new, old) in pairs.items()
            if new and old
        },
        "announced": _announced(found, best, choice),
        "levels": _levels(found, VARIED, VARIED_EFFORT, choice)["levels"],
    }


def _tight(point: Document) -> Document:
    """A design without the margins that are wide."""
    near = {rule: margin for rule, margin in point["margins"].items() if margin < NEAR}
    return {**point, "margins": near}


def _again(reference: Document, basis: str, goals: Sequence[str]) -> Document:
    """A reference; one that is paid at another price basis than the study's, in short."""
    told = _tight(reference)
    if reference["price_basis"] == basis:
        return told
    return {**told, "metrics": _short(reference["metrics"], goals)}


def _short(metrics: Mapping[str, float], goals: Sequence[str]) -> Mapping[str, float]:
    """The objectives and SHORT."""
    return {name: metrics[name] for name in (*goals, *SHORT) if name in metrics}


def _beaten(told: Document, goals: Sequence[str]) -> Document:
    """What beats a reference, in short, and the design whose chip costs least of all that do."""
    least = {name: _short(point["metrics"], goals) for name, point in told["least"].items()}
    design = told["least"]["chip_cost_usd"]["design"] if least else None
    return {**told, "least": least, "cheapest": design}


def _sensitivity(problem: StudyProblem, points: Sequence[Document]) -> Document:
    knee = next((point for point in points if point.get("knee")), points[0])
    return {"metric": METRIC, "rank": knee["rank"], "rows": leaning(problem, knee)}


def _compared(problem: StudyProblem, points: Sequence[Document]) -> Document:
    """Each reference once, whatever it is paid at, and the front's first design."""
    rows = {_plain(each.name): each for each in problem.references}
    rows[FIRST] = problem.bound(problem.levels_of(points[0]["design"]))
    return footing(problem, rows)


def _plain(name: str) -> str:
    """A reference's name without the price basis that it is paid at."""
    return name.partition(" (")[0]


def variation_document(
    doc: str,
    points: Sequence[Document],
    goals: Sequence[str],
    problem: StudyProblem,
    data: RunData,
) -> Document:
    """What a variation changes: by objective the best design of its own front, and what the best
    of `points` (of the study's front) attains in it; and the references, at its price basis."""
    front = front_document(data)
    own = {goal: _best(front["points"], goal, data) for goal in goals}
    before = {goal: _best(points, goal, data) for goal in goals}
    return {
        "doc": doc,
        "price_basis": data.problem["price_basis"],
        "certificate": {
            key: front["certificate"][key] for key in ("evaluated", "feasible", "front", "hash")
        },
        "spread": front["spread"],
        "best": {
            goal: {"design": point["design"], "metrics": _short(point["metrics"], goals)}
            for goal, point in own.items()
            if point
        },
        "base": {g: _rejudged(problem, data, point) for g, point in before.items() if point},
        "references": [
            {
                **{key: each[key] for key in ("name", "distance", "violated")},
                # which changes help the system that the study varies
                **(
                    {"steps": each.get("steps")}
                    if each["name"] == problem.study.system.name
                    else {}
                ),
                "metrics": {goal: each["metrics"][goal] for goal in goals},
            }
            for each in front["references"]
            if each["name"] == _plain(each["name"])
        ],
    }


def _best(points: Sequence[Document], goal: str, data: RunData) -> Document | None:
    """The point that is best in an objective; None where there is none."""
    if not points:
        return None
    sense = data.problem["objectives"][goal]
    values = np.array([[float(point["metrics"][goal])] for point in points])
    return points[int(np.argmax(to_maximise(values, (sense,))[:, 0]))]


def _rejudged(problem: StudyProblem, data: RunData, point: Document) -> Document | None:
    """A design of the study as its variation judges it; None where its space has no such design."""
    try:
        levels = problem.levels_of(point["design"])
    except (KeyError, ValueError):
        return None
    found = problem.evaluate(np.array([levels], np.int64))
    broken = [r for r, margin in zip(problem.rules, found.margins[0], strict=True) if margin < 0.0]
    metrics = {name: values[0] for name, values in found.metrics.items()}
    told = _short(written(data.problem, metrics), problem.objectives)
    return {"rank": point["rank"], "metrics": told, "violated": broken}


def rounded(data: Any, *, plain: bool = False) -> Any:
    """Figures to DIGITS, what is PLAIN with all its own; what is not finite becomes None."""
    if isinstance(data, dict):
        return {k: rounded(v, plain=plain or k in PLAIN) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [rounded(value, plain=plain) for value in data]
    if not isinstance(data, (float, np.floating)):
        return data
    if not math.isfinite(data):
        return None
    number = float(data if plain else f"{data:.{DIGITS}g}")
    return int(number) if number.is_integer() and abs(number) < MOST_WHOLE else number


def results_text(data: Any, indent: int = 0) -> str:
    """JSON whose lines are filled; what does not fit into one is indented below its name."""
    flat = json.dumps(data, allow_nan=False, default=_number)
    if not isinstance(data, (dict, list)) or not data or len(flat) + indent <= LINE:
        return flat
    named = isinstance(data, dict)
    pairs = data.items() if isinstance(data, dict) else (("", value) for value in data)
    lines: list[str] = []
    for name, value in pairs:
        text = f"{json.dumps(name)}: " if named else ""
        text += results_text(value, indent + 1)
        joins = lines and "\n" not in lines[-1] + text
        if joins and indent + len(lines[-1]) + len(text) < LINE - 2:
            lines[-1] += f", {text}"
        else:
            lines.append(text)
    pad, ends = " " * (indent + 1), "{}" if named else "[]"
    joined = f",\n{pad}".join(lines)
    return f"{ends[0]}\n{pad}{joined}\n{' ' * indent}{ends[1]}"


def _number(value: Any) -> Any:
    """A number of numpy as a plain one."""
    return value.item()


def write_results(document: Document, folder: Path) -> Path:
    """Writes a study's results file."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{document['study']}.json"
    place.write_text(results_text(rounded(document)) + "\n", encoding="utf-8")
    return place


def read_results(folder: Path) -> dict[str, Document]:
    """All results files of a folder by study; InputError for one that cannot be read."""
    made = {}
    for place in sorted(folder.glob("*.json")):
        try:
            made[place.stem] = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            hint = "write it anew with `python -m dse.cli.answers`"
            raise InputError(Finding(message=str(error), file=str(place), hint=hint)) from None
    return made
