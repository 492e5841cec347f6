"""Decode and prefill in their limits, and the largest batch against a dense scan."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import CASES, mapping, model, question, spec, system

from dse.model.estimate import Setting
from dse.model.footprint import parameters_held, usable
from dse.model.operation import SLACK, Context, Operation, context
from dse.model.pytree import lower, replace
from dse.model.roofline import machine
from dse.model.serving import decode, prefill
from dse.model.transformer import Mapping, parameters
from dse.spec.system import System
from dse.spec.workload import Software

PHASES = {"decode": decode, "prefill": prefill}


def asked(name: str, workload: str, software: str = "default", **limits: float) -> Setting:
    setting = question(name, workload, software).setting
    return setting._replace(workload=replace(setting.workload, **limits))


def prepared(made: System, setting: Setting) -> Context:
    return context(made, setting.model, setting.workload, setting.software)


def fast(made: System) -> System:
    """Engines, exponentials, links and clocks without limit: only memory takes time."""
    core = made.chip.die.core
    vector = replace(core.vector, clock=1e15)
    core = replace(core, clock=1e15, vector=vector, sram=1e15)
    link = replace(made.chip.scale_up.link, rate=1e18, latency=0.0)
    die = replace(
        made.chip.die, core=core, die_to_die=replace(made.chip.die.die_to_die, bandwidth=1e18)
    )
    chip = replace(made.chip, die=die, scale_up=replace(made.chip.scale_up, link=link))
    up = replace(made.scale_up, switch=replace(made.scale_up.switch, latency=0.0))
    return replace(made, chip=chip, scale_up=up)


def test_one_sequence_takes_the_time_to_read_weights_and_cache() -> None:
    """Llama 70B in FP8 on 8 H100: (weights + cache) / 8 / bandwidth, the memory wall."""
    setting = asked("llama-3.3-70b", "chat-decode", "ideal")
    ctx = prepared(fast(system("h100-server")), setting)
    done = decode(ctx, mapping(tp=8.0), 1.0)
    made = model("llama-3.3-70b")
    weights = (parameters(made, 0.0) - made.vocabulary * made.hidden) * 8.25 / 8
    cache = (2048 + 256) * 2 * 8 * 128 * 80 * 8.25 / 8
    seconds = (weights + cache) / 8 / ctx.machine.bandwidth
    assert float(done.tpot) == pytest.approx(float(seconds), rel=1e-3)
    assert float(done.bounds.memory / done.step) == pytest.approx(1.0, rel=1e-3)


def test_prefill_takes_the_time_of_its_flops() -> None:
    """2,048-token prompts are bound by the arrays: beside collectives, 2 N tokens / peak.

    Useful FLOPs count the output projection of every token, 0.5 % that a prefill leaves out.
    """
    setting = asked("llama-3.1-405b", "long-prefill", "ideal", tokens_in=2048.0)
    ctx = prepared(system("trn2-ultraserver"), setting)
    done = prefill(ctx, mapping(tp=8.0), 512.0)
    chip = ctx.machine
    peak = 2.0 * chip.array_rate * chip.rows * chip.columns * ctx.rate * ctx.chips
    alone = 1.0 - done.times.collectives / done.step
    assert 0.95 < float(done.useful_flops / peak / alone) < 1.006
    assert float(done.bounds.matrix / done.step / alone) > 0.95


def test_one_chip_has_no_collectives() -> None:
    """tp = pp = ep = 1 waits for nobody."""
    setting = asked("llama-3.1-8b", "chat-decode")
    done = decode(prepared(system("h100-server"), setting), mapping(), 72.0)
    assert float(done.times.collectives) == float(done.times.pipeline) == 0.0
    assert float(done.activity.links) == 0.0


def test_replicas_add_their_tokens() -> None:
    """64 chips with tp = 8 are eight machines with an eighth of the sequences each."""
    setting = asked("llama-3.3-70b", "chat-decode")
    many = system("trn2-ultraserver")
    eight = asked("llama-3.3-70b", "chat-decode", chips=8.0)
    one = decode(prepared(many, eight), mapping(tp=8.0), 16.0)
    all_of = decode(prepared(many, setting), mapping(tp=8.0), 128.0)
    assert float(all_of.tokens_per_s) == pytest.approx(8 * float(one.tokens_per_s), rel=1e-5)
    assert float(all_of.tpot) == pytest.approx(float(one.tpot), rel=1e-5)


def test_idle_chips_work_nothing() -> None:
    """tp = 64 on 72 chips: eight stand idle, and the rest do what 64 do."""
    setting = asked("llama-3.3-70b", "chat-decode")
    fewer = asked("llama-3.3-70b", "chat-decode", chips=64.0)
    made = system("gb200-nvl72")
    whole = decode(prepared(made, setting), mapping(tp=64.0), 64.0)
    part = decode(prepared(made, fewer), mapping(tp=64.0), 64.0)
    assert float(whole.busy) == pytest.approx(64 / 72)
    assert float(whole.tokens_per_s) == pytest.approx(float(part.tokens_per_s))


@pytest.mark.parametrize("name", ["llama-3.3-70b", "deepseek-v3"])
def test_footprint_is_weights_and_cache(name: str) -> None:
    """FP8 weights of the chip's share and 70 or 328 kB a token in BF16, half of it in FP8."""
    setting = asked(name, "chat-decode")
    ctx = prepared(system("trn2-ultraserver"), setting)
    done = decode(ctx, mapping(tp=8.0), 64.0)
    held = parameters_held(ctx.machine, setting.model, mapping(tp=8.0)).total
    per_token = {"llama-3.3-70b": 327_680 / 8, "deepseek-v3": 70_272}[name] * 8.25 / 16
    assert float(done.footprint.weights) == pytest.approx(float(held) * 8.25 / 8, rel=1e-5)
    assert float(done.footprint.key_values) == pytest.approx(8 * 2304 * per_token, rel=1e-5)
    assert float(done.footprint.total) == pytest.approx(sum(map(float, done.footprint)), rel=1e-6)


