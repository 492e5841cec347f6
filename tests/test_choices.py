"""Parts that a study may choose by name: what each alternative gains has its price."""

from __future__ import annotations

import pytest
from shipped import CATALOG

from dse.model import floorplan, power
from dse.model.pytree import lower
from dse.spec import Chip, System, bind, load
from dse.spec.link import Link
from dse.spec.memory import MemoryStack


@pytest.mark.parametrize("name", ["hbm4-12h", "hbm4e-16h"])
def test_a_base_die_of_ones_own_saves_die_and_power_and_costs_money(name: str) -> None:
    """The same DRAM: less edge, interface, controller and energy, at a higher price."""
    usual, own = (load(MemoryStack, each, CATALOG) for each in (name, f"{name}-custom"))
    assert (own.bandwidth, own.capacity) == (usual.bandwidth, usual.capacity)
    assert own.price > usual.price
    for saved in ("shoreline", "interface_area", "controller", "energy"):
        assert getattr(own, saved) < getattr(usual, saved), saved


def test_a_base_die_of_ones_own_frees_the_die_within_the_vendors_claims() -> None:
    """Marvell and NVHBM claim up to 25 % of the compute die for it: Trainium4 gains 5 to 25 %."""
    usual = load(Chip, "trainium4", CATALOG)
    own = bind(usual, {"memory.stack": load(MemoryStack, "hbm4-12h-custom", CATALOG)})
    areas = [float(floorplan.die_area(lower(chip))) for chip in (usual, own)]
    assert 0.75 < areas[1] / areas[0] < 0.95


def test_optics_cost_more_inside_a_rack_and_no_more_outside() -> None:
    """Copper is dearer and hotter once it leaves the rack; light is the same everywhere."""
    optics = load(Link, "optics-200g-lane", CATALOG)
    copper = load(Link, "ualink-200g-lane", CATALOG)
    assert optics.rate == copper.rate
    assert (optics.far_price, optics.far_energy) == (optics.copper_price, 0.0)
    assert optics.copper_price > copper.far_price > copper.copper_price
    assert copper.energy < optics.energy < copper.energy + copper.far_energy


def test_other_cooling_draws_its_own_power() -> None:
    """What is published of pumps does not hold for fans: a search over cooling pays for it."""
    liquid = load(System, "trn4-ultraserver", CATALOG)
    air = bind(liquid, {"rack.cooling": "air"})
    assert liquid.rack.cooling_power > air.rack.cooling_power == 0.0
    drawn = [float(power.system_power(lower(system)).cooling) for system in (liquid, air)]
    assert drawn[1] / drawn[0] == pytest.approx(air.rack.air.power / liquid.rack.cooling_power)
    said = load(System, "trn4-ultraserver", CATALOG, [("rack.cooling", "air")])
    assert said.rack == air.rack
    # a rack that says both means both
    assert load(System, "trn3-ultraserver-gen1", CATALOG).rack.cooling_power == 0.1


def test_stacks_stand_around_the_dies_however_narrow_their_interface() -> None:
    """Ten HBM4 stacks of 11.96 mm find no room around one die of 830 mm2, nine do."""
    chip = load(Chip, "trainium4", CATALOG)
    own = load(MemoryStack, "hbm4-12h-custom", CATALOG)
    for stacks, fits in ((9.0, True), (10.0, False)):
        made = bind(chip, {"dies": 1, "memory.stack": own, "memory.stacks": stacks})
        edge = floorplan.stack_edge(lower(bind(made, {"die.area": "830 mm2"})))
        assert float(edge.needed) == pytest.approx(stacks * 11.958e-3, rel=1e-3)
        assert float(edge.available) == pytest.approx(4 * 28.810e-3, rel=1e-3)
        assert bool(edge.needed <= edge.available) is fits


@pytest.mark.parametrize(
    "path", ["scale_up.link.far_price", "memory.stack.price", "die.node.wafer_price"]
)
def test_prices_leave_what_is_published_alone(path: str) -> None:
    """A published design power and die hold whatever cables, stacks and wafers cost."""
    usual = load(Chip, "vr200", CATALOG)
    said = load(Chip, "vr200", CATALOG, [(path, "300 USD/GB" if "memory" in path else "300 USD")])
    bound = bind(usual, {path: 300.0})
    for made in (said, bound):
        assert (made.power, made.die.area) == (usual.power, usual.die.area)
    assert bind(usual, {"scale_up.lanes": 18}).power == 0.0
