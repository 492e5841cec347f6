"""Efficiencies of a software stack, fitted to measured rows by gradient through the model.

The loss is the weighted mean of |log(predicted / measured)|, quadratic near zero (Huber 1964).
Variables are logarithms between bounds; L-BFGS-B minimises. Versions of a stack share its fitted
numbers and differ by one factor, `maturity`. Errors come in four kinds: of the rows fitted, of
rows left out in turn, of sources and systems left out whole, and of families of compute dies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import jax
import numpy as np

from dse.evidence.prediction import Batch, Row, predict, slopes
from dse.evidence.summary import Summary as Summary
from dse.evidence.summary import summary as summary
from dse.model.pytree import lower, replace
from dse.spec.workload import Software

HUBER = 0.05
"""Error below which the loss is quadratic, so that the gradient has no jump at zero."""

MATURITY_SPREAD = 0.15
"""Spread of the logarithm of a version's maturity about one that is thought likely."""

STEPS = 200
"""Most steps of the minimiser."""

NORMAL_95 = 1.96
"""Standard errors to either side of a 95 % interval."""

LEAST = 1e-30
"""Predictions are not smaller where logarithms are taken of them."""

ALIKE = 0.2
"""Correlation of the errors of rows of one source, system and model: an assumption. Counted as
independent (0) a large file outvotes all others, as one and the same (1) a small one does."""

RIDGE = 1e-6
"""Least curvature of a variable: one that no row depends on has a wide interval, not an infinite
one."""

Free = Mapping[str, tuple[float, float]]
"""Fields of a stack to fit, each with its bounds."""


def _lowered(stack: Software) -> Software:
    return lower(stack)


def _columns(stack: Software, number: int) -> Software:
    """A stack whose leaves are one value or [number] of them, as [number] of each."""

    def column(leaf: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(leaf, np.float32), (number,))

    return jax.tree.map(column, stack)


def _unversioned(_: Row) -> str:
    return ""


def _no_elder(_: str) -> str:
    return ""


def _nothing(_: Row) -> Mapping[str, float]:
    return {}


@attrs.frozen(kw_only=True)
class Numbers:
    """Fitted numbers by field, and their 95 % intervals."""

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]


@attrs.frozen(kw_only=True, eq=False)
class Fit:
    """A fitted stack, or several that were fitted together.

    stack: lowered, with the fitted values and maturity 1; values and intervals by field, of what
    is common to all stacks; `own`: those of each stack, where there are several; maturity by
    version; `errors` [n] log(predicted / measured) of `rows`, one entry for each row and metric;
    `fitted` [n] says which of them the fit has seen.
    """

    stack: Software
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    own: dict[str, Numbers]
    maturity: dict[str, float]
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    errors: np.ndarray
    fitted: np.ndarray
    loss: float


