"""How much more one system gives for a dollar than another, each paid at a price basis of its own.

What is uncertain is sampled, and what both systems share (energy, capital, software, a node) takes
the same value in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import attrs
import numpy as np

from dse.model.evaluator import Evaluation, Question, evaluate
from dse.model.pytree import lower, replace, stack
from dse.model.sensitivity import AT, Point, slopes
from dse.model.uncertainty import draw
from dse.search.protocol import OPERATING
from dse.search.remapping import known, remapped
from dse.search.robust import percentiles, separation
from dse.spec.space import bind, fixed
from dse.spec.system import System

METRIC = "tokens_per_usd"

RATE = "chip.memory.stack.rate"
"""The leaf that all memory bandwidth is in proportion to."""

STEP = 0.01
"""How much more bandwidth is looked at in samples: what rounding adds to a slope is small."""


class Offer(NamedTuple):
    """A system, by its place in a list, at a price basis."""

    place: int
    price_basis: str


class _Attained(NamedTuple):
    value: float
    samples: np.ndarray
    works: np.ndarray


def advantages(
    systems: Sequence[System],
    pairs: Sequence[tuple[Offer, Offer]],
    question: Question,
    *,
    number: int,
    seed: int = 0,
) -> list[dict[str, Any] | None]:
    """What the first of each pair gives for a dollar over the second: a share, 0.3 for 30 % more.

    `value` at the specs' own numbers, `p5`, `p50` and `p95` of `number` samples, and `least` by
    which share of the samples has at least that much more. None where one of them cannot do the
    work. In each sample both take the best of the mappings that are best for any of the systems.
    """
    mappings = best_mappings(systems, question)

    @cache
    def attained(offer: Offer) -> _Attained:
        asked = attrs.evolve(question, price_basis=offer.price_basis)
        return _attained(systems[offer.place], asked, mappings, number=number, seed=seed)

    return [_over(attained(one), attained(other)) for one, other in pairs]


def best_mappings(systems: Sequence[System], question: Question) -> np.ndarray:
    """The mappings [m, 8] that are best for systems which can do the work."""
    found = [_evaluated(system, question) for system in systems]
    rows = [each.rows[0] for each in found if each.feasible[0]]
    return known(np.array(rows)) if rows else np.zeros((0, 0))


def _attained(
    system: System, question: Question, mappings: np.ndarray, *, number: int, seed: int
) -> _Attained:
    found = _evaluated(system, question)
    value = float(np.asarray(found.result.metrics[METRIC])[0])
    if not found.feasible[0]:
        return _Attained(float("nan"), np.zeros(number), np.zeros(number, bool))
    drawn = remapped(
        draw(system, question, number=number, seed=seed), question, [found.rows[0], *mappings]
    )
    margins = [drawn.margins[name] for name in OPERATING if name in drawn.margins]
    return _Attained(value, drawn.metrics[METRIC], np.min(margins, axis=0) >= 0.0)


def _evaluated(system: System, question: Question) -> Evaluation:
    return evaluate(stack([lower(fixed(system))]), question)


def _over(one: _Attained, other: _Attained) -> dict[str, Any] | None:
    works = one.works & other.works
    if not works.any():
        return None
    more = one.samples[works] / other.samples[works] - 1.0
    return {
        "value": one.value / other.value - 1.0,
        **percentiles(more),
        "least": {f"{share:g}": float(np.mean(more >= share)) for share in (0.0, 0.3, 0.4)},
    }


def bandwidth_elasticity(
    system: System,
    question: Question,
    mappings: Sequence[np.ndarray] | np.ndarray = (),
    *,
    number: int = 0,
    seed: int = 0,
) -> dict[str, Any] | None:
    """d ln (tokens a dollar) / d ln (memory bandwidth) at the best operating point.

    `value` at the specs' own numbers; with `number` samples of what is uncertain, percentiles of
    what STEP more bandwidth gives in each, at the best of its own mapping and `mappings` [m, 8],
    the share of them in which it `pays`, and the constant that `decides` this best (by
    `dse.search.robust.separation`). None for a system that cannot do the work.
    """
    found = _evaluated(system, question)
    if not found.feasible[0]:
        return None
    point = Point(fixed(system), question)
    made = slopes([(point, point.numbers[RATE], AT)], np.asarray(found.rows[:1]))
    told = {"value": float(made.elasticity(METRIC)[0])}
    if not number:
        return told
    # bound as it is: what is published of its power holds for no other bandwidth
    free = bind(system, {RATE: point.system.chip.memory.stack.rate})
    drawn = draw(free, question, number=number, seed=seed)
    ends = []
    for factor in (1.0, 1.0 + STEP):
        moved = attrs.evolve(drawn, systems=_faster(drawn.systems, factor))
        ends.append(remapped(moved, question, [found.rows[0], *mappings]).metrics[METRIC])
    slope = np.log(ends[1] / ends[0]) / np.log1p(STEP)
    paid = slope > 0.0
    apart = {f"{each.kind}.{each.path}": separation(each.samples, paid) for each in drawn.inputs}
    decides = max(apart, key=lambda path: apart[path], default="")
    return {
        **told,
        **percentiles(slope),
        "pays": float(np.mean(paid)),
        "decides": decides if apart and apart[decides] > 0.0 else None,
    }


def _faster(systems: System, factor: float) -> System:
    """Samples of a system whose memory is so much faster."""
    chip = systems.chip
    stack = replace(chip.memory.stack, rate=factor * np.asarray(chip.memory.stack.rate))
    return replace(systems, chip=replace(chip, memory=replace(chip.memory, stack=stack)))
