"""Repeated expressions are done once, and nothing else changes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dse.model.repeats import without_repeats


def area(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0.0, jnp.sqrt(x * x + 3.0), 0.0)


def many(x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
    """An area asked for ten times over."""
    return {"sum": sum((area(x) * i for i in range(10)), y), "last": area(x) / area(y)}


def operations(function: object, *arguments: float) -> int:
    def count(jaxpr: object) -> int:
        inner = [e.params["jaxpr"].jaxpr for e in jaxpr.eqns if "jaxpr" in e.params]  # type: ignore
        return len(jaxpr.eqns) - len(inner) + sum(map(count, inner))  # type: ignore[attr-defined]

    return count(jax.make_jaxpr(function)(*arguments).jaxpr)  # type: ignore[arg-type]


def test_an_expression_is_computed_once() -> None:
    """Ten areas of one number are one, with the multiplications that differ."""
    assert operations(many, 2.0, 3.0) > 60
    assert operations(without_repeats(many), 2.0, 3.0) < 40


def test_values_and_derivatives_stay() -> None:
    """The function and its derivative along a direction are what they were, under vmap too."""
    x, y = np.linspace(-1.0, 4.0, 7, dtype=np.float32), np.ones(7, np.float32)
    for function in (many, lambda *each: jax.jvp(many, each, (1.0, 0.5))):
        expected = jax.vmap(function)(x, y)
        found = jax.vmap(without_repeats(function))(x, y)
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), found, expected)


def test_loops_and_constants_pass() -> None:
    """A loop, an array that the function closes over, and an argument returned as it came."""
    weights = np.arange(3.0, dtype=np.float32)

    def looped(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = jax.lax.fori_loop(0, 4, lambda i, s: s + x * i, x)
        return total + jnp.sum(weights * x) + jnp.sum(weights * x), x

    total, same = without_repeats(looped)(jnp.float32(2.0))
    assert float(total) == pytest.approx(2.0 + 12.0 + 12.0)
    assert float(same) == 2.0
