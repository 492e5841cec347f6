"""Runs end to end: killed, resumed, stopped, continued, read back; run as a script it searches."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest

from dse.errors import RunError, UsageError
from dse.search.folder import BATCHES, SETTINGS
from dse.search.front import non_dominated, to_maximise
from dse.search.levels import decode, keys
from dse.search.protocol import Evaluations, Parameter
from dse.search.run import Progress, load, run

ROOT = str(Path(__file__).parents[1])


@attrs.define(kw_only=True)
class Toy:
    """Speed against cost over 5 ** 4 designs, with a rule; `pause` seconds for each batch."""

    name: str = "toy"
    parameters: tuple[Parameter, ...] = tuple(
        Parameter(
            path=f"chip.x{i}", levels=tuple("abcde") if i == 3 else (1, 2, 4, 8, 16), ordered=i != 3
        )
        for i in range(4)
    )
    objectives: tuple[str, ...] = ("speed", "cost")
    senses: tuple[str, ...] = ("max", "min")
    rules: tuple[str, ...] = ("area",)
    fingerprint: str = "c0ffee"
    references: tuple[Any, ...] = ()
    pause: float = 0.0
    calls: int = 0
    fail_at: int = -1
    error: BaseException = attrs.field(factory=KeyboardInterrupt)

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        self.calls += 1
        if self.calls - 1 == self.fail_at:
            raise self.error
        time.sleep(self.pause)
        x = np.exp2(levels[:, :3])
        speed = x[:, 0] * np.sqrt(x[:, 1]) / (1.0 + 0.3 * levels[:, 3])
        cost = x.sum(axis=1) + 5.0 * np.abs(levels[:, 2] - levels[:, 3])
        return Evaluations(
            objectives=np.column_stack([speed, cost]),
            margins=(0.8 - x.sum(axis=1) / 40.0)[:, None],
            metrics={"speed": speed, "ratio": cost / np.maximum(levels[:, 0], 0.0)}
            if np.all(levels[:, 0])
            else {"speed": speed, "ratio": np.full(len(levels), math.inf)},
            mapping=[{"tp": int(level)} for level in levels[:, 0]],
        )

    def describe(self) -> dict[str, Any]:
        return {"study": self.name, "fingerprint": self.fingerprint}


def log_of(folder: Path) -> bytes:
    return (folder / BATCHES).read_bytes()


def true_front(problem: Toy) -> set[bytes]:
    """The keys of the whole space's front."""
    levels = decode(np.arange(5**4), np.array([5] * 4))
    found = problem.evaluate(levels)
    mask = non_dominated(to_maximise(found.objectives, problem.senses), found.feasible)
    return set(keys(levels[mask]))


def test_exact_finds_the_true_front(tmp_path: Path) -> None:
    """All designs, whatever the budget; the front is that of the whole space."""
    problem = Toy()
    result = run(problem, "exact", 10, 0, tmp_path / "run", batch_size=100)
    data = load(tmp_path / "run")
    assert (result.evaluated, result.space, result.budget) == (625, 625, 625)
    assert result.complete
    assert result.exhausted
    assert set(keys(data.levels[result.front])) == true_front(problem)
    np.testing.assert_array_equal(data.front, result.front)
    everything = problem.evaluate(decode(np.arange(5**4), np.array([5] * 4)))
    assert result.feasible == data.counts.feasible == everything.feasible.sum() < 625
    assert data.feasible.all()


def test_nsga2_finds_the_true_front_of_a_small_space(tmp_path: Path) -> None:
    """With two thirds of the space evaluated it holds at least nine tenths of the front."""
    problem = Toy()
    result = run(problem, "nsga2", 400, 1, tmp_path / "run", batch_size=20)
    found = set(keys(load(tmp_path / "run").levels[result.front]))
    truth = true_front(problem)
    assert len(found & truth) >= 0.9 * len(truth)


