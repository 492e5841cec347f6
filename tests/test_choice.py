"""How sure a choice is: levels and designs held against each other in the same samples."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from test_cli_run import write

from dse.search.attach import Attachment
from dse.search.choice import Choice
from dse.search.problem import StudyProblem
from dse.search.record import RunData
from dse.search.result import front_document
from dse.search.run import load, run
from dse.search.worth import Worth, best_by_level
from dse.spec.catalog import Catalog
from dse.spec.study import load_study

GOAL = "tokens_per_usd"

Searched = tuple[StudyProblem, RunData]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("choice")
    problem = StudyProblem(load_study(write(folder), Catalog.default()))
    run(problem, "random", 60, 3, folder / "run", attached=Attachment(mirror=False))
    return problem, load(folder / "run")


@pytest.fixture(scope="module")
def told(searched: Searched) -> tuple[Worth, list[list[Any]]]:
    worth = best_by_level(*searched, 200)
    return worth, Choice(200, 1).levels(searched, worth)


def test_each_sample_has_one_best_level(told: tuple[Worth, list[list[Any]]]) -> None:
    """Shares of the levels of a parameter make one; a level without a feasible design has none."""
    worth, sure = told
    for designs, rows in zip(worth.designs, sure, strict=True):
        assert [row is None for row in rows] == [design is None for design in designs]
        shares = [row["best_share"] for row in rows if row]
        assert sum(shares) == pytest.approx(1.0)


def test_levels_are_held_against_the_best_of_the_numbers(
    told: tuple[Worth, list[list[Any]]],
) -> None:
    """The design that is best at the specs' numbers is once itself in each sample; one that is
    never best is below one in all."""
    worth, sure = told
    for rows, beside in zip(worth.rows, sure, strict=True):
        pairs = [(row["best"][GOAL], one) for row, one in zip(rows, beside, strict=True) if one]
        top = max(pairs, key=lambda pair: pair[0])[1]
        assert list(top["over"].values()) == [1.0, 1.0, 1.0]
        for _, one in pairs:
            assert one["over"]["p5"] <= one["over"]["p50"] <= one["over"]["p95"]
            if one["best_share"] == 0.0:
                assert one["over"]["p50"] <= 1.0


def test_shares_count_samples(told: tuple[Worth, list[list[Any]]], searched: Searched) -> None:
    """They are what comes of sampling each level's design by itself."""
    problem, _ = searched
    worth, sure = told
    designs = worth.designs[0]
    found = problem.evaluate(np.array(designs))
    choice, values = Choice(200, 1), []
    for place, design in enumerate(designs):
        assert design is not None
        metrics = {name: float(each[place]) for name, each in found.metrics.items()}
        point = {"design": problem.design(problem.bound(design)), "mapping": found.mapping[place]}
        values.append(choice.metrics(searched, {**point, "metrics": metrics})[GOAL])
    best = np.argmax(values, axis=0)
    shares = [row["best_share"] for row in sure[0]]
    assert shares == [float(np.mean(best == place)) for place in range(len(designs))]


def test_what_points_share_is_the_same_in_both(searched: Searched) -> None:
    """A point has nothing over itself; at a merchant's price it has less for a dollar in every
    sample, and as much for a joule."""
    problem, data = searched
    point = front_document(data)["points"][0]
    there = StudyProblem(attrs.evolve(problem.study, price_basis="merchant")), data
    choice = Choice(200, 1)
    same = choice.over(GOAL, (searched, point), (searched, point))
    assert same == {"p5": 1.0, "p50": 1.0, "p95": 1.0}
    dear = choice.over(GOAL, (there, point), (searched, point))
    assert 0.0 < dear["p5"] < dear["p95"] < 1.0
    joules = choice.over("tokens_per_joule", (there, point), (searched, point))
    assert list(joules.values()) == pytest.approx([1.0] * 3, rel=1e-5)
