"""Prefill on one system, decode on another, as data and tables."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from dse.model.disaggregation import Disaggregated, disaggregate, sides
from dse.model.evaluator import Question, evaluate
from dse.model.pytree import lower, stack
from dse.report.evaluation import evaluation_document, metric_cell, precisions, shortfall
from dse.report.figures import mapping_text, percent
from dse.report.terminal import Column, heading, note, table
from dse.spec.metrics import METRICS, meaningful
from dse.spec.workload import SAME

Document = dict[str, Any]


def disaggregated(first: Any, second: Any, question: Question) -> Document:
    """Prefill on system `first`, decode on `second` (SAME: on its like); without free values.

    UsageError for a workload that trains.
    """
    second = first if second == SAME else second
    answer = evaluate(stack([lower(second)]), sides(question)[1])
    found = disaggregate(stack([lower(first)]), question, answer)
    return disaggregation_document(found, 0, first, second, question)


def disaggregation_document(
    found: Disaggregated, index: int, first: Any, second: Any, question: Question
) -> Document:
    """Everything about one pair, with the evaluation of each side, as files hold it."""
    reading, answering = sides(question)
    made = {
        "prefill": evaluation_document(found.read, index, first, reading),
        "decode": evaluation_document(found.answer, index, second, answering),
    }
    names = meaningful(["serve"])
    written = {n: METRICS[n].written(float(found.metrics[n][index])) for n in names}
    margins = {name: float(value[index]) for name, value in found.margins.items()}
    kept = ("software", "facility", "price_basis")
    return {
        "name": f"{first.name} + {second.name}",
        "model": question.model.name,
        "workload": question.workload.name,
        "phase": question.workload.phase,
        **{key: made["prefill"][key] for key in kept},
        "objective": question.objective,
        "chips": made["prefill"]["chips"],
        "precision": precisions(question.workload),
        "feasible": bool(found.feasible[index]),
        "violated": [name for name, value in margins.items() if value < 0.0],
        "metrics": {"prefill_chips_share": float(found.share[index]), **written},
        "transfer_s": float(found.transfer[index]),
        **{key: {side: made[side][key] for side in made} for key in ("mapping", "breakdown")},
        "bound": " / ".join(each["bound"] for each in made.values()),
        "margins": margins,
        **made,
    }


def disaggregation_shortfall(document: Document) -> str:
    """Which side meets no limit, or that both do until the transfer is counted."""
    for side in ("prefill", "decode"):
        if not document[side]["feasible"]:
            return f"{side}: {shortfall(document[side])}"
    moved = f"{1e3 * document['transfer_s']:.3g} ms"
    return f"{document['name']}: with {moved} to move a prompt's cache, ttft is beyond its limit"


def disaggregation_view(document: Document) -> list[Any]:
    """What the pair gives, and the operating point of each side."""
    metrics = document["metrics"]
    names = list(metrics)
    parts: list[Any] = [
        Text(f"{document['name']}: {document['model']}, {document['workload']}", style="bold"),
        note(f"prefill takes {percent(metrics['prefill_chips_share'])} of the chips"),
        table(
            [
                Column("metric", names),
                Column(
                    "value", [metric_cell(name, metrics[name])[0] for name in names], right=True
                ),
                Column("unit", [metric_cell(name, metrics[name])[1] for name in names]),
            ]
        ),
    ]
    for side in ("prefill", "decode"):
        found = document[side]
        parts.append(heading(f"{side.capitalize()} on {found['name']}"))
        rate = metric_cell("tokens_per_s_per_chip", found["metrics"]["tokens_per_s_per_chip"])[0]
        parts.append(Text(f"{mapping_text(found['mapping'])}, {rate} tokens/s a chip"))
    return parts
