"""What holds of every collective on every fabric: order, limits, gradients, precision."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import spec, system
from hypothesis import given, settings
from hypothesis import strategies as st

from dse import units
from dse.model.collectives import (
    Network,
    all_gather,
    all_reduce,
    all_to_all,
    neighbour,
    network,
    reduce_scatter,
)
from dse.model.pytree import leaves, lower, stack
from dse.model.roofline import machine
from dse.spec.system import System
from dse.spec.workload import Software

STACK = (Software, "nccl")
SWITCH, TORUS, MESH = "h100-server", "tpu-v7-cube", "mi300x-server"
KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "neighbour")
FASTER = ("rate", "out_rate", "low_latency", "in_switch", "pod")
SLOWER = ("latency", "out_latency", "launch", "fill", "own_copy", "oversubscription")

sizes = st.floats(1.0, 1e11)
groups = st.integers(1, 512).map(float)
changes = st.floats(1.01, 4.0)
fabrics = st.sampled_from((SWITCH, TORUS, MESH))


@cache
def net_of(name: str, stack: str = "nccl") -> Network:
    """The links of a system of the catalogue as a pytree of numbers."""
    made = network(system(name), lower(spec(Software, stack)))
    # in pods of 64 chips, so that an oversubscribed network shows
    made = made._replace(pod=64.0, oversubscription=2.0, own_copy=0.2)
    return jax.tree.map(lambda leaf: np.float32(leaf), made)


def times(net: Network, dies: Any, chips: Any, size: Any) -> jax.Array:
    """Seconds of each of KINDS."""
    made = machine(system(SWITCH).chip, lower(spec(Software, "ideal")))
    chip = made._replace(dies=dies, die_to_die=1e12)
    costs = (
        all_reduce(net, chip, chips),
        all_gather(net, chip, chips),
        reduce_scatter(net, chip, chips),
        all_to_all(net, chips),
        neighbour(net, chips),
    )
    return jnp.stack([cost.time(size) for cost in costs])


quick_times = jax.jit(times)


def seconds(net: Network, chips: float, size: float, dies: float = 1.0) -> np.ndarray:
    """Seconds of each of KINDS."""
    one = np.float32
    return np.asarray(quick_times(net, one(dies), one(chips), one(size)), np.float64)


def scaled(net: Network, field: str, factor: float) -> Network:
    """A network with one field multiplied; a link's rate is that of its torus axes too."""
    made = net._replace(**{field: np.float32(getattr(net, field) * factor)})
    if field == "rate":
        made = made._replace(rates=tuple(np.float32(r * factor) for r in net.rates))
    return made


@settings(max_examples=60, deadline=None)
@given(name=fabrics, chips=groups, size=sizes, more=changes)
def test_more_bytes_never_take_less_time(name: str, chips: float, size: float, more: float) -> None:
    """Times grow with the size, and are positive wherever there is somebody to send to."""
    few, many = seconds(net_of(name), chips, size), seconds(net_of(name), chips, size * more)
    assert np.all(many >= few * (1 - 1e-5))
    assert np.all(few[:4] > 0.0) or chips == 1.0


@settings(max_examples=100, deadline=None)
@given(name=fabrics, chips=groups, size=sizes, more=changes, field=st.sampled_from(FASTER + SLOWER))
def test_better_links_and_software_never_slow_down(
    name: str, chips: float, size: float, more: float, field: str
) -> None:
    """Rates and shares shorten every collective or leave it; waits lengthen it or leave it."""
    before = seconds(net_of(name), chips, size)
    after = seconds(scaled(net_of(name), field, more), chips, size)
    faster, slower = (after, before) if field in FASTER else (before, after)
    assert np.all(slower >= faster * (1 - 1e-5))


@pytest.mark.parametrize("name", [SWITCH, TORUS, MESH])
@pytest.mark.parametrize("stack", ["nccl", "default"])
def test_one_chip_costs_nothing(name: str, stack: str) -> None:
    """A group of one has nobody to wait for."""
    assert np.all(seconds(net_of(name, stack), 1.0, 1e9)[:4] == 0.0)


@settings(max_examples=60, deadline=None)
@given(
    name=fabrics,
    stack=st.sampled_from(("nccl", "default", "ideal")),
    chips=groups,
    size=sizes,
    dies=st.sampled_from((1.0, 2.0, 4.0)),
)
def test_an_all_reduce_takes_as_long_as_either_half(
    name: str, stack: str, chips: float, size: float, dies: float
) -> None:
    """It contains a reduce-scatter, and no less than an all-gather."""
    reduce, gather, scatter = seconds(net_of(name, stack), chips, size, dies)[:3]
    assert reduce >= scatter * (1 - 1e-5)
    assert gather == scatter


