"""Systems on an equal footing: each at every price basis and every precision it may be asked in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from dse.search.problem import StudyProblem
from dse.search.protocol import OPERATING
from dse.spec.facility import PRICE_BASES
from dse.spec.metrics import METRICS
from dse.spec.study import Study
from dse.spec.system import System

FIGURES = ("tokens_per_usd", "tokens_per_joule", "tokens_per_s_per_chip", "usd_per_chip_hour")
"""What is compared."""

AT = (PRICE_BASES[0], PRICE_BASES[-1])
"""Price bases: what chips cost to make, and what merchants ask."""

SERVED: Mapping[str, Mapping[str, Any]] = {
    "bf16": {"weights": "bf16", "key_values": "bf16", "activations": "bf16"},
    "fp8": {"weights": "fp8", "key_values": "fp8", "activations": "fp8"},
    "fp4": {"weights": "fp4", "key_values": "fp8", "activations": "fp4"},
}
"""Precisions in which language models are served: a cache in FP4 loses too much."""

TRAINED: Mapping[str, Mapping[str, Any]] = {
    "bf16": {"weights": "bf16", "key_values": "bf16", "activations": "bf16"},
    "fp8": {"weights": "fp8", "key_values": "bf16", "activations": "fp8"},
}
"""Precisions in which they are trained: matrix products in FP8, attention in BF16 (DeepSeek-V3,
arXiv:2412.19437, section 3.3); none is known to be trained in FP4 throughout."""


def footing(problem: StudyProblem, systems: Mapping[str, System]) -> dict[str, Any]:
    """Systems by name under a study's workloads: `precisions` and `bases`, and FIGURES of each.

    A figure stands under `rows[i]["figures"][precision][basis]`; `operates` says whether limits
    of time and memory hold. `best` names the precision that gives most for a dollar, by basis.
    """
    rows: list[dict[str, Any]] = [{"name": name, "figures": {}} for name in systems]
    names = []
    for precision, study in _asked(problem.study):
        names.append(precision)
        for basis in AT:
            there = StudyProblem(attrs.evolve(study, price_basis=basis))
            told = _told(there, [*systems.values()])
            for row, one in zip(rows, told, strict=True):
                row["figures"].setdefault(precision, {})[basis] = one
    for row in rows:
        row["best"] = {basis: _best(row["figures"], basis) for basis in AT}
    return {"precisions": names, "bases": list(AT), "rows": rows}


def _asked(study: Study) -> Iterator[tuple[str, Study]]:
    """The study in each precision that all its workloads may take."""
    for precision in SERVED:
        tables = [TRAINED if t.workload.phase == "pretrain" else SERVED for t in study.tasks]
        if all(precision in table for table in tables):
            tasks = tuple(
                attrs.evolve(task, workload=attrs.evolve(task.workload, **table[precision]))
                for task, table in zip(study.tasks, tables, strict=True)
            )
            yield precision, attrs.evolve(study, tasks=tasks)


def _told(problem: StudyProblem, systems: Sequence[System]) -> list[dict[str, Any]]:
    found = problem.judged(systems)
    working = [i for i, rule in enumerate(problem.rules) if rule in OPERATING]
    works = np.all(found.margins[:, working] >= 0.0, axis=1)
    return [
        {
            **{n: METRICS[n].written(float(found.metrics[n][place])) for n in FIGURES},
            "operates": bool(works[place]),
        }
        for place in range(len(systems))
    ]


def _best(figures: Mapping[str, Any], basis: str) -> str | None:
    """The precision with most tokens per dollar, of those in which a system operates."""
    working = [name for name, figure in figures.items() if figure[basis]["operates"]]
    return max(working, key=lambda name: figures[name][basis][FIGURES[0]], default=None)
