"""Text for a terminal: tables and headings by rich, plain in a pipe and under NO_COLOR.

Everything is rendered to a string first, so that where it goes is the caller's business.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import attrs
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 80
GAP = 2


_CHOSEN: ContextVar[int] = ContextVar("columns", default=0)


@contextmanager
def columns_of(number: int) -> Iterator[None]:
    """Text rendered inside is that wide, whatever the terminal."""
    token = _CHOSEN.set(number)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def width() -> int:
    """Columns to write for: those chosen, of the terminal, of COLUMNS, or 80."""
    if chosen := _CHOSEN.get():
        return chosen
    return max(shutil.get_terminal_size((PIPE_WIDTH, 24)).columns, 40)


def plain_output() -> bool:
    """Whether stdout takes no colours: NO_COLOR, a pipe, or a dumb terminal."""
    dumb = os.environ.get("TERM") == "dumb"
    return bool(os.environ.get("NO_COLOR")) or dumb or not sys.stdout.isatty()


def rendered(*parts: Any, plain: bool = False) -> str:
    """Tables, headings and texts as one string that ends in a newline."""
    bare = plain or plain_output()
    console = Console(
        file=io.StringIO(),
        width=width(),
        force_terminal=not bare,
        color_system=None if bare else "standard",
        no_color=bare,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def heading(text: str) -> Text:
    """A line that opens a part of the output."""
    return Text(f"\n{text}", style="bold")


def note(text: str) -> Text:
    """A line beside the data."""
    return Text(text, style="dim")


@attrs.frozen
class Column:
    """One column as text; numbers stand right, a column that may `fold` takes what is left.

    `styles` colours cells where they are not empty.
    """

    header: str
    cells: Sequence[str]
    right: bool = False
    fold: bool = False
    styles: Sequence[str] = ()

    @property
    def width(self) -> int:
        """Characters of the widest line."""
        lines = [line for text in (self.header, *self.cells) for line in text.split("\n")]
        return max((len(line) for line in lines), default=0)


def cut(text: str, room: int) -> str:
    """A text in one line of at most `room` characters; what is cut off shows as three dots."""
    return text if len(text) <= room else text[: max(room - 3, 0)].rstrip(" ,;:(") + "..."


def table(columns: Sequence[Column]) -> Table:
    """One table of equally long columns, however wide."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)
    # folded cells are read from their first line, headers of several lines from their last
    vertical: Literal["top", "bottom"] = "top" if any(c.fold for c in columns) else "bottom"
    for column in columns:
        made.add_column(
            column.header,
            justify="right" if column.right else "left",
            no_wrap=not column.fold,
            overflow="fold",
            vertical=vertical,
            min_width=None if column.fold else min(column.width, width()),
        )
    for index in range(len(columns[0].cells)):
        made.add_row(*(_cell(column, index) for column in columns))
    return made


def _cell(column: Column, index: int) -> Text:
    style = column.styles[index] if column.styles else ""
    return Text(column.cells[index], style=style)


def fitting(columns: Sequence[Column], keys: int = 1) -> list[Table]:
    """As few tables as the width allows; each begins with the first `keys` columns."""
    head, groups = list(columns[:keys]), [[]]  # type: tuple[list[Column], list[list[Column]]]
    room = width() - sum(column.width + GAP for column in head)
    left = room
    for column in columns[keys:]:
        need = column.width + GAP
        if need > left and groups[-1]:
            groups.append([])
            left = room
        groups[-1].append(column)
        left -= need
    return [table([*head, *group]) for group in groups]
