"""`dse feasible`: whether a design can be built, rule by rule."""

from __future__ import annotations

from pathlib import Path
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
@click.argument("system", metavar="SYSTEM|STUDY")
@click.option("-m", "--model", metavar="NAME", help="Language model, for the operating rules.")
@click.option("-w", "--workload", metavar="NAME", help="Workload, for the operating rules.")
@click.option("--chips", type=click.IntRange(min=1), help="Chips that work on it.")
@click.option(
    "--designs",
    type=click.IntRange(1, 100_000),
    default=512,
    show_default=True,
    help="Random designs, of a study.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of those designs.")
@click.option("--software", default="default", show_default=True, metavar="NAME")
@click.option("--facility", default="hyperscale-us", show_default=True, metavar="NAME")
@set_option
@specs_option
@output_options
def feasible_command(system: str, output: Output, designs: int, seed: int, **asked: Any) -> None:
    """Check SYSTEM against every rule of a design that can be built.

    Each rule has a value, a limit with its source, and the margin between them; a rule that is
    broken is shown with the leaf that decides it, its file and line. With a model and a workload
    the rules of the best operating point (mapping, memory, latencies) follow. Exit code 3 where a
    rule is broken; a limit that nobody declared is named and rejects nothing.

    Of a STUDY: the share of random designs of its space that each rule rejects.

    \b
    dse feasible gb200-nvl72
    dse feasible trn2-ultraserver --set chip.memory.stacks=12
    dse feasible h100-server -m llama-3.1-405b -w chat-decode
    dse feasible trainium4-decode --designs 1000
    """
    from dse.errors import NothingFeasible

    if bool(asked["model"]) != bool(asked["workload"]):
        raise UsageError("--model and --workload go together")
    if _is_study(system, asked):
        _of_study(system, designs, seed, output, asked)
        return
    name, documents = _documents(system, asked)

    from dse.report.feasible import broken_text, feasible_view

    if output.as_json:
        output.document(documents)
    else:
        output.show(*feasible_view(name, documents))
    if any(each["state"] == "broken" for each in documents):
        raise NothingFeasible(broken_text(name, documents))


def _is_study(name: str, asked: dict[str, Any]) -> bool:
    """Whether a name, or a file, is a study's or its variation's and no system's or chip's."""
    from dse.spec.catalog import head
    from dse.spec.variation import parted

    name, _ = parted(name)
    if name.endswith(".toml"):
        return Path(name).is_file() and head(Path(name)).get("kind") == "study"
    kinds = {each.kind for each in catalogue_of(asked["specs"]).entries if each.name == name}
    return kinds == {"study"}


def _of_study(name: str, designs: int, seed: int, output: Output, asked: dict[str, Any]) -> None:
    """Shares of a study's random designs that break each rule."""
    from dse.errors import NothingFeasible
    from dse.spec.study import load_study

    if asked["workload"] or asked["chips"]:
        raise UsageError("a study names its own models, workloads and chips")
    study = load_study(name, catalogue_of(asked["specs"]), asked["settings"])

    from dse.report.feasible_study import study_rules, study_view

    document = study_rules(study, designs, seed)
    if output.as_json:
        output.document(document)
    else:
        output.show(*study_view(document))
    if not document["feasible"]:
        raise NothingFeasible(f"none of {designs} random designs of {name} keeps every rule")


def _documents(system: str, asked: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The name of a design, and all rules that it is held against."""
    from dse.cli.question import divided
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
    from dse.cli.question import asked_specs
    from dse.spec.space import fixed

    (made,), parts = asked_specs((system,), asked)

    from dse.model.evaluator import Question, evaluate
    from dse.model.pytree import lower, stack
    from dse.report.evaluation import evaluation_document

    made, question = fixed(made), Question(**parts)
    found = evaluate(stack([lower(made)]), question)
    return evaluation_document(found, 0, made, question), {**parts, "system": made}
