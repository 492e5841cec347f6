"""The largest batch within a limit: against bisection, with the derivative of the root."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from dse.model.batch import largest, rounded


def curve(batch: Any) -> Any:
    """A latency with kinks: a floor, a concave part and a linear one."""
    return 2.0 + jnp.maximum(3.0, 0.05 * batch) + 4.0 * (1.0 - jnp.exp(-batch / 40.0))


@pytest.mark.parametrize("limit", [3.2, 5.5, 7.0, 9.0, 9.01, 12.0, 40.0])
def test_largest_finds_the_root(limit: float) -> None:
    """Against bisection, from tight limits to loose ones and from near and far upper ends."""
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float(curve(middle)) <= limit else (low, middle)
    for end in (50.0, 1e3, 1e5, 1e7):
        found = float(largest(curve, jnp.asarray(limit), jnp.asarray(1.0), jnp.asarray(end)))
        assert found == pytest.approx(max(min(low, end), 1.0), rel=1e-3)


def test_largest_is_the_upper_end_where_the_limit_is_loose() -> None:
    """Memory, not the limit, decides: value and derivative are those of the upper end."""
    value, slope = jax.value_and_grad(
        lambda high: largest(curve, jnp.asarray(1e3), jnp.asarray(1.0), high)
    )(jnp.asarray(60.0))
    assert float(value) == 60.0
    assert float(slope) == 1.0


def test_a_limit_out_of_reach_does_no_harm() -> None:
    """A limit of a day, or of a picosecond, leaves value and derivative finite in float32."""
    for limit, expected in ((86_400.0, 50.0), (1e-12, 1.0)):
        value, slope = jax.value_and_grad(
            lambda scale, limit=limit: largest(
                lambda b: 1e-5 * scale * curve(b),
                jnp.asarray(limit),
                jnp.asarray(1.0),
                jnp.asarray(50.0),
            )
        )(jnp.asarray(1.0))
        assert float(value) == expected
        assert float(slope) == 0.0


def test_largest_has_the_derivative_of_the_root() -> None:
    """In the limit, and in a number inside the latency, against central differences."""

    def found(limit: Any, scale: Any) -> Any:
        return largest(lambda b: scale * curve(b), limit, 0.0 * limit + 1.0, 0.0 * limit + 1e4)

    with jax.enable_x64(True):
        at = (jnp.asarray(12.0), jnp.asarray(1.1))
        exact = jax.grad(found, argnums=(0, 1))(*at)
        for index, slope in enumerate(exact):
            up, down = list(at), list(at)
            up[index], down[index] = at[index] + 1e-5, at[index] - 1e-5
            assert float(slope) == pytest.approx(
                (float(found(*up)) - float(found(*down))) / 2e-5, rel=1e-5
            )


def test_rounding_keeps_the_derivative() -> None:
    """Down to whole pieces, at least one; forgiving float32's last digits; slope one."""
    assert float(rounded(jnp.asarray(7.9), 1.0)) == 7.0
    assert float(rounded(jnp.asarray(7.9), 4.0)) == 7.75
    assert float(rounded(jnp.asarray(0.1), 4.0)) == 0.25
    assert float(rounded(jnp.asarray(7.999999), 1.0)) == 8.0
    assert float(jax.grad(lambda b: rounded(b, 1.0))(jnp.asarray(7.9))) == 1.0
