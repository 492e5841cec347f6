"""What a page of a run holds and admits, without a browser."""

from __future__ import annotations

import re
import sys

import numpy as np
import pages
import pytest

from dse.errors import UsageError
from dse.report.page import SCRIPTS, page_html
from dse.report.page_document import (
    OTHERS,
    Inspected,
    convergence,
    detailed_rows,
    kept_rows,
    page_document,
)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_texts_stand_out_from_their_ground() -> None:
    """Every colour of text has the contrast of WCAG AA (4.5) on the grounds it stands on."""
    blocks = re.findall(r":root[^{]*\{(.*?)\}", (pages.ASSETS / "page.css").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for text in ("ink", "soft", "link", "mark", "front", "good", "bad"):
            for ground in ("paper", "raised", *(("chosen",) if text == "ink" else ())):
                one, other = (_luminance(colours[name]) for name in (text, ground))
                contrast = (max(one, other) + 0.05) / (min(one, other) + 0.05)
                assert contrast >= 4.5, (text, ground)


def test_the_page_admits_its_own_scripts_and_no_connection() -> None:
    """The policy holds two hashes and nothing else that may run; a watched page reaches itself."""
    document = page_document(pages.run(20), Inspected())
    for watched, reached in ((False, "'none'"), (True, "'self'")):
        text = page_html({**document, "watched": watched})
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
        assert policy is not None
        rules = dict(rule.split(" ", 1) for rule in policy.group(1).split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["connect-src"] == reached
        assert re.fullmatch(r"'sha256-\S+' 'sha256-\S+'", rules["script-src"])
    scripts = {path.stem for path in pages.ASSETS.glob("*.js")}
    assert scripts == set(SCRIPTS)
    assert not [path for path in pages.ASSETS.glob("*.js") if "innerHTML" in path.read_text()]


def test_a_page_of_100_000_designs_is_below_15_mb() -> None:
    """Random numbers, which shrink least, with 12 parameters and 500 designs in full."""
    data = pages.run(100_000, extra=7)
    near = detailed_rows(data)
    assert len(near) == len(data.front) + OTHERS
    details = {str(row): pages.detail(place) for place, row in enumerate(near.tolist())}
    text = page_html(page_document(data, Inspected(details=details)))
    assert len(text.encode()) < 15e6


def test_the_designs_kept_in_full_are_the_front_and_the_nearest_to_it() -> None:
    """The front first, then feasible designs that are the least inside it."""
    data = pages.run(2000)
    rows = detailed_rows(data, 50)
    assert rows[: len(data.front)].tolist() == data.front.tolist()
    assert len(set(rows.tolist())) == len(rows) == len(data.front) + 50
    assert data.feasible[rows].all()


def test_a_longer_run_keeps_its_front_and_an_even_sample() -> None:
    """Of 3,000 designs 500 are kept: all of the front, no design twice, both ends."""
    data = pages.run(3000)
    rows = kept_rows(data, 500)
    assert len(rows) == 500
    assert np.isin(data.front, rows).all()
    assert (np.diff(rows) > 0).all()
    assert rows[0] < 10
    assert rows[-1] > 2990


def test_convergence_rises_to_the_hypervolume_of_the_whole() -> None:
    """By the final front's own ideal and nadir it never falls, and ends at the front's volume."""
    from dse.search.front import hypervolume

    data = pages.run(1500)
    found = convergence(data)
    assert found is not None
    assert found["x"][-1] == 1500
    assert (np.diff(found["y"]) >= -1e-12).all()
    assert found["y"][-1] == pytest.approx(hypervolume(data.values[data.front]))


def test_of_one_objective_convergence_is_the_best_so_far() -> None:
    """In the unit in which people see it."""
    data = pages.run(300, objectives={"tpot_s": "min"})
    found = convergence(data)
    assert found is not None
    best = data.metrics["tpot_s"][data.feasible].min()
    assert found["y"][-1] == pytest.approx(1e3 * best, rel=1e-6)


def test_without_plotly_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UsageError, match=r"dse\[report\]"):
        page_html(page_document(pages.run(10), Inspected()))
