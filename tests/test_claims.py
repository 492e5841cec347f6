"""Published claims: their arithmetic by hand, the rule of verdicts, the file, the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.cli import cli
from dse.errors import SpecError
from dse.evidence.claim_arithmetic import count
from dse.evidence.claim_facts import Facts, inputs_of, register
from dse.evidence.claim_file import VERDICTS, Claim, claims_file
from dse.evidence.claims import (
    FACTOR,
    FUNCTIONS,
    Judgement,
    all_claims,
    check_claims,
    chosen,
    judge,
    judge_all,
    verdict,
)
from dse.report.claims import claims_view, taken
from dse.report.terminal import rendered
from dse.spec.catalog import Catalog, shipped

SHIPPED = shipped()[0] / "claims.toml"
HOURS = 8760.0
YEAR = HOURS * 3600.0


@cache
def catalog() -> Catalog:
    """The shipped catalogue, whose specs are read once."""
    return Catalog.default()


@cache
def judged() -> dict[str, Judgement]:
    """Every shipped claim with its verdict, by id."""
    return {j.claim.id: j for j in judge_all(all_claims(catalog()), catalog())}


def faults(file: Path) -> str:
    """What check finds in a file of claims."""
    return "\n".join(map(str, check_claims(file, catalog())))


def dse(*arguments: str) -> Result:
    """One command line, in this process."""
    return CliRunner().invoke(cli, list(arguments), env={"COLUMNS": "80"})


def doctored(folder: Path, name: str, old: str, new: str, file: Path = SHIPPED) -> Path:
    """A copy of a shipped file in which, from `name` on, the first `old` reads `new`."""
    text = file.read_text(encoding="utf-8")
    start = text.index(name)
    assert old in text[start:]
    copy = folder / file.name
    copy.write_text(text[:start] + text[start:].replace(old, new, 1), encoding="utf-8")
    return copy


BY_HAND = {
    # eight cores: arrays of 79 and, at twice FP32, vector and scalar engines of 1.0 + 1.2
    "A1": (8 * (79 + 2 * 2.2) * 1e12, 1e-6),
    "A1-fp8": (8 * (158 + 2 * 2.2) * 1e12, 1e-6),
    "A1-gemm": (8 * 128 * 128 * 2 * 2.4e9, 1e-9),
    "A2": (4 * 24 * 2**30, 1e-9),
    "A3": (4 * 1024 * 5.7e9 / 8, 1e-9),
    "A4": (4 * 32 * 4e9, 1e-9),
    "A4-ultra": (4 * 32 * 4e9 + 2 * 16 * 4e9, 1e-9),
    "A5-ratio": (2500 / 667, 2e-3),
    "A6": (8000 / 2918, 2e-3),
    "A7": (72 * 8e12, 1e-3),
    "A7-trn2": (64 * 4 * 1024 * 5.7e9 / 8, 1e-9),
    "A7-ratio": (576 / 186.8, 1e-3),
    "A11": ((1299.2 / 500) / (1979 / 700), 1e-3),
    "C1": (0.66 / 3600, 1e-9),
    "C2": ((2.9184 / 0.66) / (8 / 2.36) - 1, 5e-3),
    "C3-own": (1e9 / (750 * 1.15) * 0.43 * 5 * HOURS + 15e9, 1e-9),
    "C4": (10e9 * (50 + 37) / 2, 1e-9),
    "D1": (2516.6 / 1299.2, 1e-4),
    "D1-energy": ((2516.6 / 700) / (1299.2 / 500), 1e-4),
    "D2-chip": (4 * 1024 * 9.6e9 / 8, 1e-9),
    "D2-gen2": (144 * 4 * 9.6 / (64 * 4 * 5.7), 1e-9),
    "D3": (144 * 2516.6 / (64 * 1299.2), 1e-4),
    "E2-fp4": (6 * 2516.58e12, 1e-5),
    "E4-bandwidth": (8 * 2048 * 9.57e9 / 8, 1e-9),
    "F1": (900 * 8 / 200, 1e-9),
    "F1-rack": (72 * 36 * 2, 1e-9),
    "F3": (6 * 16 / 64, 1e-9),
    "F4-server": (16 * 3 * 32 * 2 / 2, 1e-9),
    "F5-gen2": (144 * 80, 1e-9),
    "F7-modules": (384 * 14 + 384 * 4, 1e-9),
    "F7-bandwidth": (384 * 3.2e12, 2e-3),
    "H1": ((146.2 / 55.1) ** (1 / 3) - 1, 1e-9),
    "H6": (14e6 * 0.5703e3, 1e-9),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_arithmetic_is_that_done_by_hand(name: str) -> None:
    """What a claim's function makes of the specs is what their parts give on paper."""
    by_hand, tolerance = BY_HAND[name]
    assert judged()[name].computed == pytest.approx(by_hand, rel=tolerance)


