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
from dse.model.pytree import lower, replace
from dse.spec.chip import Chip
from dse.spec.system import Axis, System


def everything(system: System) -> jax.Array:
    """A number that depends on every result of the module."""
    return together(manufacture.system_cost(system, 1.8), manufacture.chip_cost(system.chip))


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


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_chip_parts_add_up_and_assembly_wastes_memory(chip: Chip) -> None:
    """Total = sum of parts; a bad attachment wastes dies, memory, interposer and test alike."""
    cost = manufacture.chip_cost(lower(chip))
    assert float(cost.total) == pytest.approx(sum(float(part) for part in cost))
    good = 0.98 ** (chip.dies + chip.memory.stacks)
    spent = float(cost.dies + cost.memory + cost.packaging + cost.test)
    assert float(cost.assembly_loss) == pytest.approx(spent * (1 / good - 1), rel=1e-4)


def test_memory_price_here_replaces_the_stacks_own() -> None:
    """80 GB at the stack's 17 USD/GB, or at the package's own 20 USD/GB."""
    assert float(manufacture.memory_cost(lower(H100))) == pytest.approx(80 * 17)
    dear = attrs.evolve(H100, memory=attrs.evolve(H100.memory, price=20e-9))
    assert float(manufacture.memory_cost(lower(dear))) == pytest.approx(80 * 20)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_system_parts_add_up_and_margin_is_on_chips_only(system: System) -> None:
    """Total = sum of parts; doubling the price factor adds one more cost of the chips."""
    once = manufacture.system_cost(lower(system), 1.0)
    twice = manufacture.system_cost(lower(system), 2.0)
    assert float(once.total) == pytest.approx(sum(float(part) for part in once))
    chips = system.chips * total(lower(system.chip))
    assert float(twice.total - once.total) == pytest.approx(chips, rel=1e-4)
    network = float(once.switches + once.cables + once.scale_out)
    assert float(once.network) == pytest.approx(network)


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
    """Two racks of 32 chips: 64 x 32 lanes of the z axis are 1,024 far links."""
    counts = fabric.fabric(lower(TRAINIUM2_ULTRA))
    assert float(counts.racks) == 2.0
    assert float(counts.far) == 1_024.0
    assert float(fabric.far_share(lower(TRAINIUM2_ULTRA))) == pytest.approx(32 / 160)


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


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_gradients_are_exact(system: System) -> None:
    """Every derivative equals a central difference in float64."""
    assert gradient_faults(everything, system) == []


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_all_legal_systems_are_finite_in_value_and_gradient(system: System) -> None:
    """The zero spec, bounds and random systems give finite numbers in float32."""
    assert faulty_leaves(everything, system) == []