def test_serving_that_pays_for_prompts_makes_fewer_tokens() -> None:
    """The share of time left to decode is 1 / (1 + prefill work of a decoded token / peak)."""
    plain = asked("llama-3.3-70b", "chat-serve", pays_prefill=0.0)
    paying = asked("llama-3.3-70b", "chat-serve", pays_prefill=1.0)
    made = system("h100-server")
    free = decode(prepared(made, plain), mapping(tp=8.0), 64.0)
    paid = decode(prepared(made, paying), mapping(tp=8.0), 64.0)
    ctx = prepared(made, paying)
    chip = ctx.machine
    peak = 2.0 * chip.array_rate * chip.rows * chip.columns * ctx.rate * 8.0
    # 2 (N - embeddings) + causal attention, for 2,048 prompt tokens on 512 answered ones
    flops = 4 * (2 * (70.5524e9 - 128256 * 8192) + 4 * 80 * 64 * 128 * 1024)
    worked = 1.0 / (1.0 + float(free.tokens_per_s) * flops / float(peak))
    assert float(paid.tokens_per_s / free.tokens_per_s) == pytest.approx(worked, rel=1e-3)
    assert float(paid.tpot) == float(free.tpot)


LIMITED = [
    # (model, workload, system, mapping): memory-bound, MoE with a concave latency, prefill
    ("llama-3.3-70b", "chat-decode", "trn2-ultraserver", mapping(tp=8.0)),
    ("llama-3.3-70b", "chat-decode-fast", "gb200-nvl72", mapping(tp=6.0, pp=2.0)),
    ("deepseek-v3", "chat-decode", "trn2-ultraserver", mapping(tp=8.0, ep=64.0)),
    ("deepseek-v3", "long-decode", "trn4-ultraserver", mapping(tp=2.0, ep=16.0)),
    ("deepseek-v3", "chat-decode", "gb200-nvl72", mapping(tp=1.0, ep=72.0)),
    ("llama-3.3-70b", "long-prefill", "trn4-ultraserver", mapping(tp=8.0)),
    ("deepseek-v3", "long-prefill", "gb200-nvl72", mapping(tp=4.0, ep=8.0)),
]


