"""The Optuna study beside the log: complete, readable by Optuna, repaired, and never trusted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from analytic import Zdt1, search, space
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from dse.errors import RunError, UsageError
from dse.search.attach import Attachment
from dse.search.folder import BATCHES, SETTINGS
from dse.search.levels import keys
from dse.search.mirror import CHOICES, DAMAGED, JOURNAL
from dse.search.protocol import Parameter
from dse.search.record import load
from dse.search.storage import database, shown, turn

ROOT = str(Path(__file__).parents[1])
SCRIPT = str(Path(__file__).with_name("analytic.py"))
STUDY = "zdt1/nsga2/7/abc"


def study_of(folder: Path, name: str = STUDY) -> optuna.Study:
    """The study as Optuna's own tools open it."""
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    return optuna.load_study(study_name=name, storage=storage)


def log_of(folder: Path) -> bytes:
    return (folder / BATCHES).read_bytes()


def agree(folder: Path, study: optuna.Study, problem: Any = None) -> None:
    """Every design of the log is the trial of its number, finished, and there is no other."""
    data, parameters = load(folder), (problem or Zdt1()).parameters
    trials = study.get_trials(deepcopy=False)
    assert [trial.number for trial in trials] == list(range(len(data.levels)))
    assert {trial.state for trial in trials} <= {optuna.trial.TrialState.COMPLETE}
    for trial, row, values in zip(trials, data.levels, data.objectives, strict=True):
        assert trial.values == values.tolist()
        for parameter, level in zip(parameters, row, strict=True):
            missing = parameter.needs and level == len(parameter.levels) - 1
            expected = None if missing else parameter.levels[level]
            assert trial.params.get(parameter.path) == expected


@pytest.mark.parametrize("method", ["nsga2", "tpe", "qmc", "random"])
def test_the_run_opens_as_an_optuna_study(tmp_path: Path, method: str) -> None:
    """Values, directions, parameters by path, metrics and mapping of each design."""
    search(tmp_path / "run", method, 80)
    study = study_of(tmp_path / "run", f"zdt1/{method}/7/abc")
    agree(tmp_path / "run", study)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["first", "second"]
    assert study.user_attrs == {"fingerprint": "abc", "method": method, "seed": 7}
    first = study.trials[0]
    assert first.user_attrs["g"] == load(tmp_path / "run").metrics["g"][0]
    assert first.user_attrs["unbounded"] == "inf"
    assert first.user_attrs["mapping"] == load(tmp_path / "run").mapping[0]


def test_constraints_carry_the_names_of_rules_in_optuna_s_sign(tmp_path: Path) -> None:
    """A margin above 0 is a constraint below 0; Optuna's own front is ours."""
    result = search(tmp_path / "run")
    study, data = study_of(tmp_path / "run"), load(tmp_path / "run")
    assert not data.feasible.all()
    for trial, margins in zip(study.trials, data.margins, strict=True):
        assert trial.constraints == dict(zip(("corner", "always"), -margins, strict=True))
    best = {tuple(trial.values) for trial in study.best_trials}
    assert best == {tuple(row) for row in data.objectives[result.front]}


def test_levels_become_choices_or_ranges(tmp_path: Path) -> None:
    """Up to 64 numbers are choices, names always; longer lists a range of numbers."""
    many = Zdt1(
        parameters=(
            Parameter(path="x0", levels=tuple(range(100))),
            Parameter(path="x1", levels=tuple(np.linspace(0.0, 1.0, CHOICES + 1))),
            *space(2, 1)[2:],
        ),
    )
    search(tmp_path / "run", "random", 40, problem=many)
    study = study_of(tmp_path / "run", "zdt1/random/7/abc")
    agree(tmp_path / "run", study, many)
    found = {name: d for trial in study.trials for name, d in trial.distributions.items()}
    assert found == {
        "x0": optuna.distributions.IntDistribution(0, 99),
        "x1": optuna.distributions.FloatDistribution(0.0, 1.0),
        "n0": optuna.distributions.CategoricalDistribution(("a", "b", "c")),
        "clock": optuna.distributions.CategoricalDistribution((1, 2, 4)),
    }


