"""JSON Schema of studies: names, objectives, limits, and every path that may be free."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dse.spec.catalog import STUDY
from dse.spec.facility import PRICE_BASES
from dse.spec.metrics import CONSTRAINED, EVERY, LATENCIES, METRICS, SELECTABLE, Metric
from dse.spec.schema import Definitions, document_schema, paths_of, sources_schema
from dse.spec.schema_leaf import Json, quantity_pattern
from dse.spec.study import METHODS
from dse.spec.system import System

_WHOLE = {"type": "integer", "maximum": 10**9}


def study_schema() -> Json:
    """The schema of a study's file."""
    definitions = Definitions(dotted=True)
    definitions.add_source()
    definitions.table(System)
    return document_schema(
        kind=STUDY,
        doc="A question: a system with free parameters, what is asked of it, what is wanted.",
        properties={
            "kind": {"description": "what the file holds", "const": STUDY},
            "name": {"description": "its name, which is also the file's", "type": "string"},
            "doc": {"description": "the question, in one line", "type": "string"},
            "system": _name("system", "the system that the space is laid over"),
            "references": {
                "description": "systems that results are shown beside",
                "type": "array",
                "items": {"anyOf": [_name("system", "a system"), _priced()]},
            },
            "price_basis": {
                "description": "what chips are paid at: one for all that are compared",
                "enum": list(PRICE_BASES),
            },
            "objectives": _objectives(),
            "operate": {
                "description": "the metric in which an operator takes a design's best operating "
                "point (default: the first objective), or all: an exact front of every point",
                "enum": [EVERY, *SELECTABLE],
            },
            "workloads": _workloads(),
            "space": _space(),
            "constraints": _limits(
                {name: METRICS[metric] for name, metric in CONSTRAINED.items()} | METRICS,
                'limits that a design must meet, such as "rack.power" = "<= 200 kW"',
            ),
            "search": _search(),
            "software": _name("software", "what a software stack attains of the hardware"),
            "facility": _name("facility", "where the system stands"),
            "sources": sources_schema(),
            "variations": _variations(),
        },
        required=["system", "price_basis", "objectives", "workloads"],
        definitions=definitions,
    )


def _name(kind: str, doc: str) -> Json:
    described = f"{doc}: a {kind}'s name, or the path of its file"
    return {"description": described, "type": "string", "minLength": 1}


def _priced() -> Json:
    """A reference that is paid at another price basis."""
    return {
        "description": "a system at a price basis of its own",
        "type": "object",
        "required": ["system"],
        "properties": {
            "system": _name("system", "the system"),
            "price_basis": {"description": "what it is paid at", "enum": list(PRICE_BASES)},
        },
        "additionalProperties": False,
    }


def _variations() -> Json:
    """What-ifs: keys of the study in place of its own, and values laid over all its specs."""
    return {
        "description": "what-ifs by name: STUDY@NAME is the study with what stands here",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {
                "doc": {"description": "what differs, in one line", "type": "string"},
                "price_basis": {"description": "what chips are paid at", "enum": list(PRICE_BASES)},
                "software": _name("software", "what a software stack attains of the hardware"),
                "facility": _name("facility", "where the system stands"),
                "constraints": {"description": "limits beside the study's", "type": "object"},
                "set": {
                    "description": "dotted path -> value, laid over designs and references; a path "
                    "may begin with workload, software or facility",
                    "type": "object",
                },
            },
            "additionalProperties": False,
        },
    }


def _objectives() -> Json:
    """Metrics, and which way each is wanted."""
    return {
        "description": 'what is wanted: metric = "max" or "min"',
        "type": "object",
        "minProperties": 1,
        "properties": {
            name: {"description": _of(metric), "enum": ["max", "min"], "default": metric.better}
            for name, metric in METRICS.items()
        },
        "additionalProperties": False,
    }


def _of(metric: Metric) -> str:
    return metric.doc + ("" if metric.unit == "1" else f", in {metric.unit}")


def _workloads() -> Json:
    weight = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9, "default": 1}
    return {
        "description": "what is asked of the system: models and workloads",
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["model", "workload"],
            "properties": {
                "model": _name("model", "the language model"),
                "workload": _name("workload", "what is asked of it"),
                "decode_system": _name(
                    "system", 'decodes what designs read ("same": more of the design)'
                ),
                "weight": {"description": "share of the tokens, in any measure", **weight},
            },
            "additionalProperties": False,
        },
    }


def _space() -> Json:
    """Every path of a system; whether its keys are quoted or dotted, and with "system." before."""
    return {
        "description": "dotted path below the system -> value or free value",
        "type": "object",
        "properties": dict(paths_of(System)),
        "patternProperties": {rf"^{System.kind}(\.|$)": {}},
        "additionalProperties": False,
    }


def _limits(named: Mapping[str, Metric], doc: str) -> Json:
    """A table of limits by name; names with dots may also be tables inside tables."""
    tables: dict[str, dict[str, Metric]] = {}
    for name, metric in named.items():
        first, dot, rest = name.partition(".")
        if dot:
            tables.setdefault(first, {})[rest] = metric
    limits = {name: _limit(name, metric) for name, metric in named.items()}
    nested = {name: _limits(inner, f"limits of the {name}") for name, inner in tables.items()}
    return {
        "description": doc,
        "type": "object",
        "properties": {**limits, **nested},
        "patternProperties": {f"^{re.escape(name)}@": limit for name, limit in limits.items()},
        "additionalProperties": False,
    }


def _limit(name: str, metric: Metric) -> Json:
    signs = ["<="] if name in LATENCIES else ["<=", ">="]
    example = f"{signs[0]} 1.5 {metric.unit}" if metric.unit != "1" else f"{signs[0]} 0.5"
    return {
        "description": f"{_of(metric)}; {name}@WORKLOAD for one workload",
        "type": "string",
        "pattern": quantity_pattern(metric.unit, rf"\s*({'|'.join(signs)})"),
        "examples": [example],
    }


def _search() -> Json:
    """How to search."""
    return {
        "description": "how to search",
        "type": "object",
        "properties": {
            "method": {"description": "the method of search", "enum": list(METHODS)},
            "budget": {
                "description": "designs to evaluate, infeasible ones included",
                "minimum": 1,
                **_WHOLE,
            },
            "seed": {"description": "seed of what is random", "minimum": 0, **_WHOLE},
        },
        "additionalProperties": False,
    }
