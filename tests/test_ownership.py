"""Capital recovery and cost of ownership against textbook and published numbers."""

from __future__ import annotations

from typing import Any

import attrs
import jax
import pytest
from helpers import spec, system
from hypothesis import given, settings
from hypothesis import strategies as st
from silicon_checks import faulty_leaves, gradient_faults, together
from silicon_examples import FACILITY, HGX_H100, SYSTEMS, TRAINIUM2_ULTRA, YEAR

from dse.model.manufacture import system_cost
from dse.model.ownership import (
    Ownership,
    dollars,
    economy,
    fleet_price,
    ownership,
    price_factor,
    recovery,
)
from dse.model.power import system_power
from dse.model.pytree import lower, replace
from dse.spec.facility import Facility
from dse.spec.system import System

HOUR = 3600.0
PARTNER = (0.0, 1.0, 0.0)


def owned(system: Any, facility: Any, watts: float = 8_000.0) -> Ownership:
    return ownership(system, facility, price_factor(facility, PARTNER), watts)


def test_recovery_is_the_textbook_annuity() -> None:
    """8 % over 5 years: 0.2505; 10 % over 10 years: 0.1627 (standard annuity tables)."""
    facility = lower(FACILITY)
    assert float(recovery(5 * YEAR, facility)) == pytest.approx(0.25046, abs=1e-5)
    ten = replace(facility, cost_of_capital=0.10)
    assert float(recovery(10 * YEAR, ten)) == pytest.approx(0.16275, abs=1e-5)


def test_recovery_without_interest_is_one_over_the_periods() -> None:
    """As interest vanishes the instalment is an equal part."""
    facility = replace(lower(FACILITY), cost_of_capital=0.0)
    assert float(recovery(5 * YEAR, facility)) == pytest.approx(0.2, rel=1e-4)


def test_trainium2_capital_is_that_of_claim_c1() -> None:
    """18.8 kUSD over 5 years without interest are 0.43 USD an hour (claims C1)."""
    facility = replace(lower(FACILITY), cost_of_capital=1e-4)
    instalment = 18_800 * recovery(5 * YEAR, facility) / facility.compounding_period
    assert float(instalment) * HOUR == pytest.approx(0.43, abs=0.005)


def test_trainium2_ultraserver_costs_about_what_was_published() -> None:
    """0.66 USD a chip-hour, 0.43 capital and 0.23 operating (claims C1), within 15 %."""
    trn2, facility = system("trn2-ultraserver"), lower(spec(Facility, "aws-trainium"))
    cost = owned(trn2, facility, float(system_power(trn2).total))
    per_chip = HOUR / trn2.chips
    assert float(cost.capital) * per_chip == pytest.approx(0.43, rel=0.15)
    assert float(cost.operating) * per_chip == pytest.approx(0.23, rel=0.15)


@pytest.mark.parametrize("made", SYSTEMS, ids=lambda made: made.name)
def test_parts_add_up(made: System) -> None:
    """Total = capital + operating = sum of parts; capital repays the whole price."""
    lowered, facility = lower(made), lower(FACILITY)
    cost = owned(lowered, facility)
    assert float(cost.total) == pytest.approx(sum(float(part) for part in cost))
    assert float(cost.total) == pytest.approx(float(cost.capital + cost.operating))
    price = system_cost(lowered, price_factor(facility, PARTNER)).total
    yearly = float(price) * float(recovery(5 * YEAR, facility))
    assert float(cost.capital) * YEAR == pytest.approx(yearly, rel=1e-5)
    assert float(cost.maintenance) * YEAR == pytest.approx(0.03 * float(price), rel=1e-5)


def test_energy_is_metered_at_the_facility() -> None:
    """8 kW x PUE 1.15 x 0.0806 USD/kWh = 0.7415 USD an hour."""
    energy = owned(lower(HGX_H100), lower(FACILITY)).energy
    assert float(energy) * HOUR == pytest.approx(8 * 1.15 * 0.0806, rel=1e-5)


def test_the_building_is_sized_for_provisioned_power() -> None:
    """11.7 USD/W x provisioned power, over 15 years at 8 % (CRF 0.11683)."""
    system = lower(HGX_H100)
    building = owned(system, lower(FACILITY), 0.0).building
    worked = 11.7 * float(system_power(system).total) * 0.11683
    assert float(building) * YEAR == pytest.approx(worked, rel=1e-4)


def test_price_bases_are_weights() -> None:
    """At cost all factors are one; a partner and a merchant add margins, and one on memory."""
    facility = lower(FACILITY)
    at_cost = price_factor(facility, (1.0, 0.0, 0.0))
    assert (float(at_cost.made), float(at_cost.merchant), float(at_cost.memory)) == (1.0, 0.0, 1.0)
    partner = price_factor(facility, PARTNER)
    assert (float(partner.made), float(partner.merchant)) == (pytest.approx(1.8), 0.0)
    assert float(partner.memory) == pytest.approx(1.2)
    merchant = price_factor(facility, (0.0, 0.0, 1.0))
    assert (float(merchant.made), float(merchant.merchant)) == (0.0, 1.0)
    assert (float(merchant.margin), float(merchant.memory)) == (6.0, pytest.approx(1.2))


