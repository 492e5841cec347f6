"""The catalogue as the model sees it, and one operating point of each phase to test it with."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from dse.model.estimate import Result, Setting, result
from dse.model.evaluator import Question
from dse.model.pytree import lower, stack
from dse.model.transformer import Mapping
from dse.spec.catalog import Catalog
from dse.spec.facility import Facility
from dse.spec.load import load
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

_T = TypeVar("_T")

SYSTEMS = tuple(sorted(e.name for e in Catalog.default().entries if e.kind == "system"))

# a torus, a switch with in-network reduction, a small domain, more than 64 chips, no FP8
SAMPLE = ("trn2-ultraserver", "gb200-nvl72", "h100-server", "trn4-ultraserver", "a100-server")


@cache
def spec(of: type[_T], name: str) -> _T:
    """A spec of the shipped catalogue."""
    return load(of, name, Catalog.default())


def system(name: str) -> System:
    """A system of the catalogue in the model's form."""
    return lower(spec(System, name))


def model(name: str) -> LanguageModel:
    """A language model of the catalogue in the model's form."""
    return lower(spec(LanguageModel, name))


def question(model: str, workload: str, software: str = "default", **more: Any) -> Question:
    """What is asked, by the names of the catalogue."""
    return Question(
        model=spec(LanguageModel, model),
        workload=spec(Workload, workload),
        software=spec(Software, software),
        facility=spec(Facility, "hyperscale-us"),
        **more,
    )


def mapping(**degrees: float) -> Mapping:
    """A mapping with the degrees given; all others one, nothing recomputed, ZeRO stage 1."""
    row = Mapping(tp=1.0, pp=1.0, ep=1.0, micro_batch=1.0, recompute=0.0, zero=1.0)
    return row._replace(**degrees)


class Case(NamedTuple):
    """A phase with a model, a workload, a mapping that eight chips hold, and a batch."""

    phase: str
    model: str
    workload: str
    mapping: Mapping
    batch: float

    @property
    def setting(self) -> Setting:
        """The question in the model's form."""
        return question(self.model, self.workload).setting


CASES = (
    Case("decode", "llama-3.3-70b", "chat-serve", mapping(tp=4.0, pp=2.0), 96.0),
    Case("decode", "deepseek-v3", "chat-decode", mapping(tp=2.0, ep=8.0), 192.0),
    Case("prefill", "llama-3.1-405b", "long-prefill", mapping(tp=8.0), 3.0),
    Case("prefill", "deepseek-v3", "long-prefill", mapping(tp=4.0, ep=4.0, pp=2.0), 6.0),
    Case("pretrain", "llama-3.3-70b", "pretrain", mapping(tp=4.0, pp=2.0, recompute=1.0), 512.0),
    Case("pretrain", "deepseek-v3", "pretrain", mapping(tp=2.0, ep=8.0, zero=3.0), 512.0),
)

PHASES = ("decode", "prefill", "pretrain")


def cases(phase: str) -> list[Case]:
    """The cases of one phase."""
    return [case for case in CASES if case.phase == phase]


def together(trees: list[Any], dtype: Any = np.float64) -> Any:
    """Trees of numbers as one tree whose leaves have shape [len(trees)]."""
    return stack(trees, dtype)


def evaluated(phase: str, system: Any, setting: Any, row: Any, batch: Any = None) -> Result:
    """Results of stacked arguments, operation by operation: compiling would take far longer."""
    if batch is None:
        return jax.vmap(lambda *each: result(*each, phase))(system, setting, row)
    return jax.vmap(lambda *each: result(*each[:3], phase, each[3]))(system, setting, row, batch)


def points(phase: str, names: tuple[str, ...]) -> tuple[list[Any], list[Case]]:
    """(system, setting, mapping, batch) of every system with every case, and the cases."""
    pairs = [(name, case) for name in names for case in cases(phase)]
    rows = [(system(name), case.setting, case.mapping, case.batch) for name, case in pairs]
    return rows, [case for _, case in pairs]


def ladder(base: Any, path: str, factors: np.ndarray) -> Any:
    """A lowered spec stacked with one leaf multiplied by each of `factors`."""
    from dse.model.pytree import leaves

    flat, tree = jax.tree.flatten(base)
    at = [p for p, _, _ in leaves(base)].index(path)
    columns = [np.full(len(factors), value, np.float32) for value in flat]
    columns[at] = (flat[at] * factors).astype(np.float32)
    return jax.tree.unflatten(tree, columns)


def numbers(tree: Any) -> Iterator[float]:
    """All numbers of a result."""
    return (float(leaf) for leaf in jax.tree.leaves(tree))
