"""The operators of a transformer layer as one chip of a mapping sees them.

Dense layers, grouped-query and multi-head latent attention (DeepSeek-V2, arXiv:2405.04434), and
routed experts. Counts are per layer and chip; heads that do not divide are padded, key-value heads
repeat beyond their number. A multiply-accumulate is two FLOPs.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from dse.model.guard import Scalar, ratio
from dse.model.roofline import Machine, bytes_of, ceil, depth, drag
from dse.model.roofline import Work as Work
from dse.model.roofline import work as _work
from dse.spec.workload import LanguageModel

VECTOR_PER_HIDDEN = 12.0
"""Vector operations per token and element of the residual stream in a layer: two RMS norms at
four each (square, sum, scale, gain) and two residual additions, plus rotary embedding's two."""

VECTOR_PER_FFN = 6.0
"""Vector operations per element of the gated activation: a sigmoid's share, two products."""

QUERY_BLOCK = 128.0
"""Queries that a core works on at once in causal attention (FlashAttention-2 and -3: 128)."""

EXPOSED = 0.25
"""Share of the softmax that does not run beside the products. An assumption: the first scores of a
block have no products to hide behind (FlashAttention-3, arXiv:2407.08608, overlaps the rest). On
measured A100, H100 and B200 attention 0 is 1.7 points further off with a family left out, and 0.5
as close."""

TAIL = 0.5
"""Of the time of the longest block of queries, what cores wait for it at the end: half, on average
over where it starts. An assumption, near the 0.54 that H100 attention alone would fit."""


class Mapping(NamedTuple):
    """How a model is laid over chips.

    tp: tensor parallel degree; pp: pipeline stages; ep: chips that share the experts (1: experts
    are tensor parallel); micro_batch: sequences of a training micro-batch; recompute: 0 keeps
    activations, 0.5 recomputes what stands between matrix products, 1 each layer (0.75: half of
    the products too); zero: ZeRO stage (0 to 3); cp: chips that share a sequence; virtual: pipeline
    stages of one chip, interleaved;
    sequence_parallel: 1 splits what lies between tensor-parallel products over their group.
    """

    tp: Scalar
    pp: Scalar
    ep: Scalar
    micro_batch: Scalar
    recompute: Scalar
    zero: Scalar
    cp: Scalar = 1.0
    virtual: Scalar = 1.0
    sequence_parallel: Scalar = 1.0

    @property
    def group(self) -> Scalar:
        """Chips of one pipeline stage of one replica."""
        return jnp.maximum(self.tp * self.cp, self.ep)

    @property
    def shards(self) -> Scalar:
        """Attention data parallelism inside a replica: batches that do not share attention."""
        return self.group / (self.tp * self.cp)

    @property
    def spread(self) -> Scalar:
        """Chips of a group that bring different tokens to the experts they share."""
        return jnp.maximum(self.ep / self.tp, 1.0)


class Attention(NamedTuple):
    """Attention of one sequence on one chip and layer, windowed layers averaged in.

    cycles: of one array, were it alone; flops, exponentials: counts; moved: numbers to or from
    memory; longest: the share of `cycles` that one core does at a stretch, and that no other can
    take from it.
    """

    cycles: Scalar
    flops: Scalar
    exponentials: Scalar
    moved: Scalar
    longest: Scalar


def is_latent(model: LanguageModel) -> Scalar:
    """1 for multi-head latent attention, else 0."""
    return jnp.where(model.latent.rank > 0.0, 1.0, 0.0)


def local_heads(model: LanguageModel, tp: Scalar) -> tuple[Scalar, Scalar]:
    """Query heads and key-value heads of one chip."""
    heads = ceil(model.heads / tp)
    return heads, jnp.minimum(ceil(model.key_value_heads / tp), heads)


def projections(chip: Machine, model: LanguageModel, tp: Scalar, rate: Scalar) -> Work:
    """Projections before and after attention; latent attention in its absorbed form."""
    heads, shared = local_heads(model, tp)
    dim, hidden, latent = model.head_dimension, model.hidden, model.latent
    grouped = _work(
        chip,
        rate,
        [(hidden, (heads + 2.0 * shared) * dim, 1.0), (heads * dim, hidden, 1.0)],
    )
    compressed = _work(
        chip,
        rate,
        [
            (hidden, latent.query_rank + latent.rank + latent.rope, 1.0),
            (latent.query_rank, heads * (latent.nope + latent.rope), 1.0),
            (latent.nope, latent.rank, heads),
            (latent.rank, latent.value, heads),
            (heads * latent.value, hidden, 1.0),
        ],
    )
    chosen = is_latent(model)
    return Work(*(g + chosen * (c - g) for g, c in zip(grouped, compressed, strict=True)))


