"""What levels are worth, where a front lies, and what a search missed, against the whole space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pages
import pytest
from analytic import Zdt1, search, space

from dse.report.front import front_view, shortened
from dse.report.terminal import columns_of, rendered, width
from dse.search.record import RunData, load
from dse.search.result import front_document
from dse.search.space import Space
from dse.search.subspace import Subspace, gap, influence, part_of
from dse.search.worth import best_by_level, bounds


@attrs.define(kw_only=True)
class Told(Zdt1):
    """Zdt1 with names of metrics, and described as studies are."""

    parameters: tuple[Any, ...] = space(3, 1)
    objectives: tuple[str, ...] = ("tpot_s", "ttft_s")

    def describe(self) -> dict[str, Any]:
        told = [
            {"path": p.path, "values": [*p.levels], "levels": [str(v) for v in p.levels]}
            for p in self.parameters
        ]
        size = Space(self.parameters).size()
        return {"study": self.name, "parameters": told, "space": size, "references": []}

    def screen(self, levels: np.ndarray) -> dict[str, np.ndarray]:
        return {}


PROBLEM: Any = Told()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A random search, far from the front."""
    folder = tmp_path_factory.mktemp("short") / "run"
    search(folder, "random", 60, problem=PROBLEM, mirror=False)
    return load(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """The exact front."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    search(folder, "exact", 1, problem=PROBLEM, mirror=False, batch_size=None)
    return load(folder)


def brute(*held: tuple[int, int]) -> np.ndarray:
    """The least of both objectives over all feasible designs with levels of parameters."""
    levels = Space(PROBLEM.parameters).block(0, Space(PROBLEM.parameters).size())
    found = PROBLEM.evaluate(levels)
    chosen = found.feasible & np.all([levels[:, i] == level for i, level in held], axis=0)
    return np.asarray(found.objectives[chosen].min(axis=0)) if chosen.any() else np.full(2, np.nan)


def test_the_best_design_with_each_level_is_found(short: RunData) -> None:
    """After a poor search it is that of the whole space; None where no such design is feasible."""
    made = best_by_level(PROBLEM, short, 100_000)
    assert made.groups == [(parameter.path,) for parameter in PROBLEM.parameters]
    for index, parameter in enumerate(PROBLEM.parameters):
        rows = made.rows[index]
        assert [row["levels"] for row in rows] == [[str(level)] for level in parameter.levels]
        for level, (row, design) in enumerate(zip(rows, made.designs[index], strict=True)):
            values = [np.nan if v is None else v for v in row["best"].values()]
            assert values == pytest.approx(brute((index, level)), nan_ok=True)
            assert (design is None) == (row["best"]["tpot_s"] is None)
            if design is not None:
                assert design[index] == level
                found = PROBLEM.evaluate(design[None])
                assert found.feasible[0]
                assert found.objectives[0, 0] == pytest.approx(row["best"]["tpot_s"])
    assert [row["best"]["tpot_s"] for row in made.rows[0][-2:]] == [None, None]


def test_the_best_design_with_two_levels_at_once(short: RunData) -> None:
    """Of parameters that are crossed, with every combination, in the order of their levels."""
    crossed = ("n0", "x0")
    made = best_by_level(PROBLEM, short, 100_000, [("x1",), crossed])
    paths = [parameter.path for parameter in PROBLEM.parameters]
    name, number = (paths.index(path) for path in crossed)
    assert [len(rows) for rows in made.rows] == [16, 3 * 16]
    rows = iter(made.rows[-1])
    for one, word in enumerate(PROBLEM.parameters[name].levels):
        for other, value in enumerate(PROBLEM.parameters[number].levels):
            row = next(rows)
            assert row["levels"] == [str(word), str(value)]
            values = [np.nan if v is None else v for v in row["best"].values()]
            assert values == pytest.approx(brute((name, one), (number, other)), nan_ok=True)
    assert next(rows, None) is None


def test_without_evaluations_it_is_what_the_run_has(short: RunData) -> None:
    """Zero more designs: the best of the log; levels that it lacks have none."""
    rows = best_by_level(PROBLEM, short, 0).rows[1]
    assert sum(row["logged"] for row in rows) == len(short.levels)
    for row, level in zip(rows, range(16), strict=True):
        own = short.feasible & (short.levels[:, 1] == level)
        best = short.objectives[own].min(axis=0) if own.any() else [None, None]
        assert [*row["best"].values()] == [*best]


def test_bounds_of_a_front(whole: RunData) -> None:
    """Numbers that lengthen g stand at their lowest level and x0 at no end; of the names "b" alone
    leaves the clock free, which then stands at its lowest level."""
    found = {
        each["path"]: (each["end"], each["level"]) for each in bounds(whole, PROBLEM.parameters)
    }
    assert found == {
        "x1": ("lowest", "0.0"),
        "x2": ("lowest", "0.0"),
        "n0": ("only", "b"),
        "clock": ("lowest", "1"),
    }


def test_a_part_is_around_the_first_design(short: RunData) -> None:
    """The parameters that move most, as many as fit; conditions and what they rest on are held."""
    part = part_of(PROBLEM, short, 300)
    assert part is not None
    paths = [parameter.path for parameter in part.parameters]
    assert len(paths) == 2
    assert set(paths) < {"x0", "x1", "x2"}
    first = short.levels[short.front[np.argmax(short.values[short.front, 0])]]
    assert part.base == tuple(first)
    levels = part.levels(np.array([[3, 4]]))
    assert [levels[0, i] for i in part.moved] == [3, 4]
    held = [i for i in range(len(first)) if i not in part.moved]
    assert [levels[0, i] for i in held] == [first[i] for i in held]
    assert part_of(PROBLEM, short, 20) is None


def test_influence_is_of_each_parameter_alone() -> None:
    """The name adds a tenth a level to the second objective: the width of its logarithm."""
    base = np.array([[5, 0, 0, 0, 3]])
    moved = influence(PROBLEM, base)
    names = PROBLEM.evaluate(np.array([[5, 0, 0, n, 3] for n in range(3)])).objectives
    assert moved[3] == pytest.approx(np.log(names[2, 1] / names[0, 1]))
    assert np.argmax(moved) == 0


def test_what_a_search_missed_of_a_part(short: RunData, tmp_path: Path) -> None:
    """A poor search lacks some of what the sweep of a part finds; a complete one lacks nothing."""
    part = part_of(PROBLEM, short, 5000)
    assert part is not None
    search(tmp_path / "part", "exact", 1, problem=part, mirror=False, batch_size=None)
    swept = load(tmp_path / "part")
    told = gap(PROBLEM, short, part, swept)
    assert told["gap"] == pytest.approx(1.0 - told["share"])
    assert 0.0 < told["gap"] < 1.0
    assert told["best"]["swept"] <= told["best"]["search"]
    assert told["space"] == np.prod([len(p.levels) for p in part.parameters])
    assert set(told["held"]) | set(told["parameters"]) == {p.path for p in PROBLEM.parameters}
    same = gap(PROBLEM, swept_as_whole(short, part, swept), part, swept)
    assert (same["gap"], same["front"]) == (0.0, len(swept.front))


def swept_as_whole(data: RunData, part: Subspace, swept: RunData) -> RunData:
    """A run of the whole that found what a part holds."""
    return attrs.evolve(
        data,
        levels=part.levels(swept.levels),
        objectives=swept.objectives,
        margins=swept.margins,
    )


def test_a_shortened_front_says_what_the_whole_has() -> None:
    """`spread` has the values of all designs of a front, and its table counts those left out."""
    data = pages.run()
    document = front_document(data)
    kept = shortened(data.problem, document, 3)
    rows = data.levels[data.front]
    for index, parameter in enumerate(data.problem["parameters"]):
        values = [parameter["values"][level] for level in sorted(set(rows[:, index].tolist()))]
        assert kept["spread"][parameter["path"]] == values
    text = rendered(*front_view(data.problem, kept, None), plain=True)
    assert f"{len(rows) - 3:,} more on the front" in text


def test_tables_of_a_file_have_their_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a terminal is wide does not matter inside, and does again outside."""
    monkeypatch.setenv("COLUMNS", "120")
    with columns_of(80):
        assert width() == 80
    assert width() == 120
