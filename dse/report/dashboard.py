"""A run on optuna-dashboard: a copy of its study in memory, thinned, with a note and plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import numpy as np

from dse.errors import Finding, RunError, UsageError
from dse.report.figures import metric_column, metric_number, metric_seen, metric_title
from dse.report.front import certificate_text
from dse.report.page_document import convergence, kept_rows
from dse.report.references import reference_text
from dse.report.watch import HOST
from dse.search.record import RunData
from dse.search.result import front_document

TRIALS = 4_000
"""Trials that the dashboard shows after some seconds; of 10,000 its plots were empty after nine."""


def dashboard_study(data: RunData) -> Any:
    """The run as an Optuna study in memory, with its front whole and at most TRIALS trials.

    Raises UsageError where optuna-dashboard is not installed.
    """
    _dashboard()
    from optuna_dashboard import save_note

    from dse.search.mirror import in_memory

    rows = kept_rows(data, TRIALS)
    study = in_memory(data, rows)
    save_note(study, note(data, len(rows)))
    for name, figure in _figures(data).items():
        from optuna_dashboard import save_plotly_graph_object

        save_plotly_graph_object(study, figure, graph_object_id=name)
    return study


def _dashboard() -> Any:
    try:
        import optuna_dashboard
    except ImportError:
        message = "optuna-dashboard is not installed: pip install 'dse[dashboard]'"
        raise UsageError(message) from None
    return optuna_dashboard


def note(data: RunData, shown: int) -> str:
    """What the study is about, in Markdown, for the dashboard's notes."""
    problem, found = data.problem, front_document(data)
    goals = list(problem["objectives"])
    lines = [f"# {_plain(problem['study'])}", "", _plain(problem["doc"]), ""]
    lines.append(f"{certificate_text(found['certificate'])}.")
    if shown < len(data.levels):
        lines += ["", f"{shown:,} of {len(data.levels):,} designs: the front and an even sample; "]
        lines[-1] += "`design` among a trial's attributes is its number in the run."
    if not found["references"]:
        return "\n".join(lines) + "\n"
    lines += ["", f"| reference | {' | '.join(map(metric_title, goals))} | |"]
    lines.append(f"|---|{'---:|' * len(goals)}---|")
    for each in found["references"]:
        cells = [metric_number(goal, each["metrics"].get(goal)) for goal in goals]
        said = _plain(reference_text(problem, each))
        lines.append(f"| {_plain(each['name'])} | {' | '.join(cells)} | {said} |")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A text in which Markdown finds no element and no end of a cell."""
    return text.replace("<", "&lt;").replace("|", "\\|").replace("`", "'")


def _figures(data: RunData) -> dict[str, Any]:
    """Front with references, and convergence, where plotly is installed."""
    try:
        from plotly.graph_objects import Figure
    except ImportError:
        return {}
    made: dict[str, Any] = {}
    goals = list(data.problem["objectives"])[:2]
    if len(goals) == 2:
        made["front"] = _front(Figure, data, goals)
    found = convergence(data)
    if found is not None:
        figure = Figure().add_scatter(x=found["x"], y=found["y"], mode="lines")
        figure.update_layout(xaxis_title="designs evaluated", yaxis_title=found["of"])
        made["convergence"] = figure
    return made


def _front(figure: Callable[[], Any], data: RunData, goals: list[str]) -> Any:
    document = front_document(data)
    front = np.array([point["id"] for point in document["points"]], dtype=int)
    columns = [metric_column(goal, data.metrics[goal])[front] for goal in goals]
    made = figure().add_scatter(x=columns[0], y=columns[1], mode="markers", name="front")
    rows = document["references"]
    xs, ys = ([metric_seen(g, r["metrics"].get(g)) for r in rows] for g in goals)
    # Plotly reads elements in its texts
    names = [r["name"].replace("<", "&lt;") for r in rows]
    made.add_scatter(x=xs, y=ys, text=names, mode="markers+text", name="references")
    made.update_traces(textposition="middle right", selector={"name": "references"})
    made.update_layout(xaxis_title=metric_title(goals[0]), yaxis_title=metric_title(goals[1]))
    return made


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread, so that Ctrl-C waits for none of them."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing: the dashboard asks every few seconds."""


@contextmanager
def dashboard(study: Any, port: int) -> Iterator[tuple[str, WSGIServer]]:
    """The dashboard's address on this machine alone, and the server that serves it.

    Port 0 takes a free one. Raises RunError if the port cannot be had.
    """
    app = _dashboard().wsgi(study._storage)
    try:
        server = make_server(HOST, port, app, _Server, _Quiet)
    except OSError as error:
        hint = "another --port, or none, takes a free one"
        said = f"cannot serve on port {port}: {error.strerror or error}"
        raise RunError(Finding(message=said, hint=hint)) from error
    with server:
        yield f"http://{HOST}:{server.server_port}/dashboard/", server
