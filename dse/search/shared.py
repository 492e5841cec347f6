"""One study searched by many processes: its log lies in PostgreSQL, and each fills its own from it.

A generation follows from the log before it, so every process proposes the same designs. They are
cut into slices. Who holds the advisory lock of a slice evaluates it and commits it as one row;
the lock ends with its connection, so a dead process leaves nothing behind and another takes over.
A row is written once and never changed. Each process copies the rows, in order, into the log of
its folder, and reports them from there. This module imports psycopg: import it lazily.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

import attrs
import numpy as np
import psycopg

from dse.errors import Finding, RunError
from dse.search.counts import Counts
from dse.search.log import Batch
from dse.search.propose import Proposer
from dse.search.storage import SAFE, database, parsed, shown, translated

SLICES = 8
"""Into how many slices a generation is cut: more than processes, so that none waits for long."""

POLL = 0.05
"""Seconds between two looks at slices that others work on."""

TABLES = """
create table if not exists dse_runs (study text primary key, settings text not null);
create table if not exists dse_batches (
    study text, number integer, line text not null, primary key (study, number)
)
"""

WATCHED = {"tcp_keepalives_idle": 20, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
"""The server notices within 35 s that a machine is gone, and frees the locks of its processes."""


class Search(Protocol):
    """What a shared study asks of the search that works on it."""

    batches: int
    counts: Counts
    budget: int

    @property
    def proposer(self) -> Proposer: ...

    def evaluate(
        self, number: int, generation: int, parents: tuple[int, ...], levels: np.ndarray
    ) -> Batch: ...


@attrs.frozen(kw_only=True, eq=False)
class _Slice:
    """Designs [n, p] that are one line of the log; `start` is the index of the first there."""

    number: int
    generation: int
    start: int
    parents: tuple[int, ...]
    levels: np.ndarray


class SharedStudy:
    """A connection to the study called `name`; a context, at whose end all claims are given up.

    Raises RunError where the database cannot be reached, or when the connection is lost.
    """

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._place = shown(url)
        plain = parsed(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with self._reached():
            self._connection = psycopg.connect(plain, autocommit=True, connect_timeout=10)
        self._generation = -1
        self._slices: list[_Slice] = []
        self._last: Batch | None = None
        try:
            self._prepare(url)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def _prepare(self, url: str) -> None:
        """Makes the tables, ours and Optuna's, where there are none; one process at a time."""
        for setting, value in WATCHED.items():
            self._ask("select set_config(%s, %s, false)", setting, str(value))
        with self._held("tables", wait=True, study=""), self._reached(), translated(self._place):
            self._connection.execute(TABLES)
            with database(url):
                pass

    def beginning(
        self, create: Callable[[], Mapping[str, Any]], budget: int
    ) -> Callable[[], dict[str, Any]]:
        """What a folder's run begins with: what the first process gave to all, but for the budget.

        `create` gives it if we are the first.
        """

        def begin() -> dict[str, Any]:
            find = "select settings from dse_runs where study = %s"
            if not self._ask(find, self.name):
                text = json.dumps(create(), allow_nan=False)
                insert = "insert into dse_runs values (%s, %s) on conflict do nothing"
                self._ask(insert, self.name, text)
            return json.loads(self._ask(find, self.name)[0][0]) | {"budget": budget}

        return begin

    def reached(self, batch: Batch) -> None:
        """The folder's log has come to this batch."""
        self._last = batch

    def check(self) -> None:
        """Raises RunError unless the common log holds the last batch of the folder's."""
        last = self._last
        if last is not None and self._line(last.number) != last.encode().decode():
            message = f"batch {last.number} of this folder's log is not in the common study"
            hint = "another -o DIR begins from what the database holds"
            raise RunError(Finding(message=message, file=self._place, hint=hint))

    def next(self, search: Search) -> Batch:
        """The batch that follows the search's log, ours or another's; works until it is there."""
        while (line := self._line(search.batches)) is None:
            if not self._work(search):
                time.sleep(POLL)
        return Batch.decode(json.loads(line))

    @contextmanager
    def turn(self, wait: bool) -> Iterator[bool]:
        """The turn to write to Optuna's tables; whether it is ours."""
        with self._held("mirror", wait=wait) as ours:
            yield ours

    def _work(self, search: Search) -> bool:
        """Evaluates and commits the first slice that nobody works on; whether there was one."""
        done = self._committed(search.batches)
        for each in self._cut(search):
            if each.number in done or each.start >= search.budget:
                continue
            with self._held(str(each.number)) as ours:
                # it may have been committed between our look and our lock
                if ours and self._line(each.number) is None:
                    self._commit(
                        search.evaluate(each.number, each.generation, each.parents, each.levels)
                    )
                    return True
        return False

    def _cut(self, search: Search) -> list[_Slice]:
        """The slices of the generation in which the search's log ends."""
        proposer = search.proposer
        generation = proposer.generation_of(search.counts.evaluated)
        if generation != self._generation:
            length = _length(proposer.size(generation))
            number = sum(_slices(proposer.size(each)) for each in range(generation))
            start = proposer.start(generation)
            logged = search.counts.evaluated - start
            proposal = proposer.propose(generation)
            end = logged + len(proposal.levels)
            self._slices = [
                _Slice(
                    number=number + begin // length,
                    generation=generation,
                    start=start + begin,
                    parents=proposal.parents,
                    levels=proposal.levels[begin - logged : begin - logged + length],
                )
                for begin in range(logged, end, length)
            ]
            self._generation = generation
        return self._slices

    def _line(self, number: int) -> str | None:
        find = "select line from dse_batches where study = %s and number = %s"
        rows = self._ask(find, self.name, number)
        return rows[0][0] if rows else None

    def _committed(self, first: int) -> set[int]:
        find = "select number from dse_batches where study = %s and number >= %s"
        return {row[0] for row in self._ask(find, self.name, first)}

    def _commit(self, batch: Batch) -> None:
        """The row, unless somebody took us for dead and was faster."""
        insert = "insert into dse_batches values (%s, %s, %s) on conflict do nothing"
        self._ask(insert, self.name, batch.number, batch.encode().decode())

    @contextmanager
    def _held(self, what: str, *, wait: bool = False, study: str | None = None) -> Iterator[bool]:
        """The advisory lock of a thing of this study; whether it is ours."""
        name = f"dse\n{self.name if study is None else study}\n{what}"
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        if wait:
            self._ask("select pg_advisory_lock(%s)", key)
            ours = True
        else:
            ours = bool(self._ask("select pg_try_advisory_lock(%s)", key)[0][0])
        try:
            yield ours
        finally:
            if ours and not self._connection.broken:
                self._ask("select pg_advisory_unlock(%s)", key)

    def _ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._reached():
            cursor = self._connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            message = f"the common study cannot be reached: {reason}"
            raise RunError(Finding(message=message, file=self._place, hint=SAFE)) from error


def _length(size: int) -> int:
    """Designs of a slice of a generation of that size."""
    return -(-size // SLICES)


def _slices(size: int) -> int:
    return -(-size // _length(size))
