"""What chips and systems draw: at design load for supply and cooling, on average for the meter.

Energy per event times events per second, all that switches times the square of the voltage that
the clock asks for, plus leakage by area, voltage and temperature. Arithmetic and the movement of
operands are apart: a wide array reuses what it is fed, which is why a FLOP of a later GPU costs
less in one node family. A published thermal design power replaces the derived one and scales the
average with it. Four powers are told apart: idle, average under a load, thermal design power, and
what is provisioned for a system.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model import roofline
from dse.model.fabric import fabric, far_share, racks
from dse.model.floorplan import die_area
from dse.model.guard import Scalar, declared, ratio
from dse.model.pytree import replace
from dse.model.voltage import clock_at as clock_at
from dse.model.voltage import voltage as voltage
from dse.spec.chip import Chip
from dse.spec.fields import PRECISIONS
from dse.spec.silicon import Array, Node
from dse.spec.system import Rack, System

# Arithmetic of a FLOP over that of a BF16 one, in the order of PRECISIONS: TF32 runs at half the
# rate of BF16; FP8 takes 0.4 to 0.5, and chips that a power limit holds spend 0.51
# to 0.54 by the rates they attain (H100, H200, B200 in specs/measured/micro_gemm.csv); MXFP4 over
# MXFP8 in synthesis 1,438 to 1,675 over 4,065 GOP/s/W (arXiv:2511.06313) = 0.38.
PRECISION_ENERGY = (2.0, 1.0, 0.5, 0.19)

# Bits of an operand, in the order of PRECISIONS, without block scales; and of a partial sum, which
# is read and written in FP32 at every pass.
_OPERAND_BITS = (32.0, 16.0, 8.0, 4.0)
_SUM_BITS = 64.0

# FP32 multiply-add over a BF16 one with FP32 accumulation at 7 nm: (1.31 + 0.38) / (0.21 + 0.38)
# (Jouppi et al., ISCA 2021, table 2); its operands come from registers and are part of neither.
_VECTOR_ENERGY = 2.9

# Energy of a bit of an array's registers and accumulators over one of a large SRAM. Fitted with
# N7's flop_energy to vendors' design powers (dse/evidence/design_power.py). Published 7 nm SRAM:
# 8 KiB 0.117, 32 KiB 0.133, 1 MiB 0.219 pJ/bit (ISCA 2021) over 0.25 = 0.47 to 0.88.
NEAR_ENERGY = 0.47

# Share of its engines' rates that a chip sustains under its design power: matrix products attain
# about 80 % of peak on Hopper, 70 to 75 on Blackwell, 50 to 60 on MI300 (SemiAnalysis, TPUv7,
# 2025-11-28), as power holds the clock down.
SUSTAINED = 0.75

# Share of the logic's power at design load that clocks draw whenever the chip works, whatever its
# engines do: more than a quarter of a processor's budget (Duarte, Vijaykrishnan and Irwin, ISVLSI
# 2002). The bound itself is taken: measured nodes would like more (0.3), and must not choose.
CLOCK_SHARE = 0.25

# What the memory delivers is written to an on-chip SRAM and read from it once.
_PASSES = 2.0

# Newton steps to the clock under a cap, before the one that carries the derivative.
_CAP_STEPS = 8


class Activity(NamedTuple):
    """What one chip does in a second, on average.

    `matrix_flops` holds one FLOP/s for each of PRECISIONS; `vector_flops` FLOP/s; `memory_bytes`
    and `link_bytes` (sent) bytes per second. On-chip traffic follows from the first and third:
    operands by the arrays' shape, and what the memory delivers.
    """

    matrix_flops: tuple[Scalar, Scalar, Scalar, Scalar]
    vector_flops: Scalar
    memory_bytes: Scalar
    link_bytes: Scalar


class ChipPower(NamedTuple):
    """Power of one chip by part, W."""

    matrix: Scalar
    vector: Scalar
    operands: Scalar
    clock: Scalar
    sram: Scalar
    memory: Scalar
    links: Scalar
    die_to_die: Scalar
    leakage: Scalar
    idle: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, W."""
        return jnp.asarray(sum(self))


