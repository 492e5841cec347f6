"""Decode and prefill at steady state, with the largest batch that memory and limits allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dse.model.batch import largest, rounded
from dse.model.collectives import Cost, all_reduce, all_to_all, neighbour
from dse.model.footprint import (
    Footprint,
    cache_of_sequence,
    expert_width,
    experts_held,
    ffn_width,
    parameters_held,
    usable,
    weights_held,
    working_set,
)
from dse.model.guard import Scalar, declared, ratio
from dse.model.operation import (
    TINY,
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
from dse.model.roofline import bytes_of, ceil, product_bytes, product_time
from dse.model.transformer import (
    Attention,
    Mapping,
    Work,
    attention_time,
    causal_attention,
    causal_flops,
    decode_attention,
    expert_layers,
    experts_touched,
    feed_forward,
    head,
    local_heads,
    model_flops,
    projections,
    vector_operations,
)
from dse.spec.workload import LanguageModel

RESULT_BYTES = 2.0
"""Bytes of a number that a product leaves: BF16, whatever its operands were."""


class Stage(NamedTuple):
    """Per-layer work of one chip, before the number of tokens is known.

    vector: elementwise operations of one token in all layers; launch: seconds of all launches.
    """

    mapping: Mapping
    projections: Work
    dense: Work
    shared: Work
    expert: Work
    head: Work
    attention: Attention
    reduce: Cost
    exchange: Cost
    handover: Cost
    dense_layers: Scalar
    sparse_layers: Scalar
    resident: Scalar
    held_experts: Scalar
    uneven: Scalar
    vector: Scalar
    launch: Scalar
    on_array: Scalar
    prompt: Attention | None = None


def stage(ctx: Context, mapping: Mapping, attention: Attention, on_array: Scalar = 1.0) -> Stage:
    """The layers of one chip of a mapping, laid out for any number of tokens."""
    chip, model, tp, rate = ctx.machine, ctx.model, mapping.tp, ctx.other_rate
    # the fullest stage sets the pace of all
    fullest = ceil(model.layers / mapping.pp) / model.layers
    sparse = expert_layers(model) * fullest
    plain = model.layers * fullest - sparse
    held = parameters_held(chip, model, mapping)
    bytes_held = weights_held(held, ctx.weight_bytes, ctx.other_bytes)
    soft = ctx.software
    room = ratio(soft.resident * chip.sram, bytes_held)
    # rows gathered, each expert's own part-filled tiles: less than large products attain
    slower = ratio(soft.matrix, declared(soft.experts, soft.matrix))
    shared_width = ceil(model.shared_experts * model.expert_ffn / tp)

    at = Stage(
        mapping=mapping,
        projections=projections(chip, model, tp, rate),
        dense=feed_forward(chip, model, ffn_width(model, tp), rate),
        shared=feed_forward(chip, model, shared_width, rate),
        expert=feed_forward(chip, model, expert_width(model, mapping), ctx.rate),
        head=head(chip, model, tp, rate),
        attention=attention,
        reduce=all_reduce(ctx.network, chip, tp),
        exchange=all_to_all(ctx.network, mapping.ep),
        handover=neighbour(ctx.network, mapping.group),
        dense_layers=plain,
        sparse_layers=sparse,
        resident=jnp.minimum(room, 1.0),
        held_experts=experts_held(model, mapping),
        uneven=slower * jnp.where(mapping.ep > 1.0, soft.imbalance, 1.0),
        vector=_vector(model, mapping, plain, sparse),
        launch=0.0 * plain,
        on_array=jnp.asarray(on_array),
    )
    return at._replace(launch=_operators(at) * (ctx.software.launch + chip.skew))


def _vector(model: LanguageModel, mapping: Mapping, plain: Scalar, sparse: Scalar) -> Scalar:
    """Elementwise operations of one token in all layers of a chip."""
    width = (model.experts_per_token + model.shared_experts) * model.expert_ffn
    dense = vector_operations(model, mapping.tp, ffn_width(model, mapping.tp))
    return plain * dense + sparse * vector_operations(model, mapping.tp, width / mapping.tp)


def _operators(at: Stage) -> Scalar:
    """Launches of one pass: of attention, a norm and what stands beside them three a layer."""
    sparse, plain = at.sparse_layers, at.dense_layers
    each = (plain + sparse) * (at.projections.operators + 3.0) + plain * at.dense.operators
    each = each + sparse * (at.shared.operators + at.expert.operators + 1.0)
    # the output projection stands on one stage; shared out so that stages stay balanced
    return each + 1.0 / at.mapping.pp


class Step(NamedTuple):
    """One pass of `tokens` tokens of `sequences` sequences through one stage."""

    times: Times
    spans: list[tuple[Scalar, Span]]
    activity: Activity


def _weights(ctx: Context, at: Stage, work: Work, tokens: Scalar, size: Scalar) -> Span:
    """Matrix work whose weights, of `size` bytes each, come from memory."""
    held = size * (1.0 - at.resident)
    result = bytes_of(RESULT_BYTES)
    moved = product_bytes(ctx.machine, work, tokens, held, ctx.activation_bytes, result)
    seconds = product_time(ctx.machine, work, tokens)
    return Span(seconds, 0.0 * tokens, moved * (1.0 / ctx.machine.bandwidth))


def _experts(ctx: Context, at: Stage, tokens: Scalar) -> tuple[Span, Scalar]:
    """Routed experts of one layer, and visits to one chip: only those visited are read."""
    model = ctx.model
    everyone = tokens * at.mapping.shards
    touched = experts_touched(model, everyone)
    experts = at.held_experts * touched
    visits = everyone * model.experts_per_token / jnp.maximum(model.experts, 1.0)
    rows = visits / jnp.maximum(touched, TINY)
    span = _weights(ctx, at, at.expert, rows, ctx.weight_bytes)
    load = Span(span.matrix * at.uneven, span.vector, span.memory)
    return Span(*(experts * value for value in load)), at.held_experts * visits


def _attend(ctx: Context, attention: Attention, sequences: Scalar, on_array: Scalar) -> Span:
    """Attention of `sequences` sequences in one layer."""
    chip = ctx.machine
    arrays, softmax = attention_time(chip, attention, sequences)
    by_vector = ratio(sequences * attention.flops, chip.vector)
    return Span(
        matrix=on_array * arrays,
        vector=softmax + (1.0 - on_array) * by_vector,
        memory=sequences * (attention.moved * ctx.cache_bytes / chip.bandwidth),
    )


def step(
    ctx: Context,
    at: Stage,
    tokens: Scalar,
    sequences: Scalar,
    answers: Scalar,
    prompts: Scalar | None = None,
) -> Step:
    """Time and traffic of one pass through one stage.

    `tokens` of `sequences` sequences enter each shard; `answers` of them ask for the output
    projection: the last of each sequence. `tokens` hold those of `prompts` whole prompts too,
    whose attention is `at.prompt`.
    """
    sparse, plain = at.sparse_layers, at.dense_layers
    layers, last = plain + sparse, 1.0 / at.mapping.pp
    routed, visits = _experts(ctx, at, tokens)
    size = ctx.other_bytes
    elementwise = tokens * ratio(at.vector, ctx.machine.vector)
    spans = {
        "projections": (layers, _weights(ctx, at, at.projections, tokens, size)),
        "attention": (layers, _attend(ctx, at.attention, sequences, at.on_array)),
        "dense": (plain, _weights(ctx, at, at.dense, tokens, size)),
        "shared": (sparse, _weights(ctx, at, at.shared, tokens, size)),
        "experts": (sparse, routed),
        "head": (last, _weights(ctx, at, at.head, answers, size)),
        "vector": (1.0, Span(0.0 * elementwise, elementwise, 0.0 * elementwise)),
    }
    if at.prompt is not None and prompts is not None:
        spans["prompts"] = (layers, _attend(ctx, at.prompt, prompts, 1.0))
    seconds = {name: count * span.time for name, (count, span) in spans.items()}
    links, sent = _links(ctx, at, tokens)
    times = Times(
        projections=seconds["projections"],
        attention=seconds["attention"] + seconds.get("prompts", 0.0),
        feed_forward=seconds["dense"] + seconds["shared"],
        experts=seconds["experts"],
        head=seconds["head"],
        vector=seconds["vector"],
        collectives=links[0],
        pipeline=links[1],
        launch=at.launch,
    )
    products = layers * at.projections.parameters + plain * at.dense.parameters
    products = tokens * (products + sparse * at.shared.parameters)
    products = products + sparse * visits * at.expert.parameters
    products = products + last * answers * at.head.parameters
    flops, scalar = sequences * at.attention.flops, sequences * at.attention.exponentials
    if at.prompt is not None and prompts is not None:
        flops = flops + prompts * at.prompt.flops
        scalar = scalar + prompts * at.prompt.exponentials
    memory = sum(count * span.memory for count, span in spans.values()) * ctx.machine.bandwidth
    activity = Activity(
        flops=2.0 * products + layers * flops,
        vector=tokens * at.vector + layers * scalar,
        memory=memory,
        links=sent,
    )
    return Step(times, list(spans.values()), activity)


def _links(ctx: Context, at: Stage, tokens: Scalar) -> tuple[tuple[Scalar, Scalar], Scalar]:
    """Seconds of collectives and of handing over to the next stage; bytes a chip sends."""
    mapping = at.mapping
    message = tokens * ctx.model.hidden * ctx.message_bytes
    reduce = at.reduce.time(message)
    away = jnp.where(mapping.ep > 1.0, 1.0, 0.0)
    routed = message * ctx.model.experts_per_token / mapping.tp
    exchange = 2.0 * away * at.exchange.time(routed)
    # after an exchange of experts the group gathers its tokens: half an all-reduce
    collectives = 2.0 * at.dense_layers * reduce
    collectives = collectives + at.sparse_layers * (reduce * (2.0 - 0.5 * away) + exchange)
    staged = jnp.where(mapping.pp > 1.0, 1.0, 0.0)
    pipeline = staged * at.handover.time(message / mapping.tp)
    share = 2.0 * (mapping.tp - 1.0) / mapping.tp
    layers = at.dense_layers * 2.0 + at.sparse_layers * (2.0 - 0.5 * away)
    sent = layers * share * message + at.sparse_layers * 2.0 * away * routed
    return (collectives, pipeline), sent + staged * message / mapping.tp


def _batch(
    batch: Scalar | None,
    latency: Callable[[Scalar], Scalar],
    limit: Scalar,
    most: Scalar,
    slots: Scalar,
    whole: Scalar,
) -> Scalar:
    """Sequences of one slot: those asked for, or the largest whole number within the limit."""
    if batch is not None:
        return batch / slots
    return rounded(largest(latency, limit, 1.0 / whole + 0.0 * most, most), whole)


def on_array(ctx: Context, mapping: Mapping) -> Scalar:
    """1 where the kernels of decode attention use the arrays, 0 where the vector engines."""
    heads, shared = local_heads(ctx.model, mapping.tp)
    queries = jnp.where(ctx.model.latent.rank > 0.0, heads, heads / shared)
    multiple = queries / ctx.software.decode_group
    return jnp.where(jnp.abs(multiple - jnp.round(multiple)) < 1e-3, 1.0, 0.0)


def decode(ctx: Context, mapping: Mapping, batch: Scalar | None = None) -> Operation:
    """Continuous decoding at steady state; every sequence holds its prompt and half its answer.

    `batch` fixes the sequences in flight over all chips; without it the largest is taken. A
    replica of several stages keeps one micro-batch in each.
    """
    work, copies = ctx.workload, jnp.maximum(replicas(ctx, mapping), 1.0)
    tokens = work.tokens_in + 0.5 * work.tokens_out
    attention = decode_attention(ctx.machine, ctx.model, mapping.tp, tokens, ctx.other_rate)
    at = stage(ctx, mapping, attention, on_array(ctx, mapping))
    slots = copies * mapping.shards * mapping.pp
    held = parameters_held(ctx.machine, ctx.model, mapping)
    weights = weights_held(held, ctx.weight_bytes, ctx.other_bytes)
    cache = cache_of_sequence(ctx.model, mapping, tokens, ctx.cache_bytes) * mapping.pp
    active = working_set(ctx.model, mapping, 1.0, ctx.activation_bytes)
    room = usable(ctx.system.chip)
    capacity = (room - weights) / (cache + active)

    def latency(sequences: Scalar) -> Scalar:
        return (
            mapping.pp * step(ctx, at, sequences, sequences, sequences).times.total
            + ctx.software.host
        )

    most = jnp.minimum(capacity, work.concurrency / slots)
    most = jnp.maximum(most, 1.0 / mapping.pp)
    sequences = _batch(batch, latency, work.tpot, most, slots, mapping.pp)
    done = step(ctx, at, sequences, sequences, sequences)
    tpot = latency(sequences)
    rate = sequences * slots / tpot
    paid = _prefill_share(ctx, rate)
    footprint = Footprint(weights, sequences * cache, sequences * active, 0.0 * rate, 0.0 * rate)
    return operation(ctx, mapping, done, rate * paid, tpot, sequences * slots, footprint)._replace(
        margin_tpot=room_left(tpot, work.tpot),
        useful_flops=rate * paid * model_flops(ctx.model, tokens),
    )


def _prefill_share(ctx: Context, rate: Scalar) -> Scalar:
    """Share of the time that is left to decode where the same chips also run the prefills.

    Prefill is taken at the matrix roofline: 2 N per prompt token and causal attention.
    """
    work = ctx.workload
    per_token = causal_flops(ctx.model, work.tokens_in) * work.tokens_in / work.tokens_out
    chip = ctx.machine
    peak = 2.0 * chip.array_rate * chip.rows * chip.columns * ctx.rate * ctx.chips
    return 1.0 / (1.0 + work.pays_prefill * rate * per_token / peak)


def prefill(ctx: Context, mapping: Mapping, batch: Scalar | None = None) -> Operation:
    """Prompts processed whole, as many at once as memory and the first-token limit allow.

    `batch` fixes the prompts in flight over all chips. Tokens are prompt tokens.
    """
    work, copies = ctx.workload, jnp.maximum(replicas(ctx, mapping), 1.0)
    length = work.tokens_in
    attention = causal_attention(ctx.machine, ctx.model, mapping.tp, length, ctx.other_rate)
    at = stage(ctx, mapping, attention)
    slots = copies * mapping.shards * mapping.pp
    held = parameters_held(ctx.machine, ctx.model, mapping)
    weights = weights_held(held, ctx.weight_bytes, ctx.other_bytes)
    cache = cache_of_sequence(ctx.model, mapping, length, ctx.cache_bytes) * mapping.pp
    active = working_set(ctx.model, mapping, length, ctx.activation_bytes)
    capacity = (usable(ctx.system.chip) - weights) / (cache + active)

    def first(prompts: Scalar) -> Step:
        return step(ctx, at, prompts * length, prompts, prompts)

    def latency(prompts: Scalar) -> Scalar:
        return mapping.pp * first(prompts).times.total + ctx.software.host

    most = jnp.maximum(jnp.minimum(capacity, work.concurrency / slots), 1.0)
    prompts = _batch(batch, latency, work.ttft, most, slots, 1.0 + 0.0 * most)
    ttft = latency(prompts)
    rate = prompts * slots / ttft
    footprint = Footprint(weights, prompts * cache, prompts * active, 0.0 * rate, 0.0 * rate)
    done = first(prompts)
    made = operation(ctx, mapping, done, rate * length, ttft, prompts * slots, footprint)
    return made._replace(
        ttft=ttft,
        margin_ttft=room_left(ttft, work.ttft),
        useful_flops=rate * length * causal_flops(ctx.model, length),
    )


def operation(
    ctx: Context,
    mapping: Mapping,
    done: Step,
    rate: Scalar,
    seconds: Scalar,
    batch: Scalar,
    footprint: Footprint,
) -> Operation:
    """The parts that decode and prefill share; a step visits all stages in turn."""
    stages, host = mapping.pp, ctx.software.host
    times = Times(*(stages * value for value in done.times))
    times = times._replace(launch=times.launch + host)
    links = times.collectives + times.pipeline
    spans = [(stages * count, span) for count, span in done.spans]
    room = usable(ctx.system.chip)
    used = jnp.maximum(replicas(ctx, mapping), 0.0) * mapping.group * mapping.pp / ctx.chips
    return Operation(
        tokens_per_s=rate,
        step=seconds,
        tpot=seconds,
        ttft=seconds,
        unqueued=seconds,
        batch=batch,
        times=times,
        bounds=bounds(spans, links, times.launch),
        # each of the pp micro-batches passes each chip once a step
        activity=Activity(*(stages * value for value in done.activity)),
        footprint=footprint,
        busy=used,
        useful_flops=rate,
        margin_mapping=mapping_margin(ctx, mapping),
        margin_memory=room_left(footprint.total, room),
        margin_tpot=0.0 * rate + 1.0,
        margin_ttft=0.0 * rate + 1.0,
    )
