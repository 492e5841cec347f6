"""`dse explain`: why a point of a run is what it is."""

from __future__ import annotations

import click

from dse.cli.options import Output, catalogue_of, output_options, specs_option


@click.command("explain", short_help="Explain one point of a run.")
@click.argument("run")
@click.argument("point")
@click.option("--against", default="", metavar="POINT", help="Compare with a reference or point.")
@click.option("--formulas", is_flag=True, help="Show formulas with their numbers and sources.")
@click.option(
    "--study", default="", metavar="NAME", help="The study or its file; default: of the run's name."
)
@specs_option
@output_options
def explain_command(
    run: str,
    point: str,
    against: str,
    formulas: bool,
    study: str,
    specs: tuple[str, ...],
    output: Output,
) -> None:
    """Explain POINT of RUN: where its time, memory, power and money go, what binds and helps it.

    POINT is a number of `dse front RUN`, the name of a reference, knee, where the front bends most,
    or nearest, the design that violates least. The model evaluates it again at the operating point
    that the run logged.

    \b
    dse explain trainium4-decode 1 --against trn2-ultraserver
    dse explain trainium4-decode gb200-nvl72 --formulas
    """
    from dse.cli.explore import run_folder
    from dse.search.run import load

    data = load(run_folder(run))

    from dse.report.detail import problem_of
    from dse.report.explain import explain_view, explained
    from dse.report.front import check_described

    check_described(data)
    problem = problem_of(data, catalogue_of(specs), study)
    document = explained(data, problem, point, against, formulas=formulas)
    if output.as_json:
        output.document(document)
    else:
        output.show(*explain_view(document))
