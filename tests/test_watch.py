"""What is served of a run: a page that follows its log, and a study on optuna-dashboard."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pages
import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.errors import RunError
from dse.report import dashboard, watch
from dse.report.page_document import kept_rows


def answer(address: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request."""
    asked = urllib.request.Request(address, method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as found:
            return found.status, dict(found.headers), found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_a_served_page_tells_by_its_tag_that_it_changed() -> None:
    """HEAD gives a tag, which is another when the page is; nothing else is served."""
    page = watch.Page()
    page.put("<p>one</p>", "1")
    with watch.served(page) as address:
        assert address.startswith("http://127.0.0.1:")
        status, first, body = answer(address)
        assert (status, body) == (200, b"<p>one</p>")
        assert answer(address, "HEAD")[1]["ETag"] == first["ETag"]
        page.put("<p>two</p>", "2")
        status, second, body = answer(address)
        assert body == b"<p>two</p>"
        assert second["ETag"] != first["ETag"]
        assert answer(address + "etc/passwd")[0] == 404


def test_a_page_of_another_name_cannot_read_the_run() -> None:
    """A request for a host that merely resolves to this machine is refused."""
    page = watch.Page()
    page.put("secret", "1")
    with watch.served(page) as address:
        status, _, body = answer(address, Host="evil.example")
        assert status == 404
        assert b"secret" not in body
        port = address.rstrip("/").rsplit(":", 1)[1]
        assert answer(address, Host=f"localhost:{port}")[0] == 200


def test_a_port_that_is_taken_is_an_error_with_a_way_out() -> None:
    """The message names the port and the option."""
    page = watch.Page()
    with watch.served(page) as address:
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        with pytest.raises(RunError, match=r"cannot serve on port"), watch.served(page, port):
            pass


def test_the_page_is_written_whenever_the_log_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once at first, once for each change, not in between; a log that is gone is waited for."""
    monkeypatch.setattr(watch, "PAUSE", 0.0)
    log, written, looks = tmp_path / "batches.jsonl", [], iter(range(9))

    def look() -> bool:
        number = next(looks)
        if number in (1, 4):
            log.write_text("x" * (number + 1))
        if number == 6:
            log.unlink()
        return number == 8

    watch.follow(log, lambda: written.append(log.stat().st_size), look)
    assert written == [2, 5]


def test_a_study_for_the_dashboard_holds_the_front_and_a_note() -> None:
    """Each trial has the design's parameters and objectives; constraints say what is feasible."""
    pytest.importorskip("optuna_dashboard")
    data = pages.run(60)
    study = dashboard.dashboard_study(data)
    trials = study.get_trials(deepcopy=False)
    assert len(trials) == 60
    for trial in (trials[0], trials[-1]):
        row = int(trial.user_attrs["design"])
        assert list(trial.values) == data.objectives[row].tolist()
        path = "chip.memory.stacks"
        assert trial.params[path] == pages.PARAMETERS[path][1][data.levels[row, 4]]
    best = {int(trial.user_attrs["design"]) for trial in study.best_trials}
    assert set(data.front.tolist()) <= best
    attributes = study._storage.get_study_system_attrs(study._study_id)
    assert "gb200-nvl72" in json.dumps(attributes)
    assert sum("plot" in name for name in attributes) >= 2


def test_a_study_for_the_dashboard_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many trials the front stays whole and the note says what was left out."""
    pytest.importorskip("optuna_dashboard")
    monkeypatch.setattr(dashboard, "TRIALS", 80)
    data = pages.run(600)
    study = dashboard.dashboard_study(data)
    numbers = {int(trial.user_attrs["design"]) for trial in study.get_trials(deepcopy=False)}
    assert numbers == set(kept_rows(data, 80).tolist())
    assert set(data.front.tolist()) <= numbers
    assert "80 of 600 designs" in dashboard.note(data, 80)


def test_hostile_names_make_no_element_in_the_note() -> None:
    """Markdown's elements, cells and code are taken from names."""
    data = pages.run(20, references=[pages.reference("<img src=x>|`", 1.0)])
    text = dashboard.note(data, 20)
    assert "<img" not in text
    assert "&lt;img src=x>\\|'" in text


def test_the_dashboard_answers_on_loopback() -> None:
    """It serves the study in memory under its own path, quietly."""
    pytest.importorskip("optuna_dashboard")
    study = dashboard.dashboard_study(pages.run(30))
    with dashboard.dashboard(study, 0) as (address, server):
        asker = threading.Thread(target=server.handle_request)
        asker.start()
        status, _, body = answer(address.replace("/dashboard/", "/api/studies"))
        asker.join()
    assert status == 200
    assert json.loads(body)["study_summaries"][0]["study_name"] == study.study_name
    assert isinstance(study, optuna.Study)


def test_the_dashboard_says_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its address and how many trials it shows, as JSON, before it serves."""
    pytest.importorskip("optuna_dashboard")
    served = []

    @contextmanager
    def serving(study: Any, port: int) -> Iterator[tuple[str, Any]]:
        yield f"http://127.0.0.1:{port}/", SimpleNamespace(serve_forever=lambda: served.append(1))

    monkeypatch.setattr("dse.search.record.load", lambda _: pages.run(number=60))
    monkeypatch.setattr("dse.cli.report.run_folder", lambda _: tmp_path)
    monkeypatch.setattr(dashboard, "dashboard", serving)
    result = CliRunner().invoke(cli, ["dashboard", "made-up", "--port", "81", "--json"])
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["url"], said["trials"]) == ("http://127.0.0.1:81/", 60)
    assert served == [1]
