"""The rules of one design as data (the JSON of `dse feasible`) and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from rich.text import Text

from dse.model.programs import program
from dse.model.pytree import lower, replace, stack
from dse.model.rules import RULES, Rule, limits, margins, values
from dse.report.figures import in_unit, percent
from dse.report.terminal import Column, heading, note, table
from dse.spec.space import source_of

Document = dict[str, Any]

ALIKE = 0.99
"""Of leaves that weigh as much as this share of the heaviest, the first is named."""

TIGHT = 0.1
"""A relative margin below this is worth a word, where a figure may vary continuously."""

_DECIDES = {
    "memory": "chip.memory.stacks",
    "matrix": "chip.die.core.count",
    "vector": "chip.die.core.count",
    "links": "chip.scale_up.lanes",
    "overhead": "software.launch",
}
"""The leaf that a designer would change, by what binds an operating point."""


class Places(Protocol):
    """What knows where a leaf stands."""

    def of(self, path: str) -> Any:
        """File and line of a leaf."""


STEP = 1.001
"""Factor by which a leaf is raised to see how much it weighs; float32 resolves a ten-thousandth."""

PATHS = tuple(dict.fromkeys(path for rule in RULES for path in (*rule.paths, *rule.limits)))


class _Figures:
    """Value, limit and margin of every rule of one design, and what each of PATHS moves."""

    def __init__(self, system: Any) -> None:
        low = lower(system)
        raised = [_raised(low, path.split(".")) for path in PATHS]
        found = jax.tree.map(np.asarray, _program(stack([low, *raised])))
        self.margins, self.values, self.limits = found

    def weights(self, figures: Any, paths: tuple[str, ...]) -> list[float]:
        """How far a raised leaf moves a figure; figures have the design itself first."""
        moved = np.abs(figures - figures[0])
        return [float(moved[PATHS.index(path) + 1]) for path in paths]


def _raised(spec: Any, parts: list[str]) -> Any:
    value = getattr(spec, parts[0])
    inner = _raised(value, parts[1:]) if len(parts) > 1 else value * STEP
    return replace(spec, **{parts[0]: inner})


_program = program("rules", jax.vmap(lambda s: (margins(s), values(s), limits(s))))


def rule_documents(system: Any, places: Places) -> list[Document]:
    """Every rule of a design: value, limit, margin, the leaf that decides it and its line."""
    figures = _Figures(system)
    documents = []
    for rule in RULES:
        path = _heaviest(figures.weights(figures.values[rule.name], rule.paths), rule.paths)
        bound = _heaviest(figures.weights(figures.limits[rule.name], rule.limits), rule.limits)
        documents.append(
            _row(rule, figures)
            | {"state": _state(rule, system, figures)}
            | _place(path, places.of(path))
            | _bound(bound, source_of(system, bound), places.of(bound))
        )
    return documents


def _heaviest(weights: list[float], paths: tuple[str, ...]) -> str:
    """The path of the greatest weight; the first of those alike."""
    enough = ALIKE * max(weights)
    return next(path for path, weight in zip(paths, weights, strict=True) if weight >= enough)


def _row(rule: Rule, figures: _Figures) -> Document:
    limit = float(figures.limits[rule.name][0])
    return {
        "rule": rule.name,
        "value": float(figures.values[rule.name][0]),
        "limit": limit if limit > 0.0 else None,
        "margin": float(figures.margins[rule.name][0]),
        "unit": rule.unit,
        "formula": rule.formula,
    }


def _state(rule: Rule, system: Any, figures: _Figures) -> str:
    if not float(rule.applies(lower(system))) > 0.0:
        return "does not apply"
    if not figures.limits[rule.name][0] > 0.0:
        return "no limit declared"
    return state(rule.unit, float(figures.margins[rule.name][0]))


def state(unit: str, margin: float) -> str:
    """How a rule with a limit stands; one that counts things may be used up whole."""
    if margin < 0.0:
        return "broken"
    return "tight" if margin < TIGHT and unit != "1" else "holds"


def _place(path: str, origin: Any) -> Document:
    return {"path": path, "file": origin.file, "line": origin.line}


def _bound(path: str, source: Any, origin: Any) -> Document:
    """Where the limit stands and who says so."""
    return {
        "limit_path": path,
        "limit_file": origin.file,
        "limit_line": origin.line,
        # what no file gives is the field's own default
        "source": source.ref if source else "default of the field",
        "confidence": source.confidence if source else "assumption",
    }


class _Operating(NamedTuple):
    """A rule of an operating point; None stands for a value that its phase does not have."""

    rule: str
    formula: str
    unit: str
    value: float | None
    limit: float
    path: str
    limit_path: str


def _operating(evaluation: Document, workload: Any) -> list[_Operating]:
    memory, chosen = dict(evaluation["breakdown"]["memory"]), evaluation["mapping"]
    usable, _ = memory.pop("usable"), memory.pop("capacity")
    replica = max(chosen["tp"] * chosen.get("cp", 1), chosen["ep"]) * chosen["pp"]
    chips, decides = float(evaluation["chips"]), _DECIDES[evaluation["bound"]]
    per_token, first = (evaluation["metrics"].get(name) for name in ("tpot_s", "ttft_s"))
    fits = "chips of a replica <= chips; pp <= layers; tp <= heads; ep <= experts"
    holds = "weights, caches, activations <= usable memory of a chip"
    stacks, capacity = "chip.memory.stacks", "chip.memory.stack.capacity"
    said, until = "time per output token <= limit", "time to the first token <= limit"
    return [
        _Operating("mapping", fits, "1", float(replica), chips, "chips", "chips"),
        _Operating("memory", holds, "GB", sum(memory.values()), usable, stacks, capacity),
        _Operating("tpot", said, "ms", per_token, workload.tpot, decides, "workload.tpot"),
        _Operating("ttft", until, "ms", first, workload.ttft, decides, "workload.ttft"),
    ]


def operating_documents(
    evaluation: Document, specs: Mapping[str, Any], places: Mapping[str, Places]
) -> list[Document]:
    """The rules of the best operating point; `specs` and `places` by part, system among them."""
    made = []
    for each in _operating(evaluation, specs["workload"]):
        margin = evaluation["margins"][each.rule]
        asked = each.value is not None and margin < 1.0
        # an operating point may use up all that it has
        held = "broken" if margin < 0.0 else "holds"
        document = each._asdict() | {
            "limit": each.limit if asked else None,
            "margin": margin,
            "state": held if asked else "does not apply",
        }
        spec, inner = _in_part(each.limit_path, specs)
        found, rest = _in_part(each.path, places)
        limits, below = _in_part(each.limit_path, places)
        document |= _place(each.path, found.of(rest))
        made.append(document | _bound(each.limit_path, source_of(spec, inner), limits.of(below)))
    return made


def _in_part(path: str, parts: Mapping[str, Any]) -> tuple[Any, str]:
    """The part that holds a leaf, and the leaf's path in it; the system where none is named."""
    head, _, rest = path.partition(".")
    return (parts[head], rest) if head in parts and rest else (parts["system"], path)


