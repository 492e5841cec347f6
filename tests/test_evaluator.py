"""Designs at their best operating point: the mapping table, chunks and blocks, monotonicity."""

from __future__ import annotations

import itertools

import attrs
import jax
import numpy as np
import pytest
from helpers import SYSTEMS, ladder, mapping, question, spec, system
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import SpecError
from dse.model.estimate import result
from dse.model.evaluator import BLOCK, CHUNK, Evaluation, Question, evaluate
from dse.model.mapping import DEGREES, as_dict, table
from dse.model.operation import context, mapping_margin
from dse.model.pytree import leaves, stack
from dse.model.transformer import Mapping
from dse.spec.metrics import METRICS
from dse.spec.system import System
from dse.spec.workload import LanguageModel

DECODE = question("llama-3.3-70b", "chat-decode", objective="tokens_per_s")
MIXTURE = question("deepseek-v3", "chat-decode", objective="tokens_per_s")
PREFILL = question("llama-3.3-70b", "long-prefill", objective="tokens_per_s")
TRAINING = question("llama-3.3-70b", "pretrain", objective="tokens_per_s")


def one(name: str) -> System:
    return stack([system(name)])


@pytest.mark.parametrize("asked", [DECODE, MIXTURE, TRAINING], ids=["dense", "experts", "training"])
@pytest.mark.parametrize("name", ["h100-server", "gb200-nvl72"])
def test_table_rows_are_distinct_and_legal(asked: Question, name: str) -> None:
    """No mapping twice, each within the margins that the model computes."""
    made = system(name)
    rows = table(asked.model, asked.workload.phase, int(made.chips))
    assert len(np.unique(rows, axis=0)) == len(rows) > 10
    setting = asked.setting
    ctx = context(made, setting.model, setting.workload, setting.software)
    margins = jax.vmap(lambda row: mapping_margin(ctx, row))(Mapping(*rows.T))
    assert float(np.min(margins)) >= 0.0


def test_table_holds_the_worlds_that_exist() -> None:
    """Groups of 72 and 144 experts, and uneven tensor-parallel degrees, are there."""
    model = spec(LanguageModel, "deepseek-v3")
    rows = table(model, "decode", 144)
    assert {1, 3, 8, 9, 36, 64, 72, 96, 128} <= set(rows[:, 0])
    assert {1, 72, 144} <= set(rows[:, 2])
    assert max(rows[:, 0]) <= model.heads
    assert all(max(tp, ep) * pp <= 144 for tp, pp, ep in rows[:, :3])
    assert set(table(spec(LanguageModel, "llama-3.3-70b"), "decode", 144)[:, 2]) == {1}


def test_degrees_are_powers_of_two_times_one_three_or_nine() -> None:
    """The table is complete between 1 and 288."""
    expected = {m * 2**k for m, k in itertools.product((1, 3, 9), range(9)) if m * 2**k <= 288}
    assert set(DEGREES) == expected


def test_rows_read_as_plain_numbers() -> None:
    """For output."""
    row = np.asarray(mapping(tp=8.0, pp=2.0))
    assert as_dict(row) == {
        "tp": 8,
        "pp": 2,
        "ep": 1,
        "micro_batch": 1,
        "recompute": 0,
        "zero": 1,
    }


def test_every_system_is_evaluated_at_its_best_mapping() -> None:
    """Designs of different sizes share a call; each has the score it has alone."""
    many = stack([system(name) for name in SYSTEMS])
    found = evaluate(many, MIXTURE)
    assert list(found.metrics) == list(METRICS)
    for index in (0, SYSTEMS.index("gb200-nvl72"), SYSTEMS.index("trn2-48xlarge")):
        alone = evaluate(one(SYSTEMS[index]), MIXTURE)
        assert alone.mapping(0) == found.mapping(index)
        assert alone.legal[0] == found.legal[index]
        np.testing.assert_allclose(
            alone.metrics["tokens_per_s"][0], found.metrics["tokens_per_s"][index], rtol=1e-6
        )
    assert not found.feasible[SYSTEMS.index("h100-server")]
    assert found.margins["memory"][SYSTEMS.index("h100-server")] < 0.0
    assert found.feasible[SYSTEMS.index("gb200-nvl72")]


