"""What brings a reference to the front: gains of changes and a price, against figures by hand."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import pytest

from dse.report.references import reference_view
from dse.report.terminal import rendered
from dse.search.approach import Inside, purchase, repairs, steps
from dse.search.problem import StudyProblem
from dse.search.protocol import Evaluations, Parameter
from dse.spec.catalog import Catalog
from dse.spec.space import bind
from dse.spec.study import load_study
from dse.spec.system import System

STUDY = """
kind = "study"
name = "small"
system = "trn4-ultraserver"
references = ["trn4-ultraserver", "gb200-nvl72"]
price_basis = "at-cost"
objectives = { tokens_per_usd = "max", tokens_per_joule = "max" }
[[workloads]]
model = "llama-3.1-8b"
workload = "chat-decode"
[space]
"chip.die.core.count" = { choice = [12, 24] }
"chip.memory.stacks" = { choice = [8, 10] }
"chip.dies" = { choice = [2, 4] }
"""

ENERGY, CAPITAL = 1.0, 3.0


class ByHand(StudyProblem):
    """Cores double tokens, stacks add a quarter, dies nothing; capital is three quarters of cost.

    More stacks alone break a rule.
    """

    rules = ("power",)

    def judged(self, systems: Sequence[System], price: float = 1.0) -> Evaluations:
        tokens = np.array([self.tokens(system) for system in systems])
        feasible = [s.chip.memory.stacks < 10 or s.chip.die.core.count > 12 for s in systems]
        return Evaluations(
            objectives=np.column_stack([tokens / (ENERGY + CAPITAL * price), tokens]),
            margins=np.where(feasible, 1.0, -1.0)[:, None],
        )

    @staticmethod
    def tokens(system: System) -> float:
        return 100.0 * system.chip.die.core.count / 12.0 * (1.0 + 0.125 * system.chip.memory.stacks)

    def price_of(self, system: System) -> float:
        return 1000.0


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "small.toml").write_text(STUDY)
    return ByHand(load_study("small", Catalog.default([folder])))


@pytest.fixture(scope="module")
def inside(problem: ByHand) -> Inside:
    """Against a front of one design: 24 cores and 10 stacks."""
    best = problem.judged([problem.bound([0, 1, 1])])
    return Inside(problem, best.objectives)


def test_each_change_alone_and_all_in_the_best_order(problem: ByHand, inside: Inside) -> None:
    """200 tokens at the start, 450 at the end: 125 % inside. Cores alone leave 12.5 %, stacks alone
    100 % and a broken rule; what does not differ is no step."""
    cores, stacks = steps(inside, problem.references[0], problem.bound([0, 1, 1])) or []
    assert (cores["path"], cores["from"], cores["to"]) == ("chip.die.core.count", 12, 24)
    assert [cores[n] for n in ("alone", "gain", "together")] == pytest.approx([0.125, 1.125, 0.125])
    assert (stacks["path"], stacks["breaks"], cores["breaks"]) == (
        "chip.memory.stacks",
        ["power"],
        [],
    )
    assert [stacks[n] for n in ("alone", "gain", "together")] == pytest.approx([1.0, 0.25, 0.0])


def test_a_stack_of_its_own_is_a_change(problem: ByHand, inside: Inside) -> None:
    """A reference whose part differs from the one of that name is changed there too."""
    target = problem.bound([0, 1, 1])
    own = attrs.evolve(target.chip.memory.stack, rate=1e9)
    searched = Parameter(path="chip.memory.stack", levels=(target.chip.memory.stack,))
    asked = Inside(attrs.evolve(problem), np.ones((1, 2)))
    asked.problem.parameters = (*problem.parameters, searched)
    found = steps(asked, bind(target, {"chip.memory.stack": own}), target) or []
    assert [(each["from"], each["to"]) for each in found] == [(f"{own.name} of its own", own.name)]


def test_a_reference_outside_of_the_space_is_not_led_to_it(problem: ByHand, inside: Inside) -> None:
    """Another vendor's system with these cores and stacks is still no design of the space."""
    assert steps(inside, problem.references[1], problem.bound([0, 1, 1])) is None


