"""Many designs at once: the best operating point of each, through one program per phase.

Designs go through in chunks of a fixed size and mappings in blocks of a fixed size, so that one
compiled program (kept in the user's cache folder) serves one design and a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dict
from functools import cache, cached_property, partial
from typing import Any

import attrs
import jax
import numpy as np

from dse.errors import SpecError
from dse.model.estimate import Choice, Design, Result, Setting, choose, result
from dse.model.floorplan import DieArea
from dse.model.footprint import Footprint
from dse.model.manufacture import ChipCost, SystemCost
from dse.model.mapping import as_dict, table
from dse.model.operation import Activity, Bounds, Operation, Times
from dse.model.ownership import Ownership
from dse.model.power import SystemPower, under_cap
from dse.model.programs import FAST, program, register
from dse.model.pytree import lower
from dse.model.transformer import Mapping
from dse.spec.facility import PRICE_BASES, Facility
from dse.spec.metrics import METRICS, SELECTABLE
from dse.spec.space import fixed
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

register(
    *(Setting, Mapping, Choice, Result, Operation, Times, Bounds, Activity, Footprint),
    *(Design, DieArea, ChipCost, SystemCost, SystemPower, Ownership),
)

CHUNK = 256
"""Designs of one call. With BLOCK mappings it was the fastest of six sizes, 64 x 64 to 512 x 32:
smaller calls pay for their number, larger ones leave the cache or run more mappings in vain."""

BLOCK = 32
"""Mappings of one call; what a table lacks to a multiple of it is wasted."""


@attrs.frozen(kw_only=True)
class Question:
    """What designs are asked: model, workload, software, facility, price basis, objective.

    The operator takes the mapping that is best in `objective` (`sense` max or min). `price` is a
    factor on what a system, its chips included, is paid at.
    """

    model: LanguageModel
    workload: Workload
    software: Software
    facility: Facility
    price_basis: str = "at-cost"
    objective: str = "tokens_per_usd"
    sense: str = "max"
    price: float = 1.0

    @cached_property
    def setting(self) -> Setting:
        """The model's form of the question."""
        at_cost, partner, merchant = (
            self.price * (self.price_basis == name) for name in PRICE_BASES
        )
        return Setting(
            model=lower(fixed(self.model)),
            workload=lower(fixed(self.workload)),
            software=lower(fixed(self.software)),
            facility=lower(fixed(self.facility)),
            basis=(at_cost, partner, merchant),
        )

    @property
    def weights(self) -> np.ndarray:
        """Weights over the metrics by which a mapping may be chosen."""
        # an objective that no mapping changes leaves the choice to cost
        name = self.objective if self.objective in SELECTABLE else "tokens_per_usd"
        sign = -1.0 if name == self.objective and self.sense == "min" else 1.0
        return np.asarray([sign * (name == metric) for metric in SELECTABLE], np.float32)


@attrs.frozen(kw_only=True, eq=False)
class Evaluation:
    """n designs, each at its best operating point. Arrays have shape [n]; values are SI.

    `result` is a Result whose leaves are [n]; `rows` [n, 6] the mappings; `feasible` says whether
    mapping, memory and latency limits hold; `legal` counts the mappings tried.
    """

    result: Result
    rows: np.ndarray
    legal: np.ndarray
    feasible: np.ndarray

    @property
    def metrics(self) -> Dict[str, np.ndarray]:
        """Metric name to values, in the order of METRICS."""
        return {name: np.asarray(self.result.metrics[name]) for name in METRICS}

    @property
    def margins(self) -> Dict[str, np.ndarray]:
        """Rule name to relative margins."""
        return {name: np.asarray(value) for name, value in self.result.margins.items()}

    def mapping(self, index: int) -> dict[str, int]:
        """The mapping of one design."""
        return as_dict(self.rows[index])


def evaluate(
    systems: System,
    question: Question,
    *,
    pinned: Dict[str, int] | None = None,
    batch: float | None = None,
) -> Evaluation:
    """The best operating point of each design of `systems`, a lowered System with leaves [n].

    `pinned` fixes degrees of the mapping (tp, pp, ep, micro_batch, recompute, zero), `batch` the
    sequences in flight. SpecError where no mapping of the table has the pinned degrees.
    """
    fixed_batch = None if batch is None else np.float32(batch)
    packed, structure, chips = packed_designs(systems)
    asked = _Asked(question, structure, fixed_batch)
    parts, order = [], []
    for members in alike(chips):
        rows = mappings(question, float(chips[members].max()), pinned)
        made = asked.evaluate(taken(packed, members), rows)
        number = len(members)
        parts.append(jax.tree.map(lambda x, n=number: np.asarray(x)[:n], made))
        order.append(members)
    back = np.argsort(np.concatenate(order), kind="stable")
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[back], *parts)


