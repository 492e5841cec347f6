"""A traced program in which equal operations are done once.

The model's parts are pure functions that know nothing of each other: the price of a chip is asked
for by cost, by ownership and by carbon, and each traces all that it follows from. Of some 30,000
traced operations 4,000 are different. XLA finds that out too, but after it has lowered them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays in trees, with equal operations of its trace done once."""

    def call(*arguments: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        shared = core.jaxpr_as_fun(_shared(traced))
        return jax.tree.unflatten(jax.tree.structure(shapes), shared(*jax.tree.leaves(arguments)))

    return call


def _shared(traced: core.ClosedJaxpr) -> core.ClosedJaxpr:
    """The same program without operations that one before them has done."""
    known: dict[Any, list[Any]] = {}
    instead: dict[Any, Any] = {}
    kept = []
    for one in traced.jaxpr.eqns:
        equation = one.replace(invars=[_now(each, instead) for each in one.invars])
        key = _key(equation)
        if key is not None and key in known:
            instead |= zip(one.outvars, known[key], strict=True)
            continue
        kept.append(equation)
        if key is not None:
            known[key] = one.outvars
    ends = [_now(each, instead) for each in traced.jaxpr.outvars]
    return core.ClosedJaxpr(traced.jaxpr.replace(eqns=kept, outvars=ends), traced.consts)


def _now(atom: Any, instead: dict[Any, Any]) -> Any:
    return atom if isinstance(atom, core.Literal) else instead.get(atom, atom)


def _key(equation: Any) -> Any:
    """What two equal operations have in common; None for one that may not be shared."""
    if equation.effects:
        return None
    operands = tuple(
        (str(each.aval), each.val.tobytes() if hasattr(each.val, "tobytes") else each.val)
        if isinstance(each, core.Literal)
        else each
        for each in equation.invars
    )
    key = (equation.primitive, operands, tuple(sorted(equation.params.items())))
    try:
        hash(key)
    except TypeError:
        return None
    return key
