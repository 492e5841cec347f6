"""Which rules empty a study's space: random designs of it, and what each rule rejects."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.text import Text

from dse.report.figures import percent
from dse.report.terminal import Column, note, table
from dse.search.levels import spread
from dse.search.problem import StudyProblem
from dse.search.space import Space

Document = dict[str, Any]


def study_rules(study: Any, designs: int, seed: int = 0) -> Document:
    """Shares of random designs of a study that break each of its rules, at their best mapping."""
    problem = StudyProblem(study)
    space = Space(problem.parameters)
    levels = space.canonical(spread(designs, space.sizes, np.random.default_rng(seed)))
    broken = problem.evaluate(levels).margins < 0.0
    alone = broken & (broken.sum(axis=1, keepdims=True) == 1)
    return {
        "study": study.name,
        "designs": designs,
        "feasible": float(np.mean(~broken.any(axis=1))),
        "rules": [
            {"rule": name, "broken": float(share), "alone": float(only)}
            for name, share, only in zip(
                problem.rules, broken.mean(axis=0), alone.mean(axis=0), strict=True
            )
        ],
    }


def study_view(document: Document) -> list[Any]:
    """A table of the rules, the strictest first."""
    rules = sorted(document["rules"], key=lambda each: -each["broken"])
    count, kept = document["designs"], percent(document["feasible"])
    return [
        Text(document["study"], style="bold"),
        note(f"{count:,} random designs at their best mapping; {kept} keep every rule"),
        Text(""),
        table(
            [
                Column("rule", [each["rule"] for each in rules]),
                Column("broken by", [percent(each["broken"]) for each in rules], right=True),
                Column("alone by", [percent(each["alone"]) for each in rules], right=True),
            ]
        ),
    ]
