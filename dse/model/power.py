"""What chips and systems draw: at design load for supply and cooling, on average for the meter.

Energy per event times events per second, scaled with the square of the voltage that the clock
asks for, plus leakage. A published thermal design power replaces the derived one and scales the
average with it. Operation energies are of the whole chip (operand movement included), because
the arithmetic alone is a small part of what a chip draws (an A100's, at published
energies of an operation, some 10-15 of its 400 W).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.fabric import fabric, far_share, racks
from dse.model.floorplan import die_area
from dse.model.guard import Scalar, declared, margin, ratio
from dse.spec.chip import Chip
from dse.spec.fields import PRECISIONS
from dse.spec.silicon import Node
from dse.spec.system import System

# Exponent of the alpha-power law (Sakurai and Newton, IEEE JSSC 25(2), 1990: 1.2-1.3 for short
# channels).
_ALPHA = 1.3

# Energy of a matrix FLOP over a BF16 one, in the order of PRECISIONS: vendors double the rate
# with each halving of the width at the same design power (H100 989 / 1,979, B200 2,250 / 4,500 /
# 9,000 TFLOP/s; TF32 half the BF16 rate).
PRECISION_ENERGY = (2.0, 1.0, 0.5, 0.25)

# Energy of an FP32 FLOP on the vector engines over a BF16 FLOP in an array: the same step of
# width; without an array's operand reuse it may be more. Assumption.
_VECTOR_ENERGY = 2.0

# Newton steps before the one that carries the derivative; from the right on a convex function
# the error after them is below 1e-9 for any supply range up to a factor of 20.
_STEPS = 5


class Activity(NamedTuple):
    """What one chip does in a second, on average.

    `matrix_flops` holds one FLOP/s for each of PRECISIONS; `vector_flops` FLOP/s; `memory_bytes`
    and `link_bytes` (sent) bytes per second.
    """

    matrix_flops: tuple[Scalar, Scalar, Scalar, Scalar]
    vector_flops: Scalar
    memory_bytes: Scalar
    link_bytes: Scalar


class ChipPower(NamedTuple):
    """Power of one chip by part, W."""

    matrix: Scalar
    vector: Scalar
    memory: Scalar
    links: Scalar
    die_to_die: Scalar
    leakage: Scalar
    idle: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, W."""
        return jnp.asarray(sum(self))


class SystemPower(NamedTuple):
    """Power of one system at the rack's feed by part, W; cables are those that leave a rack."""

    chips: Scalar
    switches: Scalar
    hosts: Scalar
    scale_out: Scalar
    cables: Scalar
    conversion: Scalar
    cooling: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, W."""
        return jnp.asarray(sum(self))


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


def _supply(chip: Chip) -> jax.Array:
    """Voltage over the nominal voltage."""
    return ratio(voltage(chip.die.node, chip.die.core.clock), chip.die.node.voltage)


def chip_power(chip: Chip, activity: Activity) -> ChipPower:
    """Power that follows from parts and activity, W.

    Of the memory traffic a share `1 - 1/dies` crosses from die to die: each die's own stacks
    serve it no more often than any other's. Leakage grows with the voltage.
    """
    node, supply = chip.die.node, _supply(chip)
    dynamic = node.flop_energy * supply**2
    pairs = zip(activity.matrix_flops, PRECISION_ENERGY, strict=True)
    crossing = activity.memory_bytes * (1.0 - 1.0 / jnp.maximum(chip.dies, 1.0))
    return ChipPower(
        matrix=dynamic * sum(flops * energy for flops, energy in pairs),
        vector=dynamic * _VECTOR_ENERGY * activity.vector_flops,
        memory=activity.memory_bytes * chip.memory.stack.energy,
        links=activity.link_bytes * chip.scale_up.link.energy,
        die_to_die=crossing * chip.die.die_to_die.energy,
        leakage=node.leakage * chip.dies * die_area(chip) * supply,
        idle=chip.memory.stacks * chip.memory.stack.idle_power,
    )


def peak_activity(chip: Chip) -> Activity:
    """The load that supply and cooling are built for: every engine and interface at its rate.

    The arrays run in the precision that draws most. Nothing is derated: a chip must survive
    what it can do, and the sum meets the published design power of A100, H100 and Trainium2
    within 10 % (tests/test_power.py).
    """
    rates = chip.die.core.array.rates
    work = [2.0 * chip.cell_rate * getattr(rates, name) for name in PRECISIONS]
    drawn = [flops * energy for flops, energy in zip(work, PRECISION_ENERGY, strict=True)]
    bf16 = PRECISIONS.index("bf16")
    most = jnp.maximum(jnp.maximum(drawn[0], drawn[1]), jnp.maximum(drawn[2], drawn[3]))
    equivalent = most / PRECISION_ENERGY[bf16]
    nothing = 0.0 * equivalent
    return Activity(
        matrix_flops=(nothing, equivalent, nothing, nothing),
        vector_flops=chip.vector_flops,
        memory_bytes=chip.memory.bandwidth,
        link_bytes=chip.scale_up.bandwidth,
    )


def derived_power(chip: Chip) -> jax.Array:
    """Thermal design power that follows from the parts, W."""
    return chip_power(chip, peak_activity(chip)).total


def design_power(chip: Chip) -> jax.Array:
    """Thermal design power: published, else derived, W."""
    return declared(chip.power, derived_power(chip))


def average_power(chip: Chip, activity: Activity) -> jax.Array:
    """Power of one chip under an activity, W; a published design power scales it."""
    scale = ratio(design_power(chip), derived_power(chip), 1.0)
    return chip_power(chip, activity).total * scale


def system_power(system: System) -> SystemPower:
    """Provisioned power of one system, W: all of it at design load."""
    return _assemble(system, design_power(system.chip), system.chip.scale_up.bandwidth)


def average_system_power(system: System, activity: Activity) -> SystemPower:
    """Power of one system under an activity, W.

    Switches, hosts and network cards draw their provisioned power: their SerDes do not rest.
    """
    return _assemble(system, average_power(system.chip, activity), activity.link_bytes)


def _assemble(system: System, chip: Scalar, link_bytes: Scalar) -> SystemPower:
    counts, rack = fabric(system), system.rack
    chips = system.chips * chip
    switches = counts.switches * system.scale_up.switch.power
    hosts = counts.hosts * system.host.power
    scale_out = system.chips * system.scale_out.power
    away = system.chips * link_bytes * far_share(system)
    cables = away * system.chip.scale_up.link.far_energy
    used = chips + switches + hosts + scale_out + cables
    fed = ratio(used, rack.conversion)
    return SystemPower(
        chips=chips,
        switches=switches,
        hosts=hosts,
        scale_out=scale_out,
        cables=cables,
        conversion=fed - used,
        cooling=fed * rack.cooling_power,
    )


def rack_power(system: System) -> jax.Array:
    """Provisioned power of one rack, W."""
    return ratio(system_power(system).total, racks(system))


def margins(system: System) -> dict[str, jax.Array]:
    """Relative margins of the electrical rules; negative where one is broken."""
    node = system.chip.die.node
    fastest = clock_at(node, node.maximum_voltage)
    return {
        "rack.power": margin(rack_power(system), system.rack.power_limit),
        "chip.voltage": margin(system.chip.die.core.clock, fastest),
    }