@settings(max_examples=60, deadline=None)
@given(stack=st.sampled_from(("nccl", "default")), chips=groups, size=sizes)
def test_more_chips_behind_a_switch_never_take_less_time(
    stack: str, chips: float, size: float
) -> None:
    """At equal size, where the switch does not add: with NVLS larger groups are measured faster.

    Nor on a torus, where the last chip of an axis closes the ring and doubles what it carries.
    """
    net = net_of(SWITCH, stack)._replace(reduction=np.float32(0.0), pod=np.float32(0.0))
    assert np.all(seconds(net, chips + 1.0, size)[:3] >= seconds(net, chips, size)[:3] * (1 - 1e-5))


COUNTS = ("domain", "torus", "mesh", "sizes", "reduction", "one_shot")
"""Counts and switches of the topology have no derivative."""


@pytest.mark.slow
def test_gradients_are_exact() -> None:
    """Derivatives to every number of the links equal central differences in float64."""
    cases = [(2.0, 1e4), (6.0, 3e7), (48.0, 1e8), (200.0, 2e9)]
    rows = [(net_of(name), *case) for name in (SWITCH, TORUS, MESH) for case in cases]
    moved = jax.tree.leaves(
        Network(
            *(
                jax.tree.map(lambda _, name=name: float(name not in COUNTS), leaf)
                for name, leaf in zip(Network._fields, rows[0][0], strict=True)
            )
        )
    )
    with jax.enable_x64(True):
        nets, chips, size = stack(rows, np.float64)
        weights = jnp.arange(1.0, 6.0)

        def total(logs: jax.Array, net: Network, chips: jax.Array, size: jax.Array) -> jax.Array:
            flat, tree = jax.tree.flatten(net)
            scale = jnp.exp(logs * jnp.asarray(moved))
            made = jax.tree.unflatten(tree, [leaf * scale[i] for i, leaf in enumerate(flat)])
            return jnp.sum(weights * jnp.log(times(made, jnp.asarray(2.0), chips, size)))

        def difference(row: jax.Array, *case: Any) -> jax.Array:
            return (total(1e-6 * row, *case) - total(-1e-6 * row, *case)) / 2e-6

        at = jnp.zeros((len(rows), len(moved)))
        exact = jax.vmap(jax.grad(total))(at, nets, chips, size)
        each = jax.vmap(difference, in_axes=(0, None, None, None))
        steps = jax.vmap(each, in_axes=(None, 0, 0, 0))(jnp.eye(len(moved)), nets, chips, size)
        np.testing.assert_allclose(exact, steps, atol=1e-6)
        assert np.all(np.any(np.abs(exact) > 0.01, axis=1))


def test_single_precision_suffices() -> None:
    """Float32 equals float64 to 1e-5, from bytes to terabytes, from two chips to 100,000."""
    chips = (2.0, 3.0, 8.0, 12.0, 64.0, 1000.0, 131072.0)
    rows = [
        (net_of(name), 1.0, n, size)
        for name in (SWITCH, TORUS, MESH)
        for n in chips
        for size in np.geomspace(1.0, 1e12, 9)
    ]
    single = jax.vmap(times)(*stack(rows, np.float32))
    with jax.enable_x64(True):
        double = jax.vmap(times)(*stack(rows, np.float64))
    np.testing.assert_allclose(single, double, rtol=1e-5)
    assert np.all(np.isfinite(single))


@pytest.mark.parametrize("name", [SWITCH, TORUS, MESH])
@pytest.mark.parametrize("chips", [8.0, 96.0])
def test_dimensions_are_homogeneous(name: str, chips: float) -> None:
    """In other units of time and of information times are the same: no constant has a unit."""
    scales = {"time": 0.37, "information": 2.3}

    def taken(other: dict[str, float], size: float) -> np.ndarray:
        parts = [_rescaled(lower(spec(*each)), other) for each in ((System, name), STACK)]
        return np.asarray(times(network(*parts), 1.0, jnp.asarray(chips), jnp.asarray(size)))

    with jax.enable_x64(True):
        for size in (1e3, 1e9):
            after = taken(scales, size * scales["information"])
            np.testing.assert_allclose(after, taken({}, size) * scales["time"], rtol=1e-6)


def _rescaled(tree: Any, scales: dict[str, float]) -> Any:
    """A lowered spec with every leaf in other base units, by its declared dimension."""

    def factor(unit: str) -> float:
        powers = units.dimension(unit)
        return float(np.prod([scales.get(base, 1.0) ** power for base, power in powers.items()]))

    values = [value * factor(leaf.unit) for _, leaf, value in leaves(tree)]
    return jax.tree.unflatten(jax.tree.structure(tree), values)
