"""The question that names ask: a model, a workload, and where they are not the usual, the rest."""

from __future__ import annotations

from dse.model.evaluator import Question
from dse.spec.catalog import Catalog
from dse.spec.facility import Facility
from dse.spec.load import load
from dse.spec.metrics import METRICS
from dse.spec.workload import LanguageModel, Software, Workload


def question_named(
    catalogue: Catalog,
    model: str,
    workload: str,
    *,
    software: str = "default",
    facility: str = "hyperscale-us",
    price_basis: str = "at-cost",
    objective: str = "tokens_per_usd",
) -> Question:
    """The specs of these names as one question; SpecError for a name or file that is at fault."""
    return Question(
        model=load(LanguageModel, model, catalogue),
        workload=load(Workload, workload, catalogue),
        software=load(Software, software, catalogue),
        facility=load(Facility, facility, catalogue),
        price_basis=price_basis,
        objective=objective,
        sense=METRICS[objective].better,
    )
