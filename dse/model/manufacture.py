"""What a die, a package and a system cost to make, and what is asked for them.

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
from dse.model.floorplan import core_area, die_area, interposer_area, io_die_area
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
    """Cost of one package by part, USD; `assembly_loss` holds the loss of good dies and memory."""

    dies: Scalar
    io_dies: Scalar
    memory: Scalar
    packaging: Scalar
    assembly_loss: Scalar
    test: Scalar
    design: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, USD."""
        return jnp.asarray(sum(self))


class Engineering(NamedTuple):
    """One-time cost of a chip, USD; each kind of die is designed and has masks of its own."""

    design: Scalar
    masks: Scalar
    licences: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, USD."""
        return jnp.asarray(sum(self))


class Markup(NamedTuple):
    """Price over cost: of what a vendor makes, and of the memory that it buys in.

    `made` holds all but the merchant's part, which is `merchant`, its weight, times the chip's
    own margin or `margin`. `rest` is a factor on all that a system holds beside its chips.
    """

    made: Scalar
    merchant: Scalar
    margin: Scalar
    memory: Scalar
    rest: Scalar = 1.0


AT_COST = Markup(1.0, 0.0, 1.0, 1.0)
"""What is asked for a chip is what it costs."""


class Item(NamedTuple):
    """One line of a bill of materials: how many, and USD each."""

    quantity: Scalar
    price: Scalar

    @property
    def total(self) -> jax.Array:
        """Quantity times price, USD."""
        return jnp.asarray(self.quantity * self.price)


class SystemBill(NamedTuple):
    """The bill of materials of one system; lanes are links between two ends."""

    chips: Item
    boards: Item
    hosts: Item
    host_memory: Item
    switches: Item
    copper_lanes: Item
    far_lanes: Item
    network_cards: Item
    network: Item
    racks: Item
    cooling: Item
    power_supplies: Item
    assembly: Item


class SystemCost(NamedTuple):
    """Price of one system by part, USD: the totals of its bill."""

    chips: Scalar
    boards: Scalar
    hosts: Scalar
    host_memory: Scalar
    switches: Scalar
    copper_lanes: Scalar
    far_lanes: Scalar
    network_cards: Scalar
    scale_out: Scalar
    racks: Scalar
    cooling: Scalar
    power_supplies: Scalar
    assembly: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, USD."""
        return jnp.asarray(sum(self))

    @property
    def network(self) -> jax.Array:
        """Switches, lanes, network cards and the scale-out network, USD."""
        lanes = self.copper_lanes + self.far_lanes
        return jnp.asarray(self.switches + lanes + self.network_cards + self.scale_out)


def gross_dies(node: Node, area: Scalar) -> jax.Array:
    """Dies on a wafer, smooth and positive for any area (m2).

    Actuary: `A' = A + 2 s sqrt(A) + s^2`, `N = pi r^2 / A' - 2 pi r / sqrt(2 A')`, which in
    `v = r / sqrt(A')` is `pi v (v - sqrt 2)`; the bracket gets a softplus floor.
    """
    side = root(area) + node.scribe
    radius = jnp.maximum(node.wafer_diameter / 2.0 - node.edge_exclusion, 0.0)
    v = jnp.maximum(ratio(radius, side), _LEAST_SIDES)
    return math.pi * v * _FLOOR_WIDTH * jax.nn.softplus((v - math.sqrt(2.0)) / _FLOOR_WIDTH)


def log_yield(area: Scalar, defect_density: Scalar, clustering: Scalar) -> jax.Array:
    """Logarithm of the negative binomial yield `(1 + A D0 / alpha)^-alpha` of an area (m2)."""
    defects = jnp.maximum(jnp.asarray(area * defect_density), 0.0)
    return -clustering * jnp.log1p(defects / clustering)


def log_die_yield(
    node: Node, area: Scalar, unit: Scalar = 0.0, number: Scalar = 0.0, spare: Scalar = 0.0
) -> jax.Array:
    """Logarithm of the yield of a die of which `spare` of `number` units of area `unit` may fail.

    `Y = Y_NB(A - number unit) P[at most spare of number units are bad]`, with the negative
    binomial yield of Stapper (IBM J. Res. Dev. 27, 1983) for units and for what has no spare.
    Areas in m2. Spares beyond MAXIMUM_SPARE do not help.
    """
    defects, alpha = node.defect_density, node.clustering
    alone = log_yield(jnp.maximum(area - number * unit, 0.0), defects, alpha)
    total = alone + _log_harvest(log_yield(unit, defects, alpha), number, spare)
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


def _good_die(node: Node, area: Scalar, log_good: jax.Array, test: Scalar) -> jax.Array:
    """`wafer / (N Y) (1 + test)`, USD; a die without area is free."""
    # one exponential: the product of two tiny floors would underflow in float32
    dies = jnp.exp(-log_good - jnp.log(gross_dies(node, area)))
    return jnp.where(jnp.asarray(area) > 0, node.wafer_price * dies * (1.0 + test), 0.0)


def known_good_die(chip: Chip) -> jax.Array:
    """Cost of one tested good compute die, USD."""
    area, test = die_area(chip), chip.packaging.die_test
    return _good_die(chip.die.node, area, chip_log_yield(chip), test)


