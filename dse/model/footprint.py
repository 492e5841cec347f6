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


def usable(chip: Chip) -> Scalar:
    """Bytes of a chip's memory that are left to a workload."""
    return chip.memory.capacity * (1.0 - chip.memory.reserve)


def ffn_width(model: LanguageModel, tp: Scalar) -> Scalar:
    """Columns of the dense feed-forward block on one chip."""
    return ceil(model.ffn / tp)


def expert_width(model: LanguageModel, mapping: Mapping) -> Scalar:
    """Columns of one routed expert on one chip: whole unless more chips than `ep` share it."""
    return ceil(model.expert_ffn * mapping.ep / mapping.group)


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
    return layers * context * cached_values(model, mapping.tp) * size


def activations_of_token(model: LanguageModel, mapping: Mapping, size: Scalar) -> Scalar:
    """Bytes that training keeps for one token of one layer on one chip.

    Inputs of every product and nonlinearity, scores recomputed (Korthikanti et al. 2022,
    arXiv:2205.05198, with sequence parallelism and selective recomputation), or the layer's input
    alone where all is recomputed.
    """
    heads, shared = local_heads(model, mapping.tp)
    dim = model.head_dimension
    stream = 4.0 * model.hidden / mapping.tp
    attention = (2.0 * heads + 2.0 * shared) * dim
    sparse = expert_layers(model) / model.layers
    width = model.ffn * (1.0 - sparse)
    width = width + sparse * (model.experts_per_token + model.shared_experts) * model.expert_ffn
    kept = stream + attention + (2.0 + model.gated) * width / mapping.tp
    # the split of one layer's input over the tensor-parallel group (sequence parallelism)
    whole = model.hidden / mapping.tp
    return size * (kept + mapping.recompute * (whole - kept))


def working_set(model: LanguageModel, mapping: Mapping, tokens: Scalar, size: Scalar) -> Scalar:
    """Bytes of activations that inference holds while it works on `tokens` tokens."""
    width = ffn_width(model, mapping.tp) * (1.0 + model.gated)
    return tokens * size * (2.0 * model.hidden + width)
