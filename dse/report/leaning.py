"""What a design's figure leans on: elasticities of a mix x weakness of the numbers' sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dse.report.detail import system_of
from dse.report.sensitivity import sources_of
from dse.search.problem import StudyProblem

Document = dict[str, Any]

METRIC = "tokens_per_usd"

TOLD = 12
"""Inputs that are told, those that move the figure most."""

KEPT = ("metric", "path", "kind", "elasticity", "shown", "source", "confidence")


def leaning(problem: StudyProblem, point: Mapping[str, Any]) -> list[Document]:
    """Continuous inputs of a point of the front, those first whose doubt moves METRIC most.

    What the study searches is chosen, not doubted, and left out. Rows as `dse sensitivity
    --sources` has them; of a mix, elasticities are those of the mix, and leaves of one workload
    alone are named with its label.
    """
    searched = {parameter.path for parameter in problem.parameters}
    rows = sources_of(problem, system_of(problem, point), point, METRIC)
    listed = [row for row in rows if row["path"] not in searched][:TOLD]
    return [{key: row[key] for key in (*KEPT, "weakness", "score")} for row in listed]
