"""How many switches, cables, hosts and racks one system needs.

Counts only, so that price and power read the same ones. A switched domain gives each lane of a
chip a plane of its own; when a switch has fewer lanes than the domain has chips, a folded Clos
takes over. A torus and a mesh join lanes of two chips without a switch.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar, ratio
from dse.spec.system import System


class Fabric(NamedTuple):
    """Counts of one scale-up domain: things, and lane-links that stay in or leave a rack."""

    switches: Scalar
    near: Scalar
    far: Scalar
    hosts: Scalar
    racks: Scalar


def racks(system: System) -> jax.Array:
    """Racks of one system: a whole number, or its part of a rack that it shares with its like."""
    sharing = jnp.floor(ratio(system.rack.chips, system.chips, 1.0))
    alone = jnp.ceil(ratio(system.chips, system.rack.chips))
    return jnp.where(sharing > 1.0, ratio(1.0, sharing, 1.0), alone)


def tiers(system: System) -> jax.Array:
    """Switch tiers that reach every chip with one lane a plane: 1, 2 or 3."""
    reach = jnp.maximum(system.scale_up.switch.lanes, 2.0)
    # half the lanes of a switch go up: two tiers of radix r reach r * r / 2
    second = jnp.asarray(system.chips) > reach
    third = jnp.asarray(system.chips) > reach * reach / 2.0
    return jnp.where(third, 3.0, jnp.where(second, 2.0, 1.0))


def fabric(system: System) -> Fabric:
    """The counts of a domain. Weights of the topology mix the kinds of fabric."""
    switched, torus, mesh = system.scale_up.topology
    lanes = system.chips * system.chip.scale_up.lanes
    levels = tiers(system)
    ends = (2.0 * levels - 1.0) * lanes
    near_switch, far_switch = _switch_links(system, lanes, levels)
    near_torus, far_torus = _torus_links(system, lanes)
    near_mesh, far_mesh = _mesh_links(system, lanes)
    return Fabric(
        switches=switched * ratio(ends, system.scale_up.switch.lanes),
        near=switched * near_switch + torus * near_torus + mesh * near_mesh,
        far=switched * far_switch + torus * far_torus + mesh * far_mesh,
        hosts=jnp.ceil(ratio(system.chips, system.host.chips)),
        racks=racks(system),
    )


def _switch_links(system: System, lanes: Scalar, levels: Scalar) -> tuple[Scalar, Scalar]:
    """Lane-links inside a rack, and between racks.

    Switches of a single tier stand evenly in all racks; with more tiers the lowest stands in
    the chips' own rack.
    """
    away = 1.0 - ratio(1.0, jnp.maximum(racks(system), 1.0))
    far = lanes * away * jnp.maximum(levels - 1.0, 1.0)
    return lanes * levels - far, far


def _torus_links(system: System, lanes: Scalar) -> tuple[Scalar, Scalar]:
    """Lane-links inside a rack, and between racks.

    A rack that holds whole x-y layers is left by the z axis alone, by one link in as many as it
    has layers. Another holds a block with equal sides, left by every axis, by one link in a
    side: a 4 x 4 x 4 cube by a quarter of its links (Jouppi et al., ISCA 2023: six
    faces of 16 links, 96 of the 64 x 6 ends).
    """
    x, y, z = system.scale_up.x, system.scale_up.y, system.scale_up.z
    plane, held = x.size * y.size, jnp.asarray(system.rack.chips)
    axes = sum(jnp.where(jnp.asarray(axis.size) > 1.0, 1.0, 0.0) for axis in (x, y, z))
    side = jnp.maximum(held, 1.0) ** ratio(1.0, axes, 1.0)
    layers = jnp.clip(ratio(held, plane), 1.0, None)
    along = ratio(jnp.minimum(system.chips * z.lanes, lanes), layers)
    away = jnp.where(held >= plane, along, ratio(lanes, side))
    far = jnp.where(racks(system) > 1.0, away, 0.0)
    # a link ends in a lane of each of two chips
    return (lanes - far) / 2.0, far / 2.0


def _mesh_links(system: System, lanes: Scalar) -> tuple[Scalar, Scalar]:
    """Lane-links inside a rack, and between racks, where each chip has as many to every other."""
    away = 1.0 - ratio(1.0, jnp.maximum(racks(system), 1.0))
    return lanes * (1.0 - away) / 2.0, lanes * away / 2.0


def far_share(system: System) -> jax.Array:
    """Lane-links that leave a rack over the lanes of all chips; above 1 with three tiers."""
    switched, torus, mesh = system.scale_up.topology
    # a link without a switch carries what two chips send
    sends = fabric(system).far * (switched + 2.0 * (torus + mesh))
    return ratio(sends, system.chips * system.chip.scale_up.lanes)


# Ports of a network switch that go down, of 64 (400G generation), where two tiers join hosts.
_DOWN = 32.0


def outside_switches(system: System, chips: Scalar) -> jax.Array:
    """Chips' worth of network switches between hosts, for some chips: at least one leaf a rail.

    In a rail-optimised network the i-th chips of all hosts share leaf switches (NVIDIA DGX
    SuperPOD H100 reference architecture: eight rails), so that a small one has ports to spare.
    """
    rails = jnp.minimum(system.host.chips, chips)
    return jnp.maximum(jnp.asarray(chips), rails * _DOWN)
