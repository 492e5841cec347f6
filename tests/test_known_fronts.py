"""Problems of the literature whose fronts are known, through the same search code as studies.

Zitzler, Deb and Thiele, Evolutionary Computation 8, 2000 (ZDT); Deb, Thiele, Laumanns and Zitzler,
CEC 2002 (DTLZ). Every variable has 17 levels, so that the known optima lie on levels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from dse.search.attach import Attachment
from dse.search.front import hypervolume, non_dominated, to_maximise
from dse.search.levels import decode
from dse.search.protocol import Evaluations, Parameter
from dse.search.record import load
from dse.search.run import run

TOP = 16


def zdt1(x: np.ndarray) -> np.ndarray:
    """A convex front where all variables but the first are 0."""
    g = 1.0 + 9.0 * x[:, 1:].mean(axis=1)
    return np.column_stack([x[:, 0], g * (1.0 - np.sqrt(x[:, 0] / g))])


def zdt3(x: np.ndarray) -> np.ndarray:
    """The same in pieces, and negative in places."""
    g = 1.0 + 9.0 * x[:, 1:].mean(axis=1)
    ratio = x[:, 0] / g
    wave = ratio * np.sin(10.0 * np.pi * x[:, 0])
    return np.column_stack([x[:, 0], g * (1.0 - np.sqrt(ratio) - wave)])


def dtlz2(x: np.ndarray) -> np.ndarray:
    """An eighth of a sphere where all variables but the first two are in the middle."""
    radius = 1.0 + ((x[:, 2:] - 0.5) ** 2).sum(axis=1)
    a, b = 0.5 * np.pi * x[:, 0], 0.5 * np.pi * x[:, 1]
    # away from zero, whose logarithm would stretch the front without end
    return 0.1 + radius[:, None] * np.column_stack(
        [np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)]
    )


def dtlz7(x: np.ndarray) -> np.ndarray:
    """Four separate pieces, three objectives; all variables but the first two are 0."""
    g = 1.0 + 9.0 * x[:, 2:].mean(axis=1)
    waves = x[:, :2] * (1.0 + np.sin(3.0 * np.pi * x[:, :2])) / (1.0 + g[:, None])
    return np.column_stack([x[:, :2], (1.0 + g) * (3.0 - waves.sum(axis=1))])


@attrs.define(kw_only=True, eq=False)
class Known:
    """A problem of the literature; `best` is where the variables after the first `free` belong."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    free: int = 1
    best: int = 0
    width: int = 7
    rules: tuple[str, ...] = ("always",)
    references: tuple[Any, ...] = ()

    @property
    def fingerprint(self) -> str:
        return self.name

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        grid = tuple(np.linspace(0.0, 1.0, TOP + 1))
        return tuple(Parameter(path=f"x{i}", levels=grid) for i in range(self.width))

    @property
    def objectives(self) -> tuple[str, ...]:
        return ("first", "second", "third")[: self.free + 1]

    @property
    def senses(self) -> tuple[str, ...]:
        return ("min",) * (self.free + 1)

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        values = self.function(levels / TOP)
        return Evaluations(objectives=values, margins=np.ones((len(levels), 1)))

    def describe(self) -> dict[str, Any]:
        return {}

    def front(self) -> np.ndarray:
        """The values of the true front, to be maximised."""
        sizes = np.full(self.free, TOP + 1)
        levels = np.full((int(sizes.prod()), self.width), self.best)
        levels[:, : self.free] = decode(np.arange(len(levels)), sizes)
        values = to_maximise(self.function(levels / TOP), self.senses)
        return values[non_dominated(values)]


PROBLEMS = (
    Known(name="zdt1", function=zdt1),
    Known(name="zdt3", function=zdt3),
    Known(name="dtlz2", function=dtlz2, free=2, best=TOP // 2),
    Known(name="dtlz7", function=dtlz7, free=2),
)


def share(problem: Known, method: str, budget: int, seed: int, folder: Path) -> float:
    """How much of the true front's hypervolume a run finds; it finds nothing beyond that front."""
    run(problem, method, budget, seed, folder, attached=Attachment(mirror=False))
    data, front = load(folder), problem.front()
    assert np.all(non_dominated(np.vstack([front, data.values]))[: len(front)])
    ends = front.max(axis=0), front.min(axis=0)
    return hypervolume(data.values[data.front], *ends) / hypervolume(front, *ends)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_hybrid_finds_known_fronts(problem: Known, tmp_path: Path) -> None:
    """With 200 of 17 ** 7 designs it holds most of the volume, NSGA-II and chance far less."""
    found = {
        method: share(problem, method, 200, 1, tmp_path / method)
        for method in ("hybrid", "nsga2", "random")
    }
    assert found["hybrid"] > 0.6
    assert found["hybrid"] > found["nsga2"] + 0.1
    assert found["hybrid"] > found["random"] + 0.1
