"""Reading a run folder: every design that was logged, as arrays, and the counts of all.

The run may still be going on, in this process or another: nothing is locked and nothing changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from dse.errors import RunError
from dse.search.counts import Counts
from dse.search.folder import COMPARED, SETTINGS, fail, read_settings
from dse.search.front import non_dominated, to_maximise
from dse.search.log import read_batches

STORED = (
    *("fingerprint", "method", "seed", "budget", "batch_size", "initial"),
    *("name", "parameters", "objectives", "senses", "rules", "problem"),
)
"""What `run.json` must hold beside its format and version."""


@attrs.frozen(kw_only=True, eq=False)
class RunData:
    """Everything that a run logged, in the order of evaluation.

    Of an exact run these are the designs that were on its front when they were found; `counts`
    tells of all that it decided.

    `settings` is what `run.json` holds; `problem` in it is what `Problem.describe` gave. `levels`
    [n, p], `objectives` [n, k] in their own senses, `margins` [n, c], each of `metrics` [n].
    `compared` holds, by name, how the references come to the front, if that was found.
    """

    folder: Path
    settings: dict[str, Any]
    levels: np.ndarray
    objectives: np.ndarray
    margins: np.ndarray
    metrics: dict[str, np.ndarray]
    mapping: list[dict[str, Any]]
    counts: Counts
    compared: dict[str, Any] = attrs.field(factory=dict)

    def with_compared(self, compared: dict[str, Any]) -> RunData:
        """The same run with how its references come to the front."""
        return attrs.evolve(self, compared=compared)

    @property
    def swept(self) -> bool:
        """Whether the run goes through the whole space and keeps its front alone."""
        return bool(self.settings["method"] == "exact")

    @property
    def distinct(self) -> int:
        """How many different designs were evaluated."""
        return self.counts.evaluated if self.swept else len(np.unique(self.levels, axis=0))

    @property
    def broken(self) -> dict[str, int]:
        """How many of the designs decided are known to break each rule; the most broken first."""
        columns = (self.margins < 0.0).sum(axis=0).tolist()
        rules = zip(self.settings["rules"], columns, strict=True)
        counted = self.counts.broken.items() if self.swept else rules
        return {r: n for r, n in sorted(counted, key=lambda each: -each[1]) if n}

    @property
    def problem(self) -> dict[str, Any]:
        """What `Problem.describe` gave when the run began."""
        described: dict[str, Any] = self.settings["problem"]
        return described

    @property
    def values(self) -> np.ndarray:
        """[n, k] objectives, all to be maximised."""
        return to_maximise(self.objectives, self.settings["senses"])

    @property
    def feasible(self) -> np.ndarray:
        """[n] True where every rule holds."""
        return np.asarray(np.all(self.margins >= 0.0, axis=1))

    @property
    def front(self) -> np.ndarray:
        """Indices of the feasible non-dominated designs, in the order of evaluation."""
        return np.flatnonzero(non_dominated(self.values, self.feasible))


def load(folder: Path | str) -> RunData:
    """All that the run in `folder` logged so far; it may be running, and is not locked.

    Raises RunError if the folder is no run, or cannot be read.
    """
    place = Path(folder)
    settings = complete(read_settings(place), place)
    counts, batches = Counts(), []
    for batch, _ in read_batches(place):
        counts += batch.counted
        if len(batch.levels):
            batches.append(batch)
    found = [batch.evaluations for batch in batches]
    names = list(found[0].metrics) if found else []
    try:
        return RunData(
            folder=place,
            settings=settings,
            levels=_stacked([b.levels for b in batches], len(settings["parameters"]), int),
            objectives=_stacked([f.objectives for f in found], len(settings["objectives"])),
            margins=_stacked([f.margins for f in found], len(settings["rules"])),
            metrics={name: np.concatenate([f.metrics[name] for f in found]) for name in names},
            mapping=[one for f in found for one in f.mapping],
            counts=counts,
            compared=_compared(place, sum(len(batch.levels) for batch in batches)),
        )
    except (KeyError, ValueError) as error:
        raise RunError(f"{place}: the batches of this run do not fit together: {error}") from error


def _compared(folder: Path, rows: int) -> dict[str, Any]:
    """What is known of the references; nothing if it is of another front or cannot be read."""
    try:
        data = json.loads((folder / COMPARED).read_bytes())
        return dict(data["references"]) if data["rows"] == rows else {}
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return {}


def _stacked(tables: Sequence[np.ndarray], width: int, kind: type = float) -> np.ndarray:
    return np.concatenate([np.zeros((0, width), dtype=kind), *tables])


def complete(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings of the run in `folder`; raises RunError if some are missing."""
    missing = [name for name in STORED if name not in settings]
    if missing:
        hint = "restore it, or start over with --fresh"
        fail(f"this file lacks {', '.join(missing)}", folder / SETTINGS, hint=hint)
    return settings
