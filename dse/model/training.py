"""Pre-training: micro-batches through pipeline stages, gradients over replicas, the optimiser."""

from __future__ import annotations

import jax.numpy as jnp

from dse.model.collectives import Cost, all_reduce
from dse.model.footprint import (
    Footprint,
    Parameters,
    activations_of_token,
    parameters_held,
    usable,
)
from dse.model.guard import Scalar, ratio
from dse.model.operation import (
    Activity,
    Context,
    Operation,
    Times,
    bounds,
    mapping_margin,
    replicas,
    room_left,
)
from dse.model.serving import Step, stage, step
from dse.model.transformer import Mapping, causal_attention, model_flops

BACKWARD = 2.0
"""Backward over forward work: gradients to inputs and to weights (PaLM, arXiv:2204.02311)."""


def pretrain(ctx: Context, mapping: Mapping, batch: Scalar | None = None) -> Operation:
    """One optimiser step over the workload's global batch; `batch` replaces it (sequences).

    dp x micro-batch x accumulation = global batch; the pipeline's bubble is (pp - 1) micro-batches
    (1F1B, Narayanan et al. 2021, arXiv:2104.04473).
    """
    work, length = ctx.workload, ctx.workload.tokens_in
    copies = jnp.maximum(replicas(ctx, mapping), 1.0)
    sequences = work.global_batch if batch is None else batch
    attention = causal_attention(ctx.machine, ctx.model, mapping.tp, length, ctx.rate)
    at = stage(ctx, mapping, attention)
    tokens_each = mapping.micro_batch * length
    forward = step(ctx, at, tokens_each, mapping.micro_batch, tokens_each)
    streams = copies * mapping.shards
    rounds = sequences / (streams * mapping.micro_batch)
    held = parameters_held(ctx.machine, ctx.model, mapping)
    exchanged = _exchanged(ctx, mapping, rounds)
    gradients = _gradient_time(ctx, mapping, held, copies, exchanged)
    times, seconds = _step_time(ctx, mapping, forward, rounds, gradients)
    footprint = _footprint(ctx, mapping, held, rounds, copies)
    tokens = sequences * length / seconds
    room = usable(ctx.system.chip)
    passes = 1.0 + BACKWARD + mapping.recompute
    spans = [(rounds * passes * count, span) for count, span in forward.spans]
    activity = Activity(*(rounds * passes * value for value in forward.activity))
    one = 0.0 * tokens + 1.0
    return Operation(
        tokens_per_s=tokens,
        step=seconds,
        tpot=seconds,
        ttft=seconds,
        batch=sequences,
        times=times,
        bounds=bounds(spans, times.collectives, times.launch + times.pipeline),
        activity=activity._replace(links=activity.links + _sent(mapping, held, copies, exchanged)),
        footprint=footprint,
        busy=replicas(ctx, mapping) * mapping.group * mapping.pp / ctx.chips,
        useful_flops=tokens * (1.0 + BACKWARD) * model_flops(ctx.model, 0.5 * length),
        margin_mapping=jnp.minimum(mapping_margin(ctx, mapping), rounds - 1.0 + 1e-6),
        margin_memory=room_left(footprint.total, room),
        margin_tpot=one,
        margin_ttft=one,
    )


def _exchanged(ctx: Context, mapping: Mapping, rounds: Scalar) -> Scalar:
    """Bytes that data parallelism all-reduces in a step for one parameter held.

    ZeRO-1 moves what an all-reduce does. ZeRO-3 gathers all weights for each forward and each
    backward pass and scatters gradients once, each half an all-reduce (Rajbhandari et al. 2020,
    arXiv:1910.02054, section 7).
    """
    third = _third(mapping)
    return ctx.message_bytes * (1.0 - third + third * (rounds + 0.5))


def _gradient_time(
    ctx: Context, mapping: Mapping, held: Parameters, copies: Scalar, exchanged: Scalar
) -> Scalar:
    """Seconds to sum gradients: shared ones over all data-parallel shards, experts over replicas.

    `exchanged` are bytes for one parameter.
    """
    shared = _spread(ctx, copies * mapping.shards, mapping.tp)
    experts = _spread(ctx, copies, mapping.group)
    dense = (held.shared + held.embeddings) * exchanged
    return shared.time(dense) + experts.time(held.experts * exchanged)


def _sent(mapping: Mapping, held: Parameters, copies: Scalar, exchanged: Scalar) -> Scalar:
    """Bytes that a chip sends for that: 2 (n - 1) / n of each buffer, nothing where it is alone."""
    dense = (held.shared + held.embeddings) * (1.0 - 1.0 / (copies * mapping.shards))
    return 2.0 * exchanged * (dense + held.experts * (1.0 - 1.0 / copies))


def _spread(ctx: Context, members: Scalar, apart: Scalar) -> Cost:
    """An all-reduce among `members` chips that stand `apart` chips from each other."""
    net = ctx.network
    domain = jnp.maximum(net.domain / apart, 1.0)
    # the dies of a package hold different weights: they have no gradients in common
    chip = ctx.machine._replace(dies=ctx.machine.dies * 0.0 + 1.0)
    return all_reduce(net._replace(domain=domain), chip, members)


def _third(mapping: Mapping) -> Scalar:
    """1 for ZeRO stage 3, 0 for stage 1."""
    return jnp.where(mapping.zero > 2.0, 1.0, 0.0)


def _step_time(
    ctx: Context, mapping: Mapping, forward: Step, rounds: Scalar, gradients: Scalar
) -> tuple[Times, Scalar]:
    """Seconds of a step by group: passes of all micro-batches, bubble, gradients, optimiser."""
    passes = 1.0 + BACKWARD + mapping.recompute
    scaled = Times(*(rounds * passes * value for value in forward.times))
    # weight gradients need no collective: backward sends as much as forward
    sends = rounds * (2.0 + mapping.recompute)
    exposed = sends * forward.times.collectives + gradients
    compute = scaled.total - scaled.collectives - scaled.pipeline
    hidden = jnp.minimum(ctx.software.overlap * exposed, compute)
    bubble = ratio((mapping.pp - 1.0) * (compute + exposed - hidden), rounds)
    handover = rounds * 2.0 * forward.times.pipeline
    times = scaled._replace(
        collectives=exposed - hidden, pipeline=bubble + handover * (1.0 - ctx.software.overlap)
    )
    return times, times.total


def _footprint(
    ctx: Context, mapping: Mapping, held: Parameters, rounds: Scalar, copies: Scalar
) -> Footprint:
    """Bytes on the first stage, which holds most micro-batches: at most pp of them (1F1B)."""
    soft, length = ctx.software, ctx.workload.tokens_in
    third = _third(mapping)
    spread = copies * mapping.shards
    shared = held.shared + held.embeddings
    split = shared / spread + held.experts / copies
    token = activations_of_token(ctx.model, mapping, ctx.activation_bytes)
    layers = ctx.model.layers / mapping.pp
    flying = jnp.minimum(rounds, mapping.pp)
    activations = flying * mapping.micro_batch * length * layers * token
    return Footprint(
        weights=(held.total * (1.0 - third) + split * third) * ctx.weight_bytes,
        key_values=0.0 * activations,
        activations=activations,
        gradients=(held.total * (1.0 - third) + split * third) * soft.gradient_bytes,
        optimiser=split * soft.optimiser_bytes,
    )
