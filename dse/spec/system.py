"""Systems: chips, the fabrics between them, hosts, racks."""

from __future__ import annotations

from typing import Any

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
    price: float = quantity("USD", "network cards, switches and cables, per chip")
    mtbf: float = quantity("h", "mean time between failures, per chip; 0 for the facility's")


@spec()
class Host:
    """The host processors."""

    chips: float = count("chips that one host serves", default=1.0, low=1)
    price: float = quantity("USD", "host board, processors, DRAM, local storage")
    power: float = quantity("W", "power of one host")
    mtbf: float = quantity("h", "mean time between failures; 0 for the facility's")


@spec()
class Rack:
    """The rack: what it holds, feeds and cools."""

    chips: float = count("chips in one rack", default=1.0, low=1)
    power_limit: float = quantity("kW", "power one rack may draw", low=1.0)
    price: float = quantity("USD", "frame, power shelves, cooling, management")
    board_price: float = quantity("USD", "board, power stages, heat sink or cold plate, per chip")
    cooling: Any = option(COOLING, "how heat leaves")
    cooling_power: float = number("fans or pumps, as a share of the power they cool")
    conversion: float = number("efficiency from the rack's feed to the chips' rails", low=0.3)
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