def packed_designs(systems: System) -> tuple[np.ndarray, Any, np.ndarray]:
    """Designs as a power limit lets them run: leaves [l, n], their tree, and chips [n] of each."""
    if np.any(np.asarray(systems.chip.power_cap) > 0.0):
        systems = _under_cap()(systems)
    leaves, structure = jax.tree.flatten(systems)
    packed = np.stack([np.asarray(leaf, np.float32) for leaf in leaves])
    return packed, structure, np.asarray(systems.all_chips)


def alike(chips: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of designs by chunk, those of like size together: few mappings then exceed one."""
    order = np.argsort(chips, kind="stable")
    return (order[start : start + CHUNK] for start in range(0, len(order), CHUNK))


@cache
def _under_cap() -> Any:
    return jax.jit(jax.vmap(under_cap))


def mappings(question: Question, chips: float, pinned: Dict[str, int] | None = None) -> np.ndarray:
    """The mapping table of designs of at most `chips` chips."""
    chips = question.workload.chips or chips
    rows = table(question.model, question.workload.phase, int(chips), pinned)
    if not len(rows):
        raise SpecError(f"no mapping of {question.model.name} on {int(chips)} chips has {pinned}")
    return rows


def taken(packed: np.ndarray, members: np.ndarray) -> np.ndarray:
    """The members of a batch [leaves, n] as one chunk, filled up with the first of them."""
    filled = np.concatenate([members, np.full(CHUNK - len(members), members[0])])
    return packed[:, filled]


jax.tree_util.register_pytree_node(
    Evaluation,
    lambda e: ((e.result, e.rows, e.legal, e.feasible), None),
    lambda _, c: Evaluation(result=c[0], rows=c[1], legal=c[2], feasible=c[3]),
)


class _Asked:
    """A question made ready for chunks of designs of one tree structure."""

    def __init__(self, question: Question, structure: Any, batch: np.float32 | None) -> None:
        leaves, setting = jax.tree.flatten(question.setting)
        self.setting = np.asarray(leaves, np.float32)
        self.weights = question.weights
        self.batch = batch
        phase, fixed = question.workload.phase, batch is not None
        self.search, self.point = programs(phase, structure, setting, fixed=fixed)

    def evaluate(self, chunk: np.ndarray, rows: np.ndarray) -> Evaluation:
        """The best of a mapping table for CHUNK designs."""
        starts = range(0, len(rows), BLOCK)
        blocks = [padded(rows[start : start + BLOCK]) for start in starts]
        found = [
            self.search(chunk, self.setting, block.T, self.weights, self.batch) for block in blocks
        ]
        score = np.stack([f.score for f in found])
        feasible = np.isfinite(score).any(axis=0)
        nearest = np.stack([f.margin for f in found]).argmax(axis=0)
        block = np.where(feasible, score.argmax(axis=0), nearest)
        each = np.arange(CHUNK)
        row = np.stack([f.row for f in found])[block, each] + block * BLOCK
        batch = np.stack([f.batch for f in found])[block, each]
        legal = np.stack([f.legal for f in found]).sum(axis=0)
        chosen = np.concatenate(blocks)[row]
        made = self.point(chunk, self.setting, chosen.T, batch)
        return Evaluation(result=made, rows=chosen, legal=legal, feasible=feasible & (legal > 0))


@cache
def programs(phase: str, system: Any, setting: Any, *, fixed: bool) -> tuple[Any, Any]:
    """The compiled search over a block, and the compiled point, of a phase.

    `system` and `setting` are the structures of trees whose leaves come packed in one array each:
    to hand over some 250 small arrays takes as long as to evaluate a tenth of a block. `fixed`
    says whether the batch is given, which is a program of its own.
    """

    opened = partial(unpacked, system, setting)

    def search(designs: Any, common: Any, rows: Any, weights: Any, batch: Any) -> Choice:
        return choose(*opened(designs, common, rows), weights, batch, phase=phase)

    def point(designs: Any, common: Any, rows: Any, batch: Any) -> Result:
        return result(*opened(designs, common, rows), phase, batch)

    given = "-fixed" if fixed else ""
    searched = jax.vmap(search, in_axes=(1, None, None, None, None))
    return (
        program(f"{phase}-search{given}", searched, FAST),
        program(f"{phase}-point", jax.vmap(point, in_axes=(1, None, 1, 0))),
    )


def unpacked(
    system: Any, setting: Any, designs: Any, common: Any, rows: Any
) -> tuple[System, Setting, Mapping]:
    """The trees of structures `system` and `setting`, and the mapping, from packed leaves."""
    trees = jax.tree.unflatten(system, list(designs)), jax.tree.unflatten(setting, list(common))
    return *trees, Mapping(*rows)


def padded(rows: np.ndarray) -> np.ndarray:
    """A block filled up with a mapping that no chips can hold."""
    filler = np.asarray(Mapping(tp=1e6, pp=1, ep=1, micro_batch=1, recompute=0, zero=1))
    missing = BLOCK - len(rows)
    return np.concatenate([rows, np.tile(filler, (missing, 1))]).astype(np.float32)
