"""Training steps: MFU, bubble, memory and gradients against the literature's formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from helpers import mapping, model, question, system

from dse.model.estimate import Setting
from dse.model.footprint import parameters_held
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
    """Llama 70B, ideal software: matrix products take 6 N tokens / peak within 2 % but for the
    embedding table, which multiplies nothing (PaLM, arXiv:2204.02311), and padded tiles."""
    setting = asked("llama-3.3-70b", "ideal")
    ctx = prepared("trn2-ultraserver", setting)
    times = pretrain(ctx, mapping(tp=4.0, zero=3.0)).times
    made = model("llama-3.3-70b")
    multiplied = float(parameters(made, 0.0) - made.vocabulary * made.hidden)
    ideal = 6 * multiplied * 2048 * 8192 / (629.1456e12 * 64)
    assert float(times.projections + times.feed_forward + times.head) == pytest.approx(
        ideal, rel=0.02
    )


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
    done, once = bubble_and_work(row, 16.0)
    assert done == pytest.approx(once * (2 - 1) / 16, rel=1e-4)


def bubble_and_work(row: Mapping, batch: float) -> tuple[float, float]:
    """Seconds of the bubble, and of micro-batches; ideal software hides all collectives."""
    ctx = prepared("h100-server", asked("llama-3.3-70b", "ideal"))
    done = pretrain(ctx, row, batch)
    held = parameters_held(ctx.machine, ctx.model, row).total
    states = float(held) * (2 * 12 + 4 + 2) / float(ctx.machine.bandwidth)
    return float(done.times.pipeline), float(done.step - done.times.pipeline) - states


@pytest.mark.parametrize("stages", [2.0, 4.0, 8.0])
def test_interleaving_divides_the_bubble(stages: float) -> None:
    """v stages a chip: (pp - 1) / (v m) (Narayanan et al. 2021, section 2.2.2)."""
    plain, _ = bubble_and_work(mapping(tp=4.0, pp=2.0), 16.0)
    parted, work = bubble_and_work(mapping(tp=4.0, pp=2.0, virtual=stages), 16.0)
    assert parted == pytest.approx(plain / stages, rel=1e-4)
    assert parted == pytest.approx(work * (2 - 1) / 16 / stages, rel=1e-4)


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
    3 / 2 as many in each round (Rajbhandari et al. 2020, section 7.2), ZeRO-2 (rounds + 1) / 2."""

    def links(row: Mapping, chips: float) -> float:
        return float(run("trn2-ultraserver", row, 8.0, chips=chips).activity.links)

    alone = links(mapping(tp=8.0), 8.0)
    # two replicas do half of the rounds each, and what tensor parallelism sends halves with them
    first = links(mapping(tp=8.0), 16.0) - alone / 2
    third = links(mapping(tp=8.0, zero=3.0), 16.0) - alone / 2
    held = float(run("trn2-ultraserver", mapping(tp=8.0), 8.0, chips=8.0).footprint.gradients) / 4
    assert first == pytest.approx(2.0 * held, rel=1e-3)
    second = links(mapping(tp=8.0, zero=2.0), 16.0) - alone / 2
    assert third == pytest.approx(1.5 * 4 * first, rel=1e-3)
    assert second == pytest.approx(0.5 * (4 + 1) * first, rel=1e-3)
    assert links(mapping(tp=8.0, zero=0.0), 16.0) - alone / 2 == pytest.approx(first, rel=1e-3)


def test_frozen_weights_take_two_thirds_of_the_products_and_no_states() -> None:
    """LoRA: no gradients to weights: 4 N in place of 6 N, and no optimiser."""
    all_of_it = run("h100-server", mapping(tp=8.0))
    frozen = run("h100-server", mapping(tp=8.0), frozen=1.0)
    share = float(frozen.times.feed_forward / all_of_it.times.feed_forward)
    assert share == pytest.approx(2 / 3, rel=1e-5)
    assert float(frozen.footprint.gradients + frozen.footprint.optimiser) == 0.0


@pytest.mark.parametrize("recompute", [(0.0, 3.0), (0.5, 3.0), (0.75, 3.5), (1.0, 4.0)])
def test_recomputation_repeats_products(recompute: tuple[float, float]) -> None:
    """None and selective keep 3 passes of products, full makes 4, halfway 3.5."""
    level, passes = recompute
    plain = run("trn2-ultraserver", mapping(tp=8.0)).times.feed_forward
    again = run("trn2-ultraserver", mapping(tp=8.0, recompute=level)).times.feed_forward
    assert float(again / plain) == pytest.approx(passes / 3.0, rel=1e-5)


def test_context_parallelism_splits_tokens() -> None:
    """Two chips a sequence: half the activations, half the products of one chip."""
    one = run("trn2-ultraserver", mapping(tp=8.0), 64.0)
    two = run("trn2-ultraserver", mapping(tp=8.0, cp=2.0), 64.0)
    assert float(two.footprint.activations / one.footprint.activations) == pytest.approx(0.5)
    # half the tokens of a micro-batch, twice as many rounds of them
    assert float(two.times.feed_forward / one.times.feed_forward) == pytest.approx(1.0, rel=0.02)


def test_sequence_parallelism_splits_what_stands_between_products() -> None:
    """Without it each chip of a group works on whole vectors: slower, more memory."""
    split = run("h100-server", mapping(tp=8.0))
    whole = run("h100-server", mapping(tp=8.0, sequence_parallel=0.0))
    assert float(whole.times.vector) > 1.5 * float(split.times.vector)
    assert float(whole.footprint.activations) > 1.5 * float(split.footprint.activations)


