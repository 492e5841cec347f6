"""`dse eval` and `dse compare`: systems under one workload."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from dse.cli.failure import warn
from dse.cli.options import (
    Output,
    catalogue_of,
    output_options,
    set_option,
    specs_option,
    uncertain_option,
)
from dse.cli.question import (
    asked_specs,
    checked_words,
    divided,
    objective_option,
    parts_options,
    price_basis_option,
    question_of,
)

DEGREES = ("tp", "pp", "ep", "micro_batch", "recompute", "zero", "cp", "virtual")
_POSITIVE = click.IntRange(min=1)


def question_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what is asked of a system; the command is called with `asked`."""

    @parts_options
    @price_basis_option
    @objective_option
    @click.option(
        "--batch",
        type=_POSITIVE,
        help="Sequences in flight; default: the most that the limits allow.",
    )
    @click.option("--tp", type=_POSITIVE, help="Fix the tensor parallel degree.")
    @click.option("--pp", type=_POSITIVE, help="Fix the number of pipeline stages.")
    @click.option("--ep", type=_POSITIVE, help="Fix the chips that share the experts.")
    @click.option("--micro-batch", type=_POSITIVE, help="Fix a training micro-batch.")
    @click.option("--recompute", type=click.IntRange(0, 1), help="Fix recomputation in training.")
    @click.option(
        "--zero", type=click.Choice(["0", "1", "2", "3"]), help="Fix the ZeRO stage in training."
    )
    @click.option("--cp", type=_POSITIVE, help="Fix the chips that share a sequence in training.")
    @click.option("--virtual", type=_POSITIVE, help="Fix the interleaved stages of one chip.")
    @click.option(
        "--samples",
        type=click.IntRange(1, 1_000_000),
        help="Sample what is uncertain so often: 5, 50 and 95 % of every metric.",
    )
    @click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the samples.")
    @uncertain_option
    @set_option
    @specs_option
    @output_options
    @functools.wraps(command)
    def wrapped(output: Output, **asked: Any) -> Any:
        names = ("system", "systems", "decode_system")
        subject = {name: asked.pop(name) for name in names if name in asked}
        return command(**subject, output=output, asked=asked)

    return wrapped


@click.command("eval", short_help="Evaluate a system under a workload.")
@click.argument("system")
@click.option(
    "--decode-system",
    metavar="NAME",
    help="Where answers are decoded; SYSTEM then reads the prompts alone.",
)
@click.option(
    "--formulas", is_flag=True, help="Show the formulas that matter, with numbers and sources."
)
@question_options
def eval_command(
    system: str, output: Output, asked: dict[str, Any], decode_system: str | None
) -> None:
    """Evaluate SYSTEM: every metric, what binds it, where time, memory, power and money go.

    The mapping is the best of all legal ones that keep the limits, the batch the largest,
    unless given. --set reaches the system's leaves, and with a leading model., workload.,
    software., facility. or decode_system. those specs' leaves.

    tokens_per_s is the speed of the running job. What a token costs, and a training run's days,
    dollars and MWh, count the time that failures and checkpoints take (goodput).

    Where --decode-system or the workload's decode_system names another system, SYSTEM reads the
    prompts and that one decodes, on as many chips of each as waste neither ("same": both on
    SYSTEM's kind); the limits hold for both together.

    \b
    dse eval trn2-ultraserver -m llama-3.3-70b -w chat-decode
    dse eval trn4-ultraserver -m llama-3.3-70b -w chat-decode --set chip.memory.stacks=12
    dse eval trn3-ultraserver-gen2 --decode-system cs-3 -m llama-3.1-8b -w chat-serve
    """
    from dse.errors import NothingFeasible

    document = _documents((system,), asked, decode_system)[0]
    if output.as_json:
        output.document(document)
    else:
        output.show(*_view(document))
    if not document["feasible"]:
        raise NothingFeasible(_shortfall(document))


