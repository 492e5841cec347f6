"""Runs made of random numbers, their pages, and a browser to open them in; the model has no part.

As a script it writes the page of so many designs: `pages.py FILE NUMBER`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dse.report.page import page_html
from dse.report.page_document import Inspected, page_document
from dse.search.counts import Counts
from dse.search.record import RunData
from dse.spec.metrics import METRICS, meaningful

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-sync", "--disable-component-update"),
)

STACKS = ["hbm3e-12h", "hbm4-12h", "hbm4e-16h"]

PARAMETERS: dict[str, tuple[str, list[Any]]] = {
    "chip.dies": ("1", [1, 2, 4, 8]),
    "chip.die.node": ("", ["n3p", "n2"]),
    "chip.die.core.clock": ("GHz", [1e9, 1.5e9, 2e9, 2.5e9]),
    "chip.memory.stack": ("", STACKS),
    "chip.memory.stacks": ("1", [2, 4, 6, 8]),
}

ASSETS = Path(page_html.__code__.co_filename).parent / "assets"

GOALS = ("tokens_per_usd", "tokens_per_joule")


def _shown(value: Any, unit: str) -> str:
    return f"{value / 1e9:g} GHz" if unit == "GHz" else str(value)


def parameters(extra: int = 0) -> list[dict[str, Any]]:
    """The described parameters; `extra` more with six levels each."""
    listed = [
        {"path": path, "unit": unit, "values": values, "levels": [_shown(v, unit) for v in values]}
        for path, (unit, values) in PARAMETERS.items()
    ]
    more = [str(level) for level in range(6)]
    return listed + [
        {"path": f"chip.extra{i}", "unit": "1", "values": [*range(6)], "levels": more}
        for i in range(extra)
    ]


def reference(name: str, place: float, *, feasible: bool = True) -> dict[str, Any]:
    """A reference that stands at `place` in both objectives, as a run's description holds it."""
    metrics = dict.fromkeys(METRICS, place)
    margins = {"chip.power": 0.1, "die.reticle": 0.2 if feasible else -0.3}
    return {
        "name": name,
        "design": {"chip.dies": 2, "chip.die.node": "n5", "chip.memory.stacks": 4},
        "mapping": {"chat": {"tp": 8, "pp": 1, "ep": 1, "batch": 256}},
        "metrics": metrics,
        "margins": margins,
        "feasible": feasible,
        "violated": [] if feasible else ["die.reticle"],
    }


def run(number: int = 400, seed: int = 1, extra: int = 0, **problem: Any) -> RunData:
    """A run of `number` random designs under two rules; `problem` replaces what describes it."""
    draw = np.random.default_rng(seed)
    listed = parameters(extra)
    levels = np.column_stack([draw.integers(0, len(p["values"]), number) for p in listed])
    names = meaningful(["decode"])
    metrics = {name: draw.lognormal(0.0, 0.5, number).astype(np.float32) for name in METRICS}
    first = 1.0 + levels[:, 4] + 0.3 * draw.random(number)
    metrics["tokens_per_usd"] = first * 1e6
    metrics["tokens_per_joule"] = (8.0 - 0.8 * levels[:, 4]) * (0.3 + 0.7 * draw.random(number))
    described = {
        "study": "made-up",
        "doc": "Which of these random designs is best?",
        "system": "none",
        "price_basis": "at-cost",
        "facility": "hyperscale-us",
        "software": "default",
        "workloads": [
            {
                "model": "llama-3.3-70b",
                "workload": "chat",
                "phase": "decode",
                "weight": 1.0,
                "precision": {"weights": "fp8", "activations": "fp8"},
            }
        ],
        "space": 10**9,
        "parameters": listed,
        "objectives": dict.fromkeys(GOALS, "max"),
        "constraints": ["chip.power <= 2000 W"],
        "references": [
            reference("trn2-ultraserver", 1.5),
            reference("gb200-nvl72", 2.5e6, feasible=False),
        ],
        "version": "test",
        **problem,
    }
    goals = list(described["objectives"])
    margins = np.column_stack([draw.random(number) - 0.2, draw.random(number) - 0.1])
    settings = {
        "name": described["study"],
        "method": "random",
        "seed": seed,
        "fingerprint": "0123456789abcdef",
        "objectives": goals,
        "senses": list(described["objectives"].values()),
        "rules": ["chip.power", "die.reticle"],
        "problem": described,
    }
    feasible = int(np.all(margins >= 0.0, axis=1).sum())
    return RunData(
        folder=Path("runs/made-up"),
        settings=settings,
        levels=levels,
        objectives=np.column_stack([metrics[goal] for goal in goals]),
        margins=margins,
        metrics={name: metrics[name] for name in {*names, *goals}},
        mapping=[{"chat": {"tp": 4, "pp": 1, "ep": 1, "batch": 128}}] * number,
        counts=Counts(evaluated=number, feasible=feasible),
    )


