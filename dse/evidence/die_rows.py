"""Published die areas against areas from parts, each die predicted from a fit to all the others.

Three constants of the floorplan have no source but die areas: the control of a SIMT lane, the
wiring share and the uncore. They are the same for every vendor and node. Each row is predicted
with constants fitted without its die, and again without any die of its vendor.

A fourth shared number stands in the nodes: realised logic density goes as the 0.85th power of the
peak, after the transistor counts of V100, A100 and H100. Fitted too in each fold it lies between
0.78 and 0.88, and the errors are as large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import attrs
import jax
import jax.numpy as jnp
import numpy as np

from dse.model.floorplan import die_parts, io_die_parts
from dse.model.pytree import lower, replace, stack
from dse.spec.catalog import Catalog
from dse.spec.chip import Chip
from dse.spec.fields import Source
from dse.spec.load import load
from dse.spec.silicon import Node
from dse.spec.space import source_of

CONSTANTS = ("lane_control", "wiring", "uncore_area")
"""Fields of a node that are fitted, one value for all nodes."""


class DieName(NamedTuple):
    """A die: its name, a chip that has it, its vendor, and its part of the chip."""

    name: str
    chip: str
    vendor: str
    part: str = "die"


DIES = (
    DieName("GV100", "v100", "NVIDIA"),
    DieName("TU104", "t4", "NVIDIA"),
    DieName("GA100", "a100-80gb", "NVIDIA"),
    DieName("GA102", "a10", "NVIDIA"),
    DieName("GH100", "h100-sxm", "NVIDIA"),
    DieName("AD102", "l40s", "NVIDIA"),
    DieName("GB202", "rtx-pro-6000", "NVIDIA"),
    DieName("CDNA 2 GCD", "mi210", "AMD"),
    DieName("CDNA 3 XCD", "mi300x", "AMD"),
    DieName("CDNA 3 IOD", "mi300x", "AMD", "io_die"),
    DieName("CDNA 4 XCD", "mi355x", "AMD"),
    DieName("MTIA v1", "mtia-v1", "Meta"),
    DieName("MTIA v2", "mtia-v2", "Meta"),
    DieName("Maia 100", "maia-100", "Microsoft"),
    DieName("Maia 200", "maia-200", "Microsoft"),
    DieName("TPU v5e", "tpu-v5e", "Google"),
    DieName("Ascend 910", "ascend-910", "Huawei"),
    DieName("Ascend 910B", "ascend-910c", "Huawei"),
    DieName("NNP-T", "nnp-t", "Intel"),
    DieName("GC200", "gc200", "Graphcore"),
    DieName("TSP", "groq-tsp", "Groq"),
    DieName("D1", "dojo-d1", "Tesla"),
    DieName("WSE-3", "wse-3", "Cerebras"),
)
"""Dies whose area is published or measured, one chip for each. Areas that are only said to be
near the reticle (B200, Rubin, Titan) are left out, and cut-down versions of a die."""

BOUNDS = (DieName("TPU v4", "tpu-v4", "Google"),)
"""Dies of which a source gives only an upper bound: the `high` of their area's source, in m2."""

_STEPS = 8


@attrs.frozen(kw_only=True)
class DieRow:
    """One die: areas in m2, published and predicted without the die and without its vendor."""

    name: str
    chip: str
    vendor: str
    source: Source
    published: float
    predicted: float
    vendor_out: float

    @property
    def error(self) -> float:
        """Relative error of the prediction without the die."""
        return self.predicted / self.published - 1.0

    @property
    def vendor_error(self) -> float:
        """Relative error of the prediction without any die of the vendor."""
        return self.vendor_out / self.published - 1.0


@attrs.frozen(kw_only=True)
class DieSummary:
    """Errors over all rows, and the constants (SI) that all rows together give."""

    rows: int
    median: float
    worst: float
    vendor_median: float
    vendor_worst: float
    constants: dict[str, float]
    shipped: dict[str, float]


def die_rows(catalogue: Catalog | None = None) -> list[DieRow]:
    """Every die of DIES, predicted without itself and without its vendor."""
    catalogue = catalogue or Catalog.default()
    problem = _problem(DIES, catalogue)
    vendors = np.array([die.vendor for die in DIES])
    rows = []
    for i, die in enumerate(DIES):
        others = np.arange(len(DIES)) != i
        made: Any = load(Chip, die.chip, catalogue)
        source = source_of(made, f"{die.part}.area")
        assert source is not None
        rows.append(
            DieRow(
                name=die.name,
                chip=die.chip,
                vendor=die.vendor,
                source=source,
                published=float(problem.published[i]),
                predicted=float(problem.areas(problem.fit(others))[i]),
                vendor_out=float(problem.areas(problem.fit(vendors != die.vendor))[i]),
            )
        )
    return rows


