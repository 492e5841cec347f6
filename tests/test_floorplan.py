"""Die areas, die edge and interposer against hand-worked numbers, limits and gradients."""

from __future__ import annotations

import attrs
import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import CATALOG
from shipped import chip as shipped_chip
from silicon_checks import faulty_leaves, gradient_faults, together
from silicon_examples import B200, CHIPS, H100, MIB, MM2, N4, N7, TRAINIUM2, UM2

from dse.model import floorplan
from dse.model.pytree import lower, replace
from dse.model.rules import RULES
from dse.spec.chip import Chip, Packaging
from dse.spec.link import Attachment, Link
from dse.spec.load import load
from dse.spec.memory import Memory, MemoryStack
from dse.spec.silicon import Array, Core, Die, DieToDie, IoDie, Rates, Vector
from dse.spec.space import bind
from dse.spec.system import System

SHARED = {
    "lane_control": 0.438e6,
    "wiring": 0.768,
    "uncore_area": 207 * MM2,
    "sram_macro": 24 * 1024.0,
}
"""The constants that all nodes share, as shipped."""

N6 = attrs.evolve(N7, **SHARED, name="n6")
PACKAGE = Chip(
    name="stacked",
    dies=8.0,
    die=attrs.evolve(
        TRAINIUM2.die,
        node=attrs.evolve(N4, **SHARED),
        sram=36 * MIB,
        interconnect_share=0.0,
        core=attrs.evolve(
            TRAINIUM2.die.core, vector=attrs.evolve(TRAINIUM2.die.core.vector, simt=1.0)
        ),
    ),
    io_die=IoDie(
        node=N6,
        count=4.0,
        sram=8 / 9,
        memory=0.9,
        links=0.8,
        overhead_area=10 * MM2,
        beneath=1.0,
        die_to_die=DieToDie(bandwidth=2.7e12, energy=5e-14, density=250e12, depth=1.1e-3),
    ),
    memory=Memory(stack=attrs.evolve(B200.memory.stack, controller=553e6), stacks=8.0, sites=10.0),
    scale_up=Attachment(
        link=attrs.evolve(B200.scale_up.link, controller=21.8e6), lanes=112.0, built=128.0
    ),
    packaging=B200.packaging,
)
"""Compute dies on I/O dies, with every field of the floorplan in use."""


GEOMETRY = (
    "die.reticle",
    "io_die.reticle",
    "chip.shoreline",
    "io_die.shoreline",
    "chip.interposer",
)


def margins(chip: Chip) -> dict[str, jax.Array]:
    """The geometric rules of a lowered chip."""
    made = replace(lower(System()), chip=chip)
    return {rule.name: rule.margin(made) for rule in RULES if rule.name in GEOMETRY}


def everything(chip: Chip) -> jax.Array:
    """A number that depends on every result of the module."""
    areas = together(
        floorplan.die_parts(chip), floorplan.io_die_parts(chip), floorplan.interposer_area(chip)
    )
    edges = together(floorplan.shoreline(chip), floorplan.io_shoreline(chip))
    return areas / MM2 + together(margins(chip)) + edges


def rates(**given: float) -> Array:
    return lower(Array(rates=Rates(**given)))


def test_a_cell_of_equal_widths_costs_no_more_than_its_bf16_self() -> None:
    """Doubling the rate with each halving of the width (H100, B200) reuses the BF16 cell."""
    assert floorplan.cell_width(rates(bf16=1.0)) == 1.0
    assert float(floorplan.cell_width(rates(bf16=1.0, fp8=2.0, fp4=4.0))) == pytest.approx(1.0)


def test_four_fp8_rates_take_a_larger_cell() -> None:
    """Trainium3 runs FP8 at 4 x BF16: 0.17 x 4 (4/8)^2 + 0.83 (0.5 + 0.5 x 4 x 8/16) = 1.415."""
    assert float(floorplan.cell_width(rates(bf16=1.0, fp8=4.0))) == pytest.approx(1.415)


def test_a_multiplier_is_a_sixth_of_a_cell() -> None:
    """Horowitz, ISSCC 2014: 1,640 um2 x (8/11)^2 beside an FP32 adder of 4,184 um2 is 0.17."""
    multiplier = 1_640 * (8 / 11) ** 2
    share = multiplier / (multiplier + 4_184)
    assert share == pytest.approx(0.17, rel=0.02)
    # four times the products at an eighth of the significand's square: only the multiplier grows
    wide, narrow = rates(bf16=1.0), rates(bf16=1.0, fp8=8.0)
    grown = float(floorplan.cell_width(narrow)) - float(floorplan.cell_width(wide))
    assert grown == pytest.approx(0.17 * 1.0 + 0.83 * 0.5 * 3.0)


