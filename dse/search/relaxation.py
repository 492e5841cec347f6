"""A study between its levels: the model's leaves interpolated, one mapping held, and its slopes.

Between two levels each leaf runs straight, which is exact where the parameter is the leaf. Slopes
are differences over a part of a level: a design with its mapping held costs so little that they
are cheaper than a compiled derivative, which took a minute to trace and gigabytes to compile, and
they look over the steps of a batch that is rounded down.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from functools import cache, cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import jax
import numpy as np

from dse.model.estimate import result
from dse.model.programs import program
from dse.model.transformer import Mapping
from dse.search.ascent import Slopes
from dse.spec.metrics import METRICS

if TYPE_CHECKING:
    from dse.search.problem import StudyProblem

CHUNK = 256
"""Designs of one call."""

VALUE_COST = 0.05
"""What a design costs with its mapping held, in evaluations over all mappings: 0.045 of processor
time in batches of 2,816 of a decode study with two workloads; a part of a call costs more."""

STEP = 0.25
"""Part of a level over which slopes are differences."""


@attrs.define(slots=False)
class StudyRelaxation:
    """Implements `dse.search.ascent.Relaxation` for a study."""

    problem: StudyProblem

    value_cost = VALUE_COST

    @property
    def slope_cost(self) -> float:
        """A value, and one more for each parameter that moves."""
        return (1.0 + float(self.continuous.sum())) * VALUE_COST

    @property
    def continuous(self) -> np.ndarray:
        """[p] True for numbers that are free everywhere: only they may lie between levels."""
        return np.array(
            [p.ordered and not p.needs and len(p.levels) > 1 for p in self.problem.parameters]
        )

    def operate(self, positions: np.ndarray) -> list[dict[str, Any]]:
        """The best mappings of designs at [n, p] positions, as `Evaluations.mapping` has them."""
        found = self.problem._evaluate(self._system(self._packed(positions)))
        return [self.problem._mapping(found, index) for index in range(len(positions))]

    def values(
        self, positions: np.ndarray, mappings: Sequence[Dict[str, Any]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Objectives [n, k] and margins [n, c] with the given mappings and their best batch."""
        metrics, margins = self.attained(positions, mappings)
        return np.stack([metrics[name] for name in self.problem.objectives], axis=1), margins

    def attained(
        self, positions: np.ndarray, mappings: Sequence[Dict[str, Any]]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Metrics [n] by name and margins [n, c] with the given mappings."""
        found = self._found(self._packed(positions), mappings)
        margins = np.stack(list(self.problem.least_margins(found).values()), axis=1)
        return self.problem.mix(found), margins

    def slopes(self, positions: np.ndarray, mappings: Sequence[Dict[str, Any]]) -> Slopes:
        """As `values`, with the slopes to each position; zero where it is not continuous."""
        moving = np.flatnonzero(self.continuous)
        last = np.array([len(p.levels) - 1 for p in self.problem.parameters])
        steps = np.where(positions + STEP <= last, STEP, -STEP)
        points = [np.asarray(positions, dtype=float)]
        for index in moving:
            moved = points[0].copy()
            moved[:, index] += steps[:, index]
            points.append(moved)
        values, margins = self.values(np.vstack(points), [*mappings] * len(points))
        found = [table.reshape(len(points), len(positions), -1) for table in (values, margins)]
        slopes = [np.zeros((*table.shape[1:], len(last))) for table in found]
        for place, index in enumerate(moving):
            for table, slope in zip(found, slopes, strict=True):
                with np.errstate(all="ignore"):
                    moved = (table[1 + place] - table[0]) / steps[:, index, None]
                slope[:, :, index] = np.nan_to_num(moved, nan=0.0, posinf=0.0, neginf=0.0)
        return Slopes(
            objectives=found[0][0],
            margins=found[1][0],
            objective_slopes=slopes[0],
            margin_slopes=slopes[1],
        )

    def _packed(self, positions: np.ndarray) -> np.ndarray:
        """The model's leaves [l, n] at positions."""
        leaves, changes = self.problem._tables
        packed = np.repeat(np.array(leaves, np.float32)[:, None], len(positions), axis=1)
        for leaf, parameter, levels in changes:
            at = positions[:, parameter]
            low = np.clip(np.floor(at).astype(int), 0, max(len(levels) - 2, 0))
            high = np.minimum(low + 1, len(levels) - 1)
            share = (at - low).astype(np.float32)
            packed[leaf] = (1.0 - share) * levels[low] + share * levels[high]
        return packed

    def _system(self, packed: np.ndarray) -> Any:
        return jax.tree.unflatten(self._structure, list(packed))

    @cached_property
    def _structure(self) -> Any:
        first = self.problem._stacked(np.zeros((1, len(self.problem.parameters)), np.int64))
        return jax.tree.structure(first)

    def _found(self, packed: np.ndarray, mappings: Sequence[Dict[str, Any]]) -> list[Any]:
        """Metrics and margins of each workload with its mappings held."""
        found = []
        for label, question in zip(mappings[0], self.problem.questions, strict=True):
            rows = np.array([mapping_row(mapping[label]) for mapping in mappings], np.float32)
            leaves, setting = jax.tree.flatten(question.setting)
            held = _program(question.workload.phase, self._structure, setting)
            found.append(_chunked(held, packed, np.asarray(leaves, np.float32), rows))
        return found


def mapping_row(mapping: Dict[str, Any]) -> list[float]:
    """A mapping as output has it, as a row of the mapping table."""
    usual = Mapping._field_defaults
    return [float(mapping.get(name, usual.get(name, 1.0))) for name in Mapping._fields]


@cache
def _program(phase: str, system: Any, setting: Any) -> Any:
    """The compiled metrics and margins of designs with their mappings held."""

    def value(designs: Any, common: Any, row: Any) -> Any:
        opened = jax.tree.unflatten(system, list(designs))
        asked = jax.tree.unflatten(setting, list(common))
        made = result(opened, asked, Mapping(*row), phase, None)
        return made.metrics, dict(made.margins)

    return program(f"{phase}-held", jax.vmap(value, in_axes=(1, None, 1)))


def _chunked(held: Any, packed: np.ndarray, common: np.ndarray, rows: np.ndarray) -> Any:
    """Metrics and margins [n] by name, through the program in chunks of one size."""
    parts = []
    count = packed.shape[1]
    for start in range(0, count, CHUNK):
        number = min(CHUNK, count - start)
        members = np.concatenate([np.arange(number), np.zeros(CHUNK - number, int)]) + start
        made = held(packed[:, members], common, rows[members].T)
        parts.append(jax.tree.map(lambda x, n=number: np.asarray(x, np.float64)[:n], made))
    metrics, margins = jax.tree.map(lambda *each: np.concatenate(each), *parts)
    return SimpleNamespace(metrics={name: metrics[name] for name in METRICS}, margins=margins)
