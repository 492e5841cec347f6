"""The method `exact`: every design once, in flat memory, its front certain and its pruning safe."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from dse.errors import RunError
from dse.search.folder import BATCHES
from dse.search.front import non_dominated, to_maximise
from dse.search.levels import keys
from dse.search.protocol import Evaluations, Parameter
from dse.search.run import Progress, load, run
from dse.search.space import Space
from dse.search.sweep import LARGEST, SMALLEST, chunk_size

ROOT = str(Path(__file__).resolve().parents[1])


def plain(*sizes: int) -> tuple[Parameter, ...]:
    return tuple(Parameter(path=f"x{i}", levels=tuple(range(n))) for i, n in enumerate(sizes))


def nested() -> tuple[Parameter, ...]:
    """b is free at a = 1 and 2, c where b is free and at its first level; d always."""
    return (
        Parameter(path="d", levels=(0, 1)),
        Parameter(path="b", levels=(0, 1, 2, "off"), needs=((2, frozenset({1, 2})),)),
        Parameter(path="a", levels=(0, 1, 2)),
        Parameter(path="c", levels=(0, 1, "off"), needs=((1, frozenset({0})),)),
        Parameter(path="e", levels=(0, 1, 2)),
    )


@attrs.define
class Zdt1:
    """ZDT1 (Zitzler, Deb, Thiele 2000) on a grid: its front is second = 1 - sqrt(first).

    Both objectives are to be minimised. A rule that the design alone tells cuts off `area`, one
    that only the evaluation tells cuts off `memory`.
    """

    parameters: tuple[Parameter, ...] = plain(12, 4, 3, 3)
    name: str = "zdt1"
    objectives: tuple[str, ...] = ("first", "second")
    senses: tuple[str, ...] = ("min", "min")
    rules: tuple[str, ...] = ("area", "memory", "power")
    fingerprint: str = "c0ffee"
    references: tuple[Any, ...] = ()
    area: float = 0.9
    memory: float = 0.95
    power: float = 2.0
    pause: float = 0.0
    rows: int = 0

    def shares(self, levels: np.ndarray) -> np.ndarray:
        sizes = np.array([len(p.levels) for p in self.parameters])
        return levels / np.maximum(sizes - 1, 1)

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        self.rows += len(levels)
        time.sleep(self.pause)
        x = self.shares(levels)
        g = 1.0 + 9.0 * x[:, 1:].mean(axis=1)
        second = g * (1.0 - np.sqrt(x[:, 0] / g))
        margins = [self.area - x[:, 0], self.memory - x[:, 1], self.power - x.sum(axis=1)]
        return Evaluations(
            objectives=np.column_stack([x[:, 0], second]),
            margins=np.column_stack(margins),
            metrics={"g": g},
            mapping=[{"tp": int(level)} for level in levels[:, 0]] if len(levels) < 10000 else [],
        )

    def screen(self, levels: np.ndarray) -> dict[str, np.ndarray]:
        x = self.shares(levels)
        return {"power": self.power - x.sum(axis=1), "area": self.area - x[:, 0]}

    def describe(self) -> dict[str, Any]:
        return {"study": self.name}


def everything(problem: Any) -> tuple[np.ndarray, Evaluations]:
    space = Space(problem.parameters)
    levels = space.block(0, space.size())
    return levels, problem.evaluate(levels)


def test_blocks_without_conditions_are_in_mixed_radix_order() -> None:
    """The designs come as they are counted, wherever a block begins or ends."""
    space = Space(plain(3, 4, 5))
    expected = [list(index) for index in np.ndindex(3, 4, 5)]
    assert space.block(0, 60).tolist() == expected
    assert space.block(17, 42).tolist() == expected[17:42]


def test_blocks_hold_each_conditional_design_once() -> None:
    """Where conditions rest on conditions: the distinct canonical rows, each once, no other."""
    parameters = nested()
    space = Space(parameters)
    raw = np.array(list(np.ndindex(*space.sizes)))
    expected = set(keys(space.canonical(raw)))
    found = np.vstack([space.block(i, min(i + 7, space.size())) for i in range(0, space.size(), 7)])
    # by hand: b off at a = 0; else b = 0 with two of c, or b = 1, 2: 1 + 2 * 4 = 9, times 2 * 3
    assert len(found) == len(expected) == space.size() == 54
    assert set(keys(found)) == expected
    np.testing.assert_array_equal(space.canonical(found), found)


def test_spaces_beyond_64_bits_are_counted_and_numbered_exactly() -> None:
    """10^40 designs: the last one has the last level everywhere, its neighbour one less."""
    space = Space(plain(*[10] * 40))
    assert space.size() == 10**40
    last = space.block(10**40 - 2, 10**40)
    assert last.tolist() == [[9] * 39 + [8], [9] * 40]


@pytest.mark.parametrize("size", [7, 37, 1000])
@pytest.mark.parametrize("parameters", [plain(12, 4, 3, 3), nested()])
def test_the_front_is_that_of_the_whole_space(
    tmp_path: Path, size: int, parameters: tuple[Parameter, ...]
) -> None:
    """Whatever the chunks, with pruning and without: same designs, figures and counts."""
    problem = Zdt1(parameters=parameters)
    levels, found = everything(problem)
    truth = non_dominated(to_maximise(found.objectives, problem.senses), found.feasible)
    for prune in (True, False):
        folder = tmp_path / str(prune)
        result = run(problem, "exact", 1, 0, folder, batch_size=size, prune=prune)
        data = load(folder)
        np.testing.assert_array_equal(data.front, np.sort(result.front))
        assert set(keys(data.levels[data.front])) == set(keys(levels[truth]))
        again = problem.evaluate(data.levels)
        np.testing.assert_array_equal(data.objectives, again.objectives)
        np.testing.assert_array_equal(data.margins, again.margins)
        assert data.mapping == again.mapping
        assert (result.feasible, result.exhausted) == (found.feasible.sum(), True)
        assert result.evaluated + result.pruned == len(levels) == result.space
        assert bool(data.counts.pruned) == prune


def test_pruned_designs_are_counted_by_their_first_rule_and_not_evaluated(tmp_path: Path) -> None:
    """A design that breaks two rules counts for the first; the rest is evaluated, once."""
    problem = Zdt1()
    levels, found = everything(problem)
    area, _, power = (found.margins < -1e-4).T
    problem.rows = 0
    run(problem, "exact", 1, 0, tmp_path / "run", batch_size=50)
    data = load(tmp_path / "run")
    assert data.counts.pruned == {"power": power.sum(), "area": (area & ~power).sum()}
    assert data.counts.evaluated == len(levels) - (area | power).sum()
    # beside these, the least violating design of each chunk that was pruned whole
    assert 0 <= problem.rows - data.counts.evaluated < 9
    assert data.broken["power"] == power.sum()
    assert data.broken["area"] == area.sum()


def test_a_rule_that_is_hardly_broken_is_left_to_the_evaluation(tmp_path: Path) -> None:
    """The screen's rounding may differ: a margin just below zero there does not rule out."""

    class Rounded(Zdt1):
        def screen(self, levels: np.ndarray) -> dict[str, np.ndarray]:
            return {name: values - 3e-6 for name, values in super().screen(levels).items()}

    limit = float(Zdt1().shares(np.array([[7, 0, 0, 0]]))[0, 0])
    for name, kind in (("exact", Zdt1), ("rounded", Rounded)):
        run(kind(area=limit), "exact", 1, 0, tmp_path / name)
    expected, found = load(tmp_path / "exact"), load(tmp_path / "rounded")
    assert limit in expected.objectives[:, 0]
    np.testing.assert_array_equal(found.levels[found.front], expected.levels[expected.front])


