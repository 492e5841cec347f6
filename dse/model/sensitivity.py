"""What a design's figures do when one number moves: exact derivatives at one mapping.

Forward mode, in float64, one direction a row, so that one program of a phase serves all leaves of
all systems, models and workloads. The mapping is held, as is the number that a batch is rounded
down by; the batch itself moves with memory and limits as the model solves it. A leaf moves as
`--set` would move it: figures published for what it changes fall away first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import attrs
import jax
import numpy as np

from dse.model.estimate import Setting, result
from dse.model.evaluator import Question, evaluate
from dse.model.once import once
from dse.model.programs import program
from dse.model.pytree import leaves, lower
from dse.model.rules import RULES
from dse.model.transformer import Mapping as Degrees
from dse.spec.fields import Leaf
from dse.spec.space import falls_away
from dse.spec.system import System

CHUNK = 512
"""Rows of one call of the compiled program."""

ASIDE = 1e-7
"""Relative step to either side of a point before its derivative is taken, so that at a kink each
side gives its own. Below what the model forgives where it counts whole pieces (1e-6)."""

BELOW, AT, ABOVE = 1.0 - ASIDE, 1.0, 1.0 + ASIDE

OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_disable_hlo_passes": "fusion,cpu-instruction-fusion",
}
"""The program runs for milliseconds: fused and optimised it compiles ten times as long."""

COUNTED = frozenset(path for rule in RULES for path in rule.paths)
"""Counts that rules weigh against their limits move between their whole numbers, too."""


@attrs.frozen(kw_only=True, eq=False)
class Number:
    """One leaf of a system or of what is asked of it, by its path as `--set` takes it.

    `place` among all leaves; `stale` the places of the figures that fall away when it changes.
    """

    path: str
    leaf: Leaf
    value: float
    place: int
    stale: tuple[int, ...] = ()

    @property
    def of_system(self) -> bool:
        """Whether it is a leaf of the system, not of what is asked of it."""
        return _of_system(self.path)


@attrs.frozen(kw_only=True, eq=False)
class Slopes:
    """k rows: metrics and margins [k] in SI by name, and what they gain for a leaf's own value.

    A slope is d value / d ln leaf.
    """

    metrics: Mapping[str, np.ndarray]
    margins: Mapping[str, np.ndarray]
    metric_slopes: Mapping[str, np.ndarray]
    margin_slopes: Mapping[str, np.ndarray]

    def elasticity(self, metric: str) -> np.ndarray:
        """d ln metric / d ln leaf, [k]; nan where the metric is zero."""
        value = np.asarray(self.metrics[metric])
        with np.errstate(all="ignore"):
            return np.asarray(np.where(value != 0.0, self.metric_slopes[metric] / value, np.nan))

    def use(self, rule: str) -> np.ndarray:
        """d ln (value / limit) / d ln leaf of a rule, [k]; nan where it has no limit."""
        share = 1.0 - np.asarray(self.margins[rule])
        with np.errstate(all="ignore"):
            return np.asarray(np.where(share > 0.0, -self.margin_slopes[rule] / share, np.nan))


@attrs.frozen(kw_only=True)
class Step:
    """A count one lower or higher: relative changes of metrics, each design at its best mapping.

    None where the step leaves the bounds of its field or nothing is feasible.
    """

    number: Number
    below: Mapping[str, float] | None
    above: Mapping[str, float] | None


class Point:
    """A system of the language under a question, as numbers: `values` [n] and where each stands."""

    def __init__(self, system: System, question: Question) -> None:
        self.phase = question.workload.phase
        self.setting: Setting = question.setting
        self.system: System = lower(system)
        self.values = np.asarray(jax.tree.leaves((self.system, self.setting)), np.float64)
        values = self.values.tolist()
        self.numbers = {
            path: Number(
                path=path,
                leaf=leaf,
                value=values[place],
                place=place,
                stale=tuple(other for other in stale if values[other] != 0.0),
            )
            for place, path, leaf, stale in _layout(system, self.system, self.setting)
        }

    @property
    def continuous(self) -> list[Number]:
        """The numbers that are no counts and not absent."""
        return [n for n in self.numbers.values() if n.leaf.sort == "quantity" and n.value != 0.0]

    @property
    def weighed(self) -> list[Number]:
        """The continuous numbers, and counts that rules weigh against their limits."""
        counts = [n for n in self.numbers.values() if n.path in COUNTED and n.leaf.sort == "count"]
        return self.continuous + [n for n in counts if n.value != 0.0]

    @property
    def counts(self) -> list[Number]:
        """The counts of the system."""
        return [n for n in self.numbers.values() if n.leaf.sort == "count" and n.of_system]

    def moved(self, number: Number, value: float) -> np.ndarray:
        """All values [n] with one of them changed, and without what is then stale."""
        made = self.values.copy()
        made[list(number.stale)] = 0.0
        made[number.place] = value
        return made


_LAYOUTS: dict[Any, list[tuple[int, str, Leaf, tuple[int, ...]]]] = {}


def _layout(
    system: System, lowered: System, setting: Setting
) -> list[tuple[int, str, Leaf, tuple[int, ...]]]:
    """Place, path and declaration of each number, and the places of what falls away with it.

    All systems without free values have the same.
    """
    structure = jax.tree.structure((lowered, setting))
    if structure not in _LAYOUTS:
        named = list(_named(lowered, setting))
        places = {path: place for place, (path, _) in enumerate(named)}
        _LAYOUTS[structure] = [
            (place, path, leaf, tuple(places[p] for p in falls_away(system, path)))
            if _of_system(path)
            else (place, path, leaf, ())
            for place, (path, leaf) in enumerate(named)
            if leaf.numeric and not path.endswith("dollar_year") and "announced." not in path
        ]
    return _LAYOUTS[structure]


def _of_system(path: str) -> bool:
    return path.partition(".")[0] not in Setting._fields


def _named(system: System, setting: Setting) -> Iterator[tuple[str, Leaf]]:
    """(path, declaration) of every leaf, in the order in which JAX flattens both."""
    for path, leaf, _ in leaves(system):
        yield path, leaf
    for part in Setting._fields[:-1]:
        for path, leaf, _ in leaves(getattr(setting, part), f"{part}."):
            yield path, leaf


def slopes(asked: Sequence[tuple[Point, Number | None, float]], rows: np.ndarray) -> Slopes:
    """Derivatives of all figures: of points, each to a number times a factor, at `rows` [k, 8].

    All points are of one phase. Without a number nothing moves.
    """
    first = asked[0][0]
    values = np.stack([p.moved(n, n.value * factor) if n else p.values for p, n, factor in asked])
    places = np.array([number.place if number else 0 for _, number, _ in asked])
    moving = np.array([number is not None for _, number, _ in asked])
    degrees = np.asarray(rows, np.float64)
    run = _program(first.phase, *map(jax.tree.structure, (first.system, first.setting)))
    parts = []
    with jax.enable_x64(True):
        for start in range(0, len(values), CHUNK):
            members = np.minimum(np.arange(start, start + CHUNK), len(values) - 1)
            each = np.arange(CHUNK)
            directions = np.zeros((CHUNK, values.shape[1]))
            whole = values[members, places[members]]
            directions[each, places[members]] = np.where(moving[members], whole, 0.0)
            made = run(values[members].T, directions.T, degrees[members].T)
            parts.append(jax.tree.map(np.asarray, made))
    found = jax.tree.map(lambda *each: np.concatenate(each)[: len(values)], *parts)
    (metrics, margins), (metric_slopes, margin_slopes) = found
    return Slopes(
        metrics=metrics, margins=margins, metric_slopes=metric_slopes, margin_slopes=margin_slopes
    )


@cache
def _program(phase: str, system: Any, setting: Any) -> Any:
    """The compiled figures and their derivatives along a direction, for CHUNK rows."""
    number = system.num_leaves

    def figures(values: tuple[Any, ...], row: tuple[Any, ...]) -> Any:
        design = jax.tree.unflatten(system, values[:number])
        common = jax.tree.unflatten(setting, values[number:])
        made = result(design, common, Degrees(*row), phase)
        return made.metrics, dict(made.margins)

    lean = once(figures)

    def along(values: Any, direction: Any, row: Any) -> Any:
        held = tuple(row)
        return jax.jvp(lambda *each: lean(each, held), tuple(values), tuple(direction))

    return program(f"{phase}-slopes", jax.vmap(along, in_axes=(1, 1, 1)), OPTIONS)


def steps(point: Point, question: Question) -> list[Step]:
    """What each count of the system does one lower and one higher, mappings chosen anew."""
    numbers = point.counts
    asked = [(n, n.value + change) for n in numbers for change in (0.0, -1.0, 1.0)]
    table = np.stack([point.moved(number, value) for number, value in asked])
    system: Any = jax.tree.structure(point.system)
    designs = jax.tree.unflatten(system, list(table.T[: system.num_leaves]))
    found = evaluate(designs, question)

    def change(place: int, to: int) -> Mapping[str, float] | None:
        number, value = asked[to]
        legal = number.leaf.low <= value <= number.leaf.high
        if not (legal and found.feasible[place] and found.feasible[to]):
            return None
        with np.errstate(all="ignore"):
            return {
                name: float(v[to] / v[place]) - 1.0 if v[place] else float("nan")
                for name, v in found.metrics.items()
            }

    return [
        Step(number=number, below=change(3 * i, 3 * i + 1), above=change(3 * i, 3 * i + 2))
        for i, number in enumerate(numbers)
    ]
