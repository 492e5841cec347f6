"""A free parameter is a value: a choice, a range or an uncertain number in place of a figure."""

from __future__ import annotations

import math
from typing import Any

import attrs


class Free:
    """A value that is not fixed yet."""

    def samples(self) -> tuple[Any, ...]:
        """Values that stand for all of it, when bounds are checked."""
        raise NotImplementedError

    def levels(self) -> tuple[Any, ...]:
        """The legal values a search may take, in order; empty for what is sampled."""
        raise NotImplementedError

    def typical(self) -> Any:
        """The value taken where one is needed and none was bound."""
        raise NotImplementedError


@attrs.frozen
class Choice(Free):
    """One of a list of values: numbers, words or whole specs."""

    values: tuple[Any, ...] = attrs.field(converter=tuple)

    def samples(self) -> tuple[Any, ...]:
        return self.values

    def levels(self) -> tuple[Any, ...]:
        return self.values

    def typical(self) -> Any:
        return self.values[0]


@attrs.frozen(kw_only=True)
class Range(Free):
    """Numbers between `low` and `high`, in SI.

    `step` gives an arithmetic grid; `spacing` "log" or "powers-of-two" other grids; without a
    step a search takes `points` values. `whole` rounds to whole numbers.
    """

    low: float
    high: float
    step: float = 0.0
    spacing: str = "linear"
    points: int = 9
    whole: bool = False

    def samples(self) -> tuple[float, ...]:
        return (self.low, self.high)

    def levels(self) -> tuple[float, ...]:
        values = list(self._grid())
        if self.whole:
            values = [float(round(v)) for v in values]
        return tuple(dict.fromkeys(values))

    def _grid(self) -> list[float]:
        if self.spacing == "powers-of-two":
            first = math.ceil(math.log2(self.low) - 1e-9)
            last = math.floor(math.log2(self.high) + 1e-9)
            return [2.0**k for k in range(first, last + 1)]
        if self.step:
            # 1e-9: a step such as 0.1 must still reach an upper end of 0.3
            number = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            return [self.low + k * self.step for k in range(number)]
        shares = [k / max(self.points - 1, 1) for k in range(self.points)]
        if self.spacing == "log":
            return [self.low * (self.high / self.low) ** share for share in shares]
        return [self.low + (self.high - self.low) * share for share in shares]

    def typical(self) -> float:
        return self.levels()[0]


@attrs.frozen(kw_only=True)
class Uncertain(Free):
    """A triangular belief over an SI number: sampled, never searched."""

    low: float
    mode: float
    high: float

    def samples(self) -> tuple[float, ...]:
        return (self.low, self.mode, self.high)

    def levels(self) -> tuple[float, ...]:
        return ()

    def typical(self) -> float:
        return self.mode
