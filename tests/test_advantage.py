"""What one system gives for a dollar over another, at which prices, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import question, spec
from scipy.stats import spearmanr

from dse.report import questions
from dse.search.advantage import Offer, advantages, bandwidth_elasticity
from dse.spec.catalog import Catalog
from dse.spec.space import bind
from dse.spec.system import System

ASKED = question("llama-3.1-8b", "chat-decode")
ASKED_BF16 = question("llama-3.1-8b", "chat-decode-bf16")


def test_a_system_has_no_advantage_over_itself() -> None:
    """What is uncertain is the same in both, so that no sample tells them apart."""
    one = spec(System, "trn2-48xlarge")
    (same,) = advantages([one, one], [(Offer(0, "at-cost"), Offer(1, "at-cost"))], ASKED, number=64)
    assert same is not None
    figures = [same[name] for name in ("value", "p5", "p50", "p95")]
    assert figures == pytest.approx([0.0] * 4, abs=1e-6)
    assert same["least"]["0.3"] == 0.0


def test_a_merchants_margin_is_an_advantage_of_the_builder() -> None:
    """The same machine at cost gives more for a dollar than bought; bands hold the value's side."""
    pair = (Offer(0, "at-cost"), Offer(0, "merchant"))
    found = advantages([spec(System, "h100-server")], [pair, pair[::-1]], ASKED, number=200)
    over, under = found
    assert over is not None
    assert under is not None
    assert 0.0 < over["p5"] <= over["p50"] <= over["p95"]
    assert (1.0 + over["value"]) * (1.0 + under["value"]) == pytest.approx(1.0, rel=1e-6)
    assert over["least"]["0"] == 1.0
    assert under["least"]["0"] == 0.0


def test_what_cannot_do_the_work_has_no_figure() -> None:
    """A model that does not fit is no advantage of anybody, nor an elasticity."""
    large = question("llama-3.1-405b", "chat-decode-bf16")
    pairs = [(Offer(0, "at-cost"), Offer(1, "at-cost"))]
    small = spec(System, "l40s-server")
    assert advantages([small, spec(System, "h200-server")], pairs, large, number=16) == [None]
    assert bandwidth_elasticity(small, large) is None


@pytest.mark.slow
def test_bandwidth_is_worth_what_a_little_more_of_it_gives() -> None:
    """The elasticity is the difference quotient of tokens a dollar at the same mapping, and lies
    within what samples give."""
    base = spec(System, "trn2-48xlarge")
    rate = base.chip.memory.stack.rate
    told = bandwidth_elasticity(base, ASKED_BF16, number=400)
    step = 1e-2
    both = [
        bind(base, {"chip.memory.stack.rate": rate * (1.0 + sign * step)}) for sign in (-1.0, 1.0)
    ]
    pair = [(Offer(1, "at-cost"), Offer(0, "at-cost"))]
    (more,) = advantages(both, pair, ASKED_BF16, number=16)
    assert more is not None
    quotient = np.log1p(more["value"]) / np.log((1.0 + step) / (1.0 - step))
    assert told is not None
    assert told["value"] == pytest.approx(quotient, rel=0.02)
    assert 0.1 < told["p5"] < told["value"] < told["p95"] <= 1.0
    assert (told["pays"], told["decides"]) == (1.0, None)


def test_the_questions_are_asked_of_every_pair_and_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim for each task, pair and pair of bases; elasticities by machine; ranks within one."""
    machines = ("trn2-48xlarge", "h100-server", "h200-server")
    monkeypatch.setattr(questions, "TASKS", (("llama-3.1-8b", "chat-decode"),))
    monkeypatch.setattr(questions, "PAIRS", (("trn2-48xlarge", "h200-server"),))
    monkeypatch.setattr(questions, "MACHINES", machines)
    told: list[str] = []
    found = questions.questions_document(Catalog.default(), samples=32, say=told.append)
    assert told == ["llama-3.1-8b, chat-decode ..."]
    assert [tuple(claim["bases"]) for claim in found["claims"]] == list(questions.BASES)
    values = [claim["advantage"]["value"] for claim in found["claims"]]
    assert values[0] < values[1] < values[2]
    (bandwidth,) = found["bandwidth"]
    assert list(bandwidth["elasticity"]) == list(machines)
    for told in (*bandwidth["elasticity"].values(), bandwidth["rank_bandwidth"]):
        assert -1.0 <= told["p5"] <= told["p50"] <= told["p95"] <= 1.0
    assert 0.0 <= bandwidth["bandwidth_leads"] <= 1.0


def test_ranks_are_those_of_spearman() -> None:
    """In each sample over machines; what costs less for a unit is more of it for a dollar."""
    table = np.random.default_rng(1).random((3, 5, 4))
    table[2, 1] = table[2, 0]
    metrics = [dict(zip(questions.RANKED, each, strict=True)) for each in table.swapaxes(0, 1)]
    made = questions._ranks(metrics)
    for name, key in zip(("rank_bandwidth", "rank_flops"), questions.RANKED[1:], strict=True):
        for sample in range(4):
            ours, costs = ([m[n][sample] for m in metrics] for n in (questions.RANKED[0], key))
            expected = spearmanr(ours, np.negative(costs)).statistic
            assert made[name][sample] == pytest.approx(expected)
