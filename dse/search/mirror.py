"""A run as an Optuna study: each design of the log a finished trial, for Optuna's own tools.

The log is what a run trusts; the study follows it and is never read back into the search. By
default it is a journal in the run's folder (`optuna.log`), else whatever storage a URL names. What
a death left torn or missing is completed from the log when the run goes on. A trial has the number
of its design; a parameter that is not free in a design is absent from its trial. This module
imports Optuna: import it lazily.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.study import Study
from optuna.trial import FrozenTrial

from dse.errors import DseError
from dse.search.breed import DIRECTIONS, finished, quiet
from dse.search.journal import Journal
from dse.search.log import Batch, read_batches
from dse.search.protocol import Evaluations, Parameter
from dse.search.record import RunData
from dse.search.storage import database, run_name, shown, translated
from dse.search.storage import turn as storage_turn
from dse.search.tables import Tables

JOURNAL = "optuna.log"
"""The file of the run's folder that holds the study, unless a URL names another storage."""

DAMAGED = f"{JOURNAL}.damaged"
"""Where a journal goes that Optuna cannot read, or that holds another run."""

CHUNK = 200
"""Designs that are written at once: one synchronisation for all of them."""

CHOICES = 64
"""Up to so many numbers are choices of their own; a longer list is a range."""

Turn = Callable[[bool], AbstractContextManager[bool]]
"""Takes the turn to write, waiting for it if told to, and says whether it is ours."""


class Store(Protocol):
    """Counts the trials of a study and adds finished ones."""

    def size(self, study: Study) -> int: ...

    def add(self, study: Study, trials: Sequence[FrozenTrial]) -> None: ...


class Mirror:
    """Adds the batches of a log to a study, in order; made by `mirrored`.

    `add` takes every batch of the log, those that the study already holds included. `flush` writes
    what is missing.
    """

    def __init__(
        self,
        study: Study,
        parameters: Sequence[Parameter],
        rules: Sequence[str],
        *,
        turn: Turn,
        store: Store,
    ) -> None:
        self.study = study
        self._parameters = parameters
        self._distributions = [_distribution(parameter) for parameter in parameters]
        self._values = [_values(parameter) for parameter in parameters]
        self._rules = tuple(rules)
        self._turn, self._store = turn, store
        self._waiting: list[tuple[int, Batch]] = []
        self.given = 0
        self.written = store.size(study)
        self._doubted = self.written > 0

    def add(self, batch: Batch) -> None:
        """Takes the next batch of the log; writes when there are enough."""
        end = self.given + len(batch.levels)
        if end > self.written:
            self._waiting.append((self.given, batch))
        elif len(batch.levels) and (end == self.written or self._doubted):
            self._check(batch, end - 1)
        self.given = end
        if end - self.written >= CHUNK:
            self.flush(wait=False)

    def flush(self, *, wait: bool = True) -> None:
        """Writes what the study lacks; without `wait` only if no other process is at it."""
        if not self._waiting:
            return
        with self._turn(wait) as ours:
            if not ours:
                return
            known, self.written = self.written, self._store.size(self.study)
            if self.written > known:
                self._check_added()
            if missing := list(self._missing()):
                self._store.add(self.study, missing)
            self.written = self._store.size(self.study)
        self._waiting = [(s, b) for s, b in self._waiting if s + len(b.levels) > self.written]

    def _missing(self) -> Iterator[FrozenTrial]:
        for start, batch in self._waiting:
            for row in range(max(0, self.written - start), len(batch.levels)):
                yield self._trial(batch, row)

    def _trial(self, batch: Batch, row: int) -> FrozenTrial:
        found = batch.evaluations
        params, distributions = self._params(batch, row)
        violations = (-found.margins[row]).tolist()
        return finished(
            params=params,
            distributions=distributions,
            values=found.objectives[row].tolist(),
            constraints=dict(zip(self._rules, violations, strict=True)),
            attributes={
                **{name: _json(float(values[row])) for name, values in found.metrics.items()},
                "mapping": found.mapping[row],
                "generation": batch.generation,
            },
        )

    def _params(self, batch: Batch, row: int) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        params, distributions = {}, {}
        for index, level in enumerate(batch.levels[row].tolist()):
            parameter = self._parameters[index]
            if not parameter.needs or level < len(parameter.levels) - 1:
                params[parameter.path] = self._values[index][level]
                distributions[parameter.path] = self._distributions[index]
        return params, distributions

    def _check_added(self) -> None:
        """What another process added to the study must be what is waiting here."""
        for start, batch in self._waiting:
            last = min(self.written, start + len(batch.levels)) - 1
            if last >= start:
                self._check(batch, last, row=last - start)

    def _check(self, batch: Batch, number: int, row: int = -1) -> None:
        """Raises ValueError unless trial `number` of the study is that design of the batch."""
        self._doubted = False
        storage = self.study._storage
        trial = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        wanted = self._params(batch, range(len(batch.levels))[row])[0]
        if storage.get_trial(trial).params != wanted:
            raise ValueError(f"trial {number} is not that design of this run")


