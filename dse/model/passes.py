"""One training micro-batch through one pipeline stage: its time by operator, its traffic.

Matrix work runs once forward and twice backward (gradients to inputs and to weights), attention as
its kernel does, elementwise work at memory bandwidth. What is recomputed runs forward once more:
everything, or only what stands between matrix products (selective: Korthikanti et al. 2022,
arXiv:2205.05198, section 5).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from dse.model.collectives import all_gather, all_reduce, all_to_all, neighbour, spread
from dse.model.footprint import expert_width, experts_held, ffn_width, local_width, recomputed
from dse.model.guard import Scalar, declared, ratio
from dse.model.operation import TINY, Activity, Context, Span, Times
from dse.model.roofline import Work, bytes_of, ceil, product_bytes, product_time
from dse.model.transformer import (
    Mapping,
    causal_pairs,
    expert_layers,
    feed_forward,
    head,
    local_heads,
    projections,
    score_dimensions,
    vector_operations,
)

BACKWARD = 2.0
"""Backward over forward matrix work: gradients to inputs and weights (PaLM, arXiv:2204.02311)."""

FLASH_BACKWARD = 2.5
"""Backward over forward of fused attention: five products, scores again, against two (Dao 2023,
arXiv:2307.08691, section 2.3.2)."""

HALF = 2.0
"""Bytes of a number between operators: BF16 or FP16 also where products run in FP8 or FP4."""

SCORE_BYTES = (11.0, 9.0)
"""Bytes that unfused attention moves for one score, forward and backward. Forward: scores written
and read by the softmax (4), its result read by dropout (4) and written (1 of mask), the product
reads it (2); backward: gradients of dropout (5) and of the softmax (6, its result read again),
less what its product keeps on chip (2). Korthikanti et al. 2022, section 4.1, has the tensors."""

NORM_MOVED = (10.0, 15.0)
"""Numbers moved for one element of the residual stream in a layer, forward and backward: two norms
that read and write, two additions that read twice and write (4 + 6); backward each norm reads
gradient and input and writes (6), each addition and its norm's gradient meet (9)."""

GATE_MOVED = (2.0, 3.0)
"""Numbers moved for one element of the activation, forward and backward, without a gate: read and
write; read gradient and input and write. A gate's adds one and two more."""

ROUTED_MOVED = 4.0
"""Numbers moved for one element of a token and expert it visits, in each direction: read and
written on the way to the expert, read and written (as a weighted sum) on the way back."""

KERNELS = 5.0
"""Operators of a layer in one direction that start one after the other, a fused stack's: norm and
projection, attention, projection, norm and up, down."""

USUAL_HEAD = 128.0
"""Head dimension at which a score costs the exponential engines one slot."""

LOGIT_BYTES = 18.0
"""Bytes moved for one logit: written in BF16, cast to FP32, read by maximum and sum of the
softmax, gradient written in BF16 and read by the products."""


class Pass(NamedTuple):
    """One micro-batch through one stage, forward and backward and again.

    times: seconds by group, without data parallelism; tensor and handover: seconds of collectives
    inside the stage and of messages between stages; head: seconds of the output projection, which
    only the last stage has; spans: (count, span) of operators; activity: of one chip.
    """

    times: Times
    tensor: Scalar
    handover: Scalar
    head: Scalar
    spans: list[tuple[Scalar, Span]]
    activity: Activity


class Passes(NamedTuple):
    """How often operators run: matrix products, those of the feed-forward block, attention's,
    elementwise work, collectives."""

    matrix: Scalar
    feed_forward: Scalar
    attention: Scalar
    elementwise: Scalar
    collectives: Scalar


def passes(ctx: Context, mapping: Mapping) -> Passes:
    """In units of the forward pass; frozen weights have no gradients."""
    whole, between = recomputed(mapping)
    fused = ctx.software.fused
    again = fused * whole + (1.0 - fused) * between
    # what ends a layer that is recomputed whole: the last of two or three products, and the
    # reduction of its sums (with sequence parallelism one of four halves of an all-reduce)
    ends = ctx.software.early_stop * jnp.maximum(2.0 * whole - 1.0, 0.0)
    last = ends / (2.0 + ctx.model.gated)
    matrix = 1.0 + BACKWARD - ctx.workload.frozen + whole
    return Passes(
        matrix=matrix,
        feed_forward=matrix - last,
        attention=1.0 + _backward(ctx) + again,
        elementwise=1.0 + between,
        collectives=2.0 + whole - ends * (0.5 - 0.25 * mapping.sequence_parallel),
    )


