"""What leaves a rack: tori of cubes and of layers, and the switches between hosts."""

from __future__ import annotations

import pytest
from silicon_examples import HGX_H100, TRAINIUM2_ULTRA

from dse.model.fabric import fabric, far_share, outside_switches, racks
from dse.model.pytree import lower, replace
from dse.spec.system import Axis, System


def torus(side: tuple[float, float, float], rack: float, lanes: float = 16.0) -> System:
    """A torus of single-chip lanes, `lanes` for both neighbours of an axis."""
    base = lower(TRAINIUM2_ULTRA)
    x, y, z = (lower(Axis(size=size, lanes=lanes if size > 1.0 else 0.0)) for size in side)
    fabrics = replace(base.scale_up, x=x, y=y, z=z)
    number = sum(lanes for size in side if size > 1.0)
    chip = replace(base.chip, scale_up=replace(base.chip.scale_up, lanes=number))
    chips = side[0] * side[1] * side[2]
    racked = replace(base.rack, chips=rack)
    return replace(base, chip=chip, chips=chips, scale_up=fabrics, rack=racked)


def test_a_cube_is_left_by_its_faces() -> None:
    """TPU v4: 4 x 4 x 4 cubes, 16 links a face, 96 of the 384 ends: a quarter, not a third."""
    pod = torus((16.0, 16.0, 16.0), 64.0)
    assert float(far_share(pod)) == pytest.approx(0.25)
    made = fabric(pod)
    assert float(made.far) == pytest.approx(4096 * 48 / 2 / 4)


def test_a_square_block_is_left_by_its_sides() -> None:
    """16 x 16 chips in racks of 64: 8 x 8 blocks, by an eighth of the links."""
    assert float(far_share(torus((16.0, 16.0, 1.0), 64.0))) == pytest.approx(1 / 8)


def test_layers_are_left_along_the_third_axis() -> None:
    """Two racks of two 4 x 4 layers: half of the z links leave, a sixth of three like axes."""
    assert float(far_share(torus((4.0, 4.0, 4.0), 32.0))) == pytest.approx(1 / 6)


def test_trainium2_racks_are_joined_by_half_of_the_z_links() -> None:
    """64 x-lanes, 64 y-lanes, 32 z-lanes; rings of four layers cut twice: 16 of 160 lanes."""
    assert float(far_share(lower(TRAINIUM2_ULTRA))) == pytest.approx(16 / 160)


def test_a_torus_in_one_rack_leaves_none() -> None:
    """A slice that fits its rack has no far link."""
    alone = torus((4.0, 4.0, 4.0), 64.0)
    assert float(racks(alone)) == 1.0
    assert float(far_share(alone)) == 0.0


@pytest.mark.parametrize("rack", [4.0, 16.0, 32.0, 64.0])
def test_links_near_and_far_are_all_links(rack: float) -> None:
    """Each lane ends one link; near and far add up to half of the lanes."""
    made = fabric(torus((4.0, 4.0, 4.0), rack))
    assert float(made.near + made.far) == pytest.approx(64 * 48 / 2)


def test_a_small_network_has_a_leaf_for_each_rail() -> None:
    """512 chips fill their leaves; 64 chips of eight to a host pay for eight leaves of 32."""
    system = lower(HGX_H100)
    assert float(outside_switches(system, 512.0)) == 512.0
    assert float(outside_switches(system, 64.0)) == 256.0
