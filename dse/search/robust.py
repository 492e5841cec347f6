"""How firmly designs stand on a front while what is uncertain takes other values.

Designs share every sample of what they share. In each sample a design takes the best of the
mappings that are known, its own and those of others, and its batch follows the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np

from dse.model.disaggregation import Side, transfer_time
from dse.model.pytree import replace
from dse.model.uncertainty import Drawn, Input, draw
from dse.search.front import to_maximise
from dse.search.problem import StudyProblem
from dse.search.remapping import known, remapped
from dse.search.works import READS, mixture, works
from dse.spec.space import bind
from dse.spec.system import System

BLOCK = 64
"""Samples whose designs are compared at once."""

PERCENTILES = {"p5": 5.0, "p50": 50.0, "p95": 95.0}
"""What is told of samples: the middle, and between which figures nine of ten lie."""


@attrs.frozen(kw_only=True, eq=False)
class Robustness:
    """d designs on n samples.

    `values` [d, n, k]: objectives, all to be maximised; `metrics` the same by name, SI [d, n];
    `feasible` [d, n]: every rule holds; `inputs`: what was sampled, by kind and path; `points`: how
    many of the designs make the front, the first ones; `broken`: of each design, the share of the
    samples that break each rule.
    """

    values: np.ndarray
    metrics: Mapping[str, np.ndarray]
    feasible: np.ndarray
    inputs: tuple[Input, ...]
    points: int
    broken: Sequence[Mapping[str, float]] = ()

    @property
    def on_front(self) -> np.ndarray:
        """[d, n] True where a design is feasible and no feasible point of the front beats it."""
        made = np.zeros_like(self.feasible)
        for start in range(0, self.feasible.shape[-1], BLOCK):
            part = slice(start, start + BLOCK)
            made[:, part] = self._stands(self.values[:, part], self.feasible[:, part])
        return made

    def _stands(self, values: np.ndarray, feasible: np.ndarray) -> np.ndarray:
        rivals, there = values[None, : self.points], feasible[None, : self.points]
        own = values[:, None]
        beaten = np.all(rivals >= own, axis=3) & np.any(rivals > own, axis=3) & there
        return np.asarray(feasible & ~beaten.any(axis=1))

    def over(self, one: int, other: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """By metric what one design has over another, [n], and where it is better in all."""
        ratios = {name: values[one] / values[other] for name, values in self.metrics.items()}
        return ratios, np.all(self.values[one] > self.values[other], axis=1)

    @property
    def winner(self) -> np.ndarray:
        """[n] the feasible design that is best in the first objective; -1 where none is."""
        scores = np.where(self.feasible, self.values[:, :, 0], -np.inf)
        return np.where(self.feasible.any(axis=0), np.argmax(scores, axis=0), -1)


def robustness(
    problem: StudyProblem,
    points: Sequence[Mapping[str, Any]],
    references: Sequence[Mapping[str, Any]],
    *,
    number: int,
    seed: int,
    uncertain: str,
    on_progress: Callable[[int], object] | None = None,
) -> Robustness:
    """Points and references of `front_document` on `number` samples.

    Chips whose design power follows from their parts are built for what the specs' own numbers
    give. Where a sample makes them draw more they run slower, at that power: they are not lost.

    `on_progress` is told how many of them are done.
    """
    found: list[Sampled] = []
    inputs: dict[Any, Input] = {}
    mappings = mappings_of(problem, (*points, *references))
    for place, point in enumerate((*points, *references)):
        one = sampled(problem, point, mappings, number=number, seed=seed, uncertain=uncertain)
        inputs |= {(i.kind, i.name, i.path): i for i in one.inputs}
        found.append(one)
        if on_progress is not None:
            on_progress(place + 1)
    metrics = {n: np.stack([each.metrics[n] for each in found]) for n in problem.objectives}
    table = np.stack([metrics[name] for name in problem.objectives], axis=2)
    margins = [np.min([*each.margins.values()], axis=0) for each in found]
    broken = [
        {rule: float(np.mean(values < 0.0)) for rule, values in each.margins.items()}
        for each in found
    ]
    return Robustness(
        values=to_maximise(table, problem.senses),
        metrics=metrics,
        feasible=np.stack(margins) >= 0.0,
        broken=broken,
        inputs=tuple(inputs.values()),
        points=len(points),
    )


def _limited(system: System, metrics: Mapping[str, float]) -> System:
    """A system whose chips are set to the design power that they were built for."""
    chip = system.chip
    if chip.power or chip.power_cap:
        return system
    made: System = bind(system, {"chip.power_cap": metrics["chip_power_w"]})
    return made


class Sampled(NamedTuple):
    """One design on all samples: metrics and margins [n] of the mix, and what was sampled."""

    metrics: Mapping[str, np.ndarray]
    margins: Mapping[str, np.ndarray]
    inputs: Sequence[Input]


def mappings_of(
    problem: StudyProblem, points: Sequence[Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    """By label of each part the mappings [m, 8] that points of a run have, as `known` gives them.

    Sides of a workload that two systems share keep their own: what moves between them rests on it.
    """
    return {work.label: known(work.rows(points)) for work in works(problem) if not work.side}


def sampled(
    problem: StudyProblem,
    point: Mapping[str, Any],
    mappings: Mapping[str, np.ndarray],
    *,
    number: int,
    seed: int,
    uncertain: str,
) -> Sampled:
    """Samples of a point of a front, or of a reference, at the best of its own mapping and others.

    Points of all studies share every sample of what they share. A reference is known by its `name`,
    a point by its `design`; the `mapping` and the design power in `metrics` are read as well.
    """
    if "name" in point:
        system = next(each for each in problem.references if each.name == point["name"])
        problem = problem.paying_for(system.name)
    else:
        system = problem.uncertain(problem.levels_of(point["design"]))
    built = _limited(system, point["metrics"])
    done: list[Side] = []
    moved: dict[int, np.ndarray] = {}
    inputs: list[Input] = []
    for work in works(problem):
        drawn = draw(
            work.other or built, work.question, number=number, seed=seed, uncertain=uncertain
        )
        (row,) = work.rows([point])
        if work.side == READS:
            rows = np.tile(row, (drawn.number, 1))
            moved[work.task] = transfer_time(drawn.systems, drawn.setting, rows)
            drawn = _in_time(drawn, moved[work.task])
        made = remapped(drawn, work.question, [row, *mappings.get(work.label, ())])
        done.append(Side(made.metrics, made.margins, made.useful))
        inputs += made.inputs
    mixed = mixture(problem, done, moved)
    return Sampled(mixed.metrics, mixed.margins, inputs)


def _in_time(drawn: Drawn, transfer: np.ndarray) -> Drawn:
    """Samples whose limit on the time to the first token leaves that of the transfer [n]."""
    work = drawn.setting.workload
    # what takes longer than the limit by itself is late whatever the batch
    left = np.maximum(work.ttft - transfer, 1e-3 * work.ttft).astype(np.float32)
    kept = drawn.setting._replace(workload=replace(work, ttft=left))
    return attrs.evolve(drawn, setting=kept)


def percentiles(values: np.ndarray) -> dict[str, float]:
    """PERCENTILES of samples [n]."""
    ends = np.percentile(np.asarray(values, np.float64), [*PERCENTILES.values()])
    return dict(zip(PERCENTILES, ends.tolist(), strict=True))


def separation(samples: np.ndarray, wins: np.ndarray) -> float:
    """How well an input tells wins [n] from losses: 0 not at all, 1 without error.

    Twice the distance from one half of the probability that a win has the larger value (the
    statistic of Mann and Whitney, 1947), ties counted by halves.
    """
    from scipy.stats import rankdata

    won = int(wins.sum())
    lost = len(wins) - won
    if not won or not lost:
        return 0.0
    rank = rankdata(samples)[wins].sum() - won * (won + 1) / 2.0
    return float(abs(2.0 * rank / (won * lost) - 1.0))


def threshold(samples: np.ndarray, wins: np.ndarray) -> float:
    """The value of an input that parts wins from losses with the fewest errors."""
    order = np.argsort(samples, kind="stable")
    won = np.concatenate([[0], np.cumsum(wins[order])])
    lost = np.concatenate([[0], np.cumsum(~wins[order])])
    # errors where wins lie below a cut, and where they lie above
    below = lost + (won[-1] - won)
    above = won + (lost[-1] - lost)
    errors = np.minimum(below, above)
    cut = min(max(int(np.argmin(errors)), 1), len(samples) - 1)
    return float(0.5 * (samples[order[cut - 1]] + samples[order[cut]]))
