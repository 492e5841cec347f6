"""Peaks, tiles and memory traffic of a chip against published and hand-worked numbers."""

from __future__ import annotations

import math

import pytest
from helpers import spec, system

from dse.model.pytree import lower, replace
from dse.model.roofline import (
    Machine,
    ceil,
    effective_rates,
    executed,
    machine,
    matrix_time,
    reuse_bytes,
    storage,
    tiles,
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
    assert float(tiles(bare("trainium2"), k, n, rate)) == expected


def test_a_tile_lasts_as_long_as_its_load() -> None:
    """128 rows loaded 4 a cycle: 32 cycles for one row of input, 1,000 for 1,000."""
    made = bare("trainium2")
    cycles = 8 * 2.4e9
    assert float(matrix_time(made, 64.0, 1.0)) == pytest.approx(64 * 32 / cycles)
    assert float(matrix_time(made, 64.0, 1000.0)) == pytest.approx(64 * 1000 / cycles)


def test_full_tiles_reach_the_peak() -> None:
    """A large product takes 2 m n k / peak."""
    made = bare("trainium2")
    m, k, n = 1e5, 8192.0, 8192.0
    seconds = matrix_time(made, tiles(made, k, n, 1.0), m)
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
