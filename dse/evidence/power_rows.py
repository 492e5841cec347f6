"""Measured power of nodes under load as batches that the model predicts by operating point.

A row names a training run; the model finds its operating point as for a training row (the best
feasible mapping where a row has no parallelism) and takes each engine's rate from it. What is
measured is a mean over the whole run, evaluation, data loading and idle phases between included,
while the model's is the mean of training steps: short runs are measured lower. The power of the
network's switches is a submitter's estimate from name plates, and is kept apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dse.errors import InputError
from dse.evidence.measured import Resolver
from dse.evidence.prediction import Batch, Row, Unpredicted
from dse.evidence.training_rows import SIZES, candidates
from dse.evidence.validate import SWITCHES
from dse.model.estimate import activity
from dse.model.fabric import outside_switches
from dse.model.operation import context
from dse.model.power import average_system_power
from dse.model.pytree import lower, stack
from dse.model.training import pretrain
from dse.model.transformer import Mapping
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

NODE = "node_power_w"

BENCHMARKS = {
    "llama2-70b-lora": ("llama-2-70b", 8192.0, True),
    "gpt3-175b": ("gpt3-175b", 2048.0, False),
    "llama31-405b": ("llama-3.1-405b", 8192.0, False),
    "llama31-8b": ("llama-3.1-8b", 8192.0, False),
}
"""Model, sequence length and frozen weights of MLPerf's training benchmarks. A run of another name
is of the model of that name, with LENGTH tokens."""

LENGTH = 8192.0

PRECISION = "fp8"
"""What the submissions train in (transformer engine)."""

_WORKLOAD = re.compile(r"(\S+) training, global batch (\d+)")


class Drawing(NamedTuple):
    """One run in the model's form; `candidates` have leaves [k], `direct` is 1 for DC rows."""

    system: System
    model: LanguageModel
    workload: Workload
    candidates: Mapping
    direct: Any


class Switching(NamedTuple):
    """A network in the model's form."""

    system: System
    chips: Any


def batches(rows: Iterable[Row], resolver: Resolver) -> tuple[list[Batch], list[Unpredicted]]:
    """Batches of node and of switch power, and the rows that lack what a prediction needs."""
    drawn: list[tuple[Row, Drawing]] = []
    switched: list[tuple[Row, Switching]] = []
    missing: list[Unpredicted] = []
    for row in rows:
        try:
            if SWITCHES in row.measured:
                made = Switching(lower(resolver.system(row.system)), float(row.text("chips")))
                switched.append((row, made))
            else:
                drawn.append((row, _drawing(row, resolver)))
        except (InputError, ValueError) as error:
            missing.append(Unpredicted(row.id, str(error)))
    found = [_batch(drawn, NODE, node_power)] if drawn else []
    return found + ([_batch(switched, SWITCHES, switch_power)] if switched else []), missing


def _batch(pairs: Sequence[tuple[Row, Any]], metric: str, function: Any) -> Batch:
    return Batch(
        rows=tuple(row for row, _ in pairs),
        metrics=(metric,),
        inputs=stack([made for _, made in pairs]),
        function=function,
    )


def _drawing(row: Row, resolver: Resolver) -> Drawing:
    """A run in the model's form. ValueError that says what it lacks."""
    said = _WORKLOAD.match(row.text("workload"))
    if said is None:
        raise ValueError(f"workload {row.text('workload')!r} names no training run")
    name, length, frozen = BENCHMARKS.get(said[1], (said[1], LENGTH, False))
    model, chips, batch = resolver.model(name), float(row.text("chips")), float(said[2])
    workload = Workload(
        phase="pretrain",
        tokens_in=length,
        global_batch=batch,
        chips=chips,
        activations=PRECISION,
        frozen=float(frozen),
    )
    tried = candidates(row, model, chips, batch)
    index = np.minimum(np.arange(SIZES[-1]), len(tried) - 1)
    columns = np.array(tried, np.float32)[index].T
    direct = float("DC side" in row.text("notes"))
    system = lower(resolver.system(row.system))
    return Drawing(system, lower(model), lower(workload), Mapping(*columns), direct)


def node_power(software: Software, run: Drawing) -> tuple[jax.Array]:
    """Mean power of a host with its chips, W, at the wall or behind its supplies."""
    ctx = context(run.system, run.model, run.workload, software)

    def one(mapping: Mapping) -> tuple[Any, Any]:
        done = pretrain(ctx, mapping)
        power = average_system_power(run.system, activity(ctx, done))
        fits = (done.margin_memory >= 0.0) & (done.margin_mapping >= 0.0)
        return jnp.where(fits, done.step, jnp.inf), power.total - power.network

    steps, powers = jax.vmap(one)(run.candidates)
    hosts = jnp.ceil(run.system.chips / run.system.host.chips)
    wall = powers[jnp.argmin(steps)] / hosts
    return (wall * jnp.where(jnp.asarray(run.direct) > 0, run.system.rack.conversion, 1.0),)


def switch_power(software: Software, network: Switching) -> tuple[jax.Array]:
    """Power of the switches that join hosts, W."""
    del software
    out = network.system.scale_out
    return (outside_switches(network.system, network.chips) * out.power * out.outside,)
