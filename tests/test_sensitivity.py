"""Elasticities against finite differences, kinks, counts, prices of limits, weak sources."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import attrs
import jax
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import Case, cases, mapping, question, spec

from dse.cli import cli
from dse.model.evaluator import Question, evaluate
from dse.model.pytree import lower, stack
from dse.model.sensitivity import ABOVE, AT, BELOW, Number, Point, Slopes, slopes, steps
from dse.report.sensitivity import WEAKNESS, sensitivity_rows, weakness
from dse.spec.fields import Source
from dse.spec.metrics import METRICS
from dse.spec.space import bind, fixed
from dse.spec.system import System

SYSTEM = "trn2-ultraserver"
ROW = np.asarray(mapping(tp=4.0), np.float64)


def asked(**workload: float) -> Question:
    """Chat decoding of a dense model, with other figures in its workload."""
    made = question("llama-3.3-70b", "chat-decode")
    return attrs.evolve(made, workload=attrs.evolve(made.workload, **workload))


def along(point: Point, numbers: list[Number], factor: float, row: np.ndarray = ROW) -> Slopes:
    """Figures and slopes of a point, for each number times a factor."""
    each = [(point, number, factor) for number in numbers]
    return slopes(each, np.tile(row, (len(each), 1)))


def faults(point: Point, row: np.ndarray, step: float = 4e-7) -> list[str]:
    """Leaves and metrics whose slope is not the difference of the model's own values.

    The step is below what the model forgives where it counts whole tiles. A central difference
    is met to 1e-5; at a kink the elasticity of each side, to 1e-4 by its own.
    """
    numbers = point.continuous
    factors = (AT, BELOW, ABOVE, 1.0 - step, 1.0 + step)
    at, left, right, below, above = (along(point, numbers, factor, row) for factor in factors)
    found = []
    for name in METRICS:
        value = np.asarray(at.metrics[name])
        fall = (value - below.metrics[name]) / step
        rise = (above.metrics[name] - value) / step
        sides = left.metric_slopes[name], right.metric_slopes[name]
        kink = np.abs(sides[0] - sides[1]) > 1e-5 * np.abs(value)
        central = np.abs(0.5 * (fall + rise) - 0.5 * (sides[0] + sides[1]))
        own = np.maximum(np.abs(fall - sides[0]), np.abs(rise - sides[1]))
        size = np.maximum(np.abs(sides[0]), 1e-3 * np.abs(value))
        wrong = np.where(kink, own > 1e-4 * np.abs(value), central > 1e-5 * size)
        found += [f"{name}, {numbers[i].path}" for i in np.flatnonzero(wrong)]
    return found


def test_slopes_are_central_differences() -> None:
    """All metrics of a chip whose batch users limit, to each continuous leaf, in float64."""
    assert faults(Point(spec(System, SYSTEM), asked(concurrency=64.0)), ROW) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", [*cases("prefill"), *cases("pretrain")], ids=lambda c: c.model)
def test_slopes_of_other_phases_are_central_differences(case: Case) -> None:
    """As above for prefill and training, dense and with experts."""
    made = question(case.model, case.workload)
    users = attrs.evolve(made, workload=attrs.evolve(made.workload, concurrency=case.batch))
    point = Point(spec(System, SYSTEM), users)
    assert faults(point, np.asarray(case.mapping, np.float64)) == []


def test_a_kink_has_a_slope_on_either_side() -> None:
    """Rates of a chip at which two precisions draw alike: each side by its own difference."""
    point = Point(spec(System, SYSTEM), asked(concurrency=64.0))
    number = [point.numbers["chip.die.core.array.rates.fp8"]]
    at, step = along(point, number, AT), 1e-4
    left, right = (
        along(point, number, s).elasticity("tokens_per_joule")[0] for s in (BELOW, ABOVE)
    )
    assert left != pytest.approx(right, rel=1e-2)
    for slope, factor in ((left, 1.0 - step), (right, 1.0 + step)):
        moved = along(point, number, factor).metrics["tokens_per_joule"]
        gain = np.log(moved / at.metrics["tokens_per_joule"])[0] / np.log(factor)
        assert gain == pytest.approx(slope, rel=2e-3)


def test_the_batch_moves_with_a_limit() -> None:
    """What a longer limit on tpot gives is what the search for the best batch finds."""
    made = asked()
    system = stack([lower(spec(System, SYSTEM))])
    point = Point(spec(System, SYSTEM), made)
    slope = along(point, [point.numbers["workload.tpot"]], AT).elasticity("tokens_per_s")[0]
    ends = [
        evaluate(system, asked(tpot=factor * made.workload.tpot), pinned={"tp": 4, "pp": 1})
        for factor in (0.97, 1.03)
    ]
    gain = np.log(ends[1].metrics["tokens_per_s"] / ends[0].metrics["tokens_per_s"])[0]
    assert slope > 0.05
    assert gain / np.log(1.03 / 0.97) == pytest.approx(slope, rel=0.05)


@pytest.mark.parametrize(
    "path", ["chip.die.core.clock", "chip.memory.stack.rate", "chip.power", "rack.conversion"]
)
def test_a_leaf_moves_as_a_setting_moves_it(path: str) -> None:
    """Figures published for what changes fall away, as `--set` lets them."""
    system = spec(System, "gb200-nvl72")
    point = Point(system, asked())
    number = point.numbers[path]
    bound = lower(fixed(bind(system, {path: 1.01 * number.value})))
    expected = jax.tree.leaves(bound)
    found = point.moved(number, 1.01 * number.value)
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-12)


def test_counts_change_as_a_setting_changes_them() -> None:
    """One stack more, at its own best mapping, over the design without its published figures."""
    system, made = spec(System, SYSTEM), asked()
    path = "chip.memory.stacks"
    stepped = next(s for s in steps(Point(system, made), made) if s.number.path == path)
    value = stepped.number.value
    levels = [lower(fixed(bind(system, {path: value + change}))) for change in (-1.0, 0.0, 1.0)]
    costs = evaluate(stack(levels), made).metrics["tokens_per_usd"]
    assert stepped.below is not None
    assert stepped.above is not None
    assert stepped.below["tokens_per_usd"] == pytest.approx(costs[0] / costs[1] - 1.0, abs=1e-5)
    assert stepped.above["tokens_per_usd"] == pytest.approx(costs[2] / costs[1] - 1.0, abs=1e-5)


@cache
def rows() -> list[dict[str, Any]]:
    """Rows of tokens for a dollar at the best mapping of the default question."""
    made = asked()
    system = spec(System, SYSTEM)
    best = evaluate(stack([lower(system)]), made).rows[0]
    return sensitivity_rows(system, made, best, ["tokens_per_usd"])


def test_rows_hold_every_continuous_leaf() -> None:
    """Each number of system, software and facility has a row; what is exact is exact."""
    found = {row["path"]: row for row in rows() if row["kind"] == "continuous"}
    assert {"chip.memory.stack.rate", "software.memory", "facility.energy_price"} <= set(found)
    assert found["facility.utilisation"]["elasticity"] == pytest.approx(1.0, rel=1e-9)
    assert found["chip.memory.stack.rate"]["falls_away"]
    assert all(np.isfinite(row["elasticity"]) for row in found.values())


def test_a_limit_that_binds_has_a_price() -> None:
    """A millisecond more of tpot is worth its elasticity over the limit; slack costs nothing."""
    prices = {row["rule"]: row for row in rows() if row["kind"] == "price"}
    leaf = next(row for row in rows() if row["path"] == "workload.tpot" and "rule" not in row)
    assert prices["tpot"]["binding"]
    assert prices["tpot"]["per_unit"] == pytest.approx(leaf["elasticity"] / 50.0)
    assert not prices["die.reticle"]["binding"]
    assert prices["die.reticle"]["elasticity"] == 0.0
    assert prices["die.reticle"]["once_binding"] > 0.0


def test_a_source_is_as_weak_as_its_interval_or_its_kind() -> None:
    """An interval of a factor of four is half its logarithm wide; without one, kinds differ."""
    number = Point(spec(System, SYSTEM), asked()).numbers["chip.memory.stack.rate"]
    ends = {"low": "4 Gb/s", "high": "16 Gb/s"}
    assert weakness(number, Source(ref="x", **ends)) == pytest.approx(np.log(2.0))
    plain = [weakness(number, Source(ref="x", confidence=kind)) for kind in WEAKNESS]
    assert plain == sorted(plain)
    assert weakness(number, None) == plain[-1]


def dse(*arguments: str) -> Any:
    return CliRunner().invoke(cli, list(arguments))


def test_the_command_has_the_shape_that_scripts_rely_on() -> None:
    """path, elasticity and kind of each row, the largest first; --sources ranks by score."""
    command = ("sensitivity", SYSTEM, "-m", "llama-3.3-70b", "-w", "chat-decode")
    found = json.loads(dse(*command, "--json").stdout)
    assert all({"path", "elasticity", "kind"} <= set(row) for row in found)
    sizes = [abs(row["elasticity"]) for row in found if row["elasticity"] is not None]
    assert sizes == sorted(sizes, reverse=True)
    weak = json.loads(dse(*command, "--sources", "--json").stdout)
    assert {row["kind"] for row in weak} == {"continuous"}
    assert [r["score"] for r in weak] == sorted((r["score"] for r in weak), reverse=True)
    text = dse(*command).stdout
    assert "tpot, 50 ms: +1 ms is worth" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_unknown_metric_is_refused() -> None:
    """The nearest name is said, before anything is evaluated."""
    command = ("sensitivity", SYSTEM, "-m", "llama-3.3-70b", "-w", "chat-decode")
    result = dse(*command, "--metric", "tokens_per_us")
    assert result.exit_code == 2
    assert "tokens_per_usd" in result.stderr
