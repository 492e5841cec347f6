"""What tables, numbers and plots look like."""

from __future__ import annotations

import math

import pytest
from rich.text import Text

from dse.report.figures import digits, mapping_text, metric_number, percent, with_unit
from dse.report.front import front_csv, short_names
from dse.report.progress import counting, duration
from dse.report.scatter import Mark, axis, scatter
from dse.report.terminal import Column, cut, fitting, rendered, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (12345.678, "12,350"),
        (0.00012346, "0.0001235"),
        (1.5e12, "1.500e+12"),
        (-2.5, "-2.5"),
        (100.0, "100"),
        (math.inf, "-"),
        (math.nan, "-"),
    ],
)
def test_numbers_have_four_significant_digits(value: float, text: str) -> None:
    """Large and small numbers keep four digits; what is not finite is a dash."""
    assert digits(value) == text


def test_a_quantity_is_shown_in_its_unit() -> None:
    """SI values become numbers in the unit asked for."""
    assert with_unit(2.4e9, "GHz") == "2.4 GHz"
    assert with_unit(0.5, "1") == "0.5"
    assert percent(0.1234) == "12.3 %"


def test_a_metric_whose_name_carries_the_unit_is_not_converted_again() -> None:
    """Files hold usd_per_chip_hour in USD/h and tpot_s in seconds; people see USD/h and ms."""
    assert metric_number("usd_per_chip_hour", 0.5) == "0.5"
    assert metric_number("tpot_s", 0.05) == "50"
    assert metric_number("tpot_s", None) == "-"


def test_a_mapping_names_what_is_not_trivial() -> None:
    """Degrees of one are left out, unless all are one."""
    plain = {"tp": 1, "pp": 1, "ep": 1, "micro_batch": 1, "recompute": 0, "zero": 1, "batch": 8}
    assert mapping_text(plain) == "tp=1 batch=8"
    assert mapping_text(plain | {"pp": 4, "recompute": 1}) == "pp=4 recompute batch=8"


def test_output_without_a_terminal_is_plain() -> None:
    """No escape codes and no spaces at line ends in a pipe."""
    text = rendered(table([Column("name", ["a", "bb"]), Column("n", ["1", "22"], right=True)]))
    assert "\x1b" not in text
    assert text.splitlines()[2:] == ["a      1", "bb    22"]


@pytest.mark.parametrize(("variable", "coloured"), [("NO_COLOR", False), ("UNUSED", True)])
def test_no_color_is_honoured_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, variable: str, coloured: bool
) -> None:
    """A terminal gets styles unless NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv(variable, "1")
    assert ("\x1b" in rendered(Text("word", style="bold"))) is coloured


def test_a_table_that_is_too_wide_becomes_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """No column is lost, each table begins with the key, and none is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    columns = [Column("key", ["row"]), *(Column(f"column-{i}", [f"cell-{i}"]) for i in range(9))]
    tables = fitting(columns)
    texts = [rendered(each) for each in tables]
    assert len(texts) > 1
    assert all(text.startswith("key") for text in texts)
    assert all(len(line) <= 40 for text in texts for line in text.splitlines())
    assert [f"cell-{i}" in "".join(texts) for i in range(9)] == [True] * 9


def test_a_cut_text_shows_that_it_was_cut() -> None:
    """Three dots stand for what is missing."""
    assert cut("short", 10) == "short"
    assert cut("a text that is long", 10) == "a text..."


def test_a_scatter_puts_points_where_they_belong() -> None:
    """The best point of both is at the top right, the worst at the bottom left."""
    marks = [Mark(x=1.0, y=1.0, sign="A"), Mark(x=2.0, y=2.0, sign="o")]
    lines = scatter(marks, "speed", "thrift", columns=40, rows=5).splitlines()
    assert lines[0] == "thrift"
    assert lines[1].rstrip().endswith("o")
    assert lines[5].endswith("|A")
    assert max(map(len, lines)) <= 40
    assert "speed" in lines[-1]


def test_one_point_and_no_point_can_be_drawn() -> None:
    """A scatter of one point has it; one of none is empty, as is one of what is not finite."""
    assert "o" in scatter([Mark(x=3.0, y=0.0, sign="o")], "x", "y")
    assert scatter([], "x", "y") == ""
    assert scatter([Mark(x=math.nan, y=1.0, sign="o")], "x", "y") == ""


def test_an_axis_over_decades_is_logarithmic() -> None:
    """Ends and middle of a logarithmic axis are where they should be."""
    made = axis([1.0, 10000.0], 101)
    assert made.logarithmic
    assert [made.cell(v) for v in (1.0, 100.0, 10000.0)] == [0, 50, 100]
    assert not axis([1.0, 2.0], 10).logarithmic


def testshort_names_tell_parameters_apart() -> None:
    """The last part is enough unless another path ends alike."""
    names = short_names(["chip.die.core.count", "chip.dies", "host.count", "chips"])
    assert names == {
        "chip.die.core.count": "core.count",
        "chip.dies": "dies",
        "host.count": "host.count",
        "chips": "chips",
    }


def test_csv_has_one_row_for_each_point_and_reference() -> None:
    """Columns are those of all rows; what a row has not is empty."""
    point = {
        "design": {"chips": 4.0},
        "mapping": {"chat": {"tp": 2}},
        "metrics": {"mfu": 0.5},
        "margins": {"memory": 0.1},
    }
    reference = {
        "name": "old",
        "mapping": {"chat": {"tp": 1}},
        "metrics": {"mfu": 0.25},
        "margins": {"memory": -0.1},
    }
    text = front_csv({"points": [point], "references": [reference]})
    assert text.splitlines() == [
        "name,feasible,chips,mapping.chat.tp,mfu,margin.memory",
        ",True,4.0,2,0.5,0.1",
        "old,False,,1,0.25,-0.1",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.0, "59 s"), (184.0, "3:04"), (3723.0, "1:02:03")]
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    """Seconds, minutes and hours."""
    assert duration(seconds) == text


def test_counting_says_how_much_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no terminal a line every few seconds, on stderr; none if it is over before."""
    moments = iter([0.0, 0.0, 1.0, 6.0, 7.0])
    monkeypatch.setattr("dse.report.progress.time.monotonic", lambda: next(moments))
    with counting("samples", 4) as told:
        for done in (1, 2, 3):
            told(done)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "samples: 2/4, 6 s left\n"
