"""Serving rows: static batches, prompts alone, and continuous batching, as they were run.

A blank parallelism is the quickest feasible mapping on the row's chips, by the default stack; a
blank batch the largest that fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dse.errors import InputError
from dse.evidence.measured import Resolver
from dse.evidence.prediction import Batch, Row, Unpredicted
from dse.model.continuous import first_step, serve
from dse.model.guard import Scalar
from dse.model.operation import Context, context
from dse.model.pytree import lower, replace, stack
from dse.model.serving import decode, prefill
from dse.model.transformer import Mapping
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

METRICS = ("ttft_s", "tpot_s", "output_tokens_per_s")

MODES = {
    "static": 0.0,
    "prefill_only": 1.0,
    "decode_only": 2.0,
    "continuous": 3.0,
    "disaggregated": 4.0,
}
"""How a row was run, as the number that its inputs hold."""

FORMATS = {
    "": "bf16",
    "bf16": "bf16",
    "fp16": "bf16",
    "fp32": "fp32",
    "fp8": "fp8",
    "mxfp8": "fp8",
    "int8": "fp8",
    "mxfp4": "fp4",
    "nvfp4": "fp4",
    "int4": "fp4",
    "fp4": "fp4",
}
"""Number formats of rows by the precision that stores as many bits. Blank is bf16."""

WEIGHT_ONLY = ("int8", "int4", "mxfp4")
"""Formats of weights that are widened before they are multiplied, unless activations say more: an
assumption where a row leaves activations blank (W4A16 and W8A16 kernels are the usual ones)."""

EXPERTS_ONLY = ("mxfp4", "nvfp4", "int4")
"""Formats that name the experts' weights alone in mixtures of experts; attention, embeddings and
the output projection are BF16 then (model cards of gpt-oss and Kimi K2; an assumption for others).
"""

BURST = 0.1
"""Share of a closed loop's requests that come at once: C users that send N requests stand in one
queue with their first C, and come one by one as they are answered from then on: C / N. The public
InferenceX scripts send ten times as many requests as there are users; an assumption for other
sources."""

ROUNDS = 3
"""Fixed-point rounds for the sequences that decode while others are read."""

MOST_USERS = 1e6
"""Users of a row that was run for throughput: as many as memory holds."""

_TRIED = 30
_CORES = re.compile(r"cores_per_chip=(\d+)")


class Inputs(NamedTuple):
    """What one row asks. `users` is 0 where it is not known: as many as fit.

    `reader` and `readers` are mapping and number of the chips that read prompts, where others
    decode: those are then the workload's chips, laid out as `mapping`.
    """

    system: System
    model: LanguageModel
    workload: Workload
    mapping: Mapping
    users: Scalar
    mode: Scalar
    reader: Mapping
    readers: Scalar


def predicted(software: Software, row: Inputs) -> tuple[jax.Array, ...]:
    """The METRICS of one row."""
    ctx = context(row.system, row.model, row.workload, software)
    users = jnp.where(row.users > 0.0, row.users, MOST_USERS)
    static, alone = _static(ctx, row.mapping, users)
    loaded = serve(ctx, row.mapping, users)
    kept = (loaded.ttft, loaded.tpot, loaded.tokens_per_s)
    apart = _apart(ctx, row, users)
    modes = (static, alone, static, kept, apart)
    mode = jnp.asarray(row.mode).astype(jnp.int32)
    return tuple(
        jnp.stack([group[index] for group in modes])[mode] / _pace(software, index)
        for index in range(len(METRICS))
    )


def parts(software: Software, row: Inputs) -> dict[str, dict[str, jax.Array]]:
    """Seconds of one row's METRICS by operator group: of the steps that each consists of.

    Waiting is what a time to the first token has besides its own steps. Where other chips read the
    prompts, a first token is broken down as if those that decode read them too.
    """
    ctx = context(row.system, row.model, row.workload, software)
    users = jnp.where(row.users > 0.0, row.users, MOST_USERS)
    loaded = serve(ctx, row.mapping, users)
    read = prefill(ctx, row.mapping, users).times._asdict()
    step = decode(ctx, row.mapping, users).times._asdict()
    kept, reading = loaded.times._asdict(), first_step(ctx, row.mapping, loaded)
    continuous = jnp.asarray(row.mode) == MODES["continuous"]
    alone = jnp.asarray(row.mode) == MODES["prefill_only"]
    answers = jnp.where(alone, 0.0, ctx.workload.tokens_out)
    waiting = jnp.maximum(loaded.ttft - software.request - sum(reading.values()), 0.0)
    first = {k: jnp.where(continuous, reading[k], read[k]) for k in read}
    first |= {
        "request": jnp.where(continuous, software.request, 0.0),
        "waiting": jnp.where(continuous, waiting, 0.0),
    }
    token = {k: jnp.where(continuous, kept[k], step[k]) for k in step}
    whole = {k: jnp.where(continuous, kept[k], read[k] + answers * step[k]) for k in step}
    return {"ttft_s": first, "tpot_s": token, "output_tokens_per_s": whole}


def _apart(ctx: Context, row: Inputs, users: Scalar) -> tuple[Scalar, ...]:
    """METRICS where other chips read the prompts than those that decode."""
    read = ctx._replace(chips=row.readers)
    slots = jnp.maximum(row.readers / (row.reader.group * row.reader.pp), 1.0)
    one = prefill(read, row.reader, slots * row.reader.shards * row.reader.pp)
    fastest = one.tokens_per_s / ctx.workload.tokens_in
    answers = ctx.workload.tokens_out

    def again(_: int, state: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        answer = answers * decode(ctx, row.mapping, state[0]).tpot
        # readers that are too slow for the users let them wait (Little's law)
        rate = jnp.minimum(users / (one.ttft + answer), fastest)
        return jnp.maximum(rate * answer, 1.0), rate

    decoding, rate = jax.lax.fori_loop(0, ROUNDS, again, (users, fastest))
    tpot = decode(ctx, row.mapping, decoding).tpot
    waited = jnp.maximum(users / rate - answers * tpot, one.ttft)
    return waited + ctx.software.request, tpot, rate * answers


def _pace(software: Software, index: int) -> Scalar:
    """Times are longer, throughput lower, the less mature the version."""
    return 1.0 / software.maturity if index == 2 else software.maturity


def _static(
    ctx: Context, mapping: Mapping, users: Scalar
) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
    """METRICS of a static batch: all prompts, then all answers; and of its prompts alone."""
    first = prefill(ctx, mapping, users).ttft
    each = decode(ctx, mapping, users).tpot
    answers = ctx.workload.tokens_out
    whole = first + jnp.maximum(answers - 1.0, 0.0) * each
    return (first, each, users * answers / whole), (first, each, users / first)


def batches(rows: Sequence[Row], resolver: Resolver) -> tuple[list[Batch], list[Unpredicted]]:
    """The serving rows as one batch; what lacks a system, model, length or value is left out."""
    kept: list[Row] = []
    made: list[Inputs] = []
    left: list[Unpredicted] = []
    for row in rows:
        try:
            inputs = _inputs(row, resolver)
        except (InputError, ValueError, KeyError) as error:
            left.append(Unpredicted(row.id, str(error)))
            continue
        kept.append(row)
        made.append(inputs)
    if not kept:
        return [], left
    stacked = stack(made)  # type: ignore[type-var]
    batch = Batch(
        rows=tuple(kept), metrics=METRICS, inputs=stacked, function=predicted, parts=parts
    )
    return [batch], left


def _inputs(row: Row, resolver: Resolver) -> Inputs:
    for key in ("system", "model", "seq_in", "seq_out"):
        if not row.text(key):
            raise ValueError(f"no {key}")
    if not row.measured:
        raise ValueError("no measured value")
    model, system = resolver.model(row.model), resolver.system(row.system)
    workload = _workload(row, model.experts > 0)
    mode = MODES[row.text("mode", "continuous")]
    users = row.number("batch", 0.0) or 0.0
    laid = _mapping(row)
    plain = Inputs(
        lower(system), lower(model), lower(workload), laid, users, mode, laid, workload.chips
    )
    default = lower(resolver.software("default"))
    if mode == MODES["disaggregated"]:
        return _two_sides(row, plain, default)
    if row.text("tp"):
        return plain
    return plain._replace(mapping=_quickest(plain, default))


def _two_sides(row: Row, plain: Inputs, software: Software) -> Inputs:
    """Each side laid out as is quickest on its chips."""
    sides = []
    for key in ("prefill_chips", "decode_chips"):
        chips = float(round(_number(row, key)))
        side = plain._replace(workload=replace(plain.workload, chips=chips))
        sides.append((chips, side._replace(mapping=_quickest(side, software))))
    (readers, reading), (_, decoding) = sides
    return decoding._replace(reader=reading.mapping, readers=readers)


def _workload(row: Row, sparse: bool) -> Workload:
    weights = row.text("weights")
    widened = "bf16" if weights in WEIGHT_ONLY else weights
    activations = row.text("activations", widened)
    return Workload(
        phase="serve",
        tokens_in=max(round(_number(row, "seq_in")), 1),
        tokens_out=max(round(_number(row, "seq_out")), 1),
        chips=round(_number(row, "chips")),
        weights=_format(weights),
        activations=_format(activations),
        key_values=_format(row.text("kv")),
        communication="bf16",
        burst=BURST,
        others="bf16" if sparse and weights in EXPERTS_ONLY else "same",
    )


def _number(row: Row, key: str) -> float:
    value = row.number(key)
    if value is None or not value > 0:
        raise ValueError(f"{key} is {row.text(key) or 'blank'}")
    return value


def _format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"unknown format {name!r}")
    return FORMATS[name]


def _mapping(row: Row) -> Mapping:
    """Degrees in chips; rows of chips with several cores count cores."""
    found = _CORES.search(row.text("notes"))
    cores = float(found[1]) if found else 1.0
    tensor = max((row.number("tp", 1.0) or 1.0) / cores, 1.0)
    experts = max((row.number("ep", 1.0) or 1.0) / cores, 1.0)
    stages = row.number("pp", 1.0) or 1.0
    return _plain_mapping(tensor, stages, experts)


def _quickest(row: Inputs, software: Software) -> Mapping:
    """The mapping that serves most tokens among those that fit in memory."""
    chips = int(row.workload.chips)
    degrees = [d for d in (1, 2, 4, 8, 16) if d <= chips]
    found = [(t, p, e) for t in degrees for p in (1, 2, 4) for e in {1, t} if t * p <= chips]
    tried = [_plain_mapping(*degrees) for degrees in found]
    # always as many, so that one program serves all rows
    tried += [tried[0]] * (_TRIED - len(tried))
    mappings = stack(tried)  # type: ignore[type-var]
    rate, margin = _tried(row, mappings, software)
    best = int(np.argmax(np.where(np.asarray(margin) >= 0.0, rate, -1.0)))
    return tried[best]


def _plain_mapping(tensor: float, stages: float, experts: float) -> Mapping:
    return Mapping(tp=tensor, pp=stages, ep=experts, micro_batch=1.0, recompute=0.0, zero=1.0)


@jax.jit
def _tried(row: Inputs, mappings: Mapping, software: Software) -> tuple[Any, Any]:
    def one(mapping: Mapping) -> tuple[Scalar, Scalar]:
        ctx = context(row.system, row.model, row.workload, software)
        users = jnp.where(row.users > 0.0, row.users, MOST_USERS)
        made = serve(ctx, mapping, users)
        return made.tokens_per_s, jnp.minimum(made.margin_memory, made.margin_mapping)

    return jax.vmap(one)(mappings)
