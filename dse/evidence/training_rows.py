"""Measured training runs and memory figures as batches that the model predicts.

A row gives its parallelism; what it leaves blank is the best feasible of a few candidates, but
recomputation and ZeRO the least that fits. Rows with like numbers of candidates share a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dse.errors import InputError
from dse.evidence.measured import Resolver
from dse.evidence.prediction import Batch, Row, Unpredicted
from dse.model.footprint import activations_of_token, layers_in_flight, parameters_held
from dse.model.guard import Scalar
from dse.model.operation import Context, Times, context
from dse.model.passes import HALF
from dse.model.pytree import lower, stack
from dse.model.roofline import machine
from dse.model.training import pretrain
from dse.model.transformer import Mapping
from dse.spec.load import load
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

METRICS = ("step_time_s", "tokens_per_s_per_chip")
MEMORY_METRICS = ("parameters_and_optimizer_gib_per_chip", "activation_gib_first_stage")

PRECISIONS = {
    "": "bf16",
    "fp32": "fp32",
    "bf16": "bf16",
    "fp16": "bf16",
    "fp8": "fp8",
    "mxfp8": "fp8",
    "int8": "fp8",
    "nvfp4": "fp4",
    "mxfp4": "fp4",
}
"""What the matrix products of a row run in, by the precision that it names."""

RECOMPUTE = {"none": 0.0, "selective": 0.5, "full": 1.0}
PER_OPERATOR = ("torchtitan",)
"""Stacks whose selective recomputation runs every second matrix product again (torchtitan,
activation_checkpoint: "save every second matmul"), not only what stands between products."""

SPECIAL = {
    "special H100: 96GB HBM2e 2.4TB/s, 500 W": (
        ("chip.memory.stacks", "6"),
        ("chip.memory.stack.rate", '"3.125 Gb/s"'),
        ("chip.power", '"500 W"'),
        ("chip.die.core.clock", '"1.53 GHz"'),
        ("chip.die.core.vector.clock", '"1.65 GHz"'),
    )
}
"""Parts that no data sheet has, by what a row's notes say of them, as settings over its system.
The H100 of torchtitan's tables: six stacks of HBM2e; 1.53 GHz is the clock at which an H100 that is
held to 500 W of its 700 meets that limit (dse.model.power.under_cap)."""

INTEGER_RATES = {"tpu-v5e": 2.0, "tpu-v5p": 2.0, "tpu-v6e": 2.0}
"""INT8 operations over BF16 ones of chips whose specs leave them out, so that no FP8 workload gains
from them (Google Cloud documentation of TPU v5e, v5p and v6e: 394, 918 and 1,836 TOP/s)."""

SIZES = (1, 128)
"""Candidate mappings of a row: a batch has rows of at most one of these numbers."""

MICRO_BATCHES = (1, 2, 4, 8, 16, 32)
MOST_STAGES = 16
"""Interleaved stages of a chip that are tried where a row does not say."""

GIB = 2.0**30


class Asked(NamedTuple):
    """One training row in the model's form; `candidates` are mappings with leaves [k].

    level [k]: rank of a candidate's recomputation and ZeRO stage, the least first.
    """

    system: System
    model: LanguageModel
    workload: Workload
    candidates: Mapping
    level: Any


def batches(rows: Iterable[Row], resolver: Resolver) -> tuple[list[Batch], list[Unpredicted]]:
    """Batches of training and of memory rows, and the rows that lack what a prediction needs."""
    asked: dict[int, list[tuple[Row, Asked]]] = {size: [] for size in SIZES}
    memory: list[tuple[Row, Asked]] = []
    missing: list[Unpredicted] = []
    for row in rows:
        if row.table not in ("train", "memory"):
            continue
        try:
            made = _asked(row, resolver)
        except (InputError, ValueError) as error:
            missing.append(Unpredicted(row.id, str(error)))
            continue
        if row.table == "memory":
            memory.append((row, made))
        else:
            number = len(np.asarray(made.level))
            asked[min(size for size in SIZES if size >= number)].append((row, made))
    found = [_batch(pairs, size) for size, pairs in asked.items() if pairs]
    return found + ([_memory_batch(memory)] if memory else []), missing


def _asked(row: Row, resolver: Resolver) -> Asked:
    """A row in the model's form. ValueError that says what it lacks."""
    lacking = [k for k in ("system", "model", "seq") if not row.text(k)]
    if row.table == "train":
        lacking += [k for k in ("chips", "batch") if not row.text(k)]
    if lacking or not row.measured:
        raise ValueError("no " + ", ".join(lacking or ["value"]))
    precision = PRECISIONS.get(row.text("precision").lower())
    if precision is None:
        raise ValueError(f"precision {row.text('precision')!r} is not known")
    model = resolver.model(row.model)
    chips = _number(row, "chips", _number(row, "tp", 1.0) * _number(row, "pp", 1.0))
    workload = Workload(
        phase="pretrain",
        tokens_in=_number(row, "seq"),
        global_batch=_number(row, "batch", _number(row, "micro_batch", 1.0)),
        chips=chips,
        activations=precision,
        frozen=float(row.text("frozen").lower() == "true"),
    )
    rows = candidates(row, model, chips, workload.global_batch)
    level = np.array([_level(each) for each in rows])
    return Asked(
        lower(_system(row, resolver)),
        lower(model),
        lower(workload),
        Mapping(*np.array(rows, np.float32).T),
        level,
    )


