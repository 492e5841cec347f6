"""`studies/README.md`, rendered from its template and the results files.

The template (jinja2) says the prose; all numbers in it are figures of results files. Sentences that
are true of today's results alone stand in `holds`, which refuses them once they are not.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dse.errors import CheckFailed, Finding, InputError, UsageError
from dse.report.answers import read_results
from dse.report.answers_words import FILTERS, FUNCTIONS
from dse.report.comparison import BEGIN, END

Document = Mapping[str, Any]

TEMPLATE = "README.md.jinja"
RESULTS = "results"

LARGEST = 200_000
"""Bytes that a picture may have."""

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
    """The studies of which a template has a section, in its order; QUESTIONS if it asks them."""
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
