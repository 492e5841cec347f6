"""`dse run` and `dse front`: a study searched, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dse.cli.failure import warn
from dse.cli.options import (
    Output,
    Setting,
    catalogue_of,
    output_options,
    set_option,
    specs_option,
)

RUNS = "runs"


@click.command("run", short_help="Search a study for its best designs.")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option("--method", metavar="NAME", help="nsga2, random or exact; default: the study's.")
@click.option(
    "--budget", type=click.IntRange(min=1), help="Designs to evaluate; default: the study's."
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Where random choices start; default: the study's."
)
@click.option("--fresh", is_flag=True, help="Set a run that is there aside and begin anew.")
@click.option(
    "--json", "as_json", is_flag=True, help="Write the front as JSON, of several studies a list."
)
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="The run's folder; of several studies, the folder of their folders.  "
    "[default: runs/STUDY]",
)
@set_option
@specs_option
def run_command(
    studies: tuple[str, ...],
    method: str | None,
    budget: int | None,
    seed: int | None,
    fresh: bool,
    as_json: bool,
    folder: str | None,
    settings: tuple[Setting, ...],
    specs: tuple[str, ...],
) -> None:
    """Search STUDY for its best designs and show the front.

    Every batch is on the disk before it is reported. The same command goes on where a former one
    ended or was stopped, a larger budget continues, and a finished run returns at once.

    \b
    dse run trainium4-decode
    dse run trainium4-decode --budget 20000
    """
    from dse.spec.study import load_study

    catalogue = catalogue_of(specs)
    loaded = [load_study(name, catalogue, settings) for name in studies]
    asked = {"method": method, "budget": budget, "seed": seed, "fresh": fresh}
    datas = [_searched(each, _folder(each.name, folder, len(loaded)), asked) for each in loaded]
    _show(datas, Output(as_json=as_json, file="-"))


def _folder(name: str, given: str | None, number: int) -> Path:
    if given is None:
        return Path(RUNS) / name
    return Path(given) if number == 1 else Path(given) / name


def _searched(study: Any, folder: Path, asked: dict[str, Any]) -> Any:
    """Runs one study to its end and gives what the run holds."""
    from dse.report.progress import reporting
    from dse.search.problem import StudyProblem
    from dse.search.run import load, run

    method = asked["method"] or study.method
    budget = asked["budget"] or study.budget
    seed = study.seed if asked["seed"] is None else asked["seed"]
    try:
        with reporting(study.name) as report:
            problem = StudyProblem(study)
            result = run(
                problem,
                method,
                budget,
                seed,
                folder,
                fresh=asked["fresh"],
                initial=problem.initial,
                on_progress=report.update,
            )
    except KeyboardInterrupt:
        if (folder / "run.json").exists():
            warn(f"\nWhat was reported is kept in {folder}; the same command resumes.")
        raise
    warn(
        f"{study.name}: {result.evaluated:,} designs evaluated, {result.feasible:,} feasible, "
        f"{len(result.front):,} on the front; in {folder}"
    )
    return load(folder)


@click.command("front", short_help="Show the Pareto front of a run.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, all designs and references.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help="Designs to show, spread over the front; 0 for all.  [default: 20 in tables]",
)
@output_options
def front_command(runs: tuple[str, ...], as_csv: bool, limit: int | None, output: Output) -> None:
    """Show the Pareto front of RUN (a name under runs/, or a folder) with the references.

    \b
    dse front trainium4-decode
    dse front trainium4-decode --csv -o front.csv
    """
    from dse.errors import UsageError
    from dse.search.run import load

    if as_csv and output.as_json:
        raise UsageError("--csv and --json contradict each other")
    if as_csv and len(runs) > 1:
        raise UsageError("--csv writes one run at a time")
    _show([load(_place(name)) for name in runs], output, as_csv=as_csv, limit=limit)


def _place(name: str) -> Path:
    """The folder of a run: the one of that path, or that name under runs/."""
    given, under = Path(name), Path(RUNS) / name
    if (given / "run.json").exists() or under == given:
        return given
    if given.is_absolute() or (given.exists() and not under.exists()):
        return given
    return under if under.exists() or "/" not in name else given


def _show(
    datas: list[Any], output: Output, *, as_csv: bool = False, limit: int | None = None
) -> None:
    """Writes the fronts; raises NothingFeasible for runs without a feasible design."""
    from dse.errors import NothingFeasible
    from dse.report.front import check_described, front_csv, front_view, thinned, unmet
    from dse.search.result import front_document

    for data in datas:
        check_described(data)
    documents = [front_document(data) for data in datas]
    if output.as_json or as_csv:
        documents = [thinned(each, limit or 0) for each in documents]
    if output.as_json:
        output.document(documents[0] if len(documents) == 1 else documents)
    elif as_csv:
        output.text(front_csv(documents[0]))
    else:
        shown = zip(datas, documents, strict=True)
        number = 20 if limit is None else limit
        output.show(*(part for d, f in shown for part in front_view(d.problem, f, number)))
    empty = [data for data, each in zip(datas, documents, strict=True) if not each["points"]]
    if empty:
        raise NothingFeasible("\n".join(map(unmet, empty)))
