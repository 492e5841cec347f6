"""`studies/README.md`, rendered from its template and the results files.

The template (jinja2) says the prose; all numbers in it are figures of results files. Sentences that
are true of today's results alone stand in `holds`, which refuses them once they are not.
"""

from __future__ import annotations

import re
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dse.errors import CheckFailed, Finding, InputError, UsageError
from dse.report import answers_tables as tables
from dse.report.answers import FIRST, read_results
from dse.report.comparison import BEGIN, END
from dse.report.figures import digits, metric_number, metric_unit, percent
from dse.report.front import short_names
from dse.report.references import change_text

Document = Mapping[str, Any]

TEMPLATE = "README.md.jinja"
RESULTS = "results"

LARGEST = 200_000
"""Bytes that a picture may have."""

LINE = 100
"""Characters of a line of prose."""

QUESTIONS = "questions"
"""Results that belong to no study: what is asked across them."""

_SECTION = re.compile(r"section\(\s*[\"']([\w.-]+)[\"']")
_NAME = re.compile(r"[A-Za-z].*|\d+[bB]")
"""Words with digits that are names: they begin with a letter, or are the size of a model."""

_NOT_PROSE = re.compile(
    "|".join(
        (
            re.escape(BEGIN) + ".*?" + re.escape(END),
            r"\{#.*?#\}",
            r"\{%.*?%\}",
            r"```.*?```",
            r"`[^`\n]*`",
            r"\]\([^)\n]*\)",
        )
    ),
    re.DOTALL,
)
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TEXT = re.compile(r"\"([^\"]*)\"|'([^']*)'")


def sections(template: Path) -> list[str]:
    """The studies of which a template has a section, in its order; QUESTIONS, if it asks them."""
    source = _source(template)
    across = [QUESTIONS] if f'results["{QUESTIONS}"]' in source else []
    return [*dict.fromkeys(_SECTION.findall(source)), *across]


def _source(template: Path) -> str:
    try:
        return template.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(Finding(message=reason, file=str(template))) from None


def typed_numbers(source: str) -> list[tuple[int, str]]:
    """Numbers that a template's prose types instead of taking them from results: line and word."""
    prose = _NOT_PROSE.sub(lambda found: _lines(found.group()), source)
    prose = _EXPRESSION.sub(lambda found: _spoken(found.group()), prose)
    made = []
    for number, line in enumerate(prose.splitlines(), 1):
        words = re.findall(r"[\w.,/+-]*\d[\w.,/+-]*", line)
        made += [(number, word) for word in words if not _NAME.fullmatch(word.strip(".,/+-"))]
    return made


def _lines(text: str) -> str:
    """As many lines as a text has, empty."""
    return "\n" * text.count("\n")


def _spoken(expression: str) -> str:
    """The texts of several words in an expression, in its lines: they are prose as well."""
    texts = (one or other for one, other in _TEXT.findall(expression))
    said = " ".join(text for text in texts if " " in text.strip())
    return said.replace("\n", " ") + _lines(expression)


def answered(folder: Path) -> str:
    """README.md of a folder with a template and results files.

    CheckFailed for a sentence that no longer holds, for a number typed into the prose, and for a
    front's bound that its section does not explain; InputError for a template at fault; UsageError
    where jinja2 is not installed.
    """
    template = folder / TEMPLATE
    source = _source(template)
    if typed := typed_numbers(source):
        listed = "\n".join(f"{template}:{line}: {word} is typed" for line, word in typed)
        raise CheckFailed(f"{listed}\n  numbers come from results files")
    for picture in folder.glob("*.svg"):
        if (size := picture.stat().st_size) >= LARGEST:
            raise CheckFailed(f"{picture} has {size:,} bytes, {LARGEST:,} or more")
    return rendered_page(source, read_results(folder / RESULTS), template)


def rendered_page(source: str, results: Mapping[str, Document], template: Path) -> str:
    """A template's text with the figures of results; errors as `answered`."""
    try:
        import jinja2
    except ImportError:
        message = "the studies' README takes jinja2, which is not installed"
        raise UsageError(f"{message}: pip install 'dse[studies]'") from None
    world = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    world.filters.update(FILTERS)
    world.globals.update(FUNCTIONS)
    try:
        made = world.from_string(source).render(results=_Results(results))
    except jinja2.TemplateSyntaxError as error:
        _fault(str(error), template, error.lineno)
    except (jinja2.UndefinedError, LookupError, TypeError, ValueError) as error:
        _fault(f"{type(error).__name__}: {error}", template, _line(error))
    except CheckFailed as error:
        raise CheckFailed(f"{template}:{_line(error)}: {error}") from None
    return re.sub(r"\n{3,}", "\n\n", made)


class _Results(dict[str, Document]):
    """Results by study; one that is missing says how to make it."""

    def __missing__(self, name: str) -> Document:
        hint = f"run `python -m dse.cli.answers {name}`"
        raise InputError(Finding(message=f"{name} has no results yet", hint=hint))


def _fault(message: str, template: Path, line: int) -> None:
    raise InputError(Finding(message=message, file=str(template), line=line)) from None


def _line(error: BaseException) -> int:
    """The line of a template in which an error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == "<template>"), 0)


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


def level(results: Document, path: str, value: object) -> Document:
    """What a level of a parameter is worth; `value` as the file of the study has it."""
    parameter, rows = _parameter(results, path), results["levels"][path]
    known = [*parameter["levels"], *parameter["values"]]
    if value not in known:
        raise LookupError(f"{path} has no level {value}: {', '.join(parameter['levels'])}")
    return rows[known.index(value) % len(rows)]


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
        return " and ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))
    low, high = listed[0], listed[-1]
    number, _, unit = low.partition(" ")
    return f"{number if unit and high.endswith(f' {unit}') else low} to {high}"


def metric(value: float, name: str, number: int = 4) -> str:
    """A metric as files hold it, with the unit in which people see it."""
    seen = float(metric_number(name, value).replace(",", ""))
    unit = metric_unit(name)
    # what is counted stands in the name: tokens per joule
    return " ".join(filter(None, [digits(seen, number), "" if unit.startswith("1/") else unit]))


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
    "beaten": beaten,
    "level": level,
    "shown": shown,
    "change": change_text,
    "spread": spread,
    "front_text": tables.front_text,
    "levels_text": tables.levels_text,
    "compare_text": tables.compare_text,
    "variations_text": tables.variations_text,
    "beating_text": tables.beating_text,
    "robust_text": tables.robust_text,
    "leaning_text": tables.leaning_text,
}
"""What a template asks of results."""
