"""What a die, a package and a system cost to make.

Dies per wafer and yield give the price of a known good die; packages are assembled chip-last,
so a failed attachment wastes good dies and good memory; a system adds boards, hosts, fabric and
racks. Formulas after Chiplet Actuary (Feng and Ma, DAC 2022).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.fabric import fabric
from dse.model.floorplan import core_area, die_area, interposer_area
from dse.model.guard import Scalar, declared, ratio, root
from dse.spec.chip import Chip
from dse.spec.silicon import Node
from dse.spec.system import System

# The most spare cores that a harvest counts: the binomial sum has a static number of terms.
MAXIMUM_SPARE = 32

# The worst yield of a die, and of an assembly, that is told from none: one in ten thousand. A
# price means nothing there, and the floor keeps money and its gradient finite in float32.
_LEAST_LOG_YIELD = math.log(1e-4)

# Width, in wafer radii over die side, of the smooth floor that keeps wafer-sized dies positive;
# it moves an 858 mm2 die's count by less than one part in a million.
_FLOOR_WIDTH = 0.25

# Least wafer radius over die side: a die of 400 wafers. Keeps the count's logarithm finite.
_LEAST_SIDES = 0.05


class ChipCost(NamedTuple):
    """Cost of one package by part, USD."""

    dies: Scalar
    memory: Scalar
    packaging: Scalar
    assembly_loss: Scalar
    test: Scalar
    design: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, USD."""
        return jnp.asarray(sum(self))


class SystemCost(NamedTuple):
    """Price of one system by part, USD."""

    chips: Scalar
    boards: Scalar
    hosts: Scalar
    switches: Scalar
    cables: Scalar
    scale_out: Scalar
    racks: Scalar
    assembly: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, USD."""
        return jnp.asarray(sum(self))

    @property
    def network(self) -> jax.Array:
        """Switches, cables and the scale-out network, USD."""
        return jnp.asarray(self.switches + self.cables + self.scale_out)


def gross_dies(node: Node, area: Scalar) -> jax.Array:
    """Dies on a wafer, smooth and positive for any area (m2).

    Actuary: `A' = A + 2 s sqrt(A) + s^2`, `N = pi r^2 / A' - 2 pi r / sqrt(2 A')`, which in
    `v = r / sqrt(A')` is `pi v (v - sqrt 2)`; the bracket gets a softplus floor.
    """
    side = root(area) + node.scribe
    radius = jnp.maximum(node.wafer_diameter / 2.0 - node.edge_exclusion, 0.0)
    v = jnp.maximum(ratio(radius, side), _LEAST_SIDES)
    return math.pi * v * _FLOOR_WIDTH * jax.nn.softplus((v - math.sqrt(2.0)) / _FLOOR_WIDTH)


def log_yield(node: Node, area: Scalar) -> jax.Array:
    """Logarithm of the negative binomial yield `(1 + A D0 / alpha)^-alpha` of an area (m2)."""
    defects = jnp.maximum(area * node.defect_density, 0.0)
    return -node.clustering * jnp.log1p(defects / node.clustering)


def log_die_yield(
    node: Node, area: Scalar, unit: Scalar = 0.0, number: Scalar = 0.0, spare: Scalar = 0.0
) -> jax.Array:
    """Logarithm of the yield of a die of which `spare` of `number` units of area `unit` may fail.

    `Y = Y_NB(A - number unit) P[at most spare of number units are bad]`, with the negative
    binomial yield of Stapper (IBM J. Res. Dev. 27, 1983) for units and for what has no spare.
    Areas in m2. Spares beyond MAXIMUM_SPARE do not help.
    """
    alone = log_yield(node, jnp.maximum(area - number * unit, 0.0))
    total = alone + _log_harvest(log_yield(node, unit), number, spare)
    return jnp.maximum(total, _LEAST_LOG_YIELD)


def _log_harvest(log_good: jax.Array, number: Scalar, spare: Scalar) -> jax.Array:
    """Logarithm of P[at most `spare` of `number` units are bad], by its finite sum."""
    bad = jnp.arange(MAXIMUM_SPARE + 1).astype(log_good.dtype)
    # log C(n, k) as a running sum: differences of lgamma lose all digits for a large n
    steps = jnp.log(jnp.maximum(number - bad, 1.0)) - jnp.log(bad + 1.0)
    choose = jnp.concatenate([jnp.zeros_like(steps[:1]), jnp.cumsum(steps)[:-1]])
    # 1e-30: a unit without area never fails
    log_bad = jnp.log(jnp.maximum(-jnp.expm1(log_good), 1e-30))
    terms = choose + jnp.maximum(number - bad, 0.0) * log_good + bad * log_bad
    counted = bad <= jnp.clip(jnp.asarray(spare), 0.0, number)
    return jax.nn.logsumexp(jnp.where(counted, terms, -1e9))


def die_yield(
    node: Node, area: Scalar, unit: Scalar = 0.0, number: Scalar = 0.0, spare: Scalar = 0.0
) -> jax.Array:
    """Share of good dies; arguments as `log_die_yield`."""
    return jnp.exp(log_die_yield(node, area, unit, number, spare))


def chip_log_yield(chip: Chip) -> jax.Array:
    """Logarithm of the yield of one of the chip's compute dies, spare cores harvested."""
    core = chip.die.core
    return log_die_yield(chip.die.node, die_area(chip), core_area(chip), core.count, core.spare)