def feed_forward(chip: Machine, model: LanguageModel, width: Scalar, rate: Scalar) -> Work:
    """A feed-forward block of `width` columns on this chip."""
    return _work(
        chip,
        rate,
        [(model.hidden, (1.0 + model.gated) * width, 1.0), (width, model.hidden, 1.0)],
    )


def head(chip: Machine, model: LanguageModel, tp: Scalar, rate: Scalar) -> Work:
    """The output projection onto the vocabulary."""
    return _work(chip, rate, [(model.hidden, ceil(model.vocabulary / tp), 1.0)])


def cached_values(model: LanguageModel, tp: Scalar) -> Scalar:
    """Numbers that one token leaves in the cache of one layer on one chip.

    Latent attention caches one vector for all heads, on every chip of a tensor-parallel group.
    """
    _, shared = local_heads(model, tp)
    grouped = 2.0 * shared * model.head_dimension
    return jnp.where(model.latent.rank > 0.0, model.latent.rank + model.latent.rope, grouped)


def score_dimensions(model: LanguageModel, *, absorbed: bool) -> tuple[Scalar, Scalar]:
    """Dimensions of a head's scores and values: of the cached vector where it is absorbed."""
    latent, dim = model.latent, model.head_dimension
    if absorbed:
        score, value = latent.rank + latent.rope, latent.rank
    else:
        score, value = latent.nope + latent.rope, latent.value
    chosen = latent.rank > 0.0
    return jnp.where(chosen, score, dim), jnp.where(chosen, value, dim)


def reach(model: LanguageModel, context: Scalar) -> Scalar:
    """Tokens that a query at `context` sees, mean over layers: its window's in windowed ones."""
    beyond = jnp.where(model.window > 0.0, jnp.maximum(context - model.window, 0.0), 0.0)
    return context - model.windowed_layers / model.layers * beyond


def causal_pairs(model: LanguageModel, length: Scalar, block: Scalar = 1.0) -> Scalar:
    """Query-key pairs of a sequence and head, mean over layers, worked on in blocks of queries.

    Without a window length (length + block) / 2: the block on the diagonal is worked on whole.
    What lies more than a window back is left out: (length - window)^2 / 2 pairs.
    """
    pairs = 0.5 * length * (length + block)
    back = jnp.maximum(length - model.window - block + 1.0, 0.0)
    beyond = jnp.where(model.window > 0.0, back, 0.0)
    return pairs - model.windowed_layers / model.layers * 0.5 * beyond * (beyond + block)


def decode_attention(
    chip: Machine, model: LanguageModel, tp: Scalar, context: Scalar, rate: Scalar
) -> Attention:
    """One query token against `context` cached tokens, or those in its window.

    The array holds either the queries of the heads that share a key, and the keys stream, or the
    keys, and the few queries stream: the quicker way is taken. Small groups of queries leave much
    of a wide array idle either way. Kernels split the keys over cores: none is the longest.
    """
    heads, shared = local_heads(model, tp)
    shared = jnp.where(model.latent.rank > 0.0, 1.0, shared)
    score, value = score_dimensions(model, absorbed=True)
    seen = reach(model, context)
    queries = heads / shared
    queries_held = seen * ceil(queries / chip.columns)
    keys_held = seen / chip.columns * jnp.maximum(queries, chip.fill)
    deep = sum(slow * deep for slow, deep in (depth(chip, k, rate) for k in (score, value)))
    return Attention(
        cycles=shared * deep * jnp.minimum(queries_held, keys_held),
        flops=2.0 * seen * heads * (score + value),
        exponentials=seen * heads,
        moved=seen * cached_values(model, tp),
        longest=0.0 * seen,
    )


def causal_attention(
    chip: Machine, model: LanguageModel, tp: Scalar, length: Scalar, rate: Scalar
) -> Attention:
    """All tokens of a sequence of `length` against those before them, scores kept on chip.

    Queries, keys, values and outputs move once. Beyond what SRAM holds of queries, keys and values
    come again for each part of them: the N^2 d^2 / M of FlashAttention (Dao et al. 2022,
    arXiv:2205.14135, theorem 2), with BF16 queries and outputs in half of a core's SRAM.
    """
    heads, shared = local_heads(model, tp)
    score, value = score_dimensions(model, absorbed=False)
    # no block is longer than the sequence
    block = jnp.minimum(length, QUERY_BLOCK)
    pairs = causal_pairs(model, length)
    worked = causal_pairs(model, length, block)
    slow, deep = depth(chip, score, rate)
    # the contraction of the values is along the keys
    wide = drag(chip, rate) * ceil(value / chip.columns) / (chip.rows * rate)
    held = jnp.maximum(chip.tile / (bytes_of(4.0) * (score + value)), 1.0)
    again = jnp.where(chip.tile > 0.0, heads / shared * pairs / held, 0.0)
    keys = shared * jnp.maximum(length, again)
    return Attention(
        cycles=worked * heads * (slow * deep / chip.columns + wide),
        flops=2.0 * pairs * heads * (score + value),
        exponentials=worked * heads,
        moved=(length * heads + keys) * (score + value),
        longest=block * reach(model, length) / (worked * heads),
    )