def known_good_io_die(chip: Chip) -> jax.Array:
    """Cost of one tested good I/O die, USD; all of it must work."""
    node, area = chip.io_die.node, io_die_area(chip)
    return _good_die(node, area, log_die_yield(node, area), chip.packaging.die_test)


def memory_cost(chip: Chip) -> jax.Array:
    """Cost of the memory of a package, USD."""
    return declared(chip.memory.price, chip.memory.stack.price) * chip.memory.capacity


def interposer_cost(chip: Chip) -> jax.Array:
    """Cost of a good interposer, USD: by area over its own negative binomial yield."""
    packaging, area = chip.packaging, interposer_area(chip)
    log_good = log_yield(area, packaging.defect_density, packaging.clustering)
    return packaging.area_price * area * jnp.exp(-jnp.maximum(log_good, _LEAST_LOG_YIELD))


def substrate_cost(chip: Chip) -> jax.Array:
    """Cost of the package substrate, USD: a multiple of the interposer's area."""
    packaging = chip.packaging
    return packaging.substrate_price * packaging.substrate_share * interposer_area(chip)


def engineering(chip: Chip) -> Engineering:
    """One-time cost of a chip, USD: its compute die and, where it has any, its I/O die."""
    with_io = jnp.where(jnp.asarray(chip.io_die.count) > 0, 1.0, 0.0)
    node, other = chip.die.node, chip.io_die.node
    return Engineering(
        design=node.design_cost + with_io * other.design_cost,
        masks=node.mask_cost + with_io * other.mask_cost,
        licences=chip.licences,
    )


def chip_cost(chip: Chip) -> ChipCost:
    """Cost of one package, USD.

    Chip-last, with a yield `y` for each die or stack and `y3` for the substrate: for each good
    package a share `1 / (y^n y3) - 1` of dies, memory, interposer and test is wasted, and
    `1 / y3 - 1` of the substrate (Actuary; memory counts, being the dearest part). Compute dies
    that stand on I/O dies are bonded first and tested, so that a bad bond wastes only dies.
    """
    packaging = chip.packaging
    dies = chip.dies * known_good_die(chip)
    io_dies = chip.io_die.count * known_good_io_die(chip)
    memory = memory_cost(chip)
    interposer, substrate = interposer_cost(chip), substrate_cost(chip)
    stacked = jnp.where(jnp.asarray(chip.io_die.count) > 0, chip.io_die.beneath, 0.0)
    each = -jnp.log(packaging.attach_yield)
    last = -jnp.log(packaging.substrate_yield)
    bonds = _wasted(stacked * chip.dies * each)
    standing = (1.0 - stacked) * chip.dies + chip.io_die.count + chip.memory.stacks
    logic = (dies + io_dies) * (1.0 + bonds)
    placed = (logic + memory + interposer + packaging.test_price) * _wasted(standing * each + last)
    return ChipCost(
        dies=dies,
        io_dies=io_dies,
        memory=memory,
        packaging=packaging.base_price + interposer + substrate,
        assembly_loss=(dies + io_dies) * bonds
        + placed
        + (substrate + packaging.base_price) * _wasted(last),
        test=packaging.test_price,
        design=ratio(engineering(chip).total, chip.volume),
    )


def _wasted(log_loss: Scalar) -> jax.Array:
    """What is wasted for each good assembly, from the negative logarithm of its yield."""
    return jnp.expm1(jnp.minimum(jnp.asarray(log_loss), -_LEAST_LOG_YIELD))


def chip_price(chip: Chip, markup: Markup = AT_COST) -> jax.Array:
    """What is asked for one package, USD: the margin is on all but the memory it holds."""
    cost = chip_cost(chip)
    made = markup.made + markup.merchant * declared(chip.merchant_margin, markup.margin)
    return (cost.total - cost.memory) * made + cost.memory * markup.memory


def system_bill(system: System, markup: Markup = AT_COST) -> SystemBill:
    """Every line of one system's bill of materials, USD.

    Integration is a share of all parts but the chips.
    """
    counts, link, rack = fabric(system), system.chip.scale_up.link, system.rack
    scale_out, host, chips = system.scale_out, system.host, system.chips
    bill = SystemBill(
        chips=Item(chips, chip_price(system.chip, markup)),
        boards=Item(chips, rack.board_price),
        hosts=Item(counts.hosts, host.price),
        host_memory=Item(counts.hosts * host.memory, host.memory_price),
        switches=Item(counts.switches, system.scale_up.switch.price),
        copper_lanes=Item(counts.near, link.copper_price),
        far_lanes=Item(counts.far, link.far_price),
        network_cards=Item(chips, scale_out.card_price),
        network=Item(chips, scale_out.price),
        racks=Item(counts.racks, rack.price),
        cooling=Item(counts.racks, rack.cooling_price),
        power_supplies=Item(counts.racks, rack.supply_price),
        assembly=Item(rack.assembly, 0.0),
    )
    paid = {n: i._replace(price=i.price * markup.rest) for n, i in bill._asdict().items()}
    bill = bill._replace(**{**paid, "chips": bill.chips})
    parts = jnp.asarray(sum(item.total for item in bill[1:-1]))
    return bill._replace(assembly=Item(rack.assembly, parts))


def system_cost(system: System, markup: Markup = AT_COST) -> SystemCost:
    """Price of one system by part, USD."""
    return SystemCost(*(item.total for item in system_bill(system, markup)))
