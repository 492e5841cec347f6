"""Quantity text to SI floats and back.

Text such as ``"4.9 TB/s"`` is split by a regular expression into a number and a unit; the unit is
checked against our own closed table of names before pint, on an empty registry that holds only
that table, does its algebra in exact fractions. So no text can make pint evaluate an expression,
``42U`` is no enzyme and ``b`` no barn, and every float survives the way to text and back.
SI here: s, m, J, B, USD, K, FLOP, V, g, transistor. Energy and information are base dimensions.
A year is 365 days (8,760 h) and a month a twelfth of it.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from math import isfinite
from typing import Any, NoReturn

import attrs

from dse.errors import Finding, UnitError, nearest

_POWERS_OF_TEN = (-18, -15, -12, -9, -6, -3, -2, 0, 3, 6, 9, 12, 15, 18, 21, 24)
_PREFIXES = {
    **{
        prefix: Fraction(10) ** power
        for prefix, power in zip("afpnumc-kMGTPEZY", _POWERS_OF_TEN, strict=True)
    },
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}

# Names, what they are, prefixes they take ("-" is the bare name). A prefix that is more often a
# slip than a wish (Ms, Mm, KB) is left out, so that the slip is caught.
_TABLE = (
    ("s", "[time]", "f p n u m -"),
    ("min", "60 * s", "-"),
    ("h hr hour hours", "3600 * s", "-"),
    ("day days", "86400 * s", "-"),
    ("week weeks", "604800 * s", "-"),
    ("month months", "2628000 * s", "-"),
    ("yr year years", "31536000 * s", "-"),
    ("Hz", "1 / s", "- k M G T"),
    ("m", "[length]", "p n u m c - k"),
    ("J", "[energy]", "a f p n u m - k M G T P"),
    ("W", "J / s", "p n u m - k M G T"),
    ("Wh", "3600 * J", "m - k M G T P"),
    ("B", "[information]", "- k M G T P E Z Ki Mi Gi Ti Pi Ei"),
    ("bit bits", "1 / 8 * B", "- k M G T P E Ki Mi Gi Ti"),
    ("b", "1 / 8 * B", "M G T P E Ki Mi Gi Ti"),
    ("USD", "[currency]", "- k M G T"),
    ("K", "[temperature]", "u m -"),
    ("FLOP", "[operation]", "- k M G T P E Z Y"),
    ("op OP", "FLOP", "- k M G T P E Z Y"),
    ("V", "[potential]", "n u m - k"),
    ("g gCO2e", "[mass]", "u m - k"),
    ("t tCO2e", "1000000 * g", "- k M G"),
    ("Tr", "[transistor]", "- k M G T"),
    ("percent", "1 / 100", "-"),
    ("tok token tokens", "1", "- k M G T"),
    ("lane lanes chip chips stack stacks pin pins unit units", "1", "-"),
    ("die dies core cores wafer wafers defect defects cycle cycles", "1", "-"),
    ("server servers rack racks user users request requests link links port ports", "1", "-"),
)

_REFUSED = {
    "b": "'b' may be a bit or a byte",
    "kb": "'kb' may be bits or bytes: write kbit or kB",
    "KB": "'KB' may be 1000 or 1024 bytes: write kB or KiB",
    "Kb": "'Kb' may be 1000 or 1024 bits: write kbit or Kibit",
    "U": "rack units have no unit here: write a plain number",
    "degC": "degC has an offset and stands only alone: write K",
    "C": "write degC, or K",
    "per": "write '/' for per",
}

_SPELLED = (
    "watt=W joule=J second=s sec=s minute=min meter=m metre=m gram=g ton=t tonne=t volt=V "
    "kelvin=K byte=B hertz=Hz dollar=USD celsius=degC transistor=Tr"
)

_LARGEST = 1e300
_ZERO_CELSIUS = Fraction(27315, 100)
_ALIASES = str.maketrans({"µ": "u", "μ": "u", "·": "*", "$": "USD"})
_NUMBER = re.compile(
    r"[+-]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII
)
_TOKEN = re.compile(
    r"(?P<name>[A-Za-z]*?CO2e(?![A-Za-z])|[A-Za-z]+|%)"
    r"(?:(?:\*\*|\^)?(?P<power>-?\d+)|(?:\*\*|\^)\((?P<grouped>-?\d+)\))?"
    r"|(?P<one>1)(?![\d.])|(?P<sign>[*/()])",
    re.ASCII,
)
_RATE = re.compile(r"([kMGTPEZY]?)(flops|ops)", re.IGNORECASE)
_PER_SECOND = re.compile(r"([kMGTP]?[bB])ps")


@attrs.frozen
class _Unit:
    """A unit's exact SI value, its dimension as sorted (name, exponent) pairs, and its offset."""

    factor: Fraction
    dimension: tuple[tuple[str, int], ...]
    offset: Fraction = Fraction(0)


