"""Serving rows: what their cells mean, and that they are predicted as they were run."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

from dse.evidence.measured import Resolver
from dse.evidence.prediction import Row, predict
from dse.evidence.serving_rows import METRICS, batches
from dse.model.pytree import lower, stack
from dse.spec import Catalog

RESOLVER = Resolver(Catalog.default())
CELLS = {
    "system": "h100-sxm",
    "chips": "8",
    "model": "llama-3.3-70b",
    "weights": "fp8",
    "activations": "fp8",
    "kv": "fp8",
    "mode": "static",
    "seq_in": "1000",
    "seq_out": "500",
    "batch": "64",
    "tp": "8",
}


def row(name: str = "a", **cells: str) -> Row:
    """A row with some cells changed."""
    made = {**CELLS, **cells}
    return Row(
        id=name,
        table="serve",
        system=made["system"],
        model=made["model"],
        software="default",
        cells=made,
        measured={"tpot_s": 0.02},
    )


def predicted(*rows: Row, **software: float) -> dict[str, np.ndarray]:
    """METRICS of rows by the default stack, with some of its numbers changed."""
    (batch,), left = batches(rows, RESOLVER)
    assert left == []
    one = attrs.evolve(RESOLVER.software("default"), **software)  # type: ignore[arg-type]
    found = predict(batch, stack([lower(one)] * len(rows)))
    return {name: found[:, index] for index, name in enumerate(METRICS)}


@pytest.mark.slow
def test_a_static_batch_is_its_prompts_then_its_answers() -> None:
    """Throughput = batch x answer / (first token + the rest), from the same prediction."""
    found = predicted(row())
    seconds = found["ttft_s"] + 499 * found["tpot_s"]
    assert found["output_tokens_per_s"] == pytest.approx(64 * 500 / seconds, rel=1e-4)


@pytest.mark.slow
def test_continuous_batching_waits_longer_for_the_first_token() -> None:
    """Prompts stand in a queue and share steps; a token takes longer than in a static batch."""
    found = predicted(row(mode="static"), row(mode="continuous"))
    assert found["tpot_s"][1] > found["tpot_s"][0]


@pytest.mark.parametrize(
    ("cells", "metric", "faster"),
    [
        ({"weights": "bf16", "activations": "bf16"}, "tpot_s", False),
        ({"batch": "8"}, "tpot_s", True),
        ({"system": "h200"}, "tpot_s", True),
        ({"seq_in": "8000"}, "ttft_s", False),
        ({"tp": "4", "chips": "4"}, "tpot_s", False),
    ],
)
def test_cells_change_what_they_should(cells: dict[str, str], metric: str, faster: bool) -> None:
    """Precision, batch, chip, length and degree each move a latency the right way."""
    before, after = predicted(row(), row(**cells))[metric]
    assert bool(after < before) is faster


def test_cores_of_neuron_rows_become_chips() -> None:
    """24 cores of 12 chips with two cores each are a degree of 12."""
    given = {"system": "inferentia2", "model": "llama-3.1-8b", "chips": "12", "tp": "24"}
    (batch,), _ = batches([row(notes="cores_per_chip=2", **given)], RESOLVER)
    assert batch.inputs.mapping.tp == [12.0]


def test_blank_degrees_are_the_quickest_that_fit() -> None:
    """405 billion FP8 parameters on 8 H200 need all of them; blanks never fail."""
    blank = row(system="h200", model="llama-3.1-405b", tp="", batch="", mode="continuous")
    (batch,), left = batches([blank], RESOLVER)
    assert left == []
    inputs: Any = batch.inputs
    assert float(inputs.mapping.tp[0] * inputs.mapping.pp[0]) >= 4


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"seq_in": ""}, "no seq_in"),
        ({"model": ""}, "no model"),
        ({"weights": "fp7"}, "unknown format 'fp7'"),
        ({"model": "nobody-1b"}, "no model is named"),
    ],
)
def test_what_cannot_be_predicted_says_why(cells: dict[str, str], reason: str) -> None:
    """The other rows are predicted."""
    made, left = batches([row("good"), row("bad", **cells)], RESOLVER)
    assert [each.id for each in left] == ["bad"]
    assert reason in left[0].reason
    assert [each.id for each in made[0].rows] == ["good"]


@pytest.mark.slow
def test_disaggregated_rows_have_two_sides() -> None:
    """Prompts read elsewhere do not slow answers down, and throughput follows from latencies."""
    given = {"mode": "disaggregated", "tp": "", "batch": "64", "chips": "16", "decode_chips": "8"}
    found = predicted(
        row("few", prefill_chips="8", **given),
        row("many", prefill_chips="32", **given),
        row("together", mode="continuous"),
    )
    assert found["tpot_s"][0] < found["tpot_s"][2]
    assert found["ttft_s"][1] <= found["ttft_s"][0] * 1.01
    seconds = found["ttft_s"][:2] + 500 * found["tpot_s"][:2]
    assert found["output_tokens_per_s"][:2] == pytest.approx(64 * 500 / seconds, rel=0.1)


def test_maturity_divides_speed() -> None:
    """Half as mature: twice the times, half the throughput."""
    one, half = predicted(row()), predicted(row(), maturity=0.5)
    assert half["tpot_s"] == pytest.approx(2 * one["tpot_s"], rel=1e-5)
    assert half["output_tokens_per_s"] == pytest.approx(one["output_tokens_per_s"] / 2, rel=1e-5)


def test_four_bits_are_the_experts_alone() -> None:
    """gpt-oss keeps attention and embeddings in BF16 beside MXFP4 experts; FP8 is of all weights.

    A dense model has no experts: its four bits are of all it has.
    """
    asked = {
        ("gpt-oss-120b", "mxfp4"): "bf16",
        ("gpt-oss-120b", "fp8"): "same",
        ("llama-3.3-70b", "int4"): "same",
    }
    words = ("same", "fp32", "bf16", "fp8", "fp4")
    for (model, weights), others in asked.items():
        (batch,), _ = batches([row(model=model, weights=weights)], RESOLVER)
        found = [float(weight[0]) for weight in batch.inputs.workload.others]
        assert found == [float(word == others) for word in words]