@pytest.mark.parametrize("method", ["exact", "nsga2", "random"])
def test_a_finished_run_returns_at_once(tmp_path: Path, method: str) -> None:
    """The same command again evaluates nothing, writes nothing, and tells the same."""
    first = run(Toy(), method, 100, 1, tmp_path / "run")
    before = log_of(tmp_path / "run")
    again = Toy()
    second = run(again, method, 100, 1, tmp_path / "run")
    smaller = run(again, method, 50, 1, tmp_path / "run")
    assert again.calls == 0
    assert log_of(tmp_path / "run") == before
    np.testing.assert_array_equal(first.front, second.front)
    assert first.hypervolume == second.hypervolume
    assert smaller.evaluated == first.evaluated


@pytest.mark.parametrize("method", ["nsga2", "random"])
def test_a_larger_budget_continues_as_if_it_had_been_given(tmp_path: Path, method: str) -> None:
    """Cut within a generation and continued: the designs of one run with the larger budget."""
    for budget in (50, 130, 200):
        result = run(Toy(), method, budget, 1, tmp_path / "cut", batch_size=40)
        assert (result.evaluated, result.complete) == (budget, True)
    run(Toy(), method, 200, 1, tmp_path / "whole", batch_size=40)
    cut, whole = load(tmp_path / "cut"), load(tmp_path / "whole")
    np.testing.assert_array_equal(cut.levels, whole.levels)
    np.testing.assert_array_equal(cut.objectives, whole.objectives)
    assert cut.settings["budget"] == 200


def test_the_space_bounds_the_budget(tmp_path: Path) -> None:
    """A budget above the space ends when every design was evaluated once."""
    result = run(Toy(), "nsga2", 5000, 1, tmp_path / "run")
    assert result.evaluated == 625
    assert result.complete
    assert result.exhausted
    assert len(set(keys(load(tmp_path / "run").levels))) == 625


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL after the third report: all reported lines stay, the end is that of no kill."""
    folder = tmp_path / "killed"
    command = [sys.executable, "-W", "error", __file__, str(folder)]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        reported = [json.loads(child.stdout.readline()) for _ in range(3)]
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    killed = log_of(folder)
    assert killed.count(b"\n") >= 3
    assert load(folder).levels[:60].tolist() == [row for batch in reported for row in batch]
    (folder / BATCHES).write_bytes(killed + b'{"batch":3,"generation":3,"par')
    resumed = run(Toy(), "nsga2", 200, 7, folder, batch_size=20)
    whole = run(Toy(), "nsga2", 200, 7, tmp_path / "whole", batch_size=20)
    assert log_of(folder) == log_of(tmp_path / "whole")
    assert log_of(folder).startswith(killed[: killed.rfind(b"\n") + 1])
    np.testing.assert_array_equal(resumed.front, whole.front)


@pytest.mark.parametrize("method", ["exact", "nsga2", "random"])
def test_an_interrupted_run_resumes_to_the_same_log(tmp_path: Path, method: str) -> None:
    """Ctrl-C within an evaluation passes through, releases the folder, and costs one batch."""
    with pytest.raises(KeyboardInterrupt):
        run(Toy(fail_at=3), method, 200, 1, tmp_path / "cut", batch_size=30)
    assert load(tmp_path / "cut").counts.evaluated == 90
    run(Toy(), method, 200, 1, tmp_path / "cut", batch_size=30)
    run(Toy(), method, 200, 1, tmp_path / "whole", batch_size=30)
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")


def test_should_stop_ends_between_batches(tmp_path: Path) -> None:
    """The run is not complete, and the same command completes it."""
    reports: list[Progress] = []
    result = run(
        Toy(),
        "random",
        100,
        1,
        tmp_path / "run",
        batch_size=20,
        on_progress=reports.append,
        should_stop=lambda: len(reports) == 2,
    )
    assert (result.evaluated, result.complete, result.exhausted) == (40, False, False)
    assert run(Toy(), "random", 100, 1, tmp_path / "run").complete


def test_progress_tells_what_is_in_the_log(tmp_path: Path) -> None:
    """Each report comes after its line is in the log, and counts resumed designs."""
    reports: list[Progress] = []

    def report(progress: Progress) -> None:
        reports.append(progress)
        data = load(tmp_path / "run")
        assert len(data.levels) == progress.evaluated
        assert progress.front_size == len(data.front)
        assert progress.feasible_share == data.feasible.mean()

    run(Toy(), "nsga2", 60, 1, tmp_path / "run", batch_size=20, on_progress=report)
    run(Toy(), "nsga2", 100, 1, tmp_path / "run", on_progress=report)
    assert [(p.batch, p.evaluated, p.budget) for p in reports] == [
        (0, 20, 60),
        (1, 40, 60),
        (2, 60, 60),
        (3, 80, 100),
        (4, 100, 100),
    ]
    assert reports[-1].seconds_left == 0.0 < reports[-2].seconds_left
    assert all(0.0 < p.hypervolume <= 1.21 and p.designs_per_s > 0.0 for p in reports)


def test_speed_is_that_after_the_first_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch compiles: 10 s for it, 1 s for each other of 20 designs: 20 a second."""
    clock = iter((0.0, 0.0, 10.0, 11.0, 12.0))
    monkeypatch.setattr("dse.search.standing.time", SimpleNamespace(perf_counter=clock.__next__))
    reports: list[Progress] = []
    result = run(
        *(Toy(), "random", 60, 1, tmp_path / "run"), batch_size=20, on_progress=reports.append
    )
    assert [p.designs_per_s for p in reports] == [2.0, 20.0, 20.0]
    assert result.designs_per_s == 20.0
    assert reports[1].seconds_left == 1.0


