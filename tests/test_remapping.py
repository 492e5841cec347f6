"""Samples whose software is mapped anew."""

from __future__ import annotations

import numpy as np
from helpers import question, spec

from dse.model.uncertainty import draw, operated
from dse.search.remapping import MOST, known, remapped
from dse.spec.system import System

ASKED = question("llama-3.3-70b", "chat-decode-bf16")
SYSTEM = spec(System, "trn2-48xlarge")

ROWS = [np.array([tp, pp, 1, 1, 0, 1, 1, 1, 1], float) for tp, pp in ((1, 1), (4, 1), (2, 2))]


def test_each_sample_takes_the_best_mapping_that_works() -> None:
    """Of those at which it keeps memory and time; one chip alone has not the memory for all."""
    drawn = draw(SYSTEM, ASKED, number=300, seed=2)
    each = [operated(drawn, "decode", row) for row in ROWS]
    works = np.array([np.minimum(s.margins["memory"], s.margins["tpot"]) >= 0.0 for s in each])
    assert not works[0].any()
    assert works[1:].any(axis=0).all()
    values = np.array([s.metrics["tokens_per_usd"] for s in each])
    best = np.argmax(np.where(works, values, -np.inf), axis=0)
    made = remapped(drawn, ASKED, ROWS)
    for name, found in made.metrics.items():
        np.testing.assert_array_equal(
            found, [each[b].metrics[name][i] for i, b in enumerate(best)], err_msg=name
        )
    assert np.all(made.margins["memory"] >= 0.0)


def test_one_mapping_stays() -> None:
    """Given once or twice; where it does not work there is no other."""
    drawn = draw(SYSTEM, ASKED, number=50, seed=2)
    alone = operated(drawn, "decode", ROWS[0])
    made = remapped(drawn, ASKED, [ROWS[0], ROWS[0]])
    np.testing.assert_array_equal(made.margins["memory"], alone.margins["memory"])
    assert np.all(made.margins["memory"] < 0.0)


def test_the_most_frequent_mappings_are_known() -> None:
    """Each once, and of equally frequent ones that which was met first."""
    rows = np.repeat(np.arange(8.0), [1, 3, 1, 2, 1, 1, 1, 1])[:, None] * np.ones(8)
    made = known(rows)
    assert made.shape == (MOST, 8)
    assert made[:, 0].tolist() == [1.0, 3.0, 0.0, 2.0, 4.0, 5.0]
