"""Many designs at every mapping, none chosen: what an exact front over pairs is made from.

Each mapping stands at the largest batch that its limits allow. A block tells what pairs attain, as
fast as a search; `points` evaluates those that are kept as `evaluate` does its chosen ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dict
from functools import cache, partial
from typing import Any, NamedTuple

import attrs
import jax
import jax.numpy as jnp
import numpy as np

from dse.model.estimate import result
from dse.model.evaluator import (
    BLOCK,
    CHUNK,
    Evaluation,
    Question,
    alike,
    mappings,
    packed_designs,
    padded,
    programs,
    taken,
    unpacked,
)
from dse.model.guard import Scalar
from dse.model.programs import FAST, program, register
from dse.spec.system import System


class Pair(NamedTuple):
    """What one design attains at one mapping: SI metrics, margins by rule, its batch."""

    metrics: Dict[str, Scalar]
    margins: Dict[str, Scalar]
    batch: Scalar


register(Pair)


@attrs.frozen(kw_only=True, eq=False)
class Block:
    """n designs (their indices in `designs`) at m mappings (`rows` [m, len(Mapping)]).

    `metrics`, SI, and `margins`, relative, map names to [n, m]; `batch` is [n, m]. A pair whose
    margin of "mapping" is negative does not exist.
    """

    designs: np.ndarray
    rows: np.ndarray
    metrics: Dict[str, np.ndarray]
    margins: Dict[str, np.ndarray]
    batch: np.ndarray


def blocks(systems: System, question: Question) -> Iterator[Block]:
    """All pairs of the designs of a lowered System (leaves [n]) with the mappings of its table."""
    packed, structure, chips = packed_designs(systems)
    leaves, setting = jax.tree.flatten(question.setting)
    common = np.asarray(leaves, np.float32)
    pairs = _program(question.workload.phase, structure, setting)
    for members in alike(chips):
        table = mappings(question, float(chips[members].max()))
        chunk = taken(packed, members)
        for start in range(0, len(table), BLOCK):
            rows = table[start : start + BLOCK]
            found = pairs(chunk, common, padded(rows).T)
            made = jax.tree.map(
                lambda x, m=members, r=rows: np.asarray(x)[: len(m), : len(r)], found
            )
            yield Block(designs=members, rows=rows, **made._asdict())


@cache
def _program(phase: str, system: Any, setting: Any) -> Any:
    """The compiled pairs of CHUNK designs with BLOCK mappings."""
    opened = partial(unpacked, system, setting)

    def one(designs: Any, common: Any, rows: Any) -> Pair:
        made = result(*opened(designs, common, rows), phase)
        return Pair(made.metrics, dict(made.margins), jnp.asarray(made.operation.batch))

    over_mappings = jax.vmap(one, in_axes=(None, None, 1))
    return program(f"{phase}-pairs", jax.vmap(over_mappings, in_axes=(1, None, None)), FAST)


def points(
    systems: System, question: Question, designs: np.ndarray, rows: np.ndarray, batch: np.ndarray
) -> Evaluation:
    """Some pairs in full: m `designs` by index, each at its row [m, ...] and batch [m]."""
    packed, structure, _ = packed_designs(systems)
    leaves, setting = jax.tree.flatten(question.setting)
    _, point = programs(question.workload.phase, structure, setting, fixed=False)
    parts = []
    for start in range(0, len(designs), CHUNK):
        members = np.arange(start, min(start + CHUNK, len(designs)))
        filled = taken(np.vstack([packed[:, designs], rows.T, batch[None, :]]), members)
        chunk, chosen = filled[: len(packed)], filled[len(packed) : -1]
        made = point(chunk, np.asarray(leaves, np.float32), chosen, filled[-1])
        parts.append(jax.tree.map(lambda x, m=members: np.asarray(x)[: len(m)], made))
    found = jax.tree.map(lambda *each: np.concatenate(each), *parts)
    known = np.ones(len(designs), dtype=int)
    return Evaluation(result=found, rows=rows, legal=known, feasible=known > 0)
