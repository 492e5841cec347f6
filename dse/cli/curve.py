"""`dse curve`: throughput per chip against tokens per second and user."""

from __future__ import annotations

from typing import Any

import click

from dse.cli.failure import warn
from dse.cli.options import Output, Setting, output_options, set_option, specs_option
from dse.cli.question import asked_specs, parts_options


@click.command("curve", short_help="Throughput per chip against tokens a user receives.")
@click.argument("systems", nargs=-1, required=True, metavar="SYSTEM...")
@parts_options
@set_option
@specs_option
@output_options
def curve_command(
    systems: tuple[str, ...],
    settings: tuple[Setting, ...],
    specs: tuple[str, ...],
    output: Output,
    **asked: Any,
) -> None:
    """Show what each SYSTEM gives up in tokens per chip so that users receive theirs quicker.

    \b
    dse curve trn3-ultraserver-gen2 gb200-nvl72 -m deepseek-v3 -w chat-decode

    Every mapping and batch is tried; the curve holds those that no other beats in both. Latency
    limits of the workload are left aside. Workloads decode or serve.
    """
    from dse.errors import NothingFeasible

    found, parts = asked_specs(systems, {**asked, "settings": settings, "specs": specs})

    from dse.model.curve import curve
    from dse.model.evaluator import Question
    from dse.model.pytree import lower
    from dse.report.curve import curve_document, curve_view
    from dse.spec.space import fixed

    question = Question(**parts)
    documents = []
    for system in found:
        points = curve(lower(fixed(system)), question)
        if not points:
            warn(f"Note: {parts['model'].name} does not fit {system.name} in any mapping.")
        chips = int(parts["workload"].chips or system.all_chips)
        documents.append(curve_document(system.name, parts["workload"].phase, chips, points))
    if not any(document["points"] for document in documents):
        raise NothingFeasible(f"{parts['model'].name} fits none of these systems")
    if output.as_json:
        output.document(documents)
    else:
        output.show(*curve_view(documents))
