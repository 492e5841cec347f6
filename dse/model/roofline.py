"""A chip as its operators see it: engines, attained bandwidth, and the time of one operator.

An operator's time is the largest of its time on the matrix engine, on the vector engines and at
memory, plus a fixed launch time (the roofline of Williams, Waterman and Patterson, CACM 2009).

Times of work on many rows (tokens) never rise faster than in proportion to them: the largest batch
within a limit is solved for on that ground. So what is quantised is weights over arrays, not rows.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar, declared, ratio
from dse.spec.chip import Chip
from dse.spec.workload import Software

BITS = (32.0, 16.0, 8.25, 4.5)
"""Bits of a stored number by precision (fp32, bf16, fp8, fp4), block scales counted: MXFP8 has one
8-bit scale for 32 values (OCP Microscaling Formats v1.0, 2023), NVFP4 one for 16."""

BITS_PER_BYTE = 8.0

DOUBLE_BUFFER = 0.5
"""Share of SRAM that may wait for memory while the other half is worked on."""

ROW_BLOCK = 512.0
"""Rows that one array works on before others can share them: what its sums hold (AWS Neuron NKI
guide: at most 512 columns of the moving operand; GPU kernels take 64 to 256)."""


class Machine(NamedTuple):
    """What one chip offers, software efficiencies applied.

    array_rate: array cycles per second of all arrays; rows, columns, fill: of one array, fill in
    cycles a tile lasts at least; skew: seconds from the first operand in to the last sum out;
    rates: operations per cell and cycle by precision; vector: FLOP/s; exponentials: 1/s;
    bandwidth: attained bytes/s; sram, tile: bytes of the chip, and of the SRAM one tile may use;
    dies: of the package; die_to_die: bytes/s from one to the next; cores, arrays: of the package;
    narrow: share of the BF16 time that narrower operands do not shrink; latency: seconds of the
    first access of an operator that nothing fetches ahead for; attention: array rate that attention
    attains over that of large products.
    """

    array_rate: Scalar
    rows: Scalar
    columns: Scalar
    fill: Scalar
    skew: Scalar
    rates: tuple[Scalar, ...]
    vector: Scalar
    exponentials: Scalar
    bandwidth: Scalar
    sram: Scalar
    tile: Scalar
    dies: Scalar
    die_to_die: Scalar
    cores: Scalar
    arrays: Scalar
    narrow: Scalar
    latency: Scalar
    attention: Scalar


class Work(NamedTuple):
    """Products with stationary weights, one after the other, on one chip.

    tiles: array passes over a row of them, narrow operands' drag included; idle: further passes
    for which arrays wait in the last, partly filled wave of tiles; parameters; inputs, outputs:
    numbers in and out for one row; operators: launches.
    """

    tiles: Scalar
    idle: Scalar
    parameters: Scalar
    inputs: Scalar
    outputs: Scalar
    operators: Scalar


def ceil(value: Scalar) -> Scalar:
    """The next whole number, forgiving float32's last digits; its derivative is zero."""
    return jnp.ceil(jax.lax.stop_gradient(value) * (1.0 - 1e-6))


def bytes_of(number: float) -> float:
    """So many bytes: the one place where the model's own constants take their unit."""
    return number * 8.0 / BITS_PER_BYTE


def storage(precision: tuple[Scalar, ...]) -> Scalar:
    """Bytes of one number, `precision` being weights over PRECISIONS."""
    return sum(w * bits for w, bits in zip(precision, BITS, strict=True)) / BITS_PER_BYTE


def effective_rates(chip: Chip) -> tuple[Scalar, ...]:
    """Operations per cell and cycle by precision; what a chip lacks runs at the next wider."""
    rates = chip.die.core.array.rates
    fp32 = rates.fp32 + 0.0
    bf16 = jnp.maximum(fp32, rates.bf16)
    fp8 = jnp.maximum(bf16, rates.fp8)
    return (fp32, bf16, fp8, jnp.maximum(fp8, rates.fp4))


def machine(chip: Chip, software: Software) -> Machine:
    """What a chip offers to operators.

    Attained memory bandwidth is at most what SRAM can have in flight (Little's law: bytes in
    flight = bandwidth x latency, half of SRAM waiting while the other half is worked on).
    """
    core = chip.die.core
    # at least one core: with more spares than cores the rule chip.cores says so, not a NaN
    cores = chip.dies * jnp.maximum(core.enabled, 1.0)
    sram = cores * core.sram + chip.dies * chip.die.sram
    latency = chip.memory.stack.latency
    in_flight = DOUBLE_BUFFER * sram / latency
    streaming = chip.memory.bandwidth * software.memory
    return Machine(
        array_rate=cores * core.arrays * core.clock * software.matrix,
        rows=core.array.rows,
        columns=core.array.columns,
        # each row has a port of its own into SRAM and takes its part of a stationary operand, one
        # element for each column (AWS Neuron NKI guide: LoadStationary lasts with the free axis)
        fill=core.array.columns / core.array.load,
        # operands enter and sums leave a cycle later for each row and column (Kung 1982, and
        # SCALE-Sim, Samajdar et al. 2018, arXiv:1811.02883, equation 1)
        skew=(core.array.rows + core.array.columns) / core.clock,
        rates=effective_rates(chip),
        vector=cores * core.vector.flops * software.vector,
        exponentials=cores
        * core.vector.lanes
        * core.vector.exponentials
        * core.vector.clock
        * software.vector,
        bandwidth=jnp.where(sram > 0.0, jnp.minimum(streaming, in_flight), streaming),
        sram=sram,
        tile=core.sram + chip.die.sram,
        dies=chip.dies,
        die_to_die=chip.die.die_to_die.bandwidth,
        cores=cores,
        arrays=cores * core.arrays,
        narrow=software.narrow,
        latency=latency,
        attention=ratio(declared(software.attention, software.matrix), software.matrix),
    )


