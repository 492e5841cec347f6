"""One spec resolved: every leaf with its source, and what follows from it."""

from __future__ import annotations

from typing import Any

import attrs
from rich.text import Text

from dse.report.figures import percent
from dse.report.terminal import GAP, Column, cut, heading, note, table, width
from dse.spec.fields import Leaf, derived, walk, walk_derived
from dse.spec.space import fixed, source_of
from dse.spec.values import Free, Normal, Range, Triangular, Weighted

Document = dict[str, Any]

LONGEST_VALUE = 34
"""Characters beyond which a column folds."""


def spec_document(spec: Any, entry: Any, catalogue: Any) -> Document:
    """The JSON of `dse show`."""
    leaves = [
        leaf_document(spec, path, leaf, value)
        for path, leaf, value in walk(spec)
        # names of the specs below say which they are; their docs stand in their own files
        if path not in ("name", "doc") and not path.endswith(".doc")
    ]
    return {
        "name": spec.name,
        "kind": entry.kind,
        "doc": spec.doc,
        "file": str(entry.file),
        "leaves": leaves,
        "derived_leaves": [
            _derived_leaf(path, found, value) for path, found, value in walk_derived(fixed(spec))
        ],
        "derived": _derived(spec, entry.kind, catalogue),
    }


def _derived_leaf(path: str, found: derived, value: float) -> Document:
    return {
        "path": path,
        "value": value,
        "unit": found.unit,
        "shown": found.leaf.show(value),
        "doc": found.doc,
    }


def _derived(spec: Any, kind: str, catalogue: Any) -> Document:
    if kind not in ("chip", "system", "memory", "link", "model"):
        return {}
    from dse.report.derived import figures

    return figures(spec, kind, catalogue)


def leaf_document(spec: Any, path: str, leaf: Leaf, value: Any) -> Document:
    """One leaf: SI value (levels of a free one), unit, text, source."""
    source = source_of(spec, path)
    return {
        "path": path,
        "value": plain_value(value),
        "unit": leaf.unit if leaf.sort == "quantity" else None,
        "shown": shown(leaf, value),
        "source": attrs.asdict(source) if source else None,
    }


def plain_value(value: Any) -> Any:
    """A value as JSON holds it: SI, levels of a free one, names of specs."""
    if isinstance(value, Weighted):
        names = [getattr(item, "name", item) for item in value.alternatives]
        return {"alternatives": names, "weights": list(value.weights)}
    if isinstance(value, (Triangular, Normal)):
        return attrs.asdict(value)
    if isinstance(value, Free):
        return [getattr(level, "name", level) for level in value.levels()]
    return value


def shown(leaf: Leaf, value: Any) -> str:
    """A leaf's value as a person would write it."""
    if isinstance(value, Free):
        return _free(leaf, value) + _condition(leaf, value)
    if leaf.sort == "flag":
        return "yes" if value else "no"
    return leaf.show(value) if leaf.numeric else str(value)


def _free(leaf: Leaf, value: Free) -> str:
    if isinstance(value, Triangular):
        return " / ".join(shown(leaf, v) for v in (value.low, value.mode, value.high))
    if isinstance(value, Normal):
        return f"{shown(leaf, value.mean)} +- {shown(leaf, value.std)}"
    if isinstance(value, Weighted):
        total = sum(value.weights)
        pairs = zip(value.alternatives, value.weights, strict=True)
        return " or ".join(f"{_level(leaf, item)} ({percent(w / total)})" for item, w in pairs)
    if isinstance(value, Range):
        ends = f"{shown(leaf, value.low)} to {shown(leaf, value.high)}"
        return f"{ends}, {len(value.levels())} levels"
    return " | ".join(_level(leaf, level) for level in value.levels())


def _level(leaf: Leaf, level: Any) -> str:
    return shown(leaf, getattr(level, "name", level))


def _condition(leaf: Leaf, value: Free) -> str:
    if not value.when:
        return ""
    held = (f"{c.path} = {' or '.join(map(str, c.values))}" for c in value.when)
    return f" where {' and '.join(held)}, else {_level(leaf, value.otherwise)}"