def detail(seed: int = 0) -> dict[str, Any]:
    """What `dse.report.detail` says of a point, in its shape."""
    part = 1.0 + 0.1 * seed
    leaf = {"unit": "W", "children": []}
    children = [
        {"name": "arrays", "value": 300.0, **leaf},
        {"name": "memory", "value": 200.0, **leaf},
    ]
    return {
        "design": {"chip.dies": 2},
        "mapping": {"chat": {"tp": 4, "pp": 1, "ep": 1, "batch": 128}},
        "metrics": {},
        "margins": {"chip.power": 0.02, "die.reticle": 0.4},
        "breakdown": [
            {"phase": "decode", "group": "attention", "bound": "HBM", "seconds": 0.012 * part},
            {"phase": "decode", "group": "collectives", "bound": "scale-up", "seconds": 0.003},
        ],
        "footprint": [{"part": "weights", "bytes": 7e10}, {"part": "key_values", "bytes": 1e11}],
        "capacity_bytes": 2.88e11,
        "power": {"name": "chip", "value": 500.0, "unit": "W", "children": children},
        "cost": {"name": "an hour", "value": 2.0, "unit": "USD", "children": []},
        "elasticities": [
            {"path": "chip.memory.bandwidth", "kind": "exact", "metric": GOALS[0], "value": 0.8},
            {"path": "facility.energy_price", "kind": "exact", "metric": GOALS[0], "value": -0.1},
        ],
        "active": ["memory", "tpot <= 50 ms"],
        "prices": [PRICE],
    }


PRICE = {
    "limit": "chip.power <= 2000 W",
    "value": 2000.0,
    "unit": "W",
    "margin": 0.016,
    "binding": False,
    "metric": GOALS[0],
    "elasticity": 3.37,
    "per_unit": 0.0016850,
    "via": [{"path": "chip.memory.stacks", "change": 2.55}],
    "objectives": {GOALS[0]: 3.37},
    "held_by": ["rack.power"],
}


SOURCE = {
    "of": "Design 7, chat",
    "metric": GOALS[0],
    "path": "node.defects",
    "shown": "0.1 1/cm2",
    "elasticity": -0.2,
    "weakness": 0.15,
    "score": 0.03,
    "confidence": "estimate",
    "source": "a talk",
}


def inspected(data: RunData, **more: Any) -> Inspected:
    """Everything that the model could say of a run."""
    at = ((10.0, 9e3), (50.0, 1.8e3), (200.0, 450.0))
    point = {"batch": 8, "mapping": {"tp": 4}}
    points = [{"tokens_per_s_per_user": u, "tokens_per_s_per_chip": c, **point} for u, c in at]
    stands = [{"phase": "chat", "intensity": 120.0, "rate": 3e14}]
    rows = [str(row) for row in data.front]
    return Inspected(
        details={row: detail(i) for i, row in enumerate(rows)} | {"ref:gb200-nvl72": detail()},
        curves=[{"name": "gb200-nvl72", "phase": "decode", "chips": 72, "points": points}],
        rooflines=[{"name": "gb200-nvl72", "peak": 5e15, "bandwidth": 8e12, "points": stands}],
        sources=[SOURCE],
        robust={
            "samples": 2000,
            "inputs": 61,
            "flips": ["node.defects"],
            "shares": {
                row: {"front_share": 0.25, "feasible_share": 0.9, "best_share": 0.125}
                for row in rows
            },
        },
        bands={rows[0]: {GOALS[1]: (1.0, 9.0)}},
        **more,
    )


def written(place: Path, data: RunData, found: Inspected | None = None, **more: Any) -> str:
    """The address of the run's page, written to `place`."""
    text = page_html(page_document(data, found or inspected(data), **more))
    place.write_text(text, encoding="utf-8")
    return place.as_uri()


def chromium() -> str | None:
    """Where Debian's Chromium is."""
    return shutil.which("chromium")


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        made = started.chromium.launch(executable_path=chromium(), args=[*FLAGS])
        try:
            yield made
        finally:
            made.close()


if __name__ == "__main__":
    run_data = run(int(sys.argv[2]), extra=7)
    print(written(Path(sys.argv[1]), run_data))
