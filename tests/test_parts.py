"""Die areas and design powers from parts, as `dse validate` shows them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from dse.report.parts import parts_document, parts_markdown, parts_view
from dse.report.terminal import rendered
from dse.spec.catalog import Catalog


@cache
def document() -> dict[str, Any]:
    return parts_document(Catalog.default())


def test_die_areas_left_out_meet_the_published() -> None:
    """At least twelve dies; median at most 12 %, worst at most 25 %, by three fitted constants."""
    found = document()["die_area"]
    assert len(found["rows"]) >= 12
    assert found["median"] <= 0.12
    assert found["worst"] <= 0.25
    assert len(found["constants"]) == 3


def test_design_powers_left_out_meet_the_published() -> None:
    """Median at most 20 %, by two fitted constants."""
    found = document()["design_power"]
    assert found["median"] <= 0.20
    assert len(found["constants"]) == 2


@pytest.mark.parametrize("kind", ["die_area", "design_power"])
def test_summaries_follow_from_rows(kind: str) -> None:
    """Each error is of the row's own figures; median and worst are of the errors' sizes."""
    found = document()[kind]
    errors = [row["predicted"] / row["published"] - 1.0 for row in found["rows"]]
    assert [row["error"] for row in found["rows"]] == pytest.approx(errors)
    assert found["median"] == pytest.approx(float(np.median(np.abs(errors))))
    assert found["worst"] == pytest.approx(max(map(abs, errors)))


def test_every_row_is_shown() -> None:
    """Text and Markdown hold each die and chip, in lines that fit."""
    text, marked = rendered(*parts_view(document()), plain=True), parts_markdown(document())
    for kind in ("die_area", "design_power"):
        for row in document()[kind]["rows"]:
            assert row["name"] in text
            assert f"| {row['name']} |" in marked
    assert max(map(len, text.splitlines())) <= 80
