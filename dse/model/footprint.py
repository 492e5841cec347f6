"""What a mapping keeps in a chip's memory: weights, cache, activations, optimiser state."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from dse.model.guard import Scalar
from dse.model.roofline import Machine, ceil
from dse.model.transformer import (
    Mapping,
    cached_values,
    expert_layers,
    feed_forward,
    local_heads,
    projections,
    reach,
)
from dse.spec.chip import Chip
from dse.spec.workload import LanguageModel


class Parameters(NamedTuple):
    """Parameters on one chip: attention and shared blocks, routed experts, embeddings."""

    shared: Scalar
    experts: Scalar
    embeddings: Scalar

    @property
    def total(self) -> Scalar:
        """All parameters on the chip."""
        return self.shared + self.experts + self.embeddings


class Footprint(NamedTuple):
    """Bytes in one chip's memory."""

    weights: Scalar
    key_values: Scalar
    activations: Scalar
    gradients: Scalar
    optimiser: Scalar

    @property
    def total(self) -> Scalar:
        """All bytes."""
        return sum(self)  # type: ignore[arg-type]


def weights_held(held: Parameters, experts: Scalar, others: Scalar) -> Scalar:
    """Bytes of parameters: `experts` bytes for each of the routed experts', `others` for the rest.

    Checkpoints in four bits have their experts so, and attention, embeddings and the output
    projection in BF16 (OpenAI gpt-oss model card, 2025: the MoE weights in MXFP4).
    """
    return held.experts * experts + (held.shared + held.embeddings) * others


def usable(chip: Chip) -> Scalar:
    """Bytes of a chip's memory that are left to a workload."""
    return chip.memory.capacity * (1.0 - chip.memory.reserve)


def ffn_width(model: LanguageModel, tp: Scalar) -> Scalar:
    """Columns of the dense feed-forward block on one chip."""
    return ceil(model.ffn / tp)


def expert_width(model: LanguageModel, mapping: Mapping) -> Scalar:
    """Columns of one routed expert on one chip: whole unless more chips than `ep` share it."""
    return ceil(model.expert_ffn * mapping.ep / jnp.maximum(mapping.tp, mapping.ep))


def local_width(model: LanguageModel, mapping: Mapping) -> Scalar:
    """Columns of feed-forward activation of one token and layer on one chip, on average."""
    sparse = expert_layers(model) / model.layers
    visited = (model.experts_per_token + model.shared_experts) * model.expert_ffn
    return (model.ffn * (1.0 - sparse) + sparse * visited) / mapping.tp


def experts_held(model: LanguageModel, mapping: Mapping) -> Scalar:
    """Routed experts, or parts of experts, on one chip."""
    return ceil(model.experts / mapping.ep)


def parameters_held(chip: Machine, model: LanguageModel, mapping: Mapping) -> Parameters:
    """Parameters on the fullest chip: layers are shared out among stages, rounded up."""
    tp = mapping.tp
    matrices = 2.0 + model.gated
    sparse = expert_layers(model) / mapping.pp
    dense = (model.layers - expert_layers(model)) / mapping.pp
    attention = projections(chip, model, tp, 1.0).parameters
    block = feed_forward(chip, model, ffn_width(model, tp), 1.0).parameters
    shared_width = ceil(model.shared_experts * model.expert_ffn / tp)
    side = matrices * model.hidden * shared_width + model.hidden * model.experts
    each = matrices * model.hidden * expert_width(model, mapping)
    layers = ceil(model.layers / mapping.pp) / (model.layers / mapping.pp)
    tables = jnp.where(mapping.pp > 1.0, 1.0, 2.0 - model.tied)
    return Parameters(
        shared=layers * ((sparse + dense) * attention + dense * block + sparse * side),
        experts=layers * sparse * experts_held(model, mapping) * each,
        embeddings=tables * ceil(model.vocabulary / tp) * model.hidden,
    )


def cache_of_sequence(
    model: LanguageModel, mapping: Mapping, context: Scalar, size: Scalar
) -> Scalar:
    """Bytes of cache that a sequence of `context` tokens holds on one chip."""
    layers = ceil(model.layers / mapping.pp)
    return layers * reach(model, context) * cached_values(model, mapping.tp) * size


def recomputed(mapping: Mapping) -> tuple[Scalar, Scalar]:
    """Shares of matrix products, and of all between them, that run again in the backward pass.

    Halfway between selective (0.5) and full (1) half of the products do.
    """
    products = jnp.clip(2.0 * mapping.recompute - 1.0, 0.0, 1.0)
    return products, jnp.clip(2.0 * mapping.recompute, 0.0, 1.0)


def activations_of_token(
    model: LanguageModel, mapping: Mapping, size: Scalar, operand: Scalar, scores: Scalar = 0.0
) -> Scalar:
    """Bytes that training keeps for one token of one layer on one chip: numbers of `size` bytes,
    operands of products of `operand` bytes (one byte in FP8: Transformer Engine).

    Korthikanti et al. 2022 (arXiv:2205.05198), equations 1 to 6: s b h (10 + 24/t + 5 a s/(h t))
    for a layer of GPT with dropout. 8 of the 10 are inputs of norms and of products, 2 masks of
    dropout; the 24 are queries, keys, values, the input of attention's projection (8) and the
    feed-forward activations (16). `scores` are scores of one token and head that are kept, with
    2.5 numbers each, in a stack whose attention keeps them in memory (and has dropout); 0 where
    attention is fused. Sequence parallelism splits the 10 too; selective recomputation keeps no
    scores; full recomputation keeps the layer's input alone.
    """
    heads, shared = local_heads(model, mapping.tp)
    split = 1.0 + mapping.sequence_parallel * (mapping.tp - 1.0)
    unfused = jnp.where(jnp.asarray(scores) > 0.0, 1.0, 0.0)
    stream = ((2.0 + unfused) * size + 2.0 * operand) * model.hidden / split
    attention = (2.0 * heads + 2.0 * shared) * model.head_dimension * size
    products, again = recomputed(mapping)
    between = (1.0 - again) * 2.5 * heads * scores * size
    gate = ((1.0 + model.gated) * size + operand) * local_width(model, mapping)
    kept = stream + attention + gate + between
    return kept + products * (model.hidden / split * size - kept)


def layers_in_flight(layers: Scalar, mapping: Mapping, rounds: Scalar) -> Scalar:
    """Layers whose activations the first stage holds, micro-batches times layers.

    1F1B holds pp micro-batches of layers / pp layers; interleaving v stages a chip holds
    (pp - 1) / (pp v) of them more (Korthikanti et al. 2022, section 4.2.3).
    """
    each = layers / mapping.pp
    more = 1.0 + (mapping.pp - 1.0) / (mapping.pp * mapping.virtual)
    interleaved = jnp.where(mapping.virtual > 1.0, more, 1.0) * layers
    return jnp.minimum(interleaved, rounds * each)


def working_set(model: LanguageModel, mapping: Mapping, tokens: Scalar, size: Scalar) -> Scalar:
    """Bytes of activations that inference holds while it works on `tokens` tokens."""
    width = ffn_width(model, mapping.tp) * (1.0 + model.gated)
    return tokens * size * (2.0 * model.hidden + width)
