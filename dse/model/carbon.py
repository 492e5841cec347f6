"""Carbon of making a system, spread over its life, and of the electricity it draws.

After ACT (Gupta et al., ISCA 2022): silicon by node and area over yield, memory by capacity, the
interposer by area, a constant for each package. Boards, hosts, switches and buildings are not
counted.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.floorplan import die_area, interposer_area, io_die_area
from dse.model.guard import Scalar, ratio
from dse.model.manufacture import chip_log_yield, log_die_yield
from dse.spec.chip import Chip
from dse.spec.facility import Facility
from dse.spec.system import System


class Embodied(NamedTuple):
    """Carbon of making one chip by part, g."""

    dies: Scalar
    io_dies: Scalar
    memory: Scalar
    interposer: Scalar
    package: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of the parts, g."""
        return jnp.asarray(sum(self))


class Carbon(NamedTuple):
    """Carbon of one system, g/s."""

    embodied: Scalar
    operational: Scalar

    @property
    def total(self) -> jax.Array:
        """Sum of both, g/s."""
        return jnp.asarray(sum(self))


def embodied(chip: Chip, facility: Facility) -> Embodied:
    """Carbon of making one chip, g; a failed die's share is paid by the good ones.

    A node's figure is that of processed silicon: ACT's `(CI EPA + GPA + MPA)` without its fixed
    yield of 0.875, which the die's own yield replaces.
    """
    node, io = chip.die.node, chip.io_die.node
    dies = chip.dies * die_area(chip) * jnp.exp(-chip_log_yield(chip))
    io_area = io_die_area(chip)
    io_dies = chip.io_die.count * io_area * jnp.exp(-log_die_yield(io, io_area))
    return Embodied(
        dies=dies * node.silicon_carbon,
        io_dies=io_dies * io.silicon_carbon,
        memory=chip.memory.capacity * chip.memory.stack.embodied_carbon,
        interposer=interposer_area(chip) * chip.packaging.carbon,
        package=facility.package_carbon,
    )


def carbon(system: System, facility: Facility, average_power: Scalar) -> Carbon:
    """Carbon of one system, g/s, at an average power (W) at the rack's feed."""
    making = system.chips * embodied(system.chip, facility).total
    metered = average_power * facility.power_usage_effectiveness
    return Carbon(
        embodied=ratio(making, facility.server_life),
        operational=metered * facility.grid_carbon,
    )
