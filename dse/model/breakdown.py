"""What binds each part of a step: its operator groups by the engine that they wait for.

Found by the model itself, with mapping and batch held: an engine binds as much of a group's time
as the group gains when the engine is slower; where two engines bind alike they share it. What no
engine prolongs is latency, and in a pipeline of training the bubble.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np

from dse.model.estimate import Result, Setting
from dse.model.evaluator import CHUNK, programs
from dse.model.once import once
from dse.model.power import Activity as Load
from dse.model.power import ChipPower, chip_power, junction, under_cap
from dse.model.programs import program, register
from dse.model.pytree import replace
from dse.model.roofline import executed
from dse.spec.system import System

register(ChipPower)

STEP = 0.02
"""Share by which an engine is made slower: rounding of float32 is then below 1e-4 of a time."""

ENGINES = {
    "tensor": ("matrix", "attention", "attention_backward", "experts"),
    "vector": ("vector",),
    "HBM": ("memory",),
    "scale-up": ("network",),
    "scale-out": ("scale_out",),
}
"""Efficiencies of a software stack by the engine that they speed."""

SRAM, LATENCY, BUBBLE = "SRAM", "latency", "bubble"


def operate(
    systems: System, setting: Setting, phase: str, rows: np.ndarray, batch: np.ndarray
) -> Result:
    """The model's Result of designs (leaves [n]) at given mappings [n, 8] and batches [n]."""
    leaves, structure = jax.tree.flatten(systems)
    packed = np.stack([np.asarray(leaf, np.float32) for leaf in leaves])
    common, asked = jax.tree.flatten(setting)
    _, run = programs(phase, structure, asked, fixed=False)
    parts = []
    for start in range(0, len(rows), CHUNK):
        members = np.minimum(np.arange(start, start + CHUNK), len(rows) - 1)
        degrees, sequences = (np.asarray(each, np.float32)[members] for each in (rows, batch))
        made = run(packed[:, members], np.asarray(common, np.float32), degrees.T, sequences)
        parts.append(jax.tree.map(np.asarray, made))
    whole: Result = jax.tree.map(lambda *each: np.concatenate(each)[: len(rows)], *parts)
    return whole


def bound_times(
    systems: System, setting: Setting, phase: str, rows: np.ndarray, batch: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Seconds [n] of a step by operator group and what binds it; they add up to the step."""

    def times(designs: System, asked: Setting) -> dict[str, np.ndarray]:
        found = operate(designs, asked, phase, rows, batch).operation.times._asdict()
        return {name: np.asarray(value, np.float64) for name, value in found.items()}

    soft = setting.software
    # where links between domains have no share of their own they take that of the others
    setting = setting._replace(
        software=replace(soft, scale_out=soft.scale_out or soft.network)  # both are plain here
    )
    before = times(systems, setting)
    slower = {name: times(systems, _slower(setting, own)) for name, own in ENGINES.items()}
    slower[SRAM] = times(_less_sram(systems), setting)
    bubble = phase == "pretrain"
    return {
        group: _shared(
            seconds,
            {name: after[group] - seconds for name, after in slower.items()},
            BUBBLE if bubble and group == "pipeline" else LATENCY,
        )
        for group, seconds in before.items()
    }


def _shared(seconds: np.ndarray, gained: dict[str, np.ndarray], rest: str) -> dict[str, np.ndarray]:
    """A group's time by bound, from what it gains where each engine is slower by STEP."""
    found = {name: np.clip(gain / STEP, 0.0, seconds) for name, gain in gained.items()}
    # traffic that a smaller SRAM adds still waits for the memory
    found["HBM"] = np.maximum(found["HBM"] - found[SRAM], 0.0)
    found = {name: np.where(v > 1e-3 * seconds, v, 0.0) for name, v in found.items()}
    total = sum(found.values())
    scale = np.where(total > 0.995 * seconds, seconds / np.where(total > 0.0, total, 1.0), 1.0)
    found = {name: value * scale for name, value in found.items()}
    return found | {rest: np.maximum(seconds - sum(found.values()), 0.0)}


def _slower(setting: Setting, fields: tuple[str, ...]) -> Setting:
    soft = setting.software
    lowered = {field: getattr(soft, field) / (1.0 + STEP) for field in fields}
    return setting._replace(software=replace(soft, **lowered))


def _less_sram(systems: System) -> System:
    die, less = systems.chip.die, 1.0 / (1.0 + STEP)
    core = replace(die.core, sram=less * np.asarray(die.core.sram))
    shrunk = replace(die, core=core, sram=less * np.asarray(die.sram))
    return replace(systems, chip=replace(systems.chip, die=shrunk))


def chip_parts(systems: System, setting: Setting, found: Result) -> ChipPower:
    """Power of a chip under its average load by part, W [n]; published powers scale none of it."""
    done = found.operation.activity
    share = np.asarray(found.operation.busy / found.operation.step)
    made = []
    for start in range(0, len(share), CHUNK):
        members = np.minimum(np.arange(start, start + CHUNK), len(share) - 1)

        def taken(leaf: Any, at: np.ndarray = members) -> np.ndarray:
            return np.asarray(leaf, np.float32)[at]

        rates = np.stack([taken(each * share) for each in done])
        run = _chip_parts(jax.tree.map(taken, systems), setting.workload.activations, rates)
        made.append(jax.tree.map(np.asarray, run))
    parts: ChipPower = jax.tree.map(lambda *each: np.concatenate(each)[: len(share)], *made)
    return parts


@cache
def _parts_program() -> Any:
    def parts(system: System, precision: Any, rates: Any) -> ChipPower:
        slow = under_cap(system)
        flops, vector, memory, links = rates
        each = tuple(w * flops for w in executed(precision, slow.chip))
        return chip_power(slow.chip, Load(each, vector, memory, links), junction(slow.rack))

    lean = once(parts)
    return program("chip-parts", jax.vmap(lean, in_axes=(0, None, 1)))


def _chip_parts(systems: System, precision: Any, rates: np.ndarray) -> ChipPower:
    asked = tuple(np.float32(weight) for weight in precision)
    made: ChipPower = _parts_program()(systems, asked, rates)
    return made
