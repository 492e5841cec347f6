"""The whole model: batches of designs, dimensions, precisions, sums of parts, choice."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    CASES,
    PHASES,
    SYSTEMS,
    Case,
    cases,
    evaluated,
    mapping,
    points,
    question,
    spec,
    system,
    together,
)
from silicon_checks import random_specs, strict

from dse import units
from dse.model.estimate import SELECTABLE, Result, Setting, choose, result
from dse.model.mapping import table
from dse.model.once import once
from dse.model.pytree import leaves, replace
from dse.model.transformer import Mapping
from dse.spec.metrics import METRICS
from dse.spec.system import System


def test_jax_sums_squares_in_large_batches() -> None:
    """jax 0.10.2 and 0.11.1 gave wrong rows above 16,384 (jax issue 39103)."""
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)
    rows = np.random.default_rng(1).normal(size=(40_000, 3)).astype(np.float32)
    found = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))(rows)
    expected = np.sum((rows.astype(float) @ np.asarray(matrix, float).T) ** 2, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def variants(number: int) -> System:
    """Random neighbours of a system: clock, bandwidth, counts and lanes differ in each row."""
    base, rng = system("trn2-ultraserver"), np.random.default_rng(2)
    flat, tree = jax.tree.flatten(base)
    columns = []
    for (path, leaf, _), value in zip(leaves(base), flat, strict=True):
        column = np.full(number, value)
        if leaf.sort == "quantity" and "rates." not in path:
            column = column * rng.uniform(0.7, 1.4, number)
        if path in ("chip.die.core.count", "chip.memory.stacks", "chip.scale_up.lanes"):
            column = np.round(column * rng.uniform(1.0, 2.0, number))
        columns.append(column.astype(np.float32))
    return jax.tree.unflatten(tree, columns)


EXAMPLES = [p if p == "decode" else pytest.param(p, marks=pytest.mark.slow) for p in PHASES]
"""Decode has all that serving has; the others are slow."""


@pytest.mark.slow
@pytest.mark.parametrize("case", [CASES[1], CASES[4]], ids=lambda c: c.phase)
def test_forty_thousand_rows_equal_eager(case: Case) -> None:
    """One compiled call of 40,000 designs gives what each operation gives by itself."""
    many, number = variants(40_000), 40_000
    setting = jax.tree.map(np.float32, case.setting)
    row, batch = jax.tree.map(np.float32, case.mapping), np.float32(case.batch)

    def one(made: System) -> dict[str, Any]:
        return result(made, setting, row, case.phase, batch).metrics

    whole = jax.jit(jax.vmap(one))(many)
    parts = [
        jax.vmap(one)(jax.tree.map(lambda leaf, i=i: leaf[i : i + 10_000], many))
        for i in (0, number - 10_000)
    ]
    for name in METRICS:
        ends = np.concatenate([whole[name][:10_000], whole[name][-10_000:]])
        chunked = np.concatenate([part[name] for part in parts])
        np.testing.assert_allclose(ends, chunked, rtol=2e-5, err_msg=name)


BASES = ("time", "length", "energy", "information", "currency", "temperature", "potential")
BASES = (*BASES, "mass", "transistor")
# operations are left out: arrays do theirs per cell and cycle, counts that carry no unit


def size(unit: str, scales: dict[str, float]) -> float:
    """What a number in `unit` is multiplied with when the base units change."""
    powers = units.dimension(unit)
    return float(np.prod([scales.get(name, 1.0) ** power for name, power in powers.items()]))


def rescaled(tree: Any, scales: dict[str, float]) -> Any:
    """A lowered spec with every leaf in other base units, by its declared dimension."""
    values = [value * size(leaf.unit, scales) for _, leaf, value in leaves(tree)]
    return jax.tree.unflatten(jax.tree.structure(tree), values)


@pytest.mark.parametrize("phase", EXAMPLES)
def test_dimensions_are_homogeneous(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In other base units, every metric is the same quantity: no constant hides a dimension.

    The batch is solved inside, so that limits rescale as well. Widths of number formats are the
    model's only constants with a unit (bits), and change with it.
    """
    rng = np.random.default_rng(3)
    scales = dict(zip(BASES, rng.uniform(0.3, 3.0, len(BASES)), strict=True))
    rows, _ = points(phase, SYSTEMS)
    changed = []
    for made, setting, row, _ in rows:
        parts = [rescaled(part, scales) for part in setting[:4]]
        changed.append((rescaled(made, scales), Setting(*parts, setting.basis), row))
    with jax.enable_x64(True):
        before = evaluated(phase, *together([row[:3] for row in rows]))
        monkeypatch.setattr("dse.model.roofline.BITS_PER_BYTE", 8.0 / scales["information"])
        after = evaluated(phase, *together(changed))
    for name, metric in METRICS.items():
        expected = np.asarray(before.metrics[name]) * size(metric.unit, scales)
        np.testing.assert_allclose(after.metrics[name], expected, rtol=1e-6, err_msg=name)
    for name, margin in before.margins.items():
        np.testing.assert_allclose(after.margins[name], margin, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("phase", EXAMPLES)
def test_float32_agrees_with_float64(phase: str) -> None:
    """All systems of the catalogue: within 1e-4, and nothing overflows."""
    rows, _ = points(phase, SYSTEMS)
    single = evaluated(phase, *together(rows, np.float32))
    with jax.enable_x64(True):
        double = evaluated(phase, *together(rows, np.float64))
    for name in METRICS:
        value = single.metrics[name]
        assert np.all(np.isfinite(value)), name
        np.testing.assert_allclose(value, double.metrics[name], rtol=1e-4, err_msg=name)
    for name, margin in double.margins.items():
        np.testing.assert_allclose(single.margins[name], margin, rtol=1e-4, atol=1e-4, err_msg=name)


def check_sums(made: System, setting: Setting, found: Any) -> None:
    """Parts of time, memory, money and power against their totals."""
    done, design, figures = found.operation, found.design, found.metrics

    def equal(parts: Any, total: Any, what: str) -> None:
        np.testing.assert_allclose(sum(parts), total, rtol=1e-5, err_msg=what)

    equal(done.times, done.step, "times")
    equal(done.bounds, done.step, "bounds")
    equal(done.footprint, done.footprint.total, "footprint")
    equal(design.chip, figures["chip_cost_usd"], "chip cost")
    equal(found.average, found.average.total, "average power")
    equal(found.cost, found.cost.total, "ownership")
    share = np.where(setting.workload.chips > 0, setting.workload.chips / made.chips, made.domains)
    equal([part * share for part in design.price], figures["system_cost_usd"], "system cost")
    equal([part * share for part in design.power], figures["system_power_w"], "system power")
    equal(
        [figures["capital"], figures["operating"]],
        figures["usd_per_chip_hour"],
        "capital and operating",
    )
    np.testing.assert_allclose(figures["usd_per_mtok"] * figures["tokens_per_usd"], 1.0, rtol=1e-5)
    chips = made.chips * share
    np.testing.assert_allclose(
        figures["tokens_per_s_per_chip"] * chips, figures["tokens_per_s"], rtol=1e-5
    )
    money = figures["tokens_per_usd"] * figures["usd_per_chip_hour"] * chips
    kept = figures["tokens_per_s"] * figures["goodput"]
    np.testing.assert_allclose(money, kept * setting.facility.utilisation, rtol=1e-5)


@pytest.mark.parametrize("phase", EXAMPLES)
def test_parts_add_up(phase: str) -> None:
    """Time, memory, cost and power of the catalogue and of random systems; all are finite."""
    rows, _ = points(phase, SYSTEMS)
    catalogue = together([row[:3] for row in rows], np.float32)
    wild = random_specs(spec(System, "gb200-nvl72"), len(rows), seed=5)
    wild = jax.tree.map(lambda leaf: leaf[1:], wild)
    made = evaluated(phase, *catalogue)
    check_sums(catalogue[0], catalogue[1], made)
    assert sorted(made.metrics) == sorted(METRICS)
    padded = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf[:1]]), wild)
    random = evaluated(phase, padded, *catalogue[1:])
    paths = jax.tree_util.tree_leaves_with_path(random)
    assert [jax.tree_util.keystr(p) for p, leaf in paths if not np.all(np.isfinite(leaf))] == []
    check_sums(padded, catalogue[1], random)


