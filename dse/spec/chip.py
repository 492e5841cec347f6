"""Chip packages: dies, memory, links and what holds them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dse.spec.fields import (
    PRECISIONS,
    Named,
    count,
    derived,
    number,
    part,
    quantity,
    reference,
    spec,
    text,
)
from dse.spec.link import Attachment
from dse.spec.memory import Memory
from dse.spec.silicon import Die, IoDie


@spec("packaging")
class Packaging(Named):
    """A way to join dies and stacks: interposer, substrate, assembly."""

    area_price: float = quantity("USD/mm2", "interposer per area, before its own yield")
    defect_density: float = quantity("1/cm2", "defects per area of the interposer")
    clustering: float = number(
        "alpha of the interposer's negative binomial yield", low=0.1, high=1000.0
    )
    substrate_price: float = quantity("USD/mm2", "package substrate per area")
    substrate_share: float = number("area of the substrate over that of the interposer", high=100.0)
    substrate_yield: float = number(
        "yield of attaching the interposer to its substrate", low=0.5, default=1.0
    )
    base_price: float = quantity("USD", "lid, bumps and assembly of any package")
    test_price: float = quantity("USD", "final test and burn-in of a package")
    die_test: float = number("wafer test, as a share of the die's cost")
    attach_yield: float = number("yield of attaching one die or stack", low=0.5)
    spacing: float = number("interposer area over the area of what stands on it", low=1.0, high=3.0)
    maximum_area: float = quantity("mm2", "largest interposer; 0 declares no limit")
    carbon: float = quantity("kg/cm2", "carbon of making the interposer, by area")
    shoreline_use: float = number("share of a die's perimeter that interfaces may take", low=0.05)


@spec()
class Announced:
    """Published headline figures. The model never sees them; they check what follows from parts."""

    bf16: float = quantity("TFLOP/s", "dense BF16 peak")
    fp8: float = quantity("TFLOP/s", "dense FP8 peak")
    fp4: float = quantity("TFLOP/s", "dense FP4 peak")
    bandwidth: float = quantity("TB/s", "memory bandwidth")
    capacity: float = quantity("GB", "memory capacity")
    scale_up: float = quantity("GB/s", "scale-up bandwidth per direction")
    power: float = quantity("W", "thermal design power of a chip")


@spec("chip")
class Chip(Named):
    """A package: compute dies, memory stacks, scale-up lanes.

    `published` names the figures that hold for the part as published only, and what they hold for;
    `unaffected` what is no matter to them: what wafers, stacks and cables cost, how many dies are
    good.
    """

    unaffected: ClassVar[tuple[str, ...]] = (
        *(
            f"{die}.node.{leaf}"
            for die in ("die", "io_die")
            for leaf in (
                *("wafer_price", "defect_density", "clustering", "design_cost", "mask_cost"),
                "silicon_carbon",
            )
        ),
        *("memory.stack.price", "memory.stack.embodied_carbon"),
        *("scale_up.link.copper_price", "scale_up.link.far_price"),
    )

    published: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "power": ("dies", "die", "io_die", "memory.stack", "memory.stacks", "scale_up"),
        "die.area": ("dies", "die", "io_die", "memory.stack", "memory.stacks", "scale_up"),
        "io_die.area": ("dies", "die.sram", "io_die", "memory.stack", "memory.stacks", "scale_up"),
        "memory.sites": ("memory.stack", "memory.stacks"),
        "scale_up.built": ("scale_up.link", "scale_up.lanes"),
    }

    dies: float = count("compute dies", low=1, high=64)
    die: Die = part(Die, "one compute die")
    io_die: IoDie = part(IoDie, "I/O dies, where there are any")
    memory: Memory = part(Memory, "memory of the package")
    scale_up: Attachment = part(Attachment, "scale-up lanes")
    packaging: Packaging = reference(Packaging, "how the package is made")
    system: str = text("its usual server or pod, which stands for it where a system is asked for")
    volume: float = quantity("1", "packages that carry the design cost", low=1.0, default=1e6)
    licences: float = quantity("USD", "one-time licences of bought designs; 0 has them in design")
    merchant_margin: float = number(
        "price over cost of what its vendor makes; 0 takes the facility's", high=100.0
    )
    power: float = quantity("W", "published thermal design power; 0 derives it from the parts")
    power_cap: float = quantity("W", "power limit set on the chip; 0 for its design power")
    mtbf: float = quantity("h", "mean time between failures; 0 for the facility's")
    announced: Announced = part(Announced, "published headline figures, for checks only")

    @derived("1")
    def cores(self) -> float:
        """Enabled cores of the package."""
        return self.dies * self.die.core.enabled

    @derived("THz")
    def cell_rate(self) -> float:
        """Multiply-accumulates per second of all arrays at the BF16 rate."""
        return self.dies * self.die.enabled_cells * self.die.core.clock

    @derived("TFLOP/s")
    def vector_flops(self) -> float:
        """FP32 FLOP/s of all vector and scalar engines."""
        return self.cores * self.die.core.vector.flops

    @derived("MiB")
    def sram_bytes(self) -> float:
        """On-chip SRAM of the package."""
        return self.dies * self.die.sram_bytes

    def matrix_peak(self, precision: str) -> float:
        """Dense FLOP/s of the arrays; a precision without its own rate runs at the next wider."""
        wider = PRECISIONS[: PRECISIONS.index(precision) + 1]
        rates = self.die.core.array.rates
        return 2.0 * self.cell_rate * max(getattr(rates, name) for name in wider)
