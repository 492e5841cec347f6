"""A function whose repeated expressions are computed once.

The model asks a chip for its area and its power wherever it needs them, so that nine of ten
operations of a trace were there before. XLA finds that out, but only after all of them went
through differentiation and its own passes: a derivative of the whole model took minutes to
compile, and takes seconds when repeats are left out first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal

_INLINED = ("jit", "pjit", "closed_call")
"""Operations that only hold others."""


class _Known(NamedTuple):
    """A value and what tells it from all others."""

    key: Any
    value: Any


def without_repeats(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, traced, with each operation on the same operands done once."""

    def call(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        given = jax.tree.leaves(arguments)
        named = [_Known(("argument", place), value) for place, value in enumerate(given)]
        found = _run(closed.jaxpr, closed.consts, named, {})
        values = [each.value for each in found]
        return jax.tree.unflatten(jax.tree.structure(shape), values)

    return call


def _run(jaxpr: Any, constants: Sequence[Any], given: list[_Known], done: dict[Any, Any]) -> Any:
    """The results of a trace; `done` are the operations so far, by what they are and take."""
    known = dict(zip(jaxpr.constvars, map(_constant, constants), strict=True))
    known |= dict(zip(jaxpr.invars, given, strict=True))

    def read(variable: Any) -> _Known:
        return _constant(variable.val) if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        operands = [read(variable) for variable in equation.invars]
        if equation.primitive.name in _INLINED:
            inner = equation.params["jaxpr"]
            made = _run(inner.jaxpr, inner.consts, operands, done)
        else:
            key = (equation.primitive.name, *(each.key for each in operands), _told(equation))
            if key not in done:
                values = _one(equation, [each.value for each in operands])
                done[key] = [_Known((len(done), i), v) for i, v in enumerate(values)]
            made = done[key]
        known.update(zip(equation.outvars, made, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _constant(value: Any) -> _Known:
    array = np.asarray(value)
    return _Known((array.tobytes(), array.dtype.name, array.shape), value)


def _told(equation: Any) -> Any:
    """What an operation is beside its name; itself where that cannot be compared."""
    told = tuple(sorted(equation.params.items(), key=lambda pair: pair[0]))
    try:
        hash(told)
    except TypeError:
        return id(equation)
    return told


def _one(equation: Any, operands: list[Any]) -> list[Any]:
    """The results of one operation."""
    primitive = equation.primitive
    given = primitive.get_bind_params(equation.params)
    made = primitive.bind(*operands, **given)
    return list(made) if primitive.multiple_results else [made]
