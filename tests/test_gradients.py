"""Gradients of the whole model: exact against differences, finite for every legal system."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import CASES, SAMPLE, Case, spec
from silicon_checks import faulty_leaves, gradient_faults

from dse.model.estimate import result
from dse.spec.metrics import METRICS
from dse.spec.system import System


@cache
def logarithms(case: Case) -> Callable[[System], jax.Array]:
    """Logarithms of all metrics of a case at its batch, each with a weight of its own, summed."""
    setting = case.setting
    weights = np.random.default_rng(1).uniform(0.5, 1.5, len(METRICS))
    unseen = {"tokens_per_s_per_user"} if case.phase == "pretrain" else set()

    def total(made: System) -> jax.Array:
        found = result(made, setting, case.mapping, case.phase, case.batch).metrics
        pairs = zip(METRICS, weights, strict=True)
        return jnp.asarray(sum(w * jnp.log(found[name]) for name, w in pairs if name not in unseen))

    return total


SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in CASES]
"""Programs that take half a minute to compile."""


@pytest.mark.parametrize("case", [CASES[1], SLOW[2], SLOW[5]], ids=lambda c: c.phase)
def test_gradients_are_exact(case: Case) -> None:
    """Each derivative to each continuous leaf equals a central difference in float64."""

    def check(name: str) -> list[str]:
        return gradient_faults(logarithms(case), spec(System, name), eager=True)

    faults = {name: check(name) for name in SAMPLE[:2]}
    assert faults == {name: [] for name in SAMPLE[:2]}


@cache
def everything(case: Case) -> Callable[[System], jax.Array]:
    """A number that depends on every metric and margin of a case, batch solved inside."""
    setting = case.setting

    def total(made: System) -> jax.Array:
        found = result(made, setting, case.mapping, case.phase, None)
        # a margin of a limit that nothing can hold is -1e30 or so: it must be finite, no more
        numbers = [*found.metrics.values(), *found.margins.values()]
        return jnp.asarray(sum(jnp.arctan(number) for number in numbers))

    return total


@pytest.mark.parametrize("case", [CASES[1], SLOW[3], SLOW[4]], ids=lambda c: c.phase)
def test_all_legal_systems_are_finite_in_value_and_gradient(case: Case) -> None:
    """The zero spec, bounds and random systems: no NaN, in strict modes of types and ranks."""
    made = spec(System, "trn2-ultraserver")
    assert faulty_leaves(everything(case), made, 200, eager=True) == []