def test_without_a_mirror_there_is_no_study(tmp_path: Path) -> None:
    """--no-mirror leaves the log alone; a later run with one completes it."""
    search(tmp_path / "run", budget=80, mirror=False)
    assert not (tmp_path / "run" / JOURNAL).exists()
    search(tmp_path / "run", budget=120)
    agree(tmp_path / "run", study_of(tmp_path / "run"))


def test_the_mirror_changes_nothing_in_the_log(tmp_path: Path) -> None:
    """The designs, and their bytes, are those of a run without one."""
    search(tmp_path / "with")
    search(tmp_path / "without", mirror=False)
    assert log_of(tmp_path / "with") == log_of(tmp_path / "without")


def test_the_study_is_complete_when_a_run_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C: what was reported is in the study as well."""

    class Interrupted(Zdt1):
        def evaluate(self, levels: Any) -> Any:
            if self.pause:
                raise KeyboardInterrupt
            return super().evaluate(levels)

    problem = Interrupted()

    def stop(progress: Any) -> None:
        problem.pause = float(progress.evaluated == 80)

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", problem=problem, on_progress=stop)
    assert len(load(tmp_path / "run").levels) == 80
    agree(tmp_path / "run", study_of(tmp_path / "run"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: whole + b'{"op_code":4,"wor',
        lambda whole: b"\0\0\0",
        lambda whole: None,
    ],
    ids=["empty", "half", "no newline", "torn", "zeros", "deleted"],
)
def test_a_journal_that_lacks_something_is_completed(tmp_path: Path, damage: Any) -> None:
    """Torn lines are cut off and what is missing is added; the log stays as it is."""
    folder = tmp_path / "run"
    search(folder)
    before, changed = log_of(folder), damage((folder / JOURNAL).read_bytes())
    if changed is None:
        (folder / JOURNAL).unlink()
    else:
        (folder / JOURNAL).write_bytes(changed)
    search(folder)
    agree(folder, study_of(folder))
    assert log_of(folder) == before
    assert not (folder / DAMAGED).exists()


@pytest.mark.parametrize("case", ["foreign", "corrupt", "ahead", "of other designs"])
def test_a_journal_that_does_not_fit_is_set_aside(tmp_path: Path, case: str) -> None:
    """Nothing of it enters the log; it is kept, and the study is written anew from the log."""
    folder, other = tmp_path / "run", tmp_path / "other"
    search(folder, budget=80)
    before = log_of(folder)
    whole = (folder / JOURNAL).read_bytes()
    if case == "ahead":
        search(other, budget=120)
        whole = (other / JOURNAL).read_bytes()
    elif case == "of other designs":
        search(other, budget=80, batch_size=20)
        whole = (other / JOURNAL).read_bytes()
    elif case == "corrupt":
        lines = whole.splitlines(keepends=True)
        whole = b"".join([*lines[:9], b"no json\n", *lines[10:]])
    else:
        whole = b'{"dear": "diary"}\n'
    (folder / JOURNAL).write_bytes(whole)
    search(folder, budget=80)
    agree(folder, study_of(folder))
    assert log_of(folder) == before
    assert (folder / DAMAGED).read_bytes().startswith(whole)


def test_the_lock_of_a_dead_process_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that was left beside the journal is removed, not waited for half a minute."""
    monkeypatch.setattr("dse.search.journal.PATIENCE", 0.05)
    folder = tmp_path / "run"
    search(folder, budget=40)
    (folder / f"{JOURNAL}.lock").symlink_to(folder / JOURNAL)
    search(folder, budget=80)
    agree(folder, study_of(folder))


