"""`dse front --robust`: options, and a front's document with its samples."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import attrs
import click

from dse.cli.failure import warn
from dse.cli.options import Command, catalogue_of, specs_option, uncertain_option


@attrs.frozen(kw_only=True)
class Sampling:
    """What --robust asks for."""

    wanted: bool
    samples: int
    seed: int
    uncertain: str
    study: str
    specs: tuple[str, ...]


def robust_options(command: Command) -> Command:
    """Adds --robust and what goes with it; the command is called with `robust`."""

    @click.option("--robust", is_flag=True, help="Sample what is uncertain.")
    @click.option(
        "--samples",
        type=click.IntRange(1, 100_000),
        default=2000,
        show_default=True,
        help="Of --robust.",
    )
    @click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the samples.")
    @uncertain_option
    @click.option(
        "--study",
        default="",
        metavar="NAME",
        help="The run's study or its file; default: of the run's name.",
    )
    @specs_option
    @functools.wraps(command)
    def wrapped(*args: Any, robust: bool, **options: Any) -> Any:
        names = ("samples", "seed", "uncertain", "study", "specs")
        asked = {name: options.pop(name) for name in names}
        return command(*args, robust=Sampling(wanted=robust, **asked), **options)

    return wrapped


def sampled(data: Any, document: dict[str, Any], asked: Sampling) -> dict[str, Any]:
    """A front's document, thinned where it is long, with its samples."""
    from dse.report.detail import problem_of
    from dse.report.front import shortened
    from dse.report.progress import counting
    from dse.report.robust import MOST, add_robustness

    number = len(document["points"])
    if not number:
        return document
    if number > MOST:
        warn(f"{MOST} of the {number:,} designs on the front are sampled, spread over it")
    document = shortened(data.problem, document, MOST)
    problem = problem_of(data, catalogue_of(asked.specs), asked.study)
    designs = len(document["points"]) + len(document["references"])
    with counting(f"{asked.samples:,} samples of each design", designs) as told:
        add_robustness(
            problem,
            document,
            number=asked.samples,
            seed=asked.seed,
            uncertain=asked.uncertain,
            on_progress=told,
        )
    return document


def robust_part(
    described: Mapping[str, Any], document: dict[str, Any], limit: int | None
) -> list[Any]:
    """Tables of the samples, where there are any."""
    if "robust" not in document:
        return []
    from dse.report.front import shortened
    from dse.report.robust import robust_view

    return robust_view(described, shortened(described, document, limit))
