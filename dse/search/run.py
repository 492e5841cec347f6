"""The search itself: propose, evaluate, log, report.

The designs of a run follow from the problem, the method, the seed and the batch size. The budget
only says where to stop, so a run that was killed, stopped or given a larger budget evaluates what
an unbroken one would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.errors import UsageError
from dse.search.attach import Attachment
from dse.search.check import checked
from dse.search.log import Batch, open_run
from dse.search.propose import GUIDED, Proposer, check_method, default_batch_size, proposer
from dse.search.protocol import Problem
from dse.search.record import RunData, complete, load
from dse.search.space import Space
from dse.search.standing import Progress, RunResult, Standing
from dse.search.sweep import Source, Sweep, chunk_size
from dse.search.warm import warm_designs

if TYPE_CHECKING:
    from dse.search.shared import SharedStudy

__all__ = ["Progress", "RunData", "RunResult", "load", "run"]


def run(
    problem: Problem,
    method: str,
    budget: int,
    seed: int,
    folder: Path | str,
    *,
    fresh: bool = False,
    batch_size: int | None = None,
    initial: Callable[[], np.ndarray] | None = None,
    warm_start: RunData | None = None,
    attached: Attachment | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    cluster: str = "",
    prune: bool = True,
) -> RunResult:
    """Searches `problem` and logs every batch in `folder`; goes on where a former call ended.

    `budget` counts evaluated designs, infeasible ones included; the method `exact` goes through
    the whole space whatever the budget and logs its front alone, with counts of all designs. Its
    chunks may be swept by a `cluster` (see `dse.search.cluster.prepared`): the log is the same, and
    so is the front without `prune`, which leaves designs unevaluated that break a rule known from
    the design alone. `initial` gives [m, p] designs to begin with and is called
    only when a run begins. `batch_size` is the size of a generation; by default it follows from
    method and budget, and a run keeps the one it began with. The front of `warm_start` follows the
    initial designs. The run is `attached` to an Optuna study, by default a journal in its folder.
    Processes that name one PostgreSQL database work on one study, each with a folder of its own;
    they evaluate whole slices of a generation, so the last one may exceed the budget.
    `should_stop` is asked before each batch. A KeyboardInterrupt passes through: what was
    reported stays.

    Raises UsageError for a method, budget or seed that makes no sense, RunError as
    `dse.search.log.open_run` does, when an evaluation is not finite, and when a cluster fails.
    """
    check_method(method)
    _check_options(budget, seed, batch_size)
    if method != "exact" and getattr(problem, "every_point", False):
        message = f'operate = "all" asks for an exact front, and the method is {method!r}'
        raise UsageError(f"{message}; give --method exact, or operate by one metric")
    attached = attached or Attachment()
    source = _source(problem, method, cluster, prune=prune)
    if method == "exact":
        budget = Space(problem.parameters).size()
    identity: dict[str, Any] = {
        "fingerprint": problem.fingerprint,
        "method": method,
        "seed": seed,
    }
    if batch_size is not None:
        identity["batch_size"] = batch_size
    if warm_start is not None:
        identity["warm_start"] = warm_start.settings["fingerprint"]

    def create() -> dict[str, Any]:
        first = None if initial is None else np.asarray(initial(), dtype=int)
        given = _initial(problem, first, warm_start).tolist()
        usual = chunk_size(budget) if method == "exact" else default_batch_size(method, budget)
        size = batch_size or usual
        return {"budget": budget, "batch_size": size, "initial": given, **_described(problem)}

    with ExitStack() as stack:
        shared = stack.enter_context(attached.shared(problem, method, seed, fresh=fresh))
        identity["shared"] = None if shared is None else shared.name
        begin = create if shared is None else shared.beginning(create, budget)
        log = stack.enter_context(open_run(Path(folder), identity, begin, fresh=fresh))
        settings = complete(log.settings, log.folder)
        search: Standing
        if method == "exact":
            search = Sweep(problem, settings, source=source, prune=prune)
        else:
            search = _Search(problem, settings, shared)
        log.replay(search.observe)
        if budget > settings["budget"]:
            log.update(budget=budget)
        search.begin(budget)
        if shared is not None:
            shared.check()
        stack.enter_context(closing(search))
        mirror = stack.enter_context(attached.mirrored(log, problem, shared))
        while search.missing > 0 and not (should_stop is not None and should_stop()):
            batch = search.next()
            log.append(batch)
            search.observe(batch)
            mirror(batch)
            if on_progress is not None:
                on_progress(search.progress())
        return search.result(log.folder)


def _initial(problem: Problem, given: np.ndarray | None, warm: RunData | None) -> np.ndarray:
    """[m, p] designs to begin with: those given, then the front of another run."""
    width = len(problem.parameters)
    first = np.zeros((0, width), np.int64) if given is None else given.reshape(-1, width)
    if warm is None:
        return first
    base = first[0] if len(first) else None
    return np.vstack([first, warm_designs(warm, problem.parameters, base)])


def _source(problem: Problem, method: str, cluster: str, *, prune: bool) -> Source | None:
    """What sweeps chunks on a cluster; UsageError if it cannot be."""
    if not cluster:
        return None
    if method != "exact":
        raise UsageError(f"--cluster sweeps with the method 'exact', and this is {method!r}")
    from dse.search.cluster import prepared

    return prepared(problem, cluster, prune=prune)


def _check_options(budget: int, seed: int, batch_size: int | None) -> None:
    if budget < 1:
        raise UsageError(f"a budget of {budget} evaluates nothing; give 1 or more")
    if seed < 0:
        raise UsageError(f"the seed {seed} is negative; give 0 or more")
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"a batch of {batch_size} designs evaluates nothing; give 1 or more")


def _described(problem: Problem) -> dict[str, Any]:
    return {
        "name": problem.name,
        "parameters": [parameter.path for parameter in problem.parameters],
        "objectives": list(problem.objectives),
        "senses": list(problem.senses),
        "rules": list(problem.rules),
        "problem": problem.describe(),
    }


class _Search(Standing):
    """A run that proposes its designs."""

    def __init__(
        self, problem: Problem, settings: dict[str, Any], shared: SharedStudy | None = None
    ) -> None:
        self.shared = shared
        self.proposer: Proposer = proposer(
            settings["method"],
            problem.parameters,
            problem.senses,
            seed=settings["seed"],
            batch_size=settings["batch_size"],
            initial=np.array(settings["initial"], dtype=int),
            relaxation=getattr(problem, "relaxed", None) if settings["method"] in GUIDED else None,
        )
        super().__init__(problem, settings, self.proposer.space)

    @property
    def missing(self) -> int:
        """Designs to come; what gradients cost is taken off the budget."""
        generation = self.counts.decided // self.proposer.batch_size
        spent = math.ceil(self.proposer.charge(generation))
        return min(self.budget - spent, self.space) - self.counts.decided

    def next(self) -> Batch:
        """The next batch, evaluated; the last one may be a part of its generation."""
        if self.shared is not None:
            return self.shared.next(self)
        generation = self.counts.evaluated // self.proposer.batch_size
        proposal = self.proposer.propose(generation)
        levels = proposal.levels[: self.missing]
        return self.evaluate(self.batches, generation, proposal.parents, levels)

    def evaluate(
        self, number: int, generation: int, parents: tuple[int, ...], levels: np.ndarray
    ) -> Batch:
        """The batch of that number with these designs [n, p]."""
        return Batch(
            number=number,
            generation=generation,
            parents=parents,
            levels=levels,
            evaluations=checked(self.problem, levels, self.problem.evaluate(levels)),
        )

    def observe(self, batch: Batch) -> None:
        """Takes a batch that is in the log; raises ValueError if it is not of this run."""
        if batch.counts is not None:
            raise ValueError("it is a chunk of a sweep")
        found = batch.evaluations
        self.proposer.observe(
            batch.generation, batch.parents, batch.levels, found.objectives, found.margins
        )
        self.proposer.notice(batch.levels, found)
        super().observe(batch)
        if self.shared is not None:
            self.shared.reached(batch)