@attrs.define(slots=False, eq=False)
class Problem:
    """What is fitted to what. Programs are the tables' own, so that all folds and fits share them.

    `spreads` pull logarithms of fields towards the starting stack's, as a prior of that standard
    deviation. `version` names a row's version, empty for one that is its stack's own; `variant`
    gives the fields in which that version differs by what it is (unfused attention), which no fit
    changes. `group` names a row's stack: where there are several, each has fields of its own, and
    `apart` are the standard deviations of their logarithms about what is common to all (partial
    pooling: Gelman and Hill 2007, chapter 12); both are fitted at once, so that a stack of few
    rows is drawn to the others. `elder` names the version that a version is thought to be like;
    without one it is thought to be like its stack. Variables: common
    fields, each stack's fields, maturities.
    """

    batches: Sequence[Batch]
    stack: Software = attrs.field(converter=_lowered)
    free: Free
    version: Callable[[Row], str] = attrs.field(default=_unversioned)
    spreads: Mapping[str, float] = attrs.field(factory=dict)
    variant: Callable[[Row], Mapping[str, float]] = attrs.field(default=_nothing)
    group: Callable[[Row], str] = attrs.field(default=_unversioned)
    apart: Mapping[str, float] = attrs.field(factory=dict)
    elder: Callable[[str], str] = attrs.field(default=_no_elder)

    @cached_property
    def places(self) -> list[tuple[int, int, int]]:
        """(batch, row, metric) of every measured value."""
        return [
            (b, r, m)
            for b, batch in enumerate(self.batches)
            for r, m in zip(*np.nonzero(np.isfinite(batch.measured)), strict=True)
        ]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The row of every measured value."""
        return tuple(self.batches[b].rows[r] for b, r, _ in self.places)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metric of every measured value."""
        return tuple(self.batches[b].metrics[m] for b, _, m in self.places)

    @cached_property
    def weights(self) -> np.ndarray:
        """[n] for how many independent values each counts: those of the same source, system and
        model are alike (design effect: Kish, Survey Sampling, 1965, section 5.4)."""
        groups = [(row.source, row.system, row.model) for row in self.rows]
        sizes = Counter(groups)
        return np.array([1.0 / (1.0 + (sizes[group] - 1) * ALIKE) for group in groups])

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """Versions of the rows that have a factor of their own, in order."""
        found = {self.version(row) for row in self.rows}
        return tuple(sorted(found - {""})) if len(found) > 1 else ()

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Stacks with fields of their own, in order; none where there is but one."""
        found = sorted({self.group(row) for row in self.rows})
        return tuple(found) if len(found) > 1 else ()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Fields that are fitted, in order."""
        return tuple(self.free)

    @cached_property
    def bounds(self) -> list[tuple[float, float]]:
        """Bounds of the variables: fields, each stack's own, the maturity of each version."""
        pairs = self.free.items()
        found = [(self._inner(n, low), self._inner(n, high)) for n, (low, high) in pairs]
        factors = [(np.log(0.5), np.log(2.0))] * len(self.versions)
        return found * (1 + len(self.groups)) + factors

    @property
    def _first_factor(self) -> int:
        return len(self.fields) * (1 + len(self.groups))

    def _logarithmic(self, name: str) -> bool:
        return self.free[name][0] > 0.0

    def _inner(self, name: str, value: float) -> float:
        """A field's value as a variable: its logarithm, or its share of the upper bound."""
        return float(np.log(value)) if self._logarithmic(name) else value / self.free[name][1]

    @cached_property
    def start(self) -> np.ndarray:
        """The variables of the starting stack, inside the bounds."""
        at = []
        for name, (low, high) in self.free.items():
            value = float(getattr(self.stack, name))
            at.append(self._inner(name, min(max(value or 0.5 * (low + high), low), high)))
        return np.array([*at * (1 + len(self.groups)), *[0.0] * len(self.versions)])

    def _outer(self, name: str, inner: Any) -> Any:
        """A variable as the field's value."""
        return np.exp(inner) if self._logarithmic(name) else inner * self.free[name][1]

    def _slope(self, name: str, value: Any) -> Any:
        """The derivative of a field's value by its variable."""
        return value if self._logarithmic(name) else np.full_like(value, self.free[name][1])

    @cached_property
    def taken(self) -> list[np.ndarray]:
        """Of each batch [n, fields + 1]: which variables the rows take as their fields and, last,
        as their version's maturity; one beyond the last variable where a version has none."""
        width, none = len(self.fields), len(self.start)
        stacks = {name: (1 + place) * width for place, name in enumerate(self.groups)}
        factors = {name: self._first_factor + place for place, name in enumerate(self.versions)}
        return [
            np.array(
                [
                    [*range(first, first + width), factors.get(self.version(row), none)]
                    for row in batch.rows
                    for first in [stacks.get(self.group(row), 0)]
                ]
            )
            for batch in self.batches
        ]

    def _stacks(self, point: np.ndarray, place: int) -> tuple[Software, dict[str, np.ndarray]]:
        """The stack of each row of a batch, leaves [n]; derivatives of its fields by their
        variables, [n], zero in rows whose version fixes them."""
        batch, taken = self.batches[place], self.taken[place]
        local = np.append(point, 0.0)[taken]
        names = dict(enumerate(self.fields))
        values = {name: self._outer(name, local[:, k]) for k, name in names.items()}
        slopes = {name: self._slope(name, value) for name, value in values.items()}
        if self.versions:
            values["maturity"] = np.exp(local[:, -1])
            slopes["maturity"] = np.where(taken[:, -1] < len(point), values["maturity"], 0.0)
        made = replace(self.stack, **values)
        for name, (fixed, value) in self._fixed(batch).items():
            made = replace(made, **{name: np.where(fixed, value, getattr(made, name))})
            if name in slopes:
                slopes[name] = np.where(fixed, 0.0, slopes[name])
        return _columns(made, len(batch.rows)), slopes

    def _fixed(self, batch: Batch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """What variants fix, by field: [n] which rows, and the values there."""
        given = [self.variant(row) for row in batch.rows]
        names = dict.fromkeys(name for fields in given for name in fields)
        return {
            name: (
                np.array([name in fields for fields in given]),
                np.array([fields.get(name, 0.0) for fields in given]),
            )
            for name in names
        }

    def errors(self, point: np.ndarray) -> np.ndarray:
        """[n] log(predicted / measured) of every value at a point of the variables."""
        parts = []
        for place, batch in enumerate(self.batches):
            predicted = predict(batch, self._stacks(point, place)[0])
            at = np.nonzero(np.isfinite(batch.measured))
            parts.append(np.log(np.maximum(predicted[at], LEAST) / batch.measured[at]))
        return np.concatenate(parts)

    def slopes(self, point: np.ndarray) -> np.ndarray:
        """[n, variables] exact derivatives of the errors."""
        return np.concatenate([self._batch_slopes(point, p) for p in range(len(self.batches))])

    def _batch_slopes(self, point: np.ndarray, place: int) -> np.ndarray:
        batch, taken = self.batches[place], self.taken[place]
        stacks, moves = self._stacks(point, place)
        at = np.nonzero(np.isfinite(batch.measured))
        predicted = np.maximum(predict(batch, stacks)[at], LEAST)
        still = jax.tree.map(np.zeros_like, stacks)
        found = np.zeros((len(predicted), len(point) + 1))
        for column, name in enumerate((*self.fields, "maturity")):
            if name in moves:
                way = replace(still, **{name: moves[name].astype(np.float32)})
                slope = slopes(batch, stacks, way)[at] / predicted
                found[np.arange(len(slope)), taken[at[0], column]] = slope
        return found[:, :-1]

    def loss(self, point: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss at a point, and its gradient [variables]."""
        errors, total = self.errors(point), weights.sum()
        size = np.abs(errors)
        each = np.where(size < HUBER, 0.5 * size * size / HUBER, size - 0.5 * HUBER)
        away = self.priors @ (point - self.start)
        value = (weights @ each + 0.5 * HUBER * away @ away) / total
        pull = weights * np.clip(errors / HUBER, -1.0, 1.0)
        slope = self.slopes(point).T @ pull + HUBER * self.priors.T @ away
        return float(value), slope / total

    @cached_property
    def priors(self) -> np.ndarray:
        """[variables, variables] of a point's distance from the start to what priors say of it, in
        their standard deviations: common fields about the start, a stack's about the common."""
        width, size = len(self.fields), len(self.start)
        made = np.zeros((size, size))
        common = np.array([1.0 / self.spreads.get(name, np.inf) for name in self.fields])
        own = np.array([1.0 / self.apart.get(name, np.inf) for name in self.fields])
        first = np.arange(width)
        made[first, first] = common
        for place in range(1, 1 + len(self.groups)):
            made[place * width + first, place * width + first] = own
            made[place * width + first, first] = -own
        factors = np.arange(self._first_factor, size)
        made[factors, factors] = 1.0 / MATURITY_SPREAD
        for place, name in enumerate(self.versions, start=self._first_factor):
            if (elder := self.elder(name)) in self.versions:
                other = self._first_factor + self.versions.index(elder)
                made[place, other] = -1.0 / MATURITY_SPREAD
        return made

    def solve(self, kept: np.ndarray | None = None) -> np.ndarray:
        """The best point for the values `kept` [n]; the start if there are none."""
        from scipy.optimize import minimize  # type: ignore[import-untyped]

        weights = self.weights if kept is None else self.weights * kept
        if not weights.any():
            return self.start

        options = {"maxiter": STEPS, "ftol": 1e-7, "gtol": 1e-6}
        found = minimize(
            self.loss,
            self.start,
            (weights,),
            jac=True,
            method="L-BFGS-B",
            bounds=self.bounds,
            options=options,
        )
        return np.asarray(found.x, float)

    def describe(self, point: np.ndarray, kept: np.ndarray | None = None) -> Fit:
        """A point as a fit, with 95 % intervals from the Gauss-Newton Hessian."""
        seen = np.ones(len(self.rows), bool) if kept is None else kept.astype(bool)
        errors = self.errors(point)
        deviation = self._deviation(point, errors, self.weights * seen)
        found = [
            self._numbers(point, deviation, place * len(self.fields))
            for place in range(1 + len(self.groups))
        ]
        values = found[0].values
        factors = np.exp(point[self._first_factor :])
        return Fit(
            stack=replace(self.stack, **values),
            values=values,
            intervals=found[0].intervals,
            own=dict(zip(self.groups, found[1:], strict=True)),
            maturity=dict(zip(self.versions, factors.tolist(), strict=False)),
            rows=self.rows,
            metrics=self.metrics,
            errors=errors,
            fitted=seen,
            loss=float(np.average(np.abs(errors), weights=self.weights)),
        )

    def _numbers(self, point: np.ndarray, deviation: np.ndarray, first: int) -> Numbers:
        """Fields and intervals of the stack whose variables begin at `first`."""
        values, intervals = {}, {}
        for place, name in enumerate(self.fields, start=first):
            low, high = self.bounds[place]
            reach = NORMAL_95 * deviation[place] * np.array([-1.0, 1.0])
            ends = np.clip(point[place] + reach, low, high)
            values[name] = float(self._outer(name, point[place]))
            intervals[name] = (float(self._outer(name, ends[0])), float(self._outer(name, ends[1])))
        return Numbers(values=values, intervals=intervals)

    def _deviation(self, point: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Standard errors of the variables; large errors count as the Huber loss counts them."""
        slopes = self.slopes(point)
        robust = weights * np.minimum(1.0, HUBER / np.maximum(np.abs(errors), 1e-9))
        freedom = max(weights.sum() - len(point), 1.0)
        variance = float((robust * errors**2).sum() / freedom)
        hessian = slopes.T @ (robust[:, None] * slopes) / max(variance, 1e-12)
        hessian = hessian + self.priors.T @ self.priors + RIDGE * np.eye(len(point))
        return np.sqrt(np.diag(np.linalg.inv(hessian)))


def fit(
    batches: Sequence[Batch],
    stack: Software,
    free: Free,
    *,
    version: Callable[[Row], str] = _unversioned,
    spreads: Mapping[str, float] | None = None,
    variant: Callable[[Row], Mapping[str, float]] = _nothing,
) -> Fit:
    """The stack whose `free` fields predict the batches best, starting from `stack`."""
    problem = Problem(batches, stack, free, version, spreads or {}, variant)
    return problem.describe(problem.solve())
