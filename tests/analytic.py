"""A problem whose front is known (ZDT1 over levels, with rules and metrics), and a run of it.

As a script it searches: `analytic.py FOLDER METHOD BUDGET [URL]`, and prints each reported batch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from dse.search.attach import Attachment
from dse.search.protocol import Evaluations, Parameter
from dse.search.record import load
from dse.search.run import RunResult, run

TOP = 15


def space(numbers: int, names: int) -> tuple[Parameter, ...]:
    """Numbers from 0 to 1 in 16 steps, names, and a clock that only the name "b" leaves free."""
    grid = tuple(np.linspace(0.0, 1.0, TOP + 1))
    last = numbers + names - 1
    return (
        *(Parameter(path=f"x{i}", levels=grid) for i in range(numbers)),
        *(Parameter(path=f"n{i}", levels=("a", "b", "c"), ordered=False) for i in range(names)),
        Parameter(path="clock", levels=(1, 2, 4, 0), needs=((last, frozenset({1})),)),
    )


@attrs.define(kw_only=True)
class Zdt1:
    """Two objectives to minimise; names and clock add to the second, one rule cuts a corner."""

    name: str = "zdt1"
    fingerprint: str = "abc"
    parameters: tuple[Parameter, ...] = space(5, 2)
    objectives: tuple[str, ...] = ("first", "second")
    senses: tuple[str, ...] = ("min", "min")
    rules: tuple[str, ...] = ("corner", "always")
    references: tuple[Any, ...] = ()
    pause: float = 0.0

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        time.sleep(self.pause)
        numbers = sum(parameter.path.startswith("x") for parameter in self.parameters)
        x, rest = levels[:, :numbers] / TOP, levels[:, numbers:]
        g = 1.0 + 9.0 * x[:, 1:].mean(axis=1)
        second = g * (1.0 - np.sqrt(x[:, 0] / g)) + 0.1 * rest.sum(axis=1)
        return Evaluations(
            objectives=np.column_stack([0.1 + x[:, 0], 1.0 + second]),
            margins=np.column_stack([0.9 - x[:, 0], np.ones(len(x))]),
            metrics={"g": g, "unbounded": np.full(len(x), np.inf)},
            mapping=[{"tp": int(level)} for level in levels[:, 0]],
        )

    def describe(self) -> dict[str, Any]:
        each = [{"path": p.path, "values": list(p.levels)} for p in self.parameters]
        return {"study": self.name, "parameters": each}


def search(folder: Path, method: str = "nsga2", budget: int = 200, **options: Any) -> RunResult:
    """A run of seed 7 with batches of 40; `url` and `mirror` say what it is attached to."""
    attached = Attachment(url=options.pop("url", None), mirror=options.pop("mirror", True))
    problem = options.pop("problem", None) or Zdt1()
    options = {"batch_size": 40, **options}
    return run(problem, method, budget, 7, folder, attached=attached, **options)


def reporting(folder: Path) -> Callable[[Any], None]:
    """Prints what each report adds to the log: index and levels of a design in a line."""
    told = 0

    def report(_: Any) -> None:
        nonlocal told
        levels = load(folder).levels
        lines = [f"{i} {levels[i].tolist()}" for i in range(told, len(levels))]
        told = len(levels)
        print("\n".join(lines), flush=True)

    return report


if __name__ == "__main__":
    place, how, number, *rest = sys.argv[1:]
    search(
        Path(place),
        how,
        int(number),
        url=rest[0] if rest else None,
        problem=Zdt1(pause=0.02),
        on_progress=reporting(Path(place)),
    )
