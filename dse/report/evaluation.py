"""One system under one workload as data (the JSON of `dse eval`) and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dse.report.figures import (
    digits,
    in_unit,
    mapping_text,
    metric_number,
    metric_unit,
    percent,
    with_unit,
)
from dse.report.terminal import Column, fitting, heading, note, table
from dse.report.trees import time_table, tree_view
from dse.search.protocol import OPERATING
from dse.spec.metrics import METRICS, meaningful

Document = dict[str, Any]

TIGHT = 0.1
"""A relative margin below this is worth a line."""

WHOLE = (
    *("mapping", "chip.cores"),
    *("fabric.switches", "fabric.torus", "fabric.lanes", "fabric.mesh"),
)
"""Rules that count things: what uses all it may has no room, and nothing to tell."""


def evaluation_document(evaluation: Any, index: int, system: Any, question: Any) -> Document:
    """Everything about one row of an Evaluation, as files hold it."""
    names = meaningful([question.workload.phase])
    metrics = {n: METRICS[n].written(float(evaluation.metrics[n][index])) for n in names}
    margins = {name: float(value[index]) for name, value in evaluation.margins.items()}
    times = _parts(evaluation.result.operation.times, index)
    bounds = _parts(evaluation.result.operation.bounds, index)
    workload = question.workload
    chips = float(workload.chips or system.all_chips)
    # the model prices and feeds one scale-up domain
    share = chips / system.chips

    def of_all(group: Any, convert: Any = float) -> dict[str, float]:
        return _parts(group, index, lambda value: convert(value * share))

    trained = question.workload.phase == "pretrain"
    return {
        "name": system.name,
        "model": question.model.name,
        "workload": workload.name,
        "phase": workload.phase,
        "software": question.software.name,
        "facility": question.facility.name,
        "price_basis": question.price_basis,
        "objective": question.objective,
        "chips": int(chips),
        "precision": precisions(workload),
        "feasible": bool(evaluation.feasible[index]),
        "violated": [name for name, value in margins.items() if value < 0.0],
        "metrics": metrics,
        "mapping": evaluation.mapping(index) | {"batch": int(metrics["batch"])},
        "mappings": int(evaluation.legal[index]),
        "breakdown": {
            "time": times,
            "bound": bounds,
            "memory": _memory(evaluation, index, system),
            "power": of_all(evaluation.result.average),
            "design_power": of_all(evaluation.result.design.power),
            "ownership": of_all(evaluation.result.cost, METRICS["operating"].written),
            "price": of_all(evaluation.result.design.price),
            **(_progress(evaluation.result.progress, index) if trained else {}),
        },
        "bound": max(bounds, key=lambda name: bounds[name]),
        "margins": margins,
    }


def precisions(workload: Any) -> dict[str, str]:
    """What a workload holds and computes in."""
    names = ("weights", "key_values", "activations", "communication")
    return {name: getattr(workload, name) for name in names}


def _parts(group: Any, index: int, convert: Any = float) -> dict[str, float]:
    """A named tuple of arrays as plain numbers of one row."""
    return {name: convert(float(value[index])) for name, value in group._asdict().items()}


def _progress(progress: Any, index: int) -> dict[str, dict[str, float]]:
    """What stops a training job: failures a second by part, and times in seconds."""
    names = ("checkpoint", "restart", "interval")
    return {
        "failures": _parts(progress.failures, index),
        "checkpoints": {name: float(getattr(progress, name)[index]) for name in names},
    }


def _memory(evaluation: Any, index: int, system: Any) -> dict[str, float]:
    memory = system.chip.memory
    parts = _parts(evaluation.result.operation.footprint, index)
    usable = memory.capacity * (1.0 - memory.reserve)
    return parts | {"usable": usable, "capacity": memory.capacity}


def evaluation_view(document: Document) -> list[Any]:
    """Tables of one evaluation."""
    return [
        *_head(document),
        _metric_table([document]),
        heading("Operating point"),
        Text(f"{mapping_text(document['mapping'])}, best of {document['mappings']} mappings"),
        *_times(document),
        *_footprint(document),
        *_power_and_cost(document),
        *_stops(document),
        *_rules(document),
        *_formulas(document),
        *_sampled([document]),
    ]


def _formulas(document: Document) -> list[Any]:
    """The formulas, where they were asked for."""
    if "formulas" not in document:
        return []
    from dse.report.formulas import formulas_view

    return formulas_view(document["formulas"])


def _sampled(documents: list[Document]) -> list[Any]:
    """Tables over samples of what is uncertain, where they were asked for."""
    if "bands" not in documents[0]:
        return []
    from dse.report.uncertainty import comparison_bands, uncertainty_view

    return comparison_bands(documents) if len(documents) > 1 else uncertainty_view(documents[0])


def _head(document: Document) -> list[Any]:
    title = f"{document['name']}: {document['model']}, {document['workload']}"
    basis = f"price basis {document['price_basis']}, {document['facility']}"
    return [
        Text(title, style="bold"),
        note(f"{document['chips']} chips, {precision_text(document['precision'])}"),
        note(f"{basis}, software {document['software']}"),
        Text(""),
    ]


def precision_text(precision: Mapping[str, str]) -> str:
    """The precisions of a workload in a line."""
    parts = [f"{name.replace('_', '-')} {word}" for name, word in precision.items()]
    return ", ".join(parts)


def _metric_table(documents: list[Document]) -> Any:
    names = list(documents[0]["metrics"])
    metrics = documents[0]["metrics"]
    return table(
        [
            Column("metric", names),
            Column("value", [metric_number(n, metrics[n]) for n in names], right=True),
            Column("unit", [metric_unit(name) for name in names]),
            Column("what it is", [METRICS[name].doc for name in names], fold=True),
        ]
    )


def _times(document: Document) -> list[Any]:
    breakdown = document["breakdown"]
    total = sum(breakdown["time"].values())
    unit = "ms" if total < 1.0 else "s"
    title = f"Time of one step: {with_unit(total, unit)}, mostly bound by {document['bound']}"
    return [
        heading(title),
        time_table(document["groups"], unit)
        if "groups" in document
        else _shares("operator", breakdown["time"], unit),
        Text(""),
        _shares("bound", breakdown["bound"], unit),
    ]


def _shares(header: str, parts: Mapping[str, float], unit: str, total: float = 0.0) -> Any:
    """The parts of a sum that are not zero, largest first, with their shares."""
    whole = total or sum(parts.values()) or 1.0
    kept = sorted((n for n in parts if parts[n] > 0.0), key=lambda n: -parts[n])
    return table(
        [
            Column(header, [name.replace("_", " ") for name in kept]),
            Column(unit, [in_unit(parts[name], unit) for name in kept], right=True),
            Column("share", [percent(parts[name] / whole) for name in kept], right=True),
        ]
    )


def _footprint(document: Document) -> list[Any]:
    memory = dict(document["breakdown"]["memory"])
    usable, capacity = memory.pop("usable"), memory.pop("capacity")
    title = (
        f"Memory of one chip: {with_unit(sum(memory.values()), 'GB')} of {in_unit(usable, 'GB')} "
        f"usable ({with_unit(capacity, 'GB')} installed)"
    )
    return [heading(title), _shares("holds", memory, "GB", usable)]


def _power_and_cost(document: Document) -> list[Any]:
    if "power" in document:
        return [each for name in ("power", "cost") for each in tree_view(document[name])]
    breakdown = document["breakdown"]
    power = breakdown["power"]
    ownership = breakdown["ownership"]
    hourly = sum(ownership.values())
    return [
        heading(f"Power of the system under this load: {with_unit(sum(power.values()), 'kW')}"),
        _shares("part", power, "kW"),
        heading(f"Cost of owning the system: {digits(hourly)} USD/h"),
        _plain_shares("part", ownership, "USD/h"),
    ]


def _stops(document: Document) -> list[Any]:
    """Failures of a training job, and what it does about them."""
    failures = document["breakdown"].get("failures", {})
    total = sum(failures.values())
    if not total:
        return []
    times = document["breakdown"]["checkpoints"]
    each = {name: 86400.0 * value for name, value in failures.items()}
    lasting = ", ".join(f"{name} {with_unit(times[name], 's')}" for name in times)
    return [
        heading(f"Mean time between failures of the job: {with_unit(1.0 / total, 'h')}"),
        _plain_shares("part", each, "failures/day"),
        note(lasting),
    ]


def _plain_shares(header: str, parts: Mapping[str, float], unit: str) -> Any:
    whole = sum(parts.values()) or 1.0
    kept = sorted((n for n in parts if parts[n] > 0.0), key=lambda n: -parts[n])
    return table(
        [
            Column(header, [name.replace("_", " ") for name in kept]),
            Column(unit, [digits(parts[name]) for name in kept], right=True),
            Column("share", [percent(parts[name] / whole) for name in kept], right=True),
        ]
    )


def _rules(document: Document) -> list[Any]:
    margins = document["margins"]
    tight = {n: m for n, m in margins.items() if m < (0.0 if n in WHOLE else TIGHT)}
    if not tight:
        return [heading(f"All {len(margins)} rules hold with at least {percent(TIGHT)} to spare")]
    names = sorted(tight, key=lambda name: tight[name])
    return [
        heading(f"Rules that are broken or tight, of {len(margins)}"),
        table(
            [
                Column("rule", names),
                Column("margin", [percent(tight[name]) for name in names], right=True),
                Column(
                    "",
                    ["broken" if tight[name] < 0.0 else "tight" for name in names],
                    styles=["red" if tight[name] < 0.0 else "yellow" for name in names],
                ),
            ]
        ),
    ]


def metric_cell(name: str, value: float) -> tuple[str, str]:
    """A figure of a result with its unit; a share of chips is no metric of its own."""
    if name not in METRICS:
        return digits(value), ""
    return metric_number(name, value), metric_unit(name)


def comparison_view(documents: list[Document]) -> list[Any]:
    """Systems side by side, one row a metric."""
    first = documents[0]
    names = list(documents[0]["metrics"])
    last = [("breaks", "")] if any(document["violated"] for document in documents) else []
    rows = [("mapping", ""), ("bound by", ""), *((n, metric_cell(n, 0.0)[1]) for n in names), *last]
    columns = [
        Column("metric", [name for name, _ in rows]),
        Column("unit", [unit for _, unit in rows]),
        *(_comparison_column(document, names, len(rows)) for document in documents),
    ]
    title = f"{first['model']}, {first['workload']}: {precision_text(first['precision'])}"
    basis = f"price basis {first['price_basis']}, {first['facility']}"
    parts: list[Any] = [
        Text(title, style="bold"),
        note(f"{basis}, software {first['software']}"),
        Text(""),
    ]
    for each in fitting(columns, keys=2):
        parts += [each, Text("")]
    return parts[:-1] + _sampled(documents)


def _comparison_column(document: Document, names: list[str], number: int) -> Column:
    """A system's cells; the last row, where there is one more than metrics, is what it breaks."""
    values = [metric_cell(name, document["metrics"][name])[0] for name in names]
    cells = [_short_mapping(document["mapping"]), document["bound"], *values]
    cells += ["\n".join(document["violated"])] * (number - len(cells))
    styles = ["red" if i >= len(values) + 2 else "" for i in range(number)]
    return Column(document["name"], cells, right=True, styles=styles)


def _short_mapping(mapping: Mapping[str, Any]) -> str:
    if "prefill" in mapping:
        return " / ".join(_short_mapping(mapping[side]) for side in ("prefill", "decode"))
    names = [name for name in ("tp", "pp", "ep") if mapping[name] != 1]
    return " ".join(f"{name}={mapping[name]}" for name in names) or "tp=1"


def shortfall(document: Document) -> str:
    """Why no mapping is feasible, and the one that comes nearest."""
    head = f"no mapping of {document['model']} on {document['name']} meets the limits"
    if not document["mappings"]:
        return f"{head}: none fits {document['chips']} chips"
    margins = document["margins"]
    broken = [name for name in OPERATING if margins[name] < 0.0]
    lines = [f"  {name}: margin {percent(margins[name])}" for name in broken]
    near = f"the nearest is {mapping_text(document['mapping'])}"
    return "\n".join([f"{head}; {near}, which breaks", *lines])
