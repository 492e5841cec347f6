"""Comparisons of searches: kept runs, what they paid, shares of a known front, tables and plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from test_gradient import Bowl

from dse.errors import InputError, RunError, UsageError
from dse.report.comparison import (
    BEGIN,
    END,
    comparison_markdown,
    comparison_plots,
    comparison_view,
    replace_section,
)
from dse.report.terminal import rendered
from dse.search.compare import Course, Trial, check_label, course, front_of, trials
from dse.search.record import load
from dse.search.run import run


class Started(Bowl):
    """Bowls with designs to begin with, as studies have."""

    def initial(self) -> np.ndarray:
        return np.array([[10, 10, 10, 10]])


def ignored(_: Any) -> None:
    """A report that nobody reads."""


def test_trials_are_all_methods_seed_by_seed() -> None:
    """TPE has 2,000 evaluations at most; a label may name its batch size."""
    made = trials(["nsga2:20", "tpe"], 2, 10_000)
    assert [trial.name for trial in made] == ["nsga2-of-20-1", "tpe-1", "nsga2-of-20-2", "tpe-2"]
    assert [trial.budget for trial in made] == [10_000, 2_000, 10_000, 2_000]
    assert (made[0].method, made[0].batch_size, made[1].batch_size) == ("nsga2", 20, None)


@pytest.mark.parametrize("label", ["nsga3", "exact", "nsga2:", "nsga2:0", "nsga2:x"])
def test_labels_that_cannot_be_compared(label: str) -> None:
    """Unknown methods, the truth itself, and what is no batch size."""
    with pytest.raises(UsageError):
        check_label(label)


def test_a_finished_run_is_kept_and_read_again(tmp_path: Path) -> None:
    """What widened the front, gradients paid for; the run's folder is gone, another is refused."""
    bowl, trial = Started(), Trial(label="hybrid", seed=3, budget=300)
    found = course(bowl, trial, tmp_path, ignored)  # type: ignore[arg-type]
    assert [place.name for place in tmp_path.iterdir()] == ["hybrid-3.json"]
    before = (tmp_path / "hybrid-3.json").read_bytes()
    again = course(bowl, trial, tmp_path, ignored)  # type: ignore[arg-type]
    assert (tmp_path / "hybrid-3.json").read_bytes() == before
    np.testing.assert_array_equal(found.values, again.values)

    run(bowl, "hybrid", 300, 3, tmp_path / "run", initial=bowl.initial)
    data = load(tmp_path / "run")
    assert {*map(tuple, data.values[data.front])} <= {*map(tuple, found.values)}
    assert len(data.levels) == found.designs < found.evaluations.max() <= 300
    with pytest.raises(RunError, match="another number of evaluations"):
        course(bowl, Trial(label="hybrid", seed=3, budget=400), tmp_path, ignored)  # type: ignore[arg-type]
    (tmp_path / "hybrid-3.json").write_text("{}x")
    with pytest.raises(RunError, match="not a file of dse bench"):
        course(bowl, trial, tmp_path, ignored)  # type: ignore[arg-type]


def test_volumes_by_each_clock() -> None:
    """What was found until then, and nothing where the run had ended."""
    made = Course(
        values=np.array([[-2.0, -2.0], [-1.0, -1.0]]),
        evaluations=np.array([5.0, 50.0]),
        seconds=np.array([1.0, 2.0]),
        cpu=np.array([0.5, 1.0]),
        spent=100.0,
        ended=(3.0, 1.5),
        designs=90,
        pruned=0,
    )
    ends = np.array([[-1.0, -1.0], [-2.0, -2.0]])
    found = made.volumes([1, 10, 60, 200], "evaluations", ends)
    np.testing.assert_allclose(found, [0.0, 0.01, 1.21, np.nan])
    np.testing.assert_allclose(made.volumes([1.5, 4.0], "seconds", ends), [0.01, np.nan])
    np.testing.assert_allclose(made.volumes([1.0, 4.0], "cpu", ends), [1.21, np.nan])
    assert front_of([made]).tolist() == [[-1.0, -1.0]]


