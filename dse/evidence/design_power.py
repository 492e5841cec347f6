"""Design powers of chips from their parts, each chip left out of what it is tested with.

Two constants of the power model are fitted, for all chips and nodes together: the arithmetic of a
FLOP at N7 (the nodes' own are fixed ratios of it), and the energy of a bit of an array's registers
over one of a large SRAM. All else is declared in specs from other sources. Only design powers that
a vendor publishes take part; chips of one die leave the fit together, so that none is tested with
its own silicon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np

from dse.model.power import chip_power, peak_activity
from dse.model.pytree import lower
from dse.spec.catalog import Catalog
from dse.spec.chip import Chip
from dse.spec.load import load

FITTED = ("arithmetic", "operands")
"""What the fitted constants multiply: matrix and vector arithmetic, and the arrays' operands."""

DIES = (
    ("a100-40gb", "a100-80gb"),
    ("h100-sxm", "h200", "h800", "gh200", "h20"),
    ("b200", "gb200", "b300", "gb300"),
    ("mi300x", "mi325x"),
    ("trainium1", "inferentia2"),
)
"""Chips that share a compute die; any other chip stands alone."""

VENDORS = {
    "NVIDIA": (
        "a10",
        "b200",
        "b300",
        "gb",
        "gh",
        "h1",
        "h2",
        "h8",
        "l40",
        "rtx",
        "t4",
        "v100",
        "vr",
    ),
    "AMD": ("mi2", "mi3", "mi4"),
    "Google": ("tpu",),
    "AWS": ("trainium", "inferentia", "graviton"),
    "Microsoft": ("maia",),
    "Meta": ("mtia",),
    "Huawei": ("ascend",),
}
"""How the names of a vendor's chips begin; any other chip is a vendor of its own."""

# Errors below this share weigh little: a design power is a round number.
_ROUNDING = 0.05
_FINEST = 1e-4
_GRID = 41


@attrs.frozen
class Part:
    """A chip's published design power and what the parts ask for, W, by what multiplies it."""

    name: str
    published: float
    fitted: tuple[float, float]
    declared: float

    def power(self, scales: Sequence[float]) -> float:
        """What the parts ask for with the fitted constants times `scales`, W."""
        return self.declared + sum(s * p for s, p in zip(scales, self.fitted, strict=True))


@attrs.frozen
class LeftOut:
    """A chip whose design power nothing was fitted to, and the fit of the others."""

    name: str
    published: float
    predicted: float
    scales: tuple[float, ...]

    @property
    def difference(self) -> float:
        """Predicted over published less one."""
        return self.predicted / self.published - 1.0


def parts_of(name: str, chip: Chip) -> Part:
    """A chip's power at peak, apart by what is fitted."""
    low = lower(chip)
    drawn = {k: float(v) for k, v in chip_power(low, peak_activity(low))._asdict().items()}
    arithmetic = drawn["matrix"] + drawn["vector"]
    # clocks are a share of all logic, and so of both constants
    clocked = 1.0 + drawn["clock"] / (arithmetic + drawn["operands"])
    fitted = (clocked * arithmetic, clocked * drawn["operands"])
    return Part(name, chip.power, fitted, sum(drawn.values()) - sum(fitted))


def vendor_parts(catalog: Catalog) -> list[Part]:
    """The chips whose design power their vendor publishes."""
    names = sorted(entry.name for entry in catalog.entries if entry.kind == "chip")
    chips = {name: load(Chip, name, catalog) for name in names}
    return [parts_of(name, chip) for name, chip in chips.items() if _by_vendor(chip)]


def _by_vendor(chip: Chip) -> bool:
    source = chip.sources.get("power")
    return chip.power > 0.0 and source is not None and source.confidence == "vendor"


def fit(parts: Sequence[Part]) -> tuple[float, ...]:
    """Scales of the fitted constants between 0 and 4 with the least sum of |log error|.

    Sizes, not squares: a chip far off (a card whose power limit holds its clock down) does not
    pull the others. Found on ever finer grids, since the sum has corners.
    """
    published = np.array([part.published for part in parts])
    declared = np.array([part.declared for part in parts])
    first, second = np.array([part.fitted for part in parts]).T
    best, reach = np.array([2.0, 2.0]), 2.0
    while reach > _FINEST:
        axes = [np.maximum(np.linspace(b - reach, b + reach, _GRID), 0.0) for b in best]
        one, two = (grid[..., None] for grid in np.meshgrid(*axes))
        errors = np.log((declared + one * first + two * second) / published)
        sums = np.sqrt(errors**2 + _ROUNDING**2).sum(axis=-1)
        row, column = np.unravel_index(np.argmin(sums), sums.shape)
        best, reach = np.array([axes[0][column], axes[1][row]]), 0.2 * reach
    return tuple(float(scale) for scale in best)


def left_out(parts: Sequence[Part], group: Callable[[str], str]) -> list[LeftOut]:
    """Each chip predicted with constants fitted to the chips of all other groups."""
    made = []
    for part in parts:
        others = [other for other in parts if group(other.name) != group(part.name)]
        scales = fit(others)
        made.append(LeftOut(part.name, part.published, part.power(scales), scales))
    return made


def die_of(name: str) -> str:
    """The first chip of those that share a chip's compute die."""
    return next((group[0] for group in DIES if name in group), name)


def vendor_of(name: str) -> str:
    """The vendor of a chip."""
    return next((v for v, begins in VENDORS.items() if name.startswith(begins)), name)
