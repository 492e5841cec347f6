"""What the template of `studies/README.md` asks of results: figures as prose says them, sentences
that hold, and which row of a results file is meant.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dse.errors import CheckFailed
from dse.report import answers_tables as tables
from dse.report.answers import FIRST
from dse.report.figures import digits, metric_number, metric_unit, percent
from dse.report.front import short_names
from dse.report.references import change_text

Document = Mapping[str, Any]

LINE = 100
"""Characters of a line of prose."""


def holds(condition: object, text: str = "", caller: Callable[[], str] | None = None) -> str:
    """A sentence that is true as long as a condition is; CheckFailed names it when it is not."""
    said = caller() if caller else text
    if not condition:
        raise CheckFailed(f"no longer true: {said.strip()}")
    return said


def explained(results: Document, text: str) -> str:
    """What a section says of bounds; CheckFailed for a bound of the front that it does not name."""
    names = short_names([parameter["path"] for parameter in results["parameters"]])
    missing = [
        f"{bound['path']} ({bound['end']}, {bound['level']})"
        for bound in results["bounds"]
        if not re.search(rf"`[^`\n]*\b{re.escape(names[bound['path']])}\b[^`\n]*`", text)
    ]
    if missing:
        told = ", ".join(missing)
        raise CheckFailed(f"{results['study']}: the front sits on a bound not explained: {told}")
    return text


def more(value: float, other: float, number: int = 2) -> str:
    """By what share a value is above another; CheckFailed where it is not."""
    if not value > other:
        raise CheckFailed(f"{digits(value)} is not above {digits(other)}")
    return f"{digits(100.0 * (value / other - 1.0), number)} %"


def less(value: float, other: float, number: int = 2) -> str:
    """By what share a value is below another; CheckFailed where it is not."""
    if not value < other:
        raise CheckFailed(f"{digits(value)} is not below {digits(other)}")
    return f"{digits(100.0 * (1.0 - value / other), number)} %"


def times(value: float, other: float = 1.0, number: int = 2) -> str:
    """A ratio in words: 2.1 times."""
    return f"{digits(value / other, number)} times"


def _named(rows: Sequence[Document], name: str) -> Document:
    found = next((row for row in rows if row["name"] == name), None)
    if found is None:
        raise LookupError(f"{name!r} is none of {', '.join(row['name'] for row in rows)}")
    return found


def reference(results: Document, name: str) -> Document:
    """A reference of a study, or of a variation."""
    return _named(results["references"], name)


def compared(results: Document, name: str = FIRST) -> Document:
    """A system's figures at all precisions and price bases; default: the front's first design."""
    return _named(results["compare"]["rows"], name)


def best(results: Document, goal: str) -> Document:
    """The design of a study's front that is best in an objective."""
    sign = 1.0 if results["objectives"][goal] == "max" else -1.0
    return max(results["points"], key=lambda point: sign * float(point["metrics"][goal]))


def knee(results: Document) -> Document:
    """The design where a front bends most, its first one where it does not bend."""
    return next((p for p in results["points"] if p.get("knee")), results["points"][0])


def beaten(results: Document, name: str) -> Document:
    """What beats a reference by the margin of the results."""
    return _named(results["beating"], name)


def advantage(
    questions: Document, one: str, other: str, task: tuple[str, str], first: str, second: str
) -> Document:
    """What one system gives for a dollar over another under (model, workload), at their prices."""
    asked = (one, other, *task, [first, second])
    names = ("one", "other", "model", "workload", "bases")
    found = [c for c in questions["claims"] if tuple(c[name] for name in names) == asked]
    if not found or found[0]["advantage"] is None:
        raise LookupError(f"no advantage of {asked}")
    told: Document = found[0]["advantage"]
    return told


def level(results: Document, path: str, value: object) -> Document:
    """What a level of a parameter is worth; `value` as the file of the study has it.

    A value that the parameter may have, and has where it is not free, is worth the better of both.
    """
    parameter, rows = _parameter(results, path), results["levels"][path]
    goal, sense = next(iter(results["objectives"].items()))
    sign = 1.0 if sense == "max" else -1.0
    known = zip([*parameter["levels"], *parameter["values"]], [*rows, *rows], strict=True)
    found = [row for level, row in known if level == value]
    if not found:
        raise LookupError(f"{path} has no level {value}: {', '.join(parameter['levels'])}")
    worst = -float("inf")
    best = [worst if row["best"][goal] is None else sign * row["best"][goal] for row in found]
    made: Document = found[best.index(max(best))]
    return made


def shown(results: Document, path: str, value: object) -> str:
    """A parameter's value with its unit."""
    return _shown(_parameter(results, path), value)


def _parameter(results: Document, path: str) -> Document:
    return next(p for p in results["parameters"] if p["path"] == path)


def _shown(parameter: Document, value: object) -> str:
    return str(parameter["levels"][parameter["values"].index(value)])


def spread(results: Document, path: str, of: Document | None = None) -> str:
    """The values of a parameter on a front: 10 to 14 of numbers, all of names.

    `of` is a variation, whose own front is meant.
    """
    parameter = _parameter(results, path)
    listed = [_shown(parameter, value) for value in (of or results)["spread"][path]]
    numeric = all(isinstance(value, (int, float)) for value in parameter["values"])
    if len(listed) < 2 or not numeric:
        return _listed(listed)
    return _ranged(listed[0], listed[-1])


SELDOM = 0.05
"""A level that is best in fewer samples is not named."""