class Product(NamedTuple):
    """Matrix products of one layer in one direction: span, bytes, multiply-accumulates."""

    span: Span
    moved: Scalar
    products: Scalar


def _product(ctx: Context, work: Work, tokens: Scalar) -> Product:
    """Products of `tokens` rows with weights from memory."""
    operand = jnp.minimum(ctx.activation_bytes, bytes_of(HALF))
    moved = product_bytes(ctx.machine, work, tokens, ctx.weight_bytes, operand, bytes_of(HALF))
    seconds = product_time(ctx.machine, work, tokens)
    span = Span(seconds, 0.0 * tokens, moved / ctx.machine.bandwidth)
    return Product(span, moved, work.parameters * tokens)


def _pairs(ctx: Context, mapping: Mapping) -> Scalar:
    """Pairs of query and key that one head of one chip computes for one sequence.

    Fused kernels skip what lies beyond the diagonal and the window; unfused ones compute all.
    """
    length = ctx.workload.tokens_in
    skipped = causal_pairs(ctx.model, length)
    fused = ctx.software.fused
    return (fused * skipped + (1.0 - fused) * length * length) / mapping.cp


class Core(NamedTuple):
    """Attention between its projections, one layer and direction."""

    span: Span
    moved: Scalar
    flops: Scalar
    scores: Scalar


def _core(ctx: Context, mapping: Mapping) -> tuple[Core, Core]:
    """Attention of a micro-batch in one layer, forward and backward. It runs in BF16 at most."""
    chip, model, soft = ctx.machine, ctx.model, ctx.software
    heads, shared = local_heads(model, mapping.tp)
    score, value = score_dimensions(model, absorbed=False)
    rate = jnp.minimum(ctx.rate, chip.rates[1])
    pairs = mapping.micro_batch * _pairs(ctx, mapping) * heads
    deep = ceil(score / (chip.rows * rate)) * chip.rows * rate
    wide = ceil(value / chip.columns) * chip.columns
    cells = chip.rows * chip.columns * rate
    started = cells * chip.arrays / chip.cores
    limit = declared(soft.attention_cells, started)
    cells = cells * jnp.minimum(limit / started, 1.0)
    arrays = pairs * (deep + wide) / (cells * chip.array_rate * chip.attention)
    own = chip.attention * soft.matrix
    slower = jnp.where(soft.attention_backward > 0.0, own, 1.0)
    slower = slower / declared(soft.attention_backward, 1.0)
    # half of what these engines do beside the exponential goes with the head's dimension:
    # operands loaded, accumulators scaled
    special = pairs * (0.5 + (score + value) / (4.0 * USUAL_HEAD))
    softmax = ratio(special, chip.exponentials)
    fused, more = soft.fused, _backward(ctx)
    tokens = mapping.micro_batch * ctx.workload.tokens_in / mapping.cp
    streams = tokens * (heads + shared) * (score + value) * bytes_of(HALF)
    ahead = streams + (1.0 - fused) * pairs * bytes_of(SCORE_BYTES[0])
    back = 2.0 * streams + (1.0 - fused) * pairs * bytes_of(SCORE_BYTES[1])
    flops = 2.0 * pairs * (score + value)
    return (
        Core(_serial(ctx, arrays, softmax, ahead), ahead, flops, pairs),
        Core(
            _serial(ctx, more * slower * arrays, fused * softmax, back), back, more * flops, pairs
        ),
    )


def _backward(ctx: Context) -> Scalar:
    """FLOPs of attention's backward pass over its forward pass."""
    return BACKWARD + ctx.software.fused * (FLASH_BACKWARD - BACKWARD)


def _serial(ctx: Context, arrays: Scalar, softmax: Scalar, moved: Scalar) -> Span:
    """An attention kernel: products and softmax in turn, or memory if that takes longer.

    Unfused attention is three kernels one after the other, its scores in memory.
    """
    busy, memory = arrays + softmax, moved / ctx.machine.bandwidth
    unfused = 1.0 - ctx.software.fused
    return Span(busy, softmax, memory + unfused * busy)


class Stream(NamedTuple):
    """Elementwise work of a stage: span, bytes and vector operations, all passes together."""

    span: Span
    moved: Scalar
    operations: Scalar


