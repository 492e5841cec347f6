"""What a user reads when a command fails, and the exit code: never a traceback."""

from __future__ import annotations

import json
import os
import sys
import traceback

import click

from dse.errors import DseError, Finding, InputError

INTERRUPTED = 130


def report_failure(error: BaseException, *, as_json: bool) -> int:
    """Writes what went wrong to stderr, as JSON where asked, and gives the exit code."""
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    if isinstance(error, click.ClickException) and not as_json:
        error.show()
        return error.exit_code
    findings, code = _findings(error)
    if as_json:
        document = {"errors": [finding.as_dict() for finding in findings], "exit_code": code}
        click.echo(json.dumps(document, indent=2), err=True)
    else:
        for finding in findings:
            click.echo(f"Error: {finding}", err=True)
    if os.environ.get("DSE_TRACEBACK"):
        traceback.print_exception(error)
    return code


def _findings(error: BaseException) -> tuple[tuple[Finding, ...], int]:
    """The findings of a failure, at least one, and its exit code."""
    if isinstance(error, InputError):
        return error.findings, error.exit_code
    if isinstance(error, DseError):
        return (Finding(message=str(error)),), error.exit_code
    if isinstance(error, click.ClickException):
        return (Finding(message=error.format_message()),), error.exit_code
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return (Finding(message=reason, file=str(error.filename or "")),), 1
    if isinstance(error, MemoryError):
        return (Finding(message="not enough memory"),), 1
    return (_fault(error),), 1


def _fault(error: BaseException) -> Finding:
    """A fault of dse itself, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    said = str(error).splitlines()[0][:200] if str(error) else ""
    return Finding(
        message=f"a fault of dse itself{place}: {type(error).__name__}: {said}",
        hint="please report it; DSE_TRACEBACK=1 shows where it arose",
    )


def warn(message: str) -> None:
    """A message to people, on stderr."""
    click.echo(message, err=True)
    sys.stderr.flush()