def test_a_tpu_matrix_unit_has_its_published_area() -> None:
    """TPUv4i at 7 nm: a 128 x 128 matrix unit is 14 mm2 (AccelForge, tpu_v4i.yaml)."""
    core = Core(count=1.0, arrays=1.0, array=Array(rows=128.0, columns=128.0, rates=Rates(bf16=1)))
    chip = lower(Chip(dies=1.0, die=Die(node=N7, core=core)))
    assert float(floorplan.die_parts(chip).arrays) == pytest.approx(14 * MM2, rel=0.02)


def test_sram_area_counts_eight_bit_cells_a_byte_over_the_array_efficiency() -> None:
    """1 MiB at N7, 0.027 um2/bit and 50 %: 2^20 x 8 x 0.027 / 0.5 = 0.453 mm2."""
    chip = lower(Chip(dies=1.0, die=Die(node=N7, sram=2.0**20)))
    worked = 2**20 * 8 * 0.027 * UM2 / 0.5
    assert float(floorplan.die_parts(chip).sram) == pytest.approx(worked)
    assert worked == pytest.approx(0.453 * MM2, rel=1e-3)


@pytest.mark.parametrize(
    ("kibibytes", "efficiency"),
    # CACTI, as in LLMCompass's cost model (ISCA 2024); large macros 0.68
    [(8, 0.142), (16, 0.247), (32, 0.393), (64, 0.559), (128, 0.704), (28 * 1024, 0.68)],
)
def test_small_srams_are_mostly_not_bit_cells(kibibytes: float, efficiency: float) -> None:
    """Efficiency falls with the size of the macro: within a quarter of CACTI's."""
    node = lower(attrs.evolve(N7, sram_efficiency=0.68, sram_macro=24 * 1024.0))
    size = kibibytes * 1024.0
    found = size * node.sram_bit_area / float(floorplan.sram_area(node, size))
    assert found == pytest.approx(efficiency, rel=0.25)


def test_half_of_a_wafer_scale_core_is_its_sram() -> None:
    """WSE-2: 48 KiB in half of 38,000 um2 at 7 nm (Cerebras, Hot Chips 34)."""
    node = lower(attrs.evolve(N7, sram_efficiency=0.68, sram_macro=24 * 1024.0))
    found = float(floorplan.sram_area(node, 48 * 1024.0))
    assert found == pytest.approx(19_000 * UM2, rel=0.25)


def test_interfaces_are_a_phy_that_does_not_shrink_and_a_controller_that_does() -> None:
    """HBM2E: 10.45 mm2 + 552.7 MTr / (91.2 x 0.7 MTr/mm2) = 19.1 mm2 at N7 (LLMCompass), x 6."""
    stack = MemoryStack(interface_area=10.45 * MM2, controller=552.7e6)
    memory = Memory(stack=stack, stacks=5.0, sites=6.0)
    at_n7 = floorplan.die_parts(lower(Chip(die=Die(node=N7), memory=memory)))
    at_n4 = floorplan.die_parts(lower(Chip(die=Die(node=N4), memory=memory)))
    assert float(at_n7.memory_interface) == pytest.approx(6 * 19.11 * MM2, rel=1e-3)
    assert float(at_n4.memory_interface) == pytest.approx(6 * 15.82 * MM2, rel=1e-3)


def test_a_lane_is_a_serdes_and_its_share_of_a_controller() -> None:
    """NVLink 3 at N7: (1.888 mm2 + 74.6 MTr / 63.84) / 4 lanes = 0.764 mm2 (LLMCompass)."""
    link = Link(area=0.472 * MM2, controller=18.65e6)
    chip = lower(Chip(die=Die(node=N7), scale_up=Attachment(link=link, lanes=48.0)))
    assert float(floorplan.die_parts(chip).links) == pytest.approx(48 * 0.764 * MM2, rel=1e-3)


def test_threads_wiring_and_uncore_are_shared_rules() -> None:
    """A core of 64 SIMT lanes has 64 x 0.438 MTr of control; uncore comes with DRAM."""
    node = attrs.evolve(N7, **SHARED)
    core = Core(count=100.0, vector=Vector(lanes=64.0, operations=2.0, simt=1.0))
    memory = Memory(stack=MemoryStack(interface_area=MM2))
    parts = floorplan.die_parts(lower(Chip(die=Die(node=node, core=core), memory=memory)))
    assert float(parts.control) == pytest.approx(6400 * 0.438 / 63.84 * MM2, rel=1e-4)
    inside = parts.arrays + parts.vector + parts.sram + parts.control
    assert float(parts.interconnect) == pytest.approx(0.768 * float(inside), rel=1e-5)
    assert float(parts.overhead) == pytest.approx(207 * MM2)
    alone = Memory(stack=attrs.evolve(memory.stack, interface_area=0.0))
    parts = floorplan.die_parts(lower(Chip(die=Die(node=node, core=core), memory=alone)))
    assert float(parts.overhead) == 0.0