def test_every_claim_has_the_verdict_expected_of_it() -> None:
    """The shipped claims all hold, so `dse claims` exits with 0."""
    assert [name for name, judgement in judged().items() if not judgement.held] == []
    assert dse("claims").exit_code == 0


def test_known_errors_of_the_sources_are_contradicted() -> None:
    """Slips of the press are shown as such: lost digits, stale ratios, mixed-up spans."""
    known = ("A2", "A5", "A5-ratio", "A8", "A8-trn2", "D2", "G12", "H1", "I2")
    assert {judged()[name].verdict for name in known} == {"contradicted"}
    assert all(judged()[name].arithmetic for name in known)


def test_many_claims_are_computed_from_specs_alone() -> None:
    """At least 45 sentences of the sources are computed; the others say why they are not."""
    computed = [j for j in judged().values() if j.computed is not None]
    assert len({j.claim.id.partition("-")[0] for j in computed}) >= 45
    assert {j.claim.id for j in computed} == set(FUNCTIONS)
    assert all(j.claim.reason for j in judged().values() if j.computed is None)


def test_announced_figures_are_not_what_claims_are_held_against(tmp_path: Path) -> None:
    """With other announced figures the same values follow, since they come from the parts."""
    chip = SHIPPED.parent / "chips" / "trainium2.toml"
    text = chip.read_text(encoding="utf-8")
    start = text.index("[announced]")
    changed = re.sub(r'"[\d.]+ (TFLOP|TB|GiB|GB)', r'"1 \1', text[start:], count=5)
    (tmp_path / chip.name).write_text(text[:start] + changed, encoding="utf-8")
    other = Catalog.default([tmp_path])
    again = judge_all(chosen(all_claims(other), ["A1", "A2", "A3", "A7"]), other)
    assert [j.computed for j in again] == [judged()[j.claim.id].computed for j in again]


def test_a_changed_part_changes_the_verdict(tmp_path: Path) -> None:
    """With faster arrays Trainium2 no longer has 667 TFLOP/s, and the command says so."""
    chip = SHIPPED.parent / "chips" / "trainium2.toml"
    doctored(tmp_path, "[die.core]", '"2.4 GHz"', '"2.8 GHz"', chip)
    result = dse("claims", "A1", "--specs", str(tmp_path))
    assert result.exit_code == 4
    assert "A1 is contradicted" in result.stderr


class TestVerdict:
    """The rule: within the tolerance, up to FACTOR tolerances, beyond."""

    @pytest.mark.parametrize(
        ("difference", "expected"),
        [
            *((0.0, "reproduced"), (0.01, "reproduced"), (-0.01, "reproduced"), (0.011, "off")),
            *((-0.05, "off"), (0.051, "contradicted"), (-1.0, "contradicted")),
        ],
    )
    def test_at_its_borders(self, difference: float, expected: str) -> None:
        """With a tolerance of 1 %, 1 % is reproduced, 5 % is off and more is contradicted."""
        assert verdict(difference, 0.01) == expected

    def test_counts_are_right_or_wrong(self) -> None:
        """Without a tolerance nothing is off: 1,535 cables are not 1,536."""
        assert verdict(0.0, 0.0) == "reproduced"
        assert verdict(1535 / 1536 - 1, 0.0) == "contradicted"

    @given(
        name=st.sampled_from(sorted(FUNCTIONS)),
        beyond=st.floats(1.001, 100.0),
        sign=st.sampled_from([-1.0, 1.0]),
    )
    @settings(deadline=None, max_examples=200)
    def test_a_claim_beyond_its_tolerance_is_never_reproduced(
        self, name: str, beyond: float, sign: float
    ) -> None:
        """A claim moved so that the difference exceeds the tolerance is off or contradicted."""
        judgement = judged()[name]
        if judgement.difference is None:
            return
        tolerance = max(judgement.claim.tolerance, 1e-6)
        difference = max(sign * beyond * tolerance, -0.999)
        if abs(difference) <= tolerance:
            return
        assert isinstance(judgement.computed, float)
        moved = attrs.evolve(judgement.claim, claimed=judgement.computed / (1.0 + difference))
        again = judge(moved, Facts(catalog()))
        wanted = "off" if abs(difference) <= FACTOR * judgement.claim.tolerance else "contradicted"
        assert again.verdict == wanted

    def test_a_false_statement_is_contradicted(self) -> None:
        """A claim of structure is true or false, without a difference."""
        torus = judged()["B1-torus"]
        denied = judge(attrs.evolve(torus.claim, claimed=False), Facts(catalog()))
        assert (torus.verdict, denied.verdict) == ("reproduced", "contradicted")
        assert denied.difference is None


