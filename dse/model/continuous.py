"""Continuous batching at steady state: prompts enter in chunks beside the sequences that decode.

In every step each decoding sequence gains a token, and as many prompt tokens enter as sequences
end. Users are those who decode and those whose prompt is waiting or being read (Little's law).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.batch import largest, rounded
from dse.model.footprint import (
    Footprint,
    cache_of_sequence,
    parameters_held,
    usable,
    weights_held,
    working_set,
)
from dse.model.guard import Scalar, ratio
from dse.model.operation import Activity, Context, Operation, Times, replicas, room_left
from dse.model.serving import Stage, Step, on_array, operation, stage, step
from dse.model.transformer import (
    Mapping,
    causal_attention,
    causal_flops,
    decode_attention,
    model_flops,
)

ROUNDS = 4
"""Fixed-point rounds for the sequences that decode among given users: 1 % at worst over the
catalogue, as each round moves by the share of time that a request waits for its first token."""

FULLEST = 0.95
"""Share of the steps' room for prompts up to which a queue is counted: beyond, users do not decode
but wait, which Little's law says."""


class Load(NamedTuple):
    """One slot (a batch that shares steps) under load.

    decoding: sequences; seconds: of a step; tpot: per token of a sequence; service: time to the
    first token without, queued: with waiting for other prompts.
    """

    decoding: Scalar
    seconds: Scalar
    tpot: Scalar
    service: Scalar
    queued: Scalar


class Slot(NamedTuple):
    """What all loads of a mapping share: prompt tokens to be read, tokens a step yields."""

    at: Stage
    prompt: Scalar
    yielded: Scalar


def slot_of(ctx: Context, mapping: Mapping) -> Slot:
    """A mapping laid out for continuous batching."""
    work = ctx.workload
    length = work.tokens_in + 0.5 * work.tokens_out
    decoding = decode_attention(ctx.machine, ctx.model, mapping.tp, length, ctx.other_rate)
    reading = causal_attention(ctx.machine, ctx.model, mapping.tp, work.tokens_in, ctx.other_rate)
    at = stage(ctx, mapping, decoding, on_array(ctx, mapping))._replace(prompt=reading)
    # expected tokens of a step with k drafts: (1 - a^(k+1)) / (1 - a) (Leviathan, Kalman and
    # Matias, ICML 2023, arXiv:2211.17192, equation 1)
    rate = work.acceptance
    yielded = (1.0 - rate ** (work.drafts + 1.0)) / (1.0 - rate)
    return Slot(at, work.tokens_in * (1.0 - work.prefix_hit), yielded)


def pass_of(ctx: Context, slot: Slot, decoding: Scalar, prompts: Scalar | None) -> Step:
    """One step of a stage: `decoding` sequences, and the tokens of `prompts` prompts."""
    drafted = decoding * (1.0 + ctx.workload.drafts)
    if prompts is None:
        return step(ctx, slot.at, drafted, decoding, drafted)
    share = slot.prompt / ctx.workload.tokens_in
    tokens = drafted + prompts * slot.prompt
    return step(ctx, slot.at, tokens, decoding, drafted + prompts, prompts * share)


class Mix(NamedTuple):
    """Steps with and without a chunk of a prompt; `share` of all steps have one."""

    plain: Step
    full: Step
    share: Scalar
    steps: Scalar


def mix_of(ctx: Context, slot: Slot, decoding: Scalar) -> Mix:
    """The steps of a slot in which `decoding` sequences decode and are replaced as they end.

    A chunk is read whole, not spread over steps: so a few prompts touch all experts now and then,
    and not a few more in every step.
    """
    chunk = jnp.minimum(slot.prompt, ctx.software.chunk)
    steps = slot.prompt / chunk
    arriving = decoding * slot.yielded / ctx.workload.tokens_out
    return Mix(
        plain=pass_of(ctx, slot, decoding, None),
        full=pass_of(ctx, slot, decoding, chunk / slot.prompt),
        share=jnp.minimum(arriving * steps, 1.0),
        steps=steps,
    )


def mean_step(mix: Mix) -> Step:
    """The average of a slot's steps."""

    def mean(plain: Scalar, full: Scalar) -> Scalar:
        return plain + mix.share * (full - plain)

    spans = [((1.0 - mix.share) * count, span) for count, span in mix.plain.spans]
    spans += [(mix.share * count, span) for count, span in mix.full.spans]
    return Step(
        times=Times(*map(mean, mix.plain.times, mix.full.times)),
        spans=spans,
        activity=Activity(*map(mean, mix.plain.activity, mix.full.activity)),
    )


