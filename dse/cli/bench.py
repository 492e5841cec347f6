"""`dse bench`: the speed of this installation, and of its searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dse.cli.failure import warn
from dse.cli.options import Output, catalogue_of, output_options, specs_option

SPACE = "trainium4-million"
"""The study that is searched unless another is named: its front is known exactly."""


@click.command("bench", short_help="Measure the speed of this installation.")
@click.option(
    "--designs",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Random designs of the study trainium4-decode that are evaluated.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Measurements of which the median is taken.",
)
@click.option("--cold", is_flag=True, help="Also measure compilation, which takes a while.")
@click.option(
    "--search",
    metavar="STUDY",
    is_flag=False,
    flag_value=SPACE,
    help=f"Compare the methods of `dse run` on a study instead.  [without a name: {SPACE}]",
)
@click.option(
    "--methods",
    metavar="NAMES",
    default="hybrid,nsga2,nsga2:20,tpe,qmc,random",
    show_default=True,
    help="With --search: methods, separated by commas; nsga2:20 has generations of 20.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="With --search."
)
@click.option(
    "--evaluations",
    type=click.IntRange(min=100),
    default=10_000,
    show_default=True,
    help="With --search: of each run; TPE is given 2,000 at most.",
)
@click.option(
    "--clock",
    type=click.Choice(["wall", "cpu"]),
    default="wall",
    show_default=True,
    help="With --search: seconds of the wall clock, or of the processor on a busy machine.",
)
@click.option(
    "--folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --search: where finished runs are kept.  [default: runs/bench-STUDY]",
)
@click.option(
    "--markdown",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --search: a file between whose markers the tables go; plots are written beside it.",
)
@specs_option
@output_options
def bench_command(
    designs: int,
    repeats: int,
    cold: bool,
    search: str | None,
    specs: tuple[str, ...],
    output: Output,
    **options: Any,
) -> None:
    """Measure evaluations per CPU-second, designs a second, compilation and start-up.

    An evaluation is one design with one legal mapping; mappings that do not fit are not counted.

    With --search, measure instead how much of the front each search method finds, at equal
    evaluations and at equal time. Finished runs are kept, so the same command goes on.

    \b
    dse bench
    dse bench --search
    dse bench --search trainium4-memory --seeds 3 --evaluations 1000
    """
    if search is not None:
        _compare(search, specs, output, **options)
        return
    from dse.report.bench import bench_document, bench_view

    document = bench_document(catalogue_of(specs), designs, repeats, cold=cold, say=warn)
    if output.as_json:
        output.document(document)
    else:
        output.show(*bench_view(document))


def _compare(
    name: str,
    specs: tuple[str, ...],
    output: Output,
    *,
    methods: str,
    seeds: int,
    evaluations: int,
    clock: str,
    folder: Path | None,
    markdown: Path | None,
) -> None:
    from dse.errors import UsageError
    from dse.report.comparison import Asked, comparison_document, comparison_view
    from dse.search.compare import check_label
    from dse.spec.study import load_study

    listed = list(dict.fromkeys(filter(None, map(str.strip, methods.split(",")))))
    for label in listed:
        check_label(label)
    if not listed:
        raise UsageError("--methods names nothing to compare")
    study = load_study(name, catalogue_of(specs))
    asked = Asked(
        study=study,
        methods=listed,
        seeds=seeds,
        evaluations=evaluations,
        folder=folder or Path("runs") / f"bench-{study.name}",
        clock="seconds" if clock == "wall" else "cpu",
    )
    document = comparison_document(asked, warn)
    if markdown is not None:
        _write(document, markdown, _command(asked, name, clock))
    if output.as_json:
        output.document(document)
    else:
        output.show(*comparison_view(document))


def _command(asked: Any, name: str, clock: str) -> str:
    """What made the tables, for whoever reads them."""
    parts = ["dse bench --search", name, f"--methods {','.join(asked.methods)}"]
    parts += [f"--seeds {asked.seeds}", f"--evaluations {asked.evaluations}"]
    return " ".join(parts + ([f"--clock {clock}"] if clock != "wall" else []))


def _write(document: Any, place: Path, command: str) -> None:
    """The tables into the file, the plots beside it."""
    from dse.report.comparison import comparison_markdown, comparison_plots, replace_section

    plots = {f"{document['study']}-{k}.svg": v for k, v in comparison_plots(document).items()}
    replace_section(place, comparison_markdown(document, command, list(plots)))
    for name, text in plots.items():
        (place.parent / name).write_text(text, encoding="utf-8")
    warn(f"{place}: tables replaced; {' and '.join(plots)} written beside it")