def known_good_die(chip: Chip) -> jax.Array:
    """Cost of one tested good die, USD: `wafer / (N Y) (1 + test)`; a die without area is free."""
    area = die_area(chip)
    # one exponential: the product of two tiny floors would underflow in float32
    dies = jnp.exp(-chip_log_yield(chip) - jnp.log(gross_dies(chip.die.node, area)))
    cost = chip.die.node.wafer_price * dies * (1.0 + chip.packaging.die_test)
    return jnp.where(area > 0, cost, 0.0)


def memory_cost(chip: Chip) -> jax.Array:
    """Cost of the memory of a package, USD."""
    return declared(chip.memory.price, chip.memory.stack.price) * chip.memory.capacity


def chip_cost(chip: Chip) -> ChipCost:
    """Cost of one package, USD.

    Chip-last: after `dies + stacks` attachments a share `1 / y - 1` of dies, memory, interposer
    and test is wasted for each good package (Actuary; memory counts, being the dearest part).
    """
    packaging = chip.packaging
    dies = chip.dies * known_good_die(chip)
    memory = memory_cost(chip)
    package = packaging.base_price + packaging.area_price * interposer_area(chip)
    attachments = -jnp.log(packaging.attach_yield) * (chip.dies + chip.memory.stacks)
    wasted = jnp.expm1(jnp.minimum(attachments, -_LEAST_LOG_YIELD))
    return ChipCost(
        dies=dies,
        memory=memory,
        packaging=package,
        assembly_loss=(dies + memory + package + packaging.test_price) * wasted,
        test=packaging.test_price,
        design=ratio(chip.die.node.design_cost, chip.volume),
    )


def system_cost(system: System, factor: Scalar = 1.0) -> SystemCost:
    """Price of one system, USD; `factor` is the price of a chip over its cost.

    Integration is a share of all parts but the chips.
    """
    counts, link, rack = fabric(system), system.chip.scale_up.link, system.rack
    boards = system.chips * rack.board_price
    hosts = counts.hosts * system.host.price
    switches = counts.switches * system.scale_up.switch.price
    cables = counts.near * link.copper_price + counts.far * link.far_price
    scale_out = system.chips * system.scale_out.price
    frames = counts.racks * rack.price
    return SystemCost(
        chips=system.chips * chip_cost(system.chip).total * factor,
        boards=boards,
        hosts=hosts,
        switches=switches,
        cables=cables,
        scale_out=scale_out,
        racks=frames,
        assembly=rack.assembly * (boards + hosts + switches + cables + scale_out + frames),
    )
