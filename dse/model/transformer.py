"""The operators of a transformer layer as one chip of a mapping sees them.

Dense layers, grouped-query and multi-head latent attention (DeepSeek-V2, arXiv:2405.04434), and
routed experts. Counts are per layer and chip; heads that do not divide are padded, key-value heads
repeat beyond their number. A multiply-accumulate is two FLOPs.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from dse.model.guard import Scalar
from dse.model.roofline import Machine, ceil, tiles
from dse.spec.workload import LanguageModel

VECTOR_PER_HIDDEN = 12.0
"""Vector operations per token and element of the residual stream in a layer: two RMS norms at
four each (square, sum, scale, gain) and two residual additions, plus rotary embedding's two."""

VECTOR_PER_FFN = 6.0
"""Vector operations per element of the gated activation: a sigmoid's share, two products."""


class Mapping(NamedTuple):
    """How a model is laid over chips.

    tp: tensor parallel degree; pp: pipeline stages; ep: chips that share the experts (1: experts
    are tensor parallel); micro_batch: sequences of a training micro-batch; recompute: 0 keeps
    activations, 1 recomputes each layer; zero: ZeRO stage (1 or 3).
    """

    tp: Scalar
    pp: Scalar
    ep: Scalar
    micro_batch: Scalar
    recompute: Scalar
    zero: Scalar

    @property
    def group(self) -> Scalar:
        """Chips of one pipeline stage of one replica."""
        return jnp.maximum(self.tp, self.ep)

    @property
    def shards(self) -> Scalar:
        """Attention data parallelism inside a replica: batches that do not share attention."""
        return self.group / self.tp


class Work(NamedTuple):
    """Matrix work with stationary weights: array tiles, parameters and operators of one layer."""

    tiles: Scalar
    parameters: Scalar
    operators: Scalar


class Attention(NamedTuple):
    """Attention of one sequence on one chip and layer; `moved` are numbers to or from memory."""

    cycles: Scalar
    flops: Scalar
    exponentials: Scalar
    moved: Scalar


def _work(chip: Machine, rate: Scalar, shapes: list[tuple[Scalar, Scalar, Scalar]]) -> Work:
    """Work of products with stationary operands [k, n], each `copies` times."""
    return Work(
        tiles=sum(copies * tiles(chip, k, n, rate) for k, n, copies in shapes),
        parameters=sum(copies * k * n for k, n, copies in shapes),
        operators=float(len(shapes)),
    )


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


def decode_attention(
    chip: Machine, model: LanguageModel, tp: Scalar, context: Scalar, rate: Scalar
) -> Attention:
    """One query token against `context` cached tokens.

    The array holds either the queries of the heads that share a key, and the keys stream, or the
    keys, and the few queries stream: the quicker way is taken. Small groups of queries leave much
    of a wide array idle either way.
    """
    heads, shared = local_heads(model, tp)
    shared = jnp.where(model.latent.rank > 0.0, 1.0, shared)
    score, value = score_dimensions(model, absorbed=True)
    queries = heads / shared
    queries_held = context * ceil(queries / chip.columns)
    keys_held = context / chip.columns * jnp.maximum(queries, chip.fill)
    deep = ceil(score / (chip.rows * rate)) + ceil(value / (chip.rows * rate))
    return Attention(
        cycles=shared * deep * jnp.minimum(queries_held, keys_held),
        flops=2.0 * context * heads * (score + value),
        exponentials=context * heads,
        moved=context * cached_values(model, tp),
    )


def causal_attention(
    chip: Machine, model: LanguageModel, tp: Scalar, length: Scalar, rate: Scalar
) -> Attention:
    """All tokens of a sequence of `length` against those before them, scores kept on chip.

    The traffic is that of FlashAttention (Dao et al. 2022, arXiv:2205.14135) with large blocks:
    queries, keys, values and outputs once.
    """
    heads, shared = local_heads(model, tp)
    score, value = score_dimensions(model, absorbed=False)
    pairs = 0.5 * length * (length + 1.0)
    deep = ceil(score / (chip.rows * rate)) * chip.rows * rate
    wide = ceil(value / chip.columns) * chip.columns
    flops = 2.0 * pairs * heads
    cells = chip.rows * chip.columns * rate
    return Attention(
        cycles=pairs * heads * (deep + wide) / cells,
        flops=flops * (score + value),
        exponentials=pairs * heads,
        moved=length * (heads * (score + value) + shared * (score + value)),
    )


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
    appendix B).
    """
    score, value = score_dimensions(model, absorbed=False)
    active = parameters(model, model.experts_per_token)
    active = active - (1.0 - model.tied) * model.vocabulary * model.hidden
    return 2.0 * active + 2.0 * model.layers * model.heads * context * (score + value)
