"""The commands as functions: their documents, shown as tables in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli_run import write

import dse
from dse.api import Document, Rows
from dse.errors import InputError


def test_functions_have_the_names_of_commands() -> None:
    """Each is a command, and no other name is there."""
    from dse.cli import COMMANDS

    names = ("eval", "compare", "sensitivity", "run", "front", "explain")
    assert all(callable(getattr(dse, name)) and name in COMMANDS for name in names)
    with pytest.raises(AttributeError, match="no attribute 'evaluation'"):
        _ = dse.evaluation


def test_an_evaluation_is_the_document_of_the_command() -> None:
    """Metrics by name; a setting changes the system; tables for people."""
    first = dse.eval("trn2-ultraserver", "llama-3.3-70b", "chat-decode")
    more = dse.eval(
        "trn2-ultraserver", "llama-3.3-70b", "chat-decode", settings={"chip.memory.stacks": 6}
    )
    assert more["metrics"]["tokens_per_s"] > first["metrics"]["tokens_per_s"]
    assert first["formulas"]
    assert "tokens_per_usd" in str(first)
    both = dse.compare(
        "trn2-ultraserver", "gb200-nvl72", model="llama-3.3-70b", workload="chat-decode"
    )
    assert [each["name"] for each in both] == ["trn2-ultraserver", "gb200-nvl72"]
    assert "gb200-nvl72" in both._repr_html_()


def test_bad_names_are_bad_input() -> None:
    """The same error as the command's, to be caught."""
    with pytest.raises(InputError, match="trn2-ultraservr"):
        dse.eval("trn2-ultraservr", "llama-3.3-70b", "chat-decode")


def test_a_study_runs_to_its_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """run gives the front that front reads again."""
    monkeypatch.chdir(tmp_path)
    made = dse.run(write(tmp_path), budget=20)
    assert made["certificate"]["evaluated"] == 20
    assert dse.front("runs/tiny") == made
    assert "<pre>" in made._repr_html_()


@pytest.mark.parametrize("shown", [Document({}, lambda: ["<script>"]), Rows([], lambda: ["<b>"])])
def test_names_are_escaped(shown: Document | Rows) -> None:
    """What a spec calls itself is text in a notebook, and no element."""
    assert "&lt;" in shown._repr_html_()
    assert "<script>" not in shown._repr_html_()
    assert "<b>" not in shown._repr_html_()
