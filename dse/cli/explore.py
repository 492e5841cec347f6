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
    check_folder,
    output_options,
    set_option,
    specs_option,
)
from dse.cli.robust import Sampling, robust_options, robust_part, sampled

RUNS = "runs"

SHOWN = 20
"""Designs of a front that a table shows unless told otherwise."""


@click.command("run", short_help="Search a study for its best designs.")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option(
    "--method",
    metavar="NAME",
    help="hybrid, gradient, nsga2, tpe (some 20 designs a second: up to 2,000), qmc, random or "
    "exact; default: the study's.",
)
@click.option(
    "--budget", type=click.IntRange(min=1), help="Designs to evaluate; default: the study's."
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Where random choices start; default: the study's."
)
@click.option(
    "--cluster",
    metavar="ADDR",
    default="",
    help="Sweep (method exact) on local:N workers of this machine (local:NxC: of C processors "
    "each), or a scheduler's tcp://HOST:PORT.",
)
@click.option(
    "--warm-start", metavar="RUN", help="Begin with the front of another run, mapped by path."
)
@click.option(
    "--storage",
    metavar="URL",
    help="Where the Optuna study is kept: sqlite:///FILE for one process, or "
    "postgresql://HOST/NAME, where all that name it search together.  "
    "[default: optuna.log in the run's folder]",
)
@click.option("--no-mirror", is_flag=True, help="Keep no Optuna study beside the log.")
@click.option(
    "--goal",
    metavar="EXPR",
    help='Find the one design that meets a target: "tokens_per_usd >= 1.3 * gb200-nvl72".',
)
@click.option(
    "--prefer",
    type=click.Choice(["cheapest", "least-changed"]),
    default="cheapest",
    show_default=True,
    help="Which of the designs that meet the goal.",
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
    cluster: str,
    warm_start: str | None,
    storage: str | None,
    no_mirror: bool,
    goal: str | None,
    prefer: str,
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
    dse run trainium4-decode --goal "tokens_per_usd >= 1.3 * gb200-nvl72"
    dse run trainium4-decode --storage postgresql://me@host/studies
    """
    from dse.search.attach import Attachment
    from dse.search.problem import StudyProblem
    from dse.search.record import load
    from dse.spec.study import load_study

    catalogue = catalogue_of(specs)
    loaded = [load_study(name, catalogue, settings) for name in studies]
    attached = Attachment(url=storage, mirror=not no_mirror)
    warm = None if warm_start is None else load(run_folder(warm_start))
    asked: dict[str, Any] = {
        "method": method,
        "budget": budget,
        "seed": seed,
        "cluster": cluster,
        "fresh": fresh,
    }
    asked |= {"warm_start": warm, "attached": attached}
    if goal is not None:
        from dse.cli.goal import answered, show
        from dse.errors import UsageError

        if len(loaded) > 1 or cluster or warm_start:
            raise UsageError("--goal takes one study, and neither --cluster nor --warm-start")
        place = _folder(f"{loaded[0].name}-goal", folder, 1)
        show(answered(loaded[0], goal, prefer, place, asked), Output(as_json=as_json, file="-"))
        return
    places = [_folder(each.name, folder, len(loaded)) for each in loaded]
    if folder is None and storage is not None:
        places = [attached.own_folder(place) for place in places]
    problems = map(StudyProblem, loaded)
    datas = [searched(*each, asked) for each in zip(problems, places, strict=True)]
    _show(datas, Output(as_json=as_json, file="-"), limit=None if as_json else SHOWN)


def _folder(name: str, given: str | None, number: int) -> Path:
    if given is None:
        return Path(RUNS) / name
    return Path(given) if number == 1 else Path(given) / name


def searched(problem: Any, folder: Path, asked: dict[str, Any]) -> Any:
    """Runs a study's problem to its end and gives what the run holds."""
    from dse.report.progress import reporting
    from dse.search.approach import compared
    from dse.search.run import load, run

    study = problem.study
    method = asked["method"] or study.method
    budget = asked["budget"] or study.budget
    seed = study.seed if asked["seed"] is None else asked["seed"]
    if method == "tpe" and budget > 2_000:
        warn("tpe proposes some 20 designs a second, fewer as the log grows: nsga2 takes 500")
    try:
        with reporting(study.name) as report:
            result = run(
                problem,
                method,
                budget,
                seed,
                folder,
                fresh=asked["fresh"],
                cluster=asked["cluster"],
                initial=problem.initial,
                warm_start=asked["warm_start"],
                attached=asked["attached"],
                on_progress=report.update,
            )
    except KeyboardInterrupt:
        if (folder / "run.json").exists():
            warn(f"\nWhat was reported is kept in {folder}; the same command resumes.")
        raise
    warn(
        f"{study.name}: {result.evaluated:,} designs evaluated, "
        f"{f'{result.pruned:,} pruned before, ' if result.pruned else ''}"
        f"{result.feasible:,} feasible, "
        f"{len(result.front):,} on the front{_speed(result)}; in {folder}"
    )
    return compared(problem, load(folder))


def _speed(result: Any) -> str:
    """Nothing is said of a run that was there already."""
    rate = result.designs_per_s
    return f", {rate:,.0f} designs/s after the first batch" if rate else ""


@click.command("front", short_help="Show the Pareto front of a run.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, all designs and references.")
@click.option(
    "--svg",
    "picture",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write a picture of the first two objectives instead.",
)
@click.option(
    "--parquet",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the columns of --csv as Parquet instead; takes the extra dse[parquet].",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Designs at most, which stand for those left out.  [default: 20 in tables]",
)
@click.option("--all", "whole", is_flag=True, help="Show all designs of the front.")
@robust_options
@output_options
def front_command(
    runs: tuple[str, ...],
    as_csv: bool,
    picture: str | None,
    parquet: str | None,
    limit: int | None,
    whole: bool,
    output: Output,
    robust: Sampling,
) -> None:
    """Show the Pareto front of RUN (a name under runs/, or a folder) with the references.

    With --robust, what is uncertain is sampled: how often each design stays on the front, bands
    of its objectives, and the input that decides who is best.

    \b
    dse front trainium4-decode
    dse front trainium4-decode --csv -o front.csv
    dse front trainium4-decode --svg front.svg
    dse front trainium4-decode --robust --samples 4000
    """
    from dse.errors import UsageError
    from dse.search.run import load

    if as_csv and output.as_json:
        raise UsageError("--csv and --json contradict each other")
    if whole and limit is not None:
        raise UsageError("--all and --limit contradict each other")
    if as_csv and len(runs) > 1:
        raise UsageError("--csv writes one run at a time")
    if picture is not None or parquet is not None:
        if len(runs) > 1 or as_csv or output.as_json:
            raise UsageError("--svg and --parquet write one run, without --csv and --json")
        check_folder(picture)
        check_folder(parquet)
        _export(runs[0], picture, parquet)
        return
    if not (whole or limit or as_csv or output.as_json):
        limit = SHOWN
    datas = [load(run_folder(name)) for name in runs]
    _show(datas, output, as_csv=as_csv, limit=limit, robust=robust)


def _export(run: str, picture: str | None, parquet: str | None) -> None:
    """Writes one run's front as files; raises NothingFeasible where there is none."""
    from dse.errors import NothingFeasible
    from dse.report.front import check_described, unmet
    from dse.report.parquet import front_parquet
    from dse.report.picture import front_svg
    from dse.search.result import front_document
    from dse.search.run import load

    data = load(run_folder(run))
    check_described(data)
    document = front_document(data)
    if not document["points"]:
        raise NothingFeasible(unmet(data))
    if picture is not None:
        Output(as_json=False, file=picture).text(front_svg(data, document))
    if parquet is not None:
        front_parquet(document, Path(parquet))


def run_folder(name: str) -> Path:
    """The folder of a run: the one of that path, or that name under runs/."""
    given, under = Path(name), Path(RUNS) / name
    if (given / "run.json").exists() or under == given:
        return given
    if given.is_absolute() or (given.exists() and not under.exists()):
        return given
    return under if under.exists() or "/" not in name else given


def _show(
    datas: list[Any],
    output: Output,
    *,
    as_csv: bool = False,
    limit: int | None,
    robust: Sampling | None = None,
) -> None:
    """Writes the fronts; raises NothingFeasible for runs without a feasible design."""
    from dse.errors import NothingFeasible
    from dse.report.front import check_described, front_csv, front_view, shortened, unmet
    from dse.search.result import front_document

    for data in datas:
        check_described(data)
    documents = [front_document(data) for data in datas]
    if robust and robust.wanted:
        documents = [sampled(*each, robust) for each in zip(datas, documents, strict=True)]
    pairs = list(zip([data.problem for data in datas], documents, strict=True))
    if output.as_json or as_csv:
        documents = [shortened(problem, each, limit) for problem, each in pairs]
    if output.as_json:
        output.document(documents[0] if len(documents) == 1 else documents)
    elif as_csv:
        output.text(front_csv(documents[0]))
    else:
        views = [(front_view(*pair, limit), robust_part(*pair, limit)) for pair in pairs]
        output.show(*(part for view, more in views for part in (*view, *more)))
    empty = [data for data, each in zip(datas, documents, strict=True) if not each["points"]]
    if empty:
        raise NothingFeasible("\n".join(map(unmet, empty)))