def die_summary(rows: Sequence[DieRow], catalogue: Catalog | None = None) -> DieSummary:
    """Median and worst absolute error of rows, and the constants fitted to all dies."""
    problem = _problem(DIES, catalogue or Catalog.default())
    alone = [abs(row.error) for row in rows]
    vendor = [abs(row.vendor_error) for row in rows]
    fitted = np.exp(problem.fit(np.ones(len(DIES), bool)))
    return DieSummary(
        rows=len(rows),
        median=float(np.median(alone)),
        worst=max(alone),
        vendor_median=float(np.median(vendor)),
        vendor_worst=max(vendor),
        constants=dict(zip(CONSTANTS, map(float, fitted), strict=True)),
        shipped=dict(zip(CONSTANTS, map(float, np.exp(problem.start)), strict=True)),
    )


def bounds(catalogue: Catalog | None = None) -> list[tuple[str, float, float]]:
    """(name, upper bound, predicted) of the dies of BOUNDS, m2, by constants of all dies."""
    from dse import units

    catalogue = catalogue or Catalog.default()
    constants = _problem(DIES, catalogue).fit(np.ones(len(DIES), bool))
    found = []
    for die in BOUNDS:
        made: Any = load(Chip, die.chip, catalogue)
        source = source_of(made, f"{die.part}.area")
        assert source is not None
        area = float(_problem((die,), catalogue).areas(constants)[0])
        found.append((die.name, units.parse(source.high, "mm2"), area))
    return found


class _Problem(NamedTuple):
    """The dies' areas as a function of the constants' logarithms."""

    published: np.ndarray
    start: np.ndarray
    areas: Callable[[np.ndarray], np.ndarray]
    slopes: Callable[[np.ndarray], np.ndarray]

    def fit(self, mask: np.ndarray) -> np.ndarray:
        """Logarithms of the constants of least squared log error over the dies of a mask.

        Gauss-Newton: the areas are nearly linear in the constants.
        """
        found = self.start
        for _ in range(_STEPS):
            areas = self.areas(found)
            residual = np.log(areas / self.published)[mask]
            jacobian = (self.slopes(found) / areas[:, None])[mask]
            step = np.linalg.lstsq(jacobian, residual, rcond=None)[0]
            # half an e-fold a step: a step from afar must not overflow
            found = found - np.clip(step, -0.5, 0.5)
        return found


def _problem(dies: Sequence[DieName], catalogue: Catalog) -> _Problem:
    chips = [lower(load(Chip, die.chip, catalogue)) for die in dies]
    node = chips[0].die.node
    batch = stack(chips)
    apart = np.array([die.part == "io_die" for die in dies], np.float32)
    areas, slopes = _functions()
    published = [getattr(chip, die.part).area for chip, die in zip(chips, dies, strict=True)]
    return _Problem(
        published=np.array(published, np.float64),
        start=np.log(np.array([getattr(node, name) for name in CONSTANTS], np.float64)),
        areas=lambda found: np.asarray(areas(found.astype(np.float32), batch, apart), np.float64),
        slopes=lambda found: np.asarray(slopes(found.astype(np.float32), batch, apart), np.float64),
    )


@cache
def _functions() -> tuple[Any, Any]:
    """Areas [dies] from logarithms of the constants, chips and whether the I/O die is meant."""

    def areas(logs: jax.Array, chips: Chip, apart: jax.Array) -> jax.Array:
        return jax.vmap(lambda chip, io: _area(chip, jnp.exp(logs), io))(chips, apart)

    return jax.jit(areas), jax.jit(jax.jacfwd(areas))


def _area(chip: Chip, constants: jax.Array, apart: jax.Array) -> jax.Array:
    die = replace(chip.die, node=_with(chip.die.node, constants))
    io_die = replace(chip.io_die, node=_with(chip.io_die.node, constants))
    made = replace(chip, die=die, io_die=io_die)
    return jnp.where(apart > 0, io_die_parts(made).total, die_parts(made).total)


def _with(node: Node, constants: jax.Array) -> Node:
    return replace(node, **dict(zip(CONSTANTS, constants, strict=True)))
