"""What a design's figure leans on: elasticities of a mix x weakness of the numbers' sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dse.model.breakdown import operate
from dse.model.pytree import lower, stack
from dse.report.detail import Part, parts_of
from dse.report.sensitivity import ranked, sensitivity_rows
from dse.search.problem import StudyProblem

Document = dict[str, Any]

METRIC = "tokens_per_usd"
"""The figure: its inverse, dollars for a token, adds up over the workloads of a mix."""

TOLD = 12
"""Inputs that are told, those that move the figure most."""


def leaning(problem: StudyProblem, point: Mapping[str, Any]) -> list[Document]:
    """Continuous inputs of a point of the front, those first whose doubt moves METRIC most.

    What the study searches is chosen, not doubted, and left out. Rows as `dse sensitivity
    --sources` has them. Of a mix, elasticities are means weighted by what each workload adds to the
    cost of a token; leaves of another system that decodes begin with `decode_system`.
    """
    system = problem.bound(problem.levels_of(point["design"]))
    parts = parts_of(problem, [system], [point])
    costs = np.array([*_costs(problem, parts)])
    rows: dict[str, Document] = {}
    searched = {parameter.path for parameter in problem.parameters}
    for part, share in zip(parts, costs / costs.sum(), strict=True):
        other = "" if part.systems[0] is system else "decode_system."
        made = sensitivity_rows(part.systems[0], part.question, part.rows[0], [METRIC])
        for row in ranked(made, by_source=True):
            path = f"{other}{row['path']}"
            known = rows.setdefault(path, {**row, "path": path, "elasticity": 0.0})
            known["elasticity"] += share * (row["elasticity"] or 0.0)
            known["weakness"] = max(known["weakness"], row["weakness"])
    for row in rows.values():
        row["score"] = abs(row["elasticity"]) * row["weakness"]
    kept = ("metric", "path", "kind", "elasticity", "shown", "source", "confidence")
    doubted = (row for path, row in rows.items() if path not in searched)
    listed = sorted(doubted, key=lambda row: -row["score"])[:TOLD]
    return [{key: row[key] for key in (*kept, "weakness", "score")} for row in listed]


def _costs(problem: StudyProblem, parts: list[Part]) -> Iterator[float]:
    """What each part adds to the cost of a token of the mix, in proportion."""
    left = iter(parts)
    for task in problem.study.tasks:
        prompts = task.workload.tokens_in / task.workload.tokens_out
        for factor in (prompts, 1.0) if task.decoder else (1.0,):
            yield task.weight * factor * _usd(next(left))


def _usd(part: Part) -> float:
    stacked = stack([lower(system) for system in part.systems])
    setting, phase = part.question.setting, part.question.workload.phase
    found = operate(stacked, setting, phase, part.rows, part.batch)
    return float(np.asarray(found.metrics["usd_per_mtok"])[0])
