"""Power and cost as trees: every value is the sum of its children."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dse.spec.metrics import METRICS

Tree = dict[str, Any]


def leaf(name: str, value: float, unit: str) -> Tree:
    """A part without parts."""
    return {"name": name.replace("_", " "), "value": value, "unit": unit, "children": []}


def branch(name: str, children: list[Tree], unit: str) -> Tree:
    """Parts that are there, largest first, and their sum."""
    kept = sorted((c for c in children if c["value"] > 0.0), key=lambda c: -c["value"])
    total = sum(child["value"] for child in kept)
    return {**leaf(name, total, unit), "children": kept}


def divided(name: str, value: float, parts: Mapping[str, float], unit: str) -> Tree:
    """A value divided in proportion to parts; one part, or none, is no division."""
    there = {key: part for key, part in parts.items() if part > 0.0}
    whole = sum(there.values())
    if len(there) < 2 or not value > 0.0:
        return leaf(name, value, unit)
    made = branch(name, [leaf(k, value * p / whole, unit) for k, p in there.items()], unit)
    return {**made, "value": value}


def row(group: Any, index: int) -> dict[str, float]:
    """A named tuple of arrays as plain numbers of one row."""
    return {name: float(value[index]) for name, value in group._asdict().items()}


def power_tree(found: Any, chip: Any, index: int) -> Tree:
    """Average power of the system under the workload, W; chips by what draws it in them."""
    parts = row(found.average, index)
    children = [
        divided(name, value, row(chip, index) if name == "chips" else {}, "W")
        for name, value in parts.items()
    ]
    return branch("average power of the system", children, "W")


def cost_tree(found: Any, index: int) -> Tree:
    """Cost of owning the system, USD/h: servers by their parts, energy by who draws it."""
    cost = {name: METRICS["operating"].written(v) for name, v in row(found.cost, index).items()}
    price = row(found.design.price, index)
    network = {name: price[name] for name in _NETWORK}
    servers = {name: value for name, value in price.items() if name not in _NETWORK}
    chips = row(found.design.chip, index)
    children = [
        _with_chips("servers", cost["servers"], servers, chips),
        divided("network", cost["network"], network, "USD/h"),
        divided("energy", cost["energy"], row(found.average, index), "USD/h"),
        *(leaf(name, cost[name], "USD/h") for name in ("building", "maintenance")),
    ]
    return branch("cost of owning the system", children, "USD/h")


_NETWORK = ("switches", "copper_lanes", "far_lanes", "network_cards", "scale_out")
"""Parts of a system's price that `SystemCost.network` adds up."""


def _with_chips(
    name: str, value: float, parts: Mapping[str, float], chips: Mapping[str, float]
) -> Tree:
    """Servers divided by price; chips, with any margin, by what they cost to make."""
    made = divided(name, value, parts, "USD/h")
    made["children"] = [
        divided("chips", child["value"], chips, "USD/h") if child["name"] == "chips" else child
        for child in made["children"]
    ]
    return made