@click.command("compare", short_help="Show systems side by side under a workload.")
@click.argument("systems", nargs=-1, required=True)
@question_options
def compare_command(systems: tuple[str, ...], output: Output, asked: dict[str, Any]) -> None:
    """Show SYSTEMS side by side under one workload, at its precisions and one price basis.

    A system that cannot meet the limits is shown with what it breaks. Under a workload with a
    decode_system, each reads the prompts of that one.

    \b
    dse compare trn2-ultraserver gb200-nvl72 -m llama-3.3-70b -w chat-decode
    """
    from dse.errors import NothingFeasible
    from dse.report.evaluation import comparison_view

    documents = _documents(systems, asked)
    if output.as_json:
        output.document(documents)
    else:
        output.show(*comparison_view(documents))
    infeasible = [document for document in documents if not document["feasible"]]
    if len(infeasible) == len(documents):
        raise NothingFeasible("\n".join(map(_shortfall, infeasible)))
    for document in infeasible:
        warn(f"Note: {_shortfall(document)}")


def _view(document: dict[str, Any]) -> list[Any]:
    """Tables of one evaluation, of one system or of two."""
    if "prefill" in document:
        from dse.report.disaggregation import disaggregation_view

        return disaggregation_view(document)
    from dse.report.evaluation import evaluation_view

    return evaluation_view(document)


def _shortfall(document: dict[str, Any]) -> str:
    """Why no mapping is feasible, of one system or of two."""
    if "prefill" in document:
        from dse.report.disaggregation import disaggregation_shortfall

        return disaggregation_shortfall(document)
    from dse.report.evaluation import shortfall

    return shortfall(document)


def _documents(
    names: tuple[str, ...], asked: dict[str, Any], decode_system: str | None = None
) -> list[dict[str, Any]]:
    """Evaluates systems; reads and checks everything before JAX is imported."""
    checked_words(asked)
    systems, parts = asked_specs(names, asked, decodes=True)
    second = _decoder(asked, parts["workload"], decode_system)

    from dse.spec.space import fixed

    question = question_of(parts, asked)
    if second is None:
        return _aggregated(systems, question, asked)
    from dse.report.disaggregation import disaggregated

    return [disaggregated(fixed(system), second, question) for system in systems]


def _aggregated(systems: list[Any], question: Any, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Each system alone, all in one call."""
    from dse.report.detail import evaluated
    from dse.spec.space import fixed

    pinned = {name: int(asked[name]) for name in DEGREES if asked[name] is not None}
    found, documents = evaluated(
        [fixed(system) for system in systems],
        question,
        pinned=pinned or None,
        batch=asked["batch"],
        formulas=asked.get("formulas", False),
    )
    if asked["samples"]:
        _add_bands(documents, systems, question, found.rows, asked)
    return documents


def _add_bands(
    documents: list[dict[str, Any]], systems: list[Any], question: Any, rows: Any, asked: Any
) -> None:
    """Adds bands over samples of what is uncertain to each system's document."""
    from dse.model.uncertainty import sample
    from dse.report.uncertainty import best_shares, relative_bands, uncertainty_document

    keys = ("seed", "uncertain", "batch")
    drawn = {"number": asked["samples"], **{key: asked[key] for key in keys}}
    found = [sample(s, question, r, **drawn) for s, r in zip(systems, rows, strict=True)]
    objective = question.objective
    compared = zip(best_shares(found, objective), relative_bands(found, objective), strict=True)
    for document, samples, (share, ratio) in zip(documents, found, compared, strict=True):
        document |= uncertainty_document(samples, list(document["metrics"]), objective)
        document |= {key: asked[key] for key in ("samples", "seed", "uncertain")}
        document |= {"best_share": share, "over_first": ratio}


def _decoder(asked: dict[str, Any], workload: Any, name: str | None) -> Any:
    """The system that decodes what another reads, or None; fixed degrees would name no side."""
    from dse.errors import UsageError
    from dse.spec.decoder import decoder
    from dse.spec.workload import SAME

    settings = divided(asked["settings"])[0]["decode_system"]
    if name and workload.phase == "pretrain":
        raise UsageError("--decode-system serves; pretrain has no decode")
    second = decoder(workload, catalogue_of(asked["specs"]), name or "", settings)
    given = [option for option in (*DEGREES, "batch", "samples") if asked[option] is not None]
    given += ["formulas"] if asked.get("formulas") else []
    if second is not None and given:
        raise UsageError(
            f"a decode system takes the best mappings, told in short; leave out {', '.join(given)}"
        )
    if settings and second in (None, SAME):
        raise UsageError("--set decode_system. needs a decode system of another name")
    return second
