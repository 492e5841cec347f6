"""Division and roots that stay finite, in value and gradient, where a thing is absent.

A chip without lanes, a die without area, a clock of zero are legal. Each function keeps the
untaken side of its `where` harmless, because a gradient flows through both, and compares only
with zero, because any other threshold would have a unit.
"""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp

Scalar: TypeAlias = float | jax.Array
"""One number of one design: a Python float or a traced array of shape []."""


def ratio(numerator: Scalar, denominator: Scalar, otherwise: float = 0.0) -> jax.Array:
    """`numerator / denominator`, or `otherwise` where the denominator is not positive."""
    there = jnp.asarray(denominator) > 0
    return jnp.where(there, numerator / jnp.where(there, denominator, 1.0), otherwise)


def root(value: Scalar) -> jax.Array:
    """The square root, and zero with a gradient of zero at zero and below."""
    there = jnp.asarray(value) > 0
    return jnp.where(there, jnp.sqrt(jnp.where(there, value, 1.0)), 0.0)


def margin(value: Scalar, limit: Scalar) -> jax.Array:
    """What is left below a limit, as a share of it: negative where the rule is broken."""
    return 1.0 - ratio(value, limit)


def declared(published: Scalar, derived: Scalar) -> jax.Array:
    """A published figure where there is one (above zero), else the derived one."""
    return jnp.where(jnp.asarray(published) > 0, published, derived)
