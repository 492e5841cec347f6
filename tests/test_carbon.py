"""Embodied and operational carbon against hand-worked numbers, limits and gradients."""

from __future__ import annotations

import attrs
import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from silicon_checks import faulty_leaves, gradient_faults, together
from silicon_examples import FACILITY, H100, HGX_H100, N5, SYSTEMS, TRAINIUM2_ULTRA, YEAR

from dse.model import carbon
from dse.model.pytree import lower, replace
from dse.spec.chip import Chip
from dse.spec.facility import Facility
from dse.spec.silicon import Die
from dse.spec.system import System

KILOWATT = 1e3


def _of_system(system: System) -> jax.Array:
    return 1e3 * together(carbon.carbon(system, lower(FACILITY), 5 * KILOWATT))


def _of_facility(facility: Facility) -> jax.Array:
    return 1e3 * together(carbon.carbon(lower(HGX_H100), facility, 5 * KILOWATT))


def test_silicon_carbon_goes_by_area_over_yield() -> None:
    """500 mm2 at 2.78 kg/cm2 and D0 0.1 / cm2, alpha 3: 13.9 kg / 0.630 = 22.1 kg (ACT v2.0)."""
    chip = lower(Chip(dies=1.0, die=Die(node=N5, area=500e-6)))
    worked = 5.0 * 2_780.0 / (1 + 0.5 / 3) ** -3
    assert float(carbon.embodied(chip, lower(FACILITY)).dies) == pytest.approx(worked, rel=1e-5)


def test_memory_and_package_are_counted() -> None:
    """80 GB at 0.86 kg/GB are 68.8 kg; a package adds ACT's 150 g."""
    made = carbon.embodied(lower(H100), lower(FACILITY))
    assert float(made.memory) == pytest.approx(68_800.0, rel=1e-5)
    assert float(made.package) == 150.0
    assert float(made.total) == pytest.approx(sum(float(part) for part in made))


def test_operation_is_metered_at_the_facility() -> None:
    """10 kW x PUE 1.15 for an hour at 369 g/kWh (USA 2023) are 4,243.5 g."""
    running = carbon.carbon(lower(HGX_H100), lower(FACILITY), 10 * KILOWATT)
    assert float(running.operational) * 3600 == pytest.approx(4_243.5, rel=1e-5)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_embodied_carbon_is_spread_over_the_life(system: System) -> None:
    """All chips' carbon, over five years; the total adds up."""
    spent = carbon.carbon(lower(system), lower(FACILITY), 0.0)
    made = system.chips * float(carbon.embodied(lower(system.chip), lower(FACILITY)).total)
    assert float(spent.embodied) * 5 * YEAR == pytest.approx(made, rel=1e-5)
    assert float(spent.operational) == 0.0
    assert float(spent.total) == pytest.approx(float(spent.embodied))


@given(st.floats(0.01e4, 1e4), st.floats(1.0, 3.0))
@settings(max_examples=20, deadline=None)
def test_more_defects_never_emit_less(defects: float, factor: float) -> None:
    """Bad dies were made too."""
    chip, facility = lower(attrs.evolve(H100)), lower(FACILITY)

    def made(density: float) -> float:
        node = replace(chip.die.node, defect_density=density)
        changed = replace(chip, die=replace(chip.die, node=node))
        return float(carbon.embodied(changed, facility).total)

    assert made(defects * factor) >= made(defects) * (1 - 1e-6)


def test_gradients_are_exact() -> None:
    """Every derivative by the system and by the facility equals a central difference."""
    assert gradient_faults(_of_system, TRAINIUM2_ULTRA) == []
    assert gradient_faults(_of_facility, FACILITY) == []


def test_all_legal_systems_and_facilities_are_finite() -> None:
    """The zero spec, bounds and random values give finite carbon and gradients in float32."""
    assert faulty_leaves(_of_system, HGX_H100) == []
    assert faulty_leaves(_of_facility, FACILITY) == []
