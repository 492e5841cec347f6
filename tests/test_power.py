"""Voltage, chip and system power against published design powers, limits and gradients."""

from __future__ import annotations

import attrs
import jax
import pytest
from helpers import question, system
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
from dse.model.evaluator import evaluate
from dse.model.pytree import lower, replace, stack
from dse.model.rules import RULES
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


def margins(system: System) -> dict[str, jax.Array]:
    """The electrical and thermal rules of a lowered system."""
    names = ("rack.power", "chip.voltage", "chip.heat")
    return {rule.name: rule.margin(system) for rule in RULES if rule.name in names}


def everything(system: System) -> jax.Array:
    """A number that depends on every result of the module."""
    average = power.average_system_power(system, decode(system.chip))
    rules = together(margins(system), power.voltage(system.chip.die.node, 2e9))
    rules = rules + power.idle_power(system.chip)
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
    assert float(margins(fast)["chip.voltage"]) < 0.0
    assert float(margins(lower(TRAINIUM2_ULTRA))["chip.voltage"]) > 0.0


@pytest.mark.parametrize(
    ("chip", "published", "share"),
    [(A100, 400.0, 0.25), (H100, 700.0, 0.25), (B200, 1000.0, 0.15), (TRAINIUM2, 500.0, 0.40)],
)
def test_derived_design_power_is_near_the_published_one(
    chip: Chip, published: float, share: float
) -> None:
    """Shared energies, none of a chip's own: arrays of 128 x 128 come out a third too low."""
    assert float(power.derived_power(lower(chip))) == pytest.approx(published, rel=share)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_chip_parts_add_up(chip: Chip) -> None:
    """Total = sum of parts, each at least zero."""
    lowered = lower(chip)
    parts = power.chip_power(lowered, power.peak_activity(lowered))
    assert float(parts.total) == pytest.approx(sum(float(part) for part in parts))
    assert all(part >= 0.0 for part in parts)


def test_parts_of_h100_are_hand_worked() -> None:
    """H100 at nominal voltage and design load, three quarters of 989.4 TFLOP/s.

    A FLOP 0.211 pJ; operands 2 B / (2 x 32) + 8 B / (2 x 16) = 0.28125 B at 0.47 x 0.18 pJ/bit;
    clocks a third of both and the vectors; 3.347 TB/s x 26 pJ/B, twice 0.18 pJ/bit on the way;
    814 mm2 x 0.04 W; 450 GB/s x 40 pJ/B.
    """
    chip = lower(H100)
    parts = power.chip_power(chip, power.peak_activity(chip))
    rate = 0.75 * 989.4
    assert float(parts.matrix) == pytest.approx(rate * 0.211, rel=1e-3)
    assert float(parts.operands) == pytest.approx(rate * 0.28125 * 0.47 * 0.18 * 8, rel=1e-3)
    logic = float(parts.matrix + parts.operands + parts.vector)
    assert float(parts.vector) == pytest.approx(0.75 * 61.84 * 2.9 * 0.211, rel=1e-3)
    assert float(parts.clock) == pytest.approx(logic / 3, rel=1e-4)
    assert float(parts.memory) == pytest.approx(3.347 * 26.0, rel=1e-3)
    assert float(parts.sram) == pytest.approx(3.347 * 2 * 0.18 * 8, rel=1e-3)
    assert float(parts.leakage) == pytest.approx(814 * 0.04, rel=1e-3)
    assert float(parts.links) == pytest.approx(0.45 * 40.0, rel=1e-3)
    assert float(parts.die_to_die) == 0.0


def test_operands_of_a_wide_array_are_reused() -> None:
    """BF16 through 128 x 128 cells: 2 / 256 + 8 / 256 B a FLOP; 16 x 32 cells take 7.2 x that."""
    wide = power.operand_bytes(lower(TRAINIUM2).die.core.array)[1]
    small = power.operand_bytes(lower(H100).die.core.array)[1]
    assert float(wide) == pytest.approx(10 / 256)
    assert float(small / wide) == pytest.approx(0.28125 / (10 / 256))


def test_leakage_grows_exponentially_with_the_junction() -> None:
    """25 K warmer is e times as much, 20 K cooler exp(-0.8); zero is the node's own 85 degC."""
    node = lower(N5)
    assert float(power.leakage_factor(node, 0.0)) == pytest.approx(1.0)
    assert float(power.leakage_factor(node, 383.0)) == pytest.approx(2.71828, rel=1e-4)
    assert float(power.leakage_factor(node, 338.0)) == pytest.approx(0.44933, rel=1e-4)


def test_a_waiting_chip_draws_leakage_refresh_and_links() -> None:
    """H100: 32.6 + 5 x 1 + 18 = 55.6 W; boards idle at 60 to 75 W."""
    assert float(power.idle_power(lower(H100))) == pytest.approx(55.5, abs=0.3)


