"""Peaks, tiles and memory traffic of a chip against published and hand-worked numbers."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest
from helpers import spec, system
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.model.pytree import lower, replace
from dse.model.roofline import (
    ROW_BLOCK,
    Machine,
    ceil,
    depth,
    drag,
    effective_rates,
    executed,
    machine,
    product_bytes,
    product_time,
    reuse_bytes,
    storage,
    work,
)
from dse.spec.chip import Chip
from dse.spec.workload import Software


def chip(name: str) -> Chip:
    return lower(spec(Chip, name))


def bare(name: str, software: str = "ideal") -> Machine:
    return machine(chip(name), lower(spec(Software, software)))


def peak(made: Machine, precision: int) -> float:
    return float(2.0 * made.array_rate * made.rows * made.columns * made.rates[precision])


@pytest.mark.parametrize(
    ("name", "precision", "published"),
    [
        # 8 NeuronCore-v3 x 128 x 128 x 2.4 GHz x 2 = 629 TFLOP/s in the arrays (AWS markets 667,
        # vector and scalar engines included); FP8 twice that
        ("trainium2", 1, 629.1e12),
        ("trainium2", 2, 1258.3e12),
        # NVIDIA H100 SXM data sheet, dense: 989.4 and 1,978.9 TFLOP/s
        ("h100-sxm", 1, 989.4e12),
        ("h100-sxm", 2, 1978.9e12),
        # NVIDIA A100 data sheet: 312 TFLOP/s; FP8 runs as BF16
        ("a100-80gb", 1, 312e12),
        ("a100-80gb", 2, 312e12),
    ],
)
def test_matrix_peaks_follow_from_parts(name: str, precision: int, published: float) -> None:
    """Cells x clock x 2, per precision; what a chip lacks runs at the next wider."""
    assert peak(bare(name), precision) == pytest.approx(published, rel=2e-3)


def test_the_language_and_the_model_have_one_peak() -> None:
    """`Chip.matrix_peak`, which `show` prints, is what the model computes with."""
    for name, precision in (("trainium2", 1), ("b200", 3), ("a100-80gb", 3)):
        words = ("fp32", "bf16", "fp8", "fp4")
        assert peak(bare(name), precision) == pytest.approx(
            spec(Chip, name).matrix_peak(words[precision]), rel=1e-6
        )


def test_trainium2_streams_its_published_bandwidth() -> None:
    """4 stacks x 1,024 pins x 5.7 Gb/s / 8 = 2.918 TB/s (AWS: 2.9)."""
    assert float(bare("trainium2").bandwidth) == pytest.approx(2.9184e12, rel=1e-6)


def test_software_takes_its_share() -> None:
    """Each efficiency multiplies the engine it is named after."""
    software = lower(spec(Software, "default"))
    ideal, real = bare("h100-sxm"), bare("h100-sxm", "default")
    assert float(real.array_rate / ideal.array_rate) == pytest.approx(software.matrix)
    assert float(real.vector / ideal.vector) == pytest.approx(software.vector)
    assert float(real.exponentials / ideal.exponentials) == pytest.approx(software.vector)
    assert float(real.bandwidth / ideal.bandwidth) == pytest.approx(software.memory)


def test_little_sram_cannot_keep_memory_busy() -> None:
    """Little's law: 1 MiB with half in flight over 500 ns streams at most 1.05 TB/s."""
    made = chip("trainium2")
    core = replace(made.die.core, sram=2.0**20 / 8)
    memory = replace(made.memory, stack=replace(made.memory.stack, latency=500e-9))
    small = replace(made, die=replace(made.die, core=core), memory=memory)
    found = machine(small, lower(spec(Software, "ideal")))
    assert float(found.bandwidth) == pytest.approx(0.5 * 2.0**20 / 500e-9, rel=1e-5)


def test_spares_do_not_compute() -> None:
    """A B200 die computes with its enabled cores only."""
    made = chip("h100-sxm")
    core = made.die.core
    assert core.spare > 0.0
    found = float(bare("h100-sxm").array_rate)
    assert found == pytest.approx(made.dies * (core.count - core.spare) * core.arrays * core.clock)