@pytest.mark.parametrize("limits", [{"memory": -0.5, "area": 9.0}, {"area": -0.5}])
def test_without_a_feasible_design_the_nearest_is_kept(
    tmp_path: Path, limits: dict[str, float]
) -> None:
    """Whether all are evaluated or all pruned: the least violating design, and who breaks what."""
    problem = Zdt1(power=9.0, **limits)
    levels, found = everything(problem)
    result = run(problem, "exact", 1, 0, tmp_path / "run", batch_size=100)
    data = load(tmp_path / "run")
    assert (result.feasible, len(result.front), len(data.front)) == (0, 0, 0)
    least = np.minimum(data.margins, 0.0).sum(axis=1).max()
    assert least == np.minimum(found.margins, 0.0).sum(axis=1).max()
    rule = next(iter(limits))
    assert data.broken[rule] == len(levels)
    assert result.evaluated + result.pruned == len(levels)
    assert result.pruned == (len(levels) if rule == "area" else 0)


def test_the_log_grows_with_the_front_not_with_the_space(tmp_path: Path) -> None:
    """A chunk that adds nothing to the front is a line of counts."""
    run(Zdt1(), "exact", 1, 0, tmp_path / "run", batch_size=12)
    lines = [json.loads(line) for line in (tmp_path / "run" / BATCHES).read_text().splitlines()]
    assert len(lines) == 36
    assert sum(len(line["levels"]) for line in lines) < 60
    assert any(not line["levels"] for line in lines)
    assert sum(line["counts"]["evaluated"] for line in lines) < 432


