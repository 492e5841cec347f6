"""What is not known exactly: samples of every uncertain constant, and a design evaluated on them.

Two things are sampled: values that a spec declares uncertain, and quantities whose source gives an
interval, which is read as a triangular belief with its mode at the value (widened to hold it).
Counts, words and flags are never sampled for a source's interval, nor is what a model or workload
asks; what is zero is absent and stays so. Samples keep to the bounds of their field.

A constant is known by its kind, its path in its own spec, its source and its belief, and its
stream of random numbers follows from these and the seed alone: two systems that share a node, a
facility or a base share every sample of them, whatever else they hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache, partial
from itertools import pairwise
from typing import Any, TypeVar

import attrs
import jax
import numpy as np

from dse import units
from dse.errors import InputError
from dse.model.estimate import Setting, result
from dse.model.evaluator import Question
from dse.model.programs import program
from dse.model.pytree import replace
from dse.model.transformer import Mapping
from dse.spec.fields import Branch, Leaf, Named, Source, fields_of
from dse.spec.space import settled
from dse.spec.system import System
from dse.spec.values import Free, Normal, Triangular, Uncertain, Weighted

_T = TypeVar("_T")
_Trail = tuple[tuple[Named, tuple[str, ...]], ...]

CHUNK = 1024
"""Samples of one call of the compiled program."""

BOTH, DECLARED, SOURCES = "both", "declared", "sources"
"""Which constants are sampled."""

_ASKED = ("model", "workload")
"""Kinds that say what is asked: an interval of their sources is no doubt about the answer."""

PER_INPUT = 20
"""Samples that an input must have before its share of the variance is estimated."""


@attrs.frozen(eq=False)
class Input:
    """One sampled constant: the spec that holds it, its path there, its belief, its samples [n].

    Samples of weighted alternatives are their indices.
    """

    kind: str
    name: str
    path: str
    belief: Uncertain
    samples: np.ndarray

    def basis(self) -> np.ndarray:
        """What a regression takes for it, [n, k]: a parabola, or one column an alternative."""
        if isinstance(self.belief, Weighted):
            each = range(1, len(self.belief.alternatives))
            columns = [self.samples == index for index in each]
            return _centred(np.stack(columns, 1)) if columns else np.zeros((len(self.samples), 0))
        scale = float(np.std(self.samples))
        if not scale > 0.0:
            return np.zeros((len(self.samples), 0))
        x = (self.samples - np.mean(self.samples)) / scale
        return _centred(np.stack([x, x * x], 1))


def _centred(columns: np.ndarray) -> np.ndarray:
    columns = columns.astype(np.float64)
    return np.asarray(columns - columns.mean(axis=0))


class Sampler:
    """Draws specs: lowered, with leaves of shape [number]. `inputs` gathers what was sampled."""

    def __init__(self, number: int, seed: int, uncertain: str = BOTH) -> None:
        self.number = number
        self.inputs: dict[str, Input] = {}
        self._seed = seed
        self._declared = uncertain in (BOTH, DECLARED)
        self._sources = uncertain in (BOTH, SOURCES)

    def draw(self, spec: _T) -> _T:
        """`number` samples of a spec; choices and ranges stand at their typical value."""
        made: _T = self._spec(settled(spec), ())
        return made

    def _spec(self, instance: Any, trail: _Trail) -> Any:
        if isinstance(instance, Named):
            trail = (*trail, (instance, ()))
        values: dict[str, Any] = {}
        for name, meta in fields_of(type(instance)).items():
            below = tuple((holder, (*parts, name)) for holder, parts in trail)
            value = getattr(instance, name)
            if isinstance(meta, Branch):
                values[name] = self._branch(value, below)
            elif meta.sort == "option":
                values[name] = self._option(value, meta, below)
            elif meta.sort != "text":
                values[name] = self._number(value, meta, below)
        return replace(instance, **values)

    def _branch(self, value: Any, trail: _Trail) -> Any:
        if isinstance(value, Weighted) and self._declared:
            index, each = self._sampled(value, trail).astype(int), np.arange(self.number)
            several = [self._spec(item, trail) for item in value.alternatives]
            return jax.tree.map(lambda *leaves: np.stack(leaves)[index, each], *several)
        return self._spec(value.typical() if isinstance(value, Free) else value, trail)

    def _option(self, value: Any, leaf: Leaf, trail: _Trail) -> tuple[np.ndarray, ...]:
        if isinstance(value, Weighted) and self._declared:
            index = self._sampled(value, trail)
            words = np.asarray([leaf.options.index(word) for word in value.alternatives])
            chosen = words[index.astype(int)]
        else:
            word = value.typical() if isinstance(value, Free) else value
            chosen = self._all(leaf.options.index(word))
        return tuple((chosen == i).astype(np.float32) for i in range(len(leaf.options)))

    def _number(self, value: Any, leaf: Leaf, trail: _Trail) -> np.ndarray:
        belief, ref = self._belief(value, leaf, trail)
        if belief is None:
            return self._all(value.typical() if isinstance(value, Free) else value)
        samples = self._sampled(belief, trail, ref)
        if isinstance(belief, Weighted):
            samples = np.asarray(belief.alternatives, np.float64)[samples.astype(int)]
        samples = np.clip(samples, leaf.low, leaf.high)
        whole = leaf.sort in ("count", "flag")
        return (np.round(samples) if whole else samples).astype(np.float32)

    def _belief(self, value: Any, leaf: Leaf, trail: _Trail) -> tuple[Uncertain | None, str]:
        if isinstance(value, Uncertain):
            return (value, "") if self._declared else (None, "")
        asked = trail[0][0].kind in _ASKED
        if isinstance(value, Free) or leaf.sort != "quantity" or asked or not self._sources:
            return None, ""
        source = _own_source(trail)
        return (interval(float(value), leaf, source), source.ref) if source else (None, "")

    def _sampled(self, belief: Uncertain, trail: _Trail, ref: str = "") -> np.ndarray:
        """Samples of a belief; one that was met before gives the same."""
        owner, parts = trail[-1]
        path = ".".join(parts)
        key = "|".join((owner.kind, path, ref, _told(belief)))
        if key not in self.inputs:
            shares = np.random.default_rng(_seeded(self._seed, key)).random(self.number)
            drawn = quantiles(belief, shares)
            self.inputs[key] = Input(owner.kind, owner.name, path, belief, drawn)
        return self.inputs[key].samples

    def _all(self, value: float) -> np.ndarray:
        return np.broadcast_to(np.float32(value), (self.number,))


def _told(belief: Uncertain) -> str:
    if isinstance(belief, Weighted):
        names = [getattr(item, "name", item) for item in belief.alternatives]
        return f"{names} {belief.weights}"
    return repr(belief)


def _seeded(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}|{key}".encode()).digest()[:16])


def _own_source(trail: _Trail) -> Source | None:
    """The source that speaks of this very leaf, of the outermost spec that has one."""
    if any("announced" in parts for _, parts in trail):
        return None
    found = (holder.sources.get(".".join(parts)) for holder, parts in trail)
    return next((source for source in found if source), None)


def interval(value: float, leaf: Leaf, source: Source) -> Triangular | None:
    """The belief that a source's interval stands for, in SI; None where it has no width."""
    if not value or not (source.low or source.high):
        return None
    try:
        ends = [units.parse(end, leaf.unit) for end in (source.low, source.high) if end]
    except InputError:
        # the source of a base speaks of a leaf in another unit
        return None
    low, high = min(*ends, value), max(*ends, value)
    return Triangular(low=low, mode=value, high=high) if low < high else None


