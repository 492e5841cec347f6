"""Training steps: MFU, bubble, memory and gradients against the literature's formulas."""

from __future__ import annotations

import pytest
from helpers import mapping, model, question, system

from dse.model.estimate import Setting
from dse.model.operation import Context, Operation, context
from dse.model.pytree import replace
from dse.model.training import pretrain
from dse.model.transformer import Mapping, parameters


def asked(name: str, software: str = "default", **changes: float) -> Setting:
    setting = question(name, "pretrain", software).setting
    return setting._replace(workload=replace(setting.workload, **changes))


def prepared(name: str, setting: Setting) -> Context:
    return context(system(name), setting.model, setting.workload, setting.software)


def run(
    name: str, row: Mapping, batch: float | None = None, software: str = "default", **more: float
) -> Operation:
    return pretrain(prepared(name, asked("llama-3.3-70b", software, **more)), row, batch)


def mfu(ctx: Context, done: Operation) -> float:
    chip = ctx.machine
    peak = 2 * chip.array_rate * chip.rows * chip.columns * ctx.rate * ctx.chips
    return float(done.useful_flops / peak * ctx.software.matrix)


def test_a_step_takes_six_flops_a_parameter_and_token() -> None:
    """Llama 70B, ideal software: 6 N tokens / peak within 20 % (PaLM, arXiv:2204.02311)."""
    setting = asked("llama-3.3-70b", "ideal")
    ctx = prepared("trn2-ultraserver", setting)
    done = pretrain(ctx, mapping(tp=4.0, zero=3.0))
    flops = 6 * float(parameters(model("llama-3.3-70b"), 0.0)) * 2048 * 8192
    ideal = flops / (629.1456e12 * 64)
    assert ideal < float(done.step) < 1.2 * ideal


@pytest.mark.parametrize("name", ["trn2-ultraserver", "gb200-nvl72", "h100-server"])
@pytest.mark.parametrize("model_name", ["llama-3.3-70b", "deepseek-v3"])
def test_utilisation_lies_between_nothing_and_all(name: str, model_name: str) -> None:
    """Published runs reach 0.2 to 0.6 of the peak; an idle-free model reaches no more than 0.8."""
    ctx = prepared(name, asked(model_name))
    done = pretrain(ctx, mapping(tp=4.0, pp=2.0))
    assert 0.1 < mfu(ctx, done) < 0.8


def test_the_bubble_is_that_of_one_forward_one_backward() -> None:
    """(pp - 1) / m of the time of m micro-batches (Narayanan et al. 2021, arXiv:2104.04473)."""
    row = mapping(tp=4.0, pp=2.0)
    done = run("h100-server", row, batch=16.0, software="ideal")
    # ideal software hides all hand-overs and collectives: what stands in `pipeline` is the bubble
    work = float(done.step - done.times.pipeline)
    assert float(done.times.pipeline) == pytest.approx(work * (2 - 1) / 16, rel=1e-4)


def test_more_micro_batches_shrink_the_bubble() -> None:
    """Twice the batch: the same bubble, half of its share."""
    row = mapping(tp=4.0, pp=2.0)
    small = run("h100-server", row, batch=16.0, software="ideal")
    large = run("h100-server", row, batch=32.0, software="ideal")
    assert float(large.times.pipeline) == pytest.approx(float(small.times.pipeline), rel=0.1)
    assert float(large.tokens_per_s) > float(small.tokens_per_s)


def test_one_chip_has_neither_bubble_nor_collectives() -> None:
    """A lone chip waits for nobody."""
    setting = asked("llama-3.1-8b", chips=1.0)
    done = pretrain(prepared("h100-server", setting), mapping(), 8.0)
    assert float(done.times.pipeline) == 0.0
    assert float(done.times.collectives) == 0.0


def test_recomputation_costs_a_forward_pass() -> None:
    """4 instead of 3 passes, and fewer bytes of activations."""
    plain = run("trn2-ultraserver", mapping(tp=8.0))
    again = run("trn2-ultraserver", mapping(tp=8.0, recompute=1.0))
    assert float(again.times.projections / plain.times.projections) == pytest.approx(4 / 3)
    assert float(again.footprint.activations) < 0.2 * float(plain.footprint.activations)