def test_progress_counts_pruned_designs_and_tells_the_time_left(tmp_path: Path) -> None:
    """The last report is of the whole space; what an absurd space takes is told, not refused."""
    reports: list[Progress] = []
    run(Zdt1(), "exact", 1, 0, tmp_path / "a", batch_size=100, on_progress=reports.append)
    assert [p.evaluated for p in reports] == [100, 200, 300, 400, 432]
    assert 0 < reports[-1].pruned < 432
    assert reports[-1].seconds_left == 0.0 < reports[0].seconds_left
    for digits in (30, 400):
        reports.clear()
        absurd = Zdt1(parameters=plain(*[10] * digits))
        once = run(
            *(absurd, "exact", 1, 0, tmp_path / str(digits)),
            on_progress=reports.append,
            should_stop=lambda: bool(reports),
        )
        assert once.space == reports[0].budget == 10**digits
        assert not once.complete
        assert reports[0].seconds_left > 1e15
        assert math.isinf(reports[0].seconds_left) == (digits == 400)
        assert load(tmp_path / str(digits)).settings["budget"] == 10**digits


def test_chunks_are_whole_calls_of_the_model() -> None:
    """A sixty-fourth of the space between the smallest and the largest chunk."""
    assert [chunk_size(n) for n in (1, 20_000, 100_000, 10**9)] == [
        SMALLEST,
        2 * SMALLEST,
        1792,
        LARGEST,
    ]


def test_a_log_of_another_space_is_refused(tmp_path: Path) -> None:
    """A chunk that does not count its designs is named by its line, and nothing is changed."""
    run(Zdt1(), "exact", 1, 0, tmp_path / "run", batch_size=100)
    log = tmp_path / "run" / BATCHES
    lines = log.read_text().splitlines(keepends=True)
    data = json.loads(lines[1])
    data["counts"]["evaluated"] += 1
    log.write_text("".join([lines[0], json.dumps(data) + "\n"]))
    before = log.read_bytes()
    with pytest.raises(RunError, match="does not count the 100 designs") as caught:
        run(Zdt1(), "exact", 1, 0, tmp_path / "run", batch_size=100)
    assert caught.value.findings[0].line == 2
    assert log.read_bytes() == before


def child(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", __file__, *arguments]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_killed_sweep_goes_on_at_its_chunk(tmp_path: Path) -> None:
    """SIGKILL after the third report: three lines stay, the log ends as that of no kill."""
    folder = tmp_path / "killed"
    with child("paused", str(folder)) as process:
        assert process.stdout is not None
        reported = [int(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGKILL)
    assert reported == [10, 20, 30]
    killed = (folder / BATCHES).read_bytes()
    assert killed.count(b"\n") >= 3
    (folder / BATCHES).write_bytes(killed + b'{"batch":')
    run(Zdt1(), "exact", 1, 0, folder, batch_size=10)
    run(Zdt1(), "exact", 1, 0, tmp_path / "whole", batch_size=10)
    assert (folder / BATCHES).read_bytes() == (tmp_path / "whole" / BATCHES).read_bytes()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_space(tmp_path: Path) -> None:
    """From 10^5 to 10^7 designs the peak grows by less than a tenth, far below 2 GiB."""
    peaks = {}
    for digits in (5, 7):
        with child("large", str(tmp_path / str(digits)), str(digits)) as process:
            assert process.stdout is not None
            space, peaks[digits] = map(int, process.stdout.read().split())
        assert process.returncode == 0
        assert space == 10**digits
    assert peaks[7] < 1.1 * peaks[5] < 2 * 2**30
    print(peaks)


if __name__ == "__main__":
    if sys.argv[1] == "paused":
        problem = Zdt1(pause=0.05)
        report = lambda p: print(p.evaluated, flush=True)  # noqa: E731
        run(problem, "exact", 1, 0, sys.argv[2], batch_size=10, on_progress=report)
    else:
        large = Zdt1(parameters=plain(*[10] * int(sys.argv[3])))
        result = run(large, "exact", 1, 0, sys.argv[2])
        assert len(load(sys.argv[2]).front) == len(result.front) > 5
        print(result.space, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
