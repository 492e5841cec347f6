"""Pre-training: micro-batches through pipeline stages, gradients over replicas, the optimiser."""

from __future__ import annotations

import jax.numpy as jnp

from dse.model.footprint import (
    Footprint,
    Parameters,
    activations_of_token,
    layers_in_flight,
    parameters_held,
    recomputed,
    usable,
)
from dse.model.guard import Scalar
from dse.model.operation import (
    Activity,
    Context,
    Operation,
    Span,
    Times,
    bounds,
    mapping_margin,
    replicas,
    room_left,
)
from dse.model.passes import BACKWARD, HALF, Pass, micro_batch
from dse.model.replication import Sharing, exchange, sharing
from dse.model.roofline import bytes_of, ceil
from dse.model.transformer import Mapping, model_flops


def pretrain(ctx: Context, mapping: Mapping, batch: Scalar | None = None) -> Operation:
    """One optimiser step over the workload's global batch; `batch` replaces it (sequences).

    dp x micro-batch x accumulation = global batch; the pipeline's bubble is (pp - 1) / v
    micro-batches (1F1B with v interleaved stages a chip, Narayanan et al. 2021, arXiv:2104.04473).
    """
    work, length = ctx.workload, ctx.workload.tokens_in
    copies = jnp.maximum(replicas(ctx, mapping), 1.0)
    sequences = work.global_batch if batch is None else batch
    rounds = sequences / (copies * mapping.shards * mapping.micro_batch)
    once = micro_batch(ctx, mapping)
    held = parameters_held(ctx.machine, ctx.model, mapping)
    shares = sharing(mapping, held, copies)
    exchanged, sent = exchange(ctx, mapping, shares, rounds)
    times = _step_times(ctx, mapping, once, rounds, shares, exchanged)
    seconds = times.total
    footprint = _footprint(ctx, mapping, held, rounds, shares)
    tokens = sequences * length / seconds
    room = usable(ctx.system.chip)
    activity = Activity(*(rounds * value for value in once.activity))
    states = _optimiser_bytes(ctx, shares) + rounds * _gradient_bytes(ctx, shares)
    activity = activity._replace(links=activity.links + sent, memory=activity.memory + states)
    one = 0.0 * tokens + 1.0
    waiting = times.launch + times.pipeline
    return Operation(
        tokens_per_s=tokens,
        step=seconds,
        tpot=seconds,
        ttft=seconds,
        unqueued=seconds,
        batch=sequences,
        times=times,
        bounds=bounds(_spans(ctx, mapping, once, rounds, shares), times.collectives, waiting),
        activity=activity,
        footprint=footprint,
        busy=replicas(ctx, mapping) * mapping.group * mapping.pp / ctx.chips,
        useful_flops=tokens * (1.0 + BACKWARD) * model_flops(ctx.model, 0.5 * length),
        margin_mapping=_legal(ctx, mapping, rounds),
        margin_memory=room_left(footprint.total, room),
        margin_tpot=one,
        margin_ttft=one,
    )


def _legal(ctx: Context, mapping: Mapping, rounds: Scalar) -> Scalar:
    """>= 0 where the mapping fits: a micro-batch for each replica, a layer for each stage."""
    stages = ctx.model.layers / (mapping.pp * mapping.virtual) - 1.0
    fits = jnp.minimum(mapping_margin(ctx, mapping), rounds - 1.0 + 1e-6)
    return jnp.where(mapping.virtual > 1.0, jnp.minimum(fits, stages), fits)


