"""The studies answered: results files, pictures and README, by `python -m dse.cli.answers`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dse.cli.explore import RUNS, searched
from dse.cli.failure import report_failure, warn

PART = 3
"""Designs of a part that is swept, at most, over the budget of the run, unless told otherwise."""


@click.command("answers", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option(
    "--runs",
    "folder",
    default=f"{RUNS}/answers",
    show_default=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the runs; one that is there goes on or returns at once.",
)
@click.option(
    "--into",
    default="studies",
    show_default=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the template, where results, pictures and README go.",
)
@click.option(
    "--budget", type=click.IntRange(min=1), help="Designs of each run; default: the study's."
)
@click.option(
    "--part",
    type=click.IntRange(min=0),
    metavar="N",
    help="Designs at most of the part of each space that is swept to judge the search; 0 for no "
    "such part.  [default: three times the budget]",
)
@click.option(
    "--samples",
    type=click.IntRange(min=2),
    default=2000,
    show_default=True,
    help="Samples of what is uncertain.",
)
@click.option("--fresh", is_flag=True, help="Set runs that are there aside and begin anew.")
@click.option("--render", is_flag=True, help="Write README from the results files alone.")
def answers_command(
    studies: tuple[str, ...],
    folder: Path,
    into: Path,
    budget: int | None,
    part: int | None,
    samples: int,
    fresh: bool,
    render: bool,
) -> None:
    """Search each STUDY with its variations, write its results file and picture, render README.

    Default: all studies of which the template has a section. README is written once all of these
    have results.

    \b
    python -m dse.cli.answers
    python -m dse.cli.answers trainium4-decode --budget 2000
    python -m dse.cli.answers --render
    """
    from dse.report.answers_page import QUESTIONS, RESULTS, TEMPLATE, answered, sections

    wanted = sections(into / TEMPLATE)
    asked: dict[str, Any] = {"budget": budget, "part": part, "samples": samples, "fresh": fresh}
    for name in () if render else studies or wanted:
        if name == QUESTIONS:
            _ask(into, samples)
        else:
            _answer(name, folder, into, asked)
    missing = [name for name in wanted if not (into / RESULTS / f"{name}.json").exists()]
    if missing:
        warn(f"README is not written: {', '.join(missing)} have no results yet")
        return
    (into / "README.md").write_text(answered(into), encoding="utf-8")
    warn(f"{into / 'README.md'} written")


def _ask(into: Path, samples: int) -> None:
    """Writes what is asked across studies."""
    from dse.report.answers import write_results
    from dse.report.answers_page import RESULTS
    from dse.report.questions import questions_document
    from dse.spec.catalog import Catalog

    found = questions_document(Catalog.default(), samples=samples, say=warn)
    warn(f"{write_results(found, into / RESULTS)} written")


def _answer(name: str, folder: Path, into: Path, asked: dict[str, Any]) -> None:
    """Runs a study with its variations and a swept part, and writes what they say."""
    from dse.errors import NothingFeasible
    from dse.report.answers import Found, answer_document, write_results
    from dse.report.answers_page import RESULTS
    from dse.report.front import unmet
    from dse.report.picture import front_svg
    from dse.search.result import front_document

    problem, data = _run(name, folder, asked)
    if not len(data.front):
        raise NothingFeasible(unmet(data))
    names = problem.study.variations
    varied = {each: _run(f"{name}@{each}", folder, asked, data) for each in names}
    part = None if data.swept else _part(problem, data, folder, asked["part"])
    found = Found(problem=problem, data=data, variations=varied, part=part)
    document = answer_document(found, samples=asked["samples"], say=warn)
    place = write_results(document, into / RESULTS)
    warn(f"{place}: {place.stat().st_size:,} bytes")
    if len(problem.objectives) > 1:
        picture = front_svg(data, front_document(data))
        (into / f"{name}.svg").write_text(picture, encoding="utf-8")


def _run(name: str, folder: Path, asked: dict[str, Any], base: Any = None) -> tuple[Any, Any]:
    """The problem of a study or variation, and its finished run; `base` is the study's own run."""
    from dse.search.attach import Attachment
    from dse.search.problem import StudyProblem
    from dse.spec.catalog import Catalog
    from dse.spec.study import load_study

    problem = StudyProblem(load_study(name, Catalog.default()))
    # the front of one is a good beginning for the other, unless all designs are swept
    warm = base if problem.study.method != "exact" else None
    options = {
        **dict.fromkeys(("method", "seed")),
        "budget": asked["budget"],
        "warm_start": warm,
        "fresh": asked["fresh"],
        "cluster": "",
        "attached": Attachment(mirror=False),
    }
    return problem, searched(problem, folder / name, options)


def _part(problem: Any, data: Any, folder: Path, most: int | None) -> tuple[Any, Any] | None:
    """A part of a study's space of at most so many designs, and its sweep."""
    from dse.report.progress import reporting
    from dse.search.attach import Attachment
    from dse.search.run import load, run
    from dse.search.subspace import part_of

    part = part_of(problem, data, PART * data.settings["budget"] if most is None else most)
    if part is None:
        return None
    place = folder / f"{problem.name}-part-{part.fingerprint}"
    with reporting(part.name) as report:
        attached = Attachment(mirror=False)
        run(part, "exact", 1, 0, place, attached=attached, on_progress=report.update)
    return part, load(place)


if __name__ == "__main__":
    try:
        answers_command(standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(report_failure(error, as_json=False))
