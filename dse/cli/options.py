"""Options that commands share: where data goes and in which form, where specs are found, --set."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from dse.errors import Finding, InputError

Command = Callable[..., Any]
Setting = tuple[str, str]


@attrs.frozen(kw_only=True)
class Output:
    """Where a command's data goes: `file` ("-" is stdout), as JSON or for people."""

    as_json: bool
    file: str

    def document(self, data: Any) -> None:
        """Writes data as JSON; what is not finite becomes null."""
        self.text(json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")

    def show(self, *parts: Any) -> None:
        """Writes tables and texts for people."""
        from dse.report.terminal import rendered

        self.text(rendered(*parts, plain=self.file != "-"))

    def text(self, text: str) -> None:
        """Writes a text as it is."""
        if self.file == "-":
            click.echo(text, nl=False)
        else:
            Path(self.file).write_text(text, encoding="utf-8")


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def check_folder(file: str | Path | None) -> None:
    """InputError where a file to write, neither - nor none, has no folder: said before the work."""
    folder = Path(file or "-").parent
    if not folder.is_dir():
        raise InputError(Finding(message="no such folder for the output", file=str(folder)))


def output_options(command: Command) -> Command:
    """Adds --json and -o; the command is called with `output`."""

    @click.option("--json", "as_json", is_flag=True, help="Write JSON instead of tables.")
    @click.option(
        "-o",
        "--output",
        "file",
        default="-",
        show_default=True,
        type=click.Path(dir_okay=False, allow_dash=True),
        help="Write to a file; - is standard output.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, as_json: bool, file: str, **options: Any) -> Any:
        check_folder(file)
        return command(*args, output=Output(as_json=as_json, file=file), **options)

    return wrapped


specs_option = click.option(
    "--specs",
    multiple=True,
    metavar="DIR",
    help="A folder of specs to look in first; may be given several times.",
)


class _Assignment(click.ParamType):  # type: ignore[type-arg]
    """`path=value`, as (path, text)."""

    name = "path=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Setting:
        if isinstance(value, tuple):
            return value[0], value[1]
        path, sign, text = str(value).partition("=")
        if not sign or not path.strip() or not text.strip():
            self.fail(f"{value!r} is not path=value, such as chip.memory.stacks=8", param, ctx)
        return path.strip(), text.strip()


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    type=_Assignment(),
    metavar="PATH=VALUE",
    help="Override one value of the spec by its path, such as chip.memory.stacks=8; repeatable.",
)


uncertain_option = click.option(
    "--uncertain",
    type=click.Choice(["both", "declared", "sources"]),
    default="both",
    show_default=True,
    help="Sample declared beliefs, intervals of sources, or both.",
)


def catalogue_of(specs: tuple[str, ...]) -> Any:
    """The catalogue with the folders of --specs first."""
    from dse.spec.catalog import Catalog

    return Catalog.default(specs)
