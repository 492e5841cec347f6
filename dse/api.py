"""The commands as functions: the same names, the documents that `--json` writes, shown as tables.

`dse.eval`, `dse.compare`, `dse.sensitivity`, `dse.run`, `dse.front` and `dse.explain` take names or
files as the commands do. What they return are the commands' documents; a notebook shows them as
the commands' tables.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dse.spec.catalog import Catalog
from dse.spec.load import load
from dse.spec.space import fixed
from dse.spec.system import System

Settings = Mapping[str, object]
View = Callable[[], Sequence[Any]]


class _Shown:
    """What a notebook shows as the tables of `view`."""

    view: View

    def __str__(self) -> str:
        from dse.report.terminal import rendered

        return rendered(*self.view(), plain=True)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class Document(_Shown, dict[str, Any]):
    """A document of a command."""

    def __init__(self, data: Mapping[str, Any], view: View) -> None:
        super().__init__(data)
        self.view = view


class Rows(_Shown, list[dict[str, Any]]):
    """Documents of a command that writes a list."""

    def __init__(self, data: Sequence[dict[str, Any]], view: View) -> None:
        super().__init__(data)
        self.view = view


def _question(
    model: str, workload: str, software: str, facility: str, price_basis: str, objective: str
) -> Any:
    from dse.report.asked import question_named

    return question_named(
        Catalog.default(),
        model,
        workload,
        software=software,
        facility=facility,
        price_basis=price_basis,
        objective=objective,
    )


def _system(name: str, settings: Settings | None) -> System:
    given = [(path, str(value)) for path, value in (settings or {}).items()]
    return fixed(load(System, name, Catalog.default(), given))


def evaluate(
    system: str,
    model: str,
    workload: str,
    *,
    settings: Settings | None = None,
    software: str = "default",
    facility: str = "hyperscale-us",
    price_basis: str = "at-cost",
    objective: str = "tokens_per_usd",
) -> Document:
    """`dse eval`: one system at its best operating point; `settings` are those of --set."""
    from dse.report.detail import evaluated
    from dse.report.evaluation import evaluation_view

    question = _question(model, workload, software, facility, price_basis, objective)
    _, (document,) = evaluated([_system(system, settings)], question, formulas=True)
    return Document(document, lambda: evaluation_view(document))


def compare(
    *systems: str,
    model: str,
    workload: str,
    software: str = "default",
    facility: str = "hyperscale-us",
    price_basis: str = "at-cost",
    objective: str = "tokens_per_usd",
) -> Rows:
    """`dse compare`: systems side by side."""
    from dse.report.detail import evaluated
    from dse.report.evaluation import comparison_view

    question = _question(model, workload, software, facility, price_basis, objective)
    _, documents = evaluated([_system(name, None) for name in systems], question)
    return Rows(documents, lambda: comparison_view(documents))


def sensitivity(
    system: str,
    model: str,
    workload: str,
    *,
    metrics: Sequence[str] = (),
    settings: Settings | None = None,
    software: str = "default",
    facility: str = "hyperscale-us",
    price_basis: str = "at-cost",
    objective: str = "tokens_per_usd",
) -> Rows:
    """`dse sensitivity`: elasticities, counts and prices, of the objective or of `metrics`."""
    from dse.model.evaluator import evaluate as best
    from dse.model.pytree import lower, stack
    from dse.report.sensitivity import sensitivity_rows, sensitivity_view

    question = _question(model, workload, software, facility, price_basis, objective)
    made = _system(system, settings)
    mapping = best(stack([lower(made)]), question).rows[0]
    rows = sensitivity_rows(made, question, mapping, list(metrics) or [objective])
    return Rows(rows, lambda: sensitivity_view(made.name, rows, 20, by_source=False))


def run(
    study: str,
    *,
    folder: str | None = None,
    method: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    fresh: bool = False,
) -> Document:
    """`dse run`: searches a study, or goes on with it, and gives its front."""
    from dse.search.problem import StudyProblem
    from dse.search.run import run as search
    from dse.spec.study import load_study

    asked = load_study(study, Catalog.default())
    problem = StudyProblem(asked)
    place = Path(folder) if folder else Path("runs") / asked.name
    search(
        problem,
        method or asked.method,
        budget or asked.budget,
        asked.seed if seed is None else seed,
        place,
        fresh=fresh,
        initial=problem.initial,
    )
    return front(str(place))


def front(folder: str) -> Document:
    """`dse front`: the Pareto front of a run's folder."""
    from dse.report.front import check_described, front_view
    from dse.search.record import load as read
    from dse.search.result import front_document

    data = read(folder)
    check_described(data)
    document = front_document(data)
    return Document(document, lambda: front_view(data.problem, document, 20))


def explain(folder: str, point: str, *, against: str = "", study: str = "") -> Document:
    """`dse explain`: a point of a run's folder in full, with its formulas."""
    from dse.report.detail import problem_of
    from dse.report.explain import explain_view, explained
    from dse.search.record import load as read

    data = read(folder)
    problem = problem_of(data, Catalog.default(), study)
    document = explained(data, problem, str(point), against, formulas=True)
    return Document(document, lambda: explain_view(document))
