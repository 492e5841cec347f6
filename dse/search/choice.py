"""How sure a choice is: which level is best in how many samples, and by how much it is better.

Designs are those that were found at the specs' own numbers, and are not sought anew for a sample;
their mappings are the best known in each, their batches follow the limits. All designs share every
sample of what they share, so that what moves all of them alike decides nothing. Rules are not
asked: designs that were drawn up to a limit break it in many samples, whichever level they have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dse.search.front import to_maximise
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.robust import mappings_of, percentiles, sampled
from dse.search.worth import Worth

Point = Mapping[str, Any]
Searched = tuple[StudyProblem, RunData]


class Choice:
    """Samples of points of a study and of its variations; each point is sampled once."""

    def __init__(self, number: int, seed: int) -> None:
        self.number, self.seed = number, seed
        self._known: dict[tuple[str, str], Mapping[str, np.ndarray]] = {}
        self._mappings: dict[str, Mapping[str, np.ndarray]] = {}

    def metrics(self, searched: Searched, point: Point) -> Mapping[str, np.ndarray]:
        """Objectives [n] of a point or reference of a run, as `dse.search.robust.sampled`."""
        problem, data = searched
        key = problem.fingerprint, str(point.get("name") or sorted(point["design"].items()))
        if key not in self._known:
            if problem.fingerprint not in self._mappings:
                rows = [{"mapping": data.mapping[place]} for place in data.front]
                mappings = mappings_of(problem, [*rows, *data.problem["references"]])
                self._mappings[problem.fingerprint] = mappings
            how: dict[str, Any] = {"number": self.number, "seed": self.seed, "uncertain": "both"}
            found = sampled(problem, point, self._mappings[problem.fingerprint], **how).metrics
            self._known[key] = {name: found[name] for name in problem.objectives}
        return self._known[key]

    def over(
        self, goal: str, one: tuple[Searched, Point], other: tuple[Searched, Point]
    ) -> dict[str, float]:
        """What one point has over another in an objective: percentiles of the ratio."""
        return percentiles(self.metrics(*one)[goal] / self.metrics(*other)[goal])

    def levels(self, searched: Searched, worth: Worth) -> list[list[dict[str, Any] | None]]:
        """By group and row of what levels are worth, in the first objective: `best_share`, the
        samples in which the design with it is best of its group, and percentiles of what it has
        `over` the one that is best at the specs' own numbers. None where no design is."""
        problem, _ = searched
        goal, sense = problem.objectives[0], problem.senses[0]
        points = _points(problem, worth)
        table = {key: self.metrics(searched, point)[goal] for key, point in points.items()}
        made: list[list[dict[str, Any] | None]] = []
        for rows, designs in zip(worth.rows, worth.designs, strict=True):
            told = [row["best"][goal] for row in rows]
            there = [place for place, design in enumerate(designs) if design is not None]
            found: list[dict[str, Any] | None] = [None] * len(rows)
            if there:
                values = np.array([table[designs[place].tobytes()] for place in there])  # type: ignore[union-attr]
                scores = to_maximise(values[..., None], (sense,))[..., 0]
                nominal = to_maximise(np.array([[told[place]] for place in there]), (sense,))
                top = values[int(np.argmax(nominal[:, 0]))]
                best = np.bincount(np.argmax(scores, axis=0), minlength=len(there)) / self.number
                for place, share, row in zip(there, best.tolist(), values, strict=True):
                    found[place] = {"best_share": share, "over": percentiles(row / top)}
            made.append(found)
        return made


def _points(problem: StudyProblem, worth: Worth) -> dict[bytes, Point]:
    """The different designs of what levels are worth, evaluated, by the bytes of their levels."""
    rows = {d.tobytes(): d for group in worth.designs for d in group if d is not None}
    if not rows:
        return {}
    found = problem.evaluate(np.array([*rows.values()]))
    return {
        key: {
            "design": problem.design(problem.bound(levels.tolist())),
            "mapping": found.mapping[place],
            "metrics": {name: float(values[place]) for name, values in found.metrics.items()},
        }
        for place, (key, levels) in enumerate(rows.items())
    }
