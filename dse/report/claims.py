"""Claims and their verdicts as a table, with the arithmetic of what is not as claimed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.text import Text

from dse.errors import CheckFailed
from dse.evidence.claim_file import VERDICTS
from dse.evidence.claims import MODELLED, Judgement
from dse.report.figures import digits, in_unit, percent
from dse.report.terminal import Column, heading, note, table

_STYLES = {
    "reproduced": "green",
    "off": "yellow",
    "contradicted": "red",
    "not-reproducible": "dim",
}

_SHOWN = 0.0005
"""The smallest relative difference that the table's one decimal can show."""


def claims_document(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Each claim with its verdict; numbers are in the claim's unit, differences relative."""
    return [_document(judgement) for judgement in judgements]


def _document(judgement: Judgement) -> dict[str, Any]:
    claim = judgement.claim
    return {
        "id": claim.id,
        "quote": claim.quote,
        "verdict": judgement.verdict,
        "expected": claim.expected,
        "held": judgement.held,
        "claimed": _number(claim.claimed, claim.unit),
        "computed": _number(judgement.computed, claim.unit),
        "unit": claim.unit,
        "difference": judgement.difference,
        "tolerance": claim.tolerance if judgement.difference is not None else None,
        "arithmetic": judgement.arithmetic,
        "source": claim.source,
        "date": claim.date,
        "gives": list(claim.gives),
        "note": claim.reason or claim.note,
    }


def _number(value: float | bool | None, unit: str) -> float | bool | None:
    from dse import units

    if value is None or isinstance(value, bool):
        return value
    return value / units.factor(unit)


def claims_view(judgements: Sequence[Judgement], *, detailed: bool) -> list[Any]:
    """The table, what was counted, and the arithmetic: of all claims, or of the contradicted."""
    if not judgements:
        return [note("no claims")]
    parts = [_table(judgements), Text(""), Text(summary(judgements))]
    parts += [Text(said) for said in [taken(judgements)] if said]
    explained = [j for j in judgements if detailed or j.verdict == "contradicted"]
    if explained:
        title = "how it was computed" if detailed else "contradicted, with the arithmetic"
        texts = [_explanation(judgement, detailed=detailed) for judgement in explained]
        ids = Column("id", [judgement.claim.id for judgement in explained])
        parts += [heading(title), table([ids, Column("arithmetic", texts, fold=True)])]
    return parts


def _table(judgements: Sequence[Judgement]) -> Any:
    claims = [judgement.claim for judgement in judgements]
    return table(
        [
            Column("id", [claim.id for claim in claims]),
            Column("claim", [claim.quote for claim in claims], fold=True),
            Column("claimed", [claim.text for claim in claims], right=True),
            Column("computed", [_computed(j) for j in judgements], right=True),
            Column(
                "verdict",
                [verdict_text(j) for j in judgements],
                styles=[_STYLES[j.verdict] for j in judgements],
            ),
        ]
    )


def _computed(judgement: Judgement) -> str:
    value = judgement.computed
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return in_unit(value, judgement.claim.unit)


def verdict_text(judgement: Judgement) -> str:
    """The verdict, the relative difference below it, and what was expected if it was not that."""
    words = {"off": "off by", "not-reproducible": "not\nreproducible"}
    lines = [words.get(judgement.verdict, judgement.verdict)]
    if abs(judgement.difference or 0.0) >= _SHOWN:
        lines.append(f"{100.0 * (judgement.difference or 0.0):+,.1f} %")
    if not judgement.held:
        lines.append(f"NOT {judgement.claim.expected}")
    return "\n".join(lines)


def _explanation(judgement: Judgement, *, detailed: bool) -> str:
    claim = judgement.claim
    lines = [judgement.arithmetic, claim.note, claim.reason]
    if detailed:
        lines.append(", ".join(part for part in (claim.source, claim.date) if part))
    return "\n".join(line for line in lines if line)


def summary(judgements: Sequence[Judgement]) -> str:
    """How many claims have each verdict."""
    words = {"not-reproducible": "not reproducible from public inputs"}
    counted = {word: sum(j.verdict == word for j in judgements) for word in VERDICTS}
    parts = [f"{number} {words.get(word, word)}" for word, number in counted.items() if number]
    return f"{len(judgements)} claims: " + ", ".join(parts)


def taken(judgements: Sequence[Judgement]) -> str:
    """How many constants are taken from claimed figures, and how well the others are met.

    The others are those that the model computes; known tensions between sources are left out.
    """
    givers = [j for j in judgements if j.claim.gives]
    if not givers:
        return ""
    constants = {name for j in givers for name in j.claim.gives}
    said = f"{len(constants)} constants are taken from {len(givers)} of these claims"
    errors = sorted(
        abs(j.difference)
        for j in judgements
        if j.difference is not None
        and j.claim.id in MODELLED
        and not j.claim.gives
        and j.claim.expected == "reproduced"
    )
    if not errors:
        return said
    met = f"{percent(median(errors))} in the median, {percent(errors[-1])} at worst"
    return (
        f"{said}; the {len(errors)} others that the model computes and that no other source "
        f"contradicts are met within {met}"
    )


def require_held(judgements: Sequence[Judgement]) -> None:
    """Raises CheckFailed, with all of them, if a verdict is not the expected one."""
    wrong = [j for j in judgements if not j.held]
    if wrong:
        said = "; ".join(_surprise(judgement) for judgement in wrong)
        many = "claims are" if len(wrong) > 1 else "claim is"
        raise CheckFailed(f"{len(wrong)} {many} not as expected: {said}")


def _surprise(judgement: Judgement) -> str:
    found = judgement.verdict
    if judgement.difference is not None:
        found += f" ({digits(100.0 * judgement.difference, 3)} %)"
    return f"{judgement.claim.id} is {found}, not {judgement.claim.expected}"
