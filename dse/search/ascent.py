"""Constrained ascent over a continuous relaxation: many starts at once, each with its own aim.

Ordered numbers run between their least and greatest level, on a logarithmic scale where that says
more; names stand still. Rules and epsilon-constraints are held by an augmented Lagrangian
(Nocedal and Wright, Numerical Optimization, 2006, chapter 17.3), steps are those of Adam (Kingma
and Ba, ICLR 2015). All is plain numpy; only the relaxation knows what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from dse.search.protocol import Parameter

ROUNDS = 2
"""How often an ascent chooses its mapping anew."""

STEPS = 6
"""Steps of a round."""

STRIDE = 0.12
"""Length of the first steps, as a share of a parameter's width; the last are a quarter of it."""

DEEPEST = 1.0
"""A rule violated by more than its limit pulls no harder."""


@attrs.frozen(kw_only=True, eq=False)
class Slopes:
    """Objectives [n, k] and margins [n, c] of n designs, and their slopes [n, k or c, p].

    Slopes are to positions (levels between levels), zero where a parameter does not move.
    """

    objectives: np.ndarray
    margins: np.ndarray
    objective_slopes: np.ndarray
    margin_slopes: np.ndarray


class Relaxation(Protocol):
    """A problem between its levels. Positions [n, p] are level indices that need not be whole.

    `mappings` are what `operate`, or `Evaluations.mapping` of a design, says: the discrete part of
    how a design is used, held while it moves. Costs are in evaluations, declared and not timed, so
    that a search follows from its log.
    """

    @property
    def continuous(self) -> np.ndarray:
        """[p] True for parameters that may lie between levels."""
        ...

    @property
    def value_cost(self) -> float: ...

    @property
    def slope_cost(self) -> float: ...

    def operate(self, positions: np.ndarray) -> list[dict[str, Any]]:
        """The best mapping of each design: costs an evaluation each."""
        ...

    def values(
        self, positions: np.ndarray, mappings: Sequence[Mapping[str, Any]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Objectives [n, k] and margins [n, c] of designs with their mappings held."""
        ...

    def slopes(self, positions: np.ndarray, mappings: Sequence[Mapping[str, Any]]) -> Slopes:
        """The same, with their slopes."""
        ...


class Axes:
    """Between positions and coordinates: 0 to 1 over a parameter's width, names as they are."""

    def __init__(self, parameters: Sequence[Parameter], continuous: np.ndarray) -> None:
        self.moving = np.asarray(continuous, dtype=bool)
        self.grids = [
            _grid(parameter.levels) if moves else np.arange(len(parameter.levels), dtype=float)
            for parameter, moves in zip(parameters, self.moving, strict=True)
        ]

    def coordinates(self, positions: np.ndarray) -> np.ndarray:
        """[n, p] coordinates of positions."""
        columns = zip(np.asarray(positions, dtype=float).T, self.grids, strict=True)
        return np.stack([np.interp(c, np.arange(len(g)), g) for c, g in columns], axis=1)

    def positions(self, coordinates: np.ndarray) -> np.ndarray:
        """[n, p] positions of coordinates."""
        columns = zip(coordinates.T, self.grids, strict=True)
        return np.stack([np.interp(c, g, np.arange(len(g))) for c, g in columns], axis=1)

    def stretch(self, positions: np.ndarray) -> np.ndarray:
        """[n, p] what a step of the coordinate moves the position by; zero for names."""
        made = np.zeros(positions.shape)
        for index in np.flatnonzero(self.moving):
            gaps = np.diff(self.grids[index])
            low = np.clip(np.floor(positions[:, index]).astype(int), 0, len(gaps) - 1)
            made[:, index] = 1.0 / gaps[low]
        return made


def _grid(levels: Sequence[Any]) -> np.ndarray:
    """Levels on 0 to 1: by logarithm where all are positive and span more than a factor of two."""
    values = np.array([float(level) for level in levels])
    if not np.all(np.diff(values) > 0.0):
        values = np.arange(len(levels), dtype=float)
    elif values[0] > 0.0 and values[-1] > 2.0 * values[0]:
        values = np.log(values)
    return np.asarray((values - values[0]) / (values[-1] - values[0]))


@attrs.frozen(kw_only=True, eq=False)
class Aim:
    """What each of n starts wants, in merits: objectives to be maximised, on a log scale.

    `weights` [n, k] over merits; `floors` [n, k] that merits must not fall below (-inf: none);
    `width` [k] by which a merit is measured; `signs` [k] 1 to maximise, -1 to minimise;
    `logarithmic` [k] whether the merit is the logarithm.
    """

    weights: np.ndarray
    floors: np.ndarray
    width: np.ndarray
    signs: np.ndarray
    logarithmic: np.ndarray

    def of(self, rows: np.ndarray) -> Aim:
        """The aims of some starts, in this order."""
        return attrs.evolve(self, weights=self.weights[rows], floors=self.floors[rows])

    def merits(self, objectives: np.ndarray) -> np.ndarray:
        """[n, k] merits of objectives, in widths."""
        sizes = np.log(np.maximum(objectives, 1e-30))
        return np.asarray(np.where(self.logarithmic, sizes, objectives) * self.signs / self.width)

    def merit_slopes(self, at: Slopes) -> np.ndarray:
        """[n, k, p] slopes of merits."""
        size = np.where(self.logarithmic, np.maximum(at.objectives, 1e-30), 1.0)
        factor = self.signs / self.width / size
        return np.asarray(at.objective_slopes * factor[:, :, None])

    def slack(self, merits: np.ndarray) -> np.ndarray:
        """[n, k] by how much merits exceed their floors; one where there is none."""
        bound = np.isfinite(self.floors)
        return np.where(bound, merits - np.where(bound, self.floors, 0.0), 1.0)

    def score(self, objectives: np.ndarray, margins: np.ndarray, penalty: float) -> np.ndarray:
        """[n] weighted merits less `penalty` times what rules and floors are violated by."""
        merits = self.merits(objectives)
        short = np.minimum(np.hstack([margins, self.slack(merits)]), 0.0)
        short = np.maximum(np.nan_to_num(short, nan=-DEEPEST), -10.0 * DEEPEST)
        wanted = np.nan_to_num((self.weights * merits).sum(axis=1), nan=-1e9)
        return np.asarray(wanted + penalty * short.sum(axis=1))


def ascend(
    relaxation: Relaxation, axes: Axes, start: np.ndarray, aim: Aim
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Where n ascents from [n, p] positions end, and their last mappings."""
    at = axes.coordinates(start)
    held = _Lagrangian()
    first, second = np.zeros(at.shape), np.zeros(at.shape)
    mappings: list[dict[str, Any]] = []
    for count in range(ROUNDS * STEPS):
        positions = axes.positions(at)
        if count % STEPS == 0:
            mappings = relaxation.operate(positions)
        found = relaxation.slopes(positions, mappings)
        pull = held.gradient(found, aim) * axes.stretch(positions)
        pull = np.nan_to_num(pull, nan=0.0, posinf=0.0, neginf=0.0)
        first = 0.8 * first + 0.2 * pull
        second = 0.95 * second + 0.05 * pull**2
        direction = (first / (1.0 - 0.8 ** (count + 1))) / (
            np.sqrt(second / (1.0 - 0.95 ** (count + 1))) + 1e-9
        )
        stride = STRIDE * 0.25 ** (count / (ROUNDS * STEPS))
        at = np.where(axes.moving, np.clip(at + stride * direction, 0.0, 1.0), at)
    return axes.positions(at), mappings


def ascent_cost(relaxation: Relaxation) -> float:
    """What one start of `ascend` costs, in evaluations."""
    return ROUNDS * (1.0 + STEPS * relaxation.slope_cost)


class _Lagrangian:
    """The multipliers of rules and floors, and the penalty that rises over the steps."""

    def __init__(self) -> None:
        self.penalty = 5.0
        self.multipliers: np.ndarray | None = None
        self.count = 0

    def gradient(self, at: Slopes, aim: Aim) -> np.ndarray:
        """[n, p] slope of the Lagrangian; multipliers move every third step."""
        merits, slopes = aim.merits(at.objectives), aim.merit_slopes(at)
        room = np.clip(np.hstack([at.margins, aim.slack(merits)]), -DEEPEST, DEEPEST)
        walls = np.concatenate([at.margin_slopes, slopes], axis=1)
        held = np.zeros(room.shape) if self.multipliers is None else self.multipliers
        force = np.maximum(held - self.penalty * room, 0.0)
        self.count += 1
        if self.count % 3 == 0:
            self.multipliers = np.minimum(force, 100.0)
            self.penalty *= 1.3
        wanted = np.einsum("nk,nkp->np", aim.weights, slopes)
        return np.asarray(wanted + np.einsum("nc,ncp->np", force, walls))
