"""The figures an evaluation yields: name, unit, meaning, which way is better."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from dse.spec.workload import PHASES


@attrs.frozen
class Metric:
    """One figure of a result. The model's values are SI; `unit` is how people see it.

    `named` marks names that carry their unit (usd_per_chip_hour): output files hold those in
    `unit`, all others in SI. `phases` are those in which the figure means something: a fleet that
    only decodes has no time to the first token.
    """

    name: str
    unit: str
    doc: str
    better: str = "max"
    named: bool = False
    phases: tuple[str, ...] = PHASES

    def written(self, value: float) -> float:
        """An SI value as output files hold it."""
        from dse import units

        return value / units.factor(self.unit) if self.named else value


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("tokens_per_s", "1/s", "tokens of the system in a second"),
        Metric("tokens_per_s_per_chip", "1/s", "tokens of one chip in a second"),
        Metric(
            "tokens_per_s_per_user",
            "1/s",
            "tokens one user receives in a second",
            phases=("decode", "serve"),
        ),
        Metric("ttft_s", "ms", "time to the first token", "min", phases=("prefill", "serve")),
        Metric(
            "ttft_unqueued_s",
            "ms",
            "time to the first token of a prompt that waits for no other",
            "min",
            phases=("prefill", "serve"),
        ),
        Metric("tpot_s", "ms", "time per output token", "min", phases=("decode", "serve")),
        Metric("step_time_s", "s", "time of one step", "min"),
        Metric("mfu", "1", "model FLOPs utilisation of the matrix peak"),
        Metric("batch", "1", "sequences in flight, rounded down"),
        Metric(
            "goodput",
            "1",
            "share of a training job's time that failures and checkpoints leave",
            phases=("pretrain",),
        ),
        Metric("tokens_per_usd", "1/USD", "tokens for a dollar of ownership, at the goodput"),
        Metric("usd_per_mtok", "USD/Mtok", "dollars for a million tokens", "min", True),
        Metric("usd_per_chip_hour", "USD/h", "ownership of one chip", "min", True),
        Metric("capital", "USD/h", "servers and network, per chip", "min", True),
        Metric("operating", "USD/h", "energy, building, maintenance, per chip", "min", True),
        Metric(
            "tokens_per_s_per_gusd",
            "1/s/GUSD",
            "tokens a second for a billion dollars of servers, network and building",
            named=True,
        ),
        Metric(
            "usd_per_tbs_hour",
            "USD/h/(TB/s)",
            "ownership of a TB/s of memory bandwidth for an hour",
            "min",
            True,
        ),
        Metric(
            "usd_per_pflop_hour",
            "USD/h/(PFLOP/s)",
            "ownership of a dense BF16 PFLOP/s of the arrays for an hour",
            "min",
            True,
        ),
        Metric(
            "usd_per_gw",
            "GUSD/GW",
            "billions of dollars of servers, network and building for a GW at the meter",
            "min",
            True,
        ),
        Metric("tokens_per_joule", "1/J", "tokens for a joule at the facility's meter"),
        Metric(
            "tokens_per_s_per_mw",
            "1/s/MW",
            "tokens a second for a provisioned megawatt at the meter",
            named=True,
        ),
        Metric("chip_power_w", "W", "design power of a chip", "min"),
        Metric("rack_power_w", "kW", "provisioned power of a rack", "min"),
        Metric("system_power_w", "kW", "provisioned power of the system", "min"),
        Metric("average_power_w", "kW", "power of the system under the workload", "min"),
        Metric("gco2e_per_mtok", "g/Mtok", "carbon of a million tokens", "min", True),
        Metric("chip_cost_usd", "USD", "cost of making a chip", "min"),
        Metric("system_cost_usd", "USD", "price of the system on the price basis", "min"),
        Metric("die_area_mm2", "mm2", "area of a compute die", "min", True),
        Metric("memory_used", "1", "share of usable memory that the operating point fills"),
        Metric(
            "days",
            "day",
            "time to the token budget of a training run",
            "min",
            True,
            phases=("pretrain",),
        ),
        Metric(
            "training_usd",
            "USD",
            "ownership to the token budget",
            "min",
            True,
            phases=("pretrain",),
        ),
        Metric(
            "training_mwh",
            "MWh",
            "energy at the meter to the token budget",
            "min",
            True,
            phases=("pretrain",),
        ),
    )
}


def meaningful(phases: Iterable[str]) -> tuple[str, ...]:
    """Names of the metrics that mean something in any of the phases, in order."""
    asked = set(phases)
    return tuple(name for name, metric in METRICS.items() if asked & set(metric.phases))


SELECTABLE = (
    "tokens_per_usd",
    "tokens_per_joule",
    "tokens_per_s",
    "tokens_per_s_per_chip",
    "tokens_per_s_per_user",
    "tpot_s",
    "ttft_s",
    "step_time_s",
    "usd_per_mtok",
    "gco2e_per_mtok",
    "mfu",
)
"""Metrics by which an operator may choose among mappings; the others do not depend on them."""

EVERY = "all"
"""What `operate` says where no operating point is chosen: each that none dominates is kept."""

CONSTRAINED: dict[str, str] = {
    "tpot": "tpot_s",
    "ttft": "ttft_s",
    "rack.power": "rack_power_w",
    "chip.power": "chip_power_w",
    "system.power": "system_power_w",
    "chip.die.area": "die_area_mm2",
    "chip.cost": "chip_cost_usd",
    "system.cost": "system_cost_usd",
}
"""Names of constraints in a study, and the metric each limits."""

LATENCIES = ("tpot", "ttft")
"""Constraints that filter operating points before one is chosen."""
