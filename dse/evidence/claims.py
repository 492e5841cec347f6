"""Published claims held against the specs: each has a verdict that is computed, never declared.

What a claim says is compared with what its function makes of the specs' parts, or, where the
source argues from numbers of its own, of the inputs that claims.toml declares:

    reproduced         within the tolerance: the rounding of the figure claimed and of those it
                       is computed from, as claims.toml states it for each claim
    off                beyond it by up to FACTOR: no rounding explains the difference, another
                       choice of inputs might
    contradicted       beyond FACTOR times the tolerance, or a statement that is false: with
                       public inputs it cannot be right
    not-reproducible   no function: public inputs do not yield it, and the claim says why

`expected` of a claim is only compared with the verdict. A known error of a source is expected to
be contradicted: if it were reproduced one day, that check would fail like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from dse import units
from dse.errors import Finding, InputError, SpecError, UnknownNameError, nearest
from dse.evidence import claim_chips, claim_costs, claim_economy, claim_fabrics
from dse.evidence.claim_arithmetic import Figure, Truth
from dse.evidence.claim_facts import Facts, computed
from dse.evidence.claim_file import Claim, claims_file, read_claims
from dse.spec.catalog import Catalog

FACTOR = 5.0
"""How many tolerances off a claim may be before it is contradicted."""

FUNCTIONS = {
    **claim_chips.FUNCTIONS,
    **claim_economy.FUNCTIONS,
    **claim_fabrics.FUNCTIONS,
    **claim_costs.FUNCTIONS,
}
"""What computes each claim, by id."""

MODELLED = frozenset(claim_costs.FUNCTIONS)
"""Claims that the model computes from specs, by id; the others rest on the source's numbers."""

_ROUNDING = 1e-9


@attrs.frozen(kw_only=True)
class Judgement:
    """A claim with what was computed (SI, yes or no, or None) and the verdict that follows."""

    claim: Claim
    verdict: str
    computed: float | bool | None = None
    difference: float | None = None
    arithmetic: str = ""

    @property
    def held(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.verdict == self.claim.expected


def all_claims(catalog: Catalog) -> tuple[Claim, ...]:
    """The claims of a catalogue; SpecError with every fault of their file."""
    return read_claims(claims_file(catalog), FUNCTIONS)


def chosen(claims: Sequence[Claim], words: Iterable[str]) -> tuple[Claim, ...]:
    """Claims by id; A7 also stands for A7-ratio, and A for the whole group.

    All of them without words. UnknownNameError names the nearest id.
    """
    wanted: set[str] = set()
    findings = []
    for word in words:
        found = {claim.id for claim in claims if _meant(word.lower(), claim.id.lower())}
        wanted |= found
        if not found:
            hint = nearest(word[:1].upper() + word[1:], [claim.id for claim in claims])
            message = f"no claim is called {word[:40]!r}"
            findings.append(Finding(message=message, hint=hint or "dse claims shows all"))
    if findings:
        raise UnknownNameError(findings)
    return tuple(claim for claim in claims if not wanted or claim.id in wanted)


def _meant(word: str, name: str) -> bool:
    return name == word or name.startswith(f"{word}-") or (name[0] == word)


def judge_all(claims: Iterable[Claim], catalog: Catalog) -> tuple[Judgement, ...]:
    """Every claim judged; SpecError with the faults of all that cannot be computed."""
    facts = Facts(catalog)
    made: list[Judgement] = []
    findings: list[Finding] = []
    for claim in claims:
        try:
            made.append(judge(claim, facts))
        except InputError as error:
            # a spec's fault has its own place, a claim's has not
            findings += [
                f if f.file else claim.finding(f.message, f.expected) for f in error.findings
            ]
    if findings:
        raise SpecError(dict.fromkeys(findings))
    return tuple(made)


def judge(claim: Claim, facts: Facts) -> Judgement:
    """A claim with what its function makes of the facts. InputError where that is impossible."""
    function = FUNCTIONS.get(claim.id)
    if function is None:
        return Judgement(claim=claim, verdict="not-reproducible")
    found = computed(function, facts, claim.inputs)
    if isinstance(found, Truth) or isinstance(claim.claimed, bool):
        return _structural(claim, found)
    found.require(claim.unit)
    difference = found.value / claim.claimed - 1.0
    return Judgement(
        claim=claim,
        verdict=verdict(difference, claim.tolerance),
        computed=found.value,
        difference=difference,
        arithmetic=found.equation(claim.unit),
    )


def verdict(difference: float, tolerance: float) -> str:
    """The verdict on a relative difference."""
    if abs(difference) <= tolerance + _ROUNDING:
        return "reproduced"
    return "off" if abs(difference) <= FACTOR * tolerance + _ROUNDING else "contradicted"


def _structural(claim: Claim, found: Figure | Truth) -> Judgement:
    if not isinstance(found, Truth) or not isinstance(claim.claimed, bool):
        expected = "true or false" if isinstance(found, Truth) else "a number"
        raise SpecError(claim.finding(f"found claimed = {claim.text}", expected))
    word = "reproduced" if found.value == claim.claimed else "contradicted"
    return Judgement(claim=claim, verdict=word, computed=found.value, arithmetic=found.text)


def check_claims(file: Path, catalog: Catalog) -> list[Finding]:
    """Every fault of a file of claims, and of the dimensions that it claims; no verdicts.

    Claims that the model computes are not evaluated: their dimension is known beforehand.
    """
    try:
        claims = read_claims(file, FUNCTIONS)
        plain = [claim for claim in claims if claim.id not in MODELLED]
        wrong = [claim for claim in claims if claim not in plain and not _stated(claim)]
        judge_all(plain, catalog)
    except InputError as error:
        return list(error.findings)
    return [
        claim.finding(f"found claimed = {claim.text}", f"a figure in {claim_costs.unit(claim.id)}")
        for claim in wrong
    ]


def _stated(claim: Claim) -> bool:
    """Whether a claim that the model computes is stated in its kind of unit."""
    unit = claim_costs.unit(claim.id)
    if not unit or isinstance(claim.claimed, bool):
        return not unit and isinstance(claim.claimed, bool)
    return dict(units.dimension(claim.unit)) == dict(units.dimension(unit))