def document() -> dict[str, Any]:
    def figures(shift: float) -> dict[str, Any]:
        def at(points: list[float]) -> list[dict[str, Any]]:
            low = 0.5 - shift
            return [{"at": p, "low": low, "median": low + 0.1, "high": low + 0.2} for p in points]

        gone = {"at": 10.0, "low": None, "median": None, "high": None}
        return {
            "at_evaluations": at([300, 1000]),
            "at_seconds": [*at([1.0]), gone],
            "curve": at([20, 100, 1000]),
            "time_curve": [*at([0.2, 1.0]), gone],
            "seconds_to_95": None if shift else 2.5,
        }

    return {
        "study": "bowls",
        "space": 1024,
        "front": 7,
        "seeds": 9,
        "clock": "seconds",
        "machine": {"date": "2026-01-02", "processors": 2, "platform": "Linux"},
        "exact": {
            "evaluated": 1000,
            "pruned": 24,
            "seconds": 2.0,
            "cpu_seconds": 4.0,
            "mappings_per_design": 62.0,
            "pairs_per_cpu_second": 15500.0,
        },
        "methods": {"hybrid": figures(0.0), "random": figures(0.3)},
    }


def test_tables_hold_medians_and_markdown_quartiles_too() -> None:
    """Where a run had ended stands a dash; a column in which all had is left out."""
    text = rendered(*comparison_view(document()), plain=True)
    assert "60.00 %" in text
    assert " 10 s" not in text
    assert "62 legal mappings a design" in " ".join(text.split())
    made = comparison_markdown(document(), "dse bench --search bowls", ["bowls-time.svg"])
    assert made.startswith(BEGIN)
    assert made.endswith(END + "\n")
    assert "| hybrid | 60.00 % [50.0, 70.0] | 60.00 % [50.0, 70.0] |" in made
    assert "hybrid 2.5 s, random never" in made
    assert "![bowls-time.svg](bowls-time.svg)" in made


def test_plots_are_small_and_well_formed() -> None:
    """Over evaluations and over time, a band and a median for each method."""
    plots = comparison_plots(document())
    assert list(plots) == ["evaluations", "time"]
    for text in plots.values():
        styles = [each.get("style", "") for each in ElementTree.fromstring(text).iter()]
        bands, lines = (sum(word in style for style in styles) for word in ("opacity", "fill:none"))
        assert (bands, lines) == (2, 2)
        assert len(text) < 20_000


def test_a_section_is_replaced_between_its_markers(tmp_path: Path) -> None:
    """What stands around it stays; a file without markers is refused."""
    place = tmp_path / "README.md"
    place.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        replace_section(place, f"{BEGIN}\nnew\n{END}\n")
    assert place.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    place.write_text("nothing\n")
    with pytest.raises(InputError, match="no place"):
        replace_section(place, "")
    with pytest.raises(InputError):
        replace_section(tmp_path / "none.md", "")


@pytest.mark.slow
def test_bench_compares_methods_on_a_study(tmp_path: Path) -> None:
    """Hybrid is ahead of chance, the exact front is the measure, a second call is the same."""
    from test_cli import dse

    folder, page = str(tmp_path / "runs"), tmp_path / "README.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    command = ("bench", "--search", "trainium4-memory", "--seeds", "1", "--evaluations", "300")
    options = ("--methods", "hybrid,random", "--folder", folder, "--markdown", str(page), "--json")
    first, again = (json.loads(dse(*command, *options).stdout) for _ in range(2))
    assert first == again
    medians = {n: f["at_evaluations"][0]["median"] for n, f in first["methods"].items()}
    assert medians["random"] < medians["hybrid"] <= 1.0
    assert first["exact"]["evaluated"] + first["exact"]["pruned"] == first["space"]
    assert "| hybrid |" in page.read_text()
    assert (tmp_path / "trainium4-memory-time.svg").exists()
