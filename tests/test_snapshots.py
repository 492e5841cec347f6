"""Tables as they are printed, whole: of kept documents, against texts that were looked at.

`python tests/test_snapshots.py` writes the texts anew; what changed is then seen in the difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dse.report.evaluation import comparison_view
from dse.report.explain import explain_view
from dse.report.feasible import feasible_view
from dse.report.front import front_view
from dse.report.robust import robust_view
from dse.report.sensitivity import ranked, sensitivity_view
from dse.report.terminal import rendered

FOLDER = Path(__file__).parent / "snapshots"

LIMIT = 10
"""Rows of tables that may be cut."""


def _front(kept: Any) -> list[Any]:
    problem, document = kept["problem"], kept["document"]
    return [*front_view(problem, document, LIMIT), *robust_view(problem, document)]


def _sensitivity(rows: Any) -> list[Any]:
    title = "trn2-ultraserver"
    plain = sensitivity_view(title, rows, LIMIT, by_source=False)
    sources = ranked(rows, by_source=True)
    return [*plain, *sensitivity_view(title, sources, LIMIT, by_source=True)]


VIEWS: dict[str, Callable[[Any], Sequence[Any]]] = {
    "front": _front,
    "explain": explain_view,
    "infeasible": explain_view,
    "sensitivity": _sensitivity,
    "compare": comparison_view,
    "feasible": lambda rows: feasible_view("trn2-ultraserver", rows),
}
"""What is shown of each document."""


def text_of(name: str) -> str:
    """The tables of a kept document, as a pipe gets them."""
    kept = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return rendered(*VIEWS[name](kept), plain=True)


@pytest.mark.parametrize("name", VIEWS)
def test_tables_are_those_that_were_looked_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the letter, within 80 columns and without colours."""
    monkeypatch.setenv("COLUMNS", "80")
    text = text_of(name)
    assert text == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_every_kept_file_is_compared() -> None:
    """No document and no text lies there unused."""
    expected = {f"{name}.{kind}" for name in VIEWS for kind in ("json", "txt")}
    assert {file.name for file in FOLDER.iterdir()} == expected


if __name__ == "__main__":
    for each in VIEWS:
        (FOLDER / f"{each}.txt").write_text(text_of(each), encoding="utf-8")
