"""Optuna's journal in a run's folder: many records with one synchronisation, repaired on opening.

Optuna writes and synchronises one record at a time, about 100 in a second. Here the records of a
batch of trials are kept back and written as one. This module imports Optuna: import it lazily.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial

PATIENCE = 1.0
"""Seconds after which a lock beside the journal is that of a dead process. A lock lasts for one
write, and whoever writes for a run holds the run's folder."""


class Journal(BaseJournalBackend):
    """The journal file at `path`, in Optuna's own format and with Optuna's own lock."""

    def __init__(self, path: Path) -> None:
        _cut(path)
        _unlock(path.with_name(f"{path.name}.lock"))
        self._file = JournalFileBackend(str(path))
        self._kept: list[dict[str, Any]] | None = None
        self._read = 0

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The records from that number on; of those kept back, what was not read before."""
        if self._kept is None:
            yield from self._file.read_logs(log_number_from)
            return
        start, self._read = self._read, len(self._kept)
        yield from self._kept[start:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes the records, or keeps them until `add` ends."""
        if self._kept is None:
            self._file.append_logs(logs)
        else:
            self._kept += logs

    def size(self, study: Study) -> int:
        """How many trials the study has."""
        return len(study.get_trials(deepcopy=False))

    def add(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        """Adds trials to a study of this journal; what was added is written, come what may."""
        self._kept, self._read = [], 0
        try:
            study.add_trials(trials)
        finally:
            kept, self._kept = self._kept, None
            if kept:
                self._file.append_logs(kept)


def _cut(path: Path) -> None:
    """Cuts off a torn last line: every later reader would stumble over it."""
    with suppress(FileNotFoundError), path.open("r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        kept = end
        while kept > 0:
            start = max(0, kept - 65536)
            stream.seek(start)
            found = stream.read(kept - start).rfind(b"\n")
            if found >= 0:
                kept = start + found + 1
                break
            kept = start
        if kept != end:
            stream.truncate(kept)


def _unlock(lock: Path) -> None:
    """Removes the lock that a killed process left; Optuna would wait half a minute for it."""
    deadline = time.monotonic() + PATIENCE
    while lock.is_symlink():
        if time.monotonic() > deadline:
            lock.unlink(missing_ok=True)
        time.sleep(0.02)
