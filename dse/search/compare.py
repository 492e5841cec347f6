"""Searches measured against each other and, where the space can be swept, against the truth.

Every method searches a study with every seed as `dse run` does. Of a finished run a small file is
kept: which designs widened its front, after how many evaluations (gradients paid for) and seconds.
The same comparison goes on where a former one ended; a run that was broken off begins anew, as its
seconds would not be those of one run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from dse.errors import Finding, RunError, UsageError
from dse.search.attach import Attachment
from dse.search.folder import fail, refuse
from dse.search.front import Archive, hypervolume, non_dominated, to_maximise
from dse.search.log import Batch, read_batches
from dse.search.problem import StudyProblem
from dse.search.propose import EXACT, GUIDED, check_method, proposer
from dse.search.run import Progress, load, run

TPE_LIMIT = 2_000
"""Evaluations that TPE is given at most: it proposes some 20 designs a second."""

SAMPLE = 2_048
"""Random designs by which the legal mappings of a design are counted."""

Report = Callable[[Progress], object]


@attrs.frozen(kw_only=True)
class Trial:
    """One run of a comparison; `label` is its method and, after a colon, its batch size."""

    label: str
    seed: int
    budget: int

    @property
    def method(self) -> str:
        """As `dse run` calls it."""
        return self.label.partition(":")[0]

    @property
    def batch_size(self) -> int | None:
        """Designs of a generation; None for what is usual."""
        return int(size) if (size := self.label.partition(":")[2]) else None

    @property
    def name(self) -> str:
        """As its file is called."""
        label = self.label.replace(":", "-of-")
        return label if self.method == EXACT else f"{label}-{self.seed}"


@attrs.frozen(kw_only=True, eq=False)
class Course:
    """How a run went.

    `values` [n, k], to be maximised, are those of designs that were on the front when they were
    found, after so many `evaluations` [n] and `seconds` [n] (`cpu` [n] of the processor). The run
    ended after `spent` evaluations and `ended` seconds (wall clock, processor); `designs` and
    `pruned` count what it decided.
    """

    values: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray
    cpu: np.ndarray
    spent: float
    ended: tuple[float, float]
    designs: int
    pruned: int

    def volumes(self, at: Sequence[float], clock: str, ends: np.ndarray) -> np.ndarray:
        """[m] hypervolumes after so much of a clock; nan where the run had ended.

        `clock` is evaluations, seconds or cpu; `ends` [2, k] the ideal and the nadir.
        """
        limits = {"evaluations": self.spent, "seconds": self.ended[0], "cpu": self.ended[1]}
        told = getattr(self, clock)
        return np.array(
            [
                hypervolume(self.values[told <= end], *ends) if end <= limits[clock] else np.nan
                for end in at
            ]
        )


def check_label(label: str) -> None:
    """Raises UsageError for a label that names no method to compare, or no batch size."""
    method, colon, size = label.partition(":")
    check_method(method)
    if method == EXACT:
        raise UsageError("the exact front is the measure, not one of the methods compared")
    if colon and not (size.isdecimal() and int(size) > 0):
        raise UsageError(f"{label!r}: after the colon comes a batch size, as in nsga2:50")


def trials(labels: Sequence[str], seeds: int, evaluations: int) -> list[Trial]:
    """All runs of a comparison, seed by seed, so that one that is broken off is fair as well."""
    return [
        Trial(
            label=label,
            seed=seed,
            budget=min(evaluations, TPE_LIMIT) if label.startswith("tpe") else evaluations,
        )
        for seed in range(1, seeds + 1)
        for label in labels
    ]


def warm_up(problem: StudyProblem) -> None:
    """Compiles or loads all programs that runs of the problem use."""
    with tempfile.TemporaryDirectory() as folder:
        run(problem, "hybrid", 60, 0, Path(folder) / "run", attached=Attachment(mirror=False))
        problem.screen(problem.initial()[:1])


def course(problem: StudyProblem, trial: Trial, folder: Path, report: Report) -> Course:
    """The run as a former call left it in the folder, or run now."""
    place = folder / f"{trial.name}.json"
    asked = {"hash": problem.fingerprint, "budget": trial.budget}
    try:
        kept = json.loads(place.read_bytes()) if place.exists() else {}
        if kept and {name: kept[name] for name in asked} == asked:
            return _read(kept)
    except (OSError, ValueError, KeyError, TypeError):
        fail("this is not a file of dse bench", place, hint="remove it, or name another folder")
    if kept:
        message = "this file is of other specs, another version or another number of evaluations"
        fail(message, place, hint="remove the folder, or name another one with --folder")
    made, data = _run(problem, trial, folder / f"{trial.name}.run", report)
    try:
        partial = place.with_suffix(".partial")
        partial.write_text(json.dumps({**asked, **data}) + "\n", encoding="utf-8")
        partial.replace(place)
    except OSError as error:
        refuse("cannot keep the run", place, error)
    return made


def _run(
    problem: StudyProblem, trial: Trial, place: Path, report: Report
) -> tuple[Course, dict[str, Any]]:
    """Runs it in a folder of its own, which is removed in the end."""
    if place.exists():
        load(place)  # refuses what is no run of ours
        shutil.rmtree(place)
    clock: list[tuple[float, float]] = []
    start = time.perf_counter(), time.process_time()

    def told(progress: Progress) -> None:
        clock.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        report(progress)

    run(
        problem,
        trial.method,
        trial.budget,
        trial.seed,
        place,
        batch_size=trial.batch_size,
        initial=problem.initial,
        attached=Attachment(mirror=False),
        on_progress=told,
    )
    data = _condensed(problem, trial, place, clock)
    shutil.rmtree(place)
    return _read(data), data


def _condensed(
    problem: StudyProblem, trial: Trial, place: Path, clock: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """What is kept of a run, JSON-ready."""
    charge = _charge(problem, trial, place)
    archive, rows, count, pruned = Archive(len(problem.objectives)), [], 0, 0
    for (batch, _), spent in zip(read_batches(place), clock, strict=True):
        before = count + charge(batch.generation)
        for index, values in _widening(archive, batch, problem.senses):
            rows.append([before + index + 1, *spent, *values.tolist()])
        count, pruned = count + batch.counted.evaluated, pruned + batch.counted.ruled_out
    return {
        "rows": rows,
        "spent": trial.budget if trial.method != EXACT else count,
        "ended": list(clock[-1]),
        "designs": count,
        "pruned": pruned,
    }


def _widening(
    archive: Archive, batch: Batch, senses: Sequence[str]
) -> Iterator[tuple[int, np.ndarray]]:
    """The designs of a batch that enter the front, by their place in it and their values."""
    if not len(batch.levels):
        return
    found, values = batch.evaluations, to_maximise(batch.evaluations.objectives, senses)
    pool = np.vstack([archive.values, values])
    feasible = np.concatenate([np.ones(len(archive), dtype=bool), found.feasible])
    widened = np.flatnonzero(non_dominated(pool, feasible)[len(archive) :])
    archive.add(values, np.arange(len(values)), found.feasible)
    yield from ((int(index), values[index]) for index in widened)


def _charge(problem: StudyProblem, trial: Trial, place: Path) -> Callable[[int], float]:
    """What the generations of a run up to one cost beside their designs."""
    if trial.method not in GUIDED:
        return lambda generation: 0.0  # noqa: ARG005 (nothing is charged)
    size = load(place).settings["batch_size"]
    made = proposer(
        trial.method,
        problem.parameters,
        problem.senses,
        seed=trial.seed,
        batch_size=size,
        relaxation=problem.relaxed,
    )
    return made.charge


def _read(data: dict[str, Any]) -> Course:
    rows = np.array(data["rows"], dtype=float).reshape(len(data["rows"]), -1)
    width = rows.shape[1] if len(rows) else 3
    return Course(
        evaluations=rows[:, 0] if width > 3 else np.zeros(0),
        seconds=rows[:, 1] if width > 3 else np.zeros(0),
        cpu=rows[:, 2] if width > 3 else np.zeros(0),
        values=rows[:, 3:],
        spent=float(data["spent"]),
        ended=(float(data["ended"][0]), float(data["ended"][1])),
        designs=int(data["designs"]),
        pruned=int(data["pruned"]),
    )


def legal_mappings(problem: StudyProblem) -> float:
    """Legal mappings of a design, over all workloads, in the mean of random designs."""
    random = np.random.default_rng(0)
    levels = [random.integers(len(p.levels), size=SAMPLE) for p in problem.parameters]
    found = problem._evaluate(problem._stacked(np.stack(levels, axis=1)))
    counts = [getattr(each, "legal", None) for each in found]
    return float(sum(count.mean() for count in counts if count is not None))


def front_of(courses: Iterator[Course] | Sequence[Course]) -> np.ndarray:
    """The front [n, k] of all runs together; RunError where none found a feasible design."""
    values = np.vstack([each.values for each in courses if each.values.size])
    if not len(values):
        raise RunError(Finding(message="no run found a feasible design: nothing to compare"))
    return values[non_dominated(values)]