class SystemPower(NamedTuple):
    """Power of one system at the rack's feed by part, W; cables are those that leave a rack.

    `scale_out` are the network cards, `network` the switches and optics outside the racks.
    """

    chips: Scalar
    switches: Scalar
    hosts: Scalar
    scale_out: Scalar
    cables: Scalar
    conversion: Scalar
    cooling: Scalar
    network: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, W."""
        return jnp.asarray(sum(self))


def _supply(chip: Chip, clock: Scalar) -> jax.Array:
    """Voltage over the nominal voltage."""
    return ratio(voltage(chip.die.node, clock), chip.die.node.voltage)


def operand_bytes(array: Array) -> tuple[Scalar, ...]:
    """Bytes to and from an array's registers for a FLOP, in each of PRECISIONS.

    In a cycle a row takes `rate` operands and a column reads and writes one partial sum; the
    stationary operand stays. Over 2 x rows x columns x rate FLOPs these are, in bits,
    w / (2 columns) + 64 / (2 rows rate).
    """
    made = []
    for name, bits in zip(PRECISIONS, _OPERAND_BITS, strict=True):
        # a precision without its own rate runs at another's, whose FLOPs are counted there
        sums = ratio(_SUM_BITS, array.rows * getattr(array.rates, name))
        made.append((bits / array.columns + sums) / (2.0 * roofline.BITS_PER_BYTE))
    return tuple(made)


def leakage_factor(node: Node, junction: Scalar) -> jax.Array:
    """Leakage at a junction temperature (K) over that of the node's own: exponential.

    Subthreshold current goes with `T^2 exp(-q Vt / (n k T))`; around one temperature that is
    `exp((T - T0) / rise)`. Zero stands for the node's own temperature.
    """
    warmer = declared(junction, node.leakage_temperature) - node.leakage_temperature
    # 20: no silicon is some 400 K above or below; float32 stays finite
    return jnp.exp(jnp.clip(ratio(warmer, node.leakage_rise), -20.0, 20.0))


class _Logic(NamedTuple):
    """Power of the engines, W."""

    matrix: Scalar
    vector: Scalar
    operands: Scalar


def _logic(chip: Chip, activity: Activity) -> _Logic:
    """Power of arrays and vector engines for what they do, clocks apart, W."""
    node, supply = chip.die.node, _supply(chip, chip.die.core.clock)
    flop, byte = node.flop_energy * supply**2, node.sram_energy * supply**2
    work = activity.matrix_flops
    moved = sum(f * b for f, b in zip(work, operand_bytes(chip.die.core.array), strict=True))
    return _Logic(
        matrix=flop * sum(f * e for f, e in zip(work, PRECISION_ENERGY, strict=True)),
        vector=flop * _VECTOR_ENERGY * activity.vector_flops,
        operands=NEAR_ENERGY * byte * moved,
    )


def chip_power(chip: Chip, activity: Activity, junction: Scalar = 0.0) -> ChipPower:
    """Power of a chip that works, from parts and activity at a junction temperature, W.

    The junction is in K; 0 is the node's own. Clocks run whatever the engines do: a share of the
    logic's power at design load. Of the memory traffic a share `1 - 1/dies` crosses from die to
    die: each die's own stacks serve it no more often than any other's. Leakage grows with voltage
    and temperature.
    """
    node, supply = chip.die.node, _supply(chip, chip.die.core.clock)
    done, design = _logic(chip, activity), _logic(chip, peak_activity(chip))
    crossing = activity.memory_bytes * (1.0 - 1.0 / jnp.maximum(chip.dies, 1.0))
    # memory that needs no interface is itself the SRAM of the die
    outside = jnp.where(jnp.asarray(chip.memory.stack.interface_area) > 0, 1.0, 0.0)
    leak = node.leakage * leakage_factor(node, junction)
    return ChipPower(
        matrix=done.matrix,
        vector=done.vector,
        operands=done.operands,
        clock=CLOCK_SHARE / (1.0 - CLOCK_SHARE) * sum(design),
        sram=_PASSES * node.sram_energy * supply**2 * activity.memory_bytes * outside,
        memory=activity.memory_bytes * chip.memory.stack.energy,
        links=activity.link_bytes * chip.scale_up.link.energy,
        die_to_die=crossing * chip.die.die_to_die.energy,
        leakage=leak * chip.dies * die_area(chip) * supply,
        idle=chip.memory.stacks * chip.memory.stack.idle_power,
    )


def peak_activity(chip: Chip) -> Activity:
    """The load that supply and cooling are built for.

    Arrays, in the precision that draws most, and vector engines at the share of their rates that
    a chip sustains; memory and links at their rates.
    """
    array, node = chip.die.core.array, chip.die.node
    rate = 2.0 * SUSTAINED * chip.cell_rate
    work = [rate * getattr(array.rates, name) for name in PRECISIONS]
    near = NEAR_ENERGY * node.sram_energy
    costs = zip(work, PRECISION_ENERGY, operand_bytes(array), strict=True)
    drawn = jnp.stack([jnp.asarray(f * (node.flop_energy * e + near * b)) for f, e, b in costs])
    chosen = jnp.argmax(drawn)
    fp32, bf16, fp8, fp4 = (jnp.where(chosen == i, f, 0.0 * f) for i, f in enumerate(work))
    return Activity(
        matrix_flops=(fp32, bf16, fp8, fp4),
        vector_flops=SUSTAINED * chip.vector_flops,
        memory_bytes=chip.memory.bandwidth,
        link_bytes=chip.scale_up.bandwidth,
    )


def idle_power(chip: Chip, junction: Scalar = 0.0) -> jax.Array:
    """Power of a chip that waits, W: leakage, refresh, and links, whose SerDes do not rest."""
    none = 0.0 * jnp.asarray(chip.memory.bandwidth)
    waiting = Activity((none, none, none, none), none, none, chip.scale_up.bandwidth)
    parts = chip_power(chip, waiting, junction)
    return parts.total - parts.clock


def derived_power(chip: Chip) -> jax.Array:
    """Thermal design power that follows from the parts, W."""
    return chip_power(chip, peak_activity(chip)).total


def design_power(chip: Chip) -> jax.Array:
    """Thermal design power: published, else derived, W."""
    return declared(chip.power, derived_power(chip))


def average_power(chip: Chip, activity: Activity, junction: Scalar = 0.0) -> jax.Array:
    """Power of one chip under an activity, W; a published design power scales it."""
    scale = ratio(design_power(chip), derived_power(chip), 1.0)
    return chip_power(chip, activity, junction).total * scale


def capped_clock(chip: Chip, activity: Activity) -> jax.Array:
    """Clock at which a load that is met at the full clock stays within the power limit, Hz.

    The limit is the chip's own `power_cap`, else its published design power; without either, or
    where the load draws less, the full clock. Work and traffic go with the clock, energies with
    the square of its voltage, so that power is convex in the clock: Newton steps from the right,
    of which only the last carries a derivative, that of the root.
    """
    parts = chip_power(chip, activity)
    limit = declared(chip.power_cap, chip.power)
    capped = (jnp.asarray(limit) > 0) & (parts.total > limit)
    # the untaken side stays at its root, so that no step of it can go astray
    limit = jnp.where(capped, limit, parts.total)
    held = jax.lax.stop_gradient((chip, parts, limit))
    # a loop of a fixed number of steps: each holds the voltage's own
    share = jax.lax.fori_loop(
        0, _CAP_STEPS, lambda _, share: _cap_step(*held, share), jnp.ones_like(parts.total)
    )
    share = _cap_step(chip, parts, limit, jax.lax.stop_gradient(share))
    return chip.die.core.clock * jnp.where(capped, share, 1.0)


def _cap_step(chip: Chip, parts: ChipPower, limit: Scalar, share: Scalar) -> jax.Array:
    def excess(share: Scalar) -> jax.Array:
        return _slowed(chip, parts, share) - limit

    value, slope = jax.jvp(excess, (share,), (jnp.ones_like(share),))
    # 0.02: below it nothing that a cap asks for can be met; the clock stays above zero
    return jnp.clip(share - ratio(value, jax.lax.stop_gradient(slope)), 0.02, 1.0)


def _slowed(chip: Chip, parts: ChipPower, share: Scalar) -> jax.Array:
    """Power of a load at a share of the full clock, W."""
    clock = chip.die.core.clock
    supply = ratio(_supply(chip, share * clock), _supply(chip, clock), 1.0)
    logic = parts.matrix + parts.vector + parts.operands + parts.clock + parts.sram
    traffic = parts.memory + parts.die_to_die + parts.links
    leaking = parts.leakage * supply
    return share * (logic * supply**2 + traffic) + leaking + parts.idle


def under_cap(system: System) -> System:
    """The system as the power limit set on its chips lets it run: clock and design power lowered.

    The clock is that at which design load meets the limit; a published design power scales what
    the parts ask for. Without a limit, or where design load is below it, nothing changes.
    """
    chip, core = system.chip, system.chip.die.core
    limit, full = jnp.asarray(chip.power_cap), design_power(chip)
    own = replace(chip, power=0.0 * full, power_cap=limit * ratio(derived_power(chip), full, 1.0))
    clock = capped_clock(own, peak_activity(own))
    slow = replace(
        chip,
        die=replace(chip.die, core=replace(core, clock=clock)),
        power=jnp.where(limit > 0, jnp.minimum(full, limit), chip.power),
        power_cap=0.0 * limit,
    )
    return replace(system, chip=slow)


def system_power(system: System) -> SystemPower:
    """Provisioned power of one system, W: all of it at design load."""
    return _assemble(system, design_power(system.chip), system.chip.scale_up.bandwidth)


def average_system_power(system: System, activity: Activity) -> SystemPower:
    """Power of one system under an activity, W.

    Switches, hosts and network cards draw their provisioned power: their SerDes do not rest.
    """
    chip = average_power(system.chip, activity, junction(system.rack))
    return _assemble(system, chip, activity.link_bytes)


def junction(rack: Rack) -> jax.Array:
    """Junction temperature under the rack's cooling, K."""
    return jnp.asarray(_cooled(rack, rack.air.junction, rack.liquid.junction))


