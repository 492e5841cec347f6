"""Checks that every model of silicon must pass: exact gradients, finite numbers, strict types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dse.model.once import once
from dse.model.pytree import leaves, lower
from dse.spec.fields import Leaf

# at a tie of precisions `max` has no derivative; all real chips stand at one
_TIES = "rates."


@cache
def _compiled(function: Callable[[Any], jax.Array]) -> tuple[Any, Any]:
    """The batched function, and its batched value and gradient: one compilation for all specs."""
    lean = once(function)
    return jax.jit(jax.vmap(lean)), jax.jit(jax.vmap(jax.value_and_grad(lean)))


@contextmanager
def strict() -> Iterator[None]:
    """No implicit promotion of types or ranks."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def gradient_faults(
    function: Callable[[Any], jax.Array], spec: Any, *, eager: bool = False
) -> list[str]:
    """Continuous leaves whose derivative differs from a central difference, in float64.

    `eager` runs operation by operation, which is quicker where compiling takes long.
    """
    with jax.enable_x64(True):
        lowered = jax.tree.map(np.float64, lower(spec))
        flat, tree = jax.tree.flatten(lowered)
        step = 1e-6
        chosen = [
            i
            for i, (path, leaf, value) in enumerate(leaves(lowered))
            if leaf.sort == "quantity" and value != 0.0 and _TIES not in path
        ]
        # one shape for all specs of a class, whichever of their leaves are zero
        values = np.tile(np.array(flat), (2 * len(flat), 1))
        for row, i in enumerate(chosen):
            values[2 * row, i] *= 1.0 + step
            values[2 * row + 1, i] *= 1.0 - step
        batch = jax.tree.unflatten(tree, list(values.T))
        if eager:
            # one shape: the last row is unperturbed, as two rows stand for every leaf
            ends, slopes = jax.vmap(jax.value_and_grad(function))(batch)
            ends, exact = np.asarray(ends), [leaf[-1:] for leaf in jax.tree.leaves(slopes)]
        else:
            batched, with_gradient = _compiled(function)
            alone = jax.tree.map(lambda leaf: leaf[None], lowered)
            ends, exact = np.asarray(batched(batch)), jax.tree.leaves(with_gradient(alone)[1])
        scale = abs(ends[0])
    paths = [path for path, _, _ in leaves(lowered)]
    faults = []
    for row, i in enumerate(chosen):
        slope = (ends[2 * row] - ends[2 * row + 1]) / (2.0 * step)
        given = float(exact[i][0]) * flat[i]
        if abs(slope - given) > 1e-5 * max(abs(slope), 1e-3 * scale):
            faults.append(f"{paths[i]}: exact {given:g}, difference {slope:g}")
    return faults


def _draw(leaf: Leaf, value: float, rng: np.random.Generator) -> float:
    """A legal value: the lowest, the highest, or one within a factor of 30 of a realistic one."""
    high = leaf.high if np.isfinite(leaf.high) else max(30.0 * value, leaf.low)
    kind = rng.integers(5)
    if kind == 0:
        drawn = leaf.low
    elif kind == 1 and leaf.sort != "count":
        drawn = high
    else:
        drawn = value * np.exp(rng.uniform(-3.4, 3.4))
    drawn = np.round(drawn) if leaf.sort in ("count", "flag") else drawn
    return float(np.clip(drawn, leaf.low, high))


def random_specs(spec: Any, number: int, seed: int = 0) -> Any:
    """`number` legal variants of a spec, bounds and zeros included, stacked in float32.

    The first is the class's zero: without dies, node, memory, price or anything else.
    """
    rng = np.random.default_rng(seed)
    lowered = lower(spec)
    nothing = jax.tree.leaves(lower(type(spec)()))
    tree = jax.tree.structure(lowered)
    columns = []
    for _, leaf, value in leaves(lowered):
        if leaf.sort == "option":
            columns.append(np.full(number, value, np.float32))
        else:
            drawn = [_draw(leaf, value, rng) for _ in range(number)]
            columns.append(np.array(drawn, np.float32))
    for column, value in zip(columns, nothing, strict=True):
        column[0] = value
    return jax.tree.unflatten(tree, columns)


def faulty_leaves(
    function: Callable[[Any], jax.Array], spec: Any, number: int = 400, *, eager: bool = False
) -> list[str]:
    """What is not finite, in value or gradient, over random legal variants of a spec."""
    batch = random_specs(spec, number)
    with strict():
        if eager:
            value, gradient = jax.vmap(jax.value_and_grad(function))(batch)
        else:
            value, gradient = _compiled(function)[1](batch)
    faults = [] if np.all(np.isfinite(value)) else ["value"]
    for path, _, slopes in leaves(gradient):
        if not np.all(np.isfinite(slopes)):
            faults.append(path)
    return faults


def together(*parts: Any) -> jax.Array:
    """The sum of all numbers in some results: one output that depends on each of them."""
    return jnp.asarray(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(parts)))