def test_the_best_is_the_best_of_all_blocks() -> None:
    """A table of more than a block: the best is the best of its parts, which add up to it."""
    asked = attrs.evolve(MIXTURE, objective="tokens_per_usd")
    rows = table(asked.model, "decode", 64)
    assert len(rows) > 2 * BLOCK
    found = evaluate(one("trn2-ultraserver"), asked)
    degrees = sorted({int(degree) for degree in rows[:, 2]})
    parts = [evaluate(one("trn2-ultraserver"), asked, pinned={"ep": ep}) for ep in degrees]
    best = max(float(part.metrics["tokens_per_usd"][0]) for part in parts if part.feasible[0])
    assert found.metrics["tokens_per_usd"][0] == pytest.approx(best, rel=1e-6)
    assert sum(int(part.legal[0]) for part in parts) == found.legal[0] == len(rows)


def test_feasible_rows_hold_every_limit() -> None:
    """What is called feasible has no operating margin below zero."""
    found = evaluate(stack([system(name) for name in SYSTEMS]), MIXTURE)
    names = ("mapping", "memory", "tpot", "ttft")
    least = np.min([found.margins[name] for name in names], axis=0)
    np.testing.assert_array_equal(least >= 0.0, found.feasible)


def test_chunks_do_not_show() -> None:
    """More designs than a chunk: each row is what it is alone, the padding is gone."""
    factors = np.linspace(0.5, 2.0, CHUNK + 7)
    many = ladder(system("h100-server"), "chip.memory.stack.rate", factors)
    found = evaluate(many, DECODE)
    assert len(found.feasible) == len(found.rows) == CHUNK + 7
    for index in (0, CHUNK - 1, CHUNK, CHUNK + 6):
        alone = evaluate(jax.tree.map(lambda leaf, i=index: leaf[i : i + 1], many), DECODE)
        np.testing.assert_allclose(
            alone.metrics["tokens_per_s"][0], found.metrics["tokens_per_s"][index], rtol=1e-6
        )


def test_pinned_degrees_and_batch_are_kept() -> None:
    """Also degrees that the table does not have."""
    found = evaluate(one("h100-server"), DECODE, pinned={"tp": 5}, batch=40.0)
    assert found.mapping(0)["tp"] == 5
    assert float(found.metrics["batch"][0]) == pytest.approx(40.0)
    direct = result(system("h100-server"), DECODE.setting, mapping(tp=5.0), "decode", 40.0).metrics
    for name in METRICS:
        np.testing.assert_allclose(found.metrics[name][0], direct[name], rtol=1e-4, err_msg=name)


def test_a_mapping_that_does_not_fit_is_an_error() -> None:
    """The message names what was pinned."""
    with pytest.raises(SpecError, match="'tp': 64"):
        evaluate(one("h100-server"), DECODE, pinned={"tp": 64})


def test_the_question_chooses_the_operating_point() -> None:
    """Tokens/s against time per token: the quickest answer has the smaller batch."""
    many = evaluate(one("gb200-nvl72"), DECODE)
    quick = evaluate(one("gb200-nvl72"), attrs.evolve(DECODE, objective="tpot_s", sense="min"))
    assert quick.metrics["tpot_s"][0] <= many.metrics["tpot_s"][0]
    assert quick.metrics["tokens_per_s"][0] <= many.metrics["tokens_per_s"][0]
    fastest = evaluate(one("gb200-nvl72"), attrs.evolve(DECODE, objective="chip_cost_usd"))
    cheapest = evaluate(one("gb200-nvl72"), attrs.evolve(DECODE, objective="tokens_per_usd"))
    assert fastest.mapping(0) == cheapest.mapping(0)


