"""What `dse calibrate` does: rows to a fitted stack, its errors in four kinds, and its file.

A stack has at most twelve fitted numbers, each with physical bounds and a spread about the stack it
starts from. Which are fitted follows from the tables of the rows: nothing is fitted that no row of
them could show. Several stacks that call the same libraries on the same chips are fitted together:
each has numbers of its own, drawn to those that are common to all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import attrs
import numpy as np

from dse.errors import Finding, SpecError
from dse.evidence.calibrate import Fit, Problem, Summary, summary
from dse.evidence.left_out import families_out, folds, sources_out
from dse.evidence.lineage import Lineage
from dse.evidence.measured import Resolver
from dse.evidence.prediction import Batch, Row
from dse.evidence.validate import in_cache, predictor_of
from dse.spec.workload import Software

MOST = 12
"""Fitted numbers of a stack."""


LEAST = 1e-3
"""Change of the logarithm of a prediction for that of a number below which no row shows it."""


@attrs.frozen
class Freedom:
    """Bounds of a fitted number, SI, and the spread of its logarithm that is thought likely: about
    the stack it starts from, and `apart` of stacks that share libraries from each other."""

    low: float
    high: float
    spread: float
    apart: float = 0.3


FREE: Mapping[str, Freedom] = {
    "matrix": Freedom(0.3, 0.97, 0.15),
    "attention": Freedom(0.1, 0.97, 0.3),
    "attention_backward": Freedom(0.1, 0.97, 0.3),
    "vector": Freedom(0.05, 0.97, 0.3),
    "memory": Freedom(0.3, 0.97, 0.1),
    "narrow": Freedom(0.02, 0.9, 0.3),
    "network": Freedom(0.2, 0.97, 0.2),
    "launch": Freedom(0.2e-6, 50e-6, 0.7),
    "collective_launch": Freedom(0.5e-6, 100e-6, 0.7),
    "ring_step": Freedom(0.3e-6, 30e-6, 0.7),
    "overlap": Freedom(0.0, 0.98, 0.3),
    "tensor_overlap": Freedom(0.0, 0.95, 0.3),
    "host": Freedom(10e-6, 30e-3, 1.0),
    "request": Freedom(1e-3, 2.0, 1.0),
    "experts": Freedom(0.05, 0.97, 0.4),
    "scale_out": Freedom(0.2, 0.97, 0.2),
    "collective_cycles": Freedom(1e3, 1e5, 0.7),
    "hop_cycles": Freedom(50.0, 1e4, 0.7),
    "bulk_cycles": Freedom(1e3, 3e5, 0.7),
    "low_latency": Freedom(0.1, 0.97, 0.3),
    "own_copy": Freedom(0.05, 0.97, 0.4),
    "in_switch": Freedom(0.2, 0.97, 0.3),
    "scale_out_launch": Freedom(1e-6, 1e-3, 0.7),
}
"""Numbers that may be fitted."""

TRAINED: Mapping[str, Freedom] = {
    "matrix": Freedom(0.3, 0.97, 0.3, 0.07),
    "attention": Freedom(0.1, 0.97, 0.6, 0.4),
    "attention_backward": Freedom(0.1, 0.97, 0.6, 0.4),
    "vector": Freedom(0.05, 0.97, 0.6, 0.3),
    "memory": Freedom(0.15, 0.97, 0.4, 0.3),
    "network": Freedom(0.2, 0.97, 0.4, 0.15),
    "launch": Freedom(0.2e-6, 50e-6, 1.4, 0.5),
    "collective_launch": Freedom(0.5e-6, 100e-6, 1.4, 0.5),
    "ring_step": Freedom(0.3e-6, 30e-6, 1.4, 0.5),
    "overlap": Freedom(0.0, 0.98, 0.6, 0.3),
    "tensor_overlap": Freedom(0.0, 0.95, 0.6, 0.3),
}
"""Numbers of training rows. Matrix products and collectives are one library's in all stacks (cuBLAS
and NCCL, XLA's own), attention, elementwise kernels and overlap are each stack's. `memory` may lie
far below a copy's: eager stacks move an element more often than the fused kernels that are
counted."""

_FUSED = {"attention": 0.75, "attention_backward": 0.65}

UNSAID: Mapping[str, Mapping[str, float]] = {
    "train": _FUSED,
    "memory": _FUSED,
    "collective": {
        "scale_out": 0.75,
        "collective_cycles": 1e4,
        "hop_cycles": 7e2,
        "bulk_cycles": 3e4,
        "own_copy": 0.35,
        "scale_out_launch": 5e-5,
    },
}
"""Where fits of a table's rows start if the base says nothing. Fused attention attains up to 73 %
of an A100 forward and 63 % backward, its softmax included (Dao 2023, arXiv:2307.08691, section 4).
The cycles of collectives are orders of magnitude: an assumption, with a spread of a factor of two.
"""

SHOWN: Mapping[str, tuple[str, ...]] = {
    "serve": (
        *("matrix", "attention", "vector", "memory", "narrow", "network"),
        *("launch", "collective_launch", "host", "request", "experts"),
    ),
    "train": (
        *("matrix", "attention", "attention_backward", "vector", "memory", "network"),
        *("launch", "collective_launch", "ring_step", "overlap", "tensor_overlap"),
    ),
    "gemm": ("matrix", "memory", "narrow", "launch"),
    "attention": ("attention", "vector", "memory", "launch"),
    "collective": (
        *("network", "scale_out", "collective_cycles", "hop_cycles", "bulk_cycles"),
        *("low_latency", "own_copy", "in_switch", "scale_out_launch"),
    ),
}
"""What the rows of each table show."""


@attrs.frozen(kw_only=True, eq=False)
class StackFit:
    """A fit with its errors: of the rows fitted, out of fold, of families left out, before."""

    name: str
    fit: Fit
    errors: Mapping[str, Summary]
    families: Mapping[str, Summary]
    unpredicted: int
    residuals: Mapping[str, np.ndarray] = attrs.field(factory=dict)

    @property
    def software(self) -> dict[str, dict[str, Summary]]:
        """The errors of each kind, by the software that rows name."""
        names = [row.software for row in self.fit.rows]
        return {
            name: {
                kind: summary(errors[np.array([each == name for each in names])])
                for kind, errors in self.residuals.items()
            }
            for name in dict.fromkeys(names)
        }


def _software(row: Row) -> str:
    return row.software


def fit_stack(
    name: str,
    rows: Sequence[Row],
    resolver: Resolver,
    base: Software,
    *,
    lineage: Lineage | None = None,
    held: Collection[str] = (),
    crossed: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> StackFit:
    """Fit a stack to rows: all numbers that they show but those `held`.

    `crossed` also refits it with parts of them left out.

    With a `lineage` rows may be of several stacks, which are fitted together, and of versions of
    them; without one each software name is a version. SpecError where no row shows a number that
    may be fitted.
    """
    # products that lie in the cache time and again say nothing of a model's
    rows = [row for row in rows if row.table != "gemm" or not in_cache(row, resolver)]
    batches, left = _batches(rows, resolver)
    fields = [field for field in _fields(batches) if field not in held]
    trained = all(row.table in ("train", "memory") for row in rows)
    table = TRAINED if trained else FREE
    asked = [UNSAID[name] for name in dict.fromkeys(row.table for row in rows) if name in UNSAID]
    for started in asked:
        unsaid = {key: value for key, value in started.items() if not getattr(base, key)}
        base = attrs.evolve(base, **unsaid)

    def problem(fields: Sequence[str], kin: Lineage | None) -> Problem:
        free = {field: (table[field].low, table[field].high) for field in fields}
        spreads = {field: table[field].spread for field in fields}
        if kin is None:
            return Problem(batches, base, free, _software, spreads)
        apart = {field: table[field].apart for field in fields}
        return Problem(
            batches, base, free, kin.version, spreads, kin.facts, kin.stack, apart, kin.elder
        )

    # one stack's slopes show what any stack's rows depend on
    alone = attrs.evolve(problem(fields, lineage), group=lambda _: "")
    slopes = np.abs(alone.slopes(alone.start))
    seen = [field for field, most in zip(fields, slopes.max(axis=0), strict=False) if most > LEAST]
    made = problem(seen, lineage)
    say(f"fitting {len(made.start)} numbers of {name} to {len(made.rows)} values")
    fit = made.describe(made.solve())
    start = made.errors(made.start)
    residuals = {"fitted": fit.errors, "uncalibrated": start}
    if crossed:
        residuals |= _left_out(made, say)
    return StackFit(
        name=name,
        fit=fit,
        errors={kind: summary(errors) for kind, errors in residuals.items()},
        families=_by_family(made, residuals.get("family_left_out")),
        unpredicted=left,
        residuals=residuals,
    )


def _left_out(made: Problem, say: Callable[[str], None]) -> dict[str, np.ndarray]:
    """The errors by fits that have not seen rows, sources, families, each left out in turn."""
    say("fitting again with rows, and with whole sources, left out in turn")
    found = {"out_of_fold": folds(made), "source_left_out": sources_out(made)}
    say("fitting again with compute-die families left out in turn")
    return found | {"family_left_out": families_out(made)}


def _by_family(made: Problem, away: np.ndarray | None) -> dict[str, Summary]:
    """The errors of each family by the fit that has not seen it."""
    if away is None:
        return {}
    names = [row.family for row in made.rows]
    return {
        family: summary(away[np.array([each == family for each in names])])
        for family in dict.fromkeys(names)
    }


def _batches(rows: Sequence[Row], resolver: Resolver) -> tuple[list[Batch], int]:
    made: list[Batch] = []
    left = 0
    for table in dict.fromkeys(row.table for row in rows):
        found, missing = predictor_of(table)([r for r in rows if r.table == table], resolver)
        made += found
        left += len(missing)
    return made, left


def _fields(batches: Sequence[Batch]) -> tuple[str, ...]:
    tables = {row.table for batch in batches for row in batch.rows}
    fields = dict.fromkeys(field for table in SHOWN if table in tables for field in SHOWN[table])
    if not fields:
        message = f"no row shows what may be fitted: tables {', '.join(sorted(tables)) or 'none'}"
        expected = "rows of " + ", ".join(SHOWN)
        raise SpecError(Finding(message=message, expected=expected))
    return tuple(fields)[:MOST]
