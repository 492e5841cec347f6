"""Questions across studies: whose price-performance holds, and what memory bandwidth decides.

The document of `studies/results/questions.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dse.model.evaluator import Question, evaluate
from dse.model.pytree import lower, stack
from dse.model.uncertainty import draw
from dse.report.answers import Say
from dse.report.asked import question_named
from dse.search.advantage import (
    METRIC,
    Offer,
    advantages,
    bandwidth_elasticity,
    best_mappings,
)
from dse.search.remapping import remapped
from dse.search.robust import percentiles
from dse.spec.catalog import Catalog
from dse.spec.load import load
from dse.spec.space import fixed
from dse.spec.system import System

Document = dict[str, Any]

PAIRS = (
    ("trn2-48xlarge", "h200-server"),
    ("trn2-ultraserver", "h200-server"),
    ("trn2-ultraserver", "gb200-nvl72"),
    ("trn3-ultraserver-gen2", "gb300-nvl72"),
    ("trn4-ultraserver", "vr200-nvl72"),
)
"""Trainium, and the machine that was sold when it was."""

BASES = (("at-cost", "at-cost"), ("design-partner", "merchant"), ("at-cost", "merchant"))
"""What each of a pair is paid at."""

TASKS = (
    ("llama-3.3-70b", "chat-decode-bf16"),
    ("llama-3.3-70b", "chat-decode"),
    ("llama-3.3-70b", "chat-decode-fp4"),
    ("deepseek-v3", "chat-decode"),
    ("deepseek-v3", "chat-decode-fp4"),
    ("llama-3.3-70b", "long-prefill"),
    ("llama-3.1-405b", "pretrain-32k"),
)

MACHINES = (
    *("trn2-ultraserver", "trn3-ultraserver-gen2", "trn4-ultraserver", "h200-server"),
    *("gb200-nvl72", "gb300-nvl72", "vr200-nvl72", "tpu-v7-cube", "mi455x-helios-72"),
    "cloudmatrix384",
)
"""Systems over which bandwidth for a dollar is held against tokens for a dollar."""

PER_BANDWIDTH, PER_FLOPS = "usd_per_tbs_hour", "usd_per_pflop_hour"
RANKED = (METRIC, PER_BANDWIDTH, PER_FLOPS)


def questions_document(
    catalogue: Catalog, *, samples: int, seed: int = 0, say: Say = lambda _: None
) -> Document:
    """`claims`: each pair under each task at each pair of bases, as `advantages` gives it.

    `bandwidth`: of each task the elasticity of tokens a dollar in memory bandwidth, by machine, and
    the rank correlation over all machines of tokens a dollar with bandwidth a dollar and with dense
    BF16 FLOP/s a dollar, at cost: each with percentiles of the samples, and the share of them in
    which bandwidth's is the higher one.
    """
    names = [*dict.fromkeys([*(name for pair in PAIRS for name in pair), *MACHINES])]
    systems = [fixed(load(System, name, catalogue)) for name in names]
    claims, bandwidth = [], []
    for model, workload in TASKS:
        say(f"{model}, {workload} ...")
        question = question_named(catalogue, model, workload)
        task = {"model": model, "workload": workload}
        asked = [
            (Offer(names.index(one), first), Offer(names.index(other), second))
            for one, other in PAIRS
            for first, second in BASES
        ]
        found = advantages(systems, asked, question, number=samples, seed=seed)
        claims += [
            {
                **task,
                "one": names[one.place],
                "other": names[other.place],
                "bases": [one.price_basis, other.price_basis],
                "advantage": told,
            }
            for (one, other), told in zip(asked, found, strict=True)
        ]
        machines = [systems[names.index(name)] for name in MACHINES]
        bandwidth.append({**task, **_bandwidth(machines, question, number=samples, seed=seed)})
    return {"study": "questions", "samples": samples, "claims": claims, "bandwidth": bandwidth}


def _bandwidth(
    machines: Sequence[System], question: Question, *, number: int, seed: int
) -> Document:
    found = [evaluate(stack([lower(machine)]), question) for machine in machines]
    pairs = [(m, f) for m, f in zip(machines, found, strict=True) if f.feasible[0]]
    own = [{n: np.asarray(f.result.metrics[n])[:1] for n in RANKED} for _, f in pairs]
    mappings = best_mappings(machines, question)
    drawn = [
        remapped(draw(m, question, number=number, seed=seed), question, [f.rows[0], *mappings])
        for m, f in pairs
    ]
    nominal, sampled = _ranks(own), _ranks([each.metrics for each in drawn])
    return {
        "elasticity": {
            machine.name: bandwidth_elasticity(
                machine, question, mappings, number=number, seed=seed
            )
            for machine, _ in pairs
        },
        **{
            name: {"value": float(nominal[name][0]), **percentiles(values)}
            for name, values in sampled.items()
        },
        "bandwidth_leads": float(np.mean(sampled["rank_bandwidth"] > sampled["rank_flops"])),
    }


def _ranks(metrics: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Rank correlations [n] over machines (Spearman) of tokens a dollar with what a dollar buys."""
    from scipy.stats import rankdata

    ranks = {name: rankdata([each[name] for each in metrics], axis=0) for name in RANKED}
    centred = {name: rank - rank.mean(axis=0) for name, rank in ranks.items()}
    widths = {name: np.sqrt((rank**2).sum(axis=0)) for name, rank in centred.items()}
    # dearer bandwidth is less of it for a dollar
    return {
        key: -(centred[METRIC] * centred[name]).sum(axis=0) / (widths[METRIC] * widths[name])
        for key, name in (("rank_bandwidth", PER_BANDWIDTH), ("rank_flops", PER_FLOPS))
    }
