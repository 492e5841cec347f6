"""Training rows as batches: what rows say, what stands for blanks, what published runs took."""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dse.evidence.calibrate import Problem, fit, summary
from dse.evidence.left_out import families_out, folds, left_out, sources_out
from dse.evidence.measured import Resolver, measured_folder, read_rows
from dse.evidence.prediction import Batch, Row, predict
from dse.evidence.training_rows import SIZES, batches, candidates
from dse.model.power import under_cap
from dse.model.pytree import lower, replace, stack
from dse.spec.catalog import Catalog
from dse.spec.load import load
from dse.spec.workload import Software


@cache
def resolver() -> Resolver:
    return Resolver(Catalog.default(), (measured_folder(),))


@cache
def rows(file: str) -> tuple[Row, ...]:
    return tuple(read_rows([measured_folder() / f"{file}.csv"]))


def one(name: str, **cells: str) -> Row:
    """A row of the shipped training runs with other cells."""
    row = next(row for row in rows("train") if row.id == name)
    return attrs.evolve(row, cells={**row.cells, **cells})


def stacks(batch: Batch, name: str = "default", **changes: float) -> Software:
    made = replace(lower(load(Software, name, Catalog.default())), **changes)
    return stack([made] * len(batch.rows))


def test_memory_is_that_of_korthikanti() -> None:
    """All 16 figures of Korthikanti et al. 2022 (arXiv:2205.05198, figure 1) within 0.1 %."""
    (batch,), missing = batches(rows("memory"), resolver())
    found = predict(batch, stacks(batch, fused=0.0))
    measured = batch.measured
    known = np.isfinite(measured)
    assert not missing
    assert known.sum() == 16
    np.testing.assert_allclose(found[known], measured[known], rtol=1e-3)


def test_every_shipped_row_is_predicted() -> None:
    """257 rows, each in one batch, none left over."""
    made, missing = batches(rows("train"), resolver())
    assert not missing
    assert sorted(r.id for b in made for r in b.rows) == sorted(r.id for r in rows("train"))
    assert all(np.asarray(b.inputs.level).shape[1] in SIZES for b in made)


@pytest.mark.parametrize("cell", ["model", "seq", "batch", "chips"])
def test_a_row_without_what_it_needs_says_so(cell: str) -> None:
    """No model, length, batch or number of chips: unpredicted, with the column's name."""
    row = one("paper-0022", **{cell: ""})
    made, (missing,) = batches([row], resolver())
    assert made == []
    assert missing.id == "paper-0022"
    assert cell in missing.reason


def test_an_unknown_precision_is_no_guess() -> None:
    """A precision that is not declared is named."""
    _, (missing,) = batches([one("paper-0022", precision="bf17")], resolver())
    assert "bf17" in missing.reason


def made_for(row: Row) -> list[Any]:
    model = resolver().model(row.model)
    chips, batch = row.number("chips"), row.number("batch")
    assert chips is not None
    assert batch is not None
    return candidates(row, model, chips, batch)


def test_a_full_row_has_one_mapping() -> None:
    """Korthikanti's 175B run is taken as it was: tp 8, pp 8, three interleaved stages."""
    (found,) = made_for(one("paper-0025"))
    assert (found.tp, found.pp, found.virtual, found.recompute) == (8, 8, 3, 0.5)
    assert found.sequence_parallel == 1.0


def test_blanks_give_candidates() -> None:
    """Blank recomputation: all three; blank micro-batch: those that divide a replica's share."""
    found = made_for(one("paper-0025", recompute="", micro_batch=""))
    assert {m.recompute for m in found} == {0.0, 0.5, 1.0}
    assert {m.micro_batch for m in found} == {1, 2, 4, 8, 16, 32}


def test_the_least_recomputation_that_fits_is_taken() -> None:
    """A 22B model with eight chips does not fit without recomputation in 40 GB, but with it."""
    small = [one("paper-0022", recompute=level) for level in ("none", "full", "")]
    chip = [attrs.evolve(row, system="a100-40gb") for row in small]
    large = [attrs.evolve(row, system="h200") for row in small]

    def steps(given: list[Row]) -> list[float]:
        found = {}
        for batch in batches(given, resolver())[0]:
            values = predict(batch, stacks(batch, gradient_bytes=2.0, optimiser_bytes=6.0))[:, 0]
            found |= {r.text("recompute"): v for r, v in zip(batch.rows, values, strict=True)}
        return [found[level] for level in ("none", "full", "")]

    none, full, blank = steps(large)
    assert blank == pytest.approx(none)
    none, full, blank = steps(chip)
    assert blank == pytest.approx(full)


def _line(software: Software, inputs: Any) -> tuple[jax.Array]:
    """A toy row: seconds of work and of bytes."""
    work, moved = inputs
    return (jnp.asarray(work / software.matrix + moved / software.memory),)


