"""What training keeps in memory, against the worked formulas of Korthikanti et al. 2022."""

from __future__ import annotations

import pytest
from helpers import mapping

from dse.model.footprint import (
    Parameters,
    activations_of_token,
    layers_in_flight,
    weights_held,
)
from dse.model.pytree import lower
from dse.model.transformer import Mapping
from dse.spec.workload import LanguageModel

HIDDEN, HEADS, LENGTH = 12288.0, 96.0, 2048.0


def gpt() -> LanguageModel:
    """GPT-3 with 175 billion parameters: no gate, as many key heads as query heads."""
    return lower(
        LanguageModel(
            layers=96,
            hidden=HIDDEN,
            heads=HEADS,
            key_value_heads=HEADS,
            head_dimension=128,
            ffn=4 * HIDDEN,
            gated=False,
            vocabulary=51200,
            dense_layers=96,
        )
    )


def kept(row: Mapping, scores: float = LENGTH) -> float:
    return float(activations_of_token(gpt(), row, 2.0, 2.0, scores))


SCORES = 5 * HEADS * LENGTH / HIDDEN
"""5 a s / h: bytes that scores add for one element of the residual stream."""


@pytest.mark.parametrize(
    ("row", "bytes_each"),
    [
        (mapping(), 34 + SCORES),
        (mapping(tp=8.0, sequence_parallel=0.0), 10 + 24 / 8 + SCORES / 8),
        (mapping(tp=8.0), (34 + SCORES) / 8),
        (mapping(tp=8.0, recompute=0.5), 34 / 8),
        (mapping(tp=8.0, recompute=1.0), 2 / 8),
        (mapping(tp=8.0, recompute=1.0, sequence_parallel=0.0), 2),
    ],
)
def test_a_layer_keeps_what_table_two_says(row: Mapping, bytes_each: float) -> None:
    """Table 2: sbh (34 + 5as/h), tensor and sequence parallel, selective and full recomputation."""
    assert kept(row) == pytest.approx(bytes_each * HIDDEN, rel=1e-5)


def test_fused_attention_keeps_no_scores_and_no_masks() -> None:
    """Without scores in memory nor dropout: 32 of the 34 (its two masks go)."""
    assert kept(mapping(), 0.0) == pytest.approx(32 * HIDDEN, rel=1e-5)


def test_operands_in_eight_bits_take_one_byte() -> None:
    """FP8: two norms' outputs and the activation's product at one byte: 32 - 2 - 4."""
    found = float(activations_of_token(gpt(), mapping(), 2.0, 1.0))
    assert found == pytest.approx((32 - 2 - 4) * HIDDEN, rel=1e-5)


@pytest.mark.parametrize(
    ("row", "rounds", "layers"),
    [
        (mapping(), 64.0, 96.0),
        (mapping(pp=8.0), 64.0, 96.0),
        (mapping(pp=8.0), 2.0, 24.0),
        (mapping(pp=8.0, virtual=3.0), 64.0, 96.0 * (1 + 7 / 24)),
    ],
)
def test_the_first_stage_holds_as_many_micro_batches_as_stages(
    row: Mapping, rounds: float, layers: float
) -> None:
    """L layers with 1F1B, L (1 + (p - 1) / (p m)) interleaved (section 4.2.3); fewer with fewer."""
    assert float(layers_in_flight(96.0, row, rounds)) == pytest.approx(layers)


def test_experts_and_all_other_weights_have_bytes_of_their_own() -> None:
    """gpt-oss-120b: 114.7 G expert parameters in 4.25 bits, 2.1 G others in BF16: 65 GB.

    OpenAI's model card (2025) has a checkpoint of 60.8 GiB.
    """
    held = Parameters(shared=0.98e9, experts=114.7e9, embeddings=1.16e9)
    bytes_held = weights_held(held, 4.25 / 8.0, 2.0)
    assert bytes_held == pytest.approx(60.8 * 2**30, rel=0.02)
    assert weights_held(held, 2.0, 2.0) == pytest.approx(2.0 * held.total)
