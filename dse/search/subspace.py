"""A search held to the truth: a part of its space, small enough to be swept, swept.

The part is what the parameters span that move the objectives most while all others stay as the
front's first design has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np

from dse.search.front import hypervolume, to_maximise
from dse.search.known import merits
from dse.search.problem import StudyProblem
from dse.search.protocol import Evaluations, Parameter
from dse.search.record import RunData
from dse.spec.metrics import METRICS

MOVED = 6
"""Parameters that a part moves at most."""


@attrs.frozen(slots=False)
class Subspace:
    """Implements `dse.search.protocol.Problem` for the part of a study's space in which the
    parameters `moved` (indices) are free, and all others have the levels of `base` [p]."""

    whole: StudyProblem
    base: tuple[int, ...]
    moved: tuple[int, ...]

    @property
    def name(self) -> str:
        """The study's name, and that it is a part."""
        return f"{self.whole.name}, a part swept"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those that are free."""
        return tuple(self.whole.parameters[index] for index in self.moved)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Those of the study."""
        return self.whole.objectives

    @property
    def senses(self) -> tuple[str, ...]:
        """Those of the study."""
        return self.whole.senses

    @property
    def rules(self) -> tuple[str, ...]:
        """Those of the study."""
        return self.whole.rules

    @property
    def references(self) -> Sequence[Any]:
        """None: the study has them."""
        return ()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the study's, and of what is held."""
        content = f"{self.whole.fingerprint} {self.base} {self.moved}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def levels(self, own: np.ndarray) -> np.ndarray:
        """[n, p] level indices of the study from those [n, q] of the part."""
        made = np.tile(np.asarray(self.base, np.int64), (len(own), 1))
        made[:, list(self.moved)] = own
        return made

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        """Evaluations of [n, q] level indices."""
        return self.whole.evaluate(self.levels(levels))

    def screen(self, levels: np.ndarray) -> dict[str, np.ndarray]:
        """Margins [n], by rule, that designs have whatever the operating point."""
        return self.whole.screen(self.levels(levels))

    def describe(self) -> dict[str, Any]:
        """What a reader of the run folder needs."""
        told = self.whole.describe()
        kept = [told["parameters"][index] for index in self.moved]
        size = int(np.prod([len(each["values"]) for each in kept]))
        return {**told, "study": self.name, "parameters": kept, "space": size, "references": []}


def influence(problem: StudyProblem, levels: np.ndarray) -> np.ndarray:
    """[p] how far each parameter alone moves the objectives of designs [m, p].

    The width of the logarithm of each objective over the parameter's levels, summed over
    objectives and designs, whether or not rules hold.
    """
    rows, owners = [], []
    for row in levels:
        for index, parameter in enumerate(problem.parameters):
            for level in range(len(parameter.levels)):
                rows.append([*row[:index], level, *row[index + 1 :]])
                owners.append(index)
    found = problem.evaluate(np.array(rows, np.int64))
    values, _ = merits(found.objectives, problem.senses)
    places = np.asarray(owners).reshape(len(levels), -1)
    table = values.reshape(len(levels), places.shape[1], -1)
    return np.array(
        [np.ptp(table[:, places[0] == i], axis=1).sum() for i in range(len(problem.parameters))]
    )


def part_of(problem: StudyProblem, data: RunData, largest: int) -> Subspace | None:
    """The part of at most `largest` designs around a run's first design, the most influential
    parameters first; None where not even two fit.

    Parameters with conditions, and those that conditions rest on, are held.
    """
    order = np.argsort(-data.values[data.front, 0], kind="stable")
    front = data.levels[np.asarray(data.front)[order]]
    ends = front[np.unique([0, len(front) // 2, len(front) - 1])]
    tied = {other for p in problem.parameters for other, _ in p.needs}
    tied |= {index for index, p in enumerate(problem.parameters) if p.needs}
    moved: list[int] = []
    size = 1
    for index in np.argsort(-influence(problem, ends), kind="stable").tolist():
        levels = len(problem.parameters[index].levels)
        if index not in tied and levels > 1 and size * levels <= largest and len(moved) < MOVED:
            moved.append(index)
            size *= levels
    return (
        Subspace(problem, tuple(front[0].tolist()), tuple(sorted(moved)))
        if len(moved) > 1
        else None
    )


def gap(problem: StudyProblem, data: RunData, part: Subspace, swept: RunData) -> dict[str, Any]:
    """What a run lacks of what a sweep of a part found.

    `share`: the hypervolume of the run's front over that of both fronts together, `gap` what is
    missing to one; `best`: the first objective's best value of each.
    """
    senses = problem.senses
    own = to_maximise(data.objectives[data.front], senses)
    exact = to_maximise(swept.objectives[swept.front], senses)
    both = np.vstack([own, exact])
    ends = both.max(axis=0), both.min(axis=0)
    share = hypervolume(own, *ends) / hypervolume(both, *ends)
    first = METRICS[problem.objectives[0]]
    sign = -1.0 if senses[0] == "min" else 1.0
    held = {p.path: p.levels[i] for p, i in zip(problem.parameters, part.base, strict=True)}
    moved = [parameter.path for parameter in part.parameters]
    return {
        "parameters": moved,
        "held": {k: getattr(v, "name", v) for k, v in held.items() if k not in moved},
        "space": swept.problem["space"],
        "evaluated": swept.counts.evaluated,
        "pruned": swept.counts.ruled_out,
        "front": len(exact),
        "share": share,
        "gap": 1.0 - share,
        "best": {
            "search": first.written(sign * float(own[:, 0].max())),
            "swept": first.written(sign * float(exact[:, 0].max())) if len(exact) else None,
        },
    }
