"""What stands on a die and what fits around it: areas, die edge, interposer.

The area of a compute or I/O die is the sum of its parts, each from the process node's densities; a
published area replaces the sum. What no source gives by part (control of threads, wiring, uncore)
follows three rules that all chips share, fitted to published dies (`dse.evidence.die_rows`).
Interfaces need die edge as well as area, and the package an interposer under all of it; the limits
stand in `dse.model.rules`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar, declared, ratio, root
from dse.spec.chip import Chip
from dse.spec.silicon import Array, Die, DieToDie, Node

# Significand bits with the hidden one, and bits of an operand, of BF16, FP8 E4M3 and FP4 E2M1
# (OCP Microscaling Formats v1.0, tables 1-4). FP32 runs as several BF16 passes and adds no cells.
_WIDTHS = (("bf16", 8.0, 16.0), ("fp8", 4.0, 8.0), ("fp4", 2.0, 4.0))

# Multiplier of a BF16 cell with FP32 accumulation over the cell: Horowitz, ISSCC 2014, areas in
# um2: 1,640 x (8/11)^2 = 867 of 867 + 4,184. It grows with the square of the significand.
_MULTIPLIER_SHARE = 0.17

# Of the rest, what adds up products and holds the sum, whatever their width: a cell sums several
# narrow products into one FP32 number. Operand registers and the narrow adders grow with the
# operands' bits. Assumption: a half, no published split was found.
_SUM_SHARE = 0.5

# FP32 fused multiply-add over a BF16 cell with FP32 accumulation: Horowitz, ISSCC 2014, areas in
# um2: FP32 7,700 + 4,184; BF16 1,640 x (8/11)^2 + 4,184 = 5,051.
_FP32_CELLS = 2.35


class DieArea(NamedTuple):
    """Areas of the parts of one die, m2."""

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

    Multiplier area goes with the square of the significand, operands with their width, the sum
    stays (multipliers and adders of Horowitz, ISSCC 2014); a cell is as large as its most
    demanding precision.
    """
    square: Scalar = 0.0
    linear: Scalar = 0.0
    for name, significand, bits in _WIDTHS:
        rate = getattr(array.rates, name)
        square = jnp.maximum(square, rate * (significand / 8.0) ** 2)
        linear = jnp.maximum(linear, rate * bits / 16.0)
    rest = _SUM_SHARE * jnp.minimum(1.0, linear) + (1.0 - _SUM_SHARE) * linear
    return jnp.asarray(_MULTIPLIER_SHARE * square + (1.0 - _MULTIPLIER_SHARE) * rest)


def core_parts(die: Die) -> CoreArea:
    """Areas of one physical core, its private SRAM and accumulators included, m2."""
    node, core = die.node, die.core
    columns = core.arrays * core.array.columns
    threads = core.vector.simt * core.vector.lanes
    # a fused multiply-add counts as two operations
    units = core.vector.lanes * core.vector.operations / 2.0
    return CoreArea(
        arrays=core.cells * node.mac_area * cell_width(core.array),
        vector=units * _FP32_CELLS * node.mac_area,
        sram=sram_area(node, core.sram) + columns * sram_area(node, core.array.accumulator),
        control=logic_area(node, core.control_transistors + threads * node.lane_control),
    )


def logic_area(node: Node, transistors: Scalar) -> jax.Array:
    """Area of placed logic, m2."""
    return ratio(transistors, node.logic_density * node.placement)


def sram_area(node: Node, size: Scalar) -> jax.Array:
    """Area of one SRAM of a size (bytes), m2; decoders and sense amplifiers weigh on small ones.

    `bits / (efficiency / (1 + half / size))`: within a fifth of what CACTI gives for caches of
    8 to 128 KiB (LLMCompass, ISCA 2024, cost model), and a register file's size takes most.
    """
    there = jnp.asarray(size) > 0
    cells = ratio((size + node.sram_macro) * node.sram_bit_area, node.sram_efficiency)
    return jnp.where(there, cells, 0.0)


def _wiring(die: Die) -> jax.Array:
    return declared(die.interconnect_share, die.node.wiring)


def _memory_interface(chip: Chip, node: Node) -> jax.Array:
    """All PHYs, and controllers in a node, m2."""
    stack = chip.memory.stack
    each = stack.interface_area + logic_area(node, stack.controller)
    return jnp.maximum(chip.memory.sites, chip.memory.stacks) * each


def _lanes(chip: Chip, node: Node) -> jax.Array:
    """All SerDes, and controllers in a node, m2."""
    link = chip.scale_up.link
    each = link.area + logic_area(node, link.controller)
    return jnp.maximum(chip.scale_up.built, chip.scale_up.lanes) * each


def _on_io(chip: Chip, share: Scalar) -> jax.Array:
    """A share that stands on the I/O dies; nothing does where there are none."""
    return jnp.where(jnp.asarray(chip.io_die.count) > 0, share, 0.0)


def _uncore(chip: Chip, node: Node) -> jax.Array:
    """Uncore of a die with memory interfaces, m2; memory in the cores has none."""
    return jnp.where(jnp.asarray(chip.memory.stack.interface_area) > 0, node.uncore_area, 0.0)


