"""Fronts under samples: who stands on them, who wins, and which input decides it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from click.testing import CliRunner
from test_cli_run import write

from dse.cli import cli
from dse.model.uncertainty import Input
from dse.search.front import non_dominated
from dse.search.problem import StudyProblem
from dse.search.robust import Robustness, robustness, separation, threshold
from dse.spec.catalog import Catalog
from dse.spec.study import Constraint, load_study
from dse.spec.values import Triangular

RNG = np.random.default_rng(5)


def found(values: np.ndarray, feasible: np.ndarray, points: int) -> Robustness:
    return Robustness(values=values, metrics={}, feasible=feasible, inputs=(), points=points)


def test_designs_stand_on_the_front_of_each_sample() -> None:
    """With points alone, those that stand are the non-dominated feasible ones of each sample."""
    values = RNG.random((7, 150, 3))
    feasible = RNG.random((7, 150)) > 0.2
    made = found(values, feasible, 7)
    for sample in range(150):
        expected = non_dominated(values[:, sample], feasible[:, sample])
        np.testing.assert_array_equal(made.on_front[:, sample], expected)


def test_a_reference_beats_no_point() -> None:
    """A reference is judged against the points, which it does not push off the front."""
    values = np.array([[[1.0, 2.0]], [[2.0, 1.0]], [[3.0, 3.0]], [[0.5, 0.5]]])
    made = found(values, np.ones((4, 1), bool), 2)
    assert made.on_front[:, 0].tolist() == [True, True, True, False]


def test_the_winner_is_feasible() -> None:
    """The best in the first objective of those that keep all rules; none where none does."""
    values = np.array([[[1.0], [1.0], [1.0]], [[2.0], [2.0], [2.0]]])
    feasible = np.array([[True, True, False], [True, False, False]])
    assert found(values, feasible, 2).winner.tolist() == [1, 0, -1]


def test_an_input_that_decides_separates_without_error() -> None:
    """Wins above a value of an input: separation 1 and that value; an idle input separates none."""
    deciding, idle = RNG.random(4000), RNG.random(4000)
    wins = deciding > 0.7
    assert separation(deciding, wins) == 1.0
    assert separation(-deciding, wins) == 1.0
    assert threshold(deciding, wins) == pytest.approx(0.7, abs=2e-3)
    assert threshold(deciding, ~wins) == pytest.approx(0.7, abs=2e-3)
    assert separation(idle, wins) < 0.1
    assert separation(deciding, np.ones(4000, bool)) == 0.0


def test_the_cut_is_said_in_the_unit_of_its_field() -> None:
    """A memory's price is told in dollars for a gigabyte."""
    from dse.report.robust import _cut

    belief = Triangular(low=1e-8, mode=1.2e-8, high=3e-8)
    price = Input("memory", "hbm3", "price", belief, np.zeros(2))
    assert _cut(price, 2e-8) == {"threshold": 2e-8, "shown": "20 USD/GB"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of the tiny study, in the folder in which its file stands."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    assert CliRunner().invoke(cli, ["run", "tiny.toml", "--no-mirror"]).exit_code == 0
    return tmp_path / "runs" / "tiny"


def test_the_command_adds_shares_and_bands(run: Path) -> None:
    """Every point and reference has shares and ordered bands; the same seed gives the same."""
    command = ["front", "tiny", "--robust", "--samples", "300", "--seed", "4"]
    made = [CliRunner().invoke(cli, [*command, "--json"]) for _ in range(2)]
    assert made[0].exit_code == 0, made[0].stderr
    assert made[0].stdout == made[1].stdout
    document: dict[str, Any] = json.loads(made[0].stdout)
    assert document["robust"]["samples"] == 300
    assert document["robust"]["mapping"] == "best known"
    for row in (*document["points"], *document["references"]):
        told = row["robust"]
        assert told["front_share"] <= told["feasible_share"] <= 1.0
        shares = list(told["broken"].values())
        assert shares == sorted(shares, reverse=True)
        assert shares[0] <= 1.0 - told["feasible_share"] + 1e-9
        assert (shares[0] > 0.0) == (told["feasible_share"] < 1.0)
        for name, band in told["bands"].items():
            assert band["p5"] <= band["p50"] <= band["p95"]
            assert band["p5"] <= 1.3 * row["metrics"][name]
    shares = [r["robust"]["best_share"] for r in (*document["points"], *document["references"])]
    assert sum(shares) <= 1.0 + 1e-9
    text = CliRunner().invoke(cli, command).stdout
    assert "What flips it" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_chip_runs_at_the_power_it_was_built_for(run: Path) -> None:
    """Where a sample draws more than the design power the chip runs slower, and breaks no limit."""
    study = load_study("tiny.toml", Catalog.default())
    free = StudyProblem(study)
    levels = np.zeros((1, len(free.parameters)), np.int64)
    made = free.evaluate(levels)
    power = float(made.metrics["chip_power_w"][0])
    design = {p.path: getattr(p.levels[0], "name", p.levels[0]) for p in free.parameters}
    point = {"design": design, "mapping": made.mapping[0]}
    limit = Constraint(text="limit", name="chip.power", metric="chip_power_w", limit=power)
    problem = StudyProblem(attrs.evolve(study, constraints=(limit,)))
    asked: dict[str, Any] = {"number": 200, "seed": 1, "uncertain": "both"}
    held = robustness(problem, [{**point, "metrics": {"chip_power_w": power}}], [], **asked)
    loose = robustness(problem, [{**point, "metrics": {"chip_power_w": 9e9}}], [], **asked)
    assert held.broken[0]["limit"] == 0.0
    assert loose.broken[0]["limit"] > 0.1
    speed = held.values[0, :, 0] / loose.values[0, :, 0]
    assert 20 < (speed < 0.999).sum() < 200
