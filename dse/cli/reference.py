"""The reference of all commands in README, made from their help: `python -m dse.cli.reference`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dse.cli import COMMANDS, cli

BEGIN = "<!-- commands: written by `python -m dse.cli.reference README.md` -->"
END = "<!-- end of commands -->"
WIDTH = 80


def reference() -> str:
    """Every command's help, as a Markdown section that unfolds."""
    parent = click.Context(cli, info_name="dse", **cli.context_settings)
    parts = []
    for name in COMMANDS:
        command = cli.get_command(parent, name)
        assert command is not None
        inside = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
        summary = f"<summary><code>dse {name}</code>: {command.get_short_help_str(100)}</summary>"
        text = command.get_help(inside).rstrip()
        parts.append(f"<details>\n{summary}\n\n```text\n{text}\n```\n\n</details>")
    return "\n\n".join(parts)


def with_reference(text: str) -> str:
    """A text with the reference between its marks; ValueError without them."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:start]}\n\n{reference()}\n\n{text[end:]}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(with_reference(file.read_text(encoding="utf-8")), encoding="utf-8")
