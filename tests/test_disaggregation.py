"""Prefill on one system, decode on another: the split, the sums, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dse.cli import cli

ASKED = ("-m", "llama-3.3-70b", "-w", "chat-serve")


def dse(*arguments: str) -> Result:
    """Runs a command line."""
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """H100 reads the prompts, H200 decodes."""
    result = dse("eval", "h100-server", "--decode-system", "h200-server", *ASKED, "--json")
    assert result.exit_code == 0, result.output
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def test_the_split_wastes_neither_side(document: dict[str, Any]) -> None:
    """Prompts read a second are answers decoded a second."""
    share = document["metrics"]["prefill_chips_share"]
    read = document["prefill"]["metrics"]["tokens_per_s_per_chip"] / 2048
    answered = document["decode"]["metrics"]["tokens_per_s_per_chip"] / 512
    assert share * read == pytest.approx((1 - share) * answered, rel=1e-6)
    assert document["metrics"]["tokens_per_s_per_chip"] == pytest.approx(512 * share * read)


def test_both_sides_are_paid_for(document: dict[str, Any]) -> None:
    """A million output tokens and the four million prompt tokens that they need."""
    both = document["decode"]["metrics"]["usd_per_mtok"]
    both += 2048 / 512 * document["prefill"]["metrics"]["usd_per_mtok"]
    assert document["metrics"]["usd_per_mtok"] == pytest.approx(both)
    assert document["metrics"]["tokens_per_usd"] == pytest.approx(1e6 / both)


def test_the_cache_crosses_the_network(document: dict[str, Any]) -> None:
    """2,048 tokens x 80 layers x 2 x 8 heads x 128 x 8.25 bit over the chips' 400 Gb/s."""
    tp = document["prefill"]["mapping"]["tp"]
    cache = 2048 * 80 * 2 * 8 * 128 * 8.25 / 8 / min(tp, 8)
    fastest = cache / 50e9
    assert fastest < document["transfer_s"] < 3 * fastest + 1e-4
    waited = document["prefill"]["metrics"]["ttft_s"] + document["transfer_s"]
    assert document["metrics"]["ttft_s"] == pytest.approx(waited)


def test_it_is_shown_and_refused() -> None:
    """Tables name both sides; fixed degrees and training are wrong usage."""
    text = dse("eval", "h100-server", "--decode-system", "h200-server", *ASKED).stdout
    assert "Prefill on h100-server" in text
    assert "Decode on h200-server" in text
    fixed = dse("eval", "h100-server", "--decode-system", "h200-server", *ASKED, "--tp", "8")
    assert fixed.exit_code == 2
    trained = ("-m", "llama-3.3-70b", "-w", "pretrain")
    assert dse("eval", "h100-server", "--decode-system", "h200", *trained).exit_code == 2


def test_a_workload_may_name_the_decode_system(document: dict[str, Any]) -> None:
    """The workload's field does what the option does, in eval and in compare."""
    field = ("--set", "workload.decode_system=h200-server")
    alone = json.loads(dse("eval", "h100-server", *ASKED, *field, "--json").stdout)
    assert alone == document
    both = ("compare", "h100-server", "b200-server", *ASKED, *field)
    compared = json.loads(dse(*both, "--json").stdout)
    assert compared[0] == document
    assert compared[1]["decode"] == document["decode"]
    assert "b200-server + h200-server" in dse(*both).stdout


def test_same_is_the_best_split_of_one_kind() -> None:
    """decode_system = "same" is the system's own name; whole chips cost what they cost alone."""
    same = json.loads(
        dse("eval", "h100-server", "-m", "llama-3.3-70b", "-w", "chat-split", "--json").stdout
    )
    named = json.loads(
        dse("eval", "h100-server", "--decode-system", "h100-server", *ASKED, "--json").stdout
    )
    assert same["metrics"] == named["metrics"]
    assert same["metrics"]["system_cost_usd"] == pytest.approx(
        same["prefill"]["metrics"]["system_cost_usd"]
    )
    assert same["metrics"]["chip_cost_usd"] == same["decode"]["metrics"]["chip_cost_usd"]


def test_chips_and_tokens_of_the_pair_add_up(document: dict[str, Any]) -> None:
    """Dollars an hour and watts of all chips over their tokens are those of a token.

    0.8 is the facility's utilisation, 1.15 its PUE; eight chips are the reading job's.
    """
    metrics = document["metrics"]
    assert metrics["tokens_per_s"] == pytest.approx(8 * metrics["tokens_per_s_per_chip"])
    token = metrics["usd_per_chip_hour"] / 3600 / metrics["tokens_per_s_per_chip"] / 0.8
    assert token * 1e6 == pytest.approx(metrics["usd_per_mtok"], rel=1e-4)
    joules = metrics["average_power_w"] * 1.15 / metrics["tokens_per_s"]
    assert 1.0 / joules == pytest.approx(metrics["tokens_per_joule"], rel=1e-4)
    sides = [document[name]["metrics"]["mfu"] for name in ("prefill", "decode")]
    assert min(sides) < metrics["mfu"] < max(sides)


def test_the_limit_counts_the_transfer() -> None:
    """Over a slow network a prompt's cache takes time off the 2 s: the mapping leaves room for it,
    and where none can, the pair is infeasible."""
    slow = ("--set", "scale_out.bandwidth=4 Gb/s", "--json")
    asked = ("eval", "h100-server", "--decode-system", "h200-server", *ASKED)
    found = json.loads(dse(*asked, *slow).stdout)
    assert found["feasible"]
    assert found["transfer_s"] > 0.05
    assert found["metrics"]["ttft_s"] <= 2.0 * (1 + 1e-4)
    assert found["prefill"]["metrics"]["ttft_s"] <= 2.0 - found["transfer_s"] + 1e-4
    tight = dse(*asked, "--set", "scale_out.bandwidth=0.01 Gb/s")
    assert tight.exit_code == 3
    assert "ttft" in tight.output


def test_a_wrong_decode_system_is_named() -> None:
    """A name that no system has, with the nearest; a phase that decodes nothing."""
    wrong = dse("eval", "h100-server", *ASKED, "--set", "workload.decode_system=h20-serv")
    assert wrong.exit_code == 1
    assert "did you mean 'h20-server'" in wrong.output
    prefill = ("-m", "llama-3.3-70b", "-w", "long-prefill")
    other = dse("eval", "h100-server", *prefill, "--set", "workload.decode_system=same")
    assert other.exit_code == 1
    assert "decodes nothing" in other.output


def test_settings_reach_the_decode_system() -> None:
    """--set decode_system.PATH changes that side only."""
    more = ("--set", "decode_system.chip.memory.stacks=5")
    found = dse("eval", "h100-server", "--decode-system", "h200-server", *ASKED, *more, "--json")
    made = json.loads(found.stdout)
    usual = {"prefill": 85.9e9, "decode": 1e9 * 5 / 6 * 154.6}
    for side, capacity in usual.items():
        assert made[side]["breakdown"]["memory"]["capacity"] == pytest.approx(capacity, rel=0.01)
    lost = dse("eval", "h100-server", *ASKED, *more)
    assert lost.exit_code == 2
