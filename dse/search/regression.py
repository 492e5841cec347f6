"""What evaluated designs say of others: Gaussian-process regression over level indices.

Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006: the covariance is
Matern's of order 5/2 (equation 4.17) with a length for each parameter, which the marginal
likelihood chooses (equation 2.30). All follows from the arrays given.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from scipy.linalg import cholesky, solve_triangular

from dse.search.protocol import Parameter

NOISE = 1e-4
"""Variance that no parameter explains, as a share of all: it keeps the matrix well conditioned."""

FITTED = 200
"""Rows by which lengths are judged; more would say little more and cost their cube."""

SWEEPS = 2
"""How often the length of each parameter is tried at half and at twice of what it is."""

SHORTEST, LONGEST = 0.1, 16.0
"""Lengths in widths of a parameter; beyond the longest a parameter says nothing."""


class Coding:
    """Designs as points: numbers on 0 to 1, names and what is not always free at corners."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.sizes = [len(parameter.levels) for parameter in parameters]
        self.even = [p.ordered and not p.needs for p in parameters]
        widths = [1 if even else n for even, n in zip(self.even, self.sizes, strict=True)]
        self.owner = np.repeat(np.arange(len(widths)), widths)

    def points(self, levels: np.ndarray) -> np.ndarray:
        """[n, q] points of [n, p] level indices; any two names are a width apart."""
        columns = [
            levels[:, [i]] / max(size - 1, 1)
            if self.even[i]
            else (levels[:, [i]] == np.arange(size)) / np.sqrt(2.0)
            for i, size in enumerate(self.sizes)
        ]
        return np.hstack(columns)


@attrs.frozen(kw_only=True, eq=False)
class Regression:
    """A fit to values [n, k] at points [n, q]; `lengths` [q] scale the points."""

    points: np.ndarray
    lengths: np.ndarray
    centre: np.ndarray
    width: np.ndarray
    factor: np.ndarray
    whitened: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> Regression:
        """The fit with these lengths."""
        centre, width = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
        scaled = points / lengths
        covariance = _covariance(scaled, scaled)
        covariance[np.diag_indices(len(points))] = 1.0 + NOISE
        factor = cholesky(covariance, lower=True, check_finite=False)
        whitened = _solved(factor, (values - centre) / width)
        return cls(
            points=scaled,
            lengths=lengths,
            centre=centre,
            width=width,
            factor=factor,
            whitened=whitened,
        )

    @property
    def likelihood(self) -> float:
        """The logarithm of the marginal likelihood, mean over the values; without its constant."""
        fit = -0.5 * float((self.whitened**2).sum(axis=0).mean())
        return fit - float(np.log(np.diag(self.factor)).sum())

    def predicted(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[m, k] expected values at [m, q] points, and their standard deviations."""
        covariance = _covariance(points / self.lengths, self.points)
        reached = _solved(self.factor, covariance.T)
        unknown = np.sqrt(np.maximum(1.0 - (reached**2).sum(axis=0), 1e-9))
        mean = reached.T @ self.whitened * self.width + self.centre
        return mean, unknown[:, None] * self.width


def fitted(
    coding: Coding, levels: np.ndarray, values: np.ndarray, random: np.random.Generator
) -> Regression:
    """The regression of values [n, k] on levels [n, p] with the likeliest lengths found."""
    points = coding.points(levels)
    some = random.permutation(len(levels))[:FITTED]
    lengths = np.ones(len(coding.sizes))

    def likelihood(tried: np.ndarray) -> float:
        return Regression.of(points[some], values[some], tried[coding.owner]).likelihood

    best = likelihood(lengths)
    for index in np.tile(np.arange(len(lengths)), SWEEPS):
        for factor in (0.5, 2.0):
            tried = lengths.copy()
            tried[index] = np.clip(tried[index] * factor, SHORTEST, LONGEST)
            found = likelihood(tried)
            if found > best:
                best, lengths = found, tried
    return Regression.of(points, values, lengths[coding.owner])


def _covariance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[n, m] Matern 5/2 between scaled points."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * first @ second.T
    far = np.sqrt(5.0 * np.maximum(squares, 0.0))
    return np.asarray((1.0 + far + far**2 / 3.0) * np.exp(-far))


def _solved(factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(solve_triangular(factor, values, lower=True, check_finite=False))