def test_load_reads_everything_back(tmp_path: Path) -> None:
    """Levels, objectives, margins, metrics and mapping are what the problem evaluates to."""
    run(Toy(), "random", 90, 1, tmp_path / "run", batch_size=40)
    data = load(str(tmp_path / "run"))
    expected = Toy().evaluate(data.levels)
    np.testing.assert_array_equal(data.objectives, expected.objectives)
    np.testing.assert_array_equal(data.margins, expected.margins)
    np.testing.assert_array_equal(data.metrics["speed"], expected.metrics["speed"])
    assert np.isinf(data.metrics["ratio"]).any()
    assert data.mapping == expected.mapping
    assert data.problem == {"study": "toy", "fingerprint": "c0ffee"}
    assert data.settings["parameters"] == ["chip.x0", "chip.x1", "chip.x2", "chip.x3"]
    assert (data.settings["budget"], data.settings["seed"]) == (90, 1)


def test_load_of_a_run_before_its_first_batch(tmp_path: Path) -> None:
    """There are no rows, and the tables have their widths."""
    with pytest.raises(KeyboardInterrupt):
        run(Toy(fail_at=0), "random", 90, 1, tmp_path / "run")
    data = load(tmp_path / "run")
    assert (data.levels.shape, data.objectives.shape, data.margins.shape) == (
        (0, 4),
        (0, 2),
        (0, 1),
    )
    assert len(data.front) == 0
    assert data.mapping == []


def test_load_refuses_what_is_no_run(tmp_path: Path) -> None:
    """Absent, foreign, and a run.json that lacks what a run needs."""
    for name in ("absent", "."):
        with pytest.raises(RunError, match=r"no such run|holds no dse run"):
            load(tmp_path / name)
    (tmp_path / SETTINGS).write_text('{"format": "dse-run", "version": 1, "seed": 1}')
    with pytest.raises(RunError, match="lacks fingerprint, method, budget"):
        load(tmp_path)


def test_another_batch_size_is_another_run(tmp_path: Path) -> None:
    """A given batch size must be the stored one; without it the stored one is used."""
    run(Toy(), "random", 30, 1, tmp_path / "run", batch_size=30)
    with pytest.raises(RunError, match="batch_size: stored 30, asked 20"):
        run(Toy(), "random", 60, 1, tmp_path / "run", batch_size=20)
    run(Toy(), "random", 60, 1, tmp_path / "run")
    assert log_of(tmp_path / "run").count(b"\n") == 2


def test_fresh_starts_over(tmp_path: Path) -> None:
    """Another fingerprint is refused; with --fresh the old run is set aside."""
    run(Toy(), "random", 30, 1, tmp_path / "run")
    with pytest.raises(RunError, match="fingerprint: stored c0ffee, asked beef"):
        run(Toy(fingerprint="beef"), "random", 30, 1, tmp_path / "run")
    run(Toy(fingerprint="beef"), "random", 30, 1, tmp_path / "run", fresh=True)
    assert load(tmp_path / "run.old-1").settings["fingerprint"] == "c0ffee"
    assert load(tmp_path / "run").settings["fingerprint"] == "beef"


