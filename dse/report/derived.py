"""What follows from a spec: peaks beside the announced ones, area, power, bill of materials."""

from __future__ import annotations

from typing import Any

from dse.report.figures import digits, percent, with_unit
from dse.spec.space import fixed

Figures = dict[str, dict[str, Any]]

FACILITY = "hyperscale-us"
"""Whose margins the prices use; at cost they are one."""


def figures(spec: Any, kind: str, catalogue: Any) -> dict[str, Figures]:
    """Groups of figures; each has value (SI), unit, shown, and announced where it is published."""
    bound = fixed(spec)
    if kind in ("memory", "link"):
        rate = bound.bandwidth if kind == "memory" else bound.rate * bound.efficiency
        name = "bandwidth" if kind == "memory" else "payload"
        return {"derived": {name: _figure(rate, "GB/s")}}
    if kind == "model":
        return _model(bound)
    if kind == "chip":
        return _chip(bound, catalogue)
    return _system(bound, catalogue)


def _figure(value: Any, unit: str, announced: float = 0.0) -> dict[str, Any]:
    made = {"value": float(value), "unit": unit, "shown": with_unit(float(value), unit)}
    if announced:
        made |= {"announced": announced, "announced_shown": with_unit(announced, unit)}
    return made


def _margin(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "1", "shown": f"{percent(value)} to spare"}


def _parts(group: Any, unit: str, times: float = 1.0) -> Figures:
    """The parts of a sum that are not zero, so many times, with their shares, and the total."""
    values = {name: float(value) * times for name, value in group._asdict().items()}
    total = sum(values.values())
    made = {
        name: _figure(value, unit) | {"share": value / total}
        for name, value in values.items()
        if value
    }
    return made | {"total": _figure(total, unit) | {"share": 1.0}}


def _bill(bill: Any, times: float) -> Figures:
    """The lines of a bill of materials that cost anything, so many times: how many, and each."""
    made = _parts(type(bill)(*(item.total for item in bill)), "USD", times)
    for name, item in bill._asdict().items():
        if name in made:
            # integration is a share of a sum, not a number of things
            quantity = float(item.quantity) * (1.0 if name == "assembly" else times)
            in_bytes = name == "host_memory"
            made[name] |= {
                "quantity": quantity,
                "quantity_shown": with_unit(quantity, "GB" if in_bytes else "1"),
                "price": float(item.price),
                "price_shown": with_unit(float(item.price), "USD/GB" if in_bytes else "USD"),
            }
    return made


def _prices(system: Any, low: Any, catalogue: Any) -> Figures:
    """Price of the system on every price basis, and of a chip within it."""
    from dse.model.manufacture import chip_price, system_cost
    from dse.model.ownership import price_factor
    from dse.model.pytree import lower
    from dse.spec.facility import PRICE_BASES, Facility
    from dse.spec.load import load

    facility = lower(fixed(load(Facility, FACILITY, catalogue)))
    made: Figures = {}
    for basis in PRICE_BASES:
        first, second, third = (float(name == basis) for name in PRICE_BASES)
        markup = price_factor(facility, (first, second, third))
        total = system_cost(low, markup).total
        name = basis.replace("-", "_")
        made[f"system_{name}"] = _figure(total * system.domains, "USD", system.announced.price)
        made[f"for_each_chip_{name}"] = _figure(total / system.chips, "USD")
        made[f"of_which_chip_{name}"] = _figure(chip_price(low.chip, markup), "USD")
    return made


def _model(model: Any) -> dict[str, Figures]:
    """Parameters: all, and those that a token meets."""
    from dse.model.footprint import parameters_held
    from dse.model.pytree import lower
    from dse.model.roofline import machine
    from dse.model.transformer import Mapping
    from dse.spec.chip import Chip
    from dse.spec.workload import Software

    # parameters do not depend on the chip that holds them
    chip = machine(lower(Chip()), lower(Software()))
    held = parameters_held(chip, lower(model), Mapping(1.0, 1.0, 1.0, 1.0, 0.0, 1.0))
    parts = {name: float(value) for name, value in held._asdict().items()}
    visited = model.experts_per_token / model.experts if model.experts else 0.0
    active = parts["shared"] + parts["embeddings"] + visited * parts["experts"]
    parts |= {"total": sum(parts.values()), "met_by_a_token": active}
    return {
        "parameters": {
            name: {"value": value, "unit": "1", "shown": f"{digits(value / 1e9)} billion"}
            for name, value in parts.items()
            if value
        }
    }


