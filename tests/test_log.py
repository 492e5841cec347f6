"""The run folder: durable lines, torn tails, locks, and every state a folder may be in."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import RunError
from dse.search.folder import BATCHES, SETTINGS, read_settings
from dse.search.log import Batch, RunLog, open_run, read_batches
from dse.search.protocol import Evaluations

IDENTITY = {"fingerprint": "abc123", "method": "nsga2", "seed": 1}


def begin(folder: Path, *, fresh: bool = False, **identity: Any) -> RunLog:
    """Opens a run, by default of IDENTITY, with a budget of 100."""
    return open_run(folder, {**IDENTITY, **identity}, lambda: {"budget": 100}, fresh=fresh)


def batch(number: int, count: int = 2) -> Batch:
    """A batch whose figures depend on its number alone."""
    random = np.random.default_rng(number)
    return Batch(
        number=number,
        generation=number,
        parents=tuple(range(number)),
        levels=random.integers(0, 5, (count, 3)),
        evaluations=Evaluations(
            objectives=random.lognormal(size=(count, 2)),
            margins=random.normal(size=(count, 1)),
            metrics={"cost": random.lognormal(size=count)},
            mapping=[{"tp": 2, "name": "ü\n"}] * count,
        ),
    )


def written(folder: Path, count: int) -> None:
    """A run with `count` batches, closed."""
    with begin(folder) as log:
        log.replay(lambda _: None)
        for number in range(count):
            log.append(batch(number))


def numbers(folder: Path) -> list[int]:
    return [one.number for one, _ in read_batches(folder)]


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(finite, finite, st.floats()), min_size=1, max_size=5))
def test_floats_read_back_exactly(rows: list[tuple[float, float, float]]) -> None:
    """Objectives, margins and metrics survive bit by bit, metrics also infinite or nan."""
    table = np.array(rows)
    found = Evaluations(
        objectives=table[:, :1],
        margins=table[:, 1:2],
        metrics={"x": table[:, 2]},
        mapping=[{}] * len(rows),
    )
    before = Batch(
        number=0, generation=0, parents=(), levels=np.zeros((len(rows), 1), int), evaluations=found
    )
    after = Batch.decode(json.loads(before.encode())).evaluations
    assert after.objectives.tobytes() == found.objectives.tobytes()
    assert after.margins.tobytes() == found.margins.tobytes()
    np.testing.assert_array_equal(after.metrics["x"], found.metrics["x"])


def test_a_batch_without_rules_reads_back() -> None:
    """No constraints: margins of shape [n, 0] stay so."""
    found = Evaluations(objectives=np.ones((2, 1)), margins=np.zeros((2, 0)), mapping=[{}, {}])
    line = Batch(
        number=0, generation=0, parents=(), levels=np.zeros((2, 3), int), evaluations=found
    ).encode()
    assert Batch.decode(json.loads(line)).evaluations.margins.shape == (2, 0)


def test_replay_gives_what_was_appended(tmp_path: Path) -> None:
    """Closed and opened again, the log holds the same lines, and goes on after them."""
    written(tmp_path / "run", 3)
    seen: list[Batch] = []
    with begin(tmp_path / "run") as log:
        log.replay(seen.append)
        log.append(batch(3))
    assert [one.encode() for one in seen] == [batch(n).encode() for n in range(3)]
    assert numbers(tmp_path / "run") == [0, 1, 2, 3]


def test_a_line_is_synchronised_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the file is synchronised it already holds the whole line."""
    with begin(tmp_path / "run") as log:
        log.replay(lambda _: None)
        sizes: list[int] = []
        genuine = os.fsync
        monkeypatch.setattr(
            os, "fsync", lambda f: (sizes.append(os.fstat(f).st_size), genuine(f))[1]
        )
        log.append(batch(0))
    assert sizes == [len(batch(0).encode())]


@pytest.mark.parametrize("tail", [b'{"batch":2,"lev', b"{}", b"\0\0\0\n", b"\xff\xfe\n", b"\n"])
def test_a_torn_tail_is_cut_off_when_the_run_goes_on(tmp_path: Path, tail: bytes) -> None:
    """Half a line, or a last line that is no JSON: readers pass over it, the writer cuts it."""
    folder = tmp_path / "run"
    written(folder, 2)
    whole = (folder / BATCHES).read_bytes()
    (folder / BATCHES).write_bytes(whole + tail)
    assert numbers(folder) == [0, 1]
    assert (folder / BATCHES).read_bytes() == whole + tail
    with begin(folder) as log:
        log.replay(lambda _: None)
        assert (folder / BATCHES).read_bytes() == whole
        log.append(batch(2))
    assert numbers(folder) == [0, 1, 2]


