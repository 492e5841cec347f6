"""`dse run --goal`: the design of a study that meets a target, found and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dse.cli.failure import warn
from dse.cli.options import Output


def answered(study: Any, text: str, prefer: str, folder: Path, asked: dict[str, Any]) -> Any:
    """Searches `study` for the goal and gives the answer; NothingFeasible if none meets it."""
    from dse.errors import NothingFeasible
    from dse.report.progress import reporting
    from dse.search.goal import GoalProblem, answer, read_goal
    from dse.search.problem import StudyProblem
    from dse.search.run import load, run

    base = StudyProblem(study)
    problem = GoalProblem(base, read_goal(text, base.evaluate_references()), prefer)
    with reporting(study.name) as report:
        result = run(
            problem,
            asked["method"] or "hybrid",
            asked["budget"] or study.budget,
            study.seed if asked["seed"] is None else asked["seed"],
            folder,
            fresh=asked["fresh"],
            attached=asked["attached"],
            initial=problem.initial,
            on_progress=report.update,
        )
    warn(f"{problem.name}: {result.evaluated:,} designs evaluated; in {folder}")
    found = answer(problem, load(folder))
    if found is None:
        raise NothingFeasible(f"{study.name}: no design of {result.evaluated:,} meets {text}")
    return found


def show(found: dict[str, Any], output: Output) -> None:
    """Writes the answer: what to change, and what it then attains."""
    if output.as_json:
        output.document(found)
        return
    lines = [f"{found['prefer']} design with {found['goal']}"]
    lines += [f"  {c['path']}: {c['from']} -> {c['to']}" for c in found["changes"]]
    lines += [] if found["changes"] else ["  no change"]
    lines += [f"{name} = {value:.6g}" for name, value in found["metrics"].items()]
    output.text("\n".join(lines) + "\n")
