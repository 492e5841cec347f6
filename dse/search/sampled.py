"""Designs that Optuna's TPE asks for, and designs of a quasi-random sequence."""

from __future__ import annotations

import warnings

import numpy as np

from dse.search.levels import spread
from dse.search.unseen import Proposal, Proposer


class Tpe(Proposer):
    """Where good designs lie densely and bad ones do not: Optuna's TPE over all designs so far.

    The first generation spreads each parameter's levels evenly. Each of the others takes about
    50 ms a design and more as the log grows: for budgets up to some 2,000.
    """

    _found: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...] = ()

    def _remember(self, levels: np.ndarray, objectives: np.ndarray, margins: np.ndarray) -> None:
        self._found = (*self._found, (levels, objectives, margins))

    def _generate(self, generation: int) -> Proposal:
        from dse.search.tpe import sample

        random, given = self._random(generation), self._given(generation)
        missing = self.size(generation) - len(given)
        # while a generation lasts it is asked of what was there when it began
        before = self.start(generation)
        if before == 0 or missing == 0:
            new = spread(missing, self.choices, random)
        else:
            levels, objectives, margins = map(np.concatenate, zip(*self._found, strict=True))
            new = sample(
                parameters=self.designs.parameters,
                order=self.designs.order,
                senses=self.senses,
                levels=levels[:before],
                objectives=objectives[:before],
                margins=margins[:before],
                count=missing,
                seed=int(np.random.SeedSequence([self.seed, generation]).generate_state(1)[0]),
            )
        return Proposal(levels=self._filled(np.vstack([given, new]), random, generation))


class Qmc(Proposer):
    """A scrambled Sobol sequence over all parameters, names included.

    What Optuna's QMCSampler draws for numbers; it leaves names to chance.
    """

    def _generate(self, generation: int) -> Proposal:
        from scipy.stats import qmc

        given = self._given(generation)
        start = self.start(generation)
        sequence = qmc.Sobol(len(self.sizes), scramble=True, rng=np.random.default_rng(self.seed))
        if start:
            sequence.fast_forward(start)
        with warnings.catch_warnings():
            # a generation need not be a power of two: the sequence as a whole is balanced
            warnings.simplefilter("ignore", UserWarning)
            points = sequence.random(self.size(generation) - len(given))
        new = np.minimum((points * self.choices).astype(np.int64), self.choices - 1)
        random = self._random(generation)
        return Proposal(levels=self._filled(np.vstack([given, new]), random, generation))
