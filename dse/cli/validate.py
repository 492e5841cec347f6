"""`dse validate`: published measurements against the model."""

from __future__ import annotations

from pathlib import Path

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


@click.command("validate", short_help="Hold published measurements against the model.")
@click.argument(
    "files", nargs=-1, metavar="[CSV]...", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option("--software", metavar="NAME", help="One software spec for all rows.")
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many of the worst rows of each table are shown and broken down.",
)
@click.option("--csv", "table", metavar="FILE", help="Also write every row to a CSV file.")
@click.option(
    "--markdown",
    is_flag=True,
    help="Write the tables of errors as Markdown; -o keeps what a file has around its marks.",
)
@set_option
@specs_option
@output_options
def validate_command(
    files: tuple[Path, ...],
    software: str | None,
    worst: int,
    table: str | None,
    markdown: bool,
    settings: tuple[Setting, ...],
    specs: tuple[str, ...],
    output: Output,
) -> None:
    """Predict the runs of CSV files, by default all that are shipped, and show the errors.

    The columns say which table a file is: training, serving, GEMM, attention, collective, memory
    or power (specs/measured/README.md). Systems are found by name, models also in a models*.csv
    beside the file, software by the longest name of a spec that it begins with. What is blank
    takes the best mapping, the largest batch, BF16. A row that lacks its system, model, lengths
    or value is left out; any other that is not predicted counts as an error of 100 %.

    Without a CSV, die areas and design powers from parts are held against published ones too,
    each die left out of the fit that predicts it.

    --set lays a value over every software spec, such as software.matrix=0.8.

    \b
    dse validate
    dse validate runs.csv --software trtllm --worst 20
    """
    from dse.errors import UsageError
    from dse.evidence.fit_errors import read_lines
    from dse.evidence.measured import FITS, Resolver, measured_files, measured_folder, read_rows
    from dse.spec.load import load
    from dse.spec.workload import Software

    if markdown and output.as_json:
        raise UsageError("--json and --markdown are two forms of one output")
    check_folder(table)
    catalogue = catalogue_of(specs)
    chosen = list(files) or measured_files()
    resolver = Resolver.beside(chosen, catalogue, software or "", _of_software(settings))
    rows = read_rows(chosen)
    # said before the work: a stack that is none, a path that no software has
    load(Software, software or "default", catalogue, resolver.settings)
    if not rows:
        warn("Note: no file holds rows of a known table.")

    from dse.evidence.validate import validate
    from dse.report.calibrate import fits_markdown
    from dse.report.parts import parts_document, parts_markdown, parts_view
    from dse.report.validate import (
        around,
        validation_csv,
        validation_document,
        validation_markdown,
        validation_view,
    )

    found = validate(rows, resolver, say=warn, broken_down=0 if markdown else worst)
    parts = None if files else parts_document(catalogue)
    if table:
        Path(table).write_text(validation_csv(found), encoding="utf-8")
    if output.as_json:
        output.document(validation_document(found) | ({"parts": parts} if parts else {}))
    elif markdown:
        text = validation_markdown(found)
        if parts:
            fits = fits_markdown(read_lines(measured_folder() / FITS))
            text = f"{text.rstrip()}\n\n{fits}\n\n{parts_markdown(parts)}\n"
        output.text(around(output.file, text))
    else:
        output.show(*validation_view(found, worst), *(parts_view(parts) if parts else []))


def _of_software(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """--set assignments without a leading software; UsageError for those of other specs."""
    from dse.errors import UsageError

    for path, _ in settings:
        head, _, rest = path.partition(".")
        if rest and head != "software":
            raise UsageError(f"--set {path}: only software's values can be set here")
    return tuple((path.removeprefix("software."), text) for path, text in settings)