STRICT = [
    # experts and latent attention have every type that dense models have
    pytest.param(
        case,
        marks=[pytest.mark.slow] if case.phase != "decode" or "deepseek" not in case.model else [],
    )
    for case in CASES
]


@pytest.mark.parametrize("case", STRICT, ids=[f"{case.phase}-{case.model}" for case in CASES])
def test_strict_types_and_ranks(case: Case) -> None:
    """Nothing is promoted implicitly, with the batch given and solved."""
    made = jax.tree.map(np.float32, (system("h100-server"), case.setting, case.mapping))
    for batch in (np.float32(case.batch), None):
        with strict():
            shapes = jax.eval_shape(lambda *row: result(*row[:3], case.phase, row[3]), *made, batch)
        assert all(leaf.shape == () for leaf in jax.tree.leaves(shapes))
        assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {np.dtype(np.float32)}


@cache
def half_a_table() -> tuple[System, Setting, Mapping, Result]:
    """DeepSeek-V3 on eight B200 by every second mapping, and each of them evaluated."""
    asked = question("deepseek-v3", "chat-decode")
    made, setting = jax.tree.map(np.float32, (system("b200-server"), asked.setting))
    block = Mapping(*table(asked.model, "decode", 8)[::2].T)
    return made, setting, block, jax.vmap(lambda m: result(made, setting, m, "decode"))(block)


