"""A front under what is uncertain, as data (fields of `dse front --robust`) and as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.text import Text

from dse.model.uncertainty import Input
from dse.report.figures import digits, metric_number, percent
from dse.report.terminal import Column, fitting, heading, note
from dse.search.problem import StudyProblem
from dse.search.robust import (
    PERCENTILES,
    Robustness,
    percentiles,
    robustness,
    separation,
    threshold,
)
from dse.spec.fields import KINDS, Leaf
from dse.spec.metrics import METRICS
from dse.spec.space import leaf_at
from dse.spec.values import Weighted

Document = dict[str, Any]

MOST = 200
"""Points that are sampled; of a longer front so many, spread over it."""

BROKEN = 3
"""Rules that are named for each design."""

FLIPS = 5
"""Inputs that are named."""


def add_robustness(
    problem: StudyProblem,
    document: Document,
    *,
    number: int,
    seed: int,
    uncertain: str,
    on_progress: Callable[[int], object] | None = None,
) -> None:
    """Adds `robust` to a front's document and to each of its points and references.

    Of a design: `front_share`, `feasible_share` and `best_share` of the samples, the share that
    breaks each rule (`broken`, the most often broken ones first), and bands of the objectives. Of
    the front: the samples, what its first design has `over` each reference, the `winner` in the
    first objective, and `flips`: inputs by how well they tell samples that it wins from those that
    it loses.
    """
    points, references = document["points"], document["references"]
    found = robustness(
        problem,
        points,
        references,
        number=number,
        seed=seed,
        uncertain=uncertain,
        on_progress=on_progress,
    )
    rows = [*points, *references]
    for place, row in enumerate(rows):
        row["robust"] = _of_design(found, place)
    document["robust"] = {
        "samples": number,
        "seed": seed,
        "uncertain": uncertain,
        "inputs": len(found.inputs),
        "mapping": "best known",
        **_winner(found, rows),
        "over": {
            each["name"]: _over(found, len(points) + place) for place, each in enumerate(references)
        }
        if points
        else {},
    }


def _over(found: Robustness, reference: int) -> Document:
    """What the front's first design has over a reference: ratios' bands; `all`: share it beats."""
    ratios, better = found.over(0, reference)
    bands = {name: percentiles(values) for name, values in ratios.items()}
    return {"all": float(np.mean(better)), **bands}


def _of_design(found: Robustness, place: int) -> Document:
    bands = {}
    for name, values in found.metrics.items():
        ends = percentiles(values[place])
        bands[name] = {key: METRICS[name].written(end) for key, end in ends.items()}
    return {
        "front_share": float(np.mean(found.on_front[place])),
        "feasible_share": float(np.mean(found.feasible[place])),
        "best_share": float(np.mean(found.winner == place)),
        "broken": dict(sorted(found.broken[place].items(), key=lambda pair: -pair[1])[:BROKEN]),
        "bands": bands,
    }


def _winner(found: Robustness, rows: Sequence[Mapping[str, Any]]) -> Document:
    """Who is best in the first objective most often, and what takes that from it."""
    judged = found.winner >= 0
    if not judged.any():
        return {"winner": None, "flips": []}
    best = int(np.bincount(found.winner[judged]).argmax())
    wins = found.winner[judged] == best
    told = [(separation(i.samples[judged], wins), i) for i in found.inputs]
    told = sorted((pair for pair in told if pair[0] > 0.0), key=lambda pair: -pair[0])
    # specs with a base share its constants, and their samples: each is told once
    told = [*{(each.path, share): (share, each) for share, each in reversed(told)}.values()][::-1]
    return {
        "winner": rows[best].get("name") or rows[best]["rank"],
        "winner_share": float(np.mean(wins)),
        "flips": [
            {
                "kind": each.kind,
                "name": each.name,
                "path": each.path,
                "separation": share,
                **_cut(each, threshold(each.samples[judged], wins)),
            }
            for share, each in told[:FLIPS]
        ],
    }


def _cut(each: Input, value: float) -> Document:
    """Where an input parts wins from losses; alternatives by their number have no such value."""
    leaf = leaf_at(KINDS[each.kind], each.path)
    if isinstance(each.belief, Weighted) or not isinstance(leaf, Leaf):
        return {"threshold": None, "shown": ""}
    return {"threshold": value, "shown": leaf.show(float(digits(value).replace(",", "")))}


def robust_view(problem: Mapping[str, Any], document: Document) -> list[Any]:
    """Tables of a front under samples."""
    told = document["robust"]
    rows = [*document["points"], *document["references"]]
    names = list(problem["objectives"])
    columns = [
        Column("#", [row.get("name") or str(row["rank"]) for row in rows]),
        _shares("on front", rows, "front_share"),
        _shares("feasible", rows, "feasible_share"),
        _shares("best", rows, "best_share"),
        Column("breaks most often", [_worst_rule(row["robust"]["broken"]) for row in rows]),
    ]
    for name in names:
        for key, share in PERCENTILES.items():
            cells = [metric_number(name, row["robust"]["bands"][name][key]) for row in rows]
            title = f"{name.replace('_', ' ').replace(' per ', chr(10) + 'per ')}\n{share:.0f} %"
            columns.append(Column(title, cells, right=True))
    return [
        heading(f"Under {told['samples']:,} samples of {told['inputs']} uncertain constants"),
        note(f"seed {told['seed']}; mappings are the best known, batches follow the limits"),
        *fitting(columns),
        *_flips(names[0], told),
    ]


def _worst_rule(broken: Mapping[str, float]) -> str:
    """The rule that most samples break, and how many; nothing where none does."""
    rule, share = next(iter(broken.items()), ("", 0.0))
    return f"{rule}, {percent(share)}" if share > 0.0 else ""


def _shares(title: str, rows: Sequence[Mapping[str, Any]], key: str) -> Column:
    return Column(title, [percent(row["robust"][key]) for row in rows], right=True)


def _flips(objective: str, told: Mapping[str, Any]) -> list[Any]:
    """The winner, and the inputs that decide whether it wins."""
    if told["winner"] is None:
        return [Text("No design is feasible in any sample.")]
    winner = told["winner"]
    name = f"number {winner}" if isinstance(winner, int) else winner
    said = f"Best in {objective} most often: {name}, in {percent(told['winner_share'])}"
    parts: list[Any] = [Text(""), Text(said)]
    if not told["flips"]:
        return [*parts, note("no input takes that from it")]
    first = told["flips"][0]
    parts.append(
        Text(
            f"What flips it: {first['kind']} {first['name']}, {first['path']}"
            f"{', about ' + first['shown'] if first['shown'] else ''} (it tells wins from losses "
            f"by {percent(first['separation'])})"
        )
    )
    others = [f"{f['path']} ({percent(f['separation'])})" for f in told["flips"][1:]]
    return [*parts, note(f"then {', '.join(others)}")] if others else parts
