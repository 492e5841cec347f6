"""`dse feasible`: whether a design can be built, rule by rule."""

from __future__ import annotations

from typing import Any

import click

from dse.cli.options import (
    Output,
    catalogue_of,
    output_options,
    set_option,
    specs_option,
)
from dse.errors import UsageError


@click.command("feasible", short_help="Each rule of a design, its margin, the line that breaks it.")
@click.argument("system")
@click.option("-m", "--model", metavar="NAME", help="Language model, for the operating rules.")
@click.option("-w", "--workload", metavar="NAME", help="Workload, for the operating rules.")
@click.option("--chips", type=click.IntRange(min=1), help="Chips that work on it.")
@click.option("--software", default="default", show_default=True, metavar="NAME")
@click.option("--facility", default="hyperscale-us", show_default=True, metavar="NAME")
@set_option
@specs_option
@output_options
def feasible_command(system: str, output: Output, **asked: Any) -> None:
    """Check SYSTEM against every rule of a design that can be built.

    Each rule has a value, a limit with its source, and the margin between them; a rule that is
    broken is shown with the leaf that decides it, its file and line. With a model and a workload
    the rules of the best operating point (mapping, memory, latencies) follow. Exit code 3 where a
    rule is broken; a limit that nobody declared is named and rejects nothing.

    \b
    dse feasible gb200-nvl72
    dse feasible trn2-ultraserver --set chip.memory.stacks=12
    dse feasible h100-server -m llama-3.1-405b -w chat-decode
    """
    from dse.errors import NothingFeasible

    if bool(asked["model"]) != bool(asked["workload"]):
        raise UsageError("--model and --workload go together")
    name, documents = _documents(system, asked)

    from dse.report.feasible import broken_text, feasible_view

    if output.as_json:
        output.document(documents)
    else:
        output.show(*feasible_view(name, documents))
    if any(each["state"] == "broken" for each in documents):
        raise NothingFeasible(broken_text(name, documents))


def _documents(system: str, asked: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The name of a design, and all rules that it is held against."""
    from dse.cli.evaluate import divided
    from dse.spec.load import load
    from dse.spec.origin import Origins
    from dse.spec.space import fixed
    from dse.spec.system import System

    catalogue = catalogue_of(asked["specs"])
    of_part, of_system = divided(asked["settings"])
    if any(of_part.values()) and not asked["workload"]:
        raise UsageError("--set of a model, workload, software or facility needs --workload")
    made = fixed(load(System, system, catalogue, of_system))
    places = {"system": Origins("system", system, catalogue, of_system)}

    from dse.report.feasible import operating_documents, rule_documents

    documents = rule_documents(made, places["system"])
    if asked["workload"]:
        evaluation, specs = _evaluated(system, asked)
        for part in ("workload", "software"):
            places[part] = Origins(part, asked[part], catalogue, of_part[part])
        documents += operating_documents(evaluation, specs, places)
    return made.name, documents


def _evaluated(system: str, asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A design at its best operating point, and the specs that it was asked with."""
    from dse.cli.evaluate import asked_specs
    from dse.spec.space import fixed

    (made,), parts = asked_specs((system,), asked)

    from dse.model.evaluator import Question, evaluate
    from dse.model.pytree import lower, stack
    from dse.report.evaluation import evaluation_document

    made, question = fixed(made), Question(**parts)
    found = evaluate(stack([lower(made)]), question)
    return evaluation_document(found, 0, made, question), {**parts, "system": made}