@pytest.mark.parametrize("objective", ["tokens_per_s", "tpot_s"])
def test_choice_is_the_best_of_all(objective: str) -> None:
    """Against brute force over half a table: limits first, then the objective, either sense."""
    asked = question(
        "deepseek-v3",
        "chat-decode",
        objective=objective,
        sense="max" if objective == "tokens_per_s" else "min",
    )
    made, setting, block, each = half_a_table()
    found = once(partial(choose, phase="decode"))(made, setting, block, asked.weights)
    margins = np.min([each.margins[n] for n in ("mapping", "memory", "tpot", "ttft")], axis=0)
    sign = 1.0 if objective == "tokens_per_s" else -1.0
    value = np.where(margins >= 0.0, sign * np.asarray(each.metrics[objective]), -np.inf)
    assert value[int(found.row)] == pytest.approx(value.max(), rel=1e-6)
    assert float(found.score) == pytest.approx(value.max(), rel=1e-6)
    assert float(found.batch) == pytest.approx(float(each.operation.batch[int(found.row)]))
    assert int(found.legal) == len(value)


@pytest.mark.slow
def test_the_least_violating_mapping_stands_where_none_is_feasible() -> None:
    """671 GB on 8 H100s: no score, and the mapping that misses memory by least."""
    asked = question("deepseek-v3", "chat-decode")
    made, setting = jax.tree.map(np.float32, (system("h100-server"), asked.setting))
    block = Mapping(*table(asked.model, "decode", 8)[::2].T)
    found = choose(made, setting, block, asked.weights, phase="decode")
    each = jax.vmap(lambda m: result(made, setting, m, "decode"))(block)
    margins = np.min([each.margins[n] for n in ("memory", "tpot", "ttft")], axis=0)
    assert float(found.score) == -np.inf
    assert margins[int(found.row)] == pytest.approx(margins.max(), rel=1e-5)
    assert float(found.margin) < 0.0


def test_idle_chips_are_paid_for() -> None:
    """tp = 64 on 72 chips: dollars of 72, tokens of 64."""
    setting = question("llama-3.3-70b", "chat-decode").setting
    made = system("gb200-nvl72")
    row = mapping(tp=64.0)
    whole = result(made, setting, row, "decode", 64.0).metrics
    fewer = setting._replace(workload=replace(setting.workload, chips=64.0))
    part = result(made, fewer, row, "decode", 64.0).metrics
    assert float(whole["tokens_per_s"]) == pytest.approx(float(part["tokens_per_s"]))
    ratio = float(whole["usd_per_mtok"] / part["usd_per_mtok"])
    assert 72 / 64 * 0.98 < ratio < 72 / 64 * 1.001


@pytest.mark.slow
def test_price_bases_order() -> None:
    """At cost is cheapest, the merchant's price dearest; the chip costs the same to make."""
    prices = []
    for basis in ("at-cost", "design-partner", "merchant"):
        setting = question("llama-3.3-70b", "chat-decode", price_basis=basis).setting
        found = result(system("h100-server"), setting, mapping(tp=8.0), "decode", 64.0).metrics
        prices.append(float(found["system_cost_usd"]))
        assert float(found["chip_cost_usd"]) < prices[-1] / 8
    assert prices == sorted(prices)
    assert prices[0] < prices[1] < prices[2]


def test_what_an_operator_may_choose_by_is_a_metric() -> None:
    """Every selectable name is one of the figures of a result."""
    assert set(SELECTABLE) <= set(METRICS)
    assert {case.phase for case in CASES} == {case.phase for p in PHASES for case in cases(p)}
