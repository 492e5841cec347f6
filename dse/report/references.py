"""The references of a run: which rules they break, how far inside the front, what reaches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from dse.report.figures import digits, in_unit, percent
from dse.report.terminal import Column, note, table

Document = dict[str, Any]

ON = 1e-4
"""How far inside or beyond the front is shown as on it: what rounding adds."""


def reference_view(problem: Mapping[str, Any], letter: str, reference: Document) -> list[Any]:
    """One reference under its letter."""
    parts: list[Any] = [_kept(letter, reference)]
    share = reference.get("distance")
    if share is None:
        return parts
    if share <= 0.0:
        return [*parts, note(f"  {_beyond(-share)}")]
    parts.append(note(f"  {percent(share)} inside the front{_prices(reference)}"))
    changes = reference.get("changes")
    if changes and reference.get("steps"):
        parts += _steps(problem, changes["point"], reference["steps"])
    elif changes and changes["parameters"]:
        parts.append(note(f"  {_nearest(changes)}"))
    return parts


def reference_text(problem: Mapping[str, Any], reference: Document) -> str:
    """Rules that a reference breaks, how far inside the front it stands, what leads there."""
    said, share = [_rules_kept(reference)], reference.get("distance")
    if share is not None and share <= 0.0:
        said.append(_beyond(-share))
    elif share is not None:
        said.append(f"{percent(share)} inside the front{_prices(reference)}")
        changes = reference.get("changes")
        if changes and (steps := reference.get("steps")):
            listed = ", ".join(change_text(problem, each) for each in steps)
            said.append(f"{_reach(steps)} design {changes['point']} of it: {listed}")
        elif changes and changes["parameters"]:
            said.append(_nearest(changes))
    return "; ".join(said)


def _kept(letter: str, reference: Document) -> Text:
    said = f"{letter} {reference['name']}: {_rules_kept(reference)}"
    return Text(said, style="red" if reference["violated"] else "")


def _rules_kept(reference: Document) -> str:
    margins = reference["margins"]
    broken = [f"{name} ({percent(margins[name])})" for name in reference["violated"]]
    return f"infeasible, breaks {', '.join(broken)}" if broken else "keeps all rules"


def _beyond(share: float) -> str:
    return f"{percent(share)} beyond the front" if share > 0.0 else "on the front"


def _prices(reference: Document) -> str:
    """At which prices it would join the front: rented by the hour, or bought."""
    rented, bought = reference.get("joins_at"), reference.get("purchase")
    said = []
    if rented:
        said.append(f"rented at {rented['usd_per_chip_hour']:.3g} USD/h a chip")
    if bought:
        now = bought["usd_per_chip"] / bought["factor"] if bought["factor"] else 0.0
        asked = digits(bought["usd_per_chip"], 3)
        said.append(
            f"bought at {asked} USD a chip with its share of the system, not {digits(now, 3)}"
        )
    elif "purchase" in reference:
        said.append("bought at no price, for its energy and building")
    return f"; joins it {' or '.join(said)}" if said else ""


def _steps(problem: Mapping[str, Any], point: int, steps: Sequence[Document]) -> list[Any]:
    gains = [f"{percent(s['gain'])}{'*' if s['breaks'] else ''}" for s in steps]
    left = [percent(s["together"] if abs(s["together"]) > ON else 0.0) for s in steps]
    return [
        note(f"  {_reach(steps)} design {point} of it:"),
        table(
            [
                Column(
                    "change, the best first", [change_text(problem, s) for s in steps], fold=True
                ),
                Column("gains\nalone", gains, right=True),
                Column("inside\nso far", left, right=True),
            ]
        ),
        *(
            note(f"  * {s['path']} alone breaks {', '.join(s['breaks'])}")
            for s in steps
            if s["breaks"]
        ),
    ]


def _reach(steps: Sequence[Document]) -> str:
    return "this change reaches" if len(steps) == 1 else f"these {len(steps)} changes reach"


def _nearest(changes: Document) -> str:
    """A reference outside of the space: what is searched differs, and more does."""
    number = len(changes["parameters"])
    said = f"{number} searched parameters differ, and more does"
    return f"as good in all is design {changes['point']}: {said}"


def change_text(problem: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """A change as text: path, what it was, what it becomes, with units."""
    before, after = (_value(problem, change, side) for side in ("from", "to"))
    return f"{change['path']} {before} to {after}"


def _value(problem: Mapping[str, Any], change: Mapping[str, Any], side: str) -> str:
    value = change[side]
    if not isinstance(value, (int, float)):
        return str(value)
    parameter = next(p for p in problem["parameters"] if p["path"] == change["path"])
    unit = parameter["unit"]
    return in_unit(value, unit) + (f" {unit}" if unit not in ("", "1") else "")
