"""Real processes on a real file system: killed at random, out of room, shut out, side by side."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from analytic import Zdt1, reporting, search
from test_mirror import STUDY, agree, study_of

from dse.search.folder import BATCHES
from dse.search.levels import keys
from dse.search.record import load
from dse.search.storage import database

ROOT = str(Path(__file__).parents[1])
SCRIPT = str(Path(__file__).with_name("analytic.py"))


def process(
    folder: Path, budget: int = 400, *, before: str = "", url: str = ""
) -> subprocess.Popen[str]:
    """A run of its own, which prints each design when it is reported; `before` is shell."""
    command = [sys.executable, "-W", "error", SCRIPT, str(folder), "nsga2", str(budget)]
    command += [url] if url else []
    return subprocess.Popen(
        ["bash", "-c", f'{before or ":"}; exec "$@"', "run", *command],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def log_of(folder: Path) -> bytes:
    return (folder / BATCHES).read_bytes()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    search(folder, budget=400)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(20))
def test_killed_at_a_random_moment(tmp_path: Path, unbroken: Path, moment: int) -> None:
    """What was reported is there once, and the end is that of the unbroken run, byte for byte."""
    folder = tmp_path / "run"
    child = process(folder)
    assert child.stdout is not None
    reported = [child.stdout.readline() for _ in range(40)]
    time.sleep(random.Random(moment).uniform(0.0, 0.6))
    child.send_signal(signal.SIGKILL)
    reported += child.communicate()[0].splitlines(keepends=True)
    told = [line.strip() for line in reported if line.endswith("\n")]

    kept = load(folder).levels
    assert told == [f"{i} {row.tolist()}" for i, row in enumerate(kept)][: len(told)]
    resumed = search(folder, budget=400)
    assert log_of(folder) == log_of(unbroken)
    assert len(set(keys(load(folder).levels))) == 400
    assert resumed.front.tolist() == load(unbroken).front.tolist()
    agree(folder, study_of(folder))


def test_a_disk_that_fills_up(tmp_path: Path, unbroken: Path) -> None:
    """No file may grow beyond 58 KiB: one clear error, what was reported stays, and it goes on."""
    folder = tmp_path / "run"
    # without the signal a write beyond the limit fails, as on a full disk
    child = process(folder, before="trap '' XFSZ; ulimit -f 58")
    told, said = child.communicate(timeout=120)
    assert child.returncode != 0
    assert "File too large" in said
    lines = told.splitlines()
    assert (
        lines == [f"{i} {row.tolist()}" for i, row in enumerate(load(folder).levels)][: len(lines)]
    )
    assert log_of(unbroken).startswith(log_of(folder))
    search(folder, budget=400)
    assert log_of(folder) == log_of(unbroken)
    agree(folder, study_of(folder))


def mortal() -> list[str]:
    """What a command begins with so that modes hold for it: root may do anything otherwise."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root ignores modes, and setpriv, which could give that up, is not installed")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Refused with the reason, whether the run is complete or not; not a byte changes."""
    folder = tmp_path / "run"
    search(folder, budget=40)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for place in (*folder.iterdir(), folder):
        place.chmod(0o555)
    command = [*mortal(), sys.executable, SCRIPT, str(folder), "nsga2", "80"]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    folder.chmod(0o755)
    assert "cannot write in the run folder: Permission denied" in done.stderr
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_two_processes_on_one_folder(tmp_path: Path, unbroken: Path) -> None:
    """The second is told who is at work; the first goes on as if alone."""
    folder = tmp_path / "run"
    first = process(folder)
    assert first.stdout is not None
    head = [first.stdout.readline() for _ in range(40)]
    second = process(folder)
    told, said = second.communicate(timeout=60)
    rest = first.communicate(timeout=120)[0]
    assert (first.returncode, second.returncode) == (0, 1)
    assert told == ""
    assert f"another dse run holds this folder, pid {first.pid}" in said
    assert len(head) + len(rest.splitlines()) == 400
    assert log_of(folder) == log_of(unbroken)


@pytest.mark.slow
def test_two_processes_on_one_sqlite_study(tmp_path: Path, unbroken: Path) -> None:
    """Each in a folder of its own, at once: both end, the study has each design once."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    folders = [tmp_path / name for name in ("a", "b")]
    both = [process(folder, url=url) for folder in folders]
    said = [each.communicate(timeout=120)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert [log_of(folder) for folder in folders] == [log_of(unbroken)] * 2
    with database(url) as storage:
        agree(folders[0], optuna.load_study(study_name=STUDY, storage=storage))


def test_reports_are_of_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What these tests read as reported is printed once a design, in order."""
    search(tmp_path / "run", budget=80, problem=Zdt1(), on_progress=reporting(tmp_path / "run"))
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(80))
