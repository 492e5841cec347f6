"""What commands ask of systems: options for model and workload, specs loaded, words checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dse.cli.failure import warn
from dse.cli.options import Setting, catalogue_of

PARTS = ("model", "workload", "software", "facility")


def parts_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that name model, workload, software, facility and the number of chips."""
    for option in (
        click.option(
            "--chips",
            type=click.IntRange(min=1),
            help="Chips that work on it; default: one scale-up domain.",
        ),
        click.option("--facility", default="hyperscale-us", show_default=True, metavar="NAME"),
        click.option("--software", default="default", show_default=True, metavar="NAME"),
        click.option(
            "-w", "--workload", required=True, metavar="NAME", help="What is asked of it."
        ),
        click.option("-m", "--model", required=True, metavar="NAME", help="Language model."),
    ):
        command = option(command)
    return command


objective_option = click.option(
    "--objective",
    default="tokens_per_usd",
    show_default=True,
    metavar="METRIC",
    help="What the best mapping is best in.",
)
price_basis_option = click.option(
    "--price-basis",
    default="at-cost",
    show_default=True,
    metavar="BASIS",
    help="What chips are bought at: at-cost, design-partner or merchant.",
)


def asked_question(name: str, asked: dict[str, Any]) -> tuple[Any, Any]:
    """A system without free values, and the question that options ask it."""
    from dse.spec.space import fixed

    (system,), parts = asked_specs((name,), asked)
    return fixed(system), question_of(parts, asked)


def question_of(parts: dict[str, Any], asked: dict[str, Any]) -> Any:
    """The Question of specs, a price basis and an objective."""
    from dse.model.evaluator import Question
    from dse.spec.metrics import METRICS

    objective = asked["objective"]
    return Question(
        **parts,
        price_basis=asked["price_basis"],
        objective=objective,
        sense=METRICS[objective].better,
    )


def asked_specs(
    names: tuple[str, ...], asked: dict[str, Any], *, decodes: bool = False
) -> tuple[list[Any], dict[str, Any]]:
    """The systems of names, and the model, workload, software and facility asked for.

    `decodes` says whether the caller knows of systems that decode what others read.
    """
    import attrs

    from dse.spec.load import load
    from dse.spec.system import System

    catalogue = catalogue_of(asked["specs"])
    of_part, of_system = divided(asked["settings"])
    systems = [load(System, name, catalogue, of_system) for name in names]
    parts = _parts(asked, catalogue, of_part)
    if asked["chips"]:
        parts["workload"] = attrs.evolve(parts["workload"], chips=float(asked["chips"]))
    for system in systems:
        _note_free(system)
    if parts["workload"].decode_system and not decodes:
        warn(
            "Note: each system both reads and decodes here; decode_system is for eval and compare."
        )
    return systems, parts


def divided(settings: tuple[Setting, ...]) -> tuple[dict[str, list[Setting]], list[Setting]]:
    """--set assignments of model, workload, software, facility and decode system, and the rest."""
    of_part: dict[str, list[Setting]] = {name: [] for name in (*PARTS, "decode_system")}
    of_system = []
    for path, text in settings:
        head, _, rest = path.partition(".")
        if head in of_part and rest:
            of_part[head].append((rest, text))
        else:
            of_system.append((path, text))
    return of_part, of_system


def checked_words(asked: dict[str, Any], option: str = "--objective") -> None:
    """Raises UsageError for a metric or a price basis that is not known."""
    from dse.errors import UsageError, nearest
    from dse.spec.facility import PRICE_BASES
    from dse.spec.metrics import METRICS

    words = (
        (option, "objective", tuple(METRICS)),
        ("--price-basis", "price_basis", PRICE_BASES),
    )
    for named, key, known in words:
        if asked[key] not in known:
            hint = nearest(asked[key], known) or f"one of {', '.join(known)}"
            raise UsageError(f"{named} {asked[key]!r} is not known; {hint}")


def _parts(
    asked: dict[str, Any], catalogue: Any, settings: dict[str, list[Setting]]
) -> dict[str, Any]:
    """Model, workload, software, facility; every fault of all of them at once."""
    from dse.errors import InputError
    from dse.spec.fields import KINDS
    from dse.spec.load import load

    made: dict[str, Any] = {}
    findings: list[Any] = []
    for name in PARTS:
        try:
            made[name] = load(KINDS[name], asked[name], catalogue, settings[name])
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return made


def _note_free(system: Any) -> None:
    from dse.spec.space import free_values

    paths = [path for path, _ in free_values(system)]
    if paths:
        listed = ", ".join(paths[:5]) + (", ..." if len(paths) > 5 else "")
        warn(f"Note: {system.name} leaves {listed} free; its first or most likely value is taken.")
