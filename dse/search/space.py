"""The space of a search: how many designs it has, and one form for each of them.

A parameter whose needs are not met stands at its last level. Rows of level indices that differ
only in such a parameter mean one design; `canonical` is the row that stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import attrs
import numpy as np

from dse.search.levels import decode
from dse.search.protocol import Parameter

_BLOCK = 1 << 16


@attrs.frozen(eq=False)
class Space:
    """The parameters of a search, and what follows from their levels and needs."""

    parameters: Sequence[Parameter]

    @property
    def sizes(self) -> np.ndarray:
        """[p] levels of each parameter, the level of those that are not free included."""
        return np.array([len(p.levels) for p in self.parameters], dtype=np.int64)

    @property
    def conditional(self) -> bool:
        """Whether any parameter has needs."""
        return any(parameter.needs for parameter in self.parameters)

    def canonical(self, levels: np.ndarray) -> np.ndarray:
        """The rows [n, p] that stand for the same designs as `levels`, in one form each."""
        if not self.conditional:
            return levels
        made = np.array(levels, dtype=np.int64)
        for index in self._order():
            parameter, last = self.parameters[index], len(self.parameters[index].levels) - 1
            free = self._free(parameter, made)
            # the last level stands for "not free": where it is drawn though free, take the first
            column = np.where(made[:, index] == last, 0, made[:, index])
            made[:, index] = np.where(free, column, last)
        return made

    def _free(self, parameter: Parameter, levels: np.ndarray) -> np.ndarray:
        free = np.ones(len(levels), dtype=bool)
        for other, allowed in parameter.needs:
            free &= np.isin(levels[:, other], list(allowed))
        return free

    @property
    def order(self) -> list[int]:
        """All parameters, those that others rest on first."""
        return [i for i, p in enumerate(self.parameters) if not p.needs] + self._order()

    def _order(self) -> list[int]:
        """Conditional parameters, those that others rest on first."""
        order: list[int] = []
        left = [i for i, parameter in enumerate(self.parameters) if parameter.needs]
        while left:
            ready = [i for i in left if not any(o in left for o, _ in self.parameters[i].needs)]
            if not ready:
                raise ValueError("parameters need each other in a circle")
            order += ready
            left = [i for i in left if i not in ready]
        return order

    def codes(self) -> np.ndarray:
        """The mixed radix numbers [n] of all designs in order; for spaces that are enumerated."""
        raw = math.prod(self.sizes.tolist())
        if not self.conditional:
            return np.arange(raw)
        kept = []
        for start in range(0, raw, _BLOCK):
            block = np.arange(start, min(start + _BLOCK, raw))
            levels = decode(block, self.sizes)
            kept.append(block[(self.canonical(levels) == levels).all(axis=1)])
        return np.concatenate(kept)

    @cached_property
    def _needed(self) -> list[int]:
        return sorted({other for p in self.parameters for other, _ in p.needs})

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """All levels [g, q] that the parameters on which others rest take together, and how many
        designs [g] have each: exact whole numbers, as a space may have more than 64 bits count."""
        needed = self._needed
        rest = [p for i, p in enumerate(self.parameters) if i not in needed]
        plain = math.prod(len(p.levels) for p in rest if not p.needs)
        sizes, rows, ways = self.sizes[needed], [], []
        for start in range(0, raw := math.prod(sizes.tolist()), _BLOCK):
            block = np.arange(start, min(start + _BLOCK, raw))
            levels = np.zeros((len(block), len(self.parameters)), dtype=np.int64)
            levels[:, needed] = decode(block, sizes)
            same = (self.canonical(levels) == levels)[:, needed].all(axis=1)
            number = np.full(int(same.sum()), plain, dtype=object)
            for parameter in (p for p in rest if p.needs):
                free = self._free(parameter, levels[same])
                number = number * np.where(free, len(parameter.levels) - 1, 1).astype(object)
            rows.append(levels[same][:, needed])
            ways.append(number)
        return np.concatenate(rows), np.concatenate(ways)

    @cached_property
    def _ends(self) -> np.ndarray:
        """[g] one past the last design of each group; 64 bits where that is enough."""
        ends = np.cumsum(self._groups[1])
        return ends.astype(np.int64) if int(ends[-1]) < 2**63 else ends

    def size(self) -> int:
        """How many designs there are."""
        return int(self._groups[1].sum())

    def block(self, start: int, stop: int) -> np.ndarray:
        """Designs `start` to `stop` of all in a fixed order, [n, p] in their canonical form.

        Parameters on which others rest turn slowest, of the others the last one fastest. Takes the
        memory of this block alone, wherever it lies.
        """
        ends, (rows, ways) = self._ends, self._groups
        numbers = start + np.arange(stop - start).astype(ends.dtype)
        group = np.searchsorted(ends, numbers, side="right")
        rest = numbers - (ends - ways.astype(ends.dtype))[group]
        levels = np.zeros((len(numbers), len(self.parameters)), dtype=np.int64)
        levels[:, self._needed] = rows[group]
        for index in reversed(range(len(self.parameters))):
            if index in self._needed:
                continue
            parameter, last = self.parameters[index], len(self.parameters[index].levels) - 1
            free = self._free(parameter, levels)
            taken = last if parameter.needs else last + 1
            radix = np.where(free, taken, 1).astype(ends.dtype)
            levels[:, index] = np.where(free, rest % radix, last)
            rest = rest // radix
        return levels


def space_size(parameters: Sequence[Parameter]) -> int:
    """How many designs there are."""
    return Space(parameters).size()
