"""Goodput: the share of a training job's time that is progress, between failures and checkpoints.

A synchronous job stops when any of its parts fails, loses what it did since its last checkpoint,
and starts again. Failures come at random (exponential times between them); the interval between
checkpoints is the best one for that (Young 1974, doi:10.1145/361147.361115; Daly 2006,
doi:10.1016/j.future.2004.11.016). How often parts fail is the facility's experience; a part with a
mean time of its own overrides it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.fabric import fabric
from dse.model.guard import Scalar, declared, ratio, root
from dse.model.operation import Context
from dse.model.programs import register
from dse.model.transformer import parameters
from dse.spec.facility import Facility
from dse.spec.system import System

STEPS = 5
"""Newton steps of the best interval: the relative error is below 1e-6 from the third on."""

LEAST = 30.0
"""A job that hardly ever gets through is held at exp(-30) of its time, which stays above zero."""


class Failures(NamedTuple):
    """Failures a second of a job's parts, by kind."""

    chips: Scalar
    hosts: Scalar
    network: Scalar
    switches: Scalar

    @property
    def total(self) -> Scalar:
        """Failures a second of the job: the inverse of its mean time between failures."""
        return sum(self)  # type: ignore[arg-type]


class Goodput(NamedTuple):
    """What failures take from a job.

    failures: a second, by part; checkpoint: seconds to write one; restart: seconds from a failure
    until work goes on; interval: seconds of work between two checkpoints (0 where nothing fails
    or nothing is written); share: of the time that is progress, in (0, 1].
    """

    failures: Failures
    checkpoint: Scalar
    restart: Scalar
    interval: Scalar
    share: Scalar


register(Failures, Goodput)


def hosts(system: System, chips: Scalar) -> jax.Array:
    """Hosts that feed a job of `chips` chips: at least one."""
    return jnp.maximum(fabric(system).hosts * chips / system.chips, 1.0)


def failures(system: System, facility: Facility, chips: Scalar) -> Failures:
    """Failures a second of a job on `chips` chips: each part's count over its mean time."""
    seen = facility.reliability
    switches = fabric(system).switches * chips / system.chips
    return Failures(
        chips=ratio(chips, declared(system.chip.mtbf, seen.chip)),
        hosts=ratio(hosts(system, chips), declared(system.host.mtbf, seen.host)),
        network=ratio(chips, declared(system.scale_out.mtbf, seen.network)),
        switches=ratio(switches, declared(system.scale_up.switch.mtbf, seen.switch)),
    )


def state_bytes(ctx: Context) -> Scalar:
    """Bytes of a checkpoint: weights, master weights and moments; those of adapters are few."""
    each = ctx.weight_bytes + ctx.software.optimiser_bytes
    whole = parameters(ctx.model, ctx.model.experts)
    return whole * each * (1.0 - ctx.workload.frozen)


def best_interval(cost: Scalar) -> tuple[jax.Array, jax.Array]:
    """The interval of work with the least loss, and -ln of the share that is progress.

    All times are in mean times between failures: `cost` is a checkpoint's, the interval is x. A
    segment of x + cost takes exp(x + cost) - 1 on average (Daly 2006, equation 13, without the
    restart), so the share is x / (exp(x + cost) - 1). It is largest where
    1 - x = exp(-(x + cost)), and there it is exp(-(x + cost)). With z = x + cost this is
    z - 1 + exp(-z) = cost, whose left side is convex and rising: Newton's steps come down to the
    root from any point above it. cost + sqrt(2 cost) is above it, and is Young's interval with
    its checkpoint; Daly's higher orders are the root's next terms. z >= 0, hence the share lies
    in (0, 1].
    """
    z = cost + root(2.0 * jnp.asarray(cost))
    for _ in range(STEPS):
        slope = -jnp.expm1(-z)
        z = z - ratio(z - slope - cost, slope)
    return -jnp.expm1(-z), z


def goodput(ctx: Context, facility: Facility) -> Goodput:
    """What failures take from the training job that a context describes.

    A restart fails with its system too: exp(restart / mean time) attempts' time (Daly 2006).
    """
    seen = facility.reliability
    failing = failures(ctx.system, facility, ctx.chips)
    written = state_bytes(ctx) / (hosts(ctx.system, ctx.chips) * seen.checkpoint_bandwidth)
    restart = seen.restart + written
    work, lost = best_interval(written * failing.total)
    lost = jnp.minimum(lost + restart * failing.total, LEAST)
    return Goodput(
        failures=failing,
        checkpoint=written,
        restart=restart,
        interval=ratio(work, failing.total),
        share=jnp.exp(-lost),
    )
