"""Dies per wafer, yield, package and system cost against published and hand-worked numbers."""

from __future__ import annotations

import math
from typing import Any

import attrs
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from silicon_checks import faulty_leaves, gradient_faults, together
from silicon_examples import (
    B200,
    CHIPS,
    H100,
    HGX_H100,
    MM2,
    N4,
    N7,
    SYSTEMS,
    TRAINIUM2,
    TRAINIUM2_ULTRA,
)

from dse.model import fabric, manufacture
from dse.model.manufacture import Markup
from dse.model.pytree import lower, replace
from dse.spec.chip import Chip
from dse.spec.silicon import IoDie
from dse.spec.system import Axis, System

STACKED = attrs.evolve(
    TRAINIUM2,
    name="stacked",
    dies=8.0,
    die=attrs.evolve(TRAINIUM2.die, area=110 * MM2),
    io_die=IoDie(node=N7, area=370 * MM2, count=4.0, beneath=1.0),
    licences=20e6,
    merchant_margin=3.0,
)
"""Eight compute dies on four I/O dies of an older node."""

STACKED_SERVER = attrs.evolve(HGX_H100, name="stacked-server", chip=STACKED)
EVERY = (*SYSTEMS, STACKED_SERVER)


def everything(system: System) -> jax.Array:
    """A number that depends on every result of the module."""
    markup = Markup(0.5, 0.5, 6.0, 1.2)
    return together(manufacture.system_cost(system, markup), manufacture.chip_cost(system.chip))


def node(**changes: float) -> Any:
    return lower(attrs.evolve(N7, **changes))


def total(chip: Chip) -> float:
    return float(manufacture.chip_cost(chip).total)


def test_gross_dies_are_those_of_the_formula() -> None:
    """814 mm2, 0.2 mm scribe, 145 mm radius: pi r^2 / A' - 2 pi r / sqrt(2 A') = 57.6."""
    cut = 814 + 2 * 0.2 * math.sqrt(814) + 0.2**2
    worked = math.pi * 145**2 / cut - math.pi * 290 / math.sqrt(2 * cut)
    assert worked == pytest.approx(57.6, abs=0.05)
    assert float(manufacture.gross_dies(lower(N4), 814 * MM2)) == pytest.approx(worked, rel=1e-5)


def test_gross_dies_stay_positive_and_fall_beyond_the_wafer() -> None:
    """The formula turns negative near half a wafer; the count here falls on, above zero."""
    areas = np.geomspace(1e-7, 1.0, 60, dtype=np.float32)
    counts = jax.vmap(lambda area: manufacture.gross_dies(lower(N4), area))(areas)
    assert np.all(np.asarray(counts) > 0.0)
    assert np.all(np.diff(np.asarray(counts)) < 0.0)
    assert counts[-1] < 0.1


def test_negative_binomial_yield_is_the_textbook_one() -> None:
    """826 mm2 at 0.09 / cm2, alpha 3: (1 + 0.7434 / 3)^-3 = 0.515."""
    assert float(manufacture.die_yield(node(), 826 * MM2)) == pytest.approx(0.515, abs=5e-4)


def test_harvest_recovers_most_of_a_gpu_die() -> None:
    """826 mm2, 108 of 128 units of 3.2 mm2, 0.09 / cm2, alpha 3: 0.515 -> 0.702."""
    made = manufacture.die_yield(node(), 826 * MM2, 3.2 * MM2, 128.0, 20.0)
    assert float(made) == pytest.approx(0.702, abs=1e-3)


def test_harvest_is_the_binomial_sum() -> None:
    """Two spares of eight: the sum over 0, 1 and 2 bad units, times the rest's yield."""
    good = (1 + 0.5 * 0.9 / 3) ** -3
    rest = (1 + 2.0 * 0.9 / 3) ** -3
    chance = sum(math.comb(8, k) * good ** (8 - k) * (1 - good) ** k for k in range(3))
    made = manufacture.die_yield(node(defect_density=0.9e4), 600 * MM2, 50 * MM2, 8.0, 2.0)
    assert float(made) == pytest.approx(rest * chance, rel=1e-5)


def test_harvest_keeps_its_digits_for_many_units() -> None:
    """A million units with one spare: the Poisson limit exp(-m)(1 + m), m = 0.9."""
    made = manufacture.die_yield(node(clustering=1000.0), 1e-3, 1e-9, 1e6, 1.0)
    assert float(made) == pytest.approx(math.exp(-0.9) * 1.9, rel=1e-3)


