"""What a design's figure leans on: elasticities of a mix x weakness of the numbers' sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dse.model.sensitivity import Number
from dse.report.detail import system_of
from dse.report.sensitivity import CONTINUOUS, sourced
from dse.search.problem import StudyProblem
from dse.search.slopes import design_slopes
from dse.search.works import works

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
    system = system_of(problem, point)
    searched = {parameter.path for parameter in problem.parameters}

    def doubted(name: str, number: Number) -> bool:
        return number.leaf.sort == "quantity" and name not in searched

    (found,) = design_slopes(problem, [system], [point], doubted)
    questions = {work.label: work.question for work in works(problem)}
    rows = []
    values = np.nan_to_num(found.slopes.elasticity(METRIC)).tolist()
    for (name, number), value in zip(found.numbers.items(), values, strict=True):
        question = questions.get(name.partition("@")[2], problem.questions[0])
        row = {"metric": METRIC, "path": name, "kind": CONTINUOUS, "elasticity": value}
        rows.append(row | sourced(number, value, system, question))
    listed = sorted(rows, key=lambda row: -row["score"])[:TOLD]
    return [{key: row[key] for key in (*KEPT, "weakness", "score")} for row in listed]
