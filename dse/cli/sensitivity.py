"""`dse sensitivity`: what would change a system's figures, and what its limits are worth."""

from __future__ import annotations

from typing import Any

import click

from dse.cli.options import Output, output_options, set_option, specs_option
from dse.cli.question import (
    asked_question,
    checked_words,
    objective_option,
    parts_options,
    price_basis_option,
)


@click.command("sensitivity", short_help="What each number of a system is worth to a metric.")
@click.argument("system")
@parts_options
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="METRIC",
    help="Whose elasticities; repeatable.  [default: the objective]",
)
@objective_option
@price_basis_option
@click.option("--sources", is_flag=True, help="Rank by elasticity x weakness of the source.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Leaves in a table; 0 for all.",
)
@set_option
@specs_option
@output_options
def sensitivity_command(
    system: str,
    metrics: tuple[str, ...],
    sources: bool,
    limit: int,
    output: Output,
    **asked: Any,
) -> None:
    """Show how a metric answers to each number of SYSTEM, of the software, the facility, the task.

    Elasticities are exact derivatives, d ln(metric)/d ln(leaf), at the best mapping, which is
    held, while the batch moves with memory and latency limits; at a kink both sides are given.
    Counts have the changes that one less and one more make. Limits that bind have their price.

    With --sources, inputs are ranked by what their doubt moves: elasticity times half the interval
    of the source, or what its confidence allows (vendor 2 %, third-party 5, estimate 15,
    projection 25, assumption 40).

    \b
    dse sensitivity trn2-ultraserver -m llama-3.3-70b -w chat-decode
    dse sensitivity gb200-nvl72 -m llama-3.3-70b -w chat-decode --sources
    """
    from dse.errors import NothingFeasible

    checked_words(asked)
    wanted = metrics or (asked["objective"],)
    for metric in wanted:
        checked_words({**asked, "objective": metric}, option="--metric")
    made, question = asked_question(system, asked)

    from dse.model.evaluator import evaluate
    from dse.model.pytree import lower, stack
    from dse.report.evaluation import evaluation_document, shortfall
    from dse.report.sensitivity import ranked, sensitivity_rows, sensitivity_view

    found = evaluate(stack([lower(made)]), question)
    if not found.feasible[0]:
        raise NothingFeasible(shortfall(evaluation_document(found, 0, made, question)))
    rows = ranked(sensitivity_rows(made, question, found.rows[0], wanted), by_source=sources)
    if output.as_json:
        output.document(rows)
        return
    title = f"{made.name}: {question.model.name}, {question.workload.name}"
    output.show(*sensitivity_view(title, rows, limit, by_source=sources))