def quantiles(belief: Uncertain, shares: np.ndarray) -> np.ndarray:
    """Values of a belief below which `shares` [n] of it lie; indices of weighted alternatives."""
    if isinstance(belief, Triangular):
        width, rise = belief.high - belief.low, belief.mode - belief.low
        fall = belief.high - belief.mode
        left = belief.low + np.sqrt(shares * width * rise)
        right = belief.high - np.sqrt((1.0 - shares) * width * fall)
        return np.where(shares * width <= rise, left, right)
    if isinstance(belief, Weighted):
        sums = np.cumsum(belief.weights)
        found = np.searchsorted(sums, shares * sums[-1])
        return np.minimum(found, len(sums) - 1).astype(np.float64)
    assert isinstance(belief, Normal), "beliefs are triangular, weighted or normal"
    return np.asarray([belief.quantile(float(share)) for share in shares])


@attrs.frozen(kw_only=True, eq=False)
class Drawn:
    """A design and what is asked of it, `number` times: lowered, with leaves [number]."""

    systems: System
    setting: Setting
    number: int
    inputs: tuple[Input, ...]


@attrs.frozen(kw_only=True, eq=False)
class Samples:
    """One design on n samples, at one mapping: metrics and margins [n] in SI, and the inputs.

    `useful` [n] is the FLOP/s of its job that the model asks for.
    """

    metrics: dict[str, np.ndarray]
    margins: dict[str, np.ndarray]
    useful: np.ndarray
    inputs: tuple[Input, ...]


