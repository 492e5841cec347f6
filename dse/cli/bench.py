"""`dse bench`: the speed of this installation."""

from __future__ import annotations

import click

from dse.cli.failure import warn
from dse.cli.options import Output, catalogue_of, output_options, specs_option


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
@specs_option
@output_options
def bench_command(
    designs: int, repeats: int, cold: bool, specs: tuple[str, ...], output: Output
) -> None:
    """Measure evaluations per CPU-second, designs a second, compilation and start-up.

    An evaluation is one design with one legal mapping; mappings that do not fit are not counted.
    """
    from dse.report.bench import bench_document, bench_view

    document = bench_document(catalogue_of(specs), designs, repeats, cold=cold, say=warn)
    if output.as_json:
        output.document(document)
    else:
        output.show(*bench_view(document))
