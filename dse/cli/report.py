"""`dse report` and `dse dashboard`: a run in a browser."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from dse.cli.explore import run_folder
from dse.cli.failure import warn
from dse.cli.options import catalogue_of, check_folder
from dse.cli.robust import Sampling, robust_options, sampled

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Say as JSON what was written or is served."
)

port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Where to serve on this machine.  [default: a free port]",
)


@click.command("report", short_help="Write a run as one web page that works offline.")
@click.argument("run", metavar="RUN")
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="The page; - is standard output.  [default: report.html in the run's folder]",
)
@click.option("--watch", is_flag=True, help="Serve the page and rewrite it while the run goes on.")
@port_option
@click.option("--no-model", is_flag=True, help="Leave out what takes the model; quick.")
@json_option
@robust_options
def report_command(
    run: str,
    file: str | None,
    watch: bool,
    port: int,
    no_model: bool,
    as_json: bool,
    robust: Sampling,
) -> None:
    """Write RUN as one HTML page that loads nothing: all designs, the front in full.

    \b
    dse report trainium4-decode
    dse report trainium4-decode -o front.html --no-model
    dse report trainium4-decode --robust
    dse report trainium4-decode --watch

    The page keeps breakdowns and elasticities of the front, the references and the designs
    nearest to the front, and the metrics of up to 100,000 designs. --watch serves it on this
    machine alone until Ctrl-C, without what takes the model.
    """
    from dse.errors import UsageError
    from dse.report.front import check_described
    from dse.report.page import plotly_script
    from dse.search.record import load

    plotly_script()
    check_folder(file)
    folder = run_folder(run)
    data = load(folder)
    check_described(data)
    place = file or str(folder / "report.html")
    if place == "-" and (watch or as_json):
        asked = "--watch" if watch else "--json"
        raise UsageError(f"{asked} needs the page in a file, not on standard output")
    if watch:
        _watched(folder, Path(place), port, as_json=as_json)
        return
    from dse.report.page import page_html
    from dse.report.page_document import Inspected, page_document

    without = Inspected(missing="This page was made without the model: --no-model.")
    inspected = without if no_model else _inspected(data, robust)
    document = page_document(data, inspected)
    size = _write(page_html(document), place)
    if as_json:
        _say(_written(document, inspected, place, size))


def _say(document: dict[str, Any]) -> None:
    """Writes a document to standard output at once, as a server goes on after it."""
    click.echo(json.dumps(document, indent=2))


def _written(document: Any, inspected: Any, place: str, size: int) -> dict[str, Any]:
    """What a page holds, for scripts."""
    return {
        "study": document["study"],
        "file": place,
        "bytes": size,
        "designs": document["rows"],
        "front": document["front"],
        "references": [each["name"] for each in document["references"]],
        "details": len(inspected.details),
        "revision": document["revision"],
        "missing": inspected.missing,
    }


def _inspected(data: Any, robust: Sampling) -> Any:
    """What the model says of the run, or why it is left out."""
    from dse.errors import RunError
    from dse.report.detail import problem_of
    from dse.report.inspected import inspect
    from dse.report.page_document import Inspected
    from dse.search.result import front_document

    try:
        problem = problem_of(data, catalogue_of(robust.specs), robust.study)
    except RunError as error:
        if robust.study:
            raise
        warn(f"Note: {error}")
        return Inspected(missing="The run's study was not found: no breakdowns and no curves.")
    document = front_document(data)
    if robust.wanted and document["points"]:
        warn(f"{robust.samples:,} samples of the front ...")
        return inspect(data, problem, warn, sampled(data, document, robust))
    return inspect(data, problem, warn)


def _write(text: str, place: str) -> int:
    """Writes the page as a whole, or not at all; how many bytes."""
    size = len(text.encode())
    if place == "-":
        click.echo(text, nl=False)
        return size
    partial = Path(f"{place}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)
    warn(f"{place}: {size / 1e6:.1f} MB")
    return size


def _watched(folder: Path, place: Path, port: int, *, as_json: bool) -> None:
    """Serves the page of a run until Ctrl-C."""
    from dse.report.page import page_html
    from dse.report.page_document import Inspected, page_document
    from dse.report.watch import Page, follow, served
    from dse.search.folder import BATCHES
    from dse.search.record import load

    page = Page()
    said = "While a run is watched, breakdowns and elasticities are left out."

    def write() -> None:
        document = page_document(load(folder), Inspected(missing=said), watched=True)
        page.put(page_html(document), document["revision"])
        _write(page.body.decode(), str(place))

    write()
    with served(page, port) as address:
        warn(f"{address} shows {folder} as it grows; Ctrl-C ends.")
        if as_json:
            _say({"url": address, "run": str(folder), "file": str(place)})
        follow(folder / BATCHES, write, lambda: False)


@click.command("dashboard", short_help="Open optuna-dashboard on a run.")
@click.argument("run", metavar="RUN")
@port_option
@json_option
def dashboard_command(run: str, port: int, as_json: bool) -> None:
    """Serve optuna-dashboard on RUN, on this machine alone, until Ctrl-C.

    \b
    dse dashboard trainium4-decode --port 8080

    It shows a copy: the front and up to 4,000 designs, a note with the references, and plots.
    Takes the extra: pip install 'dse[dashboard]'
    """
    from dse.report.dashboard import dashboard, dashboard_study
    from dse.report.front import check_described
    from dse.search.record import load

    data = load(run_folder(run))
    check_described(data)
    study = dashboard_study(data)
    with dashboard(study, port) as (address, server):
        warn(f"{address} shows {run}; Ctrl-C ends.")
        if as_json:
            shown = len(study.get_trials(deepcopy=False))
            _say({"url": address, "run": str(data.folder), "trials": shown})
        server.serve_forever()