def draw(
    system: System, question: Question, *, number: int, seed: int = 0, uncertain: str = BOTH
) -> Drawn:
    """`number` samples of a system of the language and of a question."""
    sampler = Sampler(number, seed, uncertain)
    systems = sampler.draw(system)
    parts = {part: sampler.draw(getattr(question, part)) for part in Setting._fields[:-1]}
    basis = tuple(np.full(number, share, np.float32) for share in question.setting.basis)
    setting = Setting(**parts, basis=basis)  # type: ignore[arg-type]
    inputs = tuple(sampler.inputs.values())
    return Drawn(systems=systems, setting=setting, number=number, inputs=inputs)


def sample(
    system: System,
    question: Question,
    mapping: np.ndarray,
    *,
    number: int,
    seed: int = 0,
    uncertain: str = BOTH,
    batch: float | None = None,
) -> Samples:
    """`number` samples of a system of the language under a question, at one row of mappings.

    The mapping stays, as software is deployed before its constants are known; without `batch` each
    sample serves the largest that its limits allow.
    """
    drawn = draw(system, question, number=number, seed=seed, uncertain=uncertain)
    return operated(drawn, question.workload.phase, mapping, batch)


def operated(drawn: Drawn, phase: str, mapping: np.ndarray, batch: float | None = None) -> Samples:
    """What samples give at one row of mappings; without `batch` each serves the largest it may."""
    run = _program(phase, fixed=batch is not None)
    row = Mapping(*np.asarray(mapping, np.float32))
    fixed_batch = None if batch is None else np.float32(batch)
    made = [
        jax.tree.map(np.asarray, run(*chunk, row, fixed_batch))
        for chunk in _chunks((drawn.systems, drawn.setting), drawn.number)
    ]
    number = drawn.number
    found = jax.tree.map(lambda *each: np.concatenate(each)[:number], *made)
    metrics, margins, useful = found
    return Samples(metrics=metrics, margins=margins, useful=useful, inputs=drawn.inputs)


def _chunks(trees: Any, number: int) -> Iterator[Any]:
    """CHUNK samples at a time; the last chunk is filled up with the last sample."""
    for start in range(0, number, CHUNK):
        members = np.minimum(np.arange(start, start + CHUNK), number - 1)
        yield jax.tree.map(lambda leaf, m=members: np.asarray(leaf, np.float32)[m], trees)


@cache
def _program(phase: str, *, fixed: bool) -> Any:
    """The compiled evaluation of samples of design and setting at one mapping."""

    def point(system: System, setting: Setting, mapping: Mapping, batch: Any, phase: str) -> Any:
        made = result(system, setting, mapping, phase, batch)
        return made.metrics, dict(made.margins), made.operation.useful_flops

    name = f"{phase}-samples{'-fixed' if fixed else ''}"
    return program(name, jax.vmap(partial(point, phase=phase), in_axes=(0, 0, None, None)))


def shares(values: np.ndarray, inputs: tuple[Input, ...]) -> tuple[list[float], float]:
    """Share of the variance of ln(values) by input, and the share that all of them explain.

    First order: inputs are independent, so the parts of one least-squares fit, a parabola in each
    input, add up. No more inputs enter than one for PER_INPUT samples, those of the greatest
    correlation; the others' share is zero. Values that are not all above zero stand as they are.
    """
    y = np.asarray(values, np.float64)
    y = np.log(y) if np.all(y > 0.0) else y
    nothing = [0.0] * len(inputs)
    if len(y) < PER_INPUT or not np.all(np.isfinite(y)) or not np.ptp(y) > 1e-6 * np.max(np.abs(y)):
        return nothing, 0.0
    y = (y - y.mean()) / y.std()
    bases = [each.basis() for each in inputs]
    strength = [_correlation(basis, y) for basis in bases]
    kept = sorted(range(len(inputs)), key=lambda i: -strength[i])[: len(y) // PER_INPUT]
    if not kept:
        return nothing, 0.0
    found, *_ = np.linalg.lstsq(np.hstack([bases[i] for i in kept]), y, rcond=None)
    ends = np.cumsum([0, *(bases[i].shape[1] for i in kept)])
    parts = [bases[i] @ found[a:b] for i, (a, b) in zip(kept, pairwise(ends), strict=True)]
    for i, part in zip(kept, parts, strict=True):
        nothing[i] = float(np.mean(part * part))
    rest = y - np.sum(parts, axis=0)
    return nothing, float(1.0 - np.mean(rest * rest))


def _correlation(basis: np.ndarray, y: np.ndarray) -> float:
    """The greatest squared correlation of a column."""
    if not basis.shape[1]:
        return 0.0
    norms = np.maximum(np.mean(basis * basis, axis=0), 1e-30)
    return float(np.max(np.mean(basis * y[:, None], axis=0) ** 2 / norms))