class TestFile:
    """specs/claims.toml, and files that are wrong."""

    def test_every_claim_says_what_it_needs(self) -> None:
        """Quotes are short, sources are named, errors and differences are explained."""
        for judgement in judged().values():
            claim = judgement.claim
            assert len(claim.quote) <= 70, claim.id
            assert len(claim.source) > 5, claim.id
            if claim.expected == "off":
                assert claim.note or claim.id == "D6-memory", claim.id

    def test_inputs_are_those_that_functions_ask_for(self) -> None:
        """A function's parameters are the inputs of each claim it computes."""
        for name, function in FUNCTIONS.items():
            assert set(judged()[name].claim.inputs) == set(inputs_of(function)), name

    def test_two_functions_of_one_claim_are_refused(self) -> None:
        """A slip in an id does not silently replace a function."""
        functions: dict[str, Any] = {}
        register(functions, "A1")(lambda: count(1.0))
        with pytest.raises(ValueError, match="A1"):
            register(functions, "A1")(lambda: count(2.0))

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('id = "A3"', 'id = "a3"', 'found "a3"'),
            ('id = "A3"', 'id = "A3-x"', "no function computes this claim"),
            ('id = "A3"', 'id = "A2"', "a second claim of this id"),
            ('quote = "Tr', 'qoute = "Tr', "did you mean 'quote'?"),
            ('quote = "Tr', 'quote = ["Tr"]\n#', "expected: a text"),
            ('"2900 GB/s"', '"2900 GB/ss"', "unknown unit 'ss'"),
            ('"2900 GB/s"', '"much"', "does not start with a number"),
            ('"2900 GB/s"', "[2900]", "found [2900]"),
            ('"2900 GB/s"', "0", "a claim of zero"),
            ('"2900 GB/s"', "true", "found claimed = yes"),
            ('"2900 GB/s"', '"2900 W"', "not of one dimension"),
            ("tolerance = 0.01", "tolerance = 1.5", "found 1.5"),
            ("tolerance = 0.01", "tolerance = true", "found true"),
            ("tolerance = 0.01", "", "no tolerance"),
            ('"reproduced"', '"reproduce"', "did you mean 'reproduced'?"),
            ('"reproduced"', '"not-reproducible"', "a function computes this claim"),
            ("tolerance = 0.01", 'tolerance = 0.01\nreason = "x"', "a function computes this"),
            ("tolerance = 0.01", "tolerance = 0.01\ninputs = 3", "found 3"),
            ("tolerance = 0.01", "tolerance = 0.01\ninputs = { a = 1 }", "unknown key 'a'"),
            ("tolerance = 0.01", "tolerance = 0.01\ncolour = 1", "unknown key 'colour'"),
        ],
    )
    def test_a_fault_has_file_and_line(
        self, tmp_path: Path, old: str, new: str, message: str
    ) -> None:
        """Each slip in one claim is found in it."""
        file = doctored(tmp_path, 'id = "A3"', old, new)
        said = faults(file)
        assert message in said
        lines = file.read_text().splitlines()
        first = next(i for i, line in enumerate(lines) if "2,900 GB/s of memory" in line)
        places = [int(line) for line in re.findall(r"claims\.toml:(\d+)", said)]
        assert places
        assert all(first - 2 <= place <= first + 8 for place in places)

    def test_the_command_says_what_check_says(self, tmp_path: Path) -> None:
        """A broken file is bad input, with the place of the fault and without a traceback."""
        file = doctored(tmp_path, 'id = "A3"', '"2900 GB/s"', '"2900 W"')
        result = dse("claims", "--specs", str(tmp_path))
        assert result.exit_code == 1
        assert faults(file) in result.stderr

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('operating = "0.23 USD/h"', "other = 1", "no input 'operating'"),
            ('"0.23 USD/h"', '"0.23 W"', "not of one dimension"),
            ('"0.23 USD/h"', "true", "found true"),
        ],
    )
    def test_inputs_are_checked(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        """What a function asks for must be there and of the right kind."""
        file = doctored(tmp_path, 'id = "C1"', old, new)
        assert message in faults(file)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "found nothing"),
            ("claim = 3", "found 3"),
            ("claim = [3]", "a table opened by [[claim]]"),
            ("[[claim]]", "no id"),
            ("[[claim]]\nid = 3", "found 3"),
            ("kind = ", "not valid TOML"),
            ('kind = "chip"', "found kind 'chip'"),
            ("other = 3", "unknown key 'other'"),
        ],
    )
    def test_a_file_of_something_else_is_refused(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        """A file that holds no claims is said to be none."""
        head = "" if "kind" in text else 'kind = "claims"\n'
        file = tmp_path / "claims.toml"
        file.write_text(head + text + "\n", encoding="utf-8")
        assert message in faults(file)

    @pytest.mark.parametrize("text", ["kind = ", "claim = 3"])
    def test_a_broken_file_does_not_give_way_to_the_shipped_one(
        self, tmp_path: Path, text: str
    ) -> None:
        """What stands in a folder of --specs is meant, also if it cannot be read."""
        (tmp_path / "claims.toml").write_text(text, encoding="utf-8")
        assert claims_file(Catalog.default([tmp_path])) == tmp_path / "claims.toml"

    def test_a_claim_without_function_needs_a_reason(self, tmp_path: Path) -> None:
        """With a reason it is not reproducible, and nothing else may be expected of it."""
        file = doctored(tmp_path, 'id = "C5"', '"not-reproducible"', '"off"')
        assert 'expected: expected = "not-reproducible"' in faults(file)
        assert judged()["C5"].verdict == "not-reproducible"

    def test_all_faults_come_at_once(self, tmp_path: Path) -> None:
        """Two slips in two claims are two findings."""
        doctored(tmp_path, 'id = "A3"', "tolerance = 0.01", "tolerance = 2")
        file = doctored(
            tmp_path, 'id = "C1"', '"0.23 USD/h"', '"0.23 USD/hh"', tmp_path / "claims.toml"
        )
        paths = [finding.path for finding in check_claims(file, catalog())]
        assert paths == ["A3.tolerance", "C1.inputs.operating"]

    def test_no_claims_anywhere_is_said(self, tmp_path: Path) -> None:
        """A catalogue without claims is an input error, not a traceback."""
        with pytest.raises(SpecError, match="no file of claims"):
            claims_file(Catalog(folders=(tmp_path,)))


MET = {
    "K1-h100": 3_320,
    "K1-h200": 4_800,
    "K1-b200": 6_400,
    "K1-mi300x": 5_300,
    "K2-trn2": 0.66,
    "K2-trn2-capital": 0.43,
    "K2-trn2-operating": 0.23,
    "K2-gb200": 2.21,
    "K2-gb200-high": 2.36,
    "K2-h100": 1.30,
    "K2-h100-high": 1.42,
    "K2-h200": 1.41,
    "K2-b200": 1.95,
    "K2-mi300x": 1.12,
    "K2-mi355x": 1.48,
    "K3-vr200": 9.093e6,
    "K4-trn2": 37e9,
    "K4-gb200": 40.5e9,
    "K4-vr200": 47.3e9,
}


class TestModelled:
    """Claims that the model computes: chips, hours, racks, fleets."""

    @pytest.mark.parametrize("name", MET)
    def test_published_costs_are_met_within_15_percent(self, name: str) -> None:
        """The model's figure is within 15 % of the published one, which is what is claimed."""
        found = judged()[name]
        hourly = 3600.0 if name.startswith("K2") else 1.0
        assert isinstance(found.computed, float)
        assert found.claim.claimed == pytest.approx(MET[name] / hourly)
        assert found.computed == pytest.approx(MET[name] / hourly, rel=0.15)

    def test_parts_add_up_to_what_they_are_parts_of(self) -> None:
        """An H100's four parts are its cost; capital and operation are Trainium2's hour."""
        value = {name: found.computed for name, found in judged().items()}
        parts = ("dies", "memory", "packaging", "test")
        h100 = sum(value[f"K1-h100-{part}"] or 0.0 for part in parts)
        assert value["K1-h100"] == pytest.approx(h100)
        hour = sum(value[f"K2-trn2-{part}"] or 0.0 for part in ("capital", "operating"))
        assert value["K2-trn2"] == pytest.approx(hour)

    def test_memory_is_priced_by_the_stack(self) -> None:
        """H100: 80 GiB at 16 USD/GiB; B200: 192 GiB at 15; both are what their claims give."""
        assert judged()["K1-h100-memory"].computed == pytest.approx(80 * 16)
        assert judged()["K1-b200-memory"].computed == pytest.approx(192 * 15)

    def test_a_price_of_memory_moves_a_rack_by_what_it_costs(self) -> None:
        """53 USD/GB instead of 16 USD/GiB: at least 72 x 288 GiB of it, and what fails with it."""
        dear, cheap = judged()["K3-vr200"].computed, judged()["K3-vr200-contract"].computed
        memory = 72 * 288 * (53 * 2**30 / 1e9 - 16)
        assert dear is not None
        assert cheap is not None
        assert dear - cheap > memory
        assert "memory" in judged()["K3-vr200"].claim.inputs

    def test_the_arithmetic_names_parts_and_terms(self) -> None:
        """Parts in dollars an hour; life, cost of capital and PUE of the claim's own facility."""
        said = judged()["K2-trn2"].arithmetic
        for word in ("servers", "network", "energy", "building", "maintenance", "PUE 1.15"):
            assert word in said
        assert "5 year at" in said
        assert "chips" in judged()["K3-gb200-bill"].arithmetic

    def test_a_check_of_the_file_needs_no_model_but_knows_the_units(self, tmp_path: Path) -> None:
        """A claim on dollars in watts, or on a yes or no in dollars, is found."""
        file = doctored(tmp_path, 'id = "K1-h200"', '"4800 USD"', '"4800 W"')
        assert "K1-h200" in faults(file)
        assert "a figure in USD" in faults(file)
        file = doctored(tmp_path, 'id = "K3-gb200"', "claimed = true", 'claimed = "3 MUSD"')
        assert "K3-gb200" in faults(file)

    def test_constants_taken_from_claims_are_counted(self, tmp_path: Path) -> None:
        """A figure that gave a constant is no test of it: the summary counts only the others."""
        given = {name for found in judged().values() for name in found.claim.gives}
        text = taken(list(judged().values()))
        assert text.startswith(f"{len(given)} constants are taken from ")
        assert "others that the model computes" in text
        assert taken([judged()["A1"]]) == ""
        assert taken([judged()["K1-h100-test"]]) == "1 constants are taken from 1 of these claims"
        file = doctored(tmp_path, 'id = "K1-h100-test"', '["cowos-s.test_price"]', '"test"')
        assert "K1-h100-test.gives" in faults(file)


class TestCommand:
    """`dse claims`."""

    def test_json_holds_what_scripts_rely_on(self) -> None:
        """Each entry has id, verdict, claimed, computed and source; numbers in the claim's unit."""
        entries = json.loads(dse("claims", "--json").stdout)
        assert len(entries) >= 60
        assert all({"id", "verdict", "claimed", "computed", "source"} <= set(e) for e in entries)
        assert {entry["verdict"] for entry in entries} == set(VERDICTS)
        found = {entry["id"]: entry for entry in entries}
        assert found["A1"]["claimed"] == pytest.approx(667.0)
        assert found["A1"]["computed"] == pytest.approx(667.2)
        assert found["A1"]["unit"] == "TFLOP/s"
        assert found["H1"]["computed"] == pytest.approx(38.44, abs=0.01)
        assert found["B1-torus"]["computed"] is True
        assert found["C5"]["computed"] is None
        assert found["A5-ratio"]["difference"] == pytest.approx(3.744 / 3.85 - 1, abs=1e-3)

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["A7"], ["A7", "A7-trn2", "A7-ratio"]),
            (["a7-ratio"], ["A7-ratio"]),
            (["I"], ["I1", "I2", "I3"]),
            (["I2", "C1"], ["C1", "I2"]),
        ],
    )
    def test_ids_choose(self, words: list[str], expected: list[str]) -> None:
        """An id, what hangs on it, or a whole group; always in the order of the file."""
        entries = json.loads(dse("claims", *words, "--json").stdout)
        assert [entry["id"] for entry in entries] == expected

    def test_an_unknown_id_names_the_nearest(self) -> None:
        """A slip is bad input."""
        result = dse("claims", "A7-rato")
        assert result.exit_code == 1
        assert "did you mean 'A7-ratio'?" in result.stderr

    def test_a_verdict_filters_what_is_shown(self) -> None:
        """Only contradicted claims are left, each with its arithmetic."""
        entries = json.loads(dse("claims", "--verdict", "contradicted", "--json").stdout)
        assert {entry["verdict"] for entry in entries} == {"contradicted"}
        assert all(entry["arithmetic"] for entry in entries)
        assert dse("claims", "--verdict", "wrong").exit_code == 2
        assert "no claims" in dse("claims", "C1", "--verdict", "off").stdout

    @pytest.mark.parametrize(
        ("name", "claimed", "said"),
        [
            ("A1", '"700 TFLOP/s"', "A1 is contradicted (-4.69 %), not reproduced"),
            ("A3", '"2850 GB/s"', "A3 is off (2.4 %), not reproduced"),
            ("A5", '"667 TFLOP/s"', "A5 is reproduced (0.03 %), not contradicted"),
            ("B2-link", "false", "B2-link is reproduced, not contradicted"),
        ],
    )
    def test_a_verdict_that_was_not_expected_exits_with_4(
        self, tmp_path: Path, name: str, claimed: str, said: str
    ) -> None:
        """A claim that should be reproduced and is not, or the other way round, fails the check."""
        claimed_before = re.search(rf'id = "{name}"\n(?:.*\n)*?(claimed = .*)', SHIPPED.read_text())
        assert claimed_before is not None
        doctored(tmp_path, f'id = "{name}"', claimed_before[1], f"claimed = {claimed}")
        # what is shown does not change what is checked
        shown = ["--verdict", "reproduced"] if name == "A1" else []
        result = dse("claims", name, *shown, "--specs", str(tmp_path))
        assert result.exit_code == 4
        assert said in result.stderr
        assert shown or f"NOT {judged()[name].claim.expected}" in result.stdout

    def test_the_table_fits_80_columns(self) -> None:
        """Every line of everything fits; the counts add up."""
        text = dse("claims").stdout
        assert max(map(len, text.splitlines())) <= 80
        summary = re.search(r"(\d+) claims: (.*)", text.replace("\n", " "))
        assert summary is not None
        assert int(summary[1]) == len(judged())
        assert "off by" in text
        assert "contradicted, with the arithmetic" in text

    def test_named_claims_are_explained(self) -> None:
        """The arithmetic, its explanation and the source stand below the table."""
        text = " ".join(dse("claims", "A1").stdout.split())
        assert "8 cores x (79 TFLOP/s + 2 x 2.2 TFLOP/s) = 667.2 TFLOP/s" in text
        assert "rounded to two digits" in text
        assert "AWS Neuron SDK docs" in text

    def test_it_is_light(self) -> None:
        """The specs' own arithmetic needs neither JAX nor Optuna."""
        code = (
            "import sys\nfrom dse.cli import cli\n"
            "try: cli.main(['claims', 'A1'])\nexcept SystemExit as end: assert end.code == 0\n"
            "sys.stderr.write(' '.join({name.split('.')[0] for name in sys.modules}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert not set(done.stderr.split()) & {"jax", "optuna"}

    def test_verdicts_of_the_option_are_those_of_the_rule(self) -> None:
        """The command declares them itself, so that its help imports nothing."""
        for word in VERDICTS:
            assert word in dse("claims", "--help").stdout.replace("\n", " ")


def test_nothing_to_show_is_said() -> None:
    """No judgements make a line, not an empty table."""
    assert rendered(*claims_view([], detailed=False), plain=True) == "no claims\n"


def test_a_claim_places_its_findings() -> None:
    """A fault met while computing stands at the claim."""
    claim = Claim(
        id="A1",
        quote="q",
        source="s",
        claimed=1.0,
        unit="1",
        text="1",
        expected="off",
        file="claims.toml",
        line=7,
    )
    assert str(claim.finding("wrong")) == "claims.toml:7: A1: wrong"