def _elementwise(
    ctx: Context, mapping: Mapping, tokens: Scalar, layers: Scalar, ahead: Scalar
) -> Stream:
    """Elementwise operators of `layers` layers, `ahead` times forward and once backward.

    Without sequence parallelism every chip of a tensor-parallel group works on whole vectors.
    """
    model, tp = ctx.model, mapping.tp
    split = 1.0 + mapping.sequence_parallel * (tp - 1.0)
    stream = tokens * model.hidden / split * bytes_of(HALF)
    width = local_width(model, mapping)
    gate = tokens * width * bytes_of(HALF)
    visits = expert_layers(model) / model.layers * model.experts_per_token
    routed = ROUTED_MOVED * visits * tokens * model.hidden / tp * bytes_of(HALF)
    forward = stream * NORM_MOVED[0] + gate * (GATE_MOVED[0] + model.gated) + routed
    backward = stream * NORM_MOVED[1] + gate * (GATE_MOVED[1] + 2.0 * model.gated) + routed
    moved = layers * (forward * ahead + backward)
    operations = (2.0 + ahead) * tokens * layers * vector_operations(model, tp, width)
    seconds = ratio(operations, ctx.machine.vector)
    span = Span(0.0 * moved, seconds, moved / ctx.machine.bandwidth)
    return Stream(span, moved, operations)


class Body(NamedTuple):
    """Matrix products of one layer in one direction, by block."""

    projections: Product
    dense: Product
    shared: Product
    routed: Product


def _body(ctx: Context, mapping: Mapping, tokens: Scalar) -> Body:
    chip, model, tp, rate = ctx.machine, ctx.model, mapping.tp, ctx.rate
    width = ceil(model.shared_experts * model.expert_ffn / tp)
    return Body(
        projections=_product(ctx, projections(chip, model, tp, rate), tokens),
        dense=_product(ctx, feed_forward(chip, model, ffn_width(model, tp), rate), tokens),
        shared=_product(ctx, feed_forward(chip, model, width, rate), tokens),
        routed=_experts(ctx, mapping, tokens),
    )


def _experts(ctx: Context, mapping: Mapping, tokens: Scalar) -> Product:
    """Routed experts of one layer, all of which a training micro-batch visits."""
    model = ctx.model
    everyone = tokens * mapping.spread
    held = experts_held(model, mapping)
    each = everyone * model.experts_per_token / jnp.maximum(model.experts, 1.0)
    work = feed_forward(ctx.machine, model, expert_width(model, mapping), ctx.rate)
    one = _product(ctx, work, jnp.maximum(each, TINY))
    uneven = jnp.where(mapping.ep > 1.0, ctx.software.imbalance, 1.0)
    load = Span(held * uneven * one.span.matrix, held * one.span.vector, held * one.span.memory)
    return Product(load, held * one.moved, held * one.products)


def _output(ctx: Context, mapping: Mapping, tokens: Scalar) -> Product:
    """The output projection, in BF16 at most, and the softmax after it: all three passes."""
    chip, model = ctx.machine, ctx.model
    rate = jnp.minimum(ctx.rate, chip.rates[1])
    one = _product(ctx, head(chip, model, mapping.tp, rate), tokens)
    logits = tokens * ceil(model.vocabulary / mapping.tp) * bytes_of(LOGIT_BYTES)
    runs = 1.0 + BACKWARD
    moved = runs * one.moved + logits
    # the softmax is a kernel of its own: its time stands beside the longest of the products'
    seconds = runs * one.span.time + logits / chip.bandwidth
    return Product(Span(seconds, 0.0 * seconds, 0.0 * seconds), moved, runs * one.products)