def drag(chip: Machine, rate: Scalar) -> Scalar:
    """Time at `rate` over that of an array that is `rate` times as fast (Amdahl 1967).

    Accumulation, the exchange with registers and the power drawn do not halve with the operands.
    """
    return 1.0 + chip.narrow * jnp.maximum(rate - 1.0, 0.0)


def depth(chip: Machine, k: Scalar, rate: Scalar) -> tuple[Scalar, Scalar]:
    """Drag, and passes over a contraction of k; a narrow format deepens the array by its rate.

    Partly filled passes count whole: that is the quantisation of a systolic array. A contraction
    that a wider format's rate takes in as few passes runs in that one, without the drag.
    """
    slow, passes = drag(chip, rate), ceil(k / (chip.rows * rate))
    for wider in chip.rates[1:]:
        other = jnp.minimum(rate, wider)
        others = ceil(k / (chip.rows * other))
        quicker = drag(chip, other) * others < slow * passes
        slow = jnp.where(quicker, drag(chip, other), slow)
        passes = jnp.where(quicker, others, passes)
    return slow, passes


def work(chip: Machine, rate: Scalar, shapes: list[tuple[Scalar, Scalar, Scalar]]) -> Work:
    """Work of products with stationary operands [k, n], each `copies` times at once."""
    drags, counts, waves = [], [], []
    for k, n, copies in shapes:
        slow, deep = depth(chip, k, rate)
        drags.append(slow)
        counts.append(copies * deep * ceil(n / chip.columns))
        waves.append(ceil(counts[-1] / chip.arrays))
    idle = [chip.arrays * w - c for w, c in zip(waves, counts, strict=True)]
    return Work(
        tiles=sum(slow * count for slow, count in zip(drags, counts, strict=True)),
        idle=sum(slow * rest for slow, rest in zip(drags, idle, strict=True)),
        parameters=sum(copies * k * n for k, n, copies in shapes),
        inputs=sum(copies * k for k, _, copies in shapes),
        outputs=sum(copies * n for _, n, copies in shapes),
        operators=float(len(shapes)),
    )


def product_time(chip: Machine, done: Work, rows: Scalar) -> Scalar:
    """Seconds of the arrays for `rows` rows: full waves of tiles, and the last one.

    Up to ROW_BLOCK rows a tile has one array, and arrays without a tile wait: whole waves. Rows
    beyond are shared out, so that the last wave lasts no longer than ROW_BLOCK rows. (GPU kernels
    share out the last wave of output tiles as well: stream-K, Osama et al. 2023,
    arXiv:2301.03598. Over measured H100 products whole waves of 128 x 256 outputs are 5 points
    further off than none, those of the better of 128 x 256 and 128 x 128 one point.)
    """
    streamed = jnp.maximum(rows, chip.fill)
    waiting = done.idle * jnp.minimum(streamed, jnp.maximum(ROW_BLOCK, chip.fill))
    return (done.tiles * streamed + waiting) * (1.0 / chip.array_rate)


def product_bytes(
    chip: Machine, done: Work, rows: Scalar, weight: Scalar, operand: Scalar, result: Scalar
) -> Scalar:
    """Bytes to and from memory for `rows` rows: weights once, rows in and out, or more.

    `weight`, `operand`, `result`: bytes of a weight that memory holds, of a number that enters and
    of one that leaves.
    """
    moved = done.parameters * weight + rows * (done.inputs * operand + done.outputs * result)
    return reuse_bytes(chip, done.parameters * rows, moved, operand)


def reuse_bytes(chip: Machine, products: Scalar, compulsory: Scalar, size: Scalar) -> Scalar:
    """Memory traffic of a matrix product of m*k*n = `products` with tiles held in SRAM.

    The larger of the compulsory traffic and the lower bound 2 m n k / sqrt(S) of Hong and Kung
    (STOC 1981; constant from Smith et al. 2019, arXiv:1702.02017), S elements of `size` bytes.
    """
    elements = jnp.maximum(chip.tile / size, 1.0)
    each = jnp.where(chip.tile > 0.0, 2.0 * size / jnp.sqrt(elements), 0.0 * size)
    return jnp.maximum(compulsory, products * each)


def executed(precision: tuple[Scalar, ...], chip: Chip) -> tuple[Scalar, ...]:
    """Weights over PRECISIONS of what the arrays run: what they lack moves to the next wider."""
    fp32, bf16, fp8, fp4 = precision
    rates = chip.die.core.array.rates
    own4 = jnp.where(rates.fp4 > 0.0, fp4, 0.0)
    wide8 = fp8 + fp4 - own4
    own8 = jnp.where(rates.fp8 > 0.0, wide8, 0.0)
    return (fp32, bf16 + wide8 - own8, own8, own4)
