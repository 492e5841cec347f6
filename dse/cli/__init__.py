"""The command `dse`: one group whose commands are imported when they are asked for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import click

from dse.cli.failure import report_failure

COMMANDS = {
    "list": "dse.cli.catalogue:list_command",
    "show": "dse.cli.catalogue:show_command",
    "check": "dse.cli.catalogue:check_command",
    "schema": "dse.cli.schema:schema_command",
    "new": "dse.cli.variant:new_command",
    "diff": "dse.cli.variant:diff_command",
    "eval": "dse.cli.evaluate:eval_command",
    "compare": "dse.cli.evaluate:compare_command",
    "curve": "dse.cli.curve:curve_command",
    "feasible": "dse.cli.feasible:feasible_command",
    "sensitivity": "dse.cli.sensitivity:sensitivity_command",
    "run": "dse.cli.explore:run_command",
    "front": "dse.cli.explore:front_command",
    "explain": "dse.cli.explain:explain_command",
    "report": "dse.cli.report:report_command",
    "dashboard": "dse.cli.report:dashboard_command",
    "validate": "dse.cli.validate:validate_command",
    "calibrate": "dse.cli.calibrate:calibrate_command",
    "claims": "dse.cli.claims:claims_command",
    "bench": "dse.cli.bench:bench_command",
}
"""Each command's module and function, in the order in which help lists them."""

EPILOG = """\b
Exit codes: 0 done, 1 bad input, 2 wrong usage, 3 nothing feasible,
4 a check did not hold, 130 interrupted.

\b
Shell completion, for bash (zsh and fish likewise):
  eval "$(_DSE_COMPLETE=bash_source dse)"

\b
Environment: DSE_PATH names folders of specs of your own, NO_COLOR turns
colours off, DSE_TRACEBACK=1 shows where a fault of dse itself arose.
"""


class Commands(click.Group):
    """A group that imports a command's module on demand and turns every failure into a message."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All commands in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, or None."""
        if name not in COMMANDS:
            return None
        module, function = COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command where the name is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from dse.errors import nearest

            hint = nearest(args[0], list(COMMANDS))
            said = "; ".join(part for part in (error.message.rstrip("."), hint) if part)
            raise click.UsageError(said, ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; who reads our output may stop when it has read enough."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _silence(sys.stdout)
            return 0

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **more: Any
    ) -> NoReturn:
        """Runs a command line and exits with its code."""
        given = list(sys.argv[1:] if args is None else args)
        more["standalone_mode"] = False
        run = partial(super().main, args=given, prog_name=prog_name, **more)
        sys.exit(_exit_code(run, as_json="--json" in given))


def _exit_code(call: Callable[[], Any], *, as_json: bool) -> int:
    """The exit code of a call: what it returned, or of the failure that was reported."""
    try:
        code = call()
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, OSError):
            _silence(sys.stdout)
        return report_failure(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _silence(stream: Any) -> None:
    """Sends what a closed stream still buffers to nowhere, so that exiting does not complain."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dse")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Explore the design space of AI accelerators.

    Specs declare chips, systems, models and workloads; a compiled model says how fast, how
    costly and how power hungry they are; a search finds the best designs.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """The entry point of the command `dse`."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal that cannot show a character shows a question mark instead
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    cli.main(prog_name="dse")
