"""Claims on what is made and owned (K), computed by the model: chips, hours, racks, fleets, power.

Nothing here takes a claim's own result as an input. What a claim assumes besides the catalogue
(the price of memory in a shortage, storage that no system here counts) it declares.
"""

from __future__ import annotations

from functools import partial

from dse.evidence.claim_arithmetic import Figure, Truth, count, figure
from dse.evidence.claim_facts import Facts, Function, register
from dse.evidence.claim_model import (
    chip_parts,
    hourly,
    labelled,
    lowered_facility,
    lowered_system,
    markup,
    power_parts,
    price_parts,
    provisioned,
    summed,
)

FUNCTIONS: dict[str, Function] = {}
computes = partial(register, FUNCTIONS)

HYPERSCALER, NEOCLOUD = "semianalysis-hyperscaler", "semianalysis-neocloud"
TRAINIUM, GIGAWATT = "aws-trainium", "bernstein-gigawatt"

_COSTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "K1-h100": ("h100-sxm", ()),
    "K1-h100-dies": ("h100-sxm", ("dies",)),
    "K1-h100-memory": ("h100-sxm", ("memory",)),
    "K1-h100-packaging": ("h100-sxm", ("packaging",)),
    "K1-h100-test": ("h100-sxm", ("test", "assembly_loss")),
    "K1-h200": ("h200", ()),
    "K1-b200": ("b200", ()),
    "K1-b200-dies": ("b200", ("dies",)),
    "K1-b200-memory": ("b200", ("memory",)),
    "K1-b200-packaging": ("b200", ("packaging",)),
    "K1-b200-loss": ("b200", ("assembly_loss",)),
    "K1-b200-test": ("b200", ("test",)),
    "K1-mi300x": ("mi300x", ()),
    "K1-mi300x-dies": ("mi300x", ("dies", "io_dies")),
    "K1-mi300x-memory": ("mi300x", ("memory",)),
    "K1-mi300x-packaging": ("mi300x", ("packaging",)),
    "K1-mi300x-test": ("mi300x", ("test", "assembly_loss")),
}
"""Claims on what making a chip costs: the chip, and the parts that they speak of (all if none)."""

_UNITS = {"K1": "USD", "K2": "USD/h", "K3": "USD", "K4": "USD", "K5": "kW"}
_STATEMENTS = ("K3-gb200",)


def unit(name: str) -> str:
    """The unit, up to its size, of what computes a claim; empty for a yes or no."""
    return "" if name in _STATEMENTS else _UNITS[name.split("-")[0]]


_CAPITAL, _OPERATING = ("servers", "network"), ("energy", "building", "maintenance")

_HOURS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "K2-trn2": ("trn2-ultraserver", TRAINIUM, "design-partner", _CAPITAL + _OPERATING),
    "K2-trn2-capital": ("trn2-ultraserver", TRAINIUM, "design-partner", _CAPITAL),
    "K2-trn2-operating": ("trn2-ultraserver", TRAINIUM, "design-partner", _OPERATING),
    **{
        f"K2-{name}{suffix}": (system, place, "merchant", _CAPITAL + _OPERATING)
        for suffix, place in (("", HYPERSCALER), ("-neocloud", NEOCLOUD))
        for name, system in (
            ("h100", "h100-server"),
            ("h200", "h200-server"),
            ("b200", "b200-server"),
            ("gb200", "gb200-nvl72"),
            ("mi300x", "mi300x-server"),
            ("mi325x", "mi325x-server"),
            ("mi355x", "mi355x-server"),
        )
    },
    "K2-h100-high": ("h100-server", HYPERSCALER, "merchant", _CAPITAL + _OPERATING),
    "K2-gb200-high": ("gb200-nvl72", HYPERSCALER, "merchant", _CAPITAL + _OPERATING),
}
"""Claims on an hour of a chip: system, facility, price basis, and the parts they speak of."""


def _unit_cost(chip: str, names: tuple[str, ...]) -> Function:
    def cost(facts: Facts) -> Figure:
        """Parts of what making a chip costs."""
        parts = chip_parts(facts, chip)
        return summed(parts[name] for name in names or parts)

    return cost


def _chip_hour(system: str, facility: str, basis: str, names: tuple[str, ...]) -> Function:
    def cost(facts: Facts) -> Figure:
        """Parts of what owning a chip for an hour costs."""
        parts = hourly(facts, system, facility, basis)
        made = facts.facility(facility)
        years = figure(made.server_life, "year").text
        usage = f"PUE {made.power_usage_effectiveness:.4g}"
        terms = summed(parts[name] for name in names)
        return _noted(terms, f"{years} at {100.0 * made.cost_of_capital:.3g} %, {usage}")

    return cost


def _noted(total: Figure, note: str) -> Figure:
    return Figure(total.value, f"{total.text} [{note}]", total.dimension, total.binding)


for _name, (_chip, _parts) in _COSTS.items():
    computes(_name)(_unit_cost(_chip, _parts))
for _name, _how in _HOURS.items():
    computes(_name)(_chip_hour(*_how))


def _rack(facts: Facts, name: str, memory: Figure | None = None) -> Figure:
    system = lowered_system(facts, name, memory.value if memory else 0.0)
    return summed(price_parts(facts, system, GIGAWATT, "merchant").values())