def chosen(results: Document, path: str, of: Document | None = None) -> str:
    """The levels of a parameter that are best in samples: 10 to 14 of numbers, in ninety of a
    hundred; of names those that are not best SELDOM, with their shares. `of` is a variation."""
    parameter, rows = _parameter(results, path), (of or results)["levels"][path]
    values = parameter["values"]
    numeric = all(isinstance(value, (int, float)) for value in values)
    # a level that conditions give stands last, whatever its value
    order = (
        sorted(range(len(rows)), key=lambda place: values[place]) if numeric else range(len(rows))
    )
    found = [(rows[i]["level"], rows[i]["best_share"]) for i in order if "over" in rows[i]]
    if not numeric:
        often = [(level, share) for level, share in found if share >= SELDOM]
        often.sort(key=lambda pair: -pair[1])
        return _listed([f"{level} ({percent(share)})" for level, share in often])
    sums = list(itertools.accumulate(share for _, share in found))
    ends = [
        next(level for (level, _), sum_ in zip(found, sums, strict=True) if sum_ >= part)
        for part in (SELDOM, 1.0 - SELDOM)
    ]
    return _ranged(*ends) if ends[0] != ends[1] else ends[0]


def about(value: float, band: Document) -> str:
    """A share, and between which nine of ten samples have it."""
    ends = (f"{100.0 * band[key]:.0f}" for key in ("p5", "p95"))
    return f"{percent(value)} ({' to '.join(ends)})"


def within(band: Document, number: int = 2) -> str:
    """Between which ratios nine of ten samples lie."""
    return f"{digits(band['p5'], number)} to {digits(band['p95'], number)}"


def crossed(results: Document, *held: tuple[str, str]) -> Document:
    """What levels of parameters that are told of together are worth: pairs of path and level."""
    rows = tables.crossed(results, *(path for path, _ in held))
    return next(row for row in rows if row["levels"] == [level for _, level in held])


def best_with(results: Document, path: str, level: str, beside: str) -> Document:
    """Of parameters that are told of together the row with a level of the first that is best."""
    goal, sense = next(iter(results["objectives"].items()))
    sign = 1.0 if sense == "max" else -1.0
    rows = [row for row in tables.crossed(results, path, beside) if row["levels"][0] == level]
    found = [row for row in rows if row["best"][goal] is not None]
    if not found:
        raise LookupError(f"no design with {path} {level} is feasible")
    return max(found, key=lambda row: sign * float(row["best"][goal]))


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _ranged(low: str, high: str) -> str:
    """From one value to another, with their unit once where it is the same."""
    number, _, unit = low.partition(" ")
    return f"{number if unit and high.endswith(f' {unit}') else low} to {high}"


def metric(value: float, name: str, number: int = 4) -> str:
    """A metric as files hold it, with the unit in which people see it."""
    seen = float(metric_number(name, value).replace(",", ""))
    unit = metric_unit(name)
    # what is counted stands in the name: tokens per joule
    return " ".join(filter(None, [digits(seen, number), "" if unit.startswith("1/") else unit]))


def band(row: Document, name: str, number: int = 3) -> str:
    """Between which figures nine of ten samples of a design or a reference lie."""
    ends = row["robust"]["bands"][name]
    return " to ".join(metric(ends[key], name, number) for key in ("p5", "p95"))


def filled(text: str) -> str:
    """Prose in lines of LINE characters; lists hang, blocks of code and tables stay."""
    blocks = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n\n".join("\n".join(_filled(block)) for block in blocks)


def _filled(block: str) -> Iterator[str]:
    if block.lstrip().startswith(("```", "|", "<", "!")):
        yield block
        return
    items = [" ".join(item.split()) for item in re.split(r"\n(?=\s*- )", block)]
    for place, words in enumerate(items):
        listed = words.startswith("- ")
        if listed and place == 1 and not items[0].startswith("- "):
            yield ""
        # code, and a number with its sign, stay in one line
        kept = re.sub(r"`[^`]*`|\d %", lambda found: found.group().replace(" ", "\0"), words)
        hang = "  " if listed else ""
        made = textwrap.wrap(
            kept, LINE, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False
        )
        yield from (line.replace("\0", " ") for line in made)


WORDS = {"usd": "dollar", "mtok": "million tokens", "mw": "megawatt", "mwh": "megawatt-hour"}
"""Parts of names of metrics as prose says them."""


def words(name: str) -> str:
    """A metric's name in words."""
    return " ".join(WORDS.get(part, part) for part in name.split("_"))


FILTERS: dict[str, Callable[..., str]] = {
    "digits": lambda value, number=3: digits(value, number),
    "thousands": lambda value: f"{value:,.0f}",
    "percent": lambda share: percent(share),
    "times": times,
    "millions": lambda value, number=3: f"{digits(value / 1e6, number)} million",
    "usd": lambda value, number=3: f"{digits(value, number)} USD",
    "metric": metric,
    "words": words,
    "filled": filled,
}
"""Figures as prose says them."""

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "holds": holds,
    "explained": explained,
    "more": more,
    "less": less,
    "reference": reference,
    "compared": compared,
    "best": best,
    "knee": knee,
    "band": band,
    "beaten": beaten,
    "level": level,
    "shown": shown,
    "change": change_text,
    "about": about,
    "chosen": chosen,
    "within": within,
    "crossed": crossed,
    "best_with": best_with,
    "crossed_text": tables.crossed_text,
    "spread": spread,
    "front_text": tables.front_text,
    "levels_text": tables.levels_text,
    "compare_text": tables.compare_text,
    "variations_text": tables.variations_text,
    "beating_text": tables.beating_text,
    "robust_text": tables.robust_text,
    "leaning_text": tables.leaning_text,
    "claims_text": tables.claims_text,
    "standing_text": tables.standing_text,
    "bandwidth_text": tables.bandwidth_text,
    "advantage": advantage,
}
"""What a template asks of results."""
