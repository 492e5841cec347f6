"""A study as data and as tables: what is free, what is wanted, within which limits."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from dse.report.evaluation import precision_text, precisions
from dse.report.spec import leaf_document
from dse.report.terminal import Column, heading, note, table
from dse.search.parameters import searched
from dse.search.space import space_size
from dse.spec.fields import Branch, Leaf
from dse.spec.metrics import EVERY, METRICS
from dse.spec.space import leaf_at, parameters
from dse.spec.system import System
from dse.spec.variation import MARK

Document = dict[str, Any]


def study_document(study: Any) -> Document:
    """The JSON of `dse show` for a study; `leaves` are its free parameters."""
    leaves = [_leaf(study.system, path, value) for path, value in parameters(study.system).items()]
    return {
        "name": study.name,
        "kind": "study",
        "doc": study.doc,
        "file": study.file,
        "leaves": leaves,
        "derived": {"space": space_size(searched(study.system))},
        "system": study.system.name,
        "references": [system.name for system in study.references],
        "variations": dict(study.variations),
        "price_basis": study.price_basis,
        "objectives": dict(study.objectives),
        "operate": study.operate,
        "workloads": [
            {
                "model": task.model.name,
                "workload": task.workload.name,
                "weight": task.weight,
                **({"decode_system": named(task.decoder)} if task.decoder else {}),
                "precision": precisions(task.workload),
            }
            for task in study.tasks
        ],
        "constraints": [constraint.text for constraint in study.constraints],
        "software": study.software.name,
        "facility": study.facility.name,
        "search": {"method": study.method, "budget": study.budget, "seed": study.seed},
    }


def named(decoder: Any) -> str:
    """The name of what decodes."""
    return str(getattr(decoder, "name", decoder))


def _leaf(system: Any, path: str, value: Any) -> Document:
    meta = leaf_at(System, path)
    leaf = Leaf(sort="text", doc=meta.doc) if isinstance(meta, Branch) else meta
    return leaf_document(system, path, leaf, value)


def study_view(document: Document) -> list[Any]:
    """Tables of a study."""
    leaves, search = document["leaves"], document["search"]
    size = f"{document['derived']['space']:,} designs"
    goals = document["objectives"]
    return [
        Text(f"{document['name']} (study)", style="bold"),
        Text(document["doc"]),
        note(document["file"]),
        heading(f"Free parameters of {document['system']}: {size}"),
        table(
            [
                Column("path", [leaf["path"] for leaf in leaves]),
                Column("levels", [str(len(leaf["value"])) for leaf in leaves], right=True),
                Column("values", [leaf["shown"] for leaf in leaves], fold=True),
            ]
        ),
        heading("Objectives"),
        *(Text(f"{sense} {name}: {METRICS[name].doc}") for name, sense in goals.items()),
        Text(_operated(document)),
        heading("Workloads"),
        *(_workload(each) for each in document["workloads"]),
        heading("Limits"),
        *(Text(text) for text in document["constraints"] or ["none beside those of the model"]),
        heading("Compared with"),
        Text(", ".join(document["references"]) or "nothing"),
        *_variations(document),
        Text(""),
        note(
            f"price basis {document['price_basis']}, {document['facility']}, "
            f"software {document['software']}"
        ),
        note(
            f"method {search['method']}, budget {search['budget']:,} designs, seed {search['seed']}"
        ),
    ]


def _variations(document: Document) -> list[Any]:
    if not document["variations"]:
        return []
    name = document["name"].partition(MARK)[0]
    return [
        heading("Variations"),
        *(Text(f"{name}{MARK}{key}: {doc}") for key, doc in document["variations"].items()),
    ]


def _operated(document: Document) -> str:
    if document["operate"] == EVERY:
        return "every operating point that no other dominates"
    return f"designs operate at their best {document['operate']}"


def _workload(each: Document) -> Text:
    weight = f"{each['weight']:g} of the tokens: " if each["weight"] != 1.0 else ""
    decoded = f", decoded by {each['decode_system']}" if "decode_system" in each else ""
    precision = precision_text(each["precision"])
    return Text(f"{weight}{each['model']}, {each['workload']}{decoded} ({precision})")
