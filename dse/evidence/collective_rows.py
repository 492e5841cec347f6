"""Measured collectives as one batch that the collective model predicts.

Sizes are those of nccl-tests: all_reduce: the buffer; all_gather: the total output;
reduce_scatter: the total input; all_to_all: what one rank sends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dse.errors import InputError
from dse.evidence.measured import Resolver
from dse.evidence.prediction import Batch, Row, Unpredicted
from dse.model.collectives import (
    Cost,
    all_gather,
    all_reduce,
    all_to_all,
    neighbour,
    network,
    reduce_scatter,
)
from dse.model.guard import Scalar
from dse.model.pytree import lower, replace, stack
from dse.model.roofline import machine
from dse.spec.system import System
from dse.spec.workload import Software

KINDS = {
    "all_reduce": 0,
    "allreduce": 0,
    "all_gather": 1,
    "allgather": 1,
    "reduce_scatter": 2,
    "reducescatter": 2,
    "all_to_all": 3,
    "alltoall": 3,
    "send_recv": 4,
    "sendrecv": 4,
    "p2p": 4,
}
"""The collective that an `op` names."""

FROM_PYTHON = 20e-6
"""Seconds that a row holds besides when each call is timed from Python: all-reduces of 64 to 512
KiB over 8 H200 take 39 us by the Open Book's all_reduce_bench.py, 19 us by nccl-tests (rows of
specs/measured/micro_collective.csv: an estimate from one chip). That it is alike on other hosts is
an assumption."""

_CARDS = re.compile(r"(\d+) ?x ?([\d.]+) ?(Gb/s|Gbps|GB/s)")


class Asked(NamedTuple):
    """One row in the model's form: `domain` chips of its group stand in one scale-up domain."""

    system: System
    kind: Scalar
    ranks: Scalar
    domain: Scalar
    size: Scalar
    besides: Scalar


def batches(rows: Sequence[Row], resolver: Resolver) -> tuple[list[Batch], list[Unpredicted]]:
    """One batch of all rows that can be predicted, and the others with the reason."""
    asked: list[tuple[Row, Asked]] = []
    left: list[Unpredicted] = []
    for row in rows:
        try:
            asked.append((row, _asked(row, resolver)))
        except (InputError, ValueError) as error:
            left.append(Unpredicted(row.id, str(error).splitlines()[0]))
    if not asked:
        return [], left
    inputs = stack([each for _, each in asked], np.float64)
    told = tuple(row for row, _ in asked)
    return [Batch(rows=told, metrics=("latency_s",), inputs=inputs, function=_seconds)], left


def _seconds(software: Software, asked: Asked) -> tuple[jax.Array, ...]:
    """Seconds of one collective; the dies of a package stand for one rank, as sources count."""
    net = network(asked.system, software)._replace(domain=asked.domain)
    chip = machine(asked.system.chip, software)
    chip = chip._replace(dies=0.0 * chip.dies + 1.0)
    costs = (
        all_reduce(net, chip, asked.ranks),
        all_gather(net, chip, asked.ranks),
        reduce_scatter(net, chip, asked.ranks),
        all_to_all(net, asked.ranks),
        neighbour(net, asked.ranks - 1.0),
    )
    times = jnp.stack([Cost.time(cost, asked.size) for cost in costs])
    chosen = jnp.arange(len(costs)) == asked.kind
    return (jnp.sum(jnp.where(chosen, times, 0.0)) + asked.besides,)


def _asked(row: Row, resolver: Resolver) -> Asked:
    """A row's inputs; ValueError for what cannot be predicted."""
    system = resolver.system(row.system)
    op = re.sub(r"[-\s]+", "_", row.text("op").lower())
    if op not in KINDS:
        raise ValueError(f"no model of the collective {row.text('op')!r}")
    ranks, size = _number(row, "ranks"), _number(row, "bytes")
    hosts = row.number("nodes", 0.0) or 0.0
    domain = min(ranks, system.chips)
    # servers that are a domain each; the hosts of a rack-scale domain share one
    if hosts > 1.0 and system.host.chips >= system.chips:
        domain = min(domain, ranks / hosts)
    elif domain >= ranks:
        domain = system.chips
    lowered = lower(system)
    rate = _cards(row, ranks / max(hosts, 1.0))
    if rate and hosts > 1.0:
        out = replace(lowered.scale_out, bandwidth=rate)
        lowered = replace(lowered, scale_out=out)
    besides = FROM_PYTHON if _from_python(row) else 0.0
    return Asked(lowered, float(KINDS[op]), ranks, domain, size, besides)


def _number(row: Row, key: str) -> float:
    number = row.number(key)
    if number is None or not number > 0.0:
        raise ValueError(f"no {key}")
    return number


def _cards(row: Row, ranks: float) -> float:
    """Network bytes/s a rank, where the notes say what cards a node has; else 0."""
    found = _CARDS.search(row.text("notes"))
    if not found:
        return 0.0
    rate = float(found[2]) * (1e9 if found[3] == "GB/s" else 0.125e9)
    return float(found[1]) * rate / ranks


def _from_python(row: Row) -> bool:
    """Whether a row names NCCL but not nccl-tests, which queues its calls ahead of the GPU."""
    said = f"{row.source} {row.text('notes')}".lower()
    return "ccl" in said and "ccl-tests" not in said and "nccom-test" not in said
