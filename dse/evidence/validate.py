"""Measured rows against predictions: every metric of every row has an outcome.

Only a row that lacks its system, model, lengths or value may go unpredicted; any other that is
not predicted counts as an error of 100 %. Each table has a predictor, a module of its own with

    batches(rows, resolver) -> (batches that predict them, rows that they cannot predict)
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from dse.errors import InputError
from dse.evidence.breakdown import Breakdown, breakdowns, rows_of, worst
from dse.evidence.measured import Resolver
from dse.evidence.prediction import Batch, Row, Unpredicted, predict
from dse.model.pytree import lower, stack
from dse.spec.workload import Software

Predictor = Callable[[Sequence[Row], Resolver], tuple[list[Batch], list[Unpredicted]]]

MODULES = {
    "train": "training_rows",
    "memory": "training_rows",
    "serve": "serving_rows",
    "gemm": "kernel_rows",
    "attention": "kernel_rows",
    "collective": "collective_rows",
    "power": "power_rows",
}
"""The module of this package that predicts each table."""

NEEDS = {
    "train": ("system", "model", "seq"),
    "memory": ("system", "model", "seq"),
    "serve": ("system", "model", "seq_in", "seq_out"),
    "gemm": ("system", "m", "n", "k"),
    "attention": ("system", "seq_q", "seq_kv"),
    "collective": ("system", "ranks", "bytes"),
    "power": ("system", "workload"),
}
"""Cells without which a row may go unpredicted."""

SHORT_COLLECTIVE = 20e-6
"""Seconds below which a collective is launch and synchronisation, and reported apart."""

TIME_TO_FIRST = "ttft_s"

SWITCHES = "interconnect_power_est_w"
"""The power of a network's switches, which submitters estimate from name plates."""

_BYTES = {"bf16": 2.0, "fp16": 2.0, "fp32": 4.0, "nvfp4": 0.5625, "mxfp4": 0.53125}
_WEIGHT_BYTES = {"int8_wo": 1.0, "int4_wo": 0.5}


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one metric of one row.

    `predicted` is None where nothing predicted it, for the `reason`; `lacking` where the row may
    go unpredicted; `apart` says why it is left out of the figures that mix tables; `breakdown` is
    of the worst only.
    """

    row: Row
    metric: str
    measured: float = math.nan
    predicted: float | None = None
    reason: str = ""
    lacking: bool = False
    apart: str = ""
    stack: str = ""
    breakdown: Breakdown | None = None

    @property
    def difference(self) -> float:
        """Predicted over measured less one; nan where nothing is predicted."""
        return math.nan if self.predicted is None else self.predicted / self.measured - 1.0

    @property
    def error(self) -> float:
        """The size of the difference; 1 where nothing is predicted."""
        return 1.0 if self.predicted is None else abs(self.difference)

    @property
    def phase(self) -> str:
        """What ran: a serving mode, a phase of attention, a collective, or the table."""
        key = {"serve": "mode", "attention": "phase", "collective": "op"}.get(self.row.table, "")
        return self.row.text(key) or self.row.table


@attrs.frozen
class Validation:
    """All outcomes, and the stack that stood for each software."""

    outcomes: tuple[Outcome, ...]
    stacks: Mapping[str, str]

    @property
    def counted(self) -> list[Outcome]:
        """Outcomes that have an error: all but those of rows that may go unpredicted."""
        return [outcome for outcome in self.outcomes if not outcome.lacking]

    @property
    def unpredicted(self) -> list[Outcome]:
        """Outcomes without a prediction."""
        return [outcome for outcome in self.outcomes if outcome.predicted is None]


def validate(
    rows: Sequence[Row],
    resolver: Resolver,
    predictors: Mapping[str, Predictor] | None = None,
    say: Callable[[str], None] = lambda _: None,
    broken_down: int = 0,
) -> Validation:
    """Predicts all rows; `predictors` by table stand in for those of MODULES.

    `say` is told of each table. The worst `broken_down` outcomes of each table, those that are
    apart left out, are predicted again with their breakdown. SpecError where a stack cannot be
    read.
    """
    reasons = _unfit(rows, resolver)
    stacks = {row.software: resolver.software(row.software).name for row in rows}
    found: dict[tuple[int, str], float] = {}
    why: dict[int, str] = {}
    for table in dict.fromkeys(row.table for row in rows):
        fit = [row for row in rows if row.table == table and id(row) not in reasons]
        if not fit:
            continue
        start = time.perf_counter()
        predictor = (predictors or {}).get(table) or predictor_of(table)
        batches, left = _batches(predictor, fit, resolver)
        for batch in batches:
            _note(found, batch, resolver)
        lost = {each.id: each.reason for each in left}
        why |= {id(row): lost[row.id] for row in fit if row.id in lost}
        say(f"{table}: {len(fit):,} rows in {time.perf_counter() - start:.1f} s")
    outcomes = [
        outcome
        for row in rows
        for outcome in _outcomes(row, found, reasons.get(id(row)), why.get(id(row), ""))
    ]
    marked = [
        attrs.evolve(outcome, apart=apart_of(outcome, resolver), stack=stacks[outcome.row.software])
        for outcome in outcomes
    ]
    if broken_down:
        marked = _broken_down(marked, resolver, predictors or {}, broken_down)
    return Validation(tuple(marked), stacks)


def _broken_down(
    outcomes: Sequence[Outcome],
    resolver: Resolver,
    predictors: Mapping[str, Predictor],
    number: int,
) -> list[Outcome]:
    """Outcomes, the worst `number` of each table with their breakdown."""
    made: dict[int, Breakdown] = {}
    # bytes and watts are no time
    timed = (o.row.table for o in outcomes if o.row.table not in ("memory", "power"))
    tables = dict.fromkeys(timed)
    for table in tables:
        chosen = worst([o for o in outcomes if o.row.table == table and not o.apart], number)
        if not chosen:
            continue
        predictor = predictors.get(table) or predictor_of(table)
        found: dict[tuple[int, str], Breakdown] = {}
        for batch in _batches(predictor, rows_of(chosen), resolver)[0]:
            each = breakdowns(batch, stacks_of(batch.rows, resolver)) if batch.rows else []
            for row, by_metric in zip(batch.rows, each, strict=True):
                found |= {(id(row), metric): one for metric, one in by_metric.items()}
        for outcome in chosen:
            key = (id(outcome.row), outcome.metric)
            made |= {id(outcome): found[key]} if key in found else {}
    return [attrs.evolve(o, breakdown=made.get(id(o))) for o in outcomes]


def predictor_of(table: str) -> Predictor:
    """What predicts the rows of a table."""
    module = importlib.import_module(f"dse.evidence.{MODULES[table]}")
    made: Predictor = module.batches
    return made


def _batches(
    predictor: Predictor, rows: Sequence[Row], resolver: Resolver
) -> tuple[list[Batch], list[Unpredicted]]:
    """What a predictor makes of rows; a row that it fails on is alone in being unpredicted."""
    try:
        return predictor(rows, resolver)
    except (InputError, ValueError, KeyError, ArithmeticError) as error:
        if len(rows) == 1:
            said = str(error).splitlines()
            return [], [Unpredicted(rows[0].id, said[0] if said else type(error).__name__)]
    half = len(rows) // 2
    first, second = (_batches(predictor, part, resolver) for part in (rows[:half], rows[half:]))
    return first[0] + second[0], first[1] + second[1]


def _note(found: dict[tuple[int, str], float], batch: Batch, resolver: Resolver) -> None:
    """Adds a batch's predictions, by row and metric; those that are no number are left out."""
    if not batch.rows:
        return
    values = predict(batch, stacks_of(batch.rows, resolver))
    for row, line in zip(batch.rows, values, strict=True):
        for metric, value in zip(batch.metrics, line, strict=True):
            if math.isfinite(value):
                found.setdefault((id(row), metric), float(value))


