"""Charts as SVG: what they say, that nothing overlaps, and that names stay inert."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from dse.report.scatter import Axis
from dse.report.svg import Chart, Series, draw, ticks

CHART = Chart(title="a study", x="tokens per usd, 1/USD", y="time, ms")
SPACE = "{http://www.w3.org/2000/svg}"


def drawn(*series: Series) -> ElementTree.Element:
    """The parsed picture."""
    return ElementTree.fromstring(draw(CHART, series))


def texts(root: ElementTree.Element) -> list[str]:
    """All that can be read on it."""
    return [each.text or "" for each in root.iter(f"{SPACE}text")]


def test_a_chart_names_its_axes_with_units_and_its_series() -> None:
    """Titles, axes with units, and the legend stand on the picture."""
    points = [(1.0, 2.0), (2.0, 1.0)]
    said = texts(drawn(Series(kind="dots", points=points, name="front, 2 designs")))
    for words in ("a study", "tokens per usd, 1/USD", "time, ms", "front, 2 designs"):
        assert words in said


def test_labels_of_near_points_do_not_overlap() -> None:
    """Five points within a few pixels: each label has a place of its own."""
    points = [(1.0 + 0.001 * i, 1.0 + 0.001 * i) for i in range(5)]
    names = [f"reference-number-{i}" for i in range(5)]
    wide = Series(kind="dots", points=[(0.5, 0.5), (2.0, 2.0)])
    root = drawn(wide, Series(kind="dots", points=points, labels=names))
    boxes = []
    for each in root.iter(f"{SPACE}text"):
        if each.text in names:
            x, y = float(each.attrib["x"]), float(each.attrib["y"])
            boxes.append((x, y - 11.0, x + 13 * 0.56 * len(each.text or ""), y + 4.0))
    assert len(boxes) == 5
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart = one[0] >= other[2] or other[0] >= one[2]
            assert apart or one[1] >= other[3] or other[1] >= one[3]


def test_names_cannot_become_elements() -> None:
    """A hostile label is text, whatever it holds."""
    name = '<script>alert(1)</script>"&'
    root = drawn(Series(kind="rings", points=[(1.0, 1.0)], labels=[name], name=name))
    assert [e for e in root.iter() if e.tag.endswith("script")] == []
    assert texts(root).count(name) == 2


def test_a_staircase_bounds_what_is_dominated() -> None:
    """From the best x down: along the x axis at the better point's height, then to the next."""
    line = next(
        each.attrib["d"]
        for each in drawn(Series(kind="steps", points=[(4.0, 1.0), (2.0, 3.0)])).iter(
            f"{SPACE}path"
        )
        if "stroke:var(--c0)" in each.attrib.get("style", "")
    )
    (x0, y0), (x1, y1), (x2, y2) = (
        tuple(map(float, pair.split())) for pair in re.split("[ML]", line)[1:]
    )
    assert (x1, y1) == (x2, y0)
    assert x2 < x0
    assert y2 < y0


def test_what_cannot_be_drawn_is_left_out() -> None:
    """Infinite and missing values, and zeros on a logarithmic axis, make no mark."""
    points = [(1.0, 1.0), (float("nan"), 2.0), (3.0, float("inf")), (0.0, 4.0), (1000.0, 2.0)]
    chart = Chart(title="t", x="x", y="y", logarithmic=(True, True))
    root = ElementTree.fromstring(draw(chart, [Series(kind="dots", points=points)]))
    assert len([*root.iter(f"{SPACE}circle")]) == 2


def test_a_cloud_is_cut_off_where_the_others_end_and_stays_small() -> None:
    """A hundred thousand designs take one path, and none lies outside the frame."""
    cloud = [(0.01 * i, float(i % 317)) for i in range(100_000)]
    front = Series(kind="dots", points=[(10.0, 10.0), (20.0, 5.0)])
    text = draw(CHART, [Series(kind="cloud", points=cloud), front])
    assert len(text) < 200_000
    path = re.search(r'class="cloud" d="([^"]*)"', text)
    assert path is not None
    spots = [tuple(map(int, s[:-2].split())) for s in path.group(1).split("M")[1:]]
    assert all(84 < x < 832 and 92 < y < 478 for x, y in spots)


def test_a_band_runs_up_one_side_and_down_the_other() -> None:
    """A band of three points is a polygon of six corners."""
    band = Series(kind="band", points=[(1.0, 1.0, 2.0), (2.0, 2.0, 4.0), (3.0, 3.0, 6.0)])
    paths = [e.attrib["d"] for e in drawn(band).iter(f"{SPACE}path") if "opacity" in str(e.attrib)]
    assert paths[0].count("L") == 5


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (Axis(0.0, 10.0, 2, False), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (
            Axis(1.0, 1000.0, 2, True),
            [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0],
        ),
        (Axis(1.0, 1e6, 2, True), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]),
    ],
)
def test_ticks_are_round(of: Axis, expected: list[float]) -> None:
    """1, 2 and 5 times powers of ten, fewer where the axis spans many decades."""
    assert ticks(of) == pytest.approx(expected)
