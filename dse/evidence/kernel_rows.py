"""Measured matrix products and attention kernels as batches that the model predicts.

A row is one call as a library offers it. A product in FP8 or FP4 takes BF16 rows and quantises
them in a kernel of its own; attention applies rotary embeddings and writes the cache before it
starts, and joins what cores found apart at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dse.errors import InputError
from dse.evidence.measured import Resolver
from dse.evidence.prediction import Batch, Row, Unpredicted
from dse.model.guard import Scalar, ratio
from dse.model.pytree import lower, stack
from dse.model.roofline import Machine, machine, product_bytes, product_time, work
from dse.model.transformer import (
    Attention,
    attention_time,
    causal_attention,
    decode_attention,
)
from dse.spec.chip import Chip
from dse.spec.fields import PRECISIONS
from dse.spec.workload import LanguageModel, Software

BF16_BYTES = 2.0

ATTENTION_KERNELS = 3.0
"""Launches of one attention call: rotary embedding and cache, attention, joining the parts. An
assumption: that none is fused into another."""

ROTARY_SPECIALS = 8.0
"""Special functions for one rotated number: a power, a sine and a cosine, argument reduction
included. Inferred, not documented: what 64 prompts of 1,024 tokens take beyond their products is
some 7 to 8 of them on A100, H100 and B200 alike at 0.71 of their rates, while FP32 lanes and memory
bandwidth differ fourfold between these chips. Without it attention is 3 points further off."""


class Kind(NamedTuple):
    """How a product's type is kept and worked on.

    precision: of the arrays; operand, weight: bytes in memory; passes: reads of the BF16 rows to
    quantise them, 0 where they come as they are; rate: least multiple of the BF16 rate.
    """

    precision: str
    operand: float
    weight: float
    passes: float = 0.0
    rate: float = 0.0


KINDS = {
    "fp32": Kind("fp32", 4.0, 4.0),
    "bf16": Kind("bf16", 2.0, 2.0),
    "fp16": Kind("bf16", 2.0, 2.0),
    # the largest of a row, then the row: two reads; where the scale is known or a block's, one
    "fp8": Kind("fp8", 1.0, 1.0, 2.0),
    "fp8_static": Kind("fp8", 1.0, 1.0, 1.0),
    "fp8_block": Kind("fp8", 1.0, 1.0, 1.0),
    "mxfp8": Kind("fp8", 33 / 32, 33 / 32, 1.0),
    "nvfp4": Kind("fp4", 9 / 16, 9 / 16, 1.0),
    "mxfp4": Kind("fp4", 17 / 32, 17 / 32, 1.0),
    # INT8 runs at twice BF16 on chips that have no FP8 too (NVIDIA A100 data sheet: 624 and 312);
    # SmoothQuant's rows come quantised
    "int8": Kind("fp8", 1.0, 1.0, 0.0, 2.0),
    "int8_wo": Kind("bf16", 2.0, 1.0),
    "int4_wo": Kind("bf16", 2.0, 0.5),
}
"""By the dtype column of products; _wo: weights alone are narrow, and widened on the way in."""

GIVEN = "best shape of a search"
"""Notes of rows whose operands were given as they are: no quantisation was timed."""


class Product(NamedTuple):
    """A product [m, k] x [k, n]; `precision` are weights over PRECISIONS."""

    chip: Chip
    precision: tuple[Scalar, ...]
    rate: Scalar
    operand: Scalar
    weight: Scalar
    passes: Scalar
    m: Scalar
    n: Scalar
    k: Scalar


class Call(NamedTuple):
    """An attention call over `sequences` sequences of `length`; `size`: bytes in the cache."""

    chip: Chip
    model: LanguageModel
    precision: tuple[Scalar, ...]
    sequences: Scalar
    length: Scalar
    size: Scalar


def batches(rows: Iterable[Row], resolver: Resolver) -> tuple[list[Batch], list[Unpredicted]]:
    """Batches of the products and attention calls among rows, and the rows that are neither."""
    made: dict[Callable[..., Any], list[tuple[Row, Any]]] = {}
    missing: list[Unpredicted] = []
    for row in rows:
        if row.table not in ("gemm", "attention"):
            continue
        try:
            function, inputs = _asked(row, resolver)
        except (InputError, KeyError, ValueError) as error:
            missing.append(Unpredicted(row.id, str(error)))
            continue
        made.setdefault(function, []).append((row, inputs))
    found = [
        Batch(
            rows=tuple(row for row, _ in pairs),
            metrics=("latency_s",),
            inputs=stack([inputs for _, inputs in pairs]),
            function=function,
        )
        for function, pairs in made.items()
    ]
    return found, missing


def _asked(row: Row, resolver: Resolver) -> tuple[Callable[..., Any], Any]:
    """The function that predicts a row, and its inputs. ValueError that says what is wrong."""
    chip = lower(resolver.system(row.system)).chip
    if row.table == "gemm":
        return product, _product(row, chip)
    phase = row.text("phase")
    if phase not in ("context", "generation"):
        raise ValueError(f"phase {phase!r} is neither context nor generation")
    return (context if phase == "context" else generation), _call(row, chip, phase)


def _product(row: Row, chip: Chip) -> Product:
    kind = _kind(row, "dtype")
    passes = kind.passes
    if GIVEN in row.text("notes"):
        passes = 0.0
    elif "VLLM" in row.source:
        # scales of a token each: one kernel finds and applies them
        passes = min(passes, 1.0)
    return Product(
        chip=chip,
        precision=_weights(kind.precision),
        rate=kind.rate,
        operand=kind.operand,
        weight=kind.weight,
        passes=passes,
        m=_number(row, "m"),
        n=_number(row, "n"),
        k=_number(row, "k"),
    )


def _call(row: Row, chip: Chip, phase: str) -> Call:
    cache, operand = _kind(row, "kv_dtype"), _kind(row, "dtype")
    # with an FP8 cache TensorRT-LLM's context kernels work in FP8 as well (use_fp8_context_fmha)
    order = PRECISIONS.index
    narrower = max(operand.precision, cache.precision, key=order)
    model = LanguageModel(
        heads=_number(row, "heads"),
        key_value_heads=_number(row, "kv_heads"),
        head_dimension=_number(row, "head_dim"),
        window=row.number("window") or 0.0,
        windowed_layers=1.0,
    )
    return Call(
        chip=chip,
        model=lower(model),
        precision=_weights(narrower if phase == "context" else operand.precision),
        sequences=_number(row, "batch"),
        length=_number(row, "seq_kv"),
        size=cache.operand,
    )


def _kind(row: Row, column: str) -> Kind:
    name = row.text(column, "bf16").lower()
    if name not in KINDS:
        raise ValueError(f"{column} {name!r} is not one of {', '.join(KINDS)}")
    return KINDS[name]


def _number(row: Row, key: str) -> float:
    found = row.number(key)
    if found is None or found <= 0.0:
        raise ValueError(f"no {key}")
    return found


def _weights(precision: str) -> tuple[float, ...]:
    return tuple(float(name == precision) for name in PRECISIONS)


def _rate(chip: Machine, precision: tuple[Scalar, ...]) -> Scalar:
    return sum(w * r for w, r in zip(precision, chip.rates, strict=True))


def product(software: Software, asked: Product) -> tuple[jax.Array]:
    """Seconds of one product, quantisation of its rows included."""
    chip = machine(asked.chip, software)
    # integer sums are no wider than their operands ask for: twice the rate is twice the speed
    chip = chip._replace(narrow=jnp.where(asked.rate > 0.0, 0.0, chip.narrow))
    rate = jnp.maximum(_rate(chip, asked.precision), asked.rate)
    done = work(chip, rate, [(asked.k, asked.n, 1.0)])
    moved = product_bytes(chip, done, asked.m, asked.weight, asked.operand, BF16_BYTES)
    longer = jnp.maximum(product_time(chip, done, asked.m), moved / chip.bandwidth)
    launch = _launch(chip, software)
    narrowed = asked.m * asked.k * (asked.passes * BF16_BYTES + asked.operand)
    before = jnp.where(asked.passes > 0.0, launch + narrowed / chip.bandwidth, 0.0)
    return (launch + before + longer,)


def context(software: Software, asked: Call) -> tuple[jax.Array]:
    """Seconds of causal attention of whole prompts."""
    chip = machine(asked.chip, software)
    rate = _rate(chip, asked.precision)
    found = causal_attention(chip, asked.model, 1.0, asked.length, rate)
    return (_attention(chip, software, asked, found) + _rotary(chip, asked),)


def generation(software: Software, asked: Call) -> tuple[jax.Array]:
    """Seconds of one new token of each sequence against its cache."""
    chip = machine(asked.chip, software)
    rate = _rate(chip, asked.precision)
    found = decode_attention(chip, asked.model, 1.0, asked.length, rate)
    return (_attention(chip, software, asked, found),)


def _attention(chip: Machine, software: Software, asked: Call, attention: Attention) -> jax.Array:
    arrays, softmax = attention_time(chip, attention, asked.sequences)
    memory = asked.sequences * attention.moved * asked.size / chip.bandwidth
    longest = jnp.maximum(jnp.maximum(arrays, softmax), memory)
    return longest + ATTENTION_KERNELS * _launch(chip, software)


def _launch(chip: Machine, software: Software) -> Scalar:
    """Seconds of a kernel beside its work: nothing moves before its first access returns.

    So attained bandwidth rises with the size of a transfer.
    """
    return software.launch + chip.latency + chip.skew


def _rotary(chip: Machine, asked: Call) -> jax.Array:
    """Seconds in which queries and keys are rotated, and the cache is written."""
    model = asked.model
    numbers = asked.sequences * asked.length * model.head_dimension
    rotated = numbers * (model.heads + model.key_value_heads)
    moved = numbers * (model.heads + 2.0 * model.key_value_heads) * (BF16_BYTES + asked.size)
    specials = ratio(ROTARY_SPECIALS * rotated, chip.exponentials)
    return jnp.maximum(specials, moved / chip.bandwidth)
