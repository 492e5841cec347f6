"""What a search asks of its problem: the parameters, the senses, and an evaluation in batches.

Everything here is plain numpy, so that proposing, logging and ranking designs know nothing of how
a design is evaluated. A design is a row of level indices, one for each parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from dse.search.counts import Counts

OPERATING = ("mapping", "memory", "tpot", "ttft")
"""Rules of an operating point, without which a system does not do its work; all others are of the
design alone."""


@attrs.frozen(kw_only=True)
class Parameter:
    """One searched leaf and its legal values.

    `levels` holds numbers (SI) or names, in order. `ordered` says whether a neighbouring index
    means a neighbouring value: true of numbers, false of names. With `needs`, the parameter is free
    only where each parameter named (by index) is at one of the levels given; elsewhere it stands at
    its last level, which it takes nowhere else.
    """

    path: str
    levels: tuple[Any, ...] = attrs.field(converter=tuple)
    ordered: bool = True
    needs: tuple[tuple[int, frozenset[int]], ...] = ()


@attrs.frozen(kw_only=True, eq=False)
class Evaluations:
    """What n designs attain, row by row.

    `objectives` [n, k] are in their own sense (see `Problem.senses`) and finite. `margins` [n, c]
    are the relative margins of the rules, at least 0 where a rule holds, finite. `metrics` maps a
    name to [n] values, which may be infinite or nan. `mapping` holds n JSON-ready dicts, made when
    they are asked for.
    """

    objectives: np.ndarray
    margins: np.ndarray
    metrics: dict[str, np.ndarray] = attrs.field(factory=dict)
    mapping: Sequence[dict[str, Any]] = attrs.field(factory=list)

    @property
    def feasible(self) -> np.ndarray:
        """[n] True where every rule holds."""
        return np.asarray(np.all(self.margins >= 0.0, axis=1))

    def rows(self, indices: np.ndarray) -> Evaluations:
        """Some rows, in the order of their indices."""
        return Evaluations(
            objectives=np.asarray(self.objectives)[indices],
            margins=np.asarray(self.margins)[indices],
            metrics={name: np.asarray(values)[indices] for name, values in self.metrics.items()},
            mapping=[self.mapping[int(index)] for index in indices],
        )


@attrs.frozen(kw_only=True, eq=False)
class Points:
    """The feasible operating points of n designs that no other of them dominates.

    `designs` [m] are indices of the n, each as often as it has such points; `evaluations` are of
    the m points, None where there is none; `counts` tell of all n designs.
    """

    designs: np.ndarray
    evaluations: Evaluations | None
    counts: Counts


class Problem(Protocol):
    """A finite mixed space with objectives and rules; `evaluate` must be deterministic.

    A problem may have a method `screen`, which takes [n, p] level indices and gives, by rule, the
    margins [n] that it can tell far more cheaply than `evaluate`: where one is negative, the
    rule's margin is negative in the evaluation as well.

    One whose designs have many operating points may have `every_point`, True where all that none
    dominates are asked for, and then `operating_points`, from [n, p] level indices to Points.
    """

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    @property
    def objectives(self) -> tuple[str, ...]: ...

    @property
    def senses(self) -> tuple[str, ...]:
        """For each objective, "max" or "min"."""
        ...

    @property
    def rules(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> str:
        """A hash (hex) of the study, its specs and the version of the code."""
        ...

    @property
    def references(self) -> Sequence[Any]: ...

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        """The evaluations of [n, p] level indices, one row for each design."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON-ready data that a reader of the run folder needs; stored once."""
        ...
