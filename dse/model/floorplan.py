"""What stands on a die and what fits around it: areas, die edge, interposer.

The area of a compute die is the sum of its parts, each from the process node's densities; a
published area replaces the sum. Interfaces need die edge as well as area, and the package needs
an interposer under all of it: both are rules with a margin.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar, declared, margin, ratio, root
from dse.spec.chip import Chip
from dse.spec.silicon import Array, Die

# Significand bits with the hidden one, and bits of an operand, of BF16, FP8 E4M3 and FP4 E2M1
# (OCP Microscaling Formats v1.0, tables 1-4). FP32 runs as several BF16 passes and adds no cells.
_WIDTHS = (("bf16", 8.0, 16.0), ("fp8", 4.0, 8.0), ("fp4", 2.0, 4.0))

# Share of a BF16 cell that grows with the square of the significand (its multiplier); the rest,
# adder and registers, grows with the operand's bits. Assumption: no published split was found.
_MULTIPLIER_SHARE = 0.4

# FP32 fused multiply-add over a BF16 cell with FP32 accumulation: Horowitz, ISSCC 2014, areas in
# um2: FP32 7,700 + 4,184; BF16 1,640 x (8/11)^2 + 4,184 = 5,051.
_FP32_CELLS = 2.35


class DieArea(NamedTuple):
    """Areas of the parts of one compute die, m2."""

    arrays: Scalar
    vector: Scalar
    sram: Scalar
    control: Scalar
    interconnect: Scalar
    memory_interface: Scalar
    links: Scalar
    die_to_die: Scalar
    overhead: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, m2."""
        return jnp.asarray(sum(self))


class CoreArea(NamedTuple):
    """Areas of the parts of one core, m2."""

    arrays: Scalar
    vector: Scalar
    sram: Scalar
    control: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, m2."""
        return jnp.asarray(sum(self))


class Shoreline(NamedTuple):
    """Die edge that the interfaces of one die need, and may take, m."""

    needed: Scalar
    available: Scalar


def cell_width(array: Array) -> jax.Array:
    """Area of an array's cell over a cell that does one BF16 operation a cycle.

    Multiplier area goes with the square of the significand, the rest with the operand's width
    (as the multipliers and adders of Horowitz, ISSCC 2014); a cell is as large as its most
    demanding precision.
    """
    square: Scalar = 0.0
    linear: Scalar = 0.0
    for name, significand, bits in _WIDTHS:
        rate = getattr(array.rates, name)
        square = jnp.maximum(square, rate * (significand / 8.0) ** 2)
        linear = jnp.maximum(linear, rate * bits / 16.0)
    return jnp.asarray(_MULTIPLIER_SHARE * square + (1.0 - _MULTIPLIER_SHARE) * linear)


def core_parts(die: Die) -> CoreArea:
    """Areas of one physical core, its private SRAM and accumulators included, m2."""
    node, core = die.node, die.core
    logic = node.logic_density * node.placement
    sums = core.arrays * core.array.columns * core.array.accumulator
    return CoreArea(
        arrays=core.cells * node.mac_area * cell_width(core.array),
        # a fused multiply-add counts as two operations
        vector=core.vector.lanes * core.vector.operations / 2.0 * _FP32_CELLS * node.mac_area,
        sram=_sram_area(die, core.sram + sums),
        control=ratio(core.control_transistors, logic),
    )


def _sram_area(die: Die, size: Scalar) -> jax.Array:
    return ratio(size * die.node.sram_bit_area, die.node.sram_efficiency)


def die_parts(chip: Chip) -> DieArea:
    """Areas of the parts of one compute die of a chip, spare cores included, m2.

    The on-chip network is a share of cores and SRAM. Memory stacks and lanes are spread evenly
    over the dies; each of several dies has one edge towards its neighbours.
    """
    die, dies = chip.die, jnp.maximum(chip.dies, 1.0)
    core = core_parts(die)
    number = die.core.count
    shared = _sram_area(die, die.sram)
    return DieArea(
        arrays=number * core.arrays,
        vector=number * core.vector,
        sram=number * core.sram + shared,
        control=number * core.control,
        interconnect=die.interconnect_share * (number * core.total + shared),
        memory_interface=chip.memory.stacks * chip.memory.stack.interface_area / dies,
        links=chip.scale_up.lanes * chip.scale_up.link.area / dies,
        die_to_die=_neighbour_edge(chip) * die.die_to_die.depth,
        overhead=die.overhead_area,
    )


def _neighbour_edge(chip: Chip) -> jax.Array:
    """Edge of the die-to-die link, m; a lone die has none."""
    edge = ratio(chip.die.die_to_die.bandwidth, chip.die.die_to_die.density)
    return jnp.where(jnp.asarray(chip.dies) > 1.0, edge, 0.0)


def die_area(chip: Chip) -> jax.Array:
    """Area of one compute die: published, else the sum of its parts, m2."""
    return declared(chip.die.area, die_parts(chip).total)


def core_area(chip: Chip) -> jax.Array:
    """Area that one spare core can save, m2: a core with its part of the network.

    Where the die's area is published, the core takes the same share of it as of the parts.
    """
    parts = die_parts(chip)
    one = core_parts(chip.die).total * (1.0 + chip.die.interconnect_share)
    return one * declared(ratio(chip.die.area, parts.total), 1.0)


def shoreline(chip: Chip) -> Shoreline:
    """Die edge needed and available, m, of a square die: what stands on the edge adds up."""
    dies = jnp.maximum(chip.dies, 1.0)
    stacks = chip.memory.stacks * chip.memory.stack.shoreline
    lanes = chip.scale_up.lanes * chip.scale_up.link.shoreline
    return Shoreline(
        needed=(stacks + lanes) / dies + _neighbour_edge(chip),
        available=chip.packaging.shoreline_use * 4.0 * root(die_area(chip)),
    )


def interposer_area(chip: Chip) -> jax.Array:
    """Interposer under dies and stacks, m2 (spacing as in Feng and Ma, DAC 2022: about 1.1)."""
    dies = chip.dies * die_area(chip)
    return chip.packaging.spacing * (dies + chip.memory.stacks * chip.memory.stack.footprint)


def margins(chip: Chip) -> dict[str, jax.Array]:
    """Relative margins of the geometric rules; negative where one is broken."""
    edge = shoreline(chip)
    reticle = margin(die_area(chip), chip.die.node.reticle)
    single = jnp.asarray(chip.die.single_exposure) > 0
    return {
        "die.reticle": jnp.where(single, reticle, 1.0),
        "chip.shoreline": margin(edge.needed, edge.available),
        "chip.interposer": margin(interposer_area(chip), chip.packaging.maximum_area),
    }