def parse(text: str, unit: str) -> float:
    """The SI value of a quantity such as ``"4.9 TB/s"`` for a field declared in `unit`.

    A dimensionless field takes ``"0.85"`` and ``"85 %"`` alike. Raises UnitError that says what was
    found, what was expected with an example, and the nearest thing that would have been right.
    """
    if not isinstance(text, str):
        _refuse(f"{str(text)[:60]} is not text with a unit", expected=_expected(unit))
    return _parse(text, unit)


def factor(unit: str) -> float:
    """The SI value of one `unit`; for degC of a difference of one. Raises UnitError."""
    return float(_resolve(unit).factor)


def dimension(unit: str) -> dict[str, float]:
    """Exponents of `unit` over the base dimensions; empty if it has none. Raises UnitError."""
    return {name: float(power) for name, power in _resolve(unit).dimension}


def show(value: float, unit: str, digits: int = 4) -> str:
    """An SI `value` as text in `unit` to so many significant digits; 17 digits reload exactly.

    A dimensionless value is a plain number. Infinite and undefined values are shown as such.
    """
    value = float(value)
    resolved = _resolve(unit)
    suffix = f" {unit}" if resolved.dimension else ""
    if not isfinite(value):
        return f"{value}{suffix}"
    amount = Fraction(value)
    if resolved.dimension:
        amount = (amount - resolved.offset) / resolved.factor
    return _decimal_text(amount, max(1, digits)) + suffix


def exact(value: float, unit: str) -> str:
    """The shortest text in `unit` that parses back to exactly the same float.

    A degC too close to absolute zero to be told in 17 digits is written in K. Raises UnitError
    for a value that no text may have: infinite, undefined, or beyond 1e300.
    """
    value = float(value)
    if not isfinite(value) or abs(value) > _LARGEST:
        _refuse(f"{value} {unit} cannot be written", expected="a finite number up to 1e300")
    for digits in range(1, 18):
        text = show(value, unit, digits)
        if _value_or_none(text, unit) == value:
            return text
    # 17 digits tell all floats apart under any scale; only an offset can defeat them.
    return exact(value, "K")


def unit_names() -> list[str]:
    """Every unit name that may be written, prefixes included."""
    return [*_definitions(), "%", "$", "degC"]


@lru_cache(maxsize=8192)
def _parse(text: str, unit: str) -> float:
    declared = _resolve(unit)
    expected = _expected(unit)
    number, unit_text = _split(text, expected)
    if not unit_text:
        if declared.dimension:
            hint = f'write "{text.strip()} {unit}" if that is the unit meant'
            _refuse(f'"{text}" has no unit', expected=expected, hint=hint)
        return _finite(number, text, expected)
    try:
        found = _resolve(unit_text)
    except UnitError as error:
        (finding,) = error.findings
        message = f'"{text}": {finding.message}'
        raise UnitError(attrs.evolve(finding, message=message, expected=expected)) from None
    if found.dimension != declared.dimension:
        message = f'"{text}" is {_words(found)}, not {_words(declared)}'
        _refuse(message, expected=expected, hint=_rate_hint(text, found, declared))
    return _finite(number * found.factor + found.offset, text, expected)


