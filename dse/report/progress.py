"""How a search stands, on stderr: a live bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from dse.report.figures import digits

INTERVAL = 5.0
"""Seconds between two lines where there is no terminal."""


class Reporter(Protocol):
    """Takes each batch's progress."""

    def update(self, progress: Any) -> None: ...


def summary(progress: Any) -> str:
    """One line: designs, speed, feasible share, front, hypervolume, time left."""
    return (
        f"{progress.evaluated:,}/{progress.budget:,} designs, "
        f"{digits(progress.designs_per_s, 3)}/s, "
        f"{100 * progress.feasible_share:.0f} % feasible, "
        f"front {progress.front_size}, hypervolume {progress.hypervolume:.3f}, "
        f"{duration(progress.seconds_left)} left"
    )


def duration(seconds: float) -> str:
    """Seconds as 12 s, 3:04 or 1:02:03; what lasts longer than a week in days or years."""
    if seconds > 365.25 * 86400.0:
        return f"{digits(seconds / (365.25 * 86400.0), 3)} years"
    if seconds > 7 * 86400.0:
        return f"{seconds / 86400.0:.0f} days"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """A line at the first batch, every INTERVAL seconds and at the last one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last = -INTERVAL

    def update(self, progress: Any) -> None:
        """Writes a line if it is time."""
        now = time.monotonic()
        if now - self.last >= INTERVAL or progress.evaluated >= progress.budget:
            self.last = now
            print(f"{self.name}: {summary(progress)}", file=sys.stderr, flush=True)


class Bar:
    """A bar and, below it, how the search stands."""

    def __init__(self, bar: Any, detail: Any, name: str) -> None:
        self.bar = bar
        self.detail = detail
        self.task = bar.add_task(name, total=None)

    def update(self, progress: Any) -> None:
        """Moves the bar."""
        self.bar.update(self.task, total=progress.budget, completed=progress.evaluated)
        self.detail.plain = summary(progress)


@contextmanager
def reporting(name: str) -> Iterator[Reporter]:
    """The reporter of one search, by what stderr is."""
    if not _live():
        yield Lines(name)
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.text import Text

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    bar = Progress(*columns, console=console)
    detail = Text("preparing: the first designs wait for compiled programs")
    with Live(Group(bar, detail), console=console, transient=True, refresh_per_second=8):
        yield Bar(bar, detail, name)


@contextmanager
def counting(name: str, total: int) -> Iterator[Callable[[int], object]]:
    """Takes how many of so many are done: a bar on a terminal, else a line every few seconds."""
    if not _live():
        start, last = time.monotonic(), [time.monotonic()]

        def line(done: int) -> None:
            now = time.monotonic()
            if now - last[0] >= INTERVAL:
                last[0] = now
                left = duration((now - start) / done * (total - done))
                print(f"{name}: {done:,}/{total:,}, {left} left", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    said = TextColumn("{task.description}", markup=False)
    columns = (said, BarColumn(), MofNCompleteColumn(), Left())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.update(task, completed=done)


def _live() -> bool:
    """Whether stderr is a terminal that a bar may be drawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
