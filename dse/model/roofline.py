"""A chip as its operators see it: engines, attained bandwidth, and the time of one operator.

An operator's time is the largest of its time on the matrix engine, on the vector engines and at
memory, plus a fixed launch time (the roofline of Williams, Waterman and Patterson, CACM 2009).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar
from dse.spec.chip import Chip
from dse.spec.workload import Software

BITS = (32.0, 16.0, 8.25, 4.5)
"""Bits of a stored number by precision (fp32, bf16, fp8, fp4), block scales counted: MXFP8 has one
8-bit scale for 32 values (OCP Microscaling Formats v1.0, 2023), NVFP4 one for 16."""

BITS_PER_BYTE = 8.0

DOUBLE_BUFFER = 0.5
"""Share of SRAM that may wait for memory while the other half is worked on."""


class Machine(NamedTuple):
    """What one chip offers, software efficiencies applied.

    array_rate: array cycles per second of all arrays; rows, columns, fill: of one array, fill in
    cycles a tile lasts at least; skew: seconds from the first operand in to the last sum out;
    rates: operations per cell and cycle by precision; vector: FLOP/s; exponentials: 1/s;
    bandwidth: attained bytes/s; sram, tile: bytes of the chip, and of the SRAM one tile may use;
    dies: of the package; die_to_die: bytes/s from one to the next.
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


def ceil(value: Scalar) -> Scalar:
    """The next whole number, forgiving float32's last digits; its derivative is zero."""
    return jnp.ceil(jax.lax.stop_gradient(value) * (1.0 - 1e-6))


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
    )


def tiles(chip: Machine, k: Scalar, n: Scalar, rate: Scalar) -> Scalar:
    """Array tiles of a [k, n] stationary operand; a narrow format deepens the array by its rate.

    Partly filled tiles count whole: that is the quantisation of a systolic array.
    """
    return ceil(k / (chip.rows * rate)) * ceil(n / chip.columns)


def matrix_time(chip: Machine, tile_count: Scalar, rows: Scalar) -> Scalar:
    """Seconds to stream `rows` rows through tiles; a tile lasts at least as long as its load."""
    return tile_count * jnp.maximum(rows, chip.fill) / chip.array_rate


def reuse_bytes(chip: Machine, products: Scalar, compulsory: Scalar, size: Scalar) -> Scalar:
    """Memory traffic of a matrix product of m*k*n = `products` with tiles held in SRAM.

    The larger of the compulsory traffic and the lower bound 2 m n k / sqrt(S) of Hong and Kung
    (STOC 1981; constant from Smith et al. 2019, arXiv:1702.02017), S elements of `size` bytes.
    """
    elements = jnp.maximum(chip.tile / size, 1.0)
    blocked = 2.0 * products * size / jnp.sqrt(elements)
    return jnp.where(chip.tile > 0.0, jnp.maximum(compulsory, blocked), compulsory)


def executed(precision: tuple[Scalar, ...], chip: Chip) -> tuple[Scalar, ...]:
    """Weights over PRECISIONS of what the arrays run: what they lack moves to the next wider."""
    fp32, bf16, fp8, fp4 = precision
    rates = chip.die.core.array.rates
    own4 = jnp.where(rates.fp4 > 0.0, fp4, 0.0)
    wide8 = fp8 + fp4 - own4
    own8 = jnp.where(rates.fp8 > 0.0, wide8, 0.0)
    return (fp32, bf16 + wide8 - own8, own8, own4)
