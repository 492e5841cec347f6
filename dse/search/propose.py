"""Where new designs come from: bred by NSGA-II, asked of TPE, a sequence, or chance.

A run is a sequence of generations of equal size. The designs of a generation follow from the seed,
its number and the designs before it, never from the budget or from where a run was interrupted.
No design is proposed twice: a repeated child gives way to an unseen neighbour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from dse.errors import UsageError, nearest
from dse.search.ascent import Relaxation
from dse.search.levels import spread
from dse.search.protocol import Parameter
from dse.search.sampled import Qmc, Tpe
from dse.search.unseen import Proposal, Proposer

__all__ = [
    "METHODS",
    "Nsga2",
    "Proposal",
    "Proposer",
    "check_method",
    "default_batch_size",
    "proposer",
]

SMALLEST_POPULATION = 20
LARGEST_POPULATION = 200


@attrs.frozen(kw_only=True, eq=False)
class _Individual:
    levels: np.ndarray
    objectives: np.ndarray
    margins: np.ndarray


class Nsga2(Proposer):
    """Children of the best designs so far, by Optuna's constrained NSGA-II.

    The first generations spread each parameter's levels evenly until there are as many designs as
    a population has. The pool of parents and children is a function of the log alone, because
    each batch there names its parents.
    """

    def __init__(
        self, parameters: Sequence[Parameter], senses: Sequence[str], **options: Any
    ) -> None:
        super().__init__(parameters, senses, **options)
        self.population = max(self.batch_size, SMALLEST_POPULATION)
        self._pool: dict[int, _Individual] = {}
        self._parents: dict[int, _Individual] = {}
        self._children: dict[int, _Individual] = {}
        self._count = 0

    def propose(self, generation: int) -> Proposal:
        """As the base; while a generation lasts its pool stays what it was when it began."""
        if generation != self._generation:
            self._pool = self._merged()
        return super().propose(generation)

    def _merged(self) -> dict[int, _Individual]:
        return dict(sorted((self._parents | self._children).items()))

    def _advance(self, parents: Sequence[int]) -> None:
        self._pool = self._merged()
        unknown = sorted(set(parents) - set(self._pool))
        if unknown:
            raise ValueError(f"its parents {unknown[:3]} are not of the generation before")
        self._parents = {index: self._pool[index] for index in parents}
        self._children = {}

    def _remember(self, levels: np.ndarray, objectives: np.ndarray, margins: np.ndarray) -> None:
        for row in range(len(levels)):
            self._children[self._count] = _Individual(
                levels=levels[row], objectives=objectives[row], margins=margins[row]
            )
            self._count += 1

    def _generate(self, generation: int) -> Proposal:
        random, given = self._random(generation), self._given(generation)
        missing = self.size(generation) - len(given)
        if len(self._pool) < self.population:
            new, parents = spread(missing, self.choices, random), tuple(self._pool)
        else:
            new, parents = self._bred(generation, missing)
        wanted = np.vstack([given, new])
        return Proposal(levels=self._filled(wanted, random, generation), parents=parents)

    def _bred(self, generation: int, count: int) -> tuple[np.ndarray, tuple[int, ...]]:
        from dse.search.breed import breed

        pool = list(self._pool.values())
        children, elite = breed(
            sizes=self.sizes.tolist(),
            ordered=self.ordered,
            senses=self.senses,
            levels=np.array([one.levels for one in pool]),
            objectives=np.array([one.objectives for one in pool]),
            margins=np.array([one.margins for one in pool]),
            population=self.population,
            count=count,
            seed=int(np.random.SeedSequence([self.seed, generation]).generate_state(1)[0]),
        )
        indices = list(self._pool)
        return children, tuple(indices[row] for row in elite)


METHODS: Mapping[str, type[Proposer]] = MappingProxyType(
    {"nsga2": Nsga2, "tpe": Tpe, "qmc": Qmc, "random": Proposer}
)
"""The proposer of each method that proposes its designs."""

GUIDED = ("gradient", "hybrid")
"""Methods that follow gradients, of `dse.search.gradient` and `dse.search.hybrid`."""

EXACT = "exact"
"""The method that proposes none: `dse.search.sweep` goes through all of them."""


def check_method(method: str) -> None:
    """Raises UsageError, with the nearest name, for an unknown method."""
    known = [EXACT, *GUIDED, *METHODS]
    if method not in known:
        message = f"no method is called {method!r}; the methods are {', '.join(known)}"
        raise UsageError("; ".join(filter(None, (message, nearest(method, known)))))


def proposer(
    method: str,
    parameters: Sequence[Parameter],
    senses: Sequence[str],
    *,
    seed: int,
    batch_size: int,
    initial: np.ndarray | None = None,
    relaxation: Relaxation | None = None,
) -> Proposer:
    """The proposer of `method`; `initial` [m, p] are designs to propose first, in order.

    `relaxation` is the problem between its levels, for methods that follow gradients.

    Raises UsageError as `check_method` does, ValueError if `initial` is outside of the space.
    """
    check_method(method)
    common: dict[str, Any] = {"seed": seed, "batch_size": batch_size, "initial": initial}
    if method in GUIDED:
        from dse.search.hybrid import guided

        return guided(method)(parameters, senses, relaxation=relaxation, **common)
    return METHODS[method](parameters, senses, **common)


def default_batch_size(method: str, budget: int) -> int:
    """Designs in a generation: a fortieth of the budget, 20 to 200.

    TPE learns from each batch; the generations of hybrid grow to 200 whatever the budget.
    """
    largest = 50 if METHODS.get(method) is Tpe else LARGEST_POPULATION
    if method == "hybrid":
        return largest
    return max(SMALLEST_POPULATION, min(largest, budget // 40))
