"""Quantity text to SI floats and back: meanings, traps of case, hostile text, exact round trips."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse import units
from dse.errors import UnitError

MEANINGS = [
    ("4.9 TB/s", "TB/s", 4.9e12),
    ("36 GiB", "GB", 36 * 2**30),
    ("3.9 pJ/bit", "pJ/bit", 3.9e-12 * 8),
    ("3.9 pJ/B", "pJ/bit", 3.9e-12),
    ("448 Gb/s/lane", "Gb/s/lane", 448e9 / 8),
    ("24 Gb", "GB", 3e9),
    ("8 Gib", "GiB", 2**30),
    ("1.25 TFLOP/s", "PFLOP/s", 1.25e12),
    ("1.25 Top/s", "FLOP/s", 1.25e12),
    ("830 mm2", "mm2", 830e-6),
    ("830 mm^2", "mm2", 830e-6),
    ("830 mm**2", "mm2", 830e-6),
    ("0.021 um2", "um2", 0.021e-12),
    ("0.1 1/cm2", "1/cm2", 1000.0),
    ("0.1/cm2", "1/cm2", 1000.0),
    ("0.1 defects/cm2", "1/cm2", 1000.0),
    ("140 MTr/mm2", "MTr/mm2", 140e12),
    ("20 USD/GB", "USD/GB", 20e-9),
    ("20 $/GB", "USD/GB", 20e-9),
    ("500 GB/s/mm", "GB/s/mm", 5e14),
    ("0.072 USD/kWh", "USD/kWh", 0.072 / 3.6e6),
    ("350 gCO2e/kWh", "g/kWh", 350 / 3.6e6),
    ("0.35 kgCO2e/kWh", "g/kWh", 350 / 3.6e6),
    ("2 tCO2e", "kg", 2e6),
    ("0.9 W/mm2", "W/mm2", 0.9e6),
    ("132 kW", "kW", 132e3),
    ("1.2 MWh", "MWh", 4.32e9),
    ("11 USD/W", "USD/W", 11.0),
    ("130 USD/kW/month", "USD/kW/month", 130 / 1000 / (365 * 86400 / 12)),
    ("130 USD/(kW*month)", "USD/kW/month", 130 / 1000 / (365 * 86400 / 12)),
    ("2 1/year", "1/year", 2 / (365 * 86400)),
    ("5 %/year", "%/year", 0.05 / (365 * 86400)),
    ("2.4 GHz", "GHz", 2.4e9),
    ("3 µs", "us", 3e-6),
    ("3 μs", "us", 3e-6),
    ("25 degC", "K", 298.15),
    ("85 °C", "degC", 358.15),
    ("300 K", "degC", 300.0),
    ("0.75 V", "V", 0.75),
    ("4 years", "year", 4 * 365 * 86400),
    ("85 %", "1", 0.85),
    ("85%", "%", 0.85),
    ("0.85", "%", 0.85),
    ("0.85", "1", 0.85),
    ("8 chips", "1", 8.0),
    ("12_000 W", "kW", 12000.0),
    ("-1.5e3W", "kW", -1500.0),
    (".5 W", "W", 0.5),
    ("  7   W  ", "W", 7.0),
    ("15 Mtoken", "token", 15e6),
    ("3 EB", "B", 3e18),
]

REFUSED = [
    ("3 pJ/b", "pJ/bit", "write pJ/bit"),
    ("3 b", "B", "bit or a byte"),
    ("3 KB", "B", "kB or KiB"),
    ("4 TFLOPS", "FLOP/s", "write TFLOP/s"),
    ("4 TFLOPs", "FLOP/s", "write TFLOP/s"),
    ("4 PFLOP", "FLOP/s", 'did you mean "4 PFLOP/s"?'),
    ("100 GBps", "GB/s", "write GB/s"),
    ("5 kw", "W", "'kW'"),
    ("5 Mw", "W", "'MW'"),
    ("5 Ms", "s", "'ms'"),
    ("5 watts", "W", "write W"),
    ("5 toekns", "token", "'tokens'"),
    ("42U", "1", "plain number"),
    ("4.9", "TB/s", 'write "4.9 TB/s"'),
    ("1,000 W", "W", "no commas"),
    ("1__0 W", "W", "only between digits"),
    ("1_ W", "W", "only between digits"),
    ("1.2.3 W", "W", "'.' for decimals"),
    ("1 000 W", "W", "12_000"),
    ("$30", "USD", "then USD"),
    ("inf W", "W", "finite"),
    ("-nan", "1", "finite"),
    ("2 W/degC", "W/K", "write K"),
    ("2 GB s", "GB*s", "units are written like"),
    ("2 GB per s", "GB/s", "units are written like"),
    ("2 W/", "W", "not complete"),
    ("2 (W", "W", "not complete"),
    ("2 W)", "W", "cannot be read"),
    ("1/3", "1", "cannot be read"),
    ("2 W**5", "W", "a power that is not"),
    ("2 W0", "W", "a power that is not"),
    ("2 mm**2**2", "mm2", "cannot be read"),
    ("1e301 W", "W", "beyond"),
    ("1e290 YFLOP", "FLOP", "beyond"),
    ("1e-990 W", "W", "beyond"),
    ("1e99999999999 W", "W", "too long"),
    ("9" * 80 + " W", "W", "too long"),
    ("1 " + "W*" * 60 + "W", "W", "too long"),
    ("1 " + "W*" * 30 + "W", "W", "too long"),
    ("1 " + "*".join(["PB^4"] * 8), "W", "beyond what a unit"),
    ("9**9**8 W", "W", "cannot be read"),
    ("1 9**9**8", "W", "12_000"),
    ("1 W**9**9**8", "W", "a power that is not"),
    ("1 W**(9**9**8)", "W", "cannot be read"),
    ("", "W", "does not start with a number"),
    ("fast", "W", "does not start with a number"),
    ("٣ W", "W", "does not start with a number"),
    ("1 __import__('os')", "W", "12_000"),
]

ROUND_TRIP_UNITS = sorted({unit for _, unit, _ in MEANINGS} - {"degC"})


@pytest.mark.parametrize(("text", "unit", "expected"), MEANINGS)
def test_meaning(text: str, unit: str, expected: float) -> None:
    """Text has the SI value that a hardware engineer would compute by hand."""
    assert units.parse(text, unit) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(("text", "unit", "hint"), REFUSED)
def test_refused(text: str, unit: str, hint: str) -> None:
    """What is ambiguous, unknown, unbounded or malformed is refused, and the message helps."""
    with pytest.raises(UnitError) as caught:
        units.parse(text, unit)
    assert hint in str(caught.value)
    assert caught.value.findings[0].expected


@pytest.mark.parametrize("value", [5, 5.0, True, None, ["5 W"], {"a": 1}])
def test_refuses_what_is_not_text(value: object) -> None:
    """A bare TOML number, list or table where text is due is a UnitError with an example."""
    with pytest.raises(UnitError, match=r"not text with a unit\n.*such as \"1\.5 W\""):
        units.parse(value, "W")  # type: ignore[arg-type]


def test_wrong_dimension_names_both() -> None:
    """A quantity of another dimension is refused with both dimensions and an example."""
    with pytest.raises(UnitError) as caught:
        units.parse("4.9 TB", "pJ/bit")
    assert '"4.9 TB" is information, not energy/information' in str(caught.value)
    assert '"1.5 pJ/bit"' in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("W", {"energy": 1, "time": -1}),
        ("pJ/bit", {"energy": 1, "information": -1}),
        ("USD/GB", {"currency": 1, "information": -1}),
        ("K/W", {"temperature": 1, "energy": -1, "time": 1}),
        ("TFLOP/s", {"operation": 1, "time": -1}),
        ("V", {"potential": 1}),
        ("gCO2e/kWh", {"mass": 1, "energy": -1}),
        ("MTr/mm2", {"transistor": 1, "length": -2}),
        ("%/year", {"time": -1}),
        ("Gb/s/lane", {"information": 1, "time": -1}),
        ("1", {}),
        ("%", {}),
        ("chip", {}),
        ("GB/GiB", {}),
    ],
)
def test_dimension(unit: str, expected: dict[str, float]) -> None:
    """A unit's exponents stand over the base dimensions; those that cancel are absent."""
    assert units.dimension(unit) == expected


