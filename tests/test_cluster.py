"""Sweeps on Dask workers: the same log as one process, also when a worker dies; nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import numpy as np
import pytest
from test_sweep import Zdt1

from dse.errors import RunError, UsageError
from dse.search.cluster import _shares, prepared
from dse.search.folder import BATCHES
from dse.search.protocol import Evaluations
from dse.search.run import Progress, load, run

HERE = str(Path(__file__).resolve().parent)


@attrs.define
class Traced(Zdt1):
    """Leaves the number of each process that evaluates in a folder."""

    folder: str = ""
    broken: bool = False

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        (Path(self.folder) / str(os.getpid())).touch()
        found = super().evaluate(levels)
        return attrs.evolve(found, objectives=found.objectives * np.nan) if self.broken else found


def pids(folder: Path) -> set[int]:
    """The processes that evaluated, without this one."""
    return {int(file.name) for file in folder.iterdir()} - {os.getpid()}


def gone(pid: int) -> bool:
    """Whether no process, not even a zombie, has this number; waits for one that is ending."""
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


def traced(tmp_path: Path, **changes: object) -> tuple[Traced, Path]:
    folder = tmp_path / "pids"
    folder.mkdir(exist_ok=True)
    return Traced(folder=str(folder), **changes), folder  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    ["", "local", "local:0", "local:2x", "local:2x0", "local:x", "example.org:8786", "tcp://"],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    """The message says which there are; without an address there is no cluster."""
    if not address:
        assert run(Zdt1(), "exact", 1, 0, tmp_path / "run", cluster="").complete
        return
    with pytest.raises(UsageError, match=r"neither local:N, local:NxC nor tcp://HOST:PORT"):
        run(Zdt1(), "exact", 1, 0, tmp_path / "run", cluster=address)
    assert list(tmp_path.iterdir()) == []


def test_only_sweeps_run_on_a_cluster(tmp_path: Path) -> None:
    """Another method is refused before anything is made."""
    with pytest.raises(UsageError, match="'exact', and this is 'nsga2'"):
        run(Zdt1(), "nsga2", 10, 0, tmp_path / "run", cluster="local:2")
    assert list(tmp_path.iterdir()) == []


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message holds the command that installs it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'dse\[cluster\]'"):
        prepared(Zdt1(), "local:2")


def test_workers_share_out_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are used, none twice; more workers than processors share; or as many each as is said."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5})
    assert _shares(2) == ((2, 5), (3,))
    assert _shares(2, 1) == ((2,), (3,))
    assert _shares(4) == ((2,), (3,), (5,), (2,))


def test_a_cluster_that_is_not_there_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the address; the run is begun, empty, and can go on without the cluster."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("dse.search.cluster.PATIENCE", 0.5)
    with pytest.raises(RunError, match=r"the cluster tcp://127\.0\.0\.1:9 failed"):
        run(Zdt1(), "exact", 1, 0, tmp_path / "run", cluster="tcp://127.0.0.1:9")
    assert len(load(tmp_path / "run").levels) == 0
    assert run(Zdt1(), "exact", 1, 0, tmp_path / "run").complete


@pytest.mark.slow
def test_a_killed_worker_costs_its_chunk_and_nothing_else(tmp_path: Path) -> None:
    """Two workers, one SIGKILLed: the log of a single process byte for byte, no process left."""
    pytest.importorskip("distributed")
    problem, folder = traced(tmp_path, pause=0.05)
    killed: list[int] = []

    def report(progress: Progress) -> None:
        if not killed and len(pids(folder)) == 2 and progress.batch >= 3:
            killed.append(min(pids(folder)))
            os.kill(killed[0], signal.SIGKILL)

    result = run(
        *(problem, "exact", 1, 0, tmp_path / "cluster"),
        batch_size=4,
        on_progress=report,
        cluster="local:2",
    )
    assert result.complete
    assert len(killed) == 1
    # a third process took the place of the one that died
    assert len(pids(folder)) == 3
    assert all(gone(pid) for pid in pids(folder))
    assert os.getpid() not in {int(file.name) for file in folder.iterdir()}
    run(Zdt1(), "exact", 1, 0, tmp_path / "alone", batch_size=4)
    logs = [(tmp_path / name / BATCHES).read_bytes() for name in ("cluster", "alone")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_fault_of_a_worker_is_the_owners_error(tmp_path: Path) -> None:
    """An evaluation that is not finite is named as without a cluster; the workers end."""
    pytest.importorskip("distributed")
    problem, folder = traced(tmp_path, broken=True)
    with pytest.raises(RunError, match="objective 'first' is nan"):
        run(problem, "exact", 1, 0, tmp_path / "run", cluster="local:1")
    assert len(pids(folder)) == 1
    assert all(gone(pid) for pid in pids(folder))


@pytest.mark.slow
def test_workers_end_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the process that owns the run: its workers end, and the run goes on alone."""
    pytest.importorskip("distributed")
    _, folder = traced(tmp_path)
    command = [sys.executable, __file__, str(tmp_path / "run"), str(folder)]
    environment = {**os.environ, "PYTHONPATH": f"{Path(HERE).parent}:{HERE}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert [int(owner.stdout.readline()) for _ in range(3)] == [4, 8, 12]
        owner.send_signal(signal.SIGKILL)
    workers = pids(folder)
    assert workers
    assert all(gone(pid) for pid in workers)
    run(Zdt1(), "exact", 1, 0, tmp_path / "run", batch_size=4)
    run(Zdt1(), "exact", 1, 0, tmp_path / "alone", batch_size=4)
    logs = [(tmp_path / name / BATCHES).read_bytes() for name in ("run", "alone")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_scheduler_that_runs_is_used_and_left_running(tmp_path: Path) -> None:
    """Two runs on one scheduler by its address: its worker evaluates both and stays."""
    distributed = pytest.importorskip("distributed")
    problem, folder = traced(tmp_path)
    with distributed.LocalCluster(
        n_workers=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as cluster:
        for name in ("a", "b"):
            address = cluster.scheduler_address
            done = run(problem, "exact", 1, 0, tmp_path / name, batch_size=50, cluster=address)
            assert done.complete
            assert len(pids(folder)) == 1
    logs = [(tmp_path / name / BATCHES).read_bytes() for name in ("a", "b")]
    assert logs[0] == logs[1]


if __name__ == "__main__":
    # workers must be able to import the class by its module's name
    from test_cluster import Traced as Imported

    made = Imported(folder=sys.argv[2], pause=0.2)
    print_progress = lambda p: print(p.evaluated, flush=True)  # noqa: E731
    run(
        *(made, "exact", 1, 0, sys.argv[1]),
        batch_size=4,
        on_progress=print_progress,
        cluster="local:2",
    )