@pytest.mark.parametrize(
    "line",
    [
        b'{"batch":1,"lev\n',
        b"{}\n",
        b"[1]\n",
        batch(7).encode(),
        b"null\n",
        batch(1).encode().replace(b'"levels":[[', b'"levels":[[1,2,3],['),
    ],
)
def test_a_corrupt_line_in_the_middle_is_named_and_nothing_changes(
    tmp_path: Path, line: bytes
) -> None:
    """Neither reader nor writer skips it: file and line are named, the bytes stay."""
    folder = tmp_path / "run"
    written(folder, 3)
    lines = (folder / BATCHES).read_bytes().splitlines(keepends=True)
    damaged = lines[0] + line + lines[2]
    (folder / BATCHES).write_bytes(damaged)
    with pytest.raises(RunError, match=rf"{BATCHES}:2: .*nothing was changed"):
        numbers(folder)
    with begin(folder) as log, pytest.raises(RunError, match=f"{BATCHES}:2: "):
        log.replay(lambda _: None)
    assert (folder / BATCHES).read_bytes() == damaged


def test_a_batch_that_does_not_follow_is_named(tmp_path: Path) -> None:
    """A ValueError of whoever replays becomes an error that names the line."""
    written(tmp_path / "run", 2)

    def observe(one: Batch) -> None:
        if one.number == 1:
            raise ValueError("of another space")

    with begin(tmp_path / "run") as log, pytest.raises(RunError, match=f"{BATCHES}:2: .*another"):
        log.replay(observe)


def test_a_second_run_on_the_folder_is_refused_with_the_first_one_s_pid(tmp_path: Path) -> None:
    """While one holds the folder another is told who does; afterwards it may."""
    with begin(tmp_path / "run"):
        for fresh in (False, True):
            with pytest.raises(RunError, match=f"another dse run holds .* pid {os.getpid()}"):
                begin(tmp_path / "run", fresh=fresh)
    begin(tmp_path / "run").close()


@pytest.mark.parametrize("leftovers", [(), ("lock",), ("lock", "run.json.partial")])
def test_an_empty_folder_is_used(tmp_path: Path, leftovers: tuple[str, ...]) -> None:
    """Also one where a run died before it wrote its settings."""
    for name in leftovers:
        (tmp_path / name).write_text("")
    begin(tmp_path).close()
    assert read_settings(tmp_path)["fingerprint"] == "abc123"


def test_settings_are_created_once(tmp_path: Path) -> None:
    """A run that is resumed keeps the settings it began with."""
    begin(tmp_path / "a" / "run").close()
    with open_run(tmp_path / "a" / "run", IDENTITY, lambda: pytest.fail("called")) as log:
        assert log.settings["budget"] == 100


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [("fingerprint", "def", "abc123"), ("method", "random", "nsga2"), ("seed", 2, "1")],
)
def test_another_run_in_the_folder_is_refused(
    tmp_path: Path, name: str, value: Any, stored: str
) -> None:
    """The error says which setting differs, both values, and the way out."""
    begin(tmp_path / "run").close()
    with pytest.raises(RunError, match=rf"\({name}: stored {stored}, asked {value}\)") as caught:
        begin(tmp_path / "run", **{name: value})
    assert "--fresh" in str(caught.value)


def test_fresh_sets_the_old_run_aside(tmp_path: Path) -> None:
    """Nothing is lost: each old run keeps its log under a free name beside the new one."""
    written(tmp_path / "run", 2)
    begin(tmp_path / "run", fresh=True, seed=2).close()
    begin(tmp_path / "run", fresh=True, seed=3).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "run.old-1", "run.old-2"]
    assert numbers(tmp_path / "run.old-1") == [0, 1]
    assert [read_settings(tmp_path / n)["seed"] for n in ("run.old-1", "run.old-2", "run")] == [
        1,
        2,
        3,
    ]