def feasible_view(name: str, documents: list[Document]) -> list[Any]:
    """Tables of a design's rules: all of them, then what is broken or tight in full."""
    states = [each["state"] for each in documents]
    colours = {"broken": "red", "tight": "yellow"}
    parts: list[Any] = [
        Text(name, style="bold"),
        Text(""),
        table(
            [
                Column("rule", [each["rule"] for each in documents]),
                Column("value", [_shown(each, "value") for each in documents], right=True),
                Column("limit", [_shown(each, "limit") for each in documents], right=True),
                Column("unit", [each["unit"].replace("1", "") for each in documents]),
                Column("margin", [_margin(each) for each in documents], right=True),
                Column("", states, styles=[colours.get(state, "") for state in states]),
            ]
        ),
    ]
    told = [each for each in documents if each["state"] in colours]
    for each in sorted(told, key=lambda each: each["margin"]):
        parts += [heading(f"{each['rule']} ({each['state']}): {each['formula']}"), *_told(each)]
    return parts


def _told(document: Document) -> list[Any]:
    source = ", ".join(dict.fromkeys(filter(None, (document["source"], document["confidence"]))))
    lines = (
        ("value", document["path"], place(document["file"], document["line"])),
        ("limit", document["limit_path"], place(document["limit_file"], document["limit_line"])),
    )
    told = [Text(f"  {what}  {path}\n         {where}") for what, path, where in lines]
    return [*told, note(f"         {source}")]


def place(file: str, line: int) -> str:
    """A file and line as compilers write them."""
    return f"{file}:{line}" if line else file


def _shown(document: Document, key: str) -> str:
    if document[key] is None or document["state"] == "does not apply":
        return "-"
    return in_unit(document[key], document["unit"])


def _margin(document: Document) -> str:
    return percent(document["margin"]) if document["limit"] is not None else "-"


def broken_text(name: str, documents: list[Document]) -> str:
    """Every broken rule of a design in a line: what, by how much, and where."""
    lines = [
        f"  {each['rule']}: {_shown(each, 'value')} of {_shown(each, 'limit')} {each['unit']}, "
        f"{each['path']} at {place(each['file'], each['line'])}"
        for each in documents
        if each["state"] == "broken"
    ]
    return "\n".join([f"{name} breaks {len(lines)} of {len(documents)} rules", *lines])
