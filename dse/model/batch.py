"""The largest batch that meets a latency limit, as a differentiable function of everything."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar
from dse.model.operation import SLACK

SOLVER_STEPS = 8
"""Steps for the batch at a latency limit: 1e-6 at worst over the catalogue's mappings."""


def largest(
    latency: Callable[[Scalar], Scalar], limit: Scalar, low: Scalar, high: Scalar
) -> Scalar:
    """The largest batch in [low, high] whose latency meets `limit`, differentiable in everything.

    `low` where none does. The derivative is that of the implicit function. Latency must rise with
    the batch, and no faster than in proportion: a larger batch never takes longer per sequence.
    """

    def excess(batch: Scalar) -> Scalar:
        # 1e-30: a latency of nothing has no logarithm
        return jnp.log(jnp.maximum(latency(batch), 1e-30)) - most

    def slope_solve(linear: Callable[[Scalar], Scalar], value: Scalar) -> Scalar:
        slope = linear(jnp.ones_like(value))
        return value / jnp.where(slope > 0.0, slope, 1.0)

    most = jnp.log(limit)
    ends = jax.lax.stop_gradient((low, high))
    solve = partial(_root, low=ends[0])
    root, misses = jax.lax.custom_root(excess, ends[1], solve, slope_solve, has_aux=True)
    at_low, at_high = misses
    return jnp.where(at_high <= 0.0, high, jnp.where(at_low <= 0.0, root, low))


class _Bracket(NamedTuple):
    """Logarithms of two batches around a root, their excess (weighted), and what is known of it.

    least, most: bounds on it; moved: the side that moved last, -1 left, 1 right; tried: the
    logarithm tried last.
    """

    left: Scalar
    right: Scalar
    below: Scalar
    above: Scalar
    least: Scalar
    most: Scalar
    moved: Scalar
    tried: Scalar


def _root(
    excess: Callable[[Scalar], Scalar], high: Scalar, low: Scalar
) -> tuple[Scalar, tuple[Scalar, Scalar]]:
    """The batch in [low, high] at which `excess`, a logarithm, is zero; the excess at both ends.

    False position in logarithms with the weights of Anderson and Bjorck (BIT 13, 1973), where
    latency is nearly straight. As latency rises at most in proportion, the batch scaled by what
    it misses the limit by lies on the near side of the root: a second bracket, tighter at once.
    """

    def narrow(_: int, at: _Bracket) -> _Bracket:
        span = at.above - at.below
        share = jnp.where(span > 0.0, -at.below / jnp.where(span > 0.0, span, 1.0), 0.5)
        tried = at.left + (at.right - at.left) * jnp.clip(share, 0.0, 1.0)
        tried = jnp.clip(tried, at.least, at.most)
        value = excess(jnp.exp(tried))
        meets = value <= 0.0
        again = at.moved == jnp.where(meets, -1.0, 1.0)
        end = jnp.where(meets, at.below, at.above)
        weight = 1.0 - value / jnp.where(end == 0.0, 1.0, end)
        weight = jnp.where(again, jnp.where(weight > 0.0, weight, 0.5), 1.0)
        return _Bracket(
            left=jnp.where(meets, tried, at.left),
            right=jnp.where(meets, at.right, tried),
            below=jnp.where(meets, value, at.below * weight),
            above=jnp.where(meets, at.above * weight, value),
            least=jnp.where(meets, jnp.maximum(at.least, tried - value), at.least),
            most=jnp.where(meets, at.most, jnp.minimum(at.most, tried - value)),
            moved=jnp.where(meets, -1.0, 1.0).astype(jnp.asarray(at.moved).dtype),
            tried=tried,
        )

    misses = jnp.asarray(jax.vmap(excess)(jnp.stack([low, high])))
    left, right = jnp.log(low), jnp.log(high)
    start = _Bracket(
        left=left,
        right=right,
        below=misses[0],
        above=misses[1],
        least=jnp.minimum(left - misses[0], right),
        most=jnp.maximum(right - misses[1], left),
        moved=0.0 * right,
        tried=right,
    )
    found = jax.lax.fori_loop(0, SOLVER_STEPS, narrow, start).tried
    return jnp.exp(found), (misses[0], misses[1])


def rounded(batch: Scalar, whole: Scalar) -> Scalar:
    """The batch rounded down to `whole` pieces, at least one, with the unrounded derivative."""
    floor = jnp.floor(jax.lax.stop_gradient(batch) * whole * (1.0 + 0.5 * SLACK)) / whole
    floor = jnp.maximum(floor, 1.0 / whole)
    return batch + jax.lax.stop_gradient(floor - batch)
