"""The hybrid method: against NSGA-II, without slopes, its generations, and killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from guided import searched
from test_gradient import TOP, Bowl

from dse.search.folder import BATCHES
from dse.search.front import hypervolume, to_maximise
from dse.search.propose import proposer
from dse.search.record import load
from dse.search.run import run


def volume(bowl: Bowl, levels: np.ndarray) -> float:
    """The hypervolume of the feasible designs, against the ends of the true front."""
    found = bowl.evaluate(levels)
    line = np.repeat(np.linspace(0.3, 0.7, 9)[:, None] * TOP, len(bowl.parameters), axis=1)
    line[:, 0] = np.maximum(line[:, 0], 0.4 * TOP)
    truth = to_maximise(bowl.slopes(line, []).objectives, bowl.senses)
    values = to_maximise(found.objectives, bowl.senses)[found.feasible]
    return hypervolume(values, truth.max(axis=0), truth.min(axis=0))


def test_hybrid_is_ahead_of_nsga2_at_equal_cost(tmp_path: Path) -> None:
    """400 evaluations, gradients paid for, 32 ** 8 designs: the median of three seeds is ahead."""
    bowl = Bowl(8)
    found = {}
    for method in ("hybrid", "nsga2"):
        for seed in (1, 2, 3):
            run(bowl, method, 400, seed, tmp_path / f"{method}{seed}", batch_size=24)
            found[method, seed] = volume(bowl, load(tmp_path / f"{method}{seed}").levels)
    medians = {m: np.median([found[m, seed] for seed in (1, 2, 3)]) for m in ("hybrid", "nsga2")}
    assert medians["hybrid"] > medians["nsga2"]


def test_hybrid_works_without_slopes(tmp_path: Path) -> None:
    """A problem that has no relaxation is bred and swept around its front."""

    class Plain(Bowl):
        relaxed = None  # type: ignore[assignment]

    run(Plain(), "hybrid", 120, 1, tmp_path / "run", batch_size=24)
    data = load(tmp_path / "run")
    assert len(data.levels) == 120
    assert len(data.front)


def test_generations_begin_small_and_grow() -> None:
    """30 designs at first, never fewer than before, in the end a batch; each index has its own."""
    bowl = Bowl(8)
    made = proposer("hybrid", bowl.parameters, bowl.senses, seed=1, batch_size=40)
    sizes = [made.size(generation) for generation in range(60)]
    assert (sizes[0], sizes[-1]) == (30, 40)
    assert sizes == sorted(sizes)
    ends = np.cumsum(sizes)
    assert [made.start(generation) for generation in range(60)] == [0, *ends[:-1].tolist()]
    expected = np.searchsorted(ends, np.arange(2000), side="right").tolist()
    assert [made.generation_of(index) for index in range(2000)] == expected


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gradient", "hybrid"])
@pytest.mark.parametrize("moment", range(3))
def test_killed_while_it_follows_gradients(tmp_path: Path, method: str, moment: int) -> None:
    """What was reported is there once, log and study in SQLite are those of an unbroken run."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "broken")]
    searched(whole, method, urls[0])
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("guided.py")), str(broken), method, urls[1]],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(24)]
    time.sleep(random.Random(moment).uniform(0.0, 0.8))
    child.send_signal(signal.SIGKILL)
    told += child.communicate()[0].splitlines(keepends=True)
    lines = [line.strip() for line in told if line.endswith("\n")]
    kept = load(broken).levels
    assert lines == [f"{i} {row.tolist()}" for i, row in enumerate(kept)][: len(lines)]
    assert len(kept) < len(load(whole).levels)
    searched(broken, method, urls[1])
    assert (broken / BATCHES).read_bytes() == (whole / BATCHES).read_bytes()
    (study,) = optuna.get_all_study_names(urls[1])
    trials = optuna.load_study(study_name=study, storage=urls[1]).trials
    assert len(trials) == len(load(whole).levels)
