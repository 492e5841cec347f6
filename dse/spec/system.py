"""Systems: chips, the fabrics between them, hosts, racks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from dse.spec.chip import Chip
from dse.spec.fields import (
    Named,
    count,
    derived,
    flag,
    number,
    option,
    part,
    quantity,
    reference,
    spec,
)

TOPOLOGIES = ("switch", "torus", "mesh")
COOLING = ("air", "liquid")


@spec()
class Axis:
    """One dimension of a torus: its length, and the lanes a chip spends on both its neighbours."""

    size: float = count("chips along the axis", default=1.0, low=1)
    lanes: float = count("lanes per chip on this axis, both directions of travel together")


@spec()
class Switch:
    """A scale-up switch chip."""

    lanes: float = count("lanes of one switch", default=1.0, low=1)
    price: float = quantity("USD", "price of one switch, board share included")
    power: float = quantity("W", "power of one switch")
    latency: float = quantity("ns", "time through one switch")
    reduction: float = flag("the switch adds up operands of a collective in flight")
    mtbf: float = quantity("h", "mean time between failures; 0 for the facility's")


@spec()
class ScaleUp:
    """The fabric of one scale-up domain: switches, a torus, or links from each chip to each."""

    topology: Any = option(TOPOLOGIES, "how chips are joined")
    x: Axis = part(Axis, "first torus axis")
    y: Axis = part(Axis, "second torus axis")
    z: Axis = part(Axis, "third torus axis")
    switch: Switch = part(Switch, "the switch, where there is one")


@spec()
class ScaleOut:
    """The network between scale-up domains, as one chip sees it."""

    bandwidth: float = quantity("Gb/s", "network bandwidth per chip and direction")
    efficiency: float = number("share left for payload", low=0.05)
    latency: float = quantity("us", "one message between two domains", low=1e-12)
    oversubscription: float = number(
        "bandwidth into a pod's switches over that out of them", low=1.0, high=64.0, default=1.0
    )
    pod: float = count("chips of a pod, joined at full bandwidth; 0 for one domain")
    power: float = quantity("W", "network cards, switches and optics, per chip")
    outside: float = number("share of that power in switches and optics outside the racks")
    card_price: float = quantity("USD", "network cards, per chip; 0 has them in the price below")
    price: float = quantity("USD", "switches, cables and optics, per chip")
    mtbf: float = quantity("h", "mean time between failures, per chip; 0 for the facility's")


@spec()
class Host:
    """The host processors."""

    chips: float = count("chips that one host serves", default=1.0, low=1)
    price: float = quantity("USD", "processors, board, local storage of one host")
    memory: float = quantity("GB", "DRAM of one host; 0 has it in the price above")
    memory_price: float = quantity("USD/GB", "price of that DRAM")
    power: float = quantity("W", "power of one host")
    mtbf: float = quantity("h", "mean time between failures; 0 for the facility's")


@spec()
class AirCooling:
    """What air carries away: fans of a dense chassis, heat sinks. Assumptions of the field."""

    power: float = number("fans, as a share of the power they cool", default=0.12)
    flux: float = quantity("W/mm2", "heat that leaves a compute die's area", default=1.0e6)
    junction: float = quantity("K", "junction temperature under load", low=1.0, default=358.0)


@spec()
class LiquidCooling:
    """What cold plates carry away, and the pumps. Assumptions of the field."""

    power: float = number("pumps, and fans for the rest, as a share of the power", default=0.04)
    flux: float = quantity("W/mm2", "heat that leaves a compute die's area", default=1.5e6)
    junction: float = quantity("K", "junction temperature under load", low=1.0, default=338.0)


@spec()
class Rack:
    """The rack: what it holds, feeds and cools.

    What is published of fans or pumps holds for the cooling that it was published with.
    """

    published: ClassVar[Mapping[str, tuple[str, ...]]] = {"cooling_power": ("cooling",)}

    chips: float = count("chips in one rack", default=1.0, low=1)
    power_limit: float = quantity("kW", "power one rack may draw; 0 declares no limit")
    price: float = quantity("USD", "frame and management, and what the next two leave at 0")
    cooling_price: float = quantity("USD", "manifolds, pumps, exchangers or fans of one rack")
    supply_price: float = quantity("USD", "power shelves and busbar of one rack")
    board_price: float = quantity("USD", "board, power stages, heat sink or cold plate, per chip")
    cooling: Any = option(COOLING, "how heat leaves")
    air: AirCooling = part(AirCooling, "what holds where heat leaves by air")
    liquid: LiquidCooling = part(LiquidCooling, "what holds where heat leaves by liquid")
    cooling_power: float = number(
        "fans or pumps, as a share of the power they cool; 0 takes that of the cooling"
    )
    conversion: float = number("efficiency of the supplies, from the rack's feed on", low=0.3)
    regulator: float = number(
        "efficiency of the chips' voltage regulators; 1 where `conversion` or the chip's design "
        "power holds their loss",
        low=0.3,
        default=1.0,
    )
    assembly: float = number("integration and test, as a share of the parts' price", high=5.0)


@spec()
class AnnouncedSystem:
    """Published figures of a whole system, for checks only."""

    power: float = quantity("kW", "power of the system")
    price: float = quantity("USD", "price of the system")
    bandwidth: float = quantity("TB/s", "memory bandwidth of the system")
    capacity: float = quantity("GB", "memory of the system")
    bf16: float = quantity("TFLOP/s", "dense BF16 peak of the system")
    fp8: float = quantity("TFLOP/s", "dense FP8 peak of the system")


@spec("system")
class System(Named):
    """Scale-up domains of chips, fabric, hosts, racks; mostly one, in a cluster many."""

    chip: Chip = reference(Chip, "the accelerator")
    chips: float = count("chips in the scale-up domain", default=1.0, low=1)
    domains: float = count("scale-up domains of the system", default=1.0, low=1)
    dollar_year: float = count("year whose dollars its prices are in; 0 if not stated", high=3000)
    scale_up: ScaleUp = part(ScaleUp, "fabric inside the domain")
    scale_out: ScaleOut = part(ScaleOut, "network between domains")
    host: Host = part(Host, "hosts")
    rack: Rack = part(Rack, "racks")
    announced: AnnouncedSystem = part(AnnouncedSystem, "published figures, for checks only")

    @derived("1")
    def all_chips(self) -> float:
        """Chips of all domains."""
        return self.chips * self.domains

    @derived("TB/s")
    def memory_bandwidth(self) -> float:
        """Bytes per second of all chips."""
        return self.all_chips * self.chip.memory.bandwidth

    @derived("TB")
    def memory_capacity(self) -> float:
        """Bytes of all chips."""
        return self.all_chips * self.chip.memory.capacity

    @derived("TB/s")
    def scale_up_bandwidth(self) -> float:
        """Bytes per second and direction into the scale-up fabrics of all chips."""
        return self.all_chips * self.chip.scale_up.bandwidth

    def matrix_peak(self, precision: str) -> float:
        """Dense FLOP/s of all chips."""
        return self.all_chips * self.chip.matrix_peak(precision)
