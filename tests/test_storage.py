"""Studies that processes share over PostgreSQL, and other storages: each design once, no zombie."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from analytic import Zdt1, search
from postgres import programs, server

from dse.search.folder import BATCHES
from dse.search.levels import keys
from dse.search.record import load
from dse.search.storage import database

ROOT = Path(__file__).parents[1]
SCRIPT = Path(__file__).with_name("analytic.py")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database of this module alone."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'dse[postgres]'")
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with server(place) as found:
        yield found


def start(folder: Path, budget: int, url: str) -> subprocess.Popen[str]:
    """A process of its own that works on the study and prints what it reports."""
    command = [sys.executable, "-W", "error", str(SCRIPT), str(folder), "nsga2", str(budget), url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def trials(url: str, name: str = "zdt1/") -> list[Any]:
    """The trials of a study of a storage, as Optuna's own tools read them."""
    with database(url) as storage:
        (study,) = (s for s in storage.get_all_studies() if s.study_name.startswith(name))
        return optuna.load_study(study_name=study.study_name, storage=storage).trials


def log_of(folder: Path) -> bytes:
    return (folder / BATCHES).read_bytes()


def test_three_processes_of_which_one_is_killed(url: str, tmp_path: Path) -> None:
    """Each design is evaluated into the study once; all logs agree; the front is that of one.

    The killed process is gone in the middle of its work; what it had claimed is taken over, and
    when it is started again it fills its log from the study.
    """
    folders = [tmp_path / name for name in ("a", "b", "c")]
    workers = [start(folder, 160, url) for folder in folders]
    killed = workers[1]
    assert killed.stdout is not None
    first = [killed.stdout.readline() for _ in range(40)]
    killed.send_signal(signal.SIGKILL)
    rest = killed.communicate(timeout=60)[0].splitlines(keepends=True)
    said = [each.communicate(timeout=120) for each in (workers[0], workers[2])]
    assert [workers[i].returncode for i in (0, 2)] == [0, 0], [text for _, text in said]
    assert killed.returncode == -signal.SIGKILL

    # what anyone reported is in the study, once, under the number it was reported with
    levels = load(folders[0]).levels
    assert len(levels) == len(set(keys(levels))) == 160
    expected = [f"{i} {row.tolist()}" for i, row in enumerate(levels)]
    for text, _ in said:
        assert text.splitlines() == expected
    reported = [line.strip() for line in first + rest if line.endswith("\n")]
    assert reported == expected[: len(reported)]

    # the logs are the same bytes, that of the killed process a beginning of them
    assert log_of(folders[0]) == log_of(folders[2])
    cut = log_of(folders[1])
    assert log_of(folders[0]).startswith(cut[: cut.rfind(b"\n") + 1])

    found = trials(url)
    assert [trial.number for trial in found] == list(range(160))
    assert {trial.state for trial in found} == {optuna.trial.TrialState.COMPLETE}
    assert [trial.user_attrs["g"] for trial in found] == load(folders[0]).metrics["g"].tolist()

    alone = search(tmp_path / "alone", budget=160)
    shared = load(folders[0])
    assert (load(tmp_path / "alone").levels == levels).all()
    assert alone.front.tolist() == shared.front.tolist()

    again = search(folders[1], budget=160, url=url)
    assert again.evaluated == 160
    assert log_of(folders[1]) == log_of(folders[0])
    assert len(trials(url)) == 160


def test_a_second_process_evaluates_only_what_the_first_did_not(url: str, tmp_path: Path) -> None:
    """One after the other with a larger budget: what is in the study is copied, not evaluated."""
    calls = tmp_path / "calls"
    calls.write_text("")

    class Counted(Zdt1):
        def evaluate(self, levels: Any) -> Any:
            with calls.open("a") as stream:
                stream.writelines(f"{row.tolist()}\n" for row in levels)
            return super().evaluate(levels)

    problem = Counted(name="counted")
    search(tmp_path / "a", budget=80, url=url, problem=problem, mirror=False)
    search(tmp_path / "b", budget=120, url=url, problem=problem, mirror=False)
    lines = calls.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 120
    assert log_of(tmp_path / "b").startswith(log_of(tmp_path / "a"))
