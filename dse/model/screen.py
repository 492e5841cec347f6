"""What can be told of a design without an operating point: cheap necessary conditions.

The rules of a design, some of its figures, and whether its chips together hold the model's weights
at all. All come from the formulas of a whole evaluation, at some thousandth of its work, because
no mapping is tried.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dse.model.estimate import Setting, design
from dse.model.evaluator import Question
from dse.model.floorplan import die_area
from dse.model.footprint import parameters_held, usable, weights_held
from dse.model.guard import Scalar
from dse.model.operation import context, room_left
from dse.model.power import design_power, rack_power
from dse.model.programs import program
from dse.model.transformer import Mapping
from dse.spec.system import System

CHUNK = 1024
"""Designs of one call."""

MEMORY = "memory"
"""The rule of an operating point of which a bound is known: weights that fit nowhere."""


def weights_margin(system: System, setting: Setting) -> Scalar:
    """At least the margin of memory of any mapping that serves: only weights are counted.

    A mapping splits each matrix at best evenly over all chips of the workload; what it rounds up or
    holds twice, caches and activations come on top.
    """
    ctx = context(system, setting.model, setting.workload, setting.software)
    whole = Mapping(tp=1.0, pp=1.0, ep=1.0, micro_batch=1.0, recompute=0.0, zero=1.0)
    held = parameters_held(ctx.machine, ctx.model, whole)
    share = weights_held(held, ctx.weight_bytes, ctx.other_bytes) / ctx.chips
    return room_left(share, usable(system.chip))


def _screened(system: System, setting: Setting) -> tuple[dict[str, Scalar], dict[str, Scalar]]:
    made = design(system, setting)
    margins = {name: jnp.asarray(value) for name, value in made.margins.items()}
    metrics: dict[str, Scalar] = {
        "die_area_mm2": die_area(system.chip),
        "chip_power_w": design_power(system.chip),
        "rack_power_w": rack_power(system),
        "chip_cost_usd": made.chip.total,
    }
    return {**margins, MEMORY: weights_margin(system, setting)}, metrics


def screen(
    systems: System, question: Question
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Margins [n] by rule, and metrics [n] by name (SI), of a lowered System with leaves [n].

    The margins of a design's own rules and the metrics are those of an evaluation but for rounding;
    that of memory is a bound from above, and infinite for training, whose states depend on how they
    are shared out.
    """
    leaves, structure = jax.tree.flatten(systems)
    packed = np.stack([np.asarray(leaf, np.float32) for leaf in leaves])
    common, setting = jax.tree.flatten(question.setting)
    compiled = _program(structure, setting)
    number = packed.shape[1]
    parts = []
    for start in range(0, number, CHUNK):
        members = np.minimum(np.arange(start, start + CHUNK), number - 1)
        parts.append(compiled(packed[:, members], np.asarray(common, np.float32)))
    margins, metrics = jax.tree.map(lambda *each: np.concatenate(each)[:number], *parts)
    if question.workload.phase == "pretrain":
        margins[MEMORY] = np.full(number, np.inf)
    return margins, metrics


@cache
def _program(system: Any, setting: Any) -> Any:
    """The compiled conditions of CHUNK designs; leaves come packed in one array each."""

    def one(designs: Any, common: Any) -> Any:
        trees = jax.tree.unflatten(system, list(designs)), jax.tree.unflatten(setting, list(common))
        return _screened(*trees)

    return program("screen", jax.vmap(one, in_axes=(1, None)))