def test_rent_replaces_the_building() -> None:
    """130 USD/(kW month) of provisioned power, and not a cent of the building's capital."""
    system, rented = lower(HGX_H100), replace(lower(FACILITY), colocation_price=130 / 2.628e9)
    cost = owned(system, rented)
    months = float(system_power(system).total) / 1e3 * 130
    assert float(cost.building) * YEAR / 12 == pytest.approx(months, rel=1e-5)
    plain = owned(system, lower(FACILITY))
    for part in ("servers", "network", "energy", "maintenance"):
        assert float(getattr(cost, part)) == pytest.approx(float(getattr(plain, part)))


def test_prices_are_converted_between_the_dollars_of_two_years() -> None:
    """Prices of 2023 in dollars of 2025 at 2.5 % a year: x 1.0506; nothing where none is said."""
    facility = lower(FACILITY)
    early = replace(lower(HGX_H100), dollar_year=2023.0)
    assert float(dollars(early, facility)) == pytest.approx(1.025**2)
    assert float(dollars(lower(HGX_H100), facility)) == 1.0
    assert float(dollars(early, replace(facility, dollar_year=0.0))) == 1.0
    cost, plain = owned(early, facility), owned(lower(HGX_H100), facility)
    assert float(cost.capital / plain.capital) == pytest.approx(1.025**2, rel=1e-5)
    assert float(cost.energy) == pytest.approx(float(plain.energy))


def test_a_fleet_is_priced_by_the_watt() -> None:
    """As Bernstein's gigawatts (2026-06-08): racks, and 15 USD a watt at the meter."""
    system, facility = lower(HGX_H100), lower(FACILITY)
    watts = float(system_power(system).total)
    facility = replace(facility, power_usage_effectiveness=1.277, capital_price=15 * 1.277)
    at_cost = price_factor(facility, (1.0, 0.0, 0.0))
    worked = float(system_cost(system).total) / (watts * 1.277) + 15
    cost = ownership(system, facility, at_cost, watts)
    made = economy(system, facility, at_cost, cost, 1_000.0)
    assert float(made.usd_per_watt) == pytest.approx(worked, rel=1e-5)
    rented = replace(facility, colocation_price=1e-7)
    assert float(fleet_price(system, rented, at_cost)) == pytest.approx(
        float(system_cost(system).total)
    )


def test_what_a_fleet_yields_is_over_its_money_and_power() -> None:
    """Tokens over watts and dollars; dollars over bytes and FLOP of eight H100 at their peak."""
    system, facility = lower(HGX_H100), lower(FACILITY)
    markup = price_factor(facility, PARTNER)
    watts = float(system_power(system).total)
    cost = ownership(system, facility, markup, watts)
    made = economy(system, facility, markup, cost, 2_000.0)
    assert float(made.tokens_per_watt) == pytest.approx(2_000 / (watts * 1.15), rel=1e-5)
    capital = float(fleet_price(system, facility, markup))
    assert float(made.tokens_per_capital) == pytest.approx(2_000 / capital, rel=1e-5)
    # five stacks of 1,024 pins at 5.23 Gb/s; 132 x 4 x 16 x 32 cells at 1.83 GHz
    peak = 8 * 5 * 1_024 * 5.23e9 / 8
    assert float(made.usd_per_byte) == pytest.approx(float(cost.total) / peak, rel=1e-5)
    flops = 8 * 2 * 132 * 4 * 16 * 32 * 1.83e9
    assert float(made.usd_per_flop) == pytest.approx(float(cost.total) / flops, rel=1e-5)


@given(st.floats(1.0, 4.0), st.floats(1.0, 1.25))
@settings(max_examples=20, deadline=None)
def test_a_better_pue_is_never_dearer(better: float, factor: float) -> None:
    """Cost grows with facility power over IT power."""
    system, facility = lower(HGX_H100), lower(FACILITY)
    low = owned(system, replace(facility, power_usage_effectiveness=better))
    high = owned(system, replace(facility, power_usage_effectiveness=better * factor))
    assert high.total >= low.total


@given(st.floats(1.0, 10.0), st.floats(1.0, 2.0))
@settings(max_examples=20, deadline=None)
def test_a_longer_life_is_never_dearer(years: float, factor: float) -> None:
    """Capital per second falls as the life grows."""
    system, facility = lower(HGX_H100), lower(FACILITY)
    short = owned(system, replace(facility, server_life=years * YEAR))
    long = owned(system, replace(facility, server_life=years * YEAR * factor))
    assert float(long.capital) <= float(short.capital) * (1 + 1e-6)


RENTED = attrs.evolve(FACILITY, colocation_price=130 / 2.628e9)


def _of_facility(facility: Facility) -> jax.Array:
    lowered = lower(HGX_H100)
    early = replace(lowered, dollar_year=2023.0)
    cost = owned(early, facility)
    made = economy(early, facility, price_factor(facility, PARTNER), cost, 1_000.0)
    return 1e3 * together(cost) + together(made)


def _of_system(system: System) -> jax.Array:
    return 1e3 * together(owned(system, lower(FACILITY)))


@pytest.mark.slow
def test_gradients_are_exact() -> None:
    """Every derivative by the facility and by the system equals a central difference."""
    assert gradient_faults(_of_facility, FACILITY) == []
    assert gradient_faults(_of_facility, RENTED) == []
    assert gradient_faults(_of_system, TRAINIUM2_ULTRA) == []


@pytest.mark.slow
def test_all_legal_facilities_and_systems_are_finite() -> None:
    """The zero spec, bounds and random values give finite costs and gradients in float32."""
    assert faulty_leaves(_of_facility, RENTED) == []
    assert faulty_leaves(_of_system, HGX_H100) == []
