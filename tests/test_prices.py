"""Prices of limits and slopes of a mix: by hand, and against differences of the model itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
from test_cli_run import write

from dse.model.sensitivity import Point, slopes
from dse.search.prices import NOTHING, _best, _Limit, limit_prices
from dse.search.problem import StudyProblem
from dse.search.slopes import Leaves, design_slopes
from dse.search.works import works
from dse.spec.catalog import Catalog
from dse.spec.space import bind
from dse.spec.study import load_study
from dse.spec.system import System

SECOND = """
[[workloads]]
model = "deepseek-v3"
workload = "chat-decode"
weight = 3.0
"""


def limit(use: list[float], margin: float = 0.0) -> _Limit:
    return _Limit("a limit", 1.0, "1", margin, np.array(use))


def spent(gains: list[float], use: list[float], *others: _Limit, up: Any = True) -> Any:
    """What more of a limit is best spent on, where all numbers may rise and fall, or as said."""
    rise = np.broadcast_to(up, len(use))
    free = SimpleNamespace(may=lambda d: (np.abs(d) <= 10.0) & np.where(d > 0.0, rise, True))
    return _best(np.array(gains), np.array(use), others, free)  # type: ignore[arg-type]


def test_a_limit_is_spent_on_what_gains_most_for_it() -> None:
    """The best ratio of gain to use; a number that uses less of it when it gains costs nothing."""
    found = spent([0.4, 0.5, 3.0], [0.5, 2.0, -1.0])
    assert found.gain == pytest.approx(0.8)
    assert found.changes == {0: pytest.approx(2.0)}


def test_a_number_at_its_end_does_not_take_it() -> None:
    """The next best does; and nothing where none may move or all lose."""
    assert spent([0.4, 0.5], [0.5, 2.0], up=np.array([False, True])).changes == {1: 0.5}
    assert spent([0.4, 0.5], [0.5, 2.0], up=False) == NOTHING
    assert spent([-0.4, -0.5], [0.5, 2.0]) == NOTHING


def test_at_a_vertex_a_price_is_the_multiplier() -> None:
    """Two limits bind and each number uses both: grad f = sum of price times use of each."""
    one, two, prices = [1.0, 2.0], [3.0, 1.0], [0.3, 0.7]
    gains = (np.array([one, two]).T @ prices).tolist()
    assert spent(gains, one, limit(two)).gain == pytest.approx(0.3)
    assert spent(gains, two, limit(one)).gain == pytest.approx(0.7)
    # with room left in the other, one number may use of it
    assert spent(gains, one, limit(two, margin=0.05)).gain == pytest.approx(gains[0])


def problem_of(folder: Path, users: float = 0.0, **changes: str) -> StudyProblem:
    """The tiny study with changes; `users` limit its batches, which then do not move in steps."""
    study = load_study(write(folder, **changes), Catalog.default())
    if users:
        asked = [attrs.evolve(task.workload, concurrency=users) for task in study.tasks]
        each = zip(study.tasks, asked, strict=True)
        study = attrs.evolve(study, tasks=tuple(attrs.evolve(t, workload=w) for t, w in each))
    return StudyProblem(study)


def design(problem: StudyProblem, clock: float = 2.0e9) -> System:
    paths = {"chip.memory.stacks": 4.0, "chip.die.core.clock": clock, "chip.scale_up.lanes": 160.0}
    return problem.bound(problem.levels_of(paths))


def operated(problem: StudyProblem) -> dict[str, Any]:
    """A point that uses every chip for itself."""
    one = {"tp": 4, "pp": 1, "ep": 1, "micro_batch": 1, "recompute": 0, "zero": 1, "batch": 64}
    many = {**one, "ep": 16}
    return {"mapping": {n: many if "deepseek" in n else one for n in problem.labels}}


def slopes_of(problem: StudyProblem, system: System) -> Leaves:
    free = {parameter.path for parameter in problem.parameters}
    told = {"workload.tpot", "chip.memory.reserve", *free}
    chosen = design_slopes(problem, [system], [operated(problem)], lambda n, _: n in told)
    return chosen[0]


POWER = {'"chip.cost" = "<= 3000 USD"': '"chip.power" = "<= 300 W"'}


def test_the_price_of_a_limit_is_what_it_gives(tmp_path: Path) -> None:
    """Its number moved as the price says takes a little more of the limit, and gains the price."""
    problem = problem_of(tmp_path, 64.0, **POWER)
    system = design(problem)
    leaves = slopes_of(problem, system)
    margins = {name: float(values[0]) for name, values in leaves.slopes.margins.items()}
    prices = {row["limit"]: row for row in limit_prices(problem, system, margins, leaves)}
    price = prices["chip.power <= 300 W"]
    assert price["elasticity"] > 0.05
    assert price["per_unit"] == pytest.approx(price["elasticity"] / 300.0)
    (spent_on,) = price["via"]
    number, more = leaves.numbers[spent_on["path"]], 4e-7
    point = Point(system, problem.questions[0])
    sides = [1.0, 1.0 + more * spent_on["change"]]
    rows = works(problem)[0].rows([operated(problem)] * 2)
    found = slopes([(point, number, side) for side in sides], rows).metrics
    gained = {name: np.log(values[1] / values[0]) / more for name, values in found.items()}
    assert gained["tokens_per_usd"] == pytest.approx(price["elasticity"], rel=1e-4)
    assert gained["tokens_per_joule"] == pytest.approx(
        price["objectives"]["tokens_per_joule"], rel=1e-4
    )
    # one per cent of the limit, of which the design uses all but its margin
    taken = gained["chip_power_w"] * (1.0 - price["margin"])
    assert taken == pytest.approx(1.0 - price["margin"], rel=1e-4)


def test_a_longer_latency_is_priced_by_the_batch(tmp_path: Path) -> None:
    """A limit of the study on tpot is worth the elasticity of the leaf; slack nothing."""
    problem = problem_of(tmp_path, **POWER)
    system = design(problem)
    leaves = slopes_of(problem, system)
    margins = {name: float(values[0]) for name, values in leaves.slopes.margins.items()}
    rows = limit_prices(problem, system, margins, leaves)
    prices = {row["limit"]: row for row in rows}
    place = list(leaves.numbers).index("workload.tpot")
    worth = float(leaves.slopes.elasticity("tokens_per_usd")[place])
    assert prices["tpot <= 50 ms"]["elasticity"] == pytest.approx(worth)
    assert prices["tpot <= 50 ms"]["per_unit"] == pytest.approx(worth / 50.0)
    assert "die.reticle" not in prices
    assert limit_prices(problem, system, {**margins, "memory": -0.1}, leaves) == []


def test_a_mix_moves_as_its_workloads_together(tmp_path: Path) -> None:
    """Elasticities of a mix are differences of the mix, not those of its first workload."""
    second = 'workload = "chat-decode"\n\n[space]'
    changes = {second: f'workload = "chat-decode"\n{SECOND}\n[space]'}
    problem = problem_of(tmp_path, 64.0, **changes)
    system, path, more = design(problem), "chip.die.core.clock", 4e-7
    leaves = slopes_of(problem, system)
    assert {"workload.tpot@chat-decode@deepseek-v3"} <= named(problem, system)
    clock = leaves.numbers[path].value
    moved = slopes_of(problem, bind(system, {path: clock * (1.0 + more)}))
    for metric in ("tokens_per_usd", "tokens_per_joule"):
        values = [each.slopes.metrics[metric][0] for each in (leaves, moved)]
        place = list(leaves.numbers).index(path)
        elasticity = leaves.slopes.elasticity(metric)[place]
        assert np.log(values[1] / values[0]) / more == pytest.approx(elasticity, rel=1e-4)


def named(problem: StudyProblem, system: System) -> set[str]:
    """The latencies of a mix, by the labels of their workloads."""
    points = [operated(problem)]
    (found,) = design_slopes(problem, [system], points, lambda _, n: n.path == "workload.tpot")
    return set(found.numbers)
