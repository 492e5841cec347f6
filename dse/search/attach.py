"""What a run may be attached to beside its folder: an Optuna study, and a study shared by many.

Optuna and the drivers of databases are imported here only when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from dse.errors import UsageError
from dse.search.folder import held, numbered
from dse.search.log import Batch, RunLog
from dse.search.protocol import Problem

if TYPE_CHECKING:
    from dse.search.shared import SharedStudy


@attrs.frozen(kw_only=True)
class Attachment:
    """The storage of a run's Optuna study: a URL or, without one, a journal in its folder.

    With `mirror` False there is no such study; PostgreSQL still shares the search itself.
    """

    url: str | None = None
    mirror: bool = True

    def own_folder(self, place: Path) -> Path:
        """Of runs that work on one study each needs a folder: `place`, or NAME.2, NAME.3, ..."""
        from dse.search.storage import cooperative

        if not cooperative(self.url):
            return place
        return next(each for each in numbered(place) if not held(each))

    @contextmanager
    def shared(
        self, problem: Problem, method: str, seed: int, *, fresh: bool
    ) -> Iterator[SharedStudy | None]:
        """The study in common with other processes, or None where the URL is not PostgreSQL.

        Raises UsageError for what cannot be shared, RunError where the database is not reached.
        """
        if self.url is None:
            yield None
            return
        from dse.search.storage import cooperative, driver_of, run_name

        if not cooperative(self.url):
            yield None
            return
        if method == "exact":
            raise UsageError("an exact sweep is shared by --cluster, not by --storage")
        if fresh:
            message = "--fresh cannot set aside a study that others share"
            raise UsageError(f"{message}; give another --seed, or name another database")
        driver_of(self.url)
        from dse.search.shared import SharedStudy

        with SharedStudy(self.url, run_name(problem.name, method, seed, problem.fingerprint)) as it:
            yield it

    @contextmanager
    def mirrored(
        self, log: RunLog, problem: Problem, shared: SharedStudy | None
    ) -> Iterator[Callable[[Batch], None]]:
        """A function that adds a logged batch to the Optuna study, which ends complete."""
        if not self.mirror:
            yield lambda batch: None  # noqa: ARG005 (it is not mirrored)
            return
        from dse.search.mirror import mirrored

        turn = None if shared is None else shared.turn
        with mirrored(
            log.folder, log.settings, problem.parameters, url=self.url, turn=turn
        ) as mirror:
            yield mirror
