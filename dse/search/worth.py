"""What the levels of each parameter are worth: where the front lies, and the best design with each.

A search goes where designs are good, so its log says little of levels that it left early. The best
design with a level is therefore sought anew: from the best that the log has and from the front with
that level forced on it, one parameter at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import attrs
import numpy as np

from dse.search.front import to_maximise
from dse.search.levels import keys
from dse.search.protocol import Parameter, Problem
from dse.search.record import RunData
from dse.search.space import Space
from dse.spec.metrics import METRICS

MOST = 0.75
"""A front of which so large a share holds an end of a range sits on that bound."""

ROUNDS = 4
"""Parameters that may change beside those that are held, and come back to the best."""

Held = tuple[tuple[int, int], ...]
"""Parameters and the levels that a design must have of them."""


def bounds(data: RunData, parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    """Parameters for which most of the front holds one end: path, end, level and share of it.

    Ends of ordered parameters are `lowest` and `highest`; of others it is the `only` level that the
    whole front has. The level of a parameter that is not free is no choice.
    """
    rows, made = data.levels[data.front], []
    for index, parameter in enumerate(parameters):
        last = len(parameter.levels) - (2 if parameter.needs else 1)
        ends = {"lowest": 0, "highest": last} if parameter.ordered else {}
        ends = ends or {"only": int(rows[0, index]) if len(rows) else 0}
        for end, level in ends.items():
            share = float(np.mean(rows[:, index] == level)) if len(rows) and last > 0 else 0.0
            if share >= (1.0 if end == "only" else MOST):
                shown = data.problem["parameters"][index]["levels"][level]
                made.append({"path": parameter.path, "end": end, "level": shown, "share": share})
    return made


class _Best:
    """The best designs known with each of what is held, one for each objective."""

    def __init__(self, problem: Problem, held: Sequence[Held]) -> None:
        self.problem = problem
        self.space = Space(problem.parameters)
        self.held = held
        self.single = [(i, v) for i, size in enumerate(self.space.sizes) for v in range(size)]
        width = len(problem.senses)
        self.rows = np.zeros((len(held), width, len(self.space.sizes)), np.int64)
        self.merit = np.full((len(held), width), -np.inf)
        self.broken = np.full((len(held), width), np.inf)
        self.seen: set[bytes] = set()

    def take(self, levels: np.ndarray, objectives: np.ndarray, margins: np.ndarray) -> None:
        """Considers evaluated designs [n, p]: fewer broken rules first, then the objective."""
        self.seen.update(keys(levels))
        values = to_maximise(objectives, self.problem.senses)
        broken = -np.minimum(margins, 0.0).sum(axis=1)
        for place, held in enumerate(self.held):
            own = np.flatnonzero(_with(levels, held))
            if not len(own):
                continue
            for goal in range(values.shape[1]):
                best = own[np.lexsort((-values[own, goal], broken[own]))[0]]
                found = (broken[best], -values[best, goal])
                if found < (self.broken[place, goal], -self.merit[place, goal]):
                    self.broken[place, goal], self.merit[place, goal] = broken[best], -found[1]
                    self.rows[place, goal] = levels[best]

    def forced(self, designs: np.ndarray) -> np.ndarray:
        """Unseen designs: `designs` [n, p] with all that is held put into each."""
        return self._unseen([_forced(designs, held) for held in self.held])

    def neighbours(self) -> np.ndarray:
        """Unseen designs that differ from a best one in one parameter that is not held."""
        made = []
        for place, held in enumerate(self.held):
            known = self.rows[place, np.isfinite(self.broken[place])]
            fixed = {index for index, _ in held}
            made += [_forced(known, (one,)) for one in self.single if one[0] not in fixed]
        return self._unseen(made)

    def _unseen(self, designs: Sequence[np.ndarray]) -> np.ndarray:
        rows = np.unique(self.space.canonical(np.concatenate(designs)), axis=0)
        new = [place for place, key in enumerate(keys(rows)) if key not in self.seen]
        return rows[new]


def _with(levels: np.ndarray, held: Held) -> np.ndarray:
    """[n] which of the designs [n, p] have what is held."""
    return np.all([levels[:, index] == level for index, level in held], axis=0)


def _forced(designs: np.ndarray, held: Held) -> np.ndarray:
    made = designs.copy()
    for index, level in held:
        made[:, index] = level
    return made


@attrs.frozen(kw_only=True, eq=False)
class Worth:
    """What levels are worth.

    Each of `groups` are the paths of parameters that are held together; `rows` of it has for each
    combination of their `levels`, as people see them, the `best` value of each objective that a
    feasible design with it has, as files hold it (None where none was found), and `logged`,
    designs of the run with it. `designs` has of each row the design [p] that is best in the first
    objective, None where none is feasible.
    """

    groups: Sequence[tuple[str, ...]]
    rows: Sequence[Sequence[dict[str, Any]]]
    designs: Sequence[Sequence[np.ndarray | None]]


def best_by_level(
    problem: Problem, data: RunData, most: int, groups: Sequence[tuple[str, ...]] | None = None
) -> Worth:
    """The best designs with each combination of levels of each group of parameters.

    Groups are paths of the space; by default each parameter is one. At most some `most` designs are
    evaluated beside the run's own.
    """
    paths = [parameter.path for parameter in problem.parameters]
    groups = [(path,) for path in paths] if groups is None else groups
    indices = [tuple(paths.index(path) for path in group) for group in groups]
    sizes = [len(parameter.levels) for parameter in problem.parameters]
    held = [[*_combinations(group, sizes)] for group in indices]
    known = _Best(problem, [one for group in held for one in group])
    known.take(data.levels, data.objectives, data.margins)
    front = data.levels[data.front]
    front = front[np.argsort(-data.values[data.front, 0], kind="stable")]
    designs = known.forced(front[np.unique([0, len(front) // 2, len(front) - 1])])
    for _ in range(ROUNDS):
        if most <= 0 or not len(designs):
            break
        # of more than may be evaluated, a part spread over all
        designs = designs[:: -(-len(designs) // most)]
        found = problem.evaluate(designs)
        known.take(designs, found.objectives, found.margins)
        most -= len(designs)
        designs = known.neighbours()
    rows, best, place = [], [], 0
    for group in held:
        places = range(place, place + len(group))
        rows.append([_told(known, data, one) for one in places])
        best.append([known.rows[one, 0] if known.broken[one, 0] == 0.0 else None for one in places])
        place += len(group)
    return Worth(groups=groups, rows=rows, designs=best)


def _combinations(group: Sequence[int], sizes: Sequence[int]) -> Iterator[Held]:
    for levels in product(*(range(sizes[index]) for index in group)):
        yield tuple(zip(group, levels, strict=True))


def _told(known: _Best, data: RunData, place: int) -> dict[str, Any]:
    """What is said of a combination of levels."""
    problem, held = known.problem, known.held[place]
    values = zip(
        problem.objectives,
        problem.senses,
        known.merit[place].tolist(),
        known.broken[place].tolist(),
        strict=True,
    )
    return {
        "levels": [data.problem["parameters"][index]["levels"][level] for index, level in held],
        "logged": int(np.sum(_with(data.levels, held))),
        "best": {
            name: METRICS[name].written(-merit if sense == "min" else merit) if not broken else None
            for name, sense, merit, broken in values
        },
    }
