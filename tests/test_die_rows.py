"""Published die areas: each die predicted without itself, and what the shipped constants are."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from shipped import CATALOG, chip

from dse.evidence import die_rows
from dse.evidence.die_rows import DieRow, DieSummary
from dse.model import floorplan
from dse.model.pytree import lower
from dse.spec.space import source_of

MM2 = 1e-6


@cache
def rows() -> list[DieRow]:
    return die_rows.die_rows(CATALOG)


@cache
def summary() -> DieSummary:
    return die_rows.die_summary(rows(), CATALOG)


def test_left_out_dies_are_met() -> None:
    """At least twelve dies: median within 12 %, worst within 25 %; likewise without the vendor."""
    assert summary().rows >= 12
    assert summary().median <= 0.12
    assert summary().worst <= 0.25
    assert summary().vendor_median <= 0.12
    assert summary().vendor_worst <= 0.25


def test_dies_that_must_be_there_are_there() -> None:
    """Areas as published, mm2: whitepapers, Hot Chips, Meta and Microsoft."""
    areas = {row.name: row.published / MM2 for row in rows()}
    wanted = {"GA100": 826, "GH100": 814, "GA102": 628, "AD102": 609, "GV100": 815}
    wanted |= {"MTIA v1": 373, "MTIA v2": 421, "Maia 100": 820, "TPU v5e": 325}
    for name, area in wanted.items():
        assert areas[name] == pytest.approx(area)


def test_every_published_area_has_a_source_that_is_not_ours() -> None:
    """An area that is estimated or assumed is no evidence."""
    assert {row.source.confidence for row in rows()} <= {"vendor", "third-party"}


def test_no_die_of_the_rows_has_a_constant_of_its_own() -> None:
    """Control, wiring and overhead come from the shared rule: no chip sets them."""
    for row in rows():
        die = chip(row.chip).die
        node = die.node
        assert die.core.control_transistors == die.interconnect_share == die.overhead_area == 0.0
        for name in die_rows.CONSTANTS:
            assert getattr(node, name) == getattr(chip("a100-80gb").die.node, name), row.chip
            source = source_of(chip(row.chip), f"die.node.{name}")
            assert source is not None
            assert "fitted" in source.ref


def test_shipped_constants_are_the_fit_to_all_dies() -> None:
    """Three constants, one value for all nodes, as the nodes hold them."""
    assert len(summary().constants) == 3
    for name, value in summary().constants.items():
        assert summary().shipped[name] == pytest.approx(value, rel=0.02), name


def test_a_die_does_not_fit_its_own_prediction() -> None:
    """Doubling a die's published area leaves its prediction as it is, and moves the others'."""
    problem = die_rows._problem(die_rows.DIES, CATALOG)
    names = [die.name for die in die_rows.DIES]
    own = names.index("GA100")
    others = np.arange(len(names)) != own
    doubled = problem._replace(
        published=np.where(np.arange(len(names)) == own, 2.0, 1.0) * problem.published
    )
    before, after = problem.areas(problem.fit(others)), doubled.areas(doubled.fit(others))
    assert after[own] == pytest.approx(before[own], rel=1e-6)
    assert after[own] == pytest.approx(rows()[own].predicted, rel=1e-6)
    everyone = np.ones(len(names), bool)
    assert (
        doubled.areas(doubled.fit(everyone))[own] > 1.02 * problem.areas(problem.fit(everyone))[own]
    )


def test_predictions_are_the_floorplans() -> None:
    """At the shipped constants the rows' function is `die_parts` and `io_die_parts`."""
    problem = die_rows._problem(die_rows.DIES, CATALOG)
    areas = problem.areas(problem.start)
    for die, area in zip(die_rows.DIES, areas, strict=True):
        made = lower(chip(die.chip))
        parts = floorplan.io_die_parts if die.part == "io_die" else floorplan.die_parts
        assert float(area) == pytest.approx(float(parts(made).total), rel=1e-5), die.name


def test_tpu_v4_is_near_its_bound() -> None:
    """Jouppi et al., ISCA 2023: below 600 mm2; the parts come out 3 % above, within their error."""
    [(name, bound, area)] = die_rows.bounds(CATALOG)
    assert name == "TPU v4"
    assert bound == pytest.approx(600 * MM2)
    assert area < bound * (1.0 + summary().median)
