"""How fast this installation is: evaluations per CPU-second, compilation, start-up."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.text import Text

from dse.errors import CheckFailed
from dse.report.figures import digits
from dse.report.terminal import Column, heading, note, table

Document = dict[str, Any]

MODEL, STUDY, SYSTEM = "llama-3.3-70b", "trainium4-decode", "trn2-ultraserver"
PHASES = {"decode": "chat-decode", "prefill": "long-prefill", "train": "pretrain"}
"""What is measured, and the workload that stands for it."""


def bench_document(
    catalogue: Any, designs: int, repeats: int, *, cold: bool, say: Callable[[str], None]
) -> Document:
    """The JSON of `dse bench`; `say` hears what is being measured."""
    from dse.report.asked import question_named

    say(f"binding {designs:,} random designs of {STUDY}")
    systems = _designs(catalogue, designs)
    phases = {}
    for phase, workload in PHASES.items():
        say(f"evaluating them for {phase}: {MODEL}, {workload}")
        phases[phase] = _phase(systems, question_named(catalogue, MODEL, workload), repeats)
    say("starting dse anew")
    started = {
        "help_seconds": _median(repeats, lambda: _process(["--help"])),
        "eval_seconds": _median(repeats, lambda: _process(_eval_arguments())),
    }
    if cold:
        say("starting dse without what it keeps between runs")
        started["eval_without_cache_seconds"] = _without_cache()
    return {
        "evaluations_per_cpu_second": _column(phases, "evaluations_per_cpu_second"),
        "designs_per_second": _column(phases, "designs_per_second"),
        "mappings_per_design": _column(phases, "mappings_per_design"),
        "first_call_seconds": _column(phases, "first_call_seconds"),
        "start_up": started,
        "designs": designs,
        "repeats": repeats,
        "processors": len(os.sched_getaffinity(0)),
        "model": MODEL,
        "workloads": PHASES,
    }


def _column(phases: dict[str, dict[str, float]], name: str) -> dict[str, float]:
    return {phase: figures[name] for phase, figures in phases.items()}


def _designs(catalogue: Any, number: int) -> Any:
    """Random designs of the study as a lowered System with leaves [number]."""
    from dse.model.pytree import lower, stack
    from dse.search.problem import StudyProblem
    from dse.spec.study import load_study

    problem = StudyProblem(load_study(STUDY, catalogue))
    random = np.random.default_rng(0)
    levels = [random.integers(len(p.levels), size=number) for p in problem.parameters]
    return stack([lower(problem.bound(row)) for row in np.stack(levels, axis=1).tolist()])


def _phase(systems: Any, question: Any, repeats: int) -> dict[str, float]:
    """The speed of one phase, medians; the first call loads or compiles the program."""
    from dse.model.evaluator import evaluate

    start = time.perf_counter()
    legal = int(evaluate(systems, question).legal.sum())
    first = time.perf_counter() - start
    cpu, wall = [], []
    for _ in range(repeats):
        started, at = time.process_time(), time.perf_counter()
        evaluate(systems, question)
        cpu.append(time.process_time() - started)
        wall.append(time.perf_counter() - at)
    number = len(systems.chips)
    spent = statistics.median(wall)
    return {
        "evaluations_per_cpu_second": legal / statistics.median(cpu),
        "designs_per_second": number / spent,
        "mappings_per_design": legal / number,
        "first_call_seconds": max(first - spent, 0.0),
    }


def _eval_arguments() -> list[str]:
    return ["eval", SYSTEM, "--model", MODEL, "--workload", PHASES["decode"]]


def _median(repeats: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(repeats))


def _process(arguments: list[str], **environment: str) -> float:
    """Seconds of a dse of its own; CheckFailed if it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dse", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckFailed(f"dse {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")
    return time.perf_counter() - start


def _without_cache() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return _process(_eval_arguments(), XDG_CACHE_HOME=folder)


def bench_view(document: Document) -> list[Any]:
    """Tables of the measurements."""
    names = list(PHASES)
    rows = (
        ("evaluations per CPU-second", "evaluations_per_cpu_second"),
        ("designs a second", "designs_per_second"),
        ("legal mappings a design", "mappings_per_design"),
        ("program loaded or compiled, s", "first_call_seconds"),
    )
    started = document["start_up"]
    titles = {
        "help_seconds": "dse --help",
        "eval_seconds": "dse eval",
        "eval_without_cache_seconds": "dse eval, nothing kept between runs",
    }
    return [
        Text(f"{MODEL} on {document['designs']:,} random designs of {STUDY}", style="bold"),
        note(f"{document['processors']} processors, medians of {document['repeats']}"),
        Text(""),
        table(
            [
                Column("", [title for title, _ in rows]),
                *(
                    Column(name, [digits(document[key][name]) for _, key in rows], right=True)
                    for name in names
                ),
            ]
        ),
        heading("Start-up"),
        table(
            [
                Column("command", [titles[name] for name in started]),
                Column("s", [digits(value, 3) for value in started.values()], right=True),
            ]
        ),
    ]
