"""Measured products and attention calls: what a row means, its limits, and how close it comes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers import spec

from dse.evidence.kernel_rows import ATTENTION_KERNELS, batches
from dse.evidence.measured import Resolver, read_rows
from dse.evidence.prediction import Batch, Row, predict
from dse.evidence.validate import in_cache
from dse.model.pytree import lower, replace, stack
from dse.spec.catalog import Catalog
from dse.spec.workload import Software

MEASURED = Path(__file__).parent.parent / "specs" / "measured"


@cache
def resolver() -> Resolver:
    return Resolver(Catalog.default())


def gemm(m: int, n: int, k: int, dtype: str = "bf16", chip: str = "h100-sxm", **more: str) -> Row:
    cells = {"dtype": dtype, "m": str(m), "n": str(n), "k": str(k), **more}
    source = more.get("source", "")
    return Row(id=dtype, table="gemm", system=chip, source=source, cells=cells)


def attention(phase: str, batch: int, length: int, chip: str = "h100-sxm", **more: str) -> Row:
    cells = {
        "phase": phase,
        "dtype": "bf16",
        "kv_dtype": "bf16",
        "batch": str(batch),
        "heads": "32",
        "kv_heads": "8",
        "head_dim": "128",
        "seq_q": str(length if phase == "context" else 1),
        "seq_kv": str(length),
        **more,
    }
    return Row(id=phase, table="attention", system=chip, cells=cells)


def seconds(*rows: Row, **changes: float) -> list[float]:
    """Predictions of rows of one kind with the `kernels` stack, or another version of it."""
    (batch,), missing = batches(rows, resolver())
    assert not missing
    soft = replace(lower(spec(Software, "kernels")), **changes)
    return [float(v) for v in predict(batch, stack([soft] * len(rows)))[:, 0]]


PERFECT: Mapping[str, float] = {"matrix": 1.0, "memory": 1.0, "launch": 0.0, "narrow": 0.0}


def test_one_row_streams_its_weights() -> None:
    """[1, 8192] x [8192, 65536] in BF16: 1.07 GB over 3.35 TB/s and one access of 0.6 us."""
    (found,) = seconds(gemm(1, 65536, 8192), **PERFECT)
    assert found == pytest.approx(1.0739e9 / 3.347e12 + 0.63e-6, rel=1e-3)


def test_many_rows_reach_the_peak() -> None:
    """[16384, 16384] x [16384, 16384] at 989.4 TFLOP/s: 8.89 ms."""
    (found,) = seconds(gemm(16384, 16384, 16384), **PERFECT)
    assert found == pytest.approx(2 * 16384**3 / 989.4e12, rel=2e-3)


def test_fp8_pays_for_its_quantisation() -> None:
    """BF16 rows are read twice and written in a kernel of their own; once with given scales; not
    at all where the source timed the product alone."""
    size, alone = 8192 * 8192, {"notes": "best shape of a search (upper bound)"}
    plain, static, dynamic, library = seconds(
        gemm(8192, 8192, 8192, "fp8", **alone),
        gemm(8192, 8192, 8192, "fp8_static"),
        gemm(8192, 8192, 8192, "fp8"),
        gemm(8192, 8192, 8192, "fp8", source="x (VLLM 0.24.0)"),
        **PERFECT,
    )
    one = seconds(gemm(8192, 8192, 8192, "fp8", **alone), **{**PERFECT, "launch": 1e-4})[0]
    assert one - plain == pytest.approx(1e-4, rel=1e-3)
    assert plain == pytest.approx(2 * 8192**3 / 1978.9e12, rel=2e-3)
    assert static - plain == pytest.approx(3 * size / 3.347e12 + 0.63e-6, rel=1e-2)
    assert dynamic - static == pytest.approx(2 * size / 3.347e12, rel=1e-2)
    assert library == static


def test_narrow_weights_alone_save_bytes_not_flops() -> None:
    """INT4 weights: a quarter of the traffic of one row, the BF16 rate for many (A100)."""
    wide, narrow = seconds(
        gemm(1, 65536, 8192, "bf16", "a100-80gb"),
        gemm(1, 65536, 8192, "int4_wo", "a100-80gb"),
        **PERFECT,
    )
    assert wide / narrow == pytest.approx(4.0, rel=2e-2)
    both = seconds(
        gemm(8192, 8192, 8192, "bf16", "a100-80gb"),
        gemm(8192, 8192, 8192, "int4_wo", "a100-80gb"),
        **PERFECT,
    )
    assert both[0] == pytest.approx(both[1])


def test_int8_doubles_the_rate_of_chips_without_fp8() -> None:
    """NVIDIA A100 data sheet: 624 TOPS in INT8, 312 TFLOP/s in BF16."""
    (found,) = seconds(gemm(8192, 8192, 8192, "int8", "a100-80gb"), **PERFECT)
    assert found == pytest.approx(2 * 8192**3 / 624e12, rel=2e-3)


def test_decode_attention_streams_the_cache() -> None:
    """64 sequences of 8,192 tokens, 8 key-value heads of 128 in BF16: 2.15 GB, three launches."""
    (found,) = seconds(attention("generation", 64, 8192), **PERFECT)
    assert found == pytest.approx(2.1475e9 / 3.347e12 + ATTENTION_KERNELS * 0.63e-6, rel=2e-3)


def test_an_fp8_cache_makes_context_attention_fp8() -> None:
    """Long prompts: less time with an FP8 cache, the same whatever the queries come in."""
    wide, mixed, narrow = seconds(
        attention("context", 8, 16384),
        attention("context", 8, 16384, kv_dtype="fp8"),
        attention("context", 8, 16384, dtype="fp8", kv_dtype="fp8"),
    )
    assert mixed == narrow < 0.8 * wide


def test_nothing_moves_before_the_first_access_returns() -> None:
    """A product of nothing takes a launch, one access and the array's 48 cycles."""
    (found,) = seconds(gemm(1, 1, 1), **{**PERFECT, "launch": 2e-6})
    latency = resolver().system("h100-sxm").chip.memory.stack.latency
    assert found == pytest.approx(2e-6 + latency + 48 / 1.83e9, rel=1e-2)