def attention_time(chip: Machine, attention: Attention, sequences: Scalar) -> tuple[Scalar, Scalar]:
    """Seconds of `sequences` sequences on the arrays and on the vector engines.

    Arrays wait for EXPOSED of the softmax, and at the end for the core with the longest block:
    TAIL of it, and never less than the whole of it.
    """
    cycles = attention.cycles / (chip.array_rate * chip.attention)
    softmax = ratio(attention.exponentials, chip.exponentials)
    each = cycles + EXPOSED * softmax
    # of a part of a sequence, a part
    longest = attention.longest * each * chip.cores * jnp.minimum(sequences, 1.0)
    arrays = jnp.maximum(sequences * each + TAIL * longest, longest)
    return arrays, sequences * softmax


def vector_operations(model: LanguageModel, tp: Scalar, width: Scalar) -> Scalar:
    """Elementwise operations of one token in one layer, `width` FFN columns on this chip."""
    return VECTOR_PER_HIDDEN * model.hidden / tp + VECTOR_PER_FFN * width


def expert_layers(model: LanguageModel) -> Scalar:
    """Layers with routed experts."""
    return jnp.where(model.experts > 0.0, model.layers - model.dense_layers, 0.0)


def experts_touched(model: LanguageModel, tokens: Scalar) -> Scalar:
    """Share of the experts that `tokens` visit at least once under uniform routing.

    1 - (1 - k/E)^T: each token draws k of E experts.
    """
    experts = jnp.maximum(model.experts, 1.0)
    share = jnp.clip(model.experts_per_token / experts, 0.0, 1.0 - 1e-6)
    return -jnp.expm1(tokens * jnp.log1p(-share))


def attention_parameters(model: LanguageModel) -> Scalar:
    """Attention parameters of one layer."""
    latent, dim, hidden = model.latent, model.head_dimension, model.hidden
    grouped = hidden * dim * (2.0 * model.heads + 2.0 * model.key_value_heads)
    compressed = (
        hidden * (latent.query_rank + latent.rank + latent.rope)
        + latent.query_rank * model.heads * (latent.nope + latent.rope)
        + latent.rank * model.heads * (latent.nope + latent.value)
        + model.heads * latent.value * hidden
    )
    return jnp.where(latent.rank > 0.0, compressed, grouped)


def parameters(model: LanguageModel, experts: Scalar) -> Scalar:
    """Parameters with `experts` routed experts counted in a layer; norms and biases are not.

    `experts` = model.experts gives the whole model, experts_per_token what a token visits.
    """
    matrices = 2.0 + model.gated
    sparse = expert_layers(model)
    dense = (model.layers - sparse) * matrices * model.hidden * model.ffn
    each = matrices * model.hidden * model.expert_ffn
    router = model.hidden * model.experts
    routed = sparse * (each * (experts + model.shared_experts) + router)
    embeddings = (2.0 - model.tied) * model.vocabulary * model.hidden
    return model.layers * attention_parameters(model) + dense + routed + embeddings


def model_flops(model: LanguageModel, context: Scalar) -> Scalar:
    """FLOPs of one token's forward pass against `context` tokens: 2 N active + attention.

    The embedding look-up multiplies nothing; the output projection does (PaLM, arXiv:2204.02311,
    appendix B). Windowed layers see their window only.
    """
    return _flops(model, reach(model, context))


def causal_flops(model: LanguageModel, length: Scalar) -> Scalar:
    """FLOPs of a token's forward pass, mean over a sequence of `length`."""
    return _flops(model, causal_pairs(model, length) / length)


def _flops(model: LanguageModel, seen: Scalar) -> Scalar:
    score, value = score_dimensions(model, absorbed=False)
    active = parameters(model, model.experts_per_token)
    active = active - (1.0 - model.tied) * model.vocabulary * model.hidden
    return 2.0 * active + 2.0 * model.layers * model.heads * seen * (score + value)