def die_parts(chip: Chip) -> DieArea:
    """Areas of the parts of one compute die of a chip, spare cores included, m2.

    Wiring is a share of cores and SRAM. Memory stacks and lanes are spread evenly over the dies;
    each of several dies has one edge towards its neighbours. What stands on I/O dies is not here.
    """
    die, io, dies = chip.die, chip.io_die, jnp.maximum(chip.dies, 1.0)
    core, number, node = core_parts(chip.die), chip.die.core.count, chip.die.node
    shared = sram_area(node, die.sram) * (1.0 - _on_io(chip, io.sram))
    here = 1.0 - _on_io(chip, io.memory)
    return DieArea(
        arrays=number * core.arrays,
        vector=number * core.vector,
        sram=number * core.sram + shared,
        control=number * core.control,
        interconnect=_wiring(die) * (number * core.total + shared),
        memory_interface=_memory_interface(chip, node) * here / dies,
        links=_lanes(chip, node) * (1.0 - _on_io(chip, io.links)) / dies,
        die_to_die=_neighbour_edge(chip) * die.die_to_die.depth,
        overhead=die.overhead_area + _uncore(chip, node) * here,
    )


def io_die_parts(chip: Chip) -> DieArea:
    """Areas of the parts of one I/O die, m2; all zero where there is none."""
    io, number = chip.io_die, jnp.maximum(chip.io_die.count, 1.0)
    there = _on_io(chip, 1.0)
    shared = chip.dies / number * sram_area(io.node, chip.die.sram) * io.sram * there
    nothing = 0.0 * there
    return DieArea(
        arrays=nothing,
        vector=nothing,
        sram=shared,
        control=nothing,
        interconnect=io.node.wiring * shared,
        memory_interface=_memory_interface(chip, io.node) * io.memory * there / number,
        links=_lanes(chip, io.node) * io.links * there / number,
        die_to_die=_io_neighbour_edge(chip) * io.die_to_die.depth,
        overhead=(io.overhead_area + _uncore(chip, io.node) * io.memory) * there,
    )


def _neighbour_edge(chip: Chip) -> jax.Array:
    """Edge of the die-to-die link, m; a lone die has none."""
    return _link_edge(chip.die.die_to_die, chip.dies)


def _io_neighbour_edge(chip: Chip) -> jax.Array:
    """Edge of an I/O die's links to other I/O dies, m; a lone one has none."""
    return _link_edge(chip.io_die.die_to_die, chip.io_die.count)


def _link_edge(link: DieToDie, dies: Scalar) -> jax.Array:
    return jnp.where(jnp.asarray(dies) > 1.0, ratio(link.bandwidth, link.density), 0.0)


def die_area(chip: Chip) -> jax.Array:
    """Area of one compute die: published, else the sum of its parts, m2."""
    return declared(chip.die.area, die_parts(chip).total)


def io_die_area(chip: Chip) -> jax.Array:
    """Area of one I/O die, m2: published, else the sum of its parts; zero where there is none."""
    area = declared(chip.io_die.area, io_die_parts(chip).total)
    return jnp.where(jnp.asarray(chip.io_die.count) > 0, area, 0.0)


def core_area(chip: Chip) -> jax.Array:
    """Area that one spare core can save, m2: a core with its part of the network.

    Where the die's area is published, the core takes the same share of it as of the parts.
    """
    parts = die_parts(chip)
    one = core_parts(chip.die).total * (1.0 + _wiring(chip.die))
    return one * declared(ratio(chip.die.area, parts.total), 1.0)


def shoreline(chip: Chip) -> Shoreline:
    """Die edge needed and available, m, of a square compute die: what stands on it adds up."""
    io = chip.io_die
    stacks, lanes = _edges(chip, 1.0 - _on_io(chip, io.memory), 1.0 - _on_io(chip, io.links))
    return Shoreline(
        needed=(stacks + lanes) / jnp.maximum(chip.dies, 1.0) + _neighbour_edge(chip),
        available=_perimeter(chip, die_area(chip)),
    )


def io_shoreline(chip: Chip) -> Shoreline:
    """Die edge needed and available, m, of a square I/O die."""
    io = chip.io_die
    stacks, lanes = _edges(chip, _on_io(chip, io.memory), _on_io(chip, io.links))
    return Shoreline(
        needed=(stacks + lanes) / jnp.maximum(io.count, 1.0) + _io_neighbour_edge(chip),
        available=_perimeter(chip, io_die_area(chip)),
    )


def _edges(chip: Chip, memory: Scalar, links: Scalar) -> tuple[Scalar, Scalar]:
    """Edge of shares of the memory sites and of the lanes, m."""
    sites = jnp.maximum(chip.memory.sites, chip.memory.stacks)
    lanes = jnp.maximum(chip.scale_up.built, chip.scale_up.lanes)
    of_sites = sites * chip.memory.stack.shoreline * memory
    return of_sites, lanes * chip.scale_up.link.shoreline * links


def _perimeter(chip: Chip, area: Scalar) -> jax.Array:
    return chip.packaging.shoreline_use * 4.0 * root(area)


def logic_footprint(chip: Chip) -> jax.Array:
    """Area that compute and I/O dies take on the interposer, m2; stacked dies share it."""
    dies, below = chip.dies * die_area(chip), chip.io_die.count * io_die_area(chip)
    stacked = jnp.asarray(chip.io_die.beneath) > 0
    return jnp.where(stacked & (below > 0), jnp.maximum(dies, below), dies + below)


def stack_edge(chip: Chip) -> Shoreline:
    """Edge that stacks stand along, and perimeter of compute and I/O dies as one square, m.

    However narrow its interface is, a stack beside the dies is as long as it is: HBM4's 13 x 11 mm
    leave room for eight or nine around a die that a reticle prints.
    """
    side = root(chip.memory.stack.footprint)
    return Shoreline(needed=chip.memory.stacks * side, available=4.0 * root(logic_footprint(chip)))


def interposer_area(chip: Chip) -> jax.Array:
    """Interposer under dies and stacks, m2 (spacing as in Feng and Ma, DAC 2022: about 1.1)."""
    stacks = chip.memory.stacks * chip.memory.stack.footprint
    return chip.packaging.spacing * (logic_footprint(chip) + stacks)
