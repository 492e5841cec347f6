"""Power and cost as trees, every value the sum of its children; time by operator and bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dse.report.figures import digits, in_unit, percent
from dse.report.terminal import Column, heading, table
from dse.spec.metrics import METRICS

Tree = dict[str, Any]

LEAST = 0.01
"""Shares of a tree below which a part is not shown."""

LEAST_TIME = 1e-3
"""Shares of a step below which a part is not shown."""


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


def scaled(tree: Tree, share: float) -> Tree:
    """A tree of so many times its values."""
    return {
        **tree,
        "value": share * tree["value"],
        "children": [scaled(child, share) for child in tree["children"]],
    }


def blended(trees: Sequence[Tree], weights: Sequence[float]) -> Tree:
    """The weighted sum of trees, part by part, where all that are there have parts."""
    first = trees[0]
    if len(trees) == 1:
        return scaled(first, weights[0])
    there = [(t, w) for t, w in zip(trees, weights, strict=True) if w * t["value"] > 0.0]
    value = sum(w * t["value"] for t, w in there)
    names = dict.fromkeys(child["name"] for tree, _ in there for child in tree["children"])
    children = [
        blended(*zip(*_named(there, name), strict=True))
        for name in names
        if all(tree["children"] for tree, _ in there)
    ]
    children.sort(key=lambda child: -child["value"])
    return {**first, "value": value, "children": children}


def _named(trees: Sequence[tuple[Tree, float]], name: str) -> list[tuple[Tree, float]]:
    """The parts of that name, with the weights of their trees."""
    return [(c, w) for tree, w in trees for c in tree["children"] if c["name"] == name]


def tree_rows(tree: Tree, least: float = 0.0, depth: int = 0) -> Iterator[tuple[int, Tree]]:
    """(depth, tree) of a tree and all below it that are at least so large, parents first."""
    yield depth, tree
    for child in tree["children"]:
        if child["value"] >= least:
            yield from tree_rows(child, least, depth + 1)


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


def time_table(rows: Sequence[Mapping[str, Any]], unit: str) -> Any:
    """Operator groups by what binds them, with shares of their workload's time, longest first."""
    works = list(dict.fromkeys(row["workload"] for row in rows))
    whole = {w: sum(row["seconds"] for row in rows if row["workload"] == w) for w in works}
    share = [(row["seconds"] / whole[row["workload"]], row) for row in rows]
    kept = sorted(
        (pair for pair in share if pair[0] > LEAST_TIME),
        key=lambda pair: (works.index(pair[1]["workload"]), -pair[0]),
    )
    columns = [
        Column("operator", [row["group"].replace("_", " ") for _, row in kept]),
        Column("bound by", [row["bound"] for _, row in kept]),
        Column(unit, [in_unit(row["seconds"], unit) for _, row in kept], right=True),
        Column("share", [percent(part) for part, _ in kept], right=True),
    ]
    work = [Column("workload", [row["workload"] for _, row in kept])] if len(works) > 1 else []
    return table([*work, *columns])


def tree_view(tree: Tree, other: Tree | None = None) -> list[Any]:
    """A tree in lines, children below their sum, with the other's parts beside."""
    unit = "kW" if tree["unit"] == "W" else tree["unit"]
    rows = list(tree_rows(tree, LEAST * tree["value"]))
    columns = [
        Column("part", ["  " * depth + each["name"] for depth, each in rows]),
        Column(
            unit,
            [
                in_unit(each["value"], unit) if unit == "kW" else digits(each["value"])
                for _, each in rows
            ],
            right=True,
        ),
        Column("share", [percent(each["value"] / tree["value"]) for _, each in rows], right=True),
    ]
    if other:
        theirs = _paths(other)
        shares = [theirs.get(path, 0.0) / other["value"] for path in _paths(tree, LEAST)]
        columns.append(Column("against", [percent(share) for share in shares], right=True))
    return [heading(tree["name"].capitalize()), table(columns)]


def _paths(tree: Tree, least: float = 0.0) -> dict[tuple[str, ...], float]:
    """Values by the names on the way to them."""
    found: dict[tuple[str, ...], float] = {}
    trail: list[str] = []
    for depth, each in tree_rows(tree, least * tree["value"]):
        trail = [*trail[:depth], each["name"]]
        found[tuple(trail)] = each["value"]
    return found
