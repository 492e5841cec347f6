"""One operating point: how long its step takes, what binds it, what it moves and holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp

from dse.model.collectives import Network, network
from dse.model.footprint import Footprint
from dse.model.guard import Scalar, ratio
from dse.model.roofline import Machine, machine, storage
from dse.model.transformer import Mapping
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

TINY = 1e-6
"""A count far below one: keeps divisions by a batch or a replica number finite."""


SLACK = 1e-5
"""Share by which a limit may be missed and still holds: what rounding adds to a solved batch."""


class Context(NamedTuple):
    """What all mappings of one design, model and workload share.

    rate, weight_bytes: of routed experts' products; other_rate, other_bytes: of all others.
    """

    system: System
    model: LanguageModel
    workload: Workload
    software: Software
    machine: Machine
    network: Network
    chips: Scalar
    rate: Scalar
    weight_bytes: Scalar
    cache_bytes: Scalar
    activation_bytes: Scalar
    message_bytes: Scalar
    other_rate: Scalar
    other_bytes: Scalar


class Times(NamedTuple):
    """Seconds of one step by operator group."""

    projections: Scalar
    attention: Scalar
    feed_forward: Scalar
    experts: Scalar
    head: Scalar
    vector: Scalar
    collectives: Scalar
    pipeline: Scalar
    launch: Scalar

    @property
    def total(self) -> Scalar:
        """Seconds of the whole step."""
        return sum(self)  # type: ignore[arg-type]


class Bounds(NamedTuple):
    """Seconds of one step by what binds them."""

    matrix: Scalar
    vector: Scalar
    memory: Scalar
    links: Scalar
    overhead: Scalar


class Activity(NamedTuple):
    """What one chip does in a step, on average over the chips that work: counts, not rates."""

    flops: Scalar
    vector: Scalar
    memory: Scalar
    links: Scalar


class Operation(NamedTuple):
    """An operating point before power and money.

    rate: tokens/s of all replicas; batch: sequences in flight; ttft: seconds to the first token,
    unqueued: the same for a prompt that waits for no other; times and bounds: of one step of
    `step` seconds; activity: per chip and step; busy: share of the chips that work; margins:
    relative, >= 0 where the limit holds.
    """

    tokens_per_s: Scalar
    step: Scalar
    tpot: Scalar
    ttft: Scalar
    unqueued: Scalar
    batch: Scalar
    times: Times
    bounds: Bounds
    activity: Activity
    footprint: Footprint
    busy: Scalar
    useful_flops: Scalar
    margin_mapping: Scalar
    margin_memory: Scalar
    margin_tpot: Scalar
    margin_ttft: Scalar


class Span(NamedTuple):
    """One operator group on each engine, in seconds; the longest is its time."""

    matrix: Scalar
    vector: Scalar
    memory: Scalar

    @property
    def time(self) -> Scalar:
        """The longest of the three."""
        return jnp.maximum(jnp.maximum(self.matrix, self.vector), self.memory)


def context(
    system: System, model: LanguageModel, workload: Workload, software: Software
) -> Context:
    """The mapping-independent part of an evaluation."""
    chip = machine(system.chip, software)
    rate = sum(w * r for w, r in zip(workload.activations, chip.rates, strict=True))
    same, *others = workload.others
    return Context(
        system=system,
        model=model,
        workload=workload,
        software=software,
        machine=chip,
        network=network(system, software),
        chips=jnp.where(workload.chips > 0.0, workload.chips, system.all_chips),
        rate=rate,
        weight_bytes=storage(workload.weights),
        cache_bytes=storage(workload.key_values),
        activation_bytes=storage(workload.activations),
        message_bytes=storage(workload.communication),
        other_rate=same * rate + sum(w * r for w, r in zip(others, chip.rates, strict=True)),
        other_bytes=same * storage(workload.weights) + storage(tuple(others)),
    )


def replicas(ctx: Context, mapping: Mapping) -> Scalar:
    """Whole replicas that the chips hold; chips left over stand idle and are paid for."""
    return jnp.floor(ctx.chips / (mapping.group * mapping.pp) * (1.0 + 1e-6))


def room_left(value: Scalar, limit: Scalar) -> Scalar:
    """Relative margin of `value` below a limit that an operating point may use up whole."""
    return ratio(limit - value, limit, -1.0) + SLACK


def mapping_margin(ctx: Context, mapping: Mapping) -> Scalar:
    """>= 0 where the mapping is legal: it fits the chips, layers, heads and experts."""
    model = ctx.model
    room = jnp.maximum(replicas(ctx, mapping), TINY) - 1.0
    stages = model.layers / mapping.pp - 1.0
    heads = model.heads / mapping.tp - 1.0
    experts = jnp.where(model.experts > 0.0, model.experts, 1.0) / mapping.ep - 1.0
    return jnp.minimum(jnp.minimum(room, stages), jnp.minimum(heads, experts))


def bounds(spans: Iterable[tuple[Scalar, Span]], links: Scalar, overhead: Scalar) -> Bounds:
    """Time by what binds: each span's time goes to its longest engine (ties to memory)."""
    zero = 0.0 * links
    matrix, vector, memory = zero, zero, zero
    for count, span in spans:
        longest = span.time
        by_memory = span.memory >= longest
        by_matrix = (span.matrix >= longest) & ~by_memory
        memory = memory + jnp.where(by_memory, count * longest, 0.0)
        matrix = matrix + jnp.where(by_matrix, count * longest, 0.0)
        vector = vector + jnp.where(by_memory | by_matrix, 0.0, count * longest)
    return Bounds(matrix, vector, memory, links, overhead)
