"""Voltage, chip and system power against published design powers, limits and gradients."""

from __future__ import annotations

import attrs
import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from silicon_checks import faulty_leaves, gradient_faults, together
from silicon_examples import (
    A100,
    B200,
    CHIPS,
    H100,
    HGX_H100,
    N5,
    SYSTEMS,
    TRAINIUM2,
    TRAINIUM2_ULTRA,
)

from dse.model import power
from dse.model.pytree import lower, replace
from dse.spec.chip import Chip
from dse.spec.system import System


def decode(chip: Chip) -> power.Activity:
    """A light load: a tenth of the arrays, most of the memory."""
    peak = power.peak_activity(chip)
    return power.Activity(
        matrix_flops=tuple(0.1 * flops for flops in peak.matrix_flops),  # type: ignore[arg-type]
        vector_flops=0.2 * peak.vector_flops,
        memory_bytes=0.8 * peak.memory_bytes,
        link_bytes=0.1 * peak.link_bytes,
    )


def everything(system: System) -> jax.Array:
    """A number that depends on every result of the module."""
    average = power.average_system_power(system, decode(system.chip))
    rules = together(power.margins(system), power.voltage(system.chip.die.node, 2e9))
    return together(power.system_power(system), average, power.rack_power(system)) + 1e3 * rules


def clocked(chip: Chip, clock: float) -> Chip:
    core = replace(chip.die.core, clock=clock)
    return replace(chip, die=replace(chip.die, core=core))


def test_voltage_at_the_nominal_clock_is_nominal() -> None:
    """The curve goes through the node's own point."""
    node = lower(N5)
    assert float(power.voltage(node, node.clock)) == pytest.approx(node.voltage, rel=1e-6)
    assert float(power.clock_at(node, node.voltage)) == pytest.approx(node.clock, rel=1e-6)


def test_clock_follows_the_alpha_power_law() -> None:
    """At 0.9 V, Vt 0.35 V, from 2.4 GHz at 0.75 V: (0.55 / 0.40)^1.3 x 0.75 / 0.9 = 1.261 x."""
    worked = 2.4e9 * (0.55 / 0.40) ** 1.3 * 0.75 / 0.9
    assert float(power.clock_at(lower(N5), 0.9)) == pytest.approx(worked, rel=1e-5)


@given(st.floats(0.56, 1.04))
@settings(max_examples=30, deadline=None)
def test_voltage_inverts_the_clock(volts: float) -> None:
    """Between the lowest and highest supply, voltage and clock are inverses."""
    node = lower(N5)
    assert float(power.voltage(node, power.clock_at(node, volts))) == pytest.approx(volts, rel=1e-4)


def test_supply_stays_in_its_range() -> None:
    """A stopped clock draws the lowest supply; an unreachable one the highest, and its margin."""
    node = lower(N5)
    assert float(power.voltage(node, 0.0)) == pytest.approx(0.55)
    assert float(power.voltage(node, 9e9)) == pytest.approx(1.05)
    fast = replace(lower(TRAINIUM2_ULTRA), chip=clocked(lower(TRAINIUM2), 9e9))
    assert float(power.margins(fast)["chip.voltage"]) < 0.0
    assert float(power.margins(lower(TRAINIUM2_ULTRA))["chip.voltage"]) > 0.0


@pytest.mark.parametrize(("chip", "published"), [(A100, 400.0), (H100, 700.0), (TRAINIUM2, 500.0)])
def test_derived_design_power_meets_the_published_one(chip: Chip, published: float) -> None:
    """A100 400, H100 700, Trainium2 500 W (hardware 1.2 and 2) within 10 %."""
    assert float(power.derived_power(lower(chip))) == pytest.approx(published, rel=0.10)


def test_b200_cannot_draw_what_its_peak_would_take() -> None:
    """B200's 1,000 W hold 2,250 TFLOP/s only below 4N's energy per FLOP: it throttles, we say."""
    assert float(power.derived_power(lower(B200))) > 1.3 * 1_000.0


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_chip_parts_add_up(chip: Chip) -> None:
    """Total = sum of parts, each at least zero."""
    lowered = lower(chip)
    parts = power.chip_power(lowered, power.peak_activity(lowered))
    assert float(parts.total) == pytest.approx(sum(float(part) for part in parts))
    assert all(part >= 0.0 for part in parts)


def test_parts_of_h100_are_hand_worked() -> None:
    """H100 at nominal voltage: 989.4 T x 0.4875 pJ; 3.35 TB/s x 26 pJ/B; 814 mm2 x 0.04 W."""
    chip = lower(H100)
    parts = power.chip_power(chip, power.peak_activity(chip))
    assert float(parts.matrix) == pytest.approx(989.4 * 0.4875, rel=1e-3)
    assert float(parts.memory) == pytest.approx(3.347 * 26.0, rel=1e-3)
    assert float(parts.leakage) == pytest.approx(814 * 0.04, rel=1e-3)
    assert float(parts.links) == pytest.approx(0.45 * 40.0, rel=1e-3)
    assert float(parts.die_to_die) == 0.0