@computes("K3-gb200")
def rack_is_within(facts: Facts, low: Figure, high: Figure) -> Truth:
    """Whether a GB200 NVL72 costs what is said, lowest to highest."""
    price = _rack(facts, "gb200-nvl72")
    return Truth(low.value <= price.value <= high.value, price.equation("MUSD"))


@computes("K3-gb200-bill", "K3-gb200-all-in", "K3-gb200-2025")
def gb200_rack(facts: Facts) -> Figure:
    """Price of a GB200 NVL72."""
    return _rack(facts, "gb200-nvl72")


@computes("K3-vr200", "K3-vr200-other")
def vr200_rack_in_a_shortage(facts: Facts, memory: Figure) -> Figure:
    """Price of a VR NVL72 whose memory costs what the claim says."""
    return _rack(facts, "vr200-nvl72", memory)


@computes("K3-vr200-contract")
def vr200_rack(facts: Facts) -> Figure:
    """Price of a VR NVL72 with memory at the stack's own price."""
    return _rack(facts, "vr200-nvl72")


@computes("K3-h100")
def h100_all_in(facts: Facts) -> Figure:
    """Price of an H100 server with its share of the network."""
    return _rack(facts, "h100-server")


@computes("K3-h100-server")
def h100_alone(facts: Facts) -> Figure:
    """Price of an H100 server without the network outside it."""
    parts = price_parts(facts, lowered_system(facts, "h100-server"), GIGAWATT, "merchant")
    return summed(part for name, part in parts.items() if name != "scale_out")


def _fleet(facts: Facts, name: str, memory: Figure | None = None) -> Figure:
    """Capital of a gigawatt at the meter: systems and building."""
    from dse.model.ownership import fleet_price

    facility = lowered_facility(facts, GIGAWATT)
    system = lowered_system(facts, name, memory.value if memory else 0.0)
    usage = count(facts.facility(GIGAWATT).power_usage_effectiveness, "PUE")
    number = figure(1e9, "GW") / (figure(provisioned(system), "kW") * usage)
    price = fleet_price(system, facility, markup(facility, "merchant"))
    return number * labelled(float(price), "kUSD", "system and building")


@computes("K4-h100")
def gigawatt_of_h100(facts: Facts) -> Figure:
    """A gigawatt of H100 servers."""
    return _fleet(facts, "h100-server")


@computes("K4-gb200", "K4-gb200-2025", "K4-nvidia")
def gigawatt_of_gb200(facts: Facts) -> Figure:
    """A gigawatt of GB200 NVL72."""
    return _fleet(facts, "gb200-nvl72")


@computes("K4-vr200")
def gigawatt_of_vr200(facts: Facts, memory: Figure) -> Figure:
    """A gigawatt of VR NVL72 whose memory costs what the claim says."""
    return _fleet(facts, "vr200-nvl72", memory)


@computes("K4-vr200-contract")
def gigawatt_of_vr200_at_contract_prices(facts: Facts) -> Figure:
    """A gigawatt of VR NVL72 with memory at the stack's own price."""
    return _fleet(facts, "vr200-nvl72")


@computes("K4-trn2")
def gigawatt_of_trainium2(facts: Facts, building: Figure) -> Figure:
    """A gigawatt of Trainium2, with all instalments that its servers cost over their life."""
    parts = hourly(facts, "trn2-ultraserver", TRAINIUM, "design-partner")
    hour = summed(parts[name] for name in _CAPITAL)
    life = figure(facts.facility(TRAINIUM).server_life, "year")
    return _chips_of_a_gigawatt(facts) * hour * life + figure(1e9, "GW") * building


@computes("K4-trn2-paid")
def gigawatt_of_trainium2_as_bought(facts: Facts, building: Figure) -> Figure:
    """A gigawatt of Trainium2 at what its servers are bought for."""
    system = lowered_system(facts, "trn2-ultraserver")
    parts = price_parts(facts, system, TRAINIUM, "design-partner")
    total = summed(parts.values()).value / float(system.chips)
    chip = labelled(total, "USD", "a chip in its server")
    return _chips_of_a_gigawatt(facts) * chip + figure(1e9, "GW") * building


def _chips_of_a_gigawatt(facts: Facts) -> Figure:
    system = lowered_system(facts, "trn2-ultraserver")
    chip = figure(provisioned(system) / float(system.chips), "W")
    usage = count(facts.facility(TRAINIUM).power_usage_effectiveness, "PUE")
    return figure(1e9, "GW") / (chip * usage)


_RACKS = {
    "K5-gb200": "gb200-nvl72",
    "K5-gb200-high": "gb200-nvl72",
    "K5-gb300": "gb300-nvl72",
    "K5-vr200": "vr200-nvl72",
    "K5-tpu-v7": "tpu-v7-cube",
}
_SYSTEMS = {
    "K5-trn2": "trn2-ultraserver",
    "K5-cm384": "cloudmatrix384",
    "K5-cm384-high": "cloudmatrix384",
}
"""Claims on the power of a rack, and on that of a whole system, provisioned."""


def _power(system: str, *, whole: bool) -> Function:
    def power(facts: Facts) -> Figure:
        """Provisioned power of a rack, or of all of a system."""
        return power_parts(facts, system, whole=whole)

    return power


for _name, _system in _RACKS.items():
    computes(_name)(_power(_system, whole=False))
for _name, _system in _SYSTEMS.items():
    computes(_name)(_power(_system, whole=True))