def test_no_spares_and_no_units_are_limits_of_the_same_formula() -> None:
    """Spares without units change nothing, and every unit spare makes all units good."""
    plain = manufacture.die_yield(node(), 600 * MM2)
    assert manufacture.die_yield(node(), 600 * MM2, 0.0, 0.0, 5.0) == pytest.approx(plain)
    rest = manufacture.die_yield(node(), 200 * MM2)
    spared = manufacture.die_yield(node(), 600 * MM2, 50 * MM2, 8.0, 8.0)
    assert float(spared) == pytest.approx(float(rest), rel=1e-5)


def test_known_good_die_is_wafer_over_good_dies() -> None:
    """`wafer / (N Y) (1 + test)` for H100's 18,000 USD wafer with 10 % wafer test."""
    chip = lower(H100)
    number = float(manufacture.gross_dies(chip.die.node, chip.die.area))
    share = math.exp(float(manufacture.chip_log_yield(chip)))
    worked = 18_000 / (number * share) * 1.1
    assert float(manufacture.known_good_die(chip)) == pytest.approx(worked, rel=1e-5)


@pytest.mark.parametrize(("chip", "published"), [(H100, 3_320.0), (B200, 6_400.0)])
def test_unit_costs_meet_published_estimates(chip: Chip, published: float) -> None:
    """H100 3,320 and B200 6,400 USD without design cost (siliconanalysts, Epoch AI), +-15 %."""
    cost = manufacture.chip_cost(lower(chip))
    assert float(cost.total - cost.design) == pytest.approx(published, rel=0.15)


@pytest.mark.parametrize("chip", [*CHIPS, STACKED], ids=lambda chip: chip.name)
def test_chip_parts_add_up(chip: Chip) -> None:
    """The total is the sum of the parts, and the parts of design are those of engineering."""
    cost = manufacture.chip_cost(lower(chip))
    assert float(cost.total) == pytest.approx(sum(float(part) for part in cost))
    spread = float(manufacture.engineering(lower(chip)).total) / chip.volume
    assert float(cost.design) == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_a_bad_attachment_wastes_dies_and_memory(chip: Chip) -> None:
    """Actuary: all that stands on the interposer times 1 / (y^n y3) - 1, the rest 1 / y3 - 1."""
    cost = manufacture.chip_cost(lower(chip))
    interposer = float(manufacture.interposer_cost(lower(chip)))
    good = 0.98 ** (chip.dies + chip.memory.stacks) * 0.99
    placed = float(cost.dies + cost.memory + cost.test) + interposer
    below = float(cost.packaging) - interposer
    worked = placed * (1 / good - 1) + below * (1 / 0.99 - 1)
    assert float(cost.assembly_loss) == pytest.approx(worked, rel=1e-4)


def test_a_bad_bond_in_a_tested_stack_wastes_only_dies() -> None:
    """Eight bonds waste dies; four stacks of dies and four of memory waste all that stands."""
    cost = manufacture.chip_cost(lower(STACKED))
    interposer = float(manufacture.interposer_cost(lower(STACKED)))
    dies = float(cost.dies + cost.io_dies)
    bonds = dies * (0.98**-8 - 1)
    placed = dies + bonds + float(cost.memory + cost.test) + interposer
    below = float(cost.packaging) - interposer
    worked = bonds + placed * (0.98**-8 / 0.99 - 1) + below * (1 / 0.99 - 1)
    assert float(cost.assembly_loss) == pytest.approx(worked, rel=1e-4)
    beside = attrs.evolve(STACKED, io_die=attrs.evolve(STACKED.io_die, beneath=0.0))
    assert total(lower(beside)) > total(lower(STACKED))


def test_io_dies_are_made_on_their_own_node() -> None:
    """370 mm2 at N7: 9,346 USD over 135 dies of 73 % yield, tested: 103 USD each, four of them."""
    cut = 370 + 2 * 0.2 * math.sqrt(370) + 0.2**2
    gross = math.pi * 145**2 / cut - math.pi * 290 / math.sqrt(2 * cut)
    good = (1 + 3.7 * 0.09 / 3) ** -3
    worked = 9_346 / (gross * good) * 1.1
    assert float(manufacture.known_good_io_die(lower(STACKED))) == pytest.approx(worked, rel=1e-5)
    assert float(manufacture.chip_cost(lower(STACKED)).io_dies) == pytest.approx(4 * worked)
    assert float(manufacture.chip_cost(lower(H100)).io_dies) == 0.0


def test_an_interposer_has_a_yield_of_its_own() -> None:
    """1.1 x (814 + 5 x 121) mm2 at 0.20 USD/mm2 over (1 + 15.6 x 0.01 / 6)^-6 = 0.857."""
    area = 1.1 * (814 + 5 * 121)
    good = (1 + area / 100 * 0.01 / 6) ** -6
    assert good == pytest.approx(0.857, abs=1e-3)
    assert float(manufacture.interposer_cost(lower(H100))) == pytest.approx(area * 0.2 / good)
    assert float(manufacture.substrate_cost(lower(H100))) == pytest.approx(area * 4 * 0.005)