def test_half_of_the_memory_traffic_crosses_two_dies() -> None:
    """Trainium2: 2.918 TB/s x 1/2 x 0.5 pJ/bit = 5.8 W."""
    chip = lower(TRAINIUM2)
    parts = power.chip_power(chip, power.peak_activity(chip))
    assert float(parts.die_to_die) == pytest.approx(2.918e12 / 2 * 4e-12, rel=1e-3)


def test_narrow_formats_at_double_rate_draw_the_same() -> None:
    """The arrays draw one power in BF16, in FP8 at twice and in FP4 at four times its rate."""
    chip = lower(B200)
    rate = 2.0 * chip.cell_rate

    def drawn(*flops: float) -> float:
        return float(power.chip_power(chip, power.Activity(flops, 0.0, 0.0, 0.0)).matrix)

    bf16 = drawn(0.0, rate, 0.0, 0.0)
    assert drawn(0.0, 0.0, 2 * rate, 0.0) == pytest.approx(bf16)
    assert drawn(0.0, 0.0, 0.0, 4 * rate) == pytest.approx(bf16)


def test_a_published_power_scales_the_average() -> None:
    """At peak activity the average is the published power; below it the same share of it."""
    chip = replace(lower(H100), power=650.0)
    assert float(power.design_power(chip)) == 650.0
    peak = power.average_power(chip, power.peak_activity(chip))
    assert float(peak) == pytest.approx(650.0, rel=1e-5)
    plain = lower(H100)
    share = power.average_power(plain, decode(plain)) / power.derived_power(plain)
    scaled = power.average_power(chip, decode(chip))
    assert float(scaled) == pytest.approx(650.0 * float(share), rel=1e-5)
    assert float(scaled) < 650.0


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_system_parts_add_up_and_average_is_below_provisioned(system: System) -> None:
    """Total = sum of parts; a light load draws less than what is provisioned."""
    lowered = lower(system)
    parts = power.system_power(lowered)
    assert float(parts.total) == pytest.approx(sum(float(part) for part in parts))
    light = power.average_system_power(lowered, decode(lowered.chip))
    assert light.total < parts.total
    assert light.hosts == parts.hosts


def test_conversion_and_cooling_come_on_top() -> None:
    """Feed = used / conversion, cooling a share of the feed; the rack has its part."""
    system = lower(TRAINIUM2_ULTRA)
    parts = power.system_power(system)
    used = float(parts.chips + parts.switches + parts.hosts + parts.scale_out + parts.cables)
    assert float(parts.total) == pytest.approx(used / 0.92 * 1.08, rel=1e-5)
    assert float(power.rack_power(system)) == pytest.approx(float(parts.total) / 2)


def test_trainium2_ultraserver_draws_its_published_power() -> None:
    """48 kW for 64 chips in two racks (SemiAnalysis, hardware 1.3), within 15 %."""
    total = power.system_power(lower(TRAINIUM2_ULTRA)).total
    assert float(total) == pytest.approx(48e3, rel=0.15)


def test_an_overfull_rack_breaks_its_rule() -> None:
    """The margin is the share of the limit that is left."""
    system = lower(HGX_H100)
    tight = replace(system, rack=replace(system.rack, power_limit=9e3))
    drawn = float(power.rack_power(tight))
    assert float(power.margins(tight)["rack.power"]) == pytest.approx(1 - drawn / 9e3, rel=1e-4)
    assert drawn > 9e3


@given(st.floats(0.3e9, 4e9), st.floats(1.0, 2.0))
@settings(max_examples=30, deadline=None)
def test_a_higher_clock_is_never_cooler(clock: float, factor: float) -> None:
    """Design power grows with the clock, by rate and by voltage."""
    chip = lower(TRAINIUM2)
    slow = power.derived_power(clocked(chip, clock))
    assert power.derived_power(clocked(chip, clock * factor)) >= slow * (1 - 1e-6)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_gradients_are_exact(system: System) -> None:
    """Every derivative equals a central difference in float64, the voltage's included."""
    core = attrs.evolve(system.chip.die.core, clock=1.1 * system.chip.die.core.clock)
    chip = attrs.evolve(system.chip, die=attrs.evolve(system.chip.die, core=core))
    assert gradient_faults(everything, attrs.evolve(system, chip=chip)) == []


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_all_legal_systems_are_finite_in_value_and_gradient(system: System) -> None:
    """The zero spec, bounds and random systems give finite numbers in float32."""
    assert faulty_leaves(everything, system) == []
