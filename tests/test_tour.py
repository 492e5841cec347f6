"""README's five minutes, command by command; its reference of commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dse.cli import COMMANDS, cli
from dse.cli.reference import reference, with_reference

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
TOUR = re.findall(r"```console\n(.*?)```", README.split("## Five minutes")[1], re.DOTALL)[0]


@pytest.mark.slow
def test_every_command_of_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other in an empty folder, as a reader would; the page is there at the end."""
    monkeypatch.chdir(tmp_path)
    for line in TOUR.splitlines():
        result = CliRunner().invoke(cli, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}: {result.output}"
    page = tmp_path / "runs" / "trainium4-memory" / "report.html"
    assert "trainium4-memory" in page.read_text(encoding="utf-8")


def test_every_line_of_the_tour_is_a_command() -> None:
    """Names and options are known; so the tour is right but for what its specs are called."""
    lines = [shlex.split(line) for line in TOUR.splitlines()]
    assert len(lines) == 10
    parent = click.Context(cli, info_name="dse", **cli.context_settings)
    for program, name, *arguments in lines:
        command = cli.get_command(parent, name)
        assert program == "dse"
        assert command is not None, name
        command.make_context(name, arguments, parent=parent)


def test_the_reference_is_the_help_of_this_version() -> None:
    """Every command, in order, with the text that --help prints; nothing else between the marks."""
    assert with_reference(README) == README
    names = re.findall(r"<summary><code>dse ([a-z]+)</code>", reference())
    assert names == list(COMMANDS)
    shown = CliRunner().invoke(cli, ["front", "--help"], terminal_width=80)
    assert shown.stdout.split("Options:")[1].strip() in README
