"""The voltage that a clock asks for: the alpha-power law between a node's lowest and highest."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar, ratio
from dse.spec.silicon import Node

# Exponent of the alpha-power law (Sakurai and Newton, IEEE JSSC 25(2), 1990: 1.2-1.3 for short
# channels).
_ALPHA = 1.3

# Newton steps before the one that carries the derivative; from the right on a convex function
# the error after them is below 1e-9 for any supply range up to a factor of 20.
_STEPS = 5


class _Curve(NamedTuple):
    """A V/f curve in units of the nominal voltage: threshold and both ends, kept apart."""

    threshold: jax.Array
    low: jax.Array
    high: jax.Array


def _curve(node: Node) -> _Curve:
    # 0.9 and 0.01 matter only to absurd nodes, whose threshold is near or above their supply
    threshold = jnp.minimum(ratio(node.threshold_voltage, node.voltage), 0.9)
    low = jnp.maximum(ratio(node.minimum_voltage, node.voltage), threshold + 0.01)
    return _Curve(threshold, low, jnp.maximum(ratio(node.maximum_voltage, node.voltage), low))


def _speed(curve: _Curve, supply: Scalar) -> jax.Array:
    """Clock over the nominal clock at a supply in units of the nominal voltage."""
    overdrive = (supply - curve.threshold) / (1.0 - curve.threshold)
    return jnp.maximum(overdrive, 1e-3) ** _ALPHA / jnp.maximum(supply, 1e-3)


def clock_at(node: Node, voltage: Scalar) -> jax.Array:
    """Clock that a voltage reaches, Hz: `f = k (V - Vt)^1.3 / V` through the node's own point."""
    return node.clock * _speed(_curve(node), ratio(voltage, node.voltage))


def voltage(node: Node, clock: Scalar) -> jax.Array:
    """Voltage that a clock asks for, V, between the node's lowest and highest supply.

    Newton steps on `x - t - (1 - t) (f x)^(1/1.3) = 0`, convex in x, from the right end. Only the
    last step carries a derivative, which is that of the root.
    """
    curve = _curve(node)
    wanted = jnp.clip(ratio(clock, node.clock), _speed(curve, curve.low), _speed(curve, curve.high))
    fixed_curve, fixed_wanted = jax.lax.stop_gradient((curve, wanted))
    supply = fixed_curve.high
    for _ in range(_STEPS):
        supply = _newton(fixed_curve, fixed_wanted, supply)
    supply = _newton(curve, wanted, supply)
    return jnp.clip(supply, curve.low, curve.high) * node.voltage


def _newton(curve: _Curve, wanted: jax.Array, supply: jax.Array) -> jax.Array:
    power = (1.0 - curve.threshold) * (wanted * supply) ** (1.0 / _ALPHA)
    slope = 1.0 - power / (_ALPHA * supply)
    # 1e-2: the slope at the root is at least 1 - 1/1.3; the floor guards the way there
    return supply - (supply - curve.threshold - power) / jnp.maximum(slope, 1e-2)