def _split(text: str, expected: str) -> tuple[Fraction, str]:
    """The number, exact, and the text of the unit that follows it."""
    stripped = text.strip()
    match = _NUMBER.match(stripped)
    if len(text) > 100:
        _refuse(f"a quantity of {len(text)} characters is too long", expected=expected)
    if match is None:
        _refuse(f'"{text}" does not start with a number', expected=expected, hint=_no_number(text))
    rest = stripped[match.end() :].strip()
    if re.match(r"(?!1\s*/)[,'_.\d]", rest):
        hint = "write 12_000 or 12000: no commas, '_' only between digits, '.' for decimals"
        _refuse(f'"{text}" is not a number with a unit', expected=expected, hint=hint)
    if len(match[0]) > 50 or re.search(r"[eE][+-]?\d{4}", match[0]):
        _refuse(f'the number of "{text}" is too long', expected=expected)
    return Fraction(match[0].replace("_", "")), rest


def _no_number(text: str) -> str:
    word = text.strip().lstrip("+-").lower()
    if word.startswith(("inf", "nan")):
        return "quantities are finite: leave the field out, or give a bound"
    return "write the number first, then USD" if word.startswith(("$", "usd")) else ""


def _finite(value: Fraction, text: str, expected: str) -> float:
    number = float(value) if abs(value) < 10**301 else float("inf")
    if abs(number) > _LARGEST or (value != 0 and number == 0.0):
        _refuse(f'"{text}" is beyond what a number here may be (1e300)', expected=expected)
    return number


def _value_or_none(text: str, unit: str) -> float | None:
    try:
        return _parse.__wrapped__(text, unit)
    except UnitError:
        return None


@lru_cache(maxsize=4096)
def _resolve(unit: str) -> _Unit:
    """The exact meaning of a unit's text, which may come from anybody."""
    if len(unit) > 40:
        _refuse(f"a unit of {len(unit)} characters is too long", expected="at most 40 characters")
    plain = unit.strip().replace("°C", "degC").translate(_ALIASES)
    if plain == "degC":
        return _Unit(Fraction(1), (("temperature", 1),), _ZERO_CELSIUS)
    registry = _registry()
    parsed = registry.parse_units(_checked(plain, unit))
    value, _ = registry.get_base_units(parsed, check_nonmult=False)
    powers = registry.get_dimensionality(parsed)
    size = Fraction(value)
    if not Fraction(1, 10**200) <= size <= 10**200:
        _refuse(f"unit {unit!r} is beyond what a unit here may be (1e-200 to 1e200)")
    return _Unit(size, tuple(sorted((key[1:-1], int(power)) for key, power in powers.items())))


def _checked(plain: str, unit: str) -> str:
    """The unit rewritten for pint: known names, small powers, balanced brackets, nothing else."""
    plain = re.sub(r"\s*(\*\*|[*/^()])\s*", r"\1", plain)
    pieces = ["1"] if plain.startswith("/") else []
    wants_operand, depth, position = not pieces, 0, 0
    while position < len(plain):
        match = _TOKEN.match(plain, position)
        if match is None:
            _refuse(f"unit {unit!r} cannot be read at {plain[position:]!r}", hint=_syntax_hint())
        sign = match["sign"]
        depth += {"(": 1, ")": -1}.get(sign or "", 0)
        if wants_operand != (sign is None or sign == "(") or depth < 0:
            _refuse(f"unit {unit!r} cannot be read at {plain[position:]!r}", hint=_syntax_hint())
        wants_operand = sign is not None and sign != ")"
        pieces.append(_named(match, unit) if match["name"] else match[0])
        position = match.end()
    if wants_operand or depth:
        _refuse(f"unit {unit!r} is not complete", hint=_syntax_hint())
    return "".join(pieces)


def _named(match: re.Match[str], unit: str) -> str:
    """One name and its power as pint writes them."""
    name = "percent" if match["name"] == "%" else match["name"]
    if name not in _definitions():
        _refuse(f"unknown unit {name!r}", hint=_name_hint(name, unit))
    power = match["power"] or match["grouped"] or "1"
    if len(power) > 3 or not 1 <= abs(int(power)) <= 4:
        _refuse(f"unit {unit!r} has a power that is not 1 to 4 or -1 to -4", hint=_syntax_hint())
    return f"{name}**({power})"


