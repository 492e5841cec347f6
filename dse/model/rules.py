"""The rules of a design that can be built: one list, read by every evaluation and `dse feasible`.

A rule holds while `value <= limit`. Its margin is (limit - value) / limit: differentiable, negative
where the rule is broken. A limit of zero is none: nobody declared it, or the rule is about
something that the design does not have; its margin is one, and it rejects nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import jax
import jax.numpy as jnp

from dse.model import floorplan, power, voltage
from dse.model.guard import Scalar, margin
from dse.spec.system import System

Figure = Callable[[System], Scalar]


@attrs.frozen(kw_only=True)
class Rule:
    """One limit of a design. Its functions take a lowered System and give SI, shown in `unit`.

    `paths` are the leaves that a designer would change, `limits` those that set the limit: of each
    the one that weighs most is named. Where `applies` gives zero the design lacks what the rule is
    about.
    """

    name: str
    formula: str
    unit: str
    value: Figure
    limit: Figure
    paths: tuple[str, ...]
    limits: tuple[str, ...]
    applies: Figure = lambda _: 1.0

    def bound(self, system: System) -> jax.Array:
        """The limit, and zero where the rule does not apply."""
        return jnp.where(jnp.asarray(self.applies(system)) > 0, self.limit(system), 0.0)

    def margin(self, system: System) -> jax.Array:
        """What is left below the limit, as a share of it."""
        return margin(self.value(system), self.bound(system))


def _heat_limit(system: System) -> Scalar:
    by_air, by_liquid = system.rack.cooling
    return by_air * system.rack.air.flux + by_liquid * system.rack.liquid.flux


def _top_clock(system: System) -> Scalar:
    node = system.chip.die.node
    return voltage.clock_at(node, node.maximum_voltage)


def _clos_chips(system: System) -> Scalar:
    """Chips that three tiers of a folded Clos join: half of the lanes of the lower two go up."""
    return jnp.maximum(system.scale_up.switch.lanes, 2.0) ** 3 / 4.0


def _torus_chips(system: System) -> Scalar:
    up = system.scale_up
    return up.x.size * up.y.size * up.z.size


def _torus_lanes(system: System) -> Scalar:
    up = system.scale_up
    return up.x.lanes + up.y.lanes + up.z.lanes


def _io_dies(system: System) -> Scalar:
    return system.chip.io_die.count


def _switched(system: System) -> Scalar:
    weight: Scalar = system.scale_up.topology[0]
    return weight


def _torus(system: System) -> Scalar:
    weight: Scalar = system.scale_up.topology[1]
    return weight


def _mesh(system: System) -> Scalar:
    # without lanes each chip is a domain of its own, and a mesh of one has no links
    weight: Scalar = system.scale_up.topology[2]
    return weight * system.chip.scale_up.lanes


_DIE = ("chip.die.area", "chip.die.core.count", "chip.die.sram", "chip.die.core.sram")
_IO_DIE = ("chip.io_die.area", "chip.die.sram", "chip.io_die.overhead_area")
_EDGE = (
    "chip.memory.stacks",
    "chip.memory.sites",
    "chip.scale_up.lanes",
    "chip.scale_up.built",
)

RULES = (
    Rule(
        name="chip.cores",
        formula="spare cores + 1 <= cores of a die",
        unit="1",
        value=lambda s: s.chip.die.core.spare + 1.0,
        limit=lambda s: s.chip.die.core.count,
        paths=("chip.die.core.spare",),
        limits=("chip.die.core.count",),
    ),
    Rule(
        name="die.reticle",
        formula="area of a compute die <= what one exposure prints",
        unit="mm2",
        value=lambda s: floorplan.die_area(s.chip),
        limit=lambda s: s.chip.die.node.reticle,
        applies=lambda s: s.chip.die.single_exposure,
        paths=(*_DIE, *_EDGE),
        limits=("chip.die.node.reticle",),
    ),
    Rule(
        name="io_die.reticle",
        formula="area of an I/O die <= what one exposure prints",
        unit="mm2",
        value=lambda s: floorplan.io_die_area(s.chip),
        limit=lambda s: s.chip.io_die.node.reticle,
        applies=_io_dies,
        paths=(*_IO_DIE, *_EDGE),
        limits=("chip.io_die.node.reticle",),
    ),
    Rule(
        name="chip.shoreline",
        formula="edge of memory, lanes and die-to-die links <= usable perimeter of a compute die",
        unit="mm",
        value=lambda s: floorplan.shoreline(s.chip).needed,
        limit=lambda s: floorplan.shoreline(s.chip).available,
        paths=(*_EDGE, "chip.die.die_to_die.bandwidth"),
        limits=("chip.packaging.shoreline_use",),
    ),
    Rule(
        name="io_die.shoreline",
        formula="edge of memory, lanes and die-to-die links <= usable perimeter of an I/O die",
        unit="mm",
        value=lambda s: floorplan.io_shoreline(s.chip).needed,
        limit=lambda s: floorplan.io_shoreline(s.chip).available,
        applies=_io_dies,
        paths=(*_EDGE, "chip.io_die.die_to_die.bandwidth"),
        limits=("chip.packaging.shoreline_use",),
    ),
    Rule(
        name="chip.stacks",
        formula="stacks x side of a stack <= perimeter of all dies together",
        unit="mm",
        value=lambda s: floorplan.stack_edge(s.chip).needed,
        limit=lambda s: floorplan.stack_edge(s.chip).available,
        applies=lambda s: s.chip.memory.stack.footprint,
        paths=("chip.memory.stacks",),
        limits=("chip.die.area", "chip.dies", "chip.die.core.count"),
    ),
    Rule(
        name="chip.interposer",
        formula="spacing x (area of dies + area of stacks) <= largest interposer",
        unit="mm2",
        value=lambda s: floorplan.interposer_area(s.chip),
        limit=lambda s: s.chip.packaging.maximum_area,
        paths=("chip.dies", "chip.memory.stacks", "chip.io_die.count"),
        limits=("chip.packaging.maximum_area",),
    ),
    Rule(
        name="chip.voltage",
        formula="clock <= clock at the highest supply, k (V - Vt)^1.3 / V",
        unit="GHz",
        value=lambda s: s.chip.die.core.clock,
        limit=_top_clock,
        paths=("chip.die.core.clock",),
        limits=("chip.die.node.maximum_voltage",),
    ),
    Rule(
        name="chip.heat",
        formula="(design power - power of the memory) / area of the dies <= what cooling takes",
        unit="W/mm2",
        value=lambda s: power.heat_flux(s.chip),
        limit=_heat_limit,
        paths=("chip.power", "chip.die.core.clock", "chip.die.core.count", "chip.die.area"),
        limits=("rack.air.flux", "rack.liquid.flux"),
    ),
    Rule(
        name="rack.power",
        formula="chips, switches, hosts, network, losses, fans or pumps <= feed of a rack",
        unit="kW",
        value=power.rack_power,
        limit=lambda s: s.rack.power_limit,
        paths=("chip.power", "rack.chips", "chip.die.core.clock", "host.power"),
        limits=("rack.power_limit",),
    ),
    Rule(
        name="fabric.switches",
        formula="chips of a domain <= (lanes of a switch)^3 / 4: three tiers of a folded Clos",
        unit="1",
        value=lambda s: s.chips,
        limit=_clos_chips,
        applies=_switched,
        paths=("chips",),
        limits=("scale_up.switch.lanes",),
    ),
    Rule(
        name="fabric.torus",
        formula="chips of a domain <= product of the torus's axes",
        unit="1",
        value=lambda s: s.chips,
        limit=_torus_chips,
        applies=_torus,
        paths=("chips",),
        limits=("scale_up.x.size", "scale_up.y.size", "scale_up.z.size"),
    ),
    Rule(
        name="fabric.lanes",
        formula="lanes of the torus's axes <= lanes of a chip",
        unit="1",
        value=_torus_lanes,
        limit=lambda s: s.chip.scale_up.lanes,
        applies=_torus,
        paths=("scale_up.x.lanes", "scale_up.y.lanes", "scale_up.z.lanes"),
        limits=("chip.scale_up.lanes",),
    ),
    Rule(
        name="fabric.mesh",
        formula="other chips of a domain <= lanes of a chip: one at least to each",
        unit="1",
        value=lambda s: s.chips - 1.0,
        limit=lambda s: s.chip.scale_up.lanes,
        applies=_mesh,
        paths=("chips",),
        limits=("chip.scale_up.lanes",),
    ),
)
"""Every rule of a design; those of an operating point (mapping, memory, latency) come beside."""


def margins(system: System) -> dict[str, jax.Array]:
    """The relative margin of every rule of a design, by name."""
    return {rule.name: rule.margin(system) for rule in RULES}


def values(system: System) -> dict[str, jax.Array]:
    """The value of every rule, SI."""
    return {rule.name: jnp.asarray(rule.value(system)) for rule in RULES}


def limits(system: System) -> dict[str, jax.Array]:
    """The limit of every rule, SI; zero where there is none."""
    return {rule.name: rule.bound(system) for rule in RULES}