def test_what_stands_on_io_dies_is_not_on_the_compute_dies() -> None:
    """Interfaces move as they are in one node: nothing is lost or counted twice."""
    shares = {"sram": 0.5, "memory": 1.0, "links": 1.0}
    node = attrs.evolve(N4, **SHARED)
    die = attrs.evolve(PACKAGE.die, node=node, overhead_area=0.0)
    io_die = IoDie(node=node, count=4.0, **shares)
    apart = lower(attrs.evolve(PACKAGE, die=die, io_die=io_die))
    whole = lower(attrs.evolve(PACKAGE, die=die, io_die=IoDie()))
    here, there, all_in_one = (
        floorplan.die_parts(apart),
        floorplan.io_die_parts(apart),
        floorplan.die_parts(whole),
    )
    for name in ("sram", "memory_interface", "links", "interconnect"):
        split = 8 * float(getattr(here, name)) + 4 * float(getattr(there, name))
        assert split == pytest.approx(8 * float(getattr(all_in_one, name)), rel=1e-5), name
    # one uncore for each die with memory interfaces: four below, eight without I/O dies
    assert float(here.overhead) == 0.0
    assert float(there.overhead) == pytest.approx(207 * MM2)
    assert float(all_in_one.overhead) == pytest.approx(207 * MM2)
    assert float(floorplan.io_die_area(whole)) == 0.0


def test_stacked_dies_share_the_interposer() -> None:
    """MI300X: 1.1 x (4 x 370 + 8 x 121) mm2; beside each other all dies take their area."""
    memory = attrs.evolve(PACKAGE.memory, stacks=8.0)
    die = attrs.evolve(PACKAGE.die, area=110 * MM2)
    io_die = attrs.evolve(PACKAGE.io_die, area=370 * MM2)
    chip = attrs.evolve(PACKAGE, die=die, io_die=io_die, memory=memory)
    assert float(floorplan.interposer_area(lower(chip))) == pytest.approx(1.1 * 2448 * MM2)
    beside = attrs.evolve(chip, io_die=attrs.evolve(io_die, beneath=0.0))
    assert float(floorplan.interposer_area(lower(beside))) == pytest.approx(1.1 * 3328 * MM2)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_parts_add_up_and_a_published_area_replaces_them(chip: Chip) -> None:
    """The derived area is the sum of the parts; a published one is taken as it is."""
    lowered = lower(chip)
    parts = floorplan.die_parts(lowered)
    assert float(parts.total) == pytest.approx(sum(float(part) for part in parts))
    bare = replace(lowered, die=replace(lowered.die, area=0.0))
    assert float(floorplan.die_area(bare)) == pytest.approx(float(parts.total))
    if chip.die.area:
        assert float(floorplan.die_area(lowered)) == pytest.approx(chip.die.area)


def test_spare_cores_take_area() -> None:
    """Area follows physical cores: fusing one off changes nothing, leaving one out does."""
    base = floorplan.die_parts(lower(TRAINIUM2)).total
    core = TRAINIUM2.die.core

    def area(**changes: float) -> jax.Array:
        die = attrs.evolve(TRAINIUM2.die, core=attrs.evolve(core, **changes))
        return floorplan.die_parts(lower(attrs.evolve(TRAINIUM2, die=die))).total

    assert area(spare=1.0) == base
    assert area(count=core.count - 1.0) < base


def test_a_lone_die_has_no_neighbour() -> None:
    """The die-to-die link takes edge and area only between several dies."""
    assert float(floorplan.die_parts(lower(B200)).die_to_die) > 0.0
    assert float(floorplan.die_parts(lower(attrs.evolve(B200, dies=1.0))).die_to_die) == 0.0


def test_shoreline_adds_up_interfaces_against_the_perimeter() -> None:
    """H100: 5 stacks x 6 mm + 36 lanes x 0.25 mm = 39 mm; 80 % of 4 sqrt(814 mm2) = 91.3 mm."""
    edge = floorplan.shoreline(lower(H100))
    assert float(edge.needed) == pytest.approx(39e-3)
    assert float(edge.available) == pytest.approx(91.3e-3, rel=1e-3)
    margin = margins(lower(H100))["chip.shoreline"]
    assert float(margin) == pytest.approx(1.0 - 39.0 / 91.3, rel=1e-3)


