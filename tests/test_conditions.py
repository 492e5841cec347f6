"""Conditional parameters: free only where their conditions hold, in specs and in a search."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spec_files import Folder, filled

from dse.errors import SpecError
from dse.report.study import study_document
from dse.search.levels import decode
from dse.search.problem import StudyProblem
from dse.search.propose import METHODS, proposer
from dse.search.protocol import Parameter
from dse.search.space import Space, space_size
from dse.spec import Normal, Triangular, Weighted, bind, fixed, parameters
from dse.spec.space import Need, needs
from dse.spec.study import load_study

CHIP = """\
kind = "chip"
name = "own"
base = "part"
[memory]
stack = { choice = ["stack", "hbm3-8h"] }
stacks = { choice = [4, 6], when = { "memory.stack" = "stack" }, otherwise = 2 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with a stack, a chip of such stacks and a system of such chips."""
    return filled(tmp_path)


def test_a_conditional_value_is_free_where_its_condition_holds(folder: Folder) -> None:
    """Typical where it is free; `otherwise` where it is not."""
    folder.write(CHIP)
    own: Any = folder.load("chip", "own")
    stacks = own.memory.stack.values
    assert fixed(own).memory.stacks == 4
    assert fixed(bind(own, {"memory.stack": stacks[1]})).memory.stacks == 2
    assert fixed(bind(own, {"memory.stack": stacks[0], "memory.stacks": 6})).memory.stacks == 6
    assert set(parameters(own)) == {"memory.stack", "memory.stacks"}


def test_the_path_of_a_condition_starts_at_the_spec_that_holds_the_value(folder: Folder) -> None:
    """The chip's own path means the same in a system of that chip, and in a study's space."""
    folder.write(CHIP)
    folder.write('kind = "system"\nname = "rig"\nbase = "box"\nchip = "own"\n')
    rig: Any = folder.load("system", "rig")
    assert needs(rig) == {"chip.memory.stacks": (Need("chip.memory.stack", ("stack",)),)}
    laid: Any = folder.load(
        "system",
        "box",
        chip__memory__stacks='{choice = [4], when = {"chip.memory.stack" = "x"}, otherwise = 2}',
    )
    assert needs(laid)["chip.memory.stacks"] == (Need("chip.memory.stack", ("x",)),)
    lanes = '{choice = [4], when = {"scale_up.topology" = "torus"}, otherwise = 2}'
    outer: Any = folder.load("system", "box", chip__scale_up__lanes=lanes)
    assert needs(outer)["chip.scale_up.lanes"] == (Need("scale_up.topology", ("torus",)),)
    assert fixed(outer).chip.scale_up.lanes == 2


def test_values_of_conditions_have_units(folder: Folder) -> None:
    """A clock is compared in SI, whatever unit the condition is written in."""
    folder.write(
        'kind = "chip"\nname = "own"\nbase = "part"\n[die.core]\n'
        'clock = { choice = ["1 GHz", "2 GHz"] }\n'
        'spare = { choice = [1], when = { "die.core.clock" = "2000 MHz" }, otherwise = 0 }\n'
    )
    own: Any = folder.load("chip", "own")
    assert fixed(own).die.core.spare == 0
    assert fixed(bind(own, {"die.core.clock": "2 GHz"})).die.core.spare == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('dies = { choice = [2], when = { "x.y" = 2 }, otherwise = 1 }', "has no field 'x'"),
        ("dies = { choice = [2], when = { die = 2 }, otherwise = 1 }", "is a table and no value"),
        ("dies = { choice = [2], when = { dies = 2 }, otherwise = 1 }", "circle: dies -> dies"),
        ("dies = { choice = [2], when = { power = 2 }, otherwise = 1 }", "has no unit"),
        ('dies = { choice = [2], when = { power = "2 W" } }', "without otherwise"),
        ("dies = { choice = [2], otherwise = 1 }", "found when = nothing"),
        ("dies = { choice = [2], when = 3, otherwise = 1 }", "found when = 3"),
        ("dies = { choice = [2], when = { power = [] }, otherwise = 1 }", "found power = []"),
        ('dies = { choice = [2], when = { power = "2 W" }, otherwise = 99 }', "out of bounds"),
        ('power = { low = "1 W", mode = "2 W", high = "3 W", when = { dies = 2 } }', "unknown key"),
        ('power = { mean = "1 W", std = "1 W" }', "out of bounds"),
        ('power = { mean = "1 W", std = "0 W" }', "std = 0"),
        ('power = { alternatives = ["1 W"], weights = [1, 2] }', "2 weights for 1"),
        ('power = { alternatives = ["1 W"], weights = [0] }', "found weights [0.0]"),
        ("power = { alternatives = [], weights = [] }", "an empty choice"),
        ('power = { alternatives = ["1 W"], weights = "even" }', "found weights ="),
    ],
)
def test_faults_of_free_values_are_said(folder: Folder, line: str, message: str) -> None:
    """Each with the line on which it stands."""
    found = folder.fault(f'kind = "chip"\nname = "x"\nbase = "part"\n{line}\n')
    assert message in found.message
    assert found.line == 4


def test_beliefs_have_quantiles() -> None:
    """Worked by hand: a triangle's median, a normal's middle and cut ends, weighted shares."""
    triangle = Triangular(low=0.0, mode=1.0, high=4.0)
    assert triangle.quantile(0.25) == pytest.approx(1.0)  # a quarter of its area lies below 1
    assert triangle.quantile(0.5) == pytest.approx(4.0 - (0.5 * 4 * 3) ** 0.5)
    assert Triangular(low=2.0, mode=2.0, high=2.0).quantile(0.3) == 2.0
    normal = Normal(mean=10.0, std=2.0)
    assert normal.quantile(0.5) == pytest.approx(10.0)
    assert normal.quantile(0.0) == pytest.approx(4.0)
    assert normal.quantile(1.0) == pytest.approx(16.0)
    assert normal.quantile(0.8413) == pytest.approx(12.0, abs=0.02)
    weighted = Weighted(alternatives=["a", "b"], weights=[3, 1])
    assert [weighted.quantile(q) for q in (0.0, 0.74, 0.76, 1.0)] == ["a", "a", "b", "b"]
    assert weighted.typical() == "a"


@given(st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise(one: float, other: float) -> None:
    """A larger share never gives a smaller value, and none leaves the bounds."""
    low, high = sorted((one, other))
    for belief in (Triangular(low=1, mode=3, high=4), Normal(mean=5, std=1)):
        samples = belief.samples()
        assert min(samples) <= belief.quantile(low) <= belief.quantile(high) + 1e-12
        assert belief.quantile(high) <= max(samples) + 1e-9


def test_uncertain_specs_are_not_searched(folder: Folder) -> None:
    """Alternatives of a reference stand at the likeliest one."""
    folder.write(
        'kind = "chip"\nname = "own"\nbase = "part"\n[die]\n'
        'node = { alternatives = ["n5", "n3p"], weights = [1, 2] }\n'
    )
    own: Any = folder.load("chip", "own")
    assert isinstance(own.die.node, Weighted)
    assert parameters(own) == {}
    assert fixed(own).die.node.name == "n3p"


def chain() -> tuple[Parameter, ...]:
    """c is free where a is 1; d where c is 0 (its last level, 2, stands for not free)."""
    return (
        Parameter(path="a", levels=(0, 1)),
        Parameter(path="b", levels=(0, 1, 2)),
        Parameter(path="c", levels=(0, 1, "off"), needs=((0, frozenset({1})),), ordered=False),
        Parameter(path="d", levels=(0, 1, 2, "off"), needs=((2, frozenset({0})),), ordered=False),
    )


def test_a_space_counts_each_design_once() -> None:
    """By hand: a=0 gives 3; a=1 with c=0 gives 3 x 3, with c=1 gives 3."""
    assert space_size(chain()) == 3 + 9 + 3
    space = Space(chain())
    rows = decode(space.codes(), space.sizes)
    assert len(rows) == 15
    assert (space.canonical(rows) == rows).all()


def test_rows_that_mean_one_design_have_one_form() -> None:
    """Over all raw rows the canonical ones are exactly those that are enumerated."""
    space = Space(chain())
    raw = np.array(list(itertools.product(*(range(size) for size in space.sizes))))
    made = space.canonical(raw)
    assert (space.canonical(made) == made).all()
    listed = {tuple(row) for row in decode(space.codes(), space.sizes)}
    assert {tuple(row) for row in made} == listed
    free = made[:, 2] != 2
    assert (free == (made[:, 0] == 1)).all()


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(METHODS)), st.integers(0, 5))
def test_every_method_finds_each_design_once(method: str, seed: int) -> None:
    """All 15 designs, none twice, then nothing."""
    made = proposer(method, chain(), ("max",), seed=seed, batch_size=4)
    found: list[tuple[int, ...]] = []
    for generation in range(8):
        one = made.propose(generation)
        if not len(one.levels):
            break
        values = one.levels.sum(axis=1, keepdims=True).astype(float)
        made.observe(generation, one.parents, one.levels, values, values)
        found += [tuple(row) for row in one.levels]
    assert len(found) == len(set(found)) == 15


STUDY = """\
kind = "study"
name = "question"
system = "box"
price_basis = "at-cost"
objectives = { tokens_per_usd = "max" }
[[workloads]]
model = "llama-3.1-8b"
workload = "chat-decode-bf16"
[space]
"scale_up.topology" = { choice = ["switch", "mesh"] }
"chip.dies" = { choice = [1, 2] }
[space."scale_up.switch.lanes"]
choice = [16, 64]
when = { "scale_up.topology" = "switch", "chip.dies" = 2 }
otherwise = 1
[space."scale_up.switch.latency"]
choice = ["1 us"]
when = { chips = 99 }
otherwise = "0 ns"
[search]
method = "exact"
"""


def test_a_study_searches_conditional_parameters(folder: Folder) -> None:
    """Levels for what is not free, designs counted once, and one that never is free left out."""
    file = folder.write(STUDY)
    study = load_study(str(file), folder.catalog)
    problem = StudyProblem(study)
    paths = [parameter.path for parameter in problem.parameters]
    assert paths == ["chip.dies", "scale_up.topology", "scale_up.switch.lanes"]
    # only a switch between chips of two dies has lanes to choose
    assert problem.size == study_document(study)["derived"]["space"] == 2 + 1 + 1 + 1
    assert problem.parameters[2].levels == (16.0, 64.0, 1.0)
    rows = decode(Space(problem.parameters).codes(), Space(problem.parameters).sizes)
    systems = [problem.bound(row) for row in rows]
    lanes = {(s.scale_up.topology, s.chip.dies, s.scale_up.switch.lanes) for s in systems}
    assert lanes == {("switch", 2, 16), ("switch", 2, 64)} | {
        ("switch", 1, 1),
        ("mesh", 1, 1),
        ("mesh", 2, 1),
    }
    assert {s.scale_up.switch.latency for s in systems} == {0.0}
    evaluated = problem.evaluate(rows)
    assert np.isfinite(evaluated.objectives).all()


def test_a_condition_of_a_study_that_names_nothing_is_a_fault(folder: Folder) -> None:
    """With the study's line."""
    file = folder.write(STUDY.replace("when = { chips", "when = { chipz"))
    with pytest.raises(SpecError, match="has no field 'chipz'") as caught:
        load_study(str(file), folder.catalog)
    assert caught.value.findings[0].line == STUDY[: STUDY.index("switch.latency")].count("\n") + 1
