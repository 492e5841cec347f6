"""Continuous batching: its limits, Little's law, and what drafts and cached prefixes change."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mapping, question, system

from dse.model.continuous import decoding_among, load_of, serve, slot_of
from dse.model.estimate import Setting, result
from dse.model.operation import Context, context
from dse.model.pytree import replace
from dse.model.serving import decode, prefill

MAPPING = mapping(tp=8.0)


def asked(software: str = "default", **changes: float) -> Setting:
    """The continuous chat of llama-3.3-70b, with changes of the workload."""
    setting = question("llama-3.3-70b", "chat-continuous", software).setting
    return setting._replace(workload=replace(setting.workload, **changes))


def prepared(name: str = "h100-server", **changes: float) -> Context:
    """Everything but the mapping."""
    setting = asked(**changes)
    return context(system(name), setting.model, setting.workload, setting.software)


def test_without_prompts_it_is_decoding() -> None:
    """Nearly all of the prompt cached: a step is a step of decode."""
    ctx = prepared(prefix_hit=0.999, tokens_in=1000.0, tokens_out=100000.0)
    alone = decode(ctx, MAPPING, 64.0)
    slot = slot_of(ctx, MAPPING)
    load = load_of(ctx, slot, 64.0)
    assert float(load.tpot) == pytest.approx(float(alone.tpot), rel=1e-3)


def test_one_user_waits_for_its_own_prompt_only() -> None:
    """A single request: its prompt in one step, then a step a token."""
    ctx = prepared(tokens_in=1000.0, tokens_out=1000.0)
    made = decoding_among(ctx, slot_of(ctx, MAPPING), 1.0, 100.0)
    assert float(made.decoding) < 1.0
    first = prefill(ctx, MAPPING, 1.0).ttft
    assert float(made.service) == pytest.approx(float(first + ctx.software.request), rel=0.35)


def test_users_are_those_who_decode_and_those_who_wait() -> None:
    """Little's law: users = rate x (time to the first token + answer)."""
    for users in (4.0, 64.0, 600.0):
        ctx = prepared(tokens_in=2000.0, tokens_out=200.0)
        made = decoding_among(ctx, slot_of(ctx, MAPPING), users, 1e9)
        answer = 200.0 * made.tpot
        rate = made.decoding / answer
        assert float(rate * (made.queued + answer)) == pytest.approx(users, rel=0.05)


def test_users_beyond_memory_wait() -> None:
    """Twice the users that memory holds: the throughput of a full memory, and a queue."""
    ctx = prepared(tokens_in=2000.0, tokens_out=500.0)
    slot = slot_of(ctx, MAPPING)
    full, over = (decoding_among(ctx, slot, users, 50.0) for users in (55.0, 400.0))
    assert float(over.decoding) == pytest.approx(50.0, rel=0.02)
    assert float(over.queued) > 5 * float(full.queued)


@pytest.mark.parametrize(
    ("change", "metric", "sign"),
    [
        ({"prefix_hit": 0.8}, "tokens_per_s", 1),
        ({"prefix_hit": 0.8}, "ttft", -1),
        ({"drafts": 3.0, "acceptance": 0.8}, "tpot", -1),
        ({"burst": 0.5}, "ttft", 1),
    ],
)
def test_what_helps_helps(change: dict[str, float], metric: str, sign: int) -> None:
    """Cached prefixes and accepted drafts make answers quicker; bursts make them wait."""
    given = {"tokens_in": 2000.0, "tokens_out": 500.0}
    before, after = (
        float(getattr(serve(prepared(**given, **more), MAPPING, 16.0), metric))
        for more in ({}, change)
    )
    assert sign * (after - before) > 0


def test_drafts_that_are_never_accepted_gain_nothing() -> None:
    """One token a step, and the drafts' work on top."""
    given = {"tokens_in": 2000.0, "tokens_out": 500.0}
    plain = serve(prepared(**given), MAPPING, 16.0)
    drafted = serve(prepared(**given, drafts=4.0, acceptance=0.0), MAPPING, 16.0)
    assert float(drafted.tpot) >= float(plain.tpot)


def test_expected_tokens_of_a_step() -> None:
    """(1 - 0.8^4) / (1 - 0.8) = 2.952 with three drafts (Leviathan et al. 2023, equation 1)."""
    slot = slot_of(prepared(drafts=3.0, acceptance=0.8), MAPPING)
    assert float(slot.yielded) == pytest.approx(2.952)


def test_both_limits_bound_the_batch() -> None:
    """A tighter limit on either latency never serves more; with none, memory is full."""
    free = {"tpot": 1e4, "ttft": 1e4, "tokens_in": 2000.0, "tokens_out": 500.0}
    rates = []
    for limits in ({}, {"tpot": 0.03}, {"tpot": 0.015}, {"tpot": 0.03, "ttft": 0.2}):
        done = serve(prepared(**{**free, **limits}), MAPPING)
        rates.append(float(done.tokens_per_s))
        if "tpot" in limits and float(done.margin_tpot) >= 0:
            assert float(done.tpot) <= limits["tpot"] * 1.0001
    assert rates[0] >= rates[1] >= rates[2]
    assert rates[1] >= rates[3]


def test_times_and_bounds_add_up_to_the_step() -> None:
    """Breakdowns of the mean step are whole."""
    done = serve(prepared(tokens_in=2000.0, tokens_out=500.0), MAPPING, 64.0)
    assert float(done.times.total) == pytest.approx(float(done.step), rel=1e-3)
    assert float(sum(done.bounds)) == pytest.approx(float(done.step), rel=1e-3)


@pytest.mark.slow
def test_gradients_are_finite_and_right() -> None:
    """More memory bandwidth and clock never lower throughput; slopes agree with differences."""
    setting = asked()
    made = system("trn3-ultraserver-gen2")

    def rate(scale: Any, path: str) -> Any:
        chip = made.chip
        if path == "memory":
            stack = replace(chip.memory.stack, rate=chip.memory.stack.rate * scale)
            chip = replace(chip, memory=replace(chip.memory, stack=stack))
        else:
            core = replace(chip.die.core, clock=chip.die.core.clock * scale)
            chip = replace(chip, die=replace(chip.die, core=core))
        changed = replace(made, chip=chip)
        return result(changed, setting, MAPPING, "serve", 256.0).metrics["tokens_per_s"]

    step = 0.01
    scales = jnp.array([1.0, 1.0 - step, 1.0 + step])
    for path in ("memory", "clock"):
        both = jax.vmap(jax.value_and_grad(partial(rate, path=path)))(scales)
        (at, below, above), (slope, *_) = (np.asarray(each, float) for each in both)
        assert np.isfinite(slope)
        assert slope >= 0
        assert slope == pytest.approx((above - below) / (2 * step), rel=0.05, abs=1e-3 * at)


def test_a_prompt_that_waits_for_no_other_answers_sooner() -> None:
    """The time without queueing is below that with it, and does not see a burst of requests."""
    calm, rush = (
        serve(prepared(tokens_in=2000.0, tokens_out=200.0, burst=share), MAPPING, 200.0)
        for share in (0.0, 1.0)
    )
    assert float(calm.unqueued) < float(calm.ttft) < float(rush.ttft)
    metrics = result(
        system("h100-server"), asked(tokens_in=2000.0), MAPPING, "serve", 200.0
    ).metrics
    assert float(metrics["ttft_unqueued_s"]) < float(metrics["ttft_s"])