def test_the_update_moves_thirty_bytes_a_parameter() -> None:
    """Adam reads and writes 12 bytes of states, reads 4 of gradient, writes 2 of weight."""
    small = run("h100-server", mapping(tp=8.0), 8.0).activity.memory
    large = run("h100-server", mapping(tp=8.0), 16.0).activity.memory
    held = float(run("h100-server", mapping(tp=8.0)).footprint.weights) / 2
    assert float(2 * small - large) == pytest.approx(30 * held, rel=0.01)


@pytest.mark.parametrize("row", [mapping(tp=4.0, pp=2.0), mapping(tp=2.0, zero=3.0, recompute=0.5)])
def test_parts_of_a_step_add_up(row: Mapping) -> None:
    """Times by group and times by what binds both sum to the step."""
    done = run("h100-server", row, 64.0)
    assert float(sum(done.times)) == pytest.approx(float(done.step), rel=1e-5)
    assert float(sum(done.bounds)) == pytest.approx(float(done.step), rel=1e-4)


FASTER = (
    *("matrix", "attention", "attention_backward", "vector", "memory", "network"),
    *("overlap", "tensor_overlap", "maturity"),
)


@pytest.mark.parametrize("field", FASTER)
def test_more_efficiency_never_slows_a_step(field: str) -> None:
    """Ten per cent more of anything that software attains: no slower, in four kinds of mapping."""
    rows = [mapping(tp=8.0), mapping(tp=2.0, zero=3.0), mapping(tp=4.0, pp=2.0, recompute=1.0)]
    ctx = prepared("h100-server", asked("llama-3.3-70b", chips=64.0))
    soft = replace(ctx.software, attention=0.5, attention_backward=0.4, tensor_overlap=0.3)
    better = replace(soft, **{field: 1.1 * getattr(soft, field)})
    for row in [*rows, mapping(tp=2.0, cp=4.0)]:
        slow, fast = (
            float(pretrain(context(ctx.system, ctx.model, ctx.workload, s), row).step)
            for s in (soft, better)
        )
        assert fast <= slow * (1 + 1e-6)


def test_gradients_to_efficiencies_are_exact() -> None:
    """Each derivative of a step's time equals a central difference, but in what it has no part."""
    ctx = prepared("h100-server", asked("llama-3.3-70b", chips=64.0))
    start = replace(ctx.software, attention=0.5, attention_backward=0.4, tensor_overlap=0.3)

    def seconds(values: list[float]) -> jax.Array:
        soft = replace(start, **dict(zip(FASTER, values, strict=True)))
        at = context(ctx.system, ctx.model, ctx.workload, soft)
        return jnp.log(pretrain(at, mapping(tp=4.0, pp=2.0, zero=3.0)).step)

    values = [float(getattr(start, name)) for name in FASTER]
    found = jax.grad(seconds)(values)
    for index, value in enumerate(values):
        moved = [list(values), list(values)]
        moved[0][index], moved[1][index] = 1.02 * value, 0.98 * value
        ends = [float(seconds(each)) for each in moved]
        assert float(found[index]) == pytest.approx((ends[0] - ends[1]) / (0.04 * value), abs=2e-3)


def _with(changes: dict[str, float], row: Mapping) -> Operation:
    """Llama 70B on H100 servers by a stack with some fields changed."""
    setting = asked("llama-3.3-70b", chips=64.0)
    software = replace(setting.software, **changes)
    return pretrain(prepared("h100-server", setting._replace(software=software)), row)


def test_attention_of_older_instructions_uses_no_more_cells_than_they_start() -> None:
    """2,048 multiply-accumulates are an H100 core's own: no change; with half of them the products
    of attention take twice as long, and its softmax no longer."""
    row = mapping(tp=8.0)
    cells = {"attention_cells": 2048.0}
    own, same = _with({}, row).times, _with(cells, row).times
    assert float(same.attention) == pytest.approx(float(own.attention), rel=1e-6)
    half = _with({"attention_cells": 1024.0}, row).times
    quarter = _with({"attention_cells": 512.0}, row).times
    added = float(half.attention - own.attention)
    # 1 to 2 to 4: the second doubling adds twice what the first does
    assert added > 0.2 * float(own.attention)
    assert float(quarter.attention - half.attention) == pytest.approx(2.0 * added, rel=1e-3)
    assert float(half.projections) == float(own.projections)


def test_recomputation_that_stops_early_leaves_out_a_layers_last_product() -> None:
    """Full recomputation: 3 of 4 passes are whole, one lacks the last of three matrices; where
    nothing or half of the products is recomputed there is no such product."""
    for level, share in ((0.0, 1.0), (0.75, 1.0), (1.0, (4.0 - 1.0 / 3.0) / 4.0)):
        row = mapping(tp=8.0, recompute=level)
        whole = _with({"early_stop": 0.0}, row).times
        early = _with({"early_stop": 1.0}, row).times
        assert float(early.feed_forward / whole.feed_forward) == pytest.approx(share, rel=1e-5)
        assert float(early.projections) == float(whole.projections)


def test_each_chip_of_a_group_hands_on_its_own_part() -> None:
    """Without sequence parallelism a stage's chips send an eighth each as well, and gather the rest
    inside the server (Narayanan et al. 2021, section 4.1): slower than with it, and by far less
    than the eightfold time of whole messages."""
    none = {"overlap": 0.0}
    split = _with(none, mapping(tp=8.0, pp=4.0)).times.pipeline
    alone = _with(none, mapping(tp=8.0, pp=4.0, sequence_parallel=0.0)).times.pipeline
    assert float(split) < float(alone) < 4.0 * float(split)