def test_each_kind_of_die_is_engineered() -> None:
    """N5 and N7 designs of 542 and 298 million and 20 of licences over a million packages: 860."""
    made = manufacture.engineering(lower(STACKED))
    assert float(made.total) == pytest.approx(542e6 + 298e6 + 20e6)
    assert float(manufacture.engineering(lower(H100)).total) == pytest.approx(542e6)
    masked = attrs.evolve(N4, mask_cost=20e6)
    h100 = attrs.evolve(H100, die=attrs.evolve(H100.die, node=masked))
    assert float(manufacture.engineering(lower(h100)).masks) == pytest.approx(20e6)


def test_memory_price_here_replaces_the_stacks_own() -> None:
    """80 GB at the stack's 17 USD/GB, or at the package's own 20 USD/GB."""
    assert float(manufacture.memory_cost(lower(H100))) == pytest.approx(80 * 17)
    dear = attrs.evolve(H100, memory=attrs.evolve(H100.memory, price=20e-9))
    assert float(manufacture.memory_cost(lower(dear))) == pytest.approx(80 * 20)


@pytest.mark.parametrize("system", EVERY, ids=lambda system: system.name)
def test_the_margin_is_on_what_the_vendor_makes(system: System) -> None:
    """Parts add up; a margin multiplies the chips' cost less their memory, which has its own."""
    once = manufacture.system_cost(lower(system))
    marked = manufacture.system_cost(lower(system), Markup(2.0, 0.0, 1.0, 1.5))
    assert float(once.total) == pytest.approx(sum(float(part) for part in once))
    cost = manufacture.chip_cost(lower(system.chip))
    extra = float(cost.total - cost.memory) + 0.5 * float(cost.memory)
    assert float(marked.total - once.total) == pytest.approx(system.chips * extra, rel=1e-4)
    lanes = float(once.copper_lanes + once.far_lanes)
    network = float(once.switches + once.network_cards + once.scale_out) + lanes
    assert float(once.network) == pytest.approx(network)


def test_a_vendor_may_have_a_margin_of_its_own() -> None:
    """A merchant asks the chip's margin where it declares one, else the facility's."""
    merchant = Markup(0.0, 1.0, 6.0, 1.0)
    for chip, margin in ((H100, 6.0), (STACKED, 3.0)):
        cost = manufacture.chip_cost(lower(chip))
        worked = float(cost.total - cost.memory) * margin + float(cost.memory)
        assert float(manufacture.chip_price(lower(chip), merchant)) == pytest.approx(worked)
    partner = manufacture.chip_price(lower(STACKED), Markup(1.8, 0.0, 6.0, 1.0))
    cost = manufacture.chip_cost(lower(STACKED))
    assert float(partner) == pytest.approx(
        float(cost.total - cost.memory) * 1.8 + float(cost.memory)
    )


def test_a_bill_of_materials_is_the_price() -> None:
    """GB200 NVL72 (Bernstein, 2026-06-08): 36 hosts with 480 GB, lines that sum to the price."""
    host = attrs.evolve(HGX_H100.host, chips=2.0, price=2_580.0, memory=480e9, memory_price=14.6e-9)
    rack = attrs.evolve(HGX_H100.rack, chips=72.0, cooling_price=51e3, supply_price=44e3)
    scale_out = attrs.evolve(HGX_H100.scale_out, card_price=1_360.0, price=3_380.0)
    system = attrs.evolve(HGX_H100, chips=72.0, host=host, rack=rack, scale_out=scale_out)
    bill = manufacture.system_bill(lower(system))
    assert float(bill.hosts.quantity) == 36.0
    assert float(bill.host_memory.quantity) == pytest.approx(36 * 480e9)
    assert float(bill.host_memory.total) == pytest.approx(252e3, rel=2e-3)
    assert float(bill.cooling.total + bill.power_supplies.total) == pytest.approx(95e3)
    assert float(bill.network_cards.total + bill.network.total) == pytest.approx(341e3, rel=2e-3)
    assembled = sum(float(item.total) for item in bill[1:-1]) * rack.assembly
    assert float(bill.assembly.total) == pytest.approx(assembled, rel=1e-5)
    price = manufacture.system_cost(lower(system)).total
    assert sum(float(item.total) for item in bill) == pytest.approx(float(price), rel=1e-6)