def spec_view(document: Document) -> list[Any]:
    """Tables of one spec."""
    leaves = document["leaves"]
    numbers = _numbers(leaves)
    sources = [leaf["source"] or {} for leaf in leaves]
    columns = [
        Column("path", [leaf["path"] for leaf in leaves], fold=True),
        Column("value", [leaf["shown"] for leaf in leaves], right=True),
        Column("confidence", [source.get("confidence", "-") for source in sources]),
    ]
    columns[1] = attrs.evolve(columns[1], fold=columns[1].width > LONGEST_VALUE)
    room = width() - sum(min(c.width, LONGEST_VALUE) + GAP for c in columns)
    # in full below, by number
    refs = [cut(f"{numbers[_key(s)]} {s['ref']}", max(room, 12)) if s else "-" for s in sources]
    columns.append(Column("source", refs))
    parts: list[Any] = [
        Text(f"{document['name']} ({document['kind']})", style="bold"),
        Text(document["doc"]),
        note(document["file"]),
        Text(""),
        table(columns),
    ]
    if document["derived_leaves"]:
        parts += [heading("Derived leaves"), _derived_leaves(document["derived_leaves"])]
    for title, group in document["derived"].items():
        parts += [heading(title.replace("_", " ").capitalize()), _derived_table(group)]
    if numbers:
        parts += [heading("Sources"), _source_table(leaves, numbers)]
    return parts


def _key(source: Document) -> tuple[str, ...]:
    return tuple(source.values())


def _numbers(leaves: list[Document]) -> dict[tuple[str, ...], int]:
    """A number for each distinct source, in order of first use."""
    keys = dict.fromkeys(_key(leaf["source"]) for leaf in leaves if leaf["source"])
    return {key: number for number, key in enumerate(keys, start=1)}


def _source_table(leaves: list[Document], numbers: dict[tuple[str, ...], int]) -> Any:
    """Each source in full: reference, date, interval, note."""
    known = {_key(leaf["source"]): leaf["source"] for leaf in leaves if leaf["source"]}
    listed = [str(numbers[key]) for key in known]
    return table(
        [
            Column("#", listed, right=True),
            Column("source", [_said(source) for source in known.values()], fold=True),
        ]
    )


def _said(source: Document) -> str:
    ends = [source["low"], source["high"]]
    interval = {2: "between {} and {}", 1: "from {}" if ends[0] else "up to {}"}.get(
        sum(map(bool, ends)), ""
    )
    parts = (
        source["ref"],
        source["date"],
        source["confidence"],
        interval.format(*(end for end in ends if end)),
        source["note"],
    )
    # where a number is an assumption, reference and confidence both say so
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _derived_leaves(leaves: list[Document]) -> Any:
    return table(
        [
            Column("path", [leaf["path"] for leaf in leaves], fold=True),
            Column("value", [leaf["shown"] for leaf in leaves], right=True),
            Column("what", [leaf["doc"] for leaf in leaves], fold=True),
        ]
    )


def _derived_table(group: Document) -> Any:
    names = list(group)
    columns = [Column("figure", [name.replace("_", " ") for name in names])]
    if any("quantity" in group[name] for name in names):
        for title in ("quantity", "price"):
            shown_as = [group[name].get(f"{title}_shown", "-") for name in names]
            columns.append(Column(title, shown_as, right=True))
    columns.append(Column("derived", [group[name]["shown"] for name in names], right=True))
    if any("announced" in group[name] for name in names):
        announced = [group[name].get("announced_shown", "-") for name in names]
        columns.append(Column("announced", announced, right=True))
        columns.append(
            Column("derived / announced", [_ratio(group[name]) for name in names], right=True)
        )
    if any("share" in group[name] for name in names):
        shares = [percent(group[name]["share"]) for name in names]
        columns.append(Column("share", shares, right=True))
    return table(columns)


def _ratio(figure: Document) -> str:
    announced = figure.get("announced")
    return percent(figure["value"] / announced) if announced else "-"