@pytest.mark.parametrize(
    ("k", "n", "rate", "expected"),
    [
        (128, 128, 1, 1),
        (129, 128, 1, 2),
        (8192, 8192, 1, 64 * 64),
        # FP8 at twice the rate contracts over 256 rows at once
        (8192, 8192, 2, 32 * 64),
        (8192, 100, 1, 64),
        (0, 128, 1, 0),
    ],
)
def test_partly_filled_tiles_count_whole(k: float, n: float, rate: float, expected: float) -> None:
    """A [k, n] operand on a 128 x 128 array takes ceil(k / 128 rate) x ceil(n / 128) tiles."""
    assert float(work(bare("trainium2"), rate, [(k, n, 1.0)]).tiles) == expected


def test_a_tile_lasts_as_long_as_its_load() -> None:
    """128 rows loaded 4 a cycle: 32 cycles for one row of input, 1,000 for 1,000."""
    made = bare("trainium2")
    cycles = 8 * 2.4e9
    done = work(made, 1.0, [(1024.0, 1024.0, 1.0)])
    assert (float(done.tiles), float(done.idle)) == (64.0, 0.0)
    assert float(product_time(made, done, 1.0)) == pytest.approx(64 * 32 / cycles)
    assert float(product_time(made, done, 1000.0)) == pytest.approx(64 * 1000 / cycles)


def test_full_tiles_reach_the_peak() -> None:
    """A large product takes 2 m n k / peak."""
    made = bare("trainium2")
    m, k, n = 1e5, 8192.0, 8192.0
    seconds = product_time(made, work(made, 1.0, [(k, n, 1.0)]), m)
    assert float(seconds) == pytest.approx(2 * m * k * n / 629.1456e12, rel=1e-6)


def test_traffic_is_the_bound_of_hong_and_kung() -> None:
    """2 m n k / sqrt(S) numbers (Hong and Kung 1981; constant: Smith et al. 2019, 1702.02017)."""
    made = bare("trainium2")._replace(tile=2.0 * 10**6)
    products = 1e5 * 1e4 * 1e4
    worked = 2.0 * 2.0 * products / math.sqrt(1e6)
    assert float(reuse_bytes(made, products, 1.0, 2.0)) == pytest.approx(worked, rel=1e-6)


def test_traffic_is_at_least_compulsory() -> None:
    """With SRAM enough, every weight still comes once; without any SRAM nothing is known."""
    made = bare("trainium2")
    assert float(reuse_bytes(made, 1e3, 5e6, 1.0)) == 5e6
    assert float(reuse_bytes(made._replace(tile=0.0), 1e20, 5e6, 1.0)) == 5e6


def test_stored_numbers_count_their_block_scales() -> None:
    """MXFP8: 8 + 8/32 bits; NVFP4: 4 + 8/16 bits (OCP MX v1.0; NVIDIA NVFP4)."""
    assert storage((1.0, 0.0, 0.0, 0.0)) == 4.0
    assert storage((0.0, 1.0, 0.0, 0.0)) == 2.0
    assert storage((0.0, 0.0, 1.0, 0.0)) == pytest.approx(8.25 / 8)
    assert storage((0.0, 0.0, 0.0, 1.0)) == pytest.approx(4.5 / 8)


def test_a_missing_format_runs_at_the_next_wider() -> None:
    """Trainium2 has no FP4: rate and energy are those of FP8; A100 runs all in BF16."""
    rates = chip("trainium2").die.core.array.rates
    assert [float(rate) for rate in effective_rates(chip("trainium2"))] == [
        rates.fp32,
        rates.bf16,
        rates.fp8,
        rates.fp8,
    ]
    fp4 = (0.0, 0.0, 0.0, 1.0)
    assert [float(w) for w in executed(fp4, chip("trainium2"))] == [0.0, 0.0, 1.0, 0.0]
    assert [float(w) for w in executed(fp4, chip("a100-80gb"))] == [0.0, 1.0, 0.0, 0.0]
    assert [float(w) for w in executed(fp4, chip("b200"))] == [0.0, 0.0, 0.0, 1.0]


def test_ceil_forgives_the_last_digits_of_float32() -> None:
    """64.00001 heads are 64; 64.01 are 65."""
    assert float(ceil(64.00001)) == 64.0
    assert float(ceil(64.01)) == 65.0
    assert float(ceil(0.0)) == 0.0


