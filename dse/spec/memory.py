"""Memory stacks: HBM, GDDR, DDR."""

from __future__ import annotations

from dse.spec.fields import Named, count, derived, number, quantity, reference, spec


@spec("memory")
class MemoryStack(Named):
    """One stack (or one channel group) of memory, with what it costs the die beside it."""

    capacity: float = quantity("GB", "capacity of a stack", low=1e6)
    width: float = count("data pins of a stack", low=1)
    rate: float = quantity("Gb/s", "rate of a pin", low=1e6)
    energy: float = quantity("pJ/bit", "energy of a bit, device and interface")
    price: float = quantity("USD/GB", "price")
    shoreline: float = quantity("mm", "die edge that a stack's interface takes")
    interface_area: float = quantity("mm2", "PHY on the die; it does not shrink with the node")
    controller: float = quantity("MTr", "controller on the die, logic of its node")
    footprint: float = quantity("mm2", "area on the interposer")
    latency: float = quantity("ns", "loaded latency of an access from a core", low=1e-12)
    idle_power: float = quantity("W", "power of an idle stack")
    embodied_carbon: float = quantity("kg/GB", "carbon of making it")

    @derived("TB/s")
    def bandwidth(self) -> float:
        """Bytes per second of a stack."""
        return self.width * self.rate


@spec()
class Memory:
    """The memory of a package."""

    stack: MemoryStack = reference(MemoryStack, "kind of stack")
    stacks: float = count("stacks in the package", low=1, high=64)
    sites: float = count("interfaces on the dies; 0 for as many as stacks", high=64)
    price: float = quantity("USD/GB", "price here; 0 takes the stack's own")
    reserve: float = number("share of the capacity that the system keeps for itself")

    @derived("GB")
    def capacity(self) -> float:
        """Bytes of the package."""
        return self.stacks * self.stack.capacity

    @derived("TB/s")
    def bandwidth(self) -> float:
        """Bytes per second of the package."""
        return self.stacks * self.stack.bandwidth