def test_half_of_the_memory_traffic_crosses_two_dies() -> None:
    """Trainium2: 2.918 TB/s x 1/2 x 0.5 pJ/bit = 5.8 W."""
    chip = lower(TRAINIUM2)
    parts = power.chip_power(chip, power.peak_activity(chip))
    assert float(parts.die_to_die) == pytest.approx(2.918e12 / 2 * 4e-12, rel=1e-3)


def test_narrow_formats_at_double_rate_draw_about_the_same() -> None:
    """Arithmetic of FP8 at twice the rate as BF16, of FP4 at four times it 0.76 of that."""
    chip = lower(B200)
    rate = 2.0 * chip.cell_rate

    def drawn(*flops: float) -> power.ChipPower:
        return power.chip_power(chip, power.Activity(flops, 0.0, 0.0, 0.0))

    bf16, fp8 = drawn(0.0, rate, 0.0, 0.0), drawn(0.0, 0.0, 2 * rate, 0.0)
    fp4 = drawn(0.0, 0.0, 0.0, 4 * rate)
    assert float(fp8.matrix) == pytest.approx(float(bf16.matrix))
    assert float(fp4.matrix) == pytest.approx(0.76 * float(bf16.matrix))
    assert float(fp8.operands) == pytest.approx(float(bf16.operands))


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


def test_regulators_stand_before_the_chips_alone() -> None:
    """At 0.9, the chips take 1 / 0.9 of their power from the bus, all else what it did."""
    system = lower(TRAINIUM2_ULTRA)
    lossy = replace(system, rack=replace(system.rack, regulator=0.9))
    parts, plain = power.system_power(lossy), power.system_power(system)
    extra = float(plain.chips) * (1 / 0.9 - 1) / 0.92
    assert float(parts.conversion - plain.conversion) == pytest.approx(extra, rel=1e-4)


def test_the_network_outside_is_no_rack_s() -> None:
    """With 80 % of the network's power outside, a rack draws less, the system next to the same."""
    system = lower(TRAINIUM2_ULTRA)
    out = replace(system, scale_out=replace(system.scale_out, outside=0.8))
    parts = power.system_power(out)
    assert float(parts.network) == pytest.approx(0.8 * 64 * 30.0, rel=1e-5)
    assert float(power.rack_power(out)) == pytest.approx(float(parts.total - parts.network) / 2)


def test_the_word_for_cooling_sets_fans_junction_and_heat() -> None:
    """Air: 12 % fans, 358 K, 1 W/mm2; liquid: 4 %, 338 K, 1.5 W/mm2, where nothing is declared."""
    made = {}
    for word, weights in (("air", (1.0, 0.0)), ("liquid", (0.0, 1.0))):
        plain = lower(HGX_H100)
        rack = replace(plain.rack, cooling=weights, cooling_power=0.0)
        system = replace(plain, rack=rack)
        parts = power.system_power(system)
        fed = float(parts.total - parts.cooling)
        flux = power.heat_flux(system.chip)
        heat = 1.0 - float(margins(system)["chip.heat"])
        light = power.average_system_power(system, decode(system.chip))
        made[word] = (float(parts.cooling) / fed, float(flux) / heat, float(light.chips))
    assert made["air"][:2] == pytest.approx((0.12, 1e6), rel=1e-4)
    assert made["liquid"][:2] == pytest.approx((0.04, 1.5e6), rel=1e-4)
    assert made["liquid"][2] < made["air"][2]


def test_trainium2_ultraserver_draws_its_published_power() -> None:
    """48 kW for 64 chips of 500 W in two racks (SemiAnalysis, hardware 1.3), within 15 %."""
    system = lower(TRAINIUM2_ULTRA)
    total = power.system_power(replace(system, chip=replace(system.chip, power=500.0))).total
    assert float(total) == pytest.approx(48e3, rel=0.15)


def test_an_overfull_rack_breaks_its_rule() -> None:
    """The margin is the share of the limit that is left."""
    system = lower(HGX_H100)
    tight = replace(system, rack=replace(system.rack, power_limit=9e3))
    drawn = float(power.rack_power(tight))
    assert float(margins(tight)["rack.power"]) == pytest.approx(1 - drawn / 9e3, rel=1e-4)
    assert drawn > 9e3


def capped(chip: Chip, watts: float) -> Chip:
    return replace(lower(chip), power_cap=watts)


def test_a_cap_below_the_load_lowers_the_clock_until_it_is_met() -> None:
    """At the capped clock, work and traffic slowed with it, the chip draws the cap."""
    chip = capped(H100, 450.0)
    load = power.peak_activity(chip)
    clock = float(power.capped_clock(chip, load))
    share = clock / 1.83e9
    slow = clocked(replace(chip, power_cap=0.0), clock)
    parts = power.chip_power(slow, jax.tree.map(lambda rate: share * rate, load))
    # clocks follow the vector engines' own rate, which `clocked` leaves
    full = power.chip_power(chip, load)
    drawn = float(parts.total - parts.clock)
    supply = float(power.voltage(chip.die.node, clock)) / 0.75
    drawn += float(full.clock) * share * supply**2
    assert share < 0.95
    assert drawn == pytest.approx(450.0, rel=1e-3)