def _chip(chip: Any, catalogue: Any) -> dict[str, Figures]:
    from dse.model.carbon import embodied
    from dse.model.floorplan import die_parts, io_die_parts
    from dse.model.manufacture import chip_cost
    from dse.model.power import chip_power, derived_power, design_power, idle_power, peak_activity
    from dse.model.pytree import lower
    from dse.spec.facility import Facility
    from dse.spec.load import load

    said, low = chip.announced, lower(chip)
    facility = load(Facility, FACILITY, catalogue)
    peaks = {
        f"matrix_peak_{name}": _figure(chip.matrix_peak(name), "TFLOP/s", getattr(said, name, 0.0))
        for name in ("fp32", "bf16", "fp8", "fp4")
    }
    made = peaks | {
        "vector_peak_fp32": _figure(chip.vector_flops, "TFLOP/s"),
        "on_chip_sram": _figure(chip.sram_bytes, "MiB"),
        "memory_capacity": _figure(chip.memory.capacity, "GB", said.capacity),
        "memory_bandwidth": _figure(chip.memory.bandwidth, "TB/s", said.bandwidth),
        "scale_up_bandwidth": _figure(chip.scale_up.bandwidth, "GB/s", said.scale_up),
        "design_power": _figure(design_power(low), "W", said.power),
        "derived_power": _figure(derived_power(low), "W"),
        "idle_power": _figure(idle_power(low), "W"),
    }
    io_dies = {"area_of_one_io_die": _parts(io_die_parts(low), "mm2")} if low.io_die.count else {}
    return {
        "derived": made,
        "area_of_one_compute_die": _parts(die_parts(low), "mm2"),
        **io_dies,
        "power_at_peak": _parts(chip_power(low, peak_activity(low)), "W"),
        "cost_of_making_a_chip": _parts(chip_cost(low), "USD"),
        "carbon_of_making_a_chip": _parts(embodied(low, facility), "kg"),
    }


def _system(system: Any, catalogue: Any) -> dict[str, Figures]:
    from dse.model.estimate import design
    from dse.model.evaluator import Question
    from dse.model.manufacture import system_bill
    from dse.model.power import rack_power
    from dse.model.pytree import lower
    from dse.spec.facility import Facility
    from dse.spec.load import load
    from dse.spec.workload import LanguageModel, Software, Workload

    # a design's price and power rest on the facility's price factors alone
    setting = Question(
        model=LanguageModel(),
        workload=Workload(),
        software=Software(),
        facility=load(Facility, FACILITY, catalogue),
    ).setting
    low, said = lower(system), system.announced
    made = design(low, setting)
    listed = {
        f"matrix_peak_{name}": _figure(
            system.matrix_peak(name), "PFLOP/s", getattr(said, name, 0.0)
        )
        for name in ("bf16", "fp8", "fp4")
    }
    listed |= {
        "memory_capacity": _figure(system.memory_capacity, "TB", said.capacity),
        "memory_bandwidth": _figure(system.memory_bandwidth, "TB/s", said.bandwidth),
        "provisioned_power": _figure(made.power.total * system.domains, "kW", said.power),
        "power_of_a_rack": _figure(rack_power(low), "kW"),
    }
    return {
        "derived": listed,
        "bill_of_materials_at_cost": _bill(system_bill(low), system.domains),
        "cost_of_making_a_chip": _parts(made.chip, "USD"),
        "prices": _prices(system, low, catalogue),
        "provisioned_power": _parts(made.power, "kW", system.domains),
        "rules": {name: _margin(float(value)) for name, value in made.margins.items()},
    }