def test_launches_are_all_that_is_left_of_a_small_call() -> None:
    """One short sequence: three launches and accesses, a few percent more."""
    (found,) = seconds(attention("generation", 1, 64), launch=5e-6)
    assert 1.0 <= found / (ATTENTION_KERNELS * 5.63e-6) < 1.03


def test_rows_that_say_too_little_are_returned_with_the_reason() -> None:
    """A missing size, an unknown type, an unknown chip, an unknown phase."""
    rows = [
        gemm(1, 64, 64, "posit8"),
        Row(id="a", table="gemm", system="h100-sxm", cells={"dtype": "bf16", "m": "4", "n": "4"}),
        gemm(1, 64, 64, chip="h1000"),
        attention("training", 1, 64),
        Row(id="b", table="serve"),
    ]
    made, missing = batches(rows, resolver())
    assert made == []
    assert [each.id for each in missing] == ["posit8", "a", "bf16", "training"]
    for each, word in zip(missing, ("posit8", "no k", "h1000", "phase"), strict=True):
        assert word in each.reason


@cache
def measured() -> tuple[list[Batch], np.ndarray]:
    """Batches of all rows shipped, and what the `kernels` stack predicts over what was measured."""
    files = [MEASURED / "micro_gemm.csv", MEASURED / "micro_attention.csv"]
    made, missing = batches(read_rows(files), resolver())
    assert missing == []
    soft = lower(spec(Software, "kernels"))
    found = [predict(b, stack([soft] * len(b.rows)))[:, 0] / b.measured[:, 0] for b in made]
    return made, np.concatenate(found) - 1.0


@pytest.mark.parametrize("table", ["gemm", "attention"])
def test_measured_kernels_are_predicted_within_15_percent(table: str) -> None:
    """Mean error of cold products and of attention, outliers of any library included."""
    made, errors = measured()
    rows = [row for batch in made for row in batch.rows]
    kept = [
        abs(error)
        for row, error in zip(rows, errors, strict=True)
        if row.table == table and (table == "attention" or not in_cache(row, resolver()))
    ]
    assert len(kept) > 500
    assert np.mean(kept) < 0.15
    assert np.isfinite(errors).all()


@pytest.mark.parametrize("field", ["matrix", "attention", "vector", "memory"])
def test_a_better_stack_is_never_slower(field: str) -> None:
    """A larger attained share never adds time to any row."""
    soft = lower(spec(Software, "kernels"))
    better = replace(soft, **{field: getattr(soft, field) * 1.1})
    for batch in measured()[0]:
        count = len(batch.rows)
        one, two = (predict(batch, stack([s] * count)) for s in (soft, better))
        assert (two <= one * (1 + 1e-5)).all()
