"""`dse calibrate`: a software stack's efficiencies from measured rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dse.cli.failure import warn
from dse.cli.options import Setting, catalogue_of, check_folder, set_option, specs_option


@click.command("calibrate", short_help="Fit a software stack to measurements.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="CSV...",
    type=click.Path(dir_okay=False, path_type=Path),
)
@click.option(
    "--software",
    "names",
    required=True,
    multiple=True,
    metavar="NAME",
    help="The stack to fit; several are fitted together.",
)
@click.option(
    "--pool",
    default="",
    metavar="NAME",
    help="With several stacks: the stack of what they have in common, their base.",
)
@click.option(
    "--versions",
    is_flag=True,
    help="Rows of versions with files of their own count too; implied by --pool.",
)
@click.option(
    "--base", default="default", show_default=True, metavar="NAME", help="The stack to start from."
)
@click.option(
    "--rows",
    "family",
    metavar="NAME",
    help="Which rows: those whose software begins so.  [default: the stack's name]",
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    type=click.Choice(["train", "memory", "serve", "gemm", "attention", "collective"]),
    help="Only rows of this table; may be repeated.  [default: all]",
)
@click.option("--quick", is_flag=True, help="Leave out the fits with parts of the rows left out.")
@click.option("--replace", is_flag=True, help="Write over a file that exists.")
@click.option(
    "--errors",
    metavar="CSV",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the errors in this file too, in place of the stack's former ones.",
)
@set_option
@specs_option
@click.option("--json", "as_json", is_flag=True, help="Write the figures as JSON to stdout.")
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    help="The file to write, the folder with --pool or --versions.  [default: NAME.toml, .]",
)
def calibrate_command(
    files: tuple[Path, ...],
    names: tuple[str, ...],
    pool: str,
    versions: bool,
    base: str,
    family: str | None,
    tables: tuple[str, ...],
    quick: bool,
    replace: bool,
    errors: Path | None,
    settings: tuple[Setting, ...],
    specs: tuple[str, ...],
    as_json: bool,
    file: str | None,
) -> None:
    """Fit at most twelve efficiencies of a software stack to measured rows, by gradient.

    \b
    dse calibrate specs/measured/serve.csv --software vllm
    dse calibrate specs/measured/train.csv --software megatron --versions -o specs/software
    dse calibrate specs/measured/train.csv --software megatron --software nemo --pool training

    Rows are those whose software column begins with the stack's name and for which no longer name
    has a file. With --versions, rows of versions whose files have the stack as their base count
    too: they share its numbers and have one factor each, maturity, where their file gives one.
    What the files say of themselves and is not fitted (fused attention, nothing overlapped) stays.

    With --pool several stacks are fitted together: each has numbers of its own, drawn to those
    that are common to all, so that one of few rows, or of one chip, learns from the others.

    Errors come in five kinds: of the rows fitted, of rows left out in turn, of whole sources, of
    compute-die families, and before any fit. The file that is written holds the numbers with
    their intervals, and is found by dse validate where --specs names its folder.
    """
    from dse.report.calibrate import Asked, calibrated, calibration_json, calibration_text

    several = bool(pool) or versions
    check_folder(errors)
    _refuse(names, pool, several, replace, Path(file or ("." if several else f"{names[0]}.toml")))
    asked = Asked(
        names=names,
        pool=pool,
        base=base,
        family=family or "",
        tables=tables,
        versions=versions,
        settings=settings,
        crossed=not quick,
        errors=errors,
    )
    found, texts = calibrated(files, asked, catalogue_of(specs), warn)
    if errors:
        errors.write_text(texts.pop(""), encoding="utf-8")
        warn(f"Wrote {errors}.")
    for name, text in texts.items():
        place = Path(file or ".") / f"{name}.toml" if several else Path(file or f"{name}.toml")
        _write(place, text, replace)
    click.echo(calibration_json(found) if as_json else calibration_text(found), nl=False)


def _refuse(names: tuple[str, ...], pool: str, several: bool, replace: bool, place: Path) -> None:
    """InputError for what no fit would mend."""
    from dse.errors import Finding, InputError

    if len(names) > 1 and not pool:
        message = "several stacks have no name for what they have in common"
        raise InputError(Finding(message=message, expected="--pool NAME, or one --software"))
    if pool in names:
        message = f"{pool!r} is one of the stacks"
        raise InputError(Finding(message=message, expected="another name with --pool"))
    check_folder(place / "any" if several else place)
    if not several and place.exists() and not replace:
        raise InputError(_exists(place))


def _exists(place: Path) -> Any:
    from dse.errors import Finding

    hint = "name another with -o, or say --replace"
    return Finding(message="the file exists", file=str(place), hint=hint)


def _write(place: Path, text: str, replace: bool) -> None:
    """Writes a spec file; InputError where one is in the way."""
    from dse.errors import InputError

    if place.exists() and not replace:
        raise InputError(_exists(place))
    place.write_text(text, encoding="utf-8")
    warn(f"Wrote {place}.")
