"""What beats a reference by a margin, and what it may cost, against figures by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_approach import ByHand, problem

from dse.search.beating import beating
from dse.search.counts import Counts
from dse.search.parameters import described
from dse.search.record import RunData
from dse.spec.metrics import METRICS

__all__ = ["problem"]

LEVELS = [[0, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]]
"""200, 400, 450 tokens; the last breaks a rule."""


@pytest.fixture
def data(problem: ByHand) -> RunData:
    """Four designs, and a reference with 45 tokens for a dollar and 180 for a joule."""
    found = problem.judged([problem.bound(each) for each in LEVELS])
    metrics = {name: np.zeros(4) for name in METRICS}
    metrics |= {"chip_cost_usd": np.array([9.0, 8.0, 7.0, 1.0])}
    metrics |= {"chip_power_w": np.array([1.0, 2.0, 3.0, 0.0])}
    reference = {"name": "rival", "metrics": {"tokens_per_usd": 45.0, "tokens_per_joule": 180.0}}
    return RunData(
        folder=Path(),
        settings={
            "rules": ["power"],
            "objectives": list(problem.objectives),
            "senses": list(problem.senses),
            "problem": {
                "references": [reference],
                "parameters": [described(each) for each in problem.parameters],
                "workloads": [{"phase": "decode"}],
            },
        },
        levels=np.array(LEVELS),
        objectives=found.objectives,
        margins=found.margins,
        metrics=metrics,
        mapping=[{} for _ in LEVELS],
        counts=Counts(),
    )


def test_designs_that_beat_a_reference_in_all(problem: ByHand, data: RunData) -> None:
    """At twice its figures two designs do; the cheaper and the one that draws less differ. The best
    has 450 / (1 + 3 p) tokens a dollar, so it may cost 4/3 of its price for 90 of them."""
    (one,) = beating(problem, data, 2.0)
    assert (one["name"], one["factor"], one["designs"]) == ("rival", 2.0, 2)
    least: dict[str, Any] = one["least"]
    assert (least["chip_cost_usd"]["id"], least["chip_power_w"]["id"]) == (2, 1)
    assert one["price"] == pytest.approx({"factor": 4 / 3, "usd_per_chip": 4000 / 3}, rel=1e-5)


def test_where_none_does_nothing_is_said(problem: ByHand, data: RunData) -> None:
    """A margin that none reaches has no design and no price."""
    (one,) = beating(problem, data, 3.0)
    assert (one["designs"], one["least"], one["price"]) == (0, {}, None)