def test_a_system_without_cores_still_evaluates() -> None:
    """More spares than cores: a rule says so, the model stays finite."""
    made = system("trn2-ultraserver").chip
    none = replace(made, die=replace(made.die, core=replace(made.die.core, spare=9.0)))
    assert float(machine(none, lower(spec(Software, "ideal"))).array_rate) > 0.0


def test_narrow_operands_leave_part_of_the_time_as_it_is() -> None:
    """Amdahl 1967: with 0.2 that does not shrink, FP8 takes 0.6 and FP4 0.4 of the BF16 time."""
    made = bare("b200")._replace(narrow=0.2)
    shapes = [(16384.0, 16384.0, 1.0)]
    wide, half, quarter = (
        product_time(made, work(made, rate, shapes), 4096.0) for rate in (1.0, 2.0, 4.0)
    )
    assert float(half / wide) == pytest.approx(0.6, rel=1e-3)
    assert float(quarter / wide) == pytest.approx(0.4, rel=1e-3)
    assert float(drag(made, 0.5)) == 1.0


def test_a_partial_wave_of_tiles_lasts_as_long_as_a_whole_one() -> None:
    """Trainium2 has 8 arrays of 128 x 128: 9 tiles take two waves, 16 as well, 17 three.

    The quantisation of NVIDIA's matrix multiplication guide ("wave quantization": with 108 SMs
    109 tiles take as long as 216), for tiles of weights over arrays.
    """
    made = bare("trainium2")
    assert float(made.arrays) == 8.0

    def waves(columns: float) -> float:
        done = work(made, 1.0, [(128.0, 128.0 * columns, 1.0)])
        return float(product_time(made, done, 256.0)) * float(made.array_rate) / (8.0 * 256.0)

    assert [waves(c) for c in (1.0, 8.0, 9.0, 16.0, 17.0)] == pytest.approx([1, 1, 2, 2, 3])


def test_copies_fill_a_wave_together() -> None:
    """Eight heads with one tile each keep eight arrays busy."""
    made = bare("trainium2")
    heads = work(made, 1.0, [(128.0, 128.0, 8.0)])
    assert float(heads.idle) == 0.0
    assert float(heads.inputs) == float(heads.outputs) == 8 * 128


def test_many_rows_share_out_the_last_wave() -> None:
    """Of 9 tiles on 8 arrays the last is worked on whole for 512 rows, then by all arrays."""
    made = bare("trainium2")
    done = work(made, 1.0, [(128.0, 128.0 * 9.0, 1.0)])
    seconds = product_time(made, done, 8192.0) * made.array_rate
    assert float(seconds) == pytest.approx(9 * 8192 + 7 * ROW_BLOCK)


def test_the_fill_of_an_array_bounds_few_rows() -> None:
    """128 columns that take 4 weights a cycle: a tile lasts 32 cycles, be there 1 row or 32."""
    made = bare("trainium2")
    done = work(made, 1.0, [(8192.0, 8192.0, 1.0)])
    one, full = product_time(made, done, 1.0), product_time(made, done, 32.0)
    assert float(one) == float(full) == pytest.approx(64 * 64 / 8 * 32 / 2.4e9)


def test_few_rows_are_bound_by_their_weights() -> None:
    """H100, [1, 8192] x [8192, 65536]: 1.07 GB at 3.35 TB/s, 320 us; arrays take a tenth."""
    made = bare("h100-sxm")
    done = work(made, 1.0, [(8192.0, 65536.0, 1.0)])
    moved = product_bytes(made, done, 1.0, 2.0, 2.0, 2.0)
    assert float(moved) == pytest.approx(2 * (8192 * 65536 + 8192 + 65536), rel=1e-5)
    assert float(moved / made.bandwidth) == pytest.approx(320.6e-6, rel=5e-3)
    assert float(product_time(made, done, 1.0)) < 0.1 * float(moved / made.bandwidth)


SHAPES = st.tuples(
    st.integers(1, 20000), st.integers(1, 20000), st.sampled_from(["trainium2", "h100-sxm", "b200"])
)