def test_a_chip_below_its_cap_runs_at_its_clock() -> None:
    """No cap, a cap above the load, and a published power above it leave the full clock."""
    for chip in (lower(H100), capped(H100, 5e3), replace(lower(H100), power=2e3)):
        assert float(power.capped_clock(chip, power.peak_activity(chip))) == pytest.approx(1.83e9)


@pytest.mark.parametrize("watts", [1e-3, 60.0, 300.0, 1e6])
def test_any_cap_gives_a_clock_and_a_derivative(watts: float) -> None:
    """Below what a stopped chip draws, in the straight part of the curve and far above: finite."""

    def clock(cap: float) -> jax.Array:
        chip = capped(H100, cap)
        return power.capped_clock(chip, power.peak_activity(chip))

    value, slope = jax.value_and_grad(clock)(watts)
    assert 0.0 < float(value) <= 1.83e9 * (1 + 1e-6)
    assert 0.0 <= float(slope) < float("inf")


def test_the_capped_clock_has_the_derivative_of_its_root() -> None:
    """d clock / d cap and d clock / d energy by central differences in float64."""
    with jax.enable_x64(True):
        chip = capped(H100, 450.0)
        load = power.peak_activity(chip)

        def clock(watts: float, energy: float) -> jax.Array:
            node = replace(chip.die.node, flop_energy=energy)
            made = replace(chip, power_cap=watts, die=replace(chip.die, node=node))
            return power.capped_clock(made, load)

        point = (450.0, chip.die.node.flop_energy)
        slopes = jax.grad(clock, argnums=(0, 1))(*point)
        for i, slope in enumerate(slopes):
            step = 1e-5 * point[i]
            up, down = list(point), list(point)
            up[i], down[i] = point[i] + step, point[i] - step
            assert float(slope) == pytest.approx(
                float(clock(*up) - clock(*down)) / (2 * step), rel=1e-4
            )
        assert float(slopes[0]) > 0.0 > float(slopes[1])


@given(st.floats(0.3e9, 4e9), st.floats(1.0, 2.0))
@settings(max_examples=30, deadline=None)
def test_a_higher_clock_is_never_cooler(clock: float, factor: float) -> None:
    """Design power grows with the clock, by rate and by voltage."""
    chip = lower(TRAINIUM2)
    slow = power.derived_power(clocked(chip, clock))
    assert power.derived_power(clocked(chip, clock * factor)) >= slow * (1 - 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_gradients_are_exact(system: System) -> None:
    """Every derivative equals a central difference in float64, the voltage's included."""
    core = attrs.evolve(system.chip.die.core, clock=1.1 * system.chip.die.core.clock)
    chip = attrs.evolve(system.chip, die=attrs.evolve(system.chip.die, core=core))
    assert gradient_faults(everything, attrs.evolve(system, chip=chip)) == []


FIRST = [SYSTEMS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in SYSTEMS[1:])]
"""All systems, those after the first in the slow suite."""


@pytest.mark.parametrize("system", FIRST, ids=lambda system: system.name)
def test_all_legal_systems_are_finite_in_value_and_gradient(system: System) -> None:
    """The zero spec, bounds and random systems give finite numbers in float32."""
    assert faulty_leaves(everything, system) == []


def test_a_power_limit_slows_the_chip_and_saves_power() -> None:
    """Long prompts under a limit: fewer tokens, design and average power no more than the limit; a
    limit that it does not reach changes nothing."""
    full = system("h100-server")
    held, roomy = (replace(full, chip=replace(full.chip, power_cap=cap)) for cap in (350.0, 5e3))
    found = evaluate(stack([full, held, roomy]), question("llama-3.3-70b", "long-prefill")).result
    plain, slow, same = found.metrics["tokens_per_s"]
    assert slow < 0.95 * plain
    assert same == pytest.approx(plain)
    assert found.metrics["chip_power_w"][1] == pytest.approx(350.0)
    assert found.average.chips[1] / 8.0 <= 350.0 * (1.0 + 1e-3)
    assert found.metrics["average_power_w"][1] < found.metrics["average_power_w"][0]


def test_the_evaluator_holds_a_chip_to_its_limit() -> None:
    """The best operating point is chosen at the clock that the limit leaves."""
    full = system("h100-server")
    held = replace(full, chip=replace(full.chip, power_cap=350.0))
    found = evaluate(stack([full, held]), question("llama-3.3-70b", "chat-decode"))
    plain, slow = found.metrics["tokens_per_s"]
    assert slow < plain
    plain, slow = found.metrics["average_power_w"]
    assert slow < 0.9 * plain
    assert found.metrics["chip_power_w"] == pytest.approx([700.0, 350.0])