def _cooled(rack: Rack, air: Scalar, liquid: Scalar) -> Scalar:
    """What the rack's class of cooling declares; its weights mix the two."""
    by_air, by_liquid = rack.cooling
    return by_air * air + by_liquid * liquid


def _assemble(system: System, chip: Scalar, link_bytes: Scalar) -> SystemPower:
    counts, rack, network = fabric(system), system.rack, system.scale_out
    chips = system.chips * chip
    switches = counts.switches * system.scale_up.switch.power
    hosts = counts.hosts * system.host.power
    scale_out = system.chips * network.power
    away = system.chips * link_bytes * far_share(system)
    cables = away * system.chip.scale_up.link.far_energy
    inside = scale_out * (1.0 - network.outside)
    # the bus feeds all; the chips' own regulators stand between it and their rails
    used = chips + switches + hosts + inside + cables
    fed = ratio(used - chips + ratio(chips, rack.regulator), rack.conversion)
    share = declared(rack.cooling_power, _cooled(rack, rack.air.power, rack.liquid.power))
    return SystemPower(
        chips=chips,
        switches=switches,
        hosts=hosts,
        scale_out=inside,
        cables=cables,
        conversion=fed - used,
        cooling=fed * share,
        network=scale_out * network.outside,
    )


def rack_power(system: System) -> jax.Array:
    """Provisioned power of one rack, W, without what stands outside the racks."""
    parts = system_power(system)
    return ratio(parts.total - parts.network, racks(system))


def heat_flux(chip: Chip) -> jax.Array:
    """Heat of a compute die over its area at design load, W/m2; the memory's is its own."""
    memory = chip.memory.bandwidth * chip.memory.stack.energy
    own = memory + chip.memory.stacks * chip.memory.stack.idle_power
    heat = jnp.maximum(design_power(chip) - own, 0.0)
    return ratio(heat, chip.dies * die_area(chip))
