"""Equal operations of a traced program are done once, and what it computes stays."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.model.once import once


class Pair(NamedTuple):
    """A result with names."""

    sum: Any
    parts: dict[str, Any]


def wasteful(x: Any, y: Any) -> Pair:
    """The same square three times, once inside of a loop, and one that differs in a literal."""

    def area(side: Any) -> Any:
        return jnp.exp(side * 2.0) * side

    looped = jax.lax.fori_loop(0, 3, lambda _, value: value + area(x), y)
    return Pair(area(x) + area(x), {"looped": looped, "other": jnp.exp(x * 3.0) * x, "same": x})


def operations(function: Any, *arguments: Any) -> list[str]:
    """Names of a trace's operations, those of inner programs too."""
    text = str(jax.make_jaxpr(function)(*arguments))
    return [word for word in text.split() if word == "exp"]


def test_equal_operations_are_done_once() -> None:
    """Two of three equal exponentials stand in the program and in the loop; the other one stays."""
    x, y = jnp.float32(0.3), jnp.float32(1.0)
    assert len(operations(wasteful, x, y)) == 4
    assert len(operations(once(wasteful), x, y)) == 3


@settings(max_examples=20, deadline=None)
@given(st.floats(-2, 2, width=32), st.floats(-2, 2, width=32))
def test_values_and_structure_stay(x: float, y: float) -> None:
    """In the tree that the function gives."""
    found, plain = once(wasteful)(x, y), wasteful(x, y)
    assert isinstance(found, Pair)
    assert list(found.parts) == list(plain.parts)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_random_numbers_of_one_key_are_equal_and_of_two_keys_differ() -> None:
    """Operations on other operands are never taken for each other."""

    def drawn(key: Any) -> tuple[Any, Any, Any]:
        first, second = jax.random.split(key)
        draw = jax.random.uniform
        return draw(first), draw(first), draw(second)

    one, again, other = jax.jit(once(drawn))(jax.random.key(1))
    assert float(one) == float(again) != float(other)


def test_it_maps_and_has_a_gradient() -> None:
    """Under vmap and grad as the function itself."""
    xs = jnp.linspace(-1.0, 1.0, 5)

    def total(function: Any, x: Any) -> Any:
        return function(x, 2.0 * x).sum

    mapped = jax.vmap(jax.grad(lambda x: total(once(wasteful), x)))(xs)
    plain = jax.vmap(jax.grad(lambda x: total(wasteful, x)))(xs)
    np.testing.assert_allclose(mapped, plain, rtol=1e-6)
