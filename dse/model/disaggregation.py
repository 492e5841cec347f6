"""Prefill on one system, decode on another: the split that wastes neither, and what it gives.

Costs of a token add up, so each side takes its own best operating point; chips are split so that
prompts are read as fast as answers end. The cache of a prompt crosses the network between domains,
and the time to the first token counts it.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from functools import cache
from typing import Any, NamedTuple

import attrs
import jax
import numpy as np

from dse.errors import UsageError
from dse.model.collectives import network
from dse.model.estimate import Result, Setting
from dse.model.evaluator import CHUNK, Evaluation, Question, evaluate
from dse.model.footprint import cache_of_sequence
from dse.model.guard import Scalar
from dse.model.operation import SLACK
from dse.model.programs import program
from dse.model.roofline import storage
from dse.model.transformer import Mapping
from dse.spec.metrics import METRICS
from dse.spec.system import System
from dse.spec.workload import Workload

OF_DECODE = ("tpot_s", "tokens_per_s_per_user", "step_time_s")
"""Objectives that only the decoding side has; the other side takes its cheapest mapping."""

BLENDED = ("usd_per_chip_hour", "capital", "operating")
"""Figures of a chip that are means over the chips of both sides."""

SUMMED = ("system_power_w", "average_power_w", "system_cost_usd")
"""Figures of a system that are sums over the chips of both sides."""

ROUNDS = 4
"""How often mappings may change because what they send takes time off the limit."""

GRID = 1.02
"""Steps in which transfer times are kept free, so that few limits serve all designs."""


@attrs.frozen(kw_only=True, eq=False)
class Disaggregated:
    """n designs that read prompts, each with the system that decodes. Arrays [n], values SI.

    `transfer`: seconds in which a prompt's cache moves; `share`: of the chips that read.
    `metrics` are those of METRICS, per output token: of a fleet with as many chips as the job that
    reads, divided between both sides. Figures of one chip, die or rack are the reading side's.
    """

    read: Evaluation
    answer: Evaluation
    transfer: np.ndarray
    share: np.ndarray
    metrics: Dict[str, np.ndarray]
    margins: Dict[str, np.ndarray]

    @property
    def feasible(self) -> np.ndarray:
        """Whether mappings, memory and latency limits hold on both sides, the transfer included."""
        return self.read.feasible & self.answer.feasible & (self.margins["ttft"] >= 0.0)


class Side(NamedTuple):
    """What one side does: metrics and margins [n] by name, SI; `useful` FLOP/s of its job [n]."""

    metrics: Dict[str, np.ndarray]
    margins: Dict[str, np.ndarray]
    useful: np.ndarray

    @classmethod
    def of(cls, found: Result) -> Side:
        """The side of n operating points."""
        metrics = {name: np.asarray(found.metrics[name]) for name in METRICS}
        margins = {name: np.asarray(value) for name, value in found.margins.items()}
        return cls(metrics, margins, np.asarray(found.operation.useful_flops, np.float64))


def sides(question: Question) -> tuple[Question, Question]:
    """What the reading and the decoding side are asked; UsageError for work that has no decode."""
    work = question.workload
    if work.phase == "pretrain":
        raise UsageError("--decode-system serves; pretrain has no decode")
    cheapest = attrs.evolve(question, objective="tokens_per_usd", sense="max")
    reading = cheapest if question.objective in OF_DECODE else question
    answering = cheapest if question.objective == "ttft_s" else question
    reads = attrs.evolve(work, phase="prefill")
    decodes = attrs.evolve(work, phase="decode", pays_prefill=0.0)
    return attrs.evolve(reading, workload=reads), attrs.evolve(answering, workload=decodes)


def disaggregate(
    systems: System, question: Question, answer: Evaluation | None = None
) -> Disaggregated:
    """Designs (a lowered System with leaves [n]) that read what others decode.

    `answer` is the evaluation of the decoding system (leaves [1] or [n]) under the second of
    `sides`; None: each design decodes as well, and the split is its own.
    """
    reading, answering = sides(question)
    number = len(np.asarray(systems.chips))
    if answer is None:
        answer = evaluate(systems, answering)
    if len(answer.rows) != number:
        answer = jax.tree.map(lambda leaf: np.repeat(leaf, number, axis=0), answer)
    read, moved = _within_limit(systems, reading)
    metrics, margins, share = joined(
        Side.of(read.result), Side.of(answer.result), question.workload, moved
    )
    return Disaggregated(
        read=read, answer=answer, transfer=moved, share=share, metrics=metrics, margins=margins
    )


def _within_limit(systems: System, question: Question) -> tuple[Evaluation, np.ndarray]:
    """The reading side, whose limit leaves time for the transfer that its own mapping needs."""
    limit = question.workload.ttft
    found = evaluate(systems, question)
    kept = np.zeros(len(found.rows))
    setting = question.setting
    moved = transfer_time(systems, setting, found.rows)
    for _ in range(ROUNDS):
        wanted = GRID ** np.ceil(np.log(np.maximum(moved, 1e-9)) / np.log(GRID))
        late = found.feasible & (found.metrics["ttft_s"] + moved > limit) & (wanted > kept)
        late &= wanted < limit
        if not late.any():
            break
        kept = np.where(late, wanted, kept)
        for value in np.unique(kept[late]):
            members = np.flatnonzero(late & (kept == value))
            tighter = attrs.evolve(question.workload, ttft=float(limit - value))
            part = jax.tree.map(lambda leaf, m=members: np.asarray(leaf)[m], systems)
            again = evaluate(part, attrs.evolve(question, workload=tighter))
            found = jax.tree.map(lambda all_, new, m=members: _put(all_, m, new), found, again)
        moved = transfer_time(systems, setting, found.rows)
    return found, moved


def _put(array: np.ndarray, members: np.ndarray, values: np.ndarray) -> np.ndarray:
    made = np.array(array)
    made[members] = values
    return made


def transfer_time(systems: System, setting: Setting, rows: np.ndarray) -> np.ndarray:
    """Seconds in which a prompt's cache leaves the chips that read it.

    `systems` is a lowered System with leaves [n], as those of `setting` may be; `rows` the mappings
    [n, len(Mapping)].
    """
    number = len(rows)
    setting = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(leaf), number), setting)
    parts = []
    for start in range(0, len(rows), CHUNK):
        members = np.arange(start, start + CHUNK)
        members = np.where(members < len(rows), members, start)
        chunk, asked = jax.tree.map(
            lambda leaf, m=members: np.asarray(leaf, np.float32)[m], (systems, setting)
        )
        seconds = _transfers()(chunk, asked, Mapping(*np.asarray(rows[members], np.float32).T))
        parts.append(np.asarray(seconds, np.float64)[: len(rows) - start])
    return np.concatenate(parts)


@cache
def _transfers() -> Any:
    """The compiled transfer times of a chunk of designs."""
    return program("transfer", jax.vmap(_transfer))


def _transfer(system: System, setting: Setting, mapping: Mapping) -> Scalar:
    net = network(system, setting.software)
    size = storage(setting.workload.key_values)
    held = cache_of_sequence(setting.model, mapping, setting.workload.tokens_in, size)
    return net.out_latency + held / net.out_rate


def joined(
    read: Side, answer: Side, work: Workload, transfer: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Metrics of output tokens and margins from those of both sides, and the share of chips [n]
    that read; SI.
    """
    metrics, share = _per_token(read, answer, work, transfer)
    # a metric is float32; so is what a margin of zero means
    late = (work.ttft - metrics["ttft_s"]) / work.ttft + 2.0 * SLACK
    margins = {name: np.minimum(read.margins[name], answer.margins[name]) for name in read.margins}
    return metrics, {**margins, "tpot": answer.margins["tpot"], "ttft": late}, share


