"""The page of a run in a real browser: what it draws, how it answers, that it loads nothing."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest

from dse.report.figures import digits
from dse.report.page import page_html
from dse.report.page_document import (
    Inspected,
    page_document,
)
from dse.report.watch import Page, served

in_browser = pytest.mark.skipif(pages.chromium() is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for this module."""
    with pages.browser() as made:
        yield made


def opened(browser: Any, address: str, **options: Any) -> Any:
    """A page that is ready; `complaints` on it collects errors and requests."""
    window = {"width": 1280, "height": 900}
    tab = browser.new_page(**{"viewport": window, "reduced_motion": "reduce", **options})
    tab.complaints = []
    tab.on("console", lambda said: tab.complaints.append(said.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("request", lambda asked: _note_request(tab, asked.url, address))
    tab.goto(address)
    tab.wait_for_selector("html[data-ready]", timeout=60_000)
    return tab


def _note_request(tab: Any, url: str, own: str) -> None:
    if url != own and not url.startswith(("data:", "blob:")):
        tab.complaints.append(f"request of {url}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """A run of 400 designs and the address of its page."""
    data = pages.run()
    return data, pages.written(tmp_path_factory.mktemp("page") / "page.html", data)


@pytest.fixture(scope="module")
def shared(browser: Any, made: tuple[Any, str]) -> Iterator[Any]:
    """The page, opened once for all tests of it."""
    made_tab = opened(browser, made[1])
    yield made_tab
    made_tab.close()


@pytest.fixture
def tab(shared: Any) -> Iterator[Any]:
    """The page as it was opened; in the end nothing was complained of."""
    yield shared
    assert shared.complaints == []
    shared.click("#clear")
    shared.click("#compare-clear")
    for name, index in (("x", 0), ("y", 1), ("colour", 0)):
        shared.select_option(f"#{name}", index=index)
    shared.evaluate("document.getElementById('table').scrollTop = 0")


def count(tab: Any) -> int:
    """How many designs the table says that it holds."""
    return int(tab.inner_text("#count").split(" of ")[0].replace(",", ""))


def cells(tab: Any, title: str) -> list[str]:
    """What the rows in sight hold under a heading."""
    heads = [text.split("\n")[0] for text in tab.locator("#table thead th").all_inner_texts()]
    place = next(i for i, text in enumerate(heads) if text.strip(" ▾▴") == title)
    rows = tab.locator("#table tbody tr[data-place]")
    return rows.locator(f"td:nth-child({place + 1})").all_inner_texts()


def pixels(tab: Any, x: float, y: float) -> tuple[float, float]:
    """Where two values stand on the screen, by the scatter's own axes."""
    tab.locator("#scatter").scroll_into_view_if_needed()
    found = tab.evaluate(
        """([x, y]) => { const full = byId("axes")._fullLayout, box = byId("axes");
        const corner = box.getBoundingClientRect();
        return [corner.left + full.xaxis._offset + full.xaxis.d2p(x),
                corner.top + full.yaxis._offset + full.yaxis.d2p(y)]; }""".replace(
            "byId", "document.getElementById.bind(document)"
        ),
        [x, y],
    )
    return found[0], found[1]


@in_browser
def test_a_page_shows_the_run_and_opens_its_bend(tab: Any, made: tuple[Any, str]) -> None:
    """Study, references, figures, inputs and certificate are there; a front design is open."""
    data, _ = made
    assert tab.inner_text("h1") == "made-up"
    for words in ("trn2-ultraserver", "gb200-nvl72", "infeasible, breaks die.reticle"):
        assert words in tab.inner_text("#reference-list")
    titles = tab.locator("#charts h3").all_inner_texts()
    assert titles == ["Convergence", "Throughput against interactivity", "Roofline"]
    assert "node.defects" in tab.inner_text("#weak")
    assert "samples of 61 uncertain constants" in tab.inner_text("#bands-note")
    assert "400 designs evaluated" in tab.inner_text("#certificate-text")
    name = tab.inner_text("#detail-title")
    assert int(name.removeprefix("Design ")) in data.front
    body = tab.inner_text("#detail-body")
    for words in (
        "attention, HBM",
        " ms · ",
        "weights",
        "chip.memory.bandwidth",
        "arrays",
        "25 %",
        "0.169 %/W",
    ):
        assert words in body
    assert count(tab) == int(data.feasible.sum())


@in_browser
def test_axes_switch_and_take_logarithms(tab: Any) -> None:
    """Another metric on an axis changes its title and what the table shows; log is one click."""
    tab.select_option("#y", label="mfu")
    tab.locator("#axes .ytitle", has_text="mfu").wait_for()
    assert "mfu" in tab.inner_text("#table thead")
    tab.check("#x-log")
    assert tab.evaluate("document.getElementById('axes')._fullLayout.xaxis.type") == "log"
    tab.select_option("#colour", label="chip.memory.stack")
    for name in pages.STACKS:
        assert name in tab.inner_text("#legend")


@in_browser
def test_a_brush_filters_the_table(tab: Any, made: tuple[Any, str]) -> None:
    """Dragging along the last parameter's axis keeps its upper half, in table, text and count."""
    data, before = made[0], count(tab)
    tab.locator("#strands").scroll_into_view_if_needed()
    box = tab.locator("#strands").bounding_box()
    # seven axes, of which the fifth is chip.memory.stacks: 2, 4, 6, 8 from below
    x = box["x"] + 46 + 4 * (box["width"] - 92) / 6
    tab.mouse.move(x, box["y"] + 36)
    tab.mouse.down()
    tab.mouse.move(x, box["y"] + 90, steps=4)
    tab.mouse.move(x, box["y"] + 0.48 * box["height"], steps=4)
    tab.mouse.up()
    assert tab.input_value("input[aria-label='Filter stacks']") == "6..8"
    assert set(cells(tab, "stacks")) <= {"6", "8"}
    assert count(tab) == int((data.feasible & (data.levels[:, 4] >= 2)).sum()) < before
    tab.click("#clear")
    assert count(tab) == before


@in_browser
def test_a_typed_filter_and_a_sort_hold_in_the_table(tab: Any, made: tuple[Any, str]) -> None:
    """Numbers by comparison, names by their parts; a heading sorts, and again the other way."""
    data, _ = made
    tab.fill("input[aria-label='Filter tokens per usd']", ">= 4,000,000")
    tab.fill("input[aria-label='Filter stack']", "hbm4-12h | hbm3e")
    goal, stack = data.metrics["tokens_per_usd"], data.levels[:, 3]
    expected = data.feasible & (goal >= 4e6 * (1 - 5e-4)) & np.isin(stack, [0, 1])
    assert count(tab) == int(expected.sum())
    assert set(cells(tab, "stack")) == {"hbm3e-12h", "hbm4-12h"}
    for sign in (1, -1):
        tab.click("#table thead button:has-text('clock')")
        found = [float(text.split()[0]) for text in cells(tab, "clock")]
        assert found == sorted(found, reverse=sign < 0)


@in_browser
def test_a_click_opens_the_design_that_stands_there(tab: Any, made: tuple[Any, str]) -> None:
    """On a front point, on a reference and on a row: name, levels and metrics are of that one."""
    data, _ = made
    row = int(data.front[-1])
    x, y = (data.metrics[goal][row] for goal in pages.GOALS)
    tab.mouse.click(*pixels(tab, float(x), float(y)))
    assert tab.inner_text("#detail-title") == f"Design {row}"
    body = tab.inner_text("#detail-body")
    assert digits(float(x)) in body
    assert pages.STACKS[data.levels[row, 3]] in body
    tab.mouse.click(*pixels(tab, 2.5e6, 2.5e6))
    tab.click("#reference-list button:has-text('gb200-nvl72')")
    assert tab.inner_text("#detail-title") == "gb200-nvl72"
    tab.locator("#table tbody tr[data-place='3'] td").first.click()
    assert tab.inner_text("#detail-title") == f"Design {cells(tab, '#')[3]}"


@in_browser
def test_all_of_it_works_from_the_keyboard(tab: Any) -> None:
    """Arrows walk the front and the table, Enter opens, C compares up to four."""
    tab.focus("#scatter")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    first = tab.inner_text("#detail-title")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#detail-title") != first
    tab.focus("#table")
    for _ in range(6):
        tab.keyboard.press("c")
        tab.keyboard.press("ArrowDown")
    assert tab.locator("#compared thead button").count() == 4
    tab.keyboard.press("End")
    tab.keyboard.press("Enter")
    last = tab.locator("#table tbody tr.active td").first.inner_text()
    assert tab.inner_text("#detail-title") == f"Design {last}"


@in_browser
def test_compared_designs_stand_side_by_side(tab: Any) -> None:
    """A design and a reference: levels, metrics and times; what differs is marked."""
    tab.click("#detail button:has-text('Compare')")
    tab.select_option("#add-reference", label="gb200-nvl72")
    text = tab.inner_text("#compared")
    for words in ("gb200-nvl72", "n5", "tokens per usd, 1/USD", "decode, attention", "12 ms"):
        assert words in text
    assert tab.locator("#compared td.differs").count() > 0


@in_browser
def test_every_control_has_a_name_that_is_read_out(tab: Any) -> None:
    """Buttons, fields, figures and scrollable parts are named for those who do not see them."""
    unnamed = tab.evaluate(
        """() => [...document.querySelectorAll(
            "button, input, select, [role], [tabindex], section")]
        .filter((each) => !each.closest("[hidden], .modebar, #axes, .chart *"))
        .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim()
          || each.labels?.length || each.getAttribute("role") === "status"
          || each.getAttribute("role") === "alert"))
        .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    assert tab.locator("html[lang]").count() == 1
    assert tab.locator("h1").count() == 1


@in_browser
def test_figures_and_tables_are_downloaded_as_svg_and_csv(tab: Any, made: tuple[Any, str]) -> None:
    """Each figure as a picture that parses; the table as rows of what passes the filters."""
    data, _ = made
    for figure in ("front", "parallel", "convergence", "curve", "roofline"):
        with tab.expect_download() as found:
            tab.click(f"[data-export='{figure}'][data-as='svg']")
        root = ElementTree.fromstring(Path(found.value.path()).read_text())
        assert root.tag.endswith("svg")
        assert found.value.suggested_filename == f"made-up-{figure}.svg"
    tab.fill("input[aria-label='Filter stack']", "hbm4e")
    with tab.expect_download() as found:
        tab.click("[data-export='designs'][data-as='csv']")
    rows = list(csv.DictReader(io.StringIO(Path(found.value.path()).read_text())))
    assert len(rows) == int((data.feasible & (data.levels[:, 3] == 2)).sum())
    one = rows[0]
    assert one["chip.memory.stack"] == "hbm4e-16h"
    goal = data.metrics["tokens_per_usd"][int(one["id"])]
    assert float(one["tokens_per_usd [1/USD]"]) == pytest.approx(goal, rel=2e-5)


PIXEL = """async ([href, x, y]) => {
    const image = new Image();
    image.src = href;
    await image.decode();
    const pen = Object.assign(document.createElement("canvas"),
        { width: image.width, height: image.height }).getContext("2d");
    pen.drawImage(image, 0, 0);
    return Array.from(pen.getImageData(x - 2, y - 2, 4, 4).data);
}"""
"""What a picture has around a place."""

PLACE = """(value) => {
    const full = document.getElementById("axes")._fullLayout;
    return [full.xaxis.d2p(value), full.yaxis.d2p(value)].map((at) => at * devicePixelRatio);
}"""
"""Where two equal values stand in the picture of the designs."""


@in_browser
def test_a_downloaded_front_has_each_reference_once(
    tab: Any, browser: Any, made: tuple[Any, str]
) -> None:
    """As text and mark of the picture, and not painted below it as well."""
    with tab.expect_download() as found:
        tab.click("[data-export='front'][data-as='svg']")
    text = Path(found.value.path()).read_text()
    data, _ = made
    (href,) = re.findall(r'href="(data:image/png;base64,[^"]+)"', text)
    blank = browser.new_page()
    for each in data.problem["references"]:
        assert text.count(f">{each['name']}<") == 1
        value = each["metrics"][pages.GOALS[0]]
        assert not any(blank.evaluate(PIXEL, [href, *tab.evaluate(PLACE, value)]))
    blank.close()


HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>"


@in_browser
def test_hostile_names_are_text_and_nothing_else(browser: Any, tmp_path: Path) -> None:
    """Study, path, level, reference and source that hold elements are shown as they are written."""
    listed = pages.parameters()
    listed[3] = {"path": f"chip.{HOSTILE}", "unit": "", "values": [HOSTILE, "b", "c"]}
    listed[3]["levels"] = [HOSTILE, "b", "c"]
    named = pages.reference(HOSTILE, 2.0)
    data = pages.run(study=HOSTILE, doc=HOSTILE, parameters=listed, references=[named])
    found = pages.inspected(data)
    curves = [dict(found.curves[0], name=HOSTILE)]
    sources = [dict(found.sources[0], path=HOSTILE, source=HOSTILE)]
    hostile = Inspected(
        curves=curves, rooflines=[dict(found.rooflines[0], name=HOSTILE)], sources=sources
    )
    tab = opened(browser, pages.written(tmp_path / "page.html", data, hostile))
    tab.click("#reference-list button")
    tab.click("#detail button:has-text('Compare')")
    tab.select_option("#colour", index=3)
    tab.hover("#scatter")
    assert tab.evaluate("window.hacked") is None
    assert tab.inner_text("h1") == HOSTILE
    assert tab.inner_text("#detail-title") == HOSTILE
    assert tab.locator("img, iframe, object").count() == 0
    assert tab.locator("script").count() == 3
    assert tab.complaints == []
    tab.close()


@in_browser
@pytest.mark.parametrize("width", [400, 1280])
def test_a_page_fits_its_window_in_both_themes(tab: Any, width: int) -> None:
    """Nothing is wider than the window; the theme follows the system, and the switch."""
    tab.set_viewport_size({"width": width, "height": 900})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    paper = "getComputedStyle(document.body).backgroundColor"
    for scheme, colour in (("dark", "rgb(17, 22, 28)"), ("light", "rgb(255, 255, 255)")):
        tab.emulate_media(color_scheme=scheme)
        tab.locator(f"html[data-theme='{scheme}']").wait_for()
        assert tab.evaluate(paper) == colour
    tab.select_option("#theme", "dark")
    assert tab.evaluate(paper) == "rgb(17, 22, 28)"
    tab.select_option("#theme", "auto")
    tab.set_viewport_size({"width": 1280, "height": 900})


@in_browser
def test_a_run_without_a_feasible_design_or_the_model_still_has_a_page(
    browser: Any, tmp_path: Path
) -> None:
    """No front, no details: the page says why, and shows the designs that break rules."""
    data = pages.run(60)
    data.margins[:, 0] = -0.5
    found = Inspected(missing="The study has changed since the run.")
    tab = opened(browser, pages.written(tmp_path / "page.html", data, found))
    assert tab.inner_text("#failure") == "The study has changed since the run."
    assert count(tab) == 0
    tab.check("#infeasible")
    assert count(tab) == 60
    assert tab.complaints == []
    tab.close()


@in_browser
def test_a_watched_page_comes_anew_when_its_run_has_grown(browser: Any) -> None:
    """It asks for its own address alone, and keeps the axes that were chosen."""
    page = Page()

    def put(number: int) -> None:
        document = page_document(pages.run(number), Inspected(), watched=True)
        page.put(page_html(document), document["revision"])

    put(50)
    with served(page) as address:
        tab = opened(browser, address)
        tab.select_option("#y", label="mfu")
        put(70)
        tab.locator("#count", has_text="of 70").wait_for()
        tab.wait_for_selector("html[data-ready]")
        assert tab.locator("#y option:checked").inner_text() == "mfu"
        assert tab.complaints == []
        tab.close()


@in_browser
def test_numbers_read_as_those_of_the_terminal(browser: Any) -> None:
    """The page's four digits are those of dse.report.figures, at all sizes."""
    text = (pages.ASSETS / "data.js").read_text()
    body = re.search(r"^function digits.*?^}", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    values = [0.0, 1.0, 12345.678, 0.00012346, 1.5e12, -2.5, 99.995, 1e-7, 123456789.0, 0.1, 1e9]
    tab = browser.new_page()
    found = tab.evaluate(
        f"(values) => {{ {body.group(0)}; return values.map((v) => digits(v)); }}", values
    )
    assert found == [digits(value) for value in values]
    tab.close()


@pytest.mark.slow
@in_browser
def test_100_000_designs_answer_at_once(
    browser: Any, tmp_path: Path, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The median of axes, colours, brushes, filters, sorts, rows and hovers is told, not judged."""
    tab = opened(browser, pages.written(tmp_path / "page.html", pages.run(100_000, extra=7)))
    found = tab.evaluate((Path(__file__).parent / "page_speed.js").read_text())
    medians = {name: statistics.median(values) for name, values in found.items()}
    medians["all"] = statistics.median(value for values in found.values() for value in values)
    record_property("median_ms", json.dumps(medians))
    with capsys.disabled():
        print({name: f"{value:.0f} ms" for name, value in medians.items()})
    assert set(medians) >= {"axis", "brush", "filter", "sort", "row", "hover"}
    assert tab.complaints == []
    tab.close()
