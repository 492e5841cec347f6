"""Embodied and operational carbon against hand-worked numbers, limits and gradients."""

from __future__ import annotations

import attrs
import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import CATALOG
from shipped import chip as shipped_chip
from silicon_checks import faulty_leaves, gradient_faults, together
from silicon_examples import FACILITY, H100, HGX_H100, N5, N7, SYSTEMS, TRAINIUM2_ULTRA, YEAR

from dse.model import carbon
from dse.model.pytree import lower, replace
from dse.spec.chip import Chip
from dse.spec.facility import Facility
from dse.spec.load import load
from dse.spec.silicon import Die, IoDie, Node
from dse.spec.system import System

KILOWATT = 1e3


def _of_system(system: System) -> jax.Array:
    return 1e3 * together(carbon.carbon(system, lower(FACILITY), 5 * KILOWATT))


def _of_facility(facility: Facility) -> jax.Array:
    return 1e3 * together(carbon.carbon(lower(HGX_H100), facility, 5 * KILOWATT))


def test_a_wafers_carbon_is_acts_by_node() -> None:
    """ACT v2.0: 583 g/kWh (Taiwan) x EPA, gases at 97 % (mean of 95 and 99 %), 500 g of material.

    kWh/cm2: 1.2 at 14 nm, 2.15 at 7, 2.75 at 5, 3.25 at 3; gases 162.5, 275, 327.5, 372.5 g/cm2.
    """
    acts = {"n16": (1.2, 162.5), "n7": (2.15, 275.0), "n5": (2.75, 327.5), "n3p": (3.25, 372.5)}
    for name, (energy, gases) in acts.items():
        node = load(Node, name, CATALOG)
        worked = (583.0 * energy + gases + 500.0) / 1e-4
        assert node.silicon_carbon == pytest.approx(worked, rel=5e-3), name


def test_silicon_carbon_goes_by_area_over_yield() -> None:
    """500 mm2 at 2.43 kg/cm2 and D0 0.1 / cm2, alpha 3: 12.2 kg / 0.630 = 19.3 kg."""
    chip = lower(Chip(dies=1.0, die=Die(node=N5, area=500e-6)))
    worked = 5.0 * 2_430.0 / (1 + 0.5 / 3) ** -3
    assert float(carbon.embodied(chip, lower(FACILITY)).dies) == pytest.approx(worked, rel=1e-5)


def test_io_dies_count_by_their_own_node_and_yield() -> None:
    """Four dies of 370 mm2, 2 kg/cm2, D0 0.09, alpha 3: 4 x 7.4 kg / 0.727 = 40.7 kg."""
    io_node = attrs.evolve(N7, silicon_carbon=2_000.0 / 1e-4)
    io_die = IoDie(node=io_node, count=4.0, area=370e-6)
    made = carbon.embodied(lower(attrs.evolve(H100, io_die=io_die)), lower(FACILITY))
    worked = 4 * 3.7 * 2_000.0 / (1 + 3.7 * 0.09 / 3) ** -3
    assert float(made.io_dies) == pytest.approx(worked, rel=1e-5)
    assert worked == pytest.approx(40_600.0, rel=5e-3)
    assert float(carbon.embodied(lower(H100), lower(FACILITY)).io_dies) == 0.0


def test_memory_interposer_and_package_are_counted() -> None:
    """80 GB at 0.86 kg/GB are 68.8 kg; the interposer goes by area; a package adds ACT's 150 g."""
    made = carbon.embodied(lower(H100), lower(FACILITY))
    assert float(made.memory) == pytest.approx(68_800.0, rel=1e-5)
    # 1.1 x (814 + 5 x 121) mm2 at 0.8 kg/cm2
    assert float(made.interposer) == pytest.approx(1.1 * 14.19 * 800.0, rel=1e-5)
    assert float(made.package) == 150.0
    assert float(made.total) == pytest.approx(sum(float(part) for part in made))


def test_a_chip_is_a_part_of_a_cards_carbon() -> None:
    """A100 40 GB: 318 kg for a whole card (Chien, HotCarbon 2023); the package is a fifth or more.

    Board, power stages and heat sink, which are not counted here, make the rest.
    """
    made = carbon.embodied(lower(shipped_chip("a100-40gb")), lower(FACILITY))
    assert 0.2 < float(made.total) / 318e3 < 0.6


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