def _system(row: Row, resolver: Resolver) -> System:
    """The row's system, or the special make of it that its notes name, or with its INT8 rate."""
    for said, settings in SPECIAL.items():
        if said in row.text("notes"):
            return load(System, row.system, resolver.catalog, settings)
    if row.text("precision").lower() == "int8" and row.system in INTEGER_RATES:
        rate = ("chip.die.core.array.rates.fp8", str(INTEGER_RATES[row.system]))
        return load(System, row.system, resolver.catalog, [rate])
    return resolver.system(row.system)


def _level(mapping: Mapping) -> float:
    """Rank of what a mapping does to save memory: sharing optimiser states costs next to nothing,
    then comes recomputation, then sharing weights."""
    zero, recompute = float(mapping.zero), float(mapping.recompute)
    return 100.0 * (zero > 1.0) + 10.0 * recompute + zero


def _number(row: Row, key: str, otherwise: float = 1.0) -> float:
    found = row.number(key, otherwise)
    return otherwise if found is None else found


def candidates(row: Row, model: LanguageModel, chips: float, batch: float) -> list[Mapping]:
    """Mappings that a row allows: its own degrees, and what may stand for its blanks."""

    def given(key: str, otherwise: Sequence[float]) -> list[float]:
        found = row.number(key)
        return list(otherwise) if found is None else [found]

    blank_model = not (row.text("tp") and row.text("pp"))
    tensor = given("tp", [d for d in (1, 2, 4, 8) if d <= min(chips, model.heads)])
    stages = given("pp", [d for d in (1, 2, 4, 8) if d <= min(chips, model.layers)])
    contexts = given("cp", [1])
    experts = given("ep", [d for d in (1, 4, 16) if d <= min(chips, max(model.experts, 1))])
    known = row.text("recompute").lower()
    again = [RECOMPUTE[known]] if known in RECOMPUTE else list(RECOMPUTE.values())
    if known == "selective" and row.software.startswith(PER_OPERATOR):
        again = [0.75]
    zeros = given("zero", [0, 1, 3] if not blank_model else [1, 3])
    made = []
    for tp, pp, cp, ep in itertools.product(tensor, stages, contexts, experts):
        group = max(tp * cp, ep)
        # a chip that holds no experts of its own shares the batch
        copies = max(chips // (group * pp), 1.0) * group / (tp * cp)
        share = max(batch / copies, 1.0)
        smalls = given("micro_batch", [m for m in MICRO_BATCHES if share % m == 0] or [1])
        for small, recompute, zero in itertools.product(smalls, again, zeros):
            for virtual in _virtual(row, model.layers, pp, share / small):
                parallel = row.text("sequence_parallel").lower() != "false"
                made.append(
                    Mapping(tp, pp, ep, small, recompute, zero, cp, virtual, float(parallel))
                )
    return _thinned(made)


def _virtual(row: Row, layers: float, pp: float, rounds: float) -> list[float]:
    """Interleaved stages of a chip: as given, else those that divide a chip's layers, where its
    micro-batches fill whole rounds of stages (Narayanan et al. 2021, section 2.2)."""
    found = row.number("vp")
    if found is not None:
        return [found]
    each = int(-(-layers // pp))
    if pp <= 1 or rounds % pp:
        return [1.0]
    return [float(v) for v in range(1, min(each, MOST_STAGES) + 1) if each % v == 0]


def _thinned(made: list[Mapping]) -> list[Mapping]:
    """At most the largest number of candidates, the least parallel of them first."""
    return sorted(set(made), key=lambda m: (m.recompute, m.zero, m.tp * m.pp))[: SIZES[-1]]


def _padded(asked: Asked, size: int) -> Asked:
    """A row with `size` candidates: its last one repeats."""
    index = np.minimum(np.arange(size), len(np.asarray(asked.level)) - 1)
    rows = jax.tree.map(lambda leaf: np.asarray(leaf)[index], asked.candidates)
    return asked._replace(candidates=rows, level=np.asarray(asked.level)[index])


def _batch(pairs: list[tuple[Row, Asked]], size: int) -> Batch:
    return Batch(
        rows=tuple(row for row, _ in pairs),
        metrics=METRICS,
        inputs=stack([_padded(asked, size) for _, asked in pairs]),
        function=run,
        parts=parts,
    )


def run(software: Software, asked: Asked) -> tuple[jax.Array, jax.Array]:
    """Step time in s and tokens/s of a chip, of the best mapping that a row allows."""
    work = asked.workload
    step, _ = _best(software, asked)
    return step, work.global_batch * work.tokens_in / (step * work.chips)


def parts(software: Software, asked: Asked) -> dict[str, dict[str, jax.Array]]:
    """Seconds of one row's step by operator group; a throughput consists of the same."""
    _, times = _best(software, asked)
    groups = {name: jnp.asarray(value) for name, value in times._asdict().items()}
    return dict.fromkeys(METRICS, groups)


def _best(software: Software, asked: Asked) -> tuple[jax.Array, Times]:
    """Seconds of a step, and by operator group, of the best mapping that a row allows."""
    ctx = context(asked.system, asked.model, asked.workload, software)

    def one(mapping: Mapping) -> tuple[Scalar, Scalar, Scalar, Times]:
        done = pretrain(ctx, mapping)
        return done.step, done.margin_memory, done.margin_mapping, done.times

    *values, times = jax.vmap(one)(asked.candidates)
    steps, memory, legal = (jnp.asarray(value) for value in values)
    fits = (memory >= 0.0) & (legal >= 0.0)
    level = jnp.asarray(asked.level)
    least = jnp.min(jnp.where(fits, level, jnp.inf))
    ranked = jnp.where(fits & (level <= least), steps, jnp.inf)
    nearest = jnp.argmax(jnp.where(legal >= 0.0, memory, memory - 1e6))
    chosen = jnp.where(jnp.any(fits), jnp.argmin(ranked), nearest)
    return steps[chosen], jax.tree.map(lambda each: each[chosen], times)


def _memory_batch(pairs: list[tuple[Row, Asked]]) -> Batch:
    return Batch(
        rows=tuple(row for row, _ in pairs),
        metrics=MEMORY_METRICS,
        inputs=stack([_padded(asked, 1) for _, asked in pairs]),
        function=memory,
    )


def memory(software: Software, asked: Asked) -> tuple[jax.Array, jax.Array]:
    """GiB of weights, gradients and optimiser states of a stage's layers, and of activations of
    the first stage with many micro-batches, without embeddings: what Korthikanti et al. count."""
    mapping = jax.tree.map(lambda leaf: leaf[0], asked.candidates)
    ctx: Context = context(asked.system, asked.model, asked.workload, software)
    held = parameters_held(machine(asked.system.chip, software), asked.model, mapping)
    states = ctx.weight_bytes + software.gradient_bytes + software.optimiser_bytes
    length = asked.workload.tokens_in
    unfused = (1.0 - software.fused) * length
    token = activations_of_token(asked.model, mapping, HALF, HALF, unfused)
    layers = layers_in_flight(asked.model.layers, mapping, 1e6 + 0.0 * length)
    activations = mapping.micro_batch * length * layers * token
    return jnp.asarray((held.total - held.embeddings) * states / GIB), activations / GIB
