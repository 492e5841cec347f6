"""Measured rows and what predicts them: one record for all tables, one batch for one function.

A batch is a pure function of a software stack and of one row's inputs, so that rows are predicted
by `vmap`, and a stack's efficiencies are fitted by the gradient of the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import attrs
import jax
import numpy as np

from dse.model.programs import cache_folder
from dse.spec.workload import Software

TABLES = ("train", "serve", "gemm", "attention", "collective", "memory", "power")
"""Tables of the schema, each with its own columns and predictor."""

FAMILIES = (
    ("h100-sxm", "h200", "gh200", "h20", "h800"),
    ("b200", "gb200", "b300", "gb300"),
    ("a100-40gb", "a100-80gb"),
    ("mi300x", "mi325x"),
    ("mi350x", "mi355x"),
)
"""Chips that share a compute die; any other chip is a family of its own."""


@attrs.frozen(kw_only=True)
class Row:
    """One measured run: its cells as text, and what was measured, SI, by metric.

    `laid` are those of its cells that the file has not, or has otherwise: what the source says of
    all of its rows stands there.
    """

    id: str
    table: str
    source: str = ""
    system: str = ""
    model: str = ""
    software: str = ""
    cells: Mapping[str, str] = attrs.field(factory=dict)
    measured: Mapping[str, float] = attrs.field(factory=dict)
    file: str = ""
    line: int = 0
    laid: Mapping[str, str] = attrs.field(factory=dict)

    def text(self, key: str, otherwise: str = "") -> str:
        """A cell's text, `otherwise` where it is blank."""
        return self.cells.get(key, "").strip() or otherwise

    def number(self, key: str, otherwise: float | None = None) -> float | None:
        """A cell's number, `otherwise` where it is blank. ValueError where it is none."""
        text = self.text(key)
        return float(text) if text else otherwise

    @property
    def family(self) -> str:
        """The compute-die family of the row's system."""
        for family in FAMILIES:
            if self.system in family:
                return family[0]
        return self.system


@attrs.frozen
class Unpredicted:
    """A row that nothing predicted, and why."""

    id: str
    reason: str


@attrs.frozen(kw_only=True, eq=False)
class Batch:
    """Rows [n] that one function predicts.

    `function` takes a lowered Software and one row's `inputs` (a pytree; here leaves have shape
    [n]) and gives one value, SI, for each of `metrics`. `parts` takes the same and gives, for each
    metric that it breaks down, seconds by operator group.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    inputs: Any
    function: Callable[[Software, Any], tuple[jax.Array, ...]]
    parts: Callable[[Software, Any], Mapping[str, Mapping[str, jax.Array]]] | None = None

    @property
    def measured(self) -> np.ndarray:
        """[n, m] measured values, nan where a metric was not measured."""
        return np.array([[r.measured.get(m, np.nan) for m in self.metrics] for r in self.rows])


def predict(batch: Batch, stacks: Software) -> np.ndarray:
    """[n, m] predictions; `stacks` is a lowered Software with leaves [n]."""
    # what a former run compiled is found again
    cache_folder()
    columns = _over_rows(batch.function)(stacks, batch.inputs)
    return np.stack([np.asarray(column) for column in columns], axis=1)


def slopes(batch: Batch, stacks: Software, directions: Software) -> np.ndarray:
    """[n, m] derivatives of the predictions as each row's stack moves along its direction.

    One direction at a time: a program for all at once takes six times as long to compile, and a
    fit asks for a dozen that take milliseconds each.
    """
    cache_folder()
    columns = _along(batch.function)(stacks, directions, batch.inputs)
    return np.stack([np.asarray(column) for column in columns], axis=1)


@lru_cache(maxsize=32)
def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    """The derivative of a batch's function over rows, compiled."""

    def derivative(stacks: Software, directions: Software, inputs: Any) -> Any:
        def predicted(moved: Software) -> Any:
            return jax.vmap(function)(moved, inputs)

        return jax.jvp(predicted, (stacks,), (directions,))[1]

    return jax.jit(derivative)


@lru_cache(maxsize=32)
def _over_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """A batch's function over rows, compiled; the same one for the same function."""
    return jax.jit(jax.vmap(function))
