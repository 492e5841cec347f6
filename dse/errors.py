"""Every error that a user can meet, each with the exit code of the command line.

DseError
├── InputError            1   something given is wrong: a list of findings, all at once
│   ├── UnitError             a quantity's text or unit
│   ├── SpecError             a spec or study file
│   ├── UnknownNameError      a name that no folder holds
│   └── RunError              a run folder: foreign, unreadable, half-written, of another study
├── UsageError            2   options that contradict each other
├── NothingFeasible       3   no design or mapping meets the limits
└── CheckFailed           4   a check did not hold
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import attrs


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is wrong: what, where, what was expected, what to do."""

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        head = ": ".join(part for part in (place, self.path, self.message) if part)
        tail = [f"  expected: {self.expected}"] if self.expected else []
        tail += [f"  {self.hint}"] if self.hint else []
        return "\n".join([head, *tail])

    def as_dict(self) -> dict[str, object]:
        """The finding as JSON-ready data."""
        return attrs.asdict(self)


class DseError(Exception):
    """The root of all errors that this package raises on purpose."""

    exit_code = 1


class InputError(DseError):
    """Something given is wrong; `findings` holds every fault that was seen."""

    exit_code = 1

    def __init__(self, findings: Finding | str | Iterable[Finding]) -> None:
        if isinstance(findings, str):
            findings = Finding(message=findings)
        self.findings = (findings,) if isinstance(findings, Finding) else tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class UnitError(InputError):
    """A quantity whose text, unit or dimension is not what the field declares."""


class SpecError(InputError):
    """A spec or study file that does not say what its kind asks for."""


class UnknownNameError(InputError):
    """A name that no spec folder holds."""


class RunError(InputError):
    """A run folder that cannot be continued or read."""


class UsageError(DseError):
    """Options that contradict each other."""

    exit_code = 2


class NothingFeasible(DseError):
    """No design, or no mapping of a design, meets the limits."""

    exit_code = 3


class CheckFailed(DseError):
    """A check that was asked for did not hold."""

    exit_code = 4


def nearest(word: str, words: Sequence[str]) -> str:
    """A hint that names the closest known word, or the empty string."""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