def test_a_killed_run_s_study_is_completed_on_resume(tmp_path: Path) -> None:
    """SIGKILL: after the same command the study has each design once."""
    folder = tmp_path / "run"
    command = [sys.executable, "-W", "error", SCRIPT, str(folder), "nsga2", "200"]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(120):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    search(folder, budget=200)
    agree(folder, study_of(folder))


def test_sqlite_takes_the_study_instead_of_the_journal(tmp_path: Path) -> None:
    """The same trials in a database that Optuna opens; a second call adds nothing."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    for budget in (80, 80, 120):
        search(tmp_path / "run", budget=budget, url=url)
        with database(url) as storage:
            agree(tmp_path / "run", optuna.load_study(study_name=STUDY, storage=storage))
    assert not (tmp_path / "run" / JOURNAL).exists()
    data = load(tmp_path / "run")
    with database(url) as storage:
        study = optuna.load_study(study_name=STUDY, storage=storage)
        assert study.trials[9].constraints["corner"] == -data.margins[9, 0]
        best = {tuple(trial.values) for trial in study.best_trials}
    assert best == {tuple(row) for row in data.objectives[data.front]}


def test_a_database_with_other_designs_under_the_name_is_refused(tmp_path: Path) -> None:
    """The study of another run is neither continued nor changed."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    search(tmp_path / "one", budget=40, url=url)
    with pytest.raises(RunError, match="another study of that name: trial 19"):
        search(tmp_path / "two", budget=40, batch_size=20, url=url)
    with database(url) as storage:
        agree(tmp_path / "one", optuna.load_study(study_name=STUDY, storage=storage))


def test_two_runs_on_one_sqlite_study_write_each_design_once(tmp_path: Path) -> None:
    """The same run from two folders at once: whoever is first writes, and the other goes on."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"

    def overtake(progress: Any) -> None:
        if progress.evaluated == 120:
            search(tmp_path / "fast", budget=240, url=url)

    search(tmp_path / "slow", budget=280, url=url, on_progress=overtake)
    assert log_of(tmp_path / "slow").startswith(log_of(tmp_path / "fast"))
    with database(url) as storage:
        agree(tmp_path / "slow", optuna.load_study(study_name=STUDY, storage=storage))


def test_a_run_of_other_designs_that_overtakes_is_found_out(tmp_path: Path) -> None:
    """Its designs stay in the study as they are, and the slower run says so."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"

    def overtake(progress: Any) -> None:
        if progress.evaluated == 80:
            search(tmp_path / "fast", budget=240, batch_size=20, url=url)

    with pytest.raises(RunError, match="another study of that name"):
        search(tmp_path / "slow", budget=280, url=url, on_progress=overtake)
    with database(url) as storage:
        agree(tmp_path / "fast", optuna.load_study(study_name=STUDY, storage=storage))


def test_the_turn_to_write_is_one_s_at_a_time(tmp_path: Path) -> None:
    """Who does not wait is told; in memory there is nobody else."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with turn(url, wait=True) as first, turn(url, wait=False) as second:
        assert (first, second) == (True, False)
    with turn(url, wait=False) as again, turn("sqlite://", wait=False) as apart:
        assert again
        assert apart


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("nonsense", UsageError, "sqlite:///studies.db"),
        ("nodialect://x", UsageError, "nodialect"),
        ("sqlite:////nowhere/at/all/x.db", RunError, "No such file or directory"),
        ("postgresql://me:secret@127.0.0.1:1/x", RunError, "cannot be reached"),
    ],
)
def test_a_storage_that_cannot_be_had_is_one_clear_error(
    tmp_path: Path, url: str, error: type[Exception], words: str
) -> None:
    """The error names it without its password, and the run is not begun or keeps its log."""
    with pytest.raises(error, match=words) as caught:
        search(tmp_path / "run", budget=40, url=url)
    assert "secret" not in str(caught.value)


def test_a_url_is_shown_without_its_password() -> None:
    """Whatever is printed or stored of it."""
    assert "secret" not in shown("postgresql://me:secret@host/studies")
    assert "host/studies" in shown("postgresql://me:secret@host/studies")


def test_a_full_disk_stops_the_mirror_with_an_error_that_says_what_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal cannot grow: the batches are in the log, and the next run completes it."""

    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(JournalFileBackend, "append_logs", full)
        with pytest.raises(RunError, match=r"No space left on device\n.*--no-mirror"):
            search(tmp_path / "run", budget=80)
    search(tmp_path / "run", budget=80)
    agree(tmp_path / "run", study_of(tmp_path / "run"))


