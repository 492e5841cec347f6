"""How a run stands: what every method counts and reports."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from dse.search.counts import Counts
from dse.search.front import Archive, to_maximise
from dse.search.log import Batch
from dse.search.protocol import Problem


@attrs.frozen(kw_only=True)
class Progress:
    """How a run stands after a batch that is safely on the disk.

    `batch` counts from 0. `evaluated` and `feasible_share` count the whole run, resumed designs
    included, and those that an exact run ruled out before it evaluated them (`pruned`);
    `designs_per_s` and `seconds_left` go by this process, without its first batch, which compiles,
    once there is another. `hypervolume` is measured against the
    ideal and nadir of the front as it stands, so it may fall when the front grows; it is nan for
    more than four objectives, where it would cost more than the search.
    """

    batch: int
    evaluated: int
    budget: int
    designs_per_s: float
    feasible_share: float
    front_size: int
    hypervolume: float
    seconds_left: float
    pruned: int = 0


@attrs.frozen(kw_only=True, eq=False)
class RunResult:
    """A run when it returned.

    `front` are the indices, into the rows that `load` reads, of the feasible non-dominated
    designs; `feasible` and `pruned` (ruled out by an exact run before evaluation) are counts.
    `complete`: the budget or the space is used up; `exhausted`: the space is. `designs_per_s` is
    that of the last Progress, 0 where there was none.
    """

    folder: Path
    method: str
    seed: int
    budget: int
    space: int
    evaluated: int
    feasible: int
    front: np.ndarray
    hypervolume: float
    complete: bool
    exhausted: bool
    pruned: int = 0
    designs_per_s: float = 0.0


class Standing:
    """What a run knows: a function of its log alone, but for the clock.

    The base of what searches: one that breeds designs and one that sweeps the space.
    """

    def __init__(self, problem: Problem, settings: dict[str, Any], space: int) -> None:
        self.problem = problem
        self.settings = settings
        self.space = space
        self.archive = Archive(len(problem.objectives))
        self.counts = Counts()
        self.batches = self.rows = 0
        self.begin(settings["budget"])

    def begin(self, budget: int) -> None:
        """Starts the clock, once the log has been replayed."""
        self.budget = budget
        self.rate = 0.0
        self._marks = [(time.perf_counter(), self.counts.decided)]

    @property
    def missing(self) -> int:
        """Designs to come."""
        return min(self.budget, self.space) - self.counts.decided

    def next(self) -> Batch:
        """The next batch, evaluated."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends what works for this run beside this process."""

    def observe(self, batch: Batch) -> None:
        """Takes a batch that is in the log; raises ValueError if it is not of this run."""
        found = batch.evaluations
        ids = self.rows + np.arange(len(batch.levels))
        if len(ids):
            values = to_maximise(found.objectives, self.problem.senses)
            self.archive.add(values, ids, found.feasible)
        self.batches += 1
        self.rows += len(ids)
        self.counts += batch.counted

    @property
    def hypervolume(self) -> float:
        """Of the front as it stands; nan beyond four objectives."""
        return self.archive.hypervolume() if self.archive.values.shape[1] <= 4 else math.nan

    def progress(self) -> Progress:
        """After a batch."""
        decided, now = self.counts.decided, time.perf_counter()
        start, before = self._marks[-1]
        self.rate = rate = (decided - before) / max(now - start, 1e-9)
        if len(self._marks) == 1:
            self._marks.append((now, decided))
        return Progress(
            batch=self.batches - 1,
            evaluated=decided,
            budget=self.budget,
            designs_per_s=rate,
            feasible_share=self.counts.feasible / decided,
            front_size=len(self.archive),
            hypervolume=self.hypervolume,
            seconds_left=_seconds(max(self.missing, 0), rate),
            pruned=self.counts.ruled_out,
        )

    def result(self, folder: Path) -> RunResult:
        """When the run returns."""
        return RunResult(
            folder=folder,
            method=self.settings["method"],
            seed=self.settings["seed"],
            budget=self.budget,
            space=self.space,
            evaluated=self.counts.evaluated,
            feasible=self.counts.feasible,
            front=self.archive.ids,
            hypervolume=self.hypervolume,
            complete=self.missing <= 0,
            exhausted=self.counts.decided >= self.space,
            pruned=self.counts.ruled_out,
            designs_per_s=self.rate,
        )


def _seconds(designs: int, rate: float) -> float:
    """The time of that many designs; infinite for more of them than a float counts."""
    try:
        return designs / rate
    except OverflowError:
        return math.inf