def test_the_price_that_lets_a_reference_join(problem: ByHand) -> None:
    """Cost is 1 + 3 p: to give twice the tokens a dollar it must be 2, so p is a third; where the
    front gives five times, no price suffices. More tokens a joule there are no matter of price."""
    reference = problem.references[0]
    tokens = problem.tokens(reference)
    for factor, expected in ((2.0, 1 / 3), (1.25, (3.2 - 1.0) / 3.0), (5.0, None)):
        front = np.array([[factor * tokens / (ENERGY + CAPITAL), 10.0 * tokens]])
        found = purchase(Inside(problem, front), reference)
        if expected is None:
            assert found is None
        else:
            assert found is not None
            assert found["factor"] == pytest.approx(expected, rel=1e-4)
            assert found["usd_per_chip"] == pytest.approx(1000.0 * expected, rel=1e-4)


def test_gains_are_shown_below_the_reference(problem: ByHand, inside: Inside) -> None:
    """A row for each change, the prices before, and the rule that one alone breaks."""
    reference = {
        "name": "old",
        "margins": {},
        "violated": [],
        "distance": 1.25,
        "joins_at": {"usd_per_chip_hour": 0.5, "factor": 0.5},
        "purchase": {"factor": 0.25, "usd_per_chip": 2500.0},
        "changes": {"point": 7, "parameters": []},
        "steps": steps(inside, problem.references[0], problem.bound([0, 1, 1])),
    }
    described = [{"path": p.path, "unit": ""} for p in problem.parameters]
    text = rendered(*reference_view({"parameters": described}, "A", reference), plain=True)
    assert "125 % inside the front; joins it rented at 0.5 USD/h a chip or" in text
    assert "bought at 2,500" in text
    assert "not 10,000" in text
    assert "these 2 changes reach design 7" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("chip.") and "%" in line]
    assert [row[-4:] for row in rows] == [["113", "%", "12.5", "%"], ["25", "%*", "0", "%"]]
    assert "chip.memory.stacks alone breaks power" in text


class Drawing(ByHand):
    """A core draws 1, a stack 2 and a die 10; what draws more than `limit` breaks the rule."""

    limit = 60.0

    def judged(self, systems: Sequence[System], price: float = 1.0) -> Evaluations:
        found = super().judged(systems, price)
        drawn = np.array(
            [
                s.chip.die.core.count + 2.0 * s.chip.memory.stacks + 10.0 * s.chip.dies
                for s in systems
            ]
        )
        return attrs.evolve(found, margins=(1.0 - drawn / self.limit)[:, None])


@pytest.fixture
def drawing(problem: ByHand) -> Drawing:
    return Drawing(problem.study)


def largest(problem: ByHand) -> System:
    """The design of the space that draws most, 84."""
    return problem.bound([1, 1, 1])


def test_what_makes_a_design_feasible_by_itself(drawing: Drawing) -> None:
    """Each parameter that is enough alone, the one that loses least first; nothing if all holds."""
    drawing.limit = 72.0
    found = repairs(drawing, largest(drawing))
    changes = [row["changes"] for row in found]
    assert changes == [
        [{"path": "chip.dies", "from": 4.0, "to": 2.0}],
        [{"path": "chip.die.core.count", "from": 24.0, "to": 12.0}],
    ]
    assert all(row["feasible"] and not row["broken"] for row in found)
    assert found[0]["gain"]["tokens_per_usd"] == pytest.approx(0.0)
    assert found[1]["gain"]["tokens_per_usd"] == pytest.approx(-0.5)
    drawing.limit = 84.0
    assert repairs(drawing, largest(drawing)) == []


def test_where_no_change_alone_is_enough(drawing: Drawing) -> None:
    """Two that are, without a third that is not needed."""
    drawing.limit = 60.0
    (found,) = repairs(drawing, largest(drawing))
    assert found["feasible"]
    assert [each["path"] for each in found["changes"]] == ["chip.dies", "chip.memory.stacks"]


def test_where_nothing_is_enough(drawing: Drawing) -> None:
    """Three changes, and what is broken still."""
    drawing.limit = 40.0
    (found,) = repairs(drawing, largest(drawing))
    assert not found["feasible"]
    assert found["broken"] == ["power"]
    assert len(found["changes"]) == 3