def test_dimension_is_a_fresh_dict() -> None:
    """A caller that changes what it got does not change what the next one gets."""
    units.dimension("W").clear()
    assert units.dimension("W") == {"energy": 1, "time": -1}


def test_factor_is_exact() -> None:
    """One unit's SI value is the float nearest to the true one."""
    assert units.factor("TB/s") == 1e12
    assert units.factor("pJ/bit") == 8e-12
    assert units.factor("um2") == 1e-12
    assert units.factor("kWh") == 3.6e6
    assert units.factor("%") == 0.01
    assert units.factor("month") * 12 == units.factor("year") == 365 * 86400
    assert units.factor("degC") == 1


@pytest.mark.parametrize(
    ("value", "unit", "digits", "expected"),
    [
        (4.9e12, "TB/s", 4, "4.9 TB/s"),
        (0.0, "TB/s", 4, "0 TB/s"),
        (-0.0, "W", 4, "0 W"),
        (123456.0, "W", 4, "123500 W"),
        (1 / 3, "W", 4, "0.3333 W"),
        (1e-9, "W", 4, "1e-9 W"),
        (6e23, "FLOP", 4, "6e+23 FLOP"),
        (2.5e-12, "pJ", 2, "2.5 pJ"),
        (358.15, "degC", 4, "85 degC"),
        (1000.0, "1/cm2", 4, "0.1 1/cm2"),
        (0.85, "1", 4, "0.85"),
        (0.85, "%", 4, "0.85"),
        (72.0, "chip", 4, "72"),
        (math.inf, "W", 4, "inf W"),
    ],
)
def test_show(value: float, unit: str, digits: int, expected: str) -> None:
    """A value reads in its field's unit, rounded, without trailing zeros."""
    assert units.show(value, unit, digits) == expected