def test_rules_break_where_they_should() -> None:
    """A die above 858 mm2 breaks the reticle rule unless it is stitched; stacks the interposer."""
    large = attrs.evolve(H100, die=attrs.evolve(H100.die, area=900 * MM2))
    assert float(margins(lower(large))["die.reticle"]) == pytest.approx(1 - 900 / 858)
    stitched = attrs.evolve(large, die=attrs.evolve(large.die, single_exposure=0.0))
    assert float(margins(lower(stitched))["die.reticle"]) > 0.0
    many = attrs.evolve(H100, memory=attrs.evolve(H100.memory, stacks=20.0))
    assert float(margins(lower(many))["chip.interposer"]) < 0.0
    assert all(margin > 0.0 for margin in margins(lower(H100)).values())


def test_io_dies_have_rules_of_their_own() -> None:
    """An I/O die above the reticle breaks its rule, one too small for its interfaces the edge's."""
    large = attrs.evolve(PACKAGE, io_die=attrs.evolve(PACKAGE.io_die, area=900 * MM2))
    assert float(margins(lower(large))["io_die.reticle"]) == pytest.approx(1 - 900 / 858)
    small = attrs.evolve(PACKAGE, io_die=attrs.evolve(PACKAGE.io_die, area=40 * MM2))
    assert float(margins(lower(small))["io_die.shoreline"]) < 0.0
    none = margins(lower(attrs.evolve(large, io_die=IoDie())))
    assert float(none["io_die.reticle"]) == float(none["io_die.shoreline"]) == 1.0


def test_a_high_na_field_is_half_a_reticle() -> None:
    """26 mm x 16.5 mm = 429 mm2: 600 mm2 print with 0.33 NA, not with 0.55."""
    die = attrs.evolve(B200.die, area=600 * MM2)
    chip = attrs.evolve(B200, die=die)
    assert float(margins(lower(chip))["die.reticle"]) > 0.0
    high_na = attrs.evolve(die, node=attrs.evolve(N4, reticle=429 * MM2))
    margin = margins(lower(attrs.evolve(chip, die=high_na)))["die.reticle"]
    assert float(margin) == pytest.approx(1 - 600 / 429)


@given(st.floats(1.0, 4.0), st.sampled_from(["sram", "control_transistors"]))
@settings(max_examples=25, deadline=None)
def test_more_of_anything_never_takes_less_area(factor: float, field: str) -> None:
    """Area grows with what a core holds."""
    core = lower(TRAINIUM2.die.core)
    more = replace(core, **{field: getattr(core, field) * factor})
    chip = lower(TRAINIUM2)
    larger = replace(chip, die=replace(chip.die, core=more))
    assert floorplan.die_area(larger) >= floorplan.die_area(chip)


@pytest.mark.parametrize("chip", [B200, PACKAGE], ids=lambda chip: chip.name)
def test_gradients_are_exact(chip: Chip) -> None:
    """Every derivative equals a central difference in float64."""
    assert gradient_faults(everything, chip) == []


def test_all_legal_chips_are_finite_in_value_and_gradient() -> None:
    """The zero spec, bounds and random chips give finite numbers in float32."""
    assert faulty_leaves(everything, PACKAGE) == []


def test_what_is_built_holds_for_the_part_as_published_only() -> None:
    """A design with other stacks or lanes has the interfaces it asks for, not its base's spares."""
    made = shipped_chip("a100-80gb")
    assert made.memory.sites == 6.0
    fewer = bind(made, {"memory.stacks": 4.0})
    assert fewer.memory.sites == fewer.die.area == 0.0
    own = lower(fewer)
    each = 10.45 * MM2 + 553.0 / 63.84 * MM2
    assert float(floorplan.die_parts(own).memory_interface) == pytest.approx(4 * each, rel=1e-3)
    stacked = bind(shipped_chip("mi300x"), {"scale_up.lanes": 64.0})
    assert stacked.scale_up.built == stacked.io_die.area == 0.0


def test_interposers_grow_with_their_generation() -> None:
    """CoWoS-S 3.3, CoWoS-L 5.5, 9.5 in 2027 and 14 reticles in 2028 (TSMC, via TrendForce)."""
    reticles = {"cowos-s": 3.3, "cowos-l": 5.5, "cowos-l-2027": 9.5, "cowos-l-2028": 14.0}
    for name, number in reticles.items():
        made = load(Packaging, name, CATALOG)
        assert made.maximum_area == pytest.approx(number * 858 * MM2, rel=1e-3), name
