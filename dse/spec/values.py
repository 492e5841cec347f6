"""A free parameter is a value: a choice, a range or an uncertain number in place of a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import attrs

from dse.errors import Finding, SpecError, nearest

MAXIMUM_LEVELS = 10_000
SPACINGS = ("linear", "log", "powers-of-two")
_POINTS = 9


def is_free(raw: object) -> bool:
    """Whether a file's value is a choice, a range or an uncertain number."""
    if not isinstance(raw, Mapping):
        return False
    return "choice" in raw or "range" in raw or {"low", "high"} <= raw.keys()


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
    """One of a list of values: numbers, words or whole specs. SpecError if it is empty."""

    values: tuple[Any, ...] = attrs.field(converter=tuple)

    def __attrs_post_init__(self) -> None:
        if not self.values:
            _refuse("an empty choice", "at least one value")
        if len(self.values) > MAXIMUM_LEVELS:
            _refuse(f"a choice of {len(self.values)} values", f"at most {MAXIMUM_LEVELS}")
        if any(isinstance(value, Free) for value in self.values):
            _refuse("a free value inside a choice", "plain values")

    def samples(self) -> tuple[Any, ...]:
        return self.values

    def levels(self) -> tuple[Any, ...]:
        return self.values

    def typical(self) -> Any:
        return self.values[0]


@attrs.frozen(kw_only=True)
class Range(Free):
    """Numbers between `low` and `high`, in SI, both included. SpecError if it holds none.

    `step` gives an arithmetic grid; `spacing` "log" a geometric one of so many `points`,
    "powers-of-two" what the name says. With neither, a search takes 9 points, or every whole
    number if `whole`.
    """

    low: float
    high: float
    step: float = 0.0
    spacing: str = "linear"
    points: int = 0
    whole: bool = False

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            _refuse("a range out of order", "range = [low, high]")
        self._check_grid()
        if not self._count():
            _refuse("an empty range", "at least one level between its ends")
        if self._count() > MAXIMUM_LEVELS:
            _refuse(f"a range of {self._count()} levels", f"at most {MAXIMUM_LEVELS}")

    def _check_grid(self) -> None:
        if self.spacing not in SPACINGS:
            hint = nearest(str(self.spacing), SPACINGS)
            _refuse(f"unknown spacing {self.spacing!r}", "one of " + ", ".join(SPACINGS), hint)
        if not 0 <= self.step < math.inf:
            _refuse("a step below zero", "a step above zero")
        if not 0 <= self.points <= MAXIMUM_LEVELS:
            _refuse(f"found points = {self.points}", f"between 1 and {MAXIMUM_LEVELS}")
        if self.spacing != "linear" and self.low <= 0:
            _refuse(f"a {self.spacing} range from {self.low:g}", "a low end above zero")
        if self.whole and self.step != int(self.step):
            _refuse(f"a step of {self.step:g} between whole numbers", "a whole step")
        grids = [self.step, self.points and self.spacing != "log", self.spacing != "linear"]
        if sum(map(bool, grids)) > 1:
            _refuse("more than one grid", "step, or points, or spacing (points with log only)")

    @property
    def _step(self) -> float:
        every = self.whole and self.spacing == "linear" and not self.points
        return self.step or (1.0 if every else 0.0)

    def _powers(self) -> range:
        # 1e-9: the logarithm of a power of two may miss its exponent by a rounding error
        first = math.ceil(math.log2(self.low) - 1e-9)
        return range(first, math.floor(math.log2(self.high) + 1e-9) + 1)

    def _count(self) -> int:
        if self.spacing == "powers-of-two":
            return len(self._powers())
        if self._step:
            # 1e-9: a step such as 0.1 must still reach an upper end of 0.3
            return math.floor(min((self.high - self.low) / self._step + 1e-9, 1e9)) + 1
        return self.points or _POINTS

    def samples(self) -> tuple[float, ...]:
        return (self.low, self.high)

    def levels(self) -> tuple[float, ...]:
        values = [min(max(value, self.low), self.high) for value in self._grid()]
        if self.whole:
            values = [float(round(value)) for value in values]
        return tuple(dict.fromkeys(values))

    def _grid(self) -> list[float]:
        if self.spacing == "powers-of-two":
            return [2.0**power for power in self._powers()]
        if self._step:
            return [self.low + k * self._step for k in range(self._count())]
        shares = [k / max(self._count() - 1, 1) for k in range(self._count())]
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

    def __attrs_post_init__(self) -> None:
        if not self.low <= self.mode <= self.high:
            _refuse("low, mode and high are out of order", "low <= mode <= high")

    def samples(self) -> tuple[float, ...]:
        return (self.low, self.mode, self.high)

    def levels(self) -> tuple[float, ...]:
        return ()

    def typical(self) -> float:
        return self.mode


def _refuse(message: str, expected: str, hint: str = "") -> NoReturn:
    raise SpecError(Finding(message=message, expected=expected, hint=hint))
