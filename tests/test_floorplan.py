"""Die areas, die edge and interposer against hand-worked numbers, limits and gradients."""

from __future__ import annotations

import attrs
import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from silicon_checks import faulty_leaves, gradient_faults, together
from silicon_examples import B200, CHIPS, H100, MM2, N7, TRAINIUM2, UM2

from dse.model import floorplan
from dse.model.pytree import lower, replace
from dse.spec.chip import Chip
from dse.spec.silicon import Array, Core, Die, Rates


def everything(chip: Chip) -> jax.Array:
    """A number that depends on every result of the module."""
    areas = together(floorplan.die_parts(chip), floorplan.interposer_area(chip))
    return areas / MM2 + together(floorplan.margins(chip), floorplan.shoreline(chip))


def rates(**given: float) -> Array:
    return lower(Array(rates=Rates(**given)))


def test_a_cell_of_equal_widths_costs_no_more_than_its_bf16_self() -> None:
    """Doubling the rate with each halving of the width (H100, B200) reuses the BF16 cell."""
    assert floorplan.cell_width(rates(bf16=1.0)) == 1.0
    assert float(floorplan.cell_width(rates(bf16=1.0, fp8=2.0, fp4=4.0))) == pytest.approx(1.0)


def test_four_fp8_rates_take_a_larger_cell() -> None:
    """Trainium3 runs FP8 at 4 x BF16: 0.4 x 4 (4/8)^2 + 0.6 x 4 x 8/16 = 1.6 cells."""
    assert float(floorplan.cell_width(rates(bf16=1.0, fp8=4.0))) == pytest.approx(1.6)


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
    margin = floorplan.margins(lower(H100))["chip.shoreline"]
    assert float(margin) == pytest.approx(1.0 - 39.0 / 91.3, rel=1e-3)


def test_rules_break_where_they_should() -> None:
    """A die above 858 mm2 breaks the reticle rule unless it is stitched; stacks the interposer."""
    large = attrs.evolve(H100, die=attrs.evolve(H100.die, area=900 * MM2))
    assert float(floorplan.margins(lower(large))["die.reticle"]) == pytest.approx(1 - 900 / 858)
    stitched = attrs.evolve(large, die=attrs.evolve(large.die, single_exposure=0.0))
    assert float(floorplan.margins(lower(stitched))["die.reticle"]) > 0.0
    many = attrs.evolve(H100, memory=attrs.evolve(H100.memory, stacks=20.0))
    assert float(floorplan.margins(lower(many))["chip.interposer"]) < 0.0
    assert all(margin > 0.0 for margin in floorplan.margins(lower(H100)).values())


@given(st.floats(1.0, 4.0), st.sampled_from(["sram", "control_transistors"]))
@settings(max_examples=25, deadline=None)
def test_more_of_anything_never_takes_less_area(factor: float, field: str) -> None:
    """Area grows with what a core holds."""
    core = lower(TRAINIUM2.die.core)
    more = replace(core, **{field: getattr(core, field) * factor})
    chip = lower(TRAINIUM2)
    larger = replace(chip, die=replace(chip.die, core=more))
    assert floorplan.die_area(larger) >= floorplan.die_area(chip)


@pytest.mark.parametrize("chip", [TRAINIUM2, B200], ids=lambda chip: chip.name)
def test_gradients_are_exact(chip: Chip) -> None:
    """Every derivative equals a central difference in float64."""
    assert gradient_faults(everything, chip) == []


def test_all_legal_chips_are_finite_in_value_and_gradient() -> None:
    """The zero spec, bounds and random chips give finite numbers in float32."""
    assert faulty_leaves(everything, TRAINIUM2) == []
