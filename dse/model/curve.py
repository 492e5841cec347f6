"""Throughput against interactivity: the field's standard plot, over all mappings and batches.

What a fleet gives up in tokens per chip so that each user receives them quicker. A point is on the
curve where no other mapping and batch gives more of both.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs
import jax
import jax.numpy as jnp
import numpy as np

from dse.errors import UsageError
from dse.model.estimate import OPERATIONS
from dse.model.evaluator import Question
from dse.model.guard import Scalar
from dse.model.mapping import as_dict, table
from dse.model.operation import SLACK, context, replicas
from dse.model.power import under_cap
from dse.model.programs import program
from dse.model.transformer import Mapping
from dse.spec.system import System

PHASES = ("decode", "serve")
BATCHES = np.unique(np.round(2.0 ** np.arange(0.0, 20.0, 0.5))).astype(np.float32)
"""Sequences in flight over all chips: half powers of two up to a million."""


CHUNK = 128
"""Mappings of one call: one program serves systems of any size."""


@attrs.frozen(kw_only=True)
class Point:
    """One operating point of a curve; SI."""

    tokens_per_s_per_user: float
    tokens_per_s_per_chip: float
    ttft_s: float
    batch: int
    mapping: dict[str, int]


def curve(system: System, question: Question) -> list[Point]:
    """The points of a lowered system that no other beats in both, quickest for a user first.

    Latency limits of the workload are not applied: the curve shows them all. UsageError for a
    phase that has no users.
    """
    phase = question.workload.phase
    if phase not in PHASES:
        raise UsageError(f"a curve is of {' or '.join(PHASES)}; {phase} has no token per user")
    chips = int(question.workload.chips or float(system.all_chips))
    rows = table(question.model, phase, chips, None)
    setting = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), question.setting)
    low = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), system)
    parts = []
    for start in range(0, len(rows), CHUNK):
        members = np.minimum(np.arange(start, start + CHUNK), len(rows) - 1)
        mappings = Mapping(*np.asarray(rows[members], np.float32).T)
        parts.append(jax.tree.map(np.asarray, _program(phase)(low, setting, mappings, BATCHES)))
    found = (np.concatenate(each)[: len(rows)] for each in zip(*parts, strict=True))
    user, chip, ttft, margin = (value.ravel() for value in found)
    kept = [index for index in _frontier(user, chip) if margin[index] >= 0.0]
    return [_point(rows, index, user, chip, ttft) for index in kept]


@cache
def _program(phase: str) -> Any:
    def one(system: System, setting: Any, mapping: Mapping, batch: Scalar) -> tuple[Scalar, ...]:
        ctx = context(under_cap(system), setting.model, setting.workload, setting.software)
        done = OPERATIONS[phase](ctx, mapping, batch)
        legal = jnp.minimum(done.margin_memory, done.margin_mapping)
        # each batch that runs by itself has a sequence at least
        apart = jnp.maximum(replicas(ctx, mapping), 1.0) * mapping.shards
        legal = jnp.minimum(legal, batch / apart * (1.0 + SLACK) - 1.0)
        good = legal >= 0.0
        user = jnp.where(good, 1.0 / done.tpot, 0.0)
        chip = jnp.where(good, done.tokens_per_s / ctx.chips, 0.0)
        return user, chip, jnp.asarray(done.ttft), legal

    over_batches = jax.vmap(one, in_axes=(None, None, None, 0))
    return program(f"{phase}-curve", jax.vmap(over_batches, in_axes=(None, None, 0, None)))


def _frontier(user: np.ndarray, chip: np.ndarray) -> list[int]:
    """Indices of the points that none beats in both, the highest `user` first."""
    kept, best = [], 0.0
    for index in np.lexsort((-chip, -user)):
        if chip[index] > best:
            kept.append(int(index))
            best = float(chip[index])
    return kept


def _point(
    rows: np.ndarray, index: int, user: np.ndarray, chip: np.ndarray, ttft: np.ndarray
) -> Point:
    row, column = divmod(index, len(BATCHES))
    return Point(
        tokens_per_s_per_user=float(user[index]),
        tokens_per_s_per_chip=float(chip[index]),
        ttft_s=float(ttft[index]),
        batch=int(BATCHES[column]),
        mapping=as_dict(rows[row]),
    )