def _step_times(
    ctx: Context,
    mapping: Mapping,
    once: Pass,
    rounds: Scalar,
    shares: Sharing,
    exchanged: Scalar,
) -> Times:
    """Seconds of a step by group: micro-batches, bubble, optimiser, what replicas exchange."""
    soft = ctx.software
    head = _head_time(ctx, mapping, once)
    faster = 1.0 / soft.maturity
    # each micro-batch adds its gradients to those before it
    adding = _gradient_bytes(ctx, shares) / ctx.machine.bandwidth
    compute = (once.times.total + head) * faster + adding
    tensor = once.tensor * (1.0 - soft.tensor_overlap)
    paced = compute + tensor
    bubble = (mapping.pp - 1.0) / mapping.virtual * paced
    handed = (1.0 - soft.overlap) * rounds * once.handover
    # gathered weights hide behind every pass, gradients alone behind the last backward pass
    passes = jnp.where(mapping.zero > 1.5, rounds, BACKWARD / (1.0 + BACKWARD))
    hidden = jnp.minimum(soft.overlap * exchanged, passes * paced)
    optimiser = _optimiser_bytes(ctx, shares) / ctx.machine.bandwidth
    times = Times(*(rounds * faster * value for value in once.times))
    return times._replace(
        head=times.head + rounds * faster * head,
        vector=times.vector + rounds * adding + optimiser,
        collectives=rounds * tensor + exchanged - hidden,
        pipeline=bubble + handed,
        launch=times.launch + soft.host,
    )


def _spans(
    ctx: Context, mapping: Mapping, once: Pass, rounds: Scalar, shares: Sharing
) -> list[tuple[Scalar, Span]]:
    """All operators of a step by engine, as often as they run; their times add up to the step's."""
    often = rounds / ctx.software.maturity
    none = 0.0 * rounds
    head = _head_time(ctx, mapping, once)
    moved = _optimiser_bytes(ctx, shares) + rounds * _gradient_bytes(ctx, shares)
    states = moved / ctx.machine.bandwidth
    spans = [(often * count, span) for count, span in once.spans]
    return [*spans, (often, Span(head, none, none)), (1.0 + none, Span(none, none, states))]


def _head_time(ctx: Context, mapping: Mapping, once: Pass) -> Scalar:
    """Seconds by which the output projection slows a stage: layers that the last stage lacks
    where stages are uneven make up for it."""
    full = ceil(ctx.model.layers / mapping.pp)
    spare = jnp.minimum(mapping.pp * full - ctx.model.layers, 1.0) / full
    return jnp.maximum(once.head - spare * once.times.total, 0.0)


def _gradient_bytes(ctx: Context, shares: Sharing) -> Scalar:
    """Bytes that a micro-batch's gradients move: sums of those before are read and written."""
    held = shares.dense + shares.experts
    return 2.0 * ctx.software.gradient_bytes * held * (1.0 - ctx.workload.frozen)


def _optimiser_bytes(ctx: Context, shares: Sharing) -> Scalar:
    """Bytes that the update moves: states read and written, gradients read, weights written."""
    soft = ctx.software
    each = 2.0 * soft.optimiser_bytes + soft.gradient_bytes + ctx.weight_bytes
    return shares.updated * each * (1.0 - ctx.workload.frozen)


def _footprint(
    ctx: Context, mapping: Mapping, held: Parameters, rounds: Scalar, shares: Sharing
) -> Footprint:
    """Bytes on the first stage, which holds most micro-batches."""
    soft, length = ctx.software, ctx.workload.tokens_in
    trained = 1.0 - ctx.workload.frozen
    third = jnp.where(mapping.zero > 2.5, 1.0, 0.0)
    second = jnp.where(mapping.zero > 1.5, 1.0, 0.0)
    first = jnp.where(mapping.zero > 0.5, 1.0, 0.0)

    def part(stage: Scalar) -> Scalar:
        return held.total + stage * (shares.split - held.total)

    scores = (1.0 - soft.fused) * length
    half = bytes_of(HALF)
    operand = jnp.minimum(ctx.activation_bytes, half)
    token = activations_of_token(ctx.model, mapping, half, operand, scores)
    tokens = mapping.micro_batch * length / mapping.cp
    layers = layers_in_flight(ctx.model.layers, mapping, rounds)
    layer = activations_of_token(ctx.model, mapping._replace(recompute=0.5), half, operand)
    # what is recomputed is there once, for the layer at work
    at_work = recomputed(mapping)[0] * layer
    return Footprint(
        weights=part(third) * ctx.weight_bytes,
        key_values=0.0 * rounds,
        activations=tokens * (layers * token + at_work),
        gradients=part(second) * soft.gradient_bytes * trained,
        optimiser=part(first) * soft.optimiser_bytes * trained,
    )