@pytest.mark.parametrize(("name", "workload", "machine_name", "row"), LIMITED)
def test_the_solved_batch_is_the_largest_whole_one(
    name: str, workload: str, machine_name: str, row: Mapping
) -> None:
    """It meets memory, limit and concurrency; one more per slot does not (dense and MoE)."""
    setting = asked(name, workload)
    phase = prefill if "prefill" in workload else decode
    made = system(machine_name)

    @jax.jit
    def run(batch: Any) -> Operation:
        return phase(prepared(made, setting), row, batch)

    @jax.jit
    def solve() -> Operation:
        return phase(prepared(made, setting), row, None)

    done = solve()
    slots = float(made.chips // float(row.group * row.pp) * row.shards * row.pp)
    piece = slots / float(row.pp) if phase is decode else slots

    def least(found: Operation) -> float:
        margins = (found.margin_tpot, found.margin_ttft, found.margin_memory)
        return float(min(float(m) for m in margins))

    assert least(done) >= 0.0
    assert least(run(done.batch)) >= -1e-6
    assert least(run(done.batch + piece)) < 2 * SLACK
    scan = np.arange(1, 400) * max(float(done.batch) / 200, piece)
    met = [batch for batch in scan if least(run(batch)) >= 0.0]
    assert float(done.batch) >= max(met, default=0.0) * (1 - 1e-3)


@pytest.mark.parametrize(
    ("path", "limits"),
    [
        ("capacity", {"tpot": 10.0}),
        ("rate", {"tpot": 0.025}),
        ("clock", {"tpot": 0.025}),
        ("latency", {"tpot": 0.025}),
    ],
)
def test_gradients_see_what_capacity_and_limits_are_worth(
    path: str, limits: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """d(tokens/s) with the batch solved inside, against differences of the continuous optimum."""
    setting = asked("deepseek-v3", "chat-decode", **limits)
    made = system("trn2-ultraserver")

    def changed(factor: Any) -> System:
        stack = made.chip.memory.stack
        link, core = made.chip.scale_up.link, made.chip.die.core
        if path in ("capacity", "rate"):
            stack = replace(stack, **{path: getattr(stack, path) * factor})
        if path == "latency":
            link = replace(link, latency=link.latency * factor)
        if path == "clock":
            core = replace(core, clock=core.clock * factor)
        chip = replace(
            made.chip,
            memory=replace(made.chip.memory, stack=stack),
            scale_up=replace(made.chip.scale_up, link=link),
            die=replace(made.chip.die, core=core),
        )
        return replace(made, chip=chip)

    def tokens(factor: Any) -> Any:
        return decode(prepared(changed(factor), setting), mapping(tp=2.0, ep=32.0)).tokens_per_s

    # without its floor the optimum is a smooth function of the design
    monkeypatch.setattr("dse.model.serving.rounded", lambda batch, whole: batch)
    with jax.enable_x64(True):
        exact = float(jax.jit(jax.grad(tokens))(jnp.asarray(1.0)))
        value = jax.jit(tokens)
        step = 1e-5
        difference = (float(value(jnp.asarray(1 + step))) - float(value(jnp.asarray(1 - step)))) / (
            2 * step
        )
    assert exact != 0.0
    assert exact == pytest.approx(difference, rel=1e-4)


def test_a_model_too_large_is_infeasible_not_an_error() -> None:
    """671 GB of weights on 8 chips of 80 GB: margin below zero, everything finite."""
    setting = asked("deepseek-v3", "chat-decode")
    done = decode(prepared(system("h100-server"), setting), mapping(tp=8.0))
    assert float(done.margin_memory) < 0.0
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(done))


def test_resident_weights_are_not_read() -> None:
    """SRAM that keeps weights between steps takes their bytes off memory."""
    made = system("trn4-ultraserver")
    setting = asked("llama-3.1-8b", "chat-decode", "ideal")
    kept = setting._replace(software=replace(setting.software, resident=1.0))
    plain = decode(prepared(made, setting), mapping(tp=8.0), 18.0).activity.memory
    less = decode(prepared(made, kept), mapping(tp=8.0), 18.0).activity.memory
    chip = machine(made.chip, lower(spec(Software, "ideal")))
    held = parameters_held(chip, setting.model, mapping(tp=8.0)).total * 8.25 / 8
    assert 0.0 < float(plain - less) <= min(float(chip.sram), float(held)) * 1.001


def test_capacity_leaves_a_reserve() -> None:
    """What the system keeps for itself is not given to sequences."""
    chip = system("trn2-ultraserver").chip
    assert float(usable(chip)) == pytest.approx(96 * 2**30 * 0.95, rel=1e-6)


def test_cases_fit_eight_chips() -> None:
    """The cases that other tests run are legal on every system of the catalogue."""
    for case in CASES:
        setting = case.setting
        ctx = prepared(system("h100-server"), setting)
        if case.phase in PHASES:
            done = PHASES[case.phase](ctx, case.mapping, case.batch)
            assert float(done.margin_mapping) >= 0.0


def with_experts(setting: Setting, share: float) -> Setting:
    """The setting with a share of the peak that routed experts attain; 0: the matrix share."""
    return setting._replace(software=replace(setting.software, experts=share))


def test_routed_experts_take_longer_by_what_they_attain_less() -> None:
    """Half the share of the peak is twice the arrays' time in experts, and in nothing else."""
    setting = asked("gpt-oss-120b", "long-prefill", "ideal", tokens_in=2048.0)
    peak = float(setting.software.matrix)
    full, slow, again = (
        prefill(prepared(system("h100-server"), with_experts(setting, s)), mapping(tp=8.0), 512.0)
        for s in (0.0, peak / 2.0, peak)
    )
    assert float(slow.times.experts) == pytest.approx(2.0 * float(full.times.experts), rel=1e-5)
    assert float(slow.times.projections) == float(full.times.projections)
    assert float(again.ttft) == pytest.approx(float(full.ttft), rel=1e-6)


def test_a_dense_model_has_no_routed_experts_to_slow_it() -> None:
    """What experts attain changes nothing for Llama."""
    setting = asked("llama-3.3-70b", "long-prefill")
    fast_, slow = (
        prefill(prepared(system("h100-server"), with_experts(setting, s)), mapping(tp=8.0), 512.0)
        for s in (0.9, 0.1)
    )
    assert float(fast_.ttft) == float(slow.ttft)


@pytest.mark.parametrize(("others", "times"), [("same", 1.0), ("bf16", 16.0 / 8.25)])
def test_weights_outside_experts_have_a_precision_of_their_own(others: str, times: float) -> None:
    """Batch-1 decode reads projections in their own format: FP8 takes 8.25 bits, BF16 16."""
    plain = asked("gpt-oss-120b", "chat-decode", "ideal")
    index = ("same", "fp32", "bf16", "fp8", "fp4").index(others)
    chosen = tuple(float(i == index) for i in range(5))
    mixed = plain._replace(workload=replace(plain.workload, others=chosen))
    one, two = (
        decode(prepared(fast(system("h100-server")), setting), mapping(tp=8.0), 1.0)
        for setting in (plain, mixed)
    )
    assert float(two.times.projections) == pytest.approx(times * float(one.times.projections), 3e-3)
    assert float(two.times.experts) == pytest.approx(float(one.times.experts), rel=1e-6)