def test_a_single_tier_has_one_switch_port_for_each_lane() -> None:
    """GB200 NVL72: 72 chips x 18 links over 72-port switches are 18 switches, all in one rack."""
    attachment = attrs.evolve(HGX_H100.chip.scale_up, lanes=18.0)
    switch = attrs.evolve(
        HGX_H100.scale_up, switch=attrs.evolve(HGX_H100.scale_up.switch, lanes=72)
    )
    system = attrs.evolve(
        HGX_H100,
        chips=72.0,
        chip=attrs.evolve(H100, scale_up=attachment),
        scale_up=switch,
        rack=attrs.evolve(HGX_H100.rack, chips=72.0),
    )
    counts = fabric.fabric(lower(system))
    assert float(counts.switches) == 18.0
    assert (float(counts.near), float(counts.far)) == (72 * 18, 0.0)
    split = attrs.evolve(system, rack=attrs.evolve(system.rack, chips=36.0))
    assert float(fabric.fabric(lower(split)).far) == 72 * 18 / 2


def test_small_systems_share_a_rack() -> None:
    """Four 8-chip servers fill a 32-chip rack; 24 chips leave no room for a second system."""
    assert float(fabric.racks(lower(HGX_H100))) == 0.25
    assert float(fabric.racks(lower(attrs.evolve(HGX_H100, chips=24.0)))) == 1.0
    assert float(fabric.racks(lower(attrs.evolve(HGX_H100, chips=40.0)))) == 2.0
    assert float(fabric.fabric(lower(HGX_H100)).far) == 0.0


def test_a_second_tier_triples_the_switches() -> None:
    """A folded Clos of two tiers has a leaf port down and up, and a spine port, for each lane."""
    few = lower(attrs.evolve(HGX_H100, chips=64.0))
    many = lower(attrs.evolve(HGX_H100, chips=128.0))
    assert float(fabric.fabric(few).switches) == 64 * 36 / 64
    assert float(fabric.fabric(many).switches) == 3 * 128 * 36 / 64
    counts = fabric.fabric(many)
    assert float(counts.near + counts.far) == 2 * 128 * 36


def test_torus_cables_are_those_of_trainium2() -> None:
    """1,536 copper lanes in a 16-chip server of 3 links x 64 lanes (both ends): hardware 1.3."""
    axes = {name: Axis(size=4.0, lanes=96.0) for name in ("x", "y")}
    chip = attrs.evolve(TRAINIUM2, scale_up=attrs.evolve(TRAINIUM2.scale_up, lanes=192.0))
    shape = attrs.evolve(TRAINIUM2_ULTRA.scale_up, **axes, z=Axis())
    server = attrs.evolve(TRAINIUM2_ULTRA, chip=chip, chips=16.0, scale_up=shape)
    counts = fabric.fabric(lower(server))
    assert float(counts.near) == 1_536
    assert float(counts.far) == float(counts.switches) == 0.0


def test_only_the_third_torus_axis_leaves_the_rack() -> None:
    """A rack holds two of four layers, so that half of the 1,024 links of the z axis leave it."""
    counts = fabric.fabric(lower(TRAINIUM2_ULTRA))
    assert float(counts.racks) == 2.0
    assert float(counts.far) == 512.0
    assert float(counts.near + counts.far) == 64 * 160 / 2
    assert float(fabric.far_share(lower(TRAINIUM2_ULTRA))) == pytest.approx(16 / 160)


@given(st.floats(1.0, 3.0))
@settings(max_examples=25, deadline=None)
def test_more_overhead_area_is_never_cheaper(factor: float) -> None:
    """Area outside the harvested cores costs dies and yield."""
    chip = lower(TRAINIUM2)
    larger = replace(chip, die=replace(chip.die, overhead_area=chip.die.overhead_area * factor))
    assert total(larger) >= total(chip) * (1 - 1e-6)


@given(st.floats(0.01e4, 2e4), st.floats(1.0, 3.0))
@settings(max_examples=25, deadline=None)
def test_more_defects_are_never_cheaper(defects: float, factor: float) -> None:
    """Cost grows with D0, harvested or not."""

    def with_defects(chip: Chip, density: float) -> float:
        changed = replace(chip.die.node, defect_density=density)
        return total(replace(chip, die=replace(chip.die, node=changed)))

    for chip in (lower(H100), lower(TRAINIUM2)):
        dearer = with_defects(chip, defects * factor)
        assert dearer >= with_defects(chip, defects) * (1 - 1e-6)


@pytest.mark.parametrize("system", EVERY, ids=lambda system: system.name)
def test_gradients_are_exact(system: System) -> None:
    """Every derivative equals a central difference in float64."""
    assert gradient_faults(everything, system) == []


@pytest.mark.parametrize("system", EVERY, ids=lambda system: system.name)
def test_all_legal_systems_are_finite_in_value_and_gradient(system: System) -> None:
    """The zero spec, bounds and random systems give finite numbers in float32."""
    assert faulty_leaves(everything, system) == []