@contextmanager
def mirrored(
    folder: Path,
    settings: Mapping[str, Any],
    parameters: Sequence[Parameter],
    *,
    url: str | None = None,
    turn: Turn | None = None,
) -> Iterator[Callable[[Batch], None]]:
    """A function that takes each new batch of the run in `folder`; those logged are read there.

    `url` names another storage than the folder's journal; `turn` orders the processes that write
    to one study. The study is complete when the context ends, also when it ends by an error.
    Raises UsageError for a URL that makes no sense and RunError for a storage that fails.
    """
    place = str(folder / JOURNAL) if url is None else shown(url)
    with ExitStack() as stack:
        with quiet(), translated(place):
            if url is None:
                mirror = _local(folder, settings, parameters)
            else:
                # one process at a time makes tables
                with (ours := turn or partial(storage_turn, url))(True):
                    storage = stack.enter_context(database(url))
                    study = _study(storage, settings)
                mirror = Mirror(
                    study,
                    parameters,
                    settings["rules"],
                    turn=ours,
                    store=Tables(storage),
                )
                _catch_up(mirror, folder)

        def add(batch: Batch) -> None:
            with quiet(), translated(place):
                mirror.add(batch)

        try:
            yield add
        except BaseException:
            # what stopped the run is the news; the next run completes the study
            with quiet(), suppress(DseError), translated(place):
                mirror.flush()
            raise
        with quiet(), translated(place):
            mirror.flush()


class _Memory:
    """Trials of a study that no file holds."""

    def size(self, study: Study) -> int:
        return len(study.get_trials(deepcopy=False))

    def add(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        for trial in trials:
            # optuna-dashboard (0.21) knows constraints as a list alone
            listed = {"constraints": [*trial.constraints.values()]}
            trial._system_attrs = trial.system_attrs | listed
        study.add_trials(trials)


def in_memory(data: RunData, rows: np.ndarray) -> Study:
    """Some designs of a run as trials of a study in memory; `design` is a trial's number there."""
    parameters = [
        Parameter(
            path=each["path"],
            levels=each["values"],
            ordered=all(isinstance(value, (int, float)) for value in each["values"]),
        )
        for each in data.problem["parameters"]
    ]
    evaluations = Evaluations(
        objectives=data.objectives[rows],
        margins=data.margins[rows],
        metrics={"design": rows} | {name: data.metrics[name][rows] for name in data.metrics},
        mapping=[data.mapping[int(row)] for row in rows],
    )
    batch = Batch(
        number=0, generation=0, parents=(), levels=data.levels[rows], evaluations=evaluations
    )
    with quiet():
        study = _study(InMemoryStorage(), data.settings)
        mirror = Mirror(study, parameters, data.settings["rules"], turn=_alone, store=_Memory())
        mirror.add(batch)
        mirror.flush()
    return study


@contextmanager
def _alone(wait: bool) -> Iterator[bool]:  # noqa: ARG001 (there is nobody to wait for)
    yield True


def _local(folder: Path, settings: Mapping[str, Any], parameters: Sequence[Parameter]) -> Mirror:
    """The folder's journal; one that cannot be read, or does not follow the log, is set aside."""
    path = folder / JOURNAL
    try:
        mirror = _of_journal(path, settings, parameters)
        _catch_up(mirror, folder)
        if mirror.written > mirror.given:
            raise ValueError("it has more trials than the log has designs")
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
        path.replace(folder / DAMAGED)
        mirror = _of_journal(path, settings, parameters)
        _catch_up(mirror, folder)
    return mirror


def _of_journal(path: Path, settings: Mapping[str, Any], parameters: Sequence[Parameter]) -> Mirror:
    journal = Journal(path)
    study = _study(JournalStorage(journal), settings)
    rules = settings["rules"]
    return Mirror(study, parameters, rules, turn=_alone, store=journal)


def _study(storage: BaseStorage, settings: Mapping[str, Any]) -> Study:
    identity = (settings[part] for part in ("name", "method", "seed", "fingerprint"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            storage=storage,
            study_name=run_name(*identity),
            # the search is ours; Optuna's own choice depends on the number of objectives
            sampler=optuna.samplers.RandomSampler(),
            directions=[DIRECTIONS[sense] for sense in settings["senses"]],
            load_if_exists=True,
        )
        if not study.user_attrs:
            study.set_metric_names(list(settings["objectives"]))
            for name in ("fingerprint", "method", "seed"):
                study.set_user_attr(name, settings[name])
    return study


def _catch_up(mirror: Mirror, folder: Path) -> None:
    for batch, _ in read_batches(folder):
        mirror.add(batch)
    mirror.flush()


def _values(parameter: Parameter) -> list[Any]:
    """The values of the levels as Optuna stores them: numbers in SI, names of specs."""
    plain = [getattr(level, "name", level) for level in parameter.levels]
    return [value.item() if hasattr(value, "item") else value for value in plain]


def _distribution(parameter: Parameter) -> BaseDistribution:
    values = _values(parameter)
    free = values[:-1] if parameter.needs else values
    if not parameter.ordered or len(free) <= CHOICES:
        return CategoricalDistribution(free)
    if all(isinstance(value, int) for value in free):
        return IntDistribution(min(free), max(free))
    return FloatDistribution(min(free), max(free))


def _json(value: float) -> float | str:
    """JSON knows no infinity."""
    return value if math.isfinite(value) else str(value)