def load_of(ctx: Context, slot: Slot, decoding: Scalar) -> Load:
    """A slot in which `decoding` sequences decode and are replaced as they end."""
    work, stages, host = ctx.workload, slot.at.mapping.pp, ctx.software.host
    mix = mix_of(ctx, slot, decoding)
    plain = stages * mix.plain.times.total + host
    full = stages * mix.full.times.total + host
    seconds = plain + mix.share * (full - plain)
    reading = mix.steps * full
    # on average a prompt comes in the middle of a step
    service = reading + 0.5 * seconds + ctx.software.request
    busy = jnp.minimum(mix.share, FULLEST)
    # waiting time of a queue with fixed service (Pollaczek-Khinchine, M/D/1)
    waiting = 0.5 * busy / (1.0 - busy) * reading
    # where all ask at once, half of them stand before one on average
    waiting = waiting + work.burst * 0.5 * jnp.maximum(decoding - 1.0, 0.0) * reading
    return Load(decoding, seconds, seconds / slot.yielded, service, service + waiting)


def most_decoding(ctx: Context, slot: Slot) -> Scalar:
    """Sequences that can decode while each step takes no more than one chunk of a prompt."""
    steps = jnp.maximum(slot.prompt / ctx.software.chunk, 1.0)
    return ctx.workload.tokens_out / (slot.yielded * steps)


def decoding_among(ctx: Context, slot: Slot, users: Scalar, capacity: Scalar) -> Load:
    """The load of a slot with a fixed number of users, each asking again when answered."""

    def again(_: int, decoding: Scalar) -> Scalar:
        at = load_of(ctx, slot, decoding)
        answering = ctx.workload.tokens_out * at.tpot
        return jnp.minimum(users * answering / (answering + at.queued), capacity)

    # a loop, not its rounds one after the other: the program is a fifth as long
    decoding = jax.lax.fori_loop(0, ROUNDS, again, jnp.minimum(users, capacity))
    at = load_of(ctx, slot, decoding)
    # those whom memory leaves no room wait until a sequence ends
    rate = decoding / (ctx.workload.tokens_out * at.tpot)
    left_out = ratio(users - decoding, rate)
    return at._replace(queued=jnp.maximum(at.queued, left_out))


def serve(ctx: Context, mapping: Mapping, batch: Scalar | None = None) -> Operation:
    """Continuous batching with as many sequences as memory, concurrency and both limits allow.

    `batch` fixes the users over all chips. Tokens are output tokens; the time to the first token
    includes waiting for other prompts, and its limit is held without it.
    """
    work, copies = ctx.workload, jnp.maximum(replicas(ctx, mapping), 1.0)
    slot = slot_of(ctx, mapping)
    slots = copies * mapping.shards * mapping.pp
    here = parameters_held(ctx.machine, ctx.model, mapping)
    weights = weights_held(here, ctx.weight_bytes, ctx.other_bytes)
    length = work.tokens_in + 0.5 * work.tokens_out
    cache = cache_of_sequence(ctx.model, mapping, length, ctx.cache_bytes) * mapping.pp
    active = working_set(ctx.model, mapping, 1.0, ctx.activation_bytes)
    capacity = (usable(ctx.system.chip) - weights) / (cache + active)
    least = 1.0 / mapping.pp
    capacity = jnp.maximum(jnp.minimum(capacity, most_decoding(ctx, slot)), least)
    if batch is None:

        def worst(decoding: Scalar) -> Scalar:
            at = load_of(ctx, slot, decoding)
            return jnp.maximum(at.tpot / work.tpot, at.service / work.ttft)

        most = jnp.maximum(jnp.minimum(capacity, work.concurrency / slots), least)
        found = largest(worst, 1.0 + 0.0 * most, least + 0.0 * most, most)
        load = load_of(ctx, slot, rounded(found, mapping.pp))
    else:
        load = decoding_among(ctx, slot, batch / slots, capacity)
    done = mean_step(mix_of(ctx, slot, load.decoding))
    rate = load.decoding * slots / load.tpot
    held = load.decoding
    footprint = Footprint(weights, held * cache, held * active, 0.0 * rate, 0.0 * rate)
    made = operation(ctx, mapping, done, rate, load.seconds, held * slots, footprint)
    prompts = rate / work.tokens_out * slot.prompt
    useful = rate * model_flops(ctx.model, length)
    useful = useful + prompts * causal_flops(ctx.model, work.tokens_in)
    return made._replace(
        tpot=load.tpot,
        ttft=load.queued,
        unqueued=load.service,
        margin_tpot=room_left(load.tpot, work.tpot),
        margin_ttft=room_left(load.service, work.ttft),
        useful_flops=useful,
    )


def first_step(ctx: Context, mapping: Mapping, made: Operation) -> dict[str, Scalar]:
    """Seconds by operator group of the steps that read one prompt at an operating point `made`."""
    slot = slot_of(ctx, mapping)
    slots = jnp.maximum(replicas(ctx, mapping), 1.0) * mapping.shards * mapping.pp
    mix = mix_of(ctx, slot, made.batch / slots)
    times = {k: mix.steps * mapping.pp * v for k, v in mix.full.times._asdict().items()}
    return times | {"launch": times["launch"] + mix.steps * ctx.software.host}