def test_fresh_on_an_absent_or_empty_folder_begins(tmp_path: Path) -> None:
    """There is nothing to set aside, and that is no error."""
    begin(tmp_path / "absent", fresh=True).close()
    begin(tmp_path / "absent" / "empty", fresh=True).close()
    assert [p.name for p in tmp_path.iterdir()] == ["absent"]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": "x"},
        {"run.json": '{"name": "web"}'},
        {"run.json": "[]"},
        {"run.json": "not json", "main.js": "x"},
        {"batches.jsonl": ""},
    ],
)
def test_a_foreign_folder_is_never_touched(
    tmp_path: Path, files: dict[str, str], fresh: bool
) -> None:
    """With or without --fresh: refused, and not a file is added, changed or moved."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(RunError, match="mine"):
        begin(folder, fresh=fresh)
    assert {p.name: p.read_text() for p in folder.iterdir()} == files
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    """The path names a file: it stays."""
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunError, match="Not a directory"):
        begin(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "x"


def test_unreadable_settings_stop_the_run_and_fresh_is_the_way_out(tmp_path: Path) -> None:
    """A damaged run.json beside a log is ours: refused, kept by --fresh."""
    folder = tmp_path / "run"
    written(folder, 1)
    (folder / SETTINGS).write_text('{"format": "dse')
    with pytest.raises(RunError, match=f"{SETTINGS}: this is not valid JSON"):
        begin(folder)
    begin(folder, fresh=True).close()
    assert numbers(tmp_path / "run.old-1") == [0]


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    """A run of a newer version is not misread."""
    begin(tmp_path / "run").close()
    settings = read_settings(tmp_path / "run")
    (tmp_path / "run" / SETTINGS).write_text(json.dumps({**settings, "version": 99}))
    with pytest.raises(RunError, match="format 99"):
        begin(tmp_path / "run")


def test_settings_change_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing them fails half-way the old ones stay."""
    with begin(tmp_path / "run") as log:
        log.update(budget=200)
        monkeypatch.setattr(os, "fsync", fails(errno.ENOSPC))
        with pytest.raises(RunError, match="No space left"):
            log.update(budget=300)
    assert read_settings(tmp_path / "run")["budget"] == 200


def fails(code: int) -> Any:
    """A function of the os module that fails."""

    def function(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return function


def test_a_read_only_folder_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No permission: the error names the file and the reason (root ignores modes: simulated)."""
    folder = tmp_path / "run"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fails(errno.EACCES))
        with pytest.raises(RunError, match="cannot write in the run folder: Permission denied"):
            begin(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", fails(errno.EROFS))
        with pytest.raises(RunError, match="cannot create the run folder: Read-only"):
            begin(tmp_path / "other")


def test_an_unreadable_log_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that cannot be opened is named."""
    written(tmp_path / "run", 1)
    monkeypatch.setattr(Path, "open", fails(errno.EACCES))
    with pytest.raises(RunError, match=f"{BATCHES}: cannot read the log: Permission denied"):
        numbers(tmp_path / "run")


@pytest.mark.parametrize("function", ["write", "fsync"])
def test_a_full_disk_keeps_what_was_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """The failed batch leaves no trace, the error says that the others are safe."""
    folder = tmp_path / "run"
    genuine = os.write

    def half(descriptor: int, data: Any) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return genuine(descriptor, data[: len(data) // 2])

    with begin(folder) as log:
        log.replay(lambda _: None)
        log.append(batch(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, function, half if function == "write" else fails(errno.ENOSPC))
            with pytest.raises(RunError, match=r"No space left on device\n.*reported is safe"):
                log.append(batch(1))
        assert (folder / BATCHES).read_bytes() == batch(0).encode()
        log.append(batch(1))
    assert numbers(folder) == [0, 1]


def test_an_interrupted_write_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a line is written: the line is withdrawn, the interrupt passes on."""
    with begin(tmp_path / "run") as log:
        log.replay(lambda _: None)
        log.append(batch(0))

        def interrupted(_: int) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", interrupted)
            with pytest.raises(KeyboardInterrupt):
                log.append(batch(1))
    assert (tmp_path / "run" / BATCHES).read_bytes() == batch(0).encode()


@pytest.mark.parametrize(("name", "reason"), [("absent", "no such run"), ("", "holds no dse run")])
def test_reading_what_is_no_run(tmp_path: Path, name: str, reason: str) -> None:
    """An absent folder and one without a run are told apart."""
    with pytest.raises(RunError, match=reason):
        read_settings(tmp_path / name)
