"""One design, one model, one workload: every metric, margin and breakdown.

`result` is the pure function of one mapping. `Evaluator` runs it for many designs, taking the
best operating point of each from the mapping table: one compiled program per phase serves all
systems, models and workloads.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.carbon import carbon
from dse.model.continuous import serve
from dse.model.floorplan import DieArea, die_area, die_parts
from dse.model.goodput import Goodput, goodput
from dse.model.guard import Scalar, ratio
from dse.model.manufacture import ChipCost, Markup, SystemCost, chip_cost, system_cost
from dse.model.once import once
from dse.model.operation import SLACK, Context, Operation, context
from dse.model.ownership import Ownership, economy, ownership, price_factor
from dse.model.power import (
    Activity,
    SystemPower,
    average_system_power,
    design_power,
    rack_power,
    system_power,
    under_cap,
)
from dse.model.roofline import executed
from dse.model.rules import margins
from dse.model.serving import decode, prefill
from dse.model.training import pretrain
from dse.model.transformer import Mapping
from dse.spec.facility import Facility
from dse.spec.metrics import SELECTABLE
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software, Workload

OPERATIONS = {"decode": decode, "prefill": prefill, "serve": serve, "pretrain": pretrain}


class Setting(NamedTuple):
    """What stays the same while designs change. `basis` are weights over PRICE_BASES."""

    model: LanguageModel
    workload: Workload
    software: Software
    facility: Facility
    basis: tuple[Scalar, Scalar, Scalar]


class Design(NamedTuple):
    """What follows from a design alone."""

    area: DieArea
    chip: ChipCost
    price: SystemCost
    power: SystemPower
    margins: Dict[str, Scalar]


class Result(NamedTuple):
    """Everything about one operating point of one design; SI."""

    metrics: dict[str, Scalar]
    margins: Dict[str, Scalar]
    operation: Operation
    design: Design
    average: SystemPower
    cost: Ownership
    progress: Goodput


def design(system: System, setting: Setting) -> Design:
    """Area, price, power and rules of a design."""
    factor = price_factor(setting.facility, setting.basis)
    return Design(
        area=die_parts(system.chip),
        chip=chip_cost(system.chip),
        price=system_cost(system, factor),
        power=system_power(system),
        margins=margins(system),
    )


def activity(ctx: Context, done: Operation) -> Activity:
    """Rates of one chip, averaged over all chips of the job, idle ones included."""
    share = done.busy / done.step
    weights = executed(ctx.workload.activations, ctx.system.chip)
    flops = done.activity.flops * share
    return Activity(
        matrix_flops=tuple(w * flops for w in weights),  # type: ignore[arg-type]
        vector_flops=done.activity.vector * share,
        memory_bytes=done.activity.memory * share,
        link_bytes=done.activity.links * share,
    )


def result(
    system: System, setting: Setting, mapping: Mapping, phase: str, batch: Scalar | None = None
) -> Result:
    """Every metric of one mapping, under the power limit set on the chips, if there is one.

    `batch` fixes the sequences in flight.
    """

    def of(system: System, setting: Setting, mapping: Mapping, batch: Scalar | None) -> Result:
        return _result(under_cap(system), setting, mapping, phase, batch)

    made: Result = once(of)(system, setting, mapping, batch)
    return made


def _result(
    system: System, setting: Setting, mapping: Mapping, phase: str, batch: Scalar | None
) -> Result:
    ctx = context(system, setting.model, setting.workload, setting.software)
    done = OPERATIONS[phase](ctx, mapping, batch)
    made = design(system, setting)
    average = average_system_power(system, activity(ctx, done))
    factor = price_factor(setting.facility, setting.basis)
    cost = ownership(system, setting.facility, factor, average.total)
    operating_margins = {
        "mapping": done.margin_mapping,
        "memory": done.margin_memory,
        "tpot": done.margin_tpot,
        "ttft": done.margin_ttft,
    }
    progress = goodput(ctx, setting.facility)
    return Result(
        metrics=_metrics(ctx, setting, done, made, average, cost, factor, progress.share, phase),
        margins={**operating_margins, **made.margins},
        operation=done,
        design=made,
        average=average,
        cost=cost,
        progress=progress,
    )


def _metrics(
    ctx: Context,
    setting: Setting,
    done: Operation,
    made: Design,
    average: SystemPower,
    cost: Ownership,
    factor: Markup,
    progress: Scalar,
    phase: str,
) -> dict[str, Scalar]:
    """All of METRICS, in SI.

    `tokens_per_s` and what is measured on a running job (step time, MFU) know no failures. What a
    token costs, in dollars, joules, carbon and days, counts the time that failures take too.
    """
    system, facility = ctx.system, setting.facility
    share = ctx.chips / system.chips
    tokens = done.tokens_per_s
    dollars = cost.total * share / facility.utilisation
    joules = average.total * share * facility.power_usage_effectiveness
    grams = carbon(system, facility, average.total).total * share
    chip = ctx.machine
    peak = 2.0 * chip.array_rate * chip.rows * chip.columns * ctx.rate
    peak = peak / ctx.software.matrix * ctx.chips
    serving = 0.0 if phase == "pretrain" else 1.0
    # replicas that serve do not wait for one that fails; a training job does
    goodput_share = serving + (1.0 - serving) * progress
    kept = tokens * goodput_share
    fleet = economy(system, facility, factor, cost, kept / share)
    return {
        "tokens_per_s": tokens,
        "tokens_per_s_per_chip": tokens / ctx.chips,
        "tokens_per_s_per_user": serving / done.tpot,
        "ttft_s": done.ttft,
        "ttft_unqueued_s": done.unqueued,
        "tpot_s": done.tpot,
        "step_time_s": done.step,
        "mfu": done.useful_flops / peak,
        "batch": done.batch,
        "goodput": goodput_share,
        "tokens_per_usd": ratio(kept, dollars),
        "usd_per_mtok": dollars / kept,
        "usd_per_chip_hour": cost.total / system.chips,
        "capital": cost.capital / system.chips,
        "operating": cost.operating / system.chips,
        "tokens_per_s_per_gusd": fleet.tokens_per_capital,
        "usd_per_tbs_hour": fleet.usd_per_byte,
        "usd_per_pflop_hour": fleet.usd_per_flop,
        "usd_per_gw": fleet.usd_per_watt,
        "tokens_per_joule": ratio(kept, joules),
        "tokens_per_s_per_mw": fleet.tokens_per_watt,
        "chip_power_w": design_power(system.chip),
        "rack_power_w": rack_power(system),
        "system_power_w": made.power.total * share,
        "average_power_w": average.total * share,
        "gco2e_per_mtok": grams / kept,
        "chip_cost_usd": made.chip.total,
        "system_cost_usd": made.price.total * share,
        "die_area_mm2": die_area(system.chip),
        "memory_used": 1.0 + SLACK - done.margin_memory,
        "days": setting.workload.total_tokens / kept,
        "training_usd": setting.workload.total_tokens * (dollars / kept),
        "training_mwh": setting.workload.total_tokens * (joules / kept),
    }


class Choice(NamedTuple):
    """The best of a block of mappings for one design.

    score: of the best feasible mapping, -inf if none is; margin: the least margin of the least
    violating one, -inf if none is legal; row and batch: of the best, else of the least violating;
    legal: how many mappings fit the chips and the model at all.
    """

    score: Scalar
    margin: Scalar
    row: Scalar
    batch: Scalar
    legal: Scalar


def choose(
    system: System,
    setting: Setting,
    block: Mapping,
    weights: jax.Array,
    batch: Scalar | None = None,
    *,
    phase: str,
) -> Choice:
    """The best mapping of a block (leaves [m]) by `weights` over SELECTABLE, limits first.

    The system is as a power limit lets it run (`under_cap`), which no mapping changes.
    """

    def score(mapping: Mapping) -> tuple[Scalar, ...]:
        made = _result(system, setting, mapping, phase, batch)
        value = sum(weights[i] * made.metrics[name] for i, name in enumerate(SELECTABLE))
        done = made.operation
        least = jnp.minimum(jnp.minimum(done.margin_tpot, done.margin_ttft), done.margin_memory)
        return value, least, done.margin_mapping, done.batch

    value, margin, legality, batches = jax.vmap(score)(block)
    legal = legality >= 0.0
    ranked = jnp.where(legal & (margin >= 0.0), value, -jnp.inf)
    near = jnp.where(legal, margin, -jnp.inf)
    found = jnp.isfinite(jnp.max(ranked))
    row = jnp.where(found, jnp.argmax(ranked), jnp.argmax(near))
    return Choice(jnp.max(ranked), jnp.max(near), row, jnp.asarray(batches)[row], jnp.sum(legal))