def toy(matrix: float, memory: float, noise: float = 0.0) -> Batch:
    """24 rows of two families, three sources and one model, from known efficiencies."""
    random = np.random.default_rng(3)
    work, moved = random.uniform(1, 5, 24), random.uniform(1, 5, 24)
    seconds = (work / matrix + moved / memory) * np.exp(noise * random.normal(size=24))
    made = tuple(
        Row(
            id=str(i),
            table="train",
            source=f"s{i % 3}",
            system=("h100-sxm", "a100-80gb")[i % 2],
            model="m",
            software=("a-1", "a-2")[i // 12],
            measured={"step_time_s": seconds[i]},
        )
        for i in range(24)
    )
    inputs = (work.astype(np.float32), moved.astype(np.float32))
    return Batch(rows=made, metrics=("step_time_s",), inputs=inputs, function=_line)


FREE = {"matrix": (0.2, 1.0), "memory": (0.2, 1.0)}


def default() -> Software:
    return load(Software, "default", Catalog.default())


def test_a_fit_finds_the_efficiencies_that_made_the_rows() -> None:
    """Without noise: both numbers to 1 %, errors below 0.5 %."""
    found = fit([toy(0.6, 0.4)], default(), FREE)
    assert found.values == pytest.approx({"matrix": 0.6, "memory": 0.4}, rel=0.01)
    assert summary(found.errors).mean < 5e-3


def test_intervals_hold_the_truth_and_widen_with_noise() -> None:
    """5 % noise: both true values in their intervals, which are wider than without."""
    quiet = fit([toy(0.6, 0.4, 0.005)], default(), FREE).intervals
    noisy = fit([toy(0.6, 0.4, 0.05)], default(), FREE).intervals
    for name, truth in (("matrix", 0.6), ("memory", 0.4)):
        assert noisy[name][0] < truth < noisy[name][1]
        assert noisy[name][1] - noisy[name][0] > quiet[name][1] - quiet[name][0]


def test_bounds_hold() -> None:
    """A truth outside the bounds: the fit stands on the bound."""
    found = fit([toy(0.6, 0.4)], default(), {"matrix": (0.7, 1.0), "memory": (0.2, 1.0)})
    assert found.values["matrix"] == pytest.approx(0.7, rel=1e-4)


def test_a_prior_holds_what_rows_do_not_tell() -> None:
    """A field without effect stays where the starting stack has it."""
    free = {**FREE, "network": (0.2, 1.0)}
    found = fit([toy(0.6, 0.4)], default(), free, spreads={"network": 0.1})
    assert found.values["network"] == pytest.approx(0.75, rel=1e-3)


def test_families_left_out_are_predicted_by_the_others() -> None:
    """Rows of one physics: what is left out is predicted as well as what is fitted."""
    problem = Problem([toy(0.6, 0.4)], default(), FREE)
    assert summary(families_out(problem)).mean < 0.01
    assert summary(folds(problem)).mean < 0.01
    assert summary(sources_out(problem)).mean < 0.01


def test_a_row_left_out_leaves_its_source_in_the_fit() -> None:
    """One source was measured at half speed: out of fold its other rows tell so by its version's
    maturity; with the source left out nothing does."""
    batch = toy(0.6, 0.4)
    slower = tuple(
        attrs.evolve(
            row,
            source=f"{row.source}{row.software}",
            measured={"step_time_s": row.measured["step_time_s"] * (1 + (row.software == "a-2"))},
        )
        for row in batch.rows
    )
    made = attrs.evolve(batch, rows=slower, function=_aged)
    problem = Problem([made], default(), FREE, version=lambda row: row.software)
    assert summary(folds(problem)).mean < 0.1
    one = next(row for row in slower if row.software == "a-2")
    alone = left_out(problem, lambda row: row.software)
    away = np.array([row.software == one.software for row in problem.rows])
    assert summary(alone[away]).mean > 0.3


def test_slopes_of_stacks_and_versions_agree_with_differences() -> None:
    """Two stacks with numbers of their own, a version with a factor, a field that rows fix."""
    problem = Problem(
        [attrs.evolve(toy(0.6, 0.4), function=_aged)],
        default(),
        {**FREE, "overlap": (0.0, 0.9)},
        version=lambda row: row.source if row.source == "s1" else "",
        variant=lambda row: {"memory": 0.5} if row.source == "s2" else {},
        group=lambda row: row.software,
    )
    assert (len(problem.groups), problem.versions) == (2, ("s1",))
    at = np.clip(problem.start, -1.0, 0.9)
    found, step = problem.slopes(at), 1e-2
    for index in range(len(at)):
        move = step * (np.arange(len(at)) == index)
        differences = (problem.errors(at + move) - problem.errors(at - move)) / (2 * step)
        np.testing.assert_allclose(found[:, index], differences, rtol=2e-2, atol=2e-3)
    # the common numbers act through the priors alone
    assert not found[:, :3].any()
    assert np.abs(found).max(axis=0)[3:5].min() > 0.1


def test_a_left_out_family_is_not_seen() -> None:
    """Wrong measurements of one family change its own error only."""
    batch = toy(0.6, 0.4)
    wrong = tuple(
        attrs.evolve(r, measured={"step_time_s": 2 * r.measured["step_time_s"]})
        if r.family == "a100-40gb"
        else r
        for r in batch.rows
    )
    problem = Problem([attrs.evolve(batch, rows=wrong)], default(), FREE)
    errors = families_out(problem)
    away = np.array([row.family == "a100-40gb" for row in problem.rows])
    np.testing.assert_allclose(np.exp(errors[away]), 0.5, rtol=0.02)


def test_variants_fix_fields_of_their_rows() -> None:
    """A variant's field is taken from the variant, not from the fit."""
    problem = Problem(
        [toy(0.6, 0.4)],
        default(),
        {"matrix": (0.2, 1.0)},
        variant=lambda row: {"memory": 0.4} if row.software == "a-1" else {"memory": 0.8},
    )
    errors = problem.errors(np.log([0.6]))
    first = np.array([row.software == "a-1" for row in problem.rows])
    assert np.abs(errors[first]).max() < 1e-5
    assert np.all(errors[~first] < -0.05)


def test_a_version_of_no_rows_is_as_its_elder() -> None:
    """Rows of the younger version left out: its factor is that of the version it is based on."""
    batch = toy(0.6, 0.4)
    slower = tuple(
        attrs.evolve(row, measured={"step_time_s": row.measured["step_time_s"] * 1.25})
        for row in batch.rows
    )
    problem = Problem(
        [attrs.evolve(batch, rows=slower, function=_aged)],
        default(),
        {"network": (0.7, 0.8)},
        version=lambda row: row.software,
        variant=lambda _: {"matrix": 0.6, "memory": 0.4},
        elder=lambda name: "a-1" if name == "a-2" else "",
    )
    kept = np.array([row.software == "a-1" for row in problem.rows])
    found = problem.describe(problem.solve(kept), kept)
    assert found.maturity["a-1"] == pytest.approx(0.8, rel=0.03)
    assert found.maturity["a-2"] == pytest.approx(found.maturity["a-1"], rel=0.02)


def _aged(software: Software, inputs: Any) -> tuple[jax.Array]:
    return (_line(software, inputs)[0] / software.maturity,)


def test_stacks_fitted_together_learn_from_each_other() -> None:
    """Two stacks with numbers of their own: one whose rows are left out takes what is common, which
    the other's rows have moved from the start; with its rows it has its own."""
    batch = toy(0.6, 0.4)
    mixed = tuple(
        attrs.evolve(row, measured={"step_time_s": row.measured["step_time_s"] * 1.2})
        if row.software == "a-2"
        else row
        for row in batch.rows
    )
    problem = Problem(
        [attrs.evolve(batch, rows=mixed)],
        default(),
        FREE,
        spreads={"matrix": 1.0, "memory": 1.0},
        group=lambda row: row.software,
        apart={"matrix": 0.2, "memory": 0.2},
    )
    both = problem.describe(problem.solve()).own
    assert both["a-1"].values == pytest.approx({"matrix": 0.6, "memory": 0.4}, rel=0.03)
    assert both["a-2"].values == pytest.approx({"matrix": 0.5, "memory": 0.333}, rel=0.03)
    kept = np.array([row.software == "a-1" for row in problem.rows])
    one_seen = problem.describe(problem.solve(kept), kept)
    away = one_seen.own["a-2"].values
    assert away == pytest.approx(one_seen.values, rel=0.02)
    assert abs(np.log(away["memory"] / 0.4)) < 0.5 * abs(np.log(0.8 / 0.4))


def test_special_parts_of_a_source_are_taken() -> None:
    """torchtitan's H100 has six stacks of HBM2e at 2.4 TB/s and 500 W: it is slower."""
    row = next(r for r in rows("train") if "special H100" in r.text("notes"))
    usual = attrs.evolve(row, cells={**row.cells, "notes": ""})
    (batch,), _ = batches([row, usual], resolver())
    chip = batch.inputs.system.chip
    np.testing.assert_allclose(chip.memory.bandwidth, [2.4e12, 3.35e12], rtol=2e-3)
    special, plain = predict(batch, stacks(batch))[:, 0]
    assert 1.05 * plain < special < 1.4 * plain


def test_the_clock_of_the_special_part_is_what_its_power_allows() -> None:
    """An H100 that is held to 500 W runs at that clock, within 2 %."""
    row = next(r for r in rows("train") if "special H100" in r.text("notes"))
    (batch,), _ = batches([row], resolver())
    plain = lower(resolver().system("h100-sxm"))
    held = under_cap(replace(plain, chip=replace(plain.chip, power_cap=500.0)))
    clock = float(batch.inputs.system.chip.die.core.clock[0])
    assert clock == pytest.approx(float(held.chip.die.core.clock), rel=0.02)


def test_integer_products_of_a_tpu_run_at_their_rate() -> None:
    """INT8 of TPU v5p is twice as fast as BF16 (918 TOP/s), FP8 is not."""
    row = next(r for r in rows("train") if r.text("precision") == "int8")
    wide = attrs.evolve(row, cells={**row.cells, "precision": "bf16"})
    (batch,), _ = batches([row, wide], resolver())
    integer, plain = predict(batch, stacks(batch, narrow=0.0))[:, 0]
    assert 1.4 * integer < plain < 2.0 * integer