LEAVES = (
    "chip.memory.stack.rate",
    "chip.memory.stack.capacity",
    "chip.scale_up.link.rate",
    "scale_out.bandwidth",
)


def never_slower(found: Evaluation) -> list[int]:
    """Rungs of a ladder that are slower, or less feasible, than one below them."""
    speed = np.where(found.feasible, found.metrics["tokens_per_s"], 0.0)
    best = np.maximum.accumulate(speed)
    return [int(i) for i in np.flatnonzero(speed < best * (1.0 - 1e-4))]


@pytest.mark.parametrize(
    "asked",
    [
        DECODE,
        MIXTURE,
        pytest.param(PREFILL, marks=pytest.mark.slow),
        pytest.param(TRAINING, marks=pytest.mark.slow),
    ],
    ids=["dense", "experts", "prefill", "training"],
)
@given(
    name=st.sampled_from(SYSTEMS),
    path=st.sampled_from(LEAVES),
    start=st.floats(0.2, 1.0),
    span=st.floats(1.05, 30.0),
)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_more_is_never_slower(
    asked: Question, name: str, path: str, start: float, span: float
) -> None:
    """Memory bandwidth, capacity and link rates: tokens/s never fall, at free mapping.

    A ladder of designs that differ in one leaf, everything else (clock, voltage, cores) fixed.
    """
    rungs = ladder(system(name), path, start * np.geomspace(1.0, span, CHUNK))
    assert never_slower(evaluate(rungs, asked)) == []


@given(name=st.sampled_from(SYSTEMS), span=st.floats(1.01, 10.0))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_more_area_is_never_cheaper(name: str, span: float) -> None:
    """Area that no redundancy covers raises the cost of a chip and of its tokens."""
    base = system(name)
    at = [path for path, _, _ in leaves(base)].index("chip.die.area")
    flat, tree = jax.tree.flatten(base)
    derived = jax.tree.unflatten(tree, [0.0 if i == at else v for i, v in enumerate(flat)])
    factors = np.geomspace(1.0, span, CHUNK)
    found = evaluate(ladder(derived, "chip.die.overhead_area", factors), DECODE)
    for metric in ("die_area_mm2", "chip_cost_usd", "system_cost_usd", "usd_per_chip_hour"):
        values = found.metrics[metric]
        assert np.all(np.diff(values) >= -1e-5 * values[:-1]), metric


@given(name=st.sampled_from(SYSTEMS), limit=st.floats(0.01, 0.2))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_a_looser_limit_is_never_slower(name: str, limit: float) -> None:
    """Each rung allows 10 % more time per token: throughput never falls."""
    speeds = []
    for factor in (1.0, 1.1, 1.21):
        workload = attrs.evolve(MIXTURE.workload, tpot=limit * factor)
        found = evaluate(one(name), attrs.evolve(MIXTURE, workload=workload))
        speeds.append(float(found.metrics["tokens_per_s"][0]) if found.feasible[0] else 0.0)
    assert speeds[1] >= speeds[0] * (1 - 1e-4)
    assert speeds[2] >= speeds[1] * (1 - 1e-4)


def test_a_training_run_is_paid_to_its_last_token() -> None:
    """Days, dollars and energy to the budget are its tokens over what a second (failures taken
    off), a dollar, a joule yields."""
    made = evaluate(one("trn2-ultraserver"), TRAINING).metrics
    tokens = TRAINING.workload.total_tokens
    kept = made["tokens_per_s"][0] * made["goodput"][0]
    assert 0.5 < made["goodput"][0] < 1.0
    assert made["days"][0] == pytest.approx(tokens / kept, rel=1e-5)
    assert made["training_usd"][0] == pytest.approx(tokens / made["tokens_per_usd"][0], rel=1e-5)
    assert made["training_mwh"][0] == pytest.approx(tokens / made["tokens_per_joule"][0], rel=1e-5)