def micro_batch(ctx: Context, mapping: Mapping) -> Pass:
    """One micro-batch through the fullest stage, forward and backward."""
    model = ctx.model
    runs = passes(ctx, mapping)
    tokens = mapping.micro_batch * ctx.workload.tokens_in / mapping.cp
    full = ceil(model.layers / mapping.pp)
    sparse = expert_layers(model) * full / model.layers
    plain = full - sparse
    body = _body(ctx, mapping, tokens)
    block_runs = runs.feed_forward
    counts = [runs.matrix * full, *(block_runs * n for n in (plain, sparse, sparse))]
    ahead, back = _core(ctx, mapping)
    attended = [(full * (runs.attention - _backward(ctx)), ahead), (full, back)]
    stream = _elementwise(ctx, mapping, tokens, full, runs.elementwise)
    output = _output(ctx, mapping, tokens)
    tensor, handover, sent = _links(ctx, mapping, tokens, plain, sparse)
    kernels = full * (runs.matrix + runs.attention) * KERNELS
    project, block, side, routed = (
        n * each.span.time for n, each in zip(counts, body, strict=True)
    )
    none = 0.0 * tokens
    times = Times(
        projections=project,
        attention=jnp.asarray(sum(n * each.span.time for n, each in attended)),
        feed_forward=block + side,
        experts=routed,
        head=none,
        vector=stream.span.time,
        collectives=none,
        pipeline=none,
        launch=kernels * (ctx.software.launch + ctx.machine.skew),
    )
    spans = [(n, each.span) for n, each in zip(counts, body, strict=True)]
    spans += [(n, each.span) for n, each in attended] + [(1.0 + none, stream.span)]
    products = sum(n * each.products for n, each in zip(counts, body, strict=True))
    moved = sum(n * each.moved for n, each in zip(counts, body, strict=True))
    share = 1.0 / mapping.pp
    activity = Activity(
        flops=2.0 * (products + share * output.products) + sum(n * c.flops for n, c in attended),
        vector=stream.operations + sum(n * c.scores for n, c in attended),
        memory=moved + stream.moved + share * output.moved + sum(n * c.moved for n, c in attended),
        links=sent,
    )
    return Pass(times, tensor, handover, output.span.time, spans, activity)


def _links(
    ctx: Context, mapping: Mapping, tokens: Scalar, plain: Scalar, sparse: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    """Seconds of tensor, context and expert parallelism, and of stages; bytes a chip sends.

    Two all-reduces a layer and direction (Shoeybi et al. 2019, arXiv:1909.08053); sequence
    parallelism splits each into a reduce-scatter and an all-gather of the same bytes.
    """
    model, tp = ctx.model, mapping.tp
    runs = passes(ctx, mapping)
    message = tokens * model.hidden * ctx.message_bytes
    reduce = all_reduce(ctx.network, ctx.machine, tp).time(message)
    away = jnp.where(mapping.ep > 1.0, 1.0, 0.0)
    routed = message * model.experts_per_token / tp
    exchange = 2.0 * away * all_to_all(ctx.network, mapping.ep).time(routed)
    context, keys = _ring(ctx, mapping)
    one_way = 2.0 * plain * reduce + sparse * (reduce * (2.0 - away) + exchange)
    rings = (plain + sparse) * (3.0 + recomputed(mapping)[0])
    seconds = runs.collectives * one_way + rings * context
    staged = jnp.where(mapping.pp > 1.0, 2.0, 0.0) * mapping.virtual
    # each chip of a tensor-parallel group sends its own part; without sequence parallelism the
    # next stage's chips then gather the whole (Narayanan et al. 2021, arXiv:2104.04473, 4.1)
    part = message / tp
    gathered = all_gather(ctx.network, ctx.machine, tp).time(message)
    whole = jnp.where(tp > 1.0, (1.0 - mapping.sequence_parallel) * gathered, 0.0)
    handover = staged * (neighbour(ctx.network, mapping.group).time(part) + whole)
    share = 2.0 * (tp - 1.0) / tp
    reduced = 2.0 * plain + sparse * (2.0 - away)
    sent = runs.collectives * (reduced * share * message + sparse * 2.0 * away * routed)
    return seconds, handover, sent + rings * keys + staged * part


def _ring(ctx: Context, mapping: Mapping) -> tuple[Scalar, Scalar]:
    """Seconds and bytes that a chip sends to pass keys and values round a context-parallel ring
    (Liu et al. 2023, arXiv:2310.01889); backward their gradients travel too."""
    model = ctx.model
    _, shared = local_heads(model, mapping.tp)
    score, value = score_dimensions(model, absorbed=False)
    tokens = mapping.micro_batch * ctx.workload.tokens_in
    size = tokens * shared * (score + value) * ctx.message_bytes
    chip = ctx.machine._replace(dies=ctx.machine.dies * 0.0 + 1.0)
    cost = all_gather(spread(ctx.network, mapping.tp), chip, mapping.cp)
    sent = size * (mapping.cp - 1.0) / mapping.cp
    return jnp.where(mapping.cp > 1.0, cost.time(size), 0.0), sent