def test_initial_designs_are_asked_for_once(tmp_path: Path) -> None:
    """They are stored with the run, so a resumed one does not compute them again."""
    initial = np.array([[4, 3, 2, 1], [0, 0, 0, 0]])
    run(Toy(), "nsga2", 25, 1, tmp_path / "run", initial=lambda: initial)
    run(Toy(), "nsga2", 60, 1, tmp_path / "run", initial=lambda: pytest.fail("asked again"))
    np.testing.assert_array_equal(load(tmp_path / "run").levels[:2], initial)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "budget of 0"),
        ({"seed": -1}, "seed -1"),
        ({"method": "nsga"}, "nsga2"),
        ({"batch_size": 0}, "batch of 0"),
    ],
)
def test_options_that_make_no_sense_touch_nothing(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The message names the value; no folder is made."""
    options = {"method": "random", "budget": 10, "seed": 1, "folder": tmp_path / "run", **changes}
    with pytest.raises(UsageError, match=message):
        run(Toy(), **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_named_and_not_logged(tmp_path: Path, value: float) -> None:
    """The error names objective and design; the batches before it stay."""

    class Faulty(Toy):
        def evaluate(self, levels: np.ndarray) -> Evaluations:
            found = super().evaluate(levels)
            found.objectives[0, 1] = value if self.calls == 2 else 1.0
            return found

    with pytest.raises(RunError, match=rf"objective 'cost' is {value} for .*chip\.x0"):
        run(Faulty(), "random", 90, 1, tmp_path / "run", batch_size=30)
    assert len(load(tmp_path / "run").levels) == 30


def test_infeasible_everywhere_gives_an_empty_front(tmp_path: Path) -> None:
    """No feasible design is no error of the search: the front is empty, its volume 0."""

    class Impossible(Toy):
        def evaluate(self, levels: np.ndarray) -> Evaluations:
            found = super().evaluate(levels)
            return attrs.evolve(found, margins=-1.0 - np.abs(found.margins))

    result = run(Impossible(), "nsga2", 100, 1, tmp_path / "run")
    assert (result.feasible, len(result.front), result.hypervolume) == (0, 0, 0.0)
    assert result.evaluated == 100


def test_importing_a_run_is_cheap() -> None:
    """Optuna, moocore and JAX are imported by what needs them, not by reading a run."""
    code = "import sys, dse.search.run; print(*{'optuna', 'moocore', 'jax'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_number_of_objectives_and_no_rules(tmp_path: Path, count: int) -> None:
    """One objective ends at its best design; beyond four the volume is not computed."""
    names = tuple(f"y{i}" for i in range(count))

    class Many(Toy):
        def evaluate(self, levels: np.ndarray) -> Evaluations:
            x = np.column_stack([levels, 4 - levels.min(axis=1)])
            return Evaluations(objectives=1.0 + x[:, :count], margins=np.zeros((len(levels), 0)))

    problem = Many(objectives=names, senses=("max",) * count, rules=())
    result = run(problem, "nsga2", 200, 1, tmp_path / "run")
    data = load(tmp_path / "run")
    np.testing.assert_array_equal(data.front, result.front)
    assert math.isnan(result.hypervolume) == (count > 4)
    assert data.objectives[result.front, 0].max() == 5.0
    assert len(result.front) == 1 or count > 1


if __name__ == "__main__":
    from dse.search.log import Batch, RunLog

    genuine = RunLog.append
    last: list[Batch] = []

    def remembered(log: RunLog, batch: Batch) -> None:
        genuine(log, batch)
        last.append(batch)

    RunLog.append = remembered  # type: ignore[method-assign]
    run(
        Toy(pause=0.05),
        "nsga2",
        200,
        7,
        sys.argv[1],
        batch_size=20,
        on_progress=lambda _: print(json.dumps(last[-1].levels.tolist()), flush=True),
    )