def test_mixed_precision_adam_takes_eighteen_bytes_a_parameter() -> None:
    """2 weights + 4 gradients + 12 states, without data parallelism (Megatron-LM)."""
    done = run("h100-server", mapping(tp=8.0))
    held = float(done.footprint.weights) / 2
    assert float(done.footprint.gradients) == pytest.approx(4 * held)
    assert float(done.footprint.optimiser) == pytest.approx(12 * held, rel=1e-6)
    assert held * 8 == pytest.approx(70.55e9, rel=0.01)


def test_zero_shares_states_over_replicas() -> None:
    """Eight replicas: stage 1 shares the optimiser, stage 3 also weights and gradients."""
    one = run("trn2-ultraserver", mapping(tp=8.0)).footprint
    three = run("trn2-ultraserver", mapping(tp=8.0, zero=3.0)).footprint
    assert float(one.optimiser) == pytest.approx(12 / 2 * float(one.weights) / 8, rel=1e-5)
    assert float(three.weights) == pytest.approx(float(one.weights) / 8, rel=1e-5)
    assert float(three.gradients) == pytest.approx(float(one.gradients) / 8, rel=1e-5)
    assert float(three.optimiser) == pytest.approx(float(one.optimiser))


def test_zero_three_sends_more() -> None:
    """Weights are gathered for each pass: communication never shrinks."""
    one = run("trn2-ultraserver", mapping(tp=8.0), software="default", chips=64.0)
    three = run("trn2-ultraserver", mapping(tp=8.0, zero=3.0))
    assert float(three.times.collectives) >= float(one.times.collectives)


def test_a_batch_below_one_micro_batch_a_replica_is_illegal() -> None:
    """32 replicas cannot share 16 sequences."""
    done = run("trn2-ultraserver", mapping(tp=2.0), batch=16.0)
    assert float(done.margin_mapping) < 0.0
    assert float(run("trn2-ultraserver", mapping(tp=2.0), batch=32.0).margin_mapping) >= 0.0


def test_more_domains_train_faster() -> None:
    """Four domains over scale-out: more tokens/s, less than four times as many."""
    one = run("h100-server", mapping(tp=8.0))
    four = run("h100-server", mapping(tp=8.0), chips=32.0)
    ratio = float(four.tokens_per_s / one.tokens_per_s)
    assert 3.0 < ratio < 4.0


def test_dies_of_a_package_have_no_gradients_in_common() -> None:
    """They hold different weights, so that a slow link between them costs activations only."""
    setting = asked("llama-3.1-8b", chips=1.0)
    made = system("gb200-nvl72")
    link = replace(made.chip.die.die_to_die, bandwidth=1e6)
    slow = replace(made, chip=replace(made.chip, die=replace(made.chip.die, die_to_die=link)))
    ctx = context(slow, setting.model, setting.workload, setting.software)
    step = float(pretrain(ctx, mapping(), 8.0).times.collectives)
    twice = float(pretrain(ctx, mapping(), 16.0).times.collectives)
    assert twice == pytest.approx(2 * step, rel=1e-4)


def test_what_data_parallelism_sends_is_what_it_takes_time_for() -> None:
    """A replica alone sends no gradients; of two, ZeRO-1 sends each parameter's bytes once, ZeRO-3
    rounds + 1/2 times as many (2 (n - 1) / n of a buffer that is all-reduced)."""

    def links(row: Mapping, chips: float) -> float:
        return float(run("trn2-ultraserver", row, 8.0, chips=chips).activity.links)

    alone = links(mapping(tp=8.0), 8.0)
    # two replicas do half of the rounds each, and what tensor parallelism sends halves with them
    first = links(mapping(tp=8.0), 16.0) - alone / 2
    third = links(mapping(tp=8.0, zero=3.0), 16.0) - alone / 2
    held = float(run("trn2-ultraserver", mapping(tp=8.0), 8.0, chips=8.0).footprint.gradients) / 4
    assert first == pytest.approx(2.0 * held, rel=1e-3)
    assert third == pytest.approx(4.5 * first, rel=1e-3)