@settings(deadline=None, max_examples=60)
@given(SHAPES, st.floats(0.5, 30000.0), st.floats(1.0, 8.0))
def test_more_rows_take_longer_but_not_in_excess(
    shape: tuple[int, int, str], rows: float, factor: float
) -> None:
    """Time rises with rows, no faster than in proportion: the batch at a limit is sought on it."""
    k, n, name = shape
    made = bare(name)
    done = work(made, 1.0, [(float(k), float(n), 1.0)])
    few, many = (float(product_time(made, done, r)) for r in (rows, rows * factor))
    assert few <= many * (1 + 1e-5)
    assert many <= few * factor * (1 + 1e-5)


@settings(deadline=None, max_examples=60)
@given(SHAPES, st.floats(1.0, 30000.0), st.floats(1.0, 4.0))
def test_more_of_anything_is_never_slower(
    shape: tuple[int, int, str], rows: float, factor: float
) -> None:
    """Cores, clock, bandwidth, SRAM and attained shares never make a product slower."""
    k, n, name = shape
    soft = lower(spec(Software, "kernels"))
    made = chip(name)
    core, stack = made.die.core, made.memory.stack

    def seconds(changed: Chip, stack: Software = soft) -> float:
        view = machine(changed, stack)
        done = work(view, 1.0, [(float(k), float(n), 1.0)])
        memory = product_bytes(view, done, rows, 2.0, 2.0, 2.0) / view.bandwidth
        return float(jnp.maximum(product_time(view, done, rows), memory) + view.skew + view.latency)

    def with_core(**more: float) -> Chip:
        return replace(made, die=replace(made.die, core=replace(core, **more)))

    faster = replace(made.memory, stack=replace(stack, rate=stack.rate * factor))
    better = [
        seconds(with_core(count=core.count + round(factor) * 2.0)),
        seconds(with_core(clock=core.clock * factor)),
        seconds(with_core(sram=core.sram * factor)),
        seconds(replace(made, memory=faster)),
        seconds(made, replace(soft, matrix=min(soft.matrix * factor, 1.0))),
        seconds(made, replace(soft, memory=min(soft.memory * factor, 1.0))),
        seconds(made, replace(soft, narrow=soft.narrow / factor)),
    ]
    assert max(better) <= seconds(made) * (1 + 2e-5)


@pytest.mark.parametrize("rows", [1.0, 300.0, 4096.0])
def test_gradients_of_a_product_are_differences(rows: float) -> None:
    """d ln(time) for rows, clock and bandwidth against central differences; none for columns."""

    def logarithm(vector: jax.Array) -> jax.Array:
        rows, rate, bandwidth, columns = vector
        made = bare("trainium2")
        made = made._replace(array_rate=made.array_rate * rate)
        done = work(made, 2.0, [(5120.0, 1000.0 * columns, 1.0)])
        moved = product_bytes(made, done, rows, 0.0, 1.0, 2.0) / (made.bandwidth * bandwidth)
        return jnp.log(product_time(made, done, rows) + moved)

    with jax.enable_x64(True):
        at = jnp.array([rows, 1.0, 1.0, 1.0])
        found = jax.grad(logarithm)(at)
        for i in range(3):
            step = jnp.zeros(4).at[i].set(1e-5 * at[i])
            difference = (logarithm(at + step) - logarithm(at - step)) / (2 * step[i])
            assert float(found[i]) == pytest.approx(float(difference), rel=1e-4, abs=1e-8)

    def tiled(columns: jax.Array) -> jax.Array:
        made = bare("trainium2")
        return jnp.asarray(product_time(made, work(made, 1.0, [(512.0, columns, 1.0)]), 64.0))

    assert float(jax.grad(tiled)(1000.0)) == 0.0


def test_a_contraction_that_fits_a_wider_format_does_not_drag() -> None:
    """128 of k fill one pass of Trainium4's 128 rows in BF16 already, so that FP8 at four times the
    rate costs no more; 512 of k take one pass of four times the depth: 1 + 0.25 x 3 = 1.75."""
    stack = replace(lower(spec(Software, "ideal")), narrow=0.25)
    made = machine(chip("trainium4"), stack)
    assert [float(part) for part in depth(made, 128.0, 4.0)] == [1.0, 1.0]
    assert [float(part) for part in depth(made, 512.0, 4.0)] == [1.75, 1.0]