def stacks_of(rows: Sequence[Row], resolver: Resolver) -> Software:
    """The stacks of rows as one lowered Software whose leaves have shape [n]."""
    lowered = {row.software: lower(resolver.software(row.software)) for row in rows}
    return stack([lowered[row.software] for row in rows])


def _outcomes(
    row: Row, found: Mapping[tuple[int, str], float], unfit: tuple[str, bool] | None, why: str
) -> list[Outcome]:
    reason, lacking = unfit or (why or "no prediction of this metric", False)
    measured = {m: v for m, v in row.measured.items() if math.isfinite(v) and v > 0.0}
    if not measured:
        return [Outcome(row=row, metric="", reason="no measured value", lacking=True)]
    return [
        Outcome(row=row, metric=metric, measured=value, predicted=found[id(row), metric])
        if (id(row), metric) in found
        else Outcome(row=row, metric=metric, measured=value, reason=reason, lacking=lacking)
        for metric, value in measured.items()
    ]


def _unfit(rows: Sequence[Row], resolver: Resolver) -> dict[int, tuple[str, bool]]:
    """Rows that no predictor need see, by identity: why, and whether it is for what they lack."""
    unknown = _unknown(rows, resolver)
    unfit: dict[int, tuple[str, bool]] = {}
    for row in rows:
        if missing := [key for key in NEEDS[row.table] if not row.text(key)]:
            unfit[id(row)] = (f"no {' and '.join(missing)}", True)
        elif said := unknown.get(("system", row.system)) or unknown.get(("model", row.model)):
            unfit[id(row)] = (said, False)
        elif not row.measured:
            unfit[id(row)] = ("no measured value", True)
    return unfit


def _unknown(rows: Iterable[Row], resolver: Resolver) -> dict[tuple[str, str], str]:
    """Names of rows that are no spec's, with what is wrong."""
    names = {("system", row.system) for row in rows} | {("model", row.model) for row in rows}
    unknown = {}
    for kind, name in sorted(names):
        look = resolver.system if kind == "system" else resolver.model
        try:
            if name:
                look(name)
        except InputError as error:
            unknown[kind, name] = str(error).splitlines()[0]
    return unknown


def apart_of(outcome: Outcome, resolver: Resolver) -> str:
    """Why an outcome is left out of the figures that mix tables; empty if it is not."""
    row = outcome.row
    if row.table == "collective" and outcome.measured < SHORT_COLLECTIVE:
        return f"below {SHORT_COLLECTIVE * 1e6:.0f} us"
    if row.table == "gemm" and outcome.predicted is not None and in_cache(row, resolver):
        return "in cache"
    if outcome.metric == SWITCHES:
        return "switches, estimated"
    if outcome.metric == TIME_TO_FIRST and row.text("mode") != "prefill_only":
        return "time to first token"
    return ""


def in_cache(row: Row, resolver: Resolver) -> bool:
    """Whether the operands and the product of a GEMM row fit the chip's last-level cache.

    A kernel that is timed again and again then finds them there, which no model's weights are.
    """
    m, n, k = (float(row.cells[key]) for key in "mnk")
    kind = row.text("dtype")
    operand = _BYTES.get(kind, 2.0 if kind.endswith("_wo") else 1.0)
    weight = _WEIGHT_BYTES.get(kind, operand)
    chip = resolver.system(row.system).chip
    return m * k * operand + k * n * weight + m * n * 2.0 <= chip.dies * chip.die.sram
