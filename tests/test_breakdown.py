"""What a predicted time is made of: shares by operator group and by what binds it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dse.cli.options import catalogue_of
from dse.evidence.breakdown import OVERHEAD, breakdowns, told, worst
from dse.evidence.measured import Resolver, measured_files, read_rows
from dse.evidence.prediction import Batch, Row
from dse.evidence.serving_rows import batches
from dse.evidence.validate import Outcome, predictor_of, stacks_of, validate


def half_and_half(software: Any, work: Any) -> tuple[Any, ...]:
    """A time of 3 s of products, 1 s of memory and 1 s of neither at best, and a rate."""
    time = 3.0 * work / software.matrix + work / software.memory + work
    return time, 1.0 / time


def resolver() -> Resolver:
    """The shipped specs."""
    return Resolver.beside(measured_files(), catalogue_of(()))


def made(parts: Any = None) -> Batch:
    """One row of the toy, by the ideal stack: its efficiencies are one."""
    row = Row(id="a", table="train", system="h100-sxm", software="ideal")
    metrics = ("step_time_s", "tokens_per_s_per_chip")
    inputs = np.array([1.0], np.float32)
    return Batch(rows=(row,), metrics=metrics, inputs=inputs, function=half_and_half, parts=parts)


def test_bounds_are_what_shortens_a_time() -> None:
    """Of five seconds three shrink with matrix products, one with memory; one with neither.

    A step of 2 % of the logarithm leaves the shares a hundredth off.
    """
    batch = made()
    stacks = stacks_of(batch.rows, resolver())
    found = breakdowns(batch, stacks)[0]
    for metric in batch.metrics:
        shares = found[metric].bounds
        by_hand = {"matrix": 3.0 / stacks.matrix[0], "memory": 1.0 / stacks.memory[0]}
        whole = sum(by_hand.values()) + 1.0
        assert shares["matrix"] == pytest.approx(by_hand["matrix"] / whole, abs=0.01)
        assert shares["memory"] == pytest.approx(by_hand["memory"] / whole, abs=0.01)
        assert shares[OVERHEAD] == pytest.approx(1.0 / whole, abs=0.01)
        assert found[metric].operators == {}


def test_operators_are_shares_largest_first() -> None:
    """Seconds by operator group become shares; a metric without parts has none."""

    def parts(software: Any, work: Any) -> dict[str, dict[str, Any]]:
        return {"step_time_s": {"small": jnp.abs(work), "large": 3.0 * work, "none": 0.0 * work}}

    batch = made(parts)
    found = breakdowns(batch, stacks_of(batch.rows, resolver()))[0]
    assert list(found["step_time_s"].operators) == ["large", "small"]
    assert found["step_time_s"].operators["large"] == pytest.approx(0.75)
    assert found["tokens_per_s_per_chip"].operators == {}
    assert told(found["step_time_s"].operators) == "large 75, small 25"


def test_parts_of_serving_rows_add_up_to_their_predictions() -> None:
    """A static batch: prompts and answers; continuous: the mean step, and the first token's time.

    So seconds by operator group are the seconds that are predicted, maturity aside.
    """
    files = [file for file in measured_files() if file.name == "serve.csv"]
    rows = read_rows(files)
    static = next(r for r in rows if r.software == "trtllm-0.9" and r.text("mode") == "static")
    loaded = next(r for r in rows if r.software == "vllm-0.18.0" and "tpot_s" in r.measured)
    (batch,), left = batches([static, loaded], resolver())
    assert not left
    assert batch.parts is not None
    for index, row in enumerate(batch.rows):
        stack = stacks_of([row], resolver())
        software = jax_row(stack)
        inputs = jax_leaves(batch.inputs, index)
        first, token, rate = (float(v) for v in batch.function(software, inputs))
        parts = batch.parts(software, inputs)
        seconds = {name: float(sum(group.values())) for name, group in parts.items()}
        slower = float(software.maturity)
        assert seconds["ttft_s"] == pytest.approx(first * slower, rel=1e-3)
        assert seconds["tpot_s"] == pytest.approx(token * slower, rel=1e-3)
        if row is static:
            users = float(inputs.users)
            answers = float(inputs.workload.tokens_out)
            whole = users * answers / (rate / slower)
            assert seconds["output_tokens_per_s"] == pytest.approx(whole, rel=0.02)


def test_parts_of_training_rows_add_up_to_their_predictions() -> None:
    """A step of a run on many chips: its operator groups are its seconds, maturity counted."""
    rows = read_rows([file for file in measured_files() if file.name == "train.csv"])
    row = next(r for r in rows if r.software == "megatron-2022" and r.number("pp", 1.0) != 1.0)
    (batch,), left = predictor_of("train")([row], resolver())
    assert not left
    assert batch.parts is not None
    software, inputs = jax_row(stacks_of([row], resolver())), jax_leaves(batch.inputs, 0)
    step, _ = (float(value) for value in batch.function(software, inputs))
    groups = batch.parts(software, inputs)["step_time_s"]
    assert sum(map(float, groups.values())) == pytest.approx(step, rel=1e-3)
    assert float(groups["pipeline"]) > 0.0


def jax_leaves(tree: Any, index: int) -> Any:
    """One row of a tree whose leaves have shape [n]."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[index], jnp.float32), tree)


def jax_row(tree: Any) -> Any:
    """The only row of a tree whose leaves have shape [1]."""
    return jax_leaves(tree, 0)


def test_the_worst_are_off_by_most_factors() -> None:
    """Half counts as much as double; what nothing predicted is left out."""
    row = Row(id="a", table="train")
    found = [
        Outcome(row=row, metric="x", measured=1.0, predicted=value)
        for value in (1.9, 0.4, None, 1.0)
    ]
    assert [o.predicted for o in worst(found, 2)] == [0.4, 1.9]


def test_validate_breaks_down_the_worst_of_each_table() -> None:
    """Only the worst have a breakdown, as many of each table as were asked for."""
    rows = [r for r in read_rows(measured_files()) if r.table == "collective"][:40]
    found = validate(rows, resolver(), broken_down=3)
    broken = [o for o in found.outcomes if o.breakdown is not None]
    assert len(broken) == 3
    assert all(not outcome.apart for outcome in broken)
    assert {id(o) for o in broken} == {
        id(o) for o in worst([o for o in found.outcomes if not o.apart], 3)
    }
    for outcome in broken:
        assert outcome.breakdown is not None
        assert sum(outcome.breakdown.bounds.values()) == pytest.approx(1.0, abs=0.02)