def test_a_warm_start_maps_the_front_of_another_run_by_path(tmp_path: Path) -> None:
    """Numbers go to the nearest level, names to themselves; what is not there to the first."""
    result = search(tmp_path / "old")
    old = load(tmp_path / "old")
    coarse = Zdt1(
        parameters=(
            Parameter(path="x0", levels=(0.0, 0.5, 1.0)),
            Parameter(path="x9", levels=(1, 2)),
            Parameter(path="n0", levels=("c", "a"), ordered=False),
            Parameter(path="new", levels=(5, 6)),
        )
    )
    search(tmp_path / "run", "random", 12, problem=coarse, warm_start=old, batch_size=6)
    given = json.loads((tmp_path / "run" / SETTINGS).read_text())["initial"]
    expected = set()
    for row in old.levels[result.front]:
        name = ("c", "a").index("abc"[row[5]]) if row[5] != 1 else 0
        expected.add((int(np.argmin(np.abs(np.array([0.0, 7.5, 15.0]) - row[0]))), 0, name, 0))
    assert {tuple(row) for row in given} == expected
    assert {tuple(row) for row in load(tmp_path / "run").levels[: len(given)]} == expected


def test_a_warm_start_needs_a_front_in_common(tmp_path: Path) -> None:
    """A run without a feasible design, or of another space, says so and begins nothing."""
    search(tmp_path / "old", "random", 40)
    other = Zdt1(parameters=(Parameter(path="y", levels=(1, 2)),))
    with pytest.raises(RunError, match="searched no parameter"):
        search(tmp_path / "run", problem=other, warm_start=load(tmp_path / "old"))
    assert not (tmp_path / "run" / SETTINGS).exists()


def test_another_warm_start_is_another_run(tmp_path: Path) -> None:
    """A run that began cold is not silently continued as a warm one."""
    search(tmp_path / "run", budget=40)
    with pytest.raises(RunError, match="warm_start: stored None"):
        search(tmp_path / "run", budget=80, warm_start=load(tmp_path / "run"))


def test_a_shared_study_takes_no_sweep_and_is_not_set_aside(tmp_path: Path) -> None:
    """What cannot be shared is wrong usage, said before the database is asked."""
    url = "postgresql://me@127.0.0.1:1/x"
    with pytest.raises(UsageError, match="--cluster"):
        search(tmp_path / "run", "exact", url=url)
    with pytest.raises(UsageError, match="--fresh"):
        search(tmp_path / "run", url=url, fresh=True)
    assert list(tmp_path.iterdir()) == []


def test_processes_of_a_shared_study_find_folders_of_their_own(tmp_path: Path) -> None:
    """While one holds NAME the next takes NAME.2; other storages keep to the one folder."""
    shared, alone = Attachment(url="postgresql://host/x"), Attachment(url="sqlite:///x.db")
    taken: list[Path] = []

    def look(_: Any) -> None:
        taken[:] = [shared.own_folder(tmp_path / "run"), alone.own_folder(tmp_path / "run")]

    search(tmp_path / "run", budget=40, on_progress=look)
    assert taken == [tmp_path / "run.2", tmp_path / "run"]
    assert shared.own_folder(tmp_path / "run") == tmp_path / "run"


def test_no_design_is_twice_in_a_study(tmp_path: Path) -> None:
    """A conditional parameter that is not free makes no second design of the same."""
    search(tmp_path / "run", "tpe", 60, batch_size=20)
    assert len(set(keys(load(tmp_path / "run").levels))) == 60