@given(
    st.floats(min_value=-1e300, max_value=1e300),
    st.sampled_from([*ROUND_TRIP_UNITS, "1", "%", "YFLOP", "fJ", "1/um^4"]),
)
def test_text_reloads_to_the_same_float(value: float, unit: str) -> None:
    """Both `exact` and 17 digits of `show` parse back to the identical float, in any unit."""
    assert units.parse(units.exact(value, unit), unit) == value
    assert units.parse(units.show(value, unit, 17), unit) == value


@given(st.floats(min_value=-1e6, max_value=1e6))
def test_temperatures_reload_to_the_same_float(value: float) -> None:
    """An offset loses nothing either: where degC cannot tell, K is written."""
    assert units.parse(units.exact(value, "degC"), "degC") == value


def test_exact_is_short() -> None:
    """`exact` writes what a person would have written, not 17 digits."""
    assert units.exact(units.parse("4.9 TB/s", "TB/s"), "TB/s") == "4.9 TB/s"
    assert units.exact(units.parse("0.072 USD/kWh", "USD/kWh"), "USD/kWh") == "0.072 USD/kWh"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e301])
def test_exact_refuses_what_cannot_reload(value: float) -> None:
    """A value that no file may hold is not written."""
    with pytest.raises(UnitError, match="cannot be written"):
        units.exact(value, "W")


PIECES = [*"0123456789.eE+-_ */^()%$µsWBbGkTUA", "**", "1/", "degC", "FLOP", "mm2", "1 W", "CO2e"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_hostile_text_is_a_unit_error(text: str) -> None:
    """Whatever text is given, the answer is a finite float or a UnitError, never another one."""
    with contextlib.suppress(UnitError):
        assert math.isfinite(units.parse(text, "W"))


@pytest.mark.parametrize("name", [name for name in units.unit_names() if name != "degC"])
def test_every_listed_name_is_understood(name: str) -> None:
    """Each name of the table resolves and has a positive SI value."""
    assert units.factor(name) > 0


def test_import_is_light() -> None:
    """Importing the module leaves pint alone: start-up is paid by those who parse."""
    code = "import sys, dse.units; sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
