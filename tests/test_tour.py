"""README's five minutes, command by command; its reference of commands."""

from __future__ import annotations

import json
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


def keys_of(command: str) -> list[str]:
    """The keys that README's table of JSON gives for a command."""
    section = README.split("## Data")[1].split("\n## ")[0]
    (row,) = re.findall(rf"^\| `{command}` \| `(.*?)`", section, re.MULTILINE)
    return re.findall(r'"([a-z_]+)"', row)


@pytest.mark.parametrize(
    "line",
    [
        "list memories",
        "feasible trn2-ultraserver",
        "eval trn4-ultraserver -m llama-3.3-70b -w chat-decode --formulas",
    ],
)
def test_json_has_the_keys_that_readme_says(line: str) -> None:
    """Each of them, in the document or in each of its rows."""
    arguments = shlex.split(line)
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    document = json.loads(result.stdout)
    rows = document if isinstance(document, list) else [document]
    assert rows
    assert all(set(keys_of(arguments[0])) <= set(row) for row in rows)