def _name_hint(name: str, unit: str) -> str:
    """What to write instead of a name that is not known."""
    if name == "b":
        better = [re.sub(r"(?<![A-Za-z])b(?![A-Za-z])", other, unit) for other in ("bit", "B")]
        return f"{_REFUSED['b']}: write {better[0]} or {better[1]}"
    if rate := _RATE.fullmatch(name):
        count = rate[1] + rate[2][:-1].upper()
        return f"{name} may be a count or a rate: write {count}/s or {count}"
    if rate := _PER_SECOND.fullmatch(name):
        return f"write {rate[1]}/s"
    spelled = dict(pair.split("=") for pair in _SPELLED.split())
    if symbol := spelled.get(name.lower().rstrip("s")):
        return f"write {symbol}"
    same = [known for known in _definitions() if known.lower() == name.lower()]
    if name in _REFUSED:
        return _REFUSED[name]
    if same:
        return f"did you mean {' or '.join(map(repr, same))}?"
    return nearest(name, unit_names()) or _syntax_hint()


def _syntax_hint() -> str:
    return "units are written like pJ/bit, mm2, GB/s/mm, 1/year, USD/(kW*month)"


@lru_cache(maxsize=1)
def _definitions() -> dict[str, str]:
    """Every name that may be written and what pint is told about it."""
    table = {}
    for names, meaning, prefixes in _TABLE:
        first, *others = names.split()
        one = first if "-" in prefixes else meaning
        for prefix in prefixes.split():
            scaled = meaning if prefix == "-" else f"{_PREFIXES[prefix]} * {one}"
            table[prefix.strip("-") + first] = scaled
            for other in others:
                table[prefix.strip("-") + other] = prefix.strip("-") + first
    return table


@lru_cache(maxsize=1)
def _registry() -> Any:
    """An empty pint registry with our names; typed loosely, as its exact fractions are not."""
    import pint

    registry: Any = pint.UnitRegistry(None, non_int_type=Fraction)
    for name, meaning in _definitions().items():
        registry.define(f"{name} = {meaning}")
    return registry


def _decimal_text(amount: Fraction, digits: int) -> str:
    """`amount` correctly rounded to `digits` significant digits, without trailing zeros."""
    context = Context(prec=digits, rounding=ROUND_HALF_EVEN, Emin=-99999, Emax=99999)
    number = context.divide(Decimal(amount.numerator), Decimal(amount.denominator))
    number = number.normalize(context)
    if number == 0:
        return "0"
    return f"{number:f}" if -6 < number.adjusted() < 12 else f"{number:e}"


def _expected(unit: str) -> str:
    resolved = _resolve(unit)
    if not resolved.dimension:
        return 'a plain number such as "0.85", or a percentage such as "85 %"'
    return f'{_words(resolved)} with its unit, such as "1.5 {unit}"'


def _words(unit: _Unit) -> str:
    """A dimension in words: energy/information."""

    def product(pairs: list[tuple[str, int]]) -> str:
        return "*".join(name + (f"^{power}" if power > 1 else "") for name, power in pairs)

    above = product([(name, power) for name, power in unit.dimension if power > 0])
    below = product([(name, -power) for name, power in unit.dimension if power < 0])
    if not unit.dimension:
        return "a plain number"
    below = f"({below})" if "*" in below else below
    return f"{above or '1'}/{below}" if below else above


def _rate_hint(text: str, found: _Unit, declared: _Unit) -> str:
    """A hint if the two dimensions differ by one power of time."""
    difference = dict(declared.dimension)
    for name, power in found.dimension:
        difference[name] = difference.get(name, 0) - power
    remaining = {name: power for name, power in difference.items() if power}
    return f'did you mean "{text.strip()}/s"?' if remaining == {"time": -1} else ""


def _refuse(message: str, *, expected: str = "", hint: str = "") -> NoReturn:
    raise UnitError(Finding(message=message, expected=expected, hint=hint))
