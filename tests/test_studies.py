"""The shipped studies, run with a small budget."""

from __future__ import annotations

import numpy as np
import pytest

from dse.search.problem import StudyProblem
from dse.search.run import RunData, load, run
from dse.spec.catalog import Catalog
from dse.spec.study import load_study

STUDIES = (pytest.param("trainium4-decode", marks=pytest.mark.slow), "trainium4-memory")


@pytest.fixture(scope="module", params=STUDIES)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """One study, run with its own method and 2,000 evaluations at most."""
    study = load_study(request.param, Catalog.default())
    problem = StudyProblem(study)
    folder = tmp_path_factory.mktemp(study.name)
    run(problem, study.method, 2000, study.seed, folder / "run", initial=problem.initial)
    return load(folder / "run")


def test_the_front_is_better_than_what_was_announced(data: RunData) -> None:
    """Some design within the limits has more of both objectives than the announced Trainium4."""
    announced = next(r for r in data.problem["references"] if r["name"] == "trn4-ultraserver")
    rivals = np.asarray([announced["metrics"][name] for name in data.settings["objectives"]])
    assert np.any(np.all(data.values[data.front] > rivals, axis=1))


def test_references_hold_the_limits(data: RunData) -> None:
    """All references keep the study's rules, so that the comparison is one of like with like."""
    assert [r["violated"] for r in data.problem["references"]] == [[]] * len(
        data.problem["references"]
    )
