"""What the model makes of specs, as figures whose text names their parts.

Only claims on cost, power and fleets ask for it, so JAX is imported when one of them does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dse import units
from dse.evidence.claim_arithmetic import Figure, written
from dse.evidence.claim_facts import Facts
from dse.spec.facility import PRICE_BASES


def labelled(value: float, unit: str, label: str) -> Figure:
    """A quantity with what it is, as a term of a sum."""
    return Figure(value, f"{label} {written(value, unit)}", units.dimension(unit))


def summed(terms: Iterable[Figure]) -> Figure:
    """The sum of terms that are not zero."""
    kept = [term for term in terms if term.value]
    total = kept[0]
    for term in kept[1:]:
        total = total + term
    return total


def lowered_system(facts: Facts, name: str, memory_price: float = 0.0) -> Any:
    """A system in the model's form; its memory at another price, where one is given (USD/B)."""
    from dse.model.pytree import lower, replace

    system = lower(facts.system(name))
    if not memory_price:
        return system
    memory = replace(system.chip.memory, price=memory_price)
    return replace(system, chip=replace(system.chip, memory=memory))


def lowered_facility(facts: Facts, name: str) -> Any:
    """A facility in the model's form."""
    from dse.model.pytree import lower

    return lower(facts.facility(name))


def markup(facility: Any, basis: str) -> Any:
    """Price over cost on a price basis at a facility."""
    from dse.model.ownership import price_factor

    first, second, third = (float(name == basis) for name in PRICE_BASES)
    return price_factor(facility, (first, second, third))


def chip_parts(facts: Facts, name: str) -> dict[str, Figure]:
    """Cost of making one chip by part, USD, without the design that analysts leave out."""
    from dse.model.manufacture import chip_cost
    from dse.model.pytree import lower

    cost = chip_cost(lower(facts.chip(name)))
    parts = cost._replace(design=0.0)._asdict()
    return {key: labelled(float(value), "USD", _words(key)) for key, value in parts.items()}


def price_parts(facts: Facts, system: Any, facility: str, basis: str) -> dict[str, Figure]:
    """Price of a system in the model's form by part, USD, of its own year."""
    from dse.model.manufacture import system_cost

    cost = system_cost(system, markup(lowered_facility(facts, facility), basis))
    return {key: labelled(float(v), "kUSD", _words(key)) for key, v in cost._asdict().items()}


def hourly(facts: Facts, name: str, facility: str, basis: str) -> dict[str, Figure]:
    """Cost of owning one chip of a system by part, USD/s, all of it at its provisioned power."""
    from dse.model.ownership import ownership
    from dse.model.power import system_power

    system, made = lowered_system(facts, name), lowered_facility(facts, facility)
    watts = system_power(system).total
    cost = ownership(system, made, markup(made, basis), watts)
    chips = float(system.chips)
    return {k: labelled(float(v) / chips, "USD/h", k) for k, v in cost._asdict().items()}


def provisioned(system: Any) -> float:
    """Provisioned power of a system in the model's form, W."""
    from dse.model.power import system_power

    return float(system_power(system).total)


def power_parts(facts: Facts, name: str, *, whole: bool) -> Figure:
    """Provisioned power of a system by part, or of one of its racks."""
    from dse.model.power import rack_power, system_power

    system = lowered_system(facts, name)
    if not whole:
        return labelled(float(rack_power(system)), "kW", "one rack")
    parts = system_power(system)._asdict().items()
    return summed(labelled(float(value), "kW", _words(key)) for key, value in parts)


def _words(name: str) -> str:
    return name.replace("_", " ")