def _per_token(
    read: Side, answer: Side, work: Workload, transfer: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    one = {name: np.asarray(value, np.float64) for name, value in read.metrics.items()}
    other = {name: np.asarray(value, np.float64) for name, value in answer.metrics.items()}
    # requests a second and chip of each side
    reading = one["tokens_per_s_per_chip"] / work.tokens_in
    answering = other["tokens_per_s_per_chip"] / work.tokens_out
    share = answering / (reading + answering)
    chips, others = (side["tokens_per_s"] / side["tokens_per_s_per_chip"] for side in (one, other))
    ratio = work.tokens_in / work.tokens_out
    rate = work.tokens_out * reading * share
    usd = other["usd_per_mtok"] + ratio * one["usd_per_mtok"]
    joules = 1.0 / other["tokens_per_joule"] + ratio / one["tokens_per_joule"]
    made = one | {
        "tokens_per_s": rate * chips,
        "tokens_per_s_per_chip": rate,
        "ttft_s": one["ttft_s"] + transfer,
        "ttft_unqueued_s": one["ttft_unqueued_s"] + transfer,
        "mfu": _utilisation(read, answer, share, chips, others),
        "memory_used": np.maximum(one["memory_used"], other["memory_used"]),
        "usd_per_mtok": usd,
        "tokens_per_usd": 1.0 / usd,
        "tokens_per_joule": 1.0 / joules,
        "gco2e_per_mtok": other["gco2e_per_mtok"] + ratio * one["gco2e_per_mtok"],
        "days": work.total_tokens / (rate * chips),
        "training_usd": work.total_tokens * usd,
        "training_mwh": work.total_tokens * joules,
    }
    made |= {name: other[name] for name in ("tpot_s", "tokens_per_s_per_user", "step_time_s")}
    made["batch"] = other["batch"]
    for name in BLENDED:
        made[name] = share * one[name] + (1.0 - share) * other[name]
    for name in SUMMED:
        each, rest = one[name] / chips, other[name] / others
        made[name] = chips * (share * each + (1.0 - share) * rest)
    return {name: made[name] for name in METRICS}, share


def _utilisation(
    read: Side, answer: Side, share: np.ndarray, chips: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Useful FLOP/s over peak of all chips."""
    useful, peak = np.zeros(len(share)), np.zeros(len(share))
    for side, part, number in ((read, share, chips), (answer, 1.0 - share, others)):
        done = part * side.useful / number
        useful = useful + done
        peak = peak + done / np.asarray(side.metrics["mfu"], np.float64)
    return useful / peak
