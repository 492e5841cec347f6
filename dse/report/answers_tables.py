"""Tables of a results file, as text of 80 columns: what `studies/README.md` shows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dse.report.figures import digits, metric_number, percent
from dse.report.front import front_view, short_names
from dse.report.robust import robust_view
from dse.report.sensitivity import sensitivity_view
from dse.report.terminal import Column, columns_of, fitting, note, rendered, table

Document = Mapping[str, Any]

MILLION = 1e6

LEAST = {"chip_cost_usd": "cheapest\nchip, USD", "chip_power_w": "coolest\nchip, W"}
"""Metrics of which a design that beats a reference may have least."""

WIDTH = 80
"""Columns of the tables."""


def text_of(view: Callable[..., Sequence[Any]]) -> Callable[..., str]:
    """A view as plain text, WIDTH columns wide."""

    @functools.wraps(view)
    def text(*given: Any) -> str:
        with columns_of(WIDTH):
            return rendered(*view(*given), plain=True).strip("\n")

    return text


@text_of
def front_text(results: Document, limit: int = 12) -> Sequence[Any]:
    """What `dse front` shows of the run."""
    return front_view(results, dict(results), limit)


@text_of
def levels_text(results: Document, *paths: str) -> Sequence[Any]:
    """What each level of parameters is worth: the best of each objective with it; default all."""
    names = short_names([parameter["path"] for parameter in results["parameters"]])
    goals = list(results["objectives"])
    rows = [(names[p], row) for p in paths or results["levels"] for row in results["levels"][p]]
    tops = {goal: _top(results, goal, rows) for goal in goals}
    columns = [
        Column("parameter", [_once(rows, place) for place in range(len(rows))]),
        Column("level", [row["level"] for _, row in rows], right=True),
    ]
    for goal in goals:
        values = [row["best"][goal] for _, row in rows]
        title = goal.replace("_", " ").replace(" per ", "\nper ")
        columns.append(Column(title, [metric_number(goal, v) for v in values], right=True))
        shares = ["-" if v is None else percent(v / tops[goal]) for v in values]
        columns.append(Column("of the\nbest", shares, right=True))
        if goal == goals[0]:
            columns.append(Column("in\nsamples", [_within(row) for _, row in rows], right=True))
            best = [percent(row["best_share"]) if "over" in row else "-" for _, row in rows]
            columns.append(Column("best\nin", best, right=True))
    return fitting(columns, keys=2)


def _within(row: Document) -> str:
    """What a level has, in ninety of 100 samples, of what is best at the specs' own numbers."""
    return _span(row["over"]) if "over" in row else "-"


def _span(band: Document) -> str:
    """Ends of a band of ratios, per cent."""
    return f"{100.0 * band['p5']:.0f}-{100.0 * band['p95']:.0f} %"


@text_of
def crossed_text(results: Document, *paths: str) -> Sequence[Any]:
    """The best design with each level of one parameter, over those of another: per cent of the best
    of all in the first objective, and ninety of a hundred samples."""
    goal = next(iter(results["objectives"]))
    rows = crossed(results, *paths)
    top = _top(results, goal, [("", row) for row in rows])
    one, other = ([*dict.fromkeys(row["levels"][place] for row in rows)] for place in (0, 1))
    cells = {tuple(row["levels"]): _crossed_cell(row, goal, top) for row in rows}
    names = short_names([parameter["path"] for parameter in results["parameters"]])
    columns = [Column(f"{names[paths[1]]}, % of the best", other)]
    columns += [Column(level, [cells[level, each] for each in other], right=True) for level in one]
    return fitting(columns)


def _crossed_cell(row: Document, goal: str, top: float) -> str:
    if row["best"][goal] is None:
        return "-"
    ends = (f"{100.0 * row['over'][key]:.0f}" for key in ("p5", "p95"))
    return f"{100.0 * row['best'][goal] / top:.1f} [{', '.join(ends)}]"


def crossed(results: Document, *paths: str) -> Sequence[Document]:
    """The rows of parameters that are told of together."""
    found = [group["rows"] for group in results["crossed"] if group["paths"] == [*paths]]
    if not found:
        raise LookupError(f"{' and '.join(paths)} are not told of together")
    rows: Sequence[Document] = found[0]
    return rows


def _top(results: Document, goal: str, rows: Sequence[tuple[str, Document]]) -> float:
    values = [row["best"][goal] for _, row in rows if row["best"][goal] is not None]
    return float(max(values) if results["objectives"][goal] == "max" else min(values))


def _once(rows: Sequence[tuple[str, Document]], place: int) -> str:
    """A parameter's name beside its first level."""
    return rows[place][0] if place == 0 or rows[place - 1][0] != rows[place][0] else ""


@text_of
def compare_text(results: Document) -> Sequence[Any]:
    """Systems by precision and price basis: tokens for a dollar and for a joule."""
    compared = results["compare"]
    rows, bases = compared["rows"], compared["bases"]
    usd = [Column("M tokens per USD", [row["name"] for row in rows])]
    for basis in bases:
        for name in compared["precisions"]:
            told = [row["figures"][name][basis] for row in rows]
            cells = [_cell(one, "tokens_per_usd", MILLION) for one in told]
            usd.append(Column(f"{basis}\n{name}", cells, right=True))
    for basis in bases:
        best = [(row["best"][basis], row["figures"]) for row in rows]
        cells = [_best_cell(name, figures, basis) for name, figures in best]
        usd.append(Column(f"{basis}\nat best", cells, right=True))
    joule = [Column("tokens per joule", [row["name"] for row in rows])]
    for name in compared["precisions"]:
        told = [row["figures"][name][bases[0]] for row in rows]
        cells = [_cell(one, "tokens_per_joule", 1.0) for one in told]
        joule.append(Column(name, cells, right=True))
    return [*fitting(usd), note(""), *fitting(joule)]


def _cell(told: Document, name: str, unit: float) -> str:
    return digits(told[name] / unit) if told["operates"] else "-"


def _best_cell(name: str | None, figures: Document, basis: str) -> str:
    """The precision with most tokens per dollar that a system operates in, and how many."""
    if name is None:
        return "-"
    return f"{_cell(figures[name][basis], 'tokens_per_usd', MILLION)} {name}"


@text_of
def beating_text(results: Document) -> Sequence[Any]:
    """What beats each reference by a margin: designs, cheapest and coolest chip, and a price."""
    rows = results["beating"]
    columns = [
        Column("beaten", [row["name"] for row in rows]),
        Column("designs", [f"{row['designs']:,}" for row in rows], right=True),
    ]
    for name, title in LEAST.items():
        found = [row["least"].get(name) for row in rows]
        cells = [metric_number(name, one[name]) if one else "-" for one in found]
        columns.append(Column(title, cells, right=True))
    prices = [row["price"] for row in rows]
    asked = [digits(one["usd_per_chip"], 3) if one else "-" for one in prices]
    columns.append(Column("the first\nat USD", asked, right=True))
    columns.append(Column("of its\nprice", [_factor(one) for one in prices], right=True))
    return fitting(columns)


def _factor(price: Document | None) -> str:
    return percent(price["factor"]) if price else "-"


@text_of
def variations_text(results: Document) -> Sequence[Any]:
    """Of each variation, its own front's best and what the study's best design attains in it."""
    varied, goals = results["variations"], list(results["objectives"])
    docs = [Column("variation", list(varied)), Column("", _of(varied, "doc"), fold=True)]
    columns = [Column("variation", list(varied))]
    for goal in goals:
        title = goal.replace("_", " ")
        best = [_metric(each["best"].get(goal), goal) for each in varied.values()]
        base = [_metric(each["base"].get(goal), goal) for each in varied.values()]
        today = _best_today(results, goal)
        bands = [each["over"].get(goal) for each in varied.values()]
        spans = [_span(band) if band else "-" for band in bands]
        columns += [
            Column(f"{title}\nbest", [metric_number(goal, value) for value in best], right=True),
            Column("of\nbase", [_share(value, today) for value in best], right=True),
            Column("in\nsamples", spans, right=True),
            Column("same\ndesign", [_share(value, today) for value in base], right=True),
        ]
    goal = goals[0]
    others = [Column(f"{goal} of", list(varied))]
    for reference in results["references"]:
        if reference["price_basis"] != results["price_basis"]:
            continue
        own = reference["metrics"][goal]
        found = [_reference(each, reference["name"]) for each in varied.values()]
        cells = [_share(one["metrics"][goal] if one else None, own) for one in found]
        others.append(Column(_broken(reference["name"]), cells, right=True))
    return [table(docs), note(""), *fitting(columns), note(""), *fitting(others)]


def _of(varied: Mapping[str, Document], key: str) -> list[str]:
    return [str(each[key]) for each in varied.values()]


def _metric(point: Document | None, goal: str) -> float | None:
    """A figure of a design; None where there is none, or where it breaks a rule."""
    return None if not point or point.get("violated") else point["metrics"][goal]


def _best_today(results: Document, goal: str) -> float:
    values = [point["metrics"][goal] for point in results["points"]]
    return float(max(values) if results["objectives"][goal] == "max" else min(values))


def _share(value: float | None, whole: float) -> str:
    return "-" if value is None else percent(value / whole)


def _reference(variation: Document, name: str) -> Document | None:
    return next((each for each in variation["references"] if each["name"] == name), None)


def _broken(name: str) -> str:
    """A name over two lines, where it has several parts."""
    first, _, rest = name.partition("-")
    return f"{first}\n{rest}"


@text_of
def robust_text(results: Document) -> Sequence[Any]:
    """The front's ends and knee, and the references, under samples of what is uncertain."""
    points = results["points"]
    kept = [p for p in points if p is points[0] or p is points[-1] or p.get("knee")]
    return robust_view(results, {**results, "points": kept})


@text_of
def leaning_text(results: Document) -> Sequence[Any]:
    """Inputs of the knee by elasticity x weakness of source."""
    found = results["sensitivity"]
    title = f"{results['study']}: number {found['rank']} of its front"
    return sensitivity_view(title, found["rows"], 0, by_source=True)


@text_of
def claims_text(questions: Document) -> Sequence[Any]:
    """What Trainium gives for a dollar over its rival, by task and prices: medians and bands."""
    claims = questions["claims"]
    bases = list(dict.fromkeys(" : ".join(claim["bases"]) for claim in claims))
    pairs = list(dict.fromkeys((claim["one"], claim["other"]) for claim in claims))
    made: list[Any] = []
    for pair in pairs:
        rows = [claim for claim in claims if (claim["one"], claim["other"]) == pair]
        tasks = list(dict.fromkeys((claim["model"], claim["workload"]) for claim in rows))
        columns = [Column(f"{pair[0]} over\n{pair[1]}", [f"{m} {w}" for m, w in tasks])]
        for basis in bases:
            told = [claim["advantage"] for claim in rows if " : ".join(claim["bases"]) == basis]
            title = basis.replace("design-", "").replace(" : ", "\n: ")
            columns.append(Column(title, [_band(t) for t in told], right=True))
        made += [*fitting(columns), note("")]
    return made[:-1]


def _band(told: Document | None) -> str:
    """Per cent more for a dollar: the median, and in brackets what 90 of 100 samples span."""
    if told is None:
        return "-"
    low, middle, high = (100.0 * told[name] for name in ("p5", "p50", "p95"))
    return f"{middle:+.0f} [{low:.0f}, {high:.0f}]"


@text_of
def bandwidth_text(questions: Document) -> Sequence[Any]:
    """What a per cent of memory bandwidth is worth in tokens a dollar, by machine and task."""
    rows = questions["bandwidth"]
    machines = list(dict.fromkeys(name for row in rows for name in row["elasticity"]))
    columns = [Column("% more for 1 % of bandwidth", machines)]
    for row in rows:
        cells = [row["elasticity"].get(name) for name in machines]
        title = f"{row['model']}\n{row['workload']}"
        columns.append(Column(title, ["-" if c is None else _about(c) for c in cells], right=True))
    ranks = [Column("rank correlation with", [f"{r['model']}, {r['workload']}" for r in rows])]
    for key, title in (
        ("rank_bandwidth", "TB/s\na dollar"),
        ("rank_flops", "BF16 FLOP/s\na dollar"),
    ):
        ranks.append(Column(title, [_about(row[key]) for row in rows], right=True))
    leads = [percent(row["bandwidth_leads"]) for row in rows]
    ranks.append(Column("bandwidth\nleads in", leads, right=True))
    return [*fitting(columns), note(""), *fitting(ranks)]


def _about(told: Document) -> str:
    """A figure at the specs' own numbers, and what 90 of 100 samples span."""
    return f"{told['value']:.2f} [{told['p5']:.2f}, {told['p95']:.2f}]"


OWN = "own-budget"
"""The variation in which a design may draw and cost what the announced one does."""


@text_of
def standing_text(studied: Sequence[Document]) -> Sequence[Any]:
    """The announced system against fronts: per cent of the best figure, by study and budget."""
    columns = [Column("% [90 of 100 samples]", [each["study"] for each in studied])]
    for goal in studied[0]["objectives"]:
        short = goal.removeprefix("tokens_").replace("_", " ")
        for title, found in (("of the\nfront's", _on_front), ("of its own\nbudget's", _on_own)):
            cells = [found(each, goal) for each in studied]
            columns.append(Column(f"{title}\n{short}", cells, right=True))
    return fitting(columns)


def _announced(results: Document, goal: str) -> float:
    """The figure of the system that a study varies, as it is."""
    own = _reference(results, results["system"])
    if own is None:
        raise LookupError(f"{results['study']} has no reference {results['system']}")
    return float(own["metrics"][goal])


def _on_front(results: Document, goal: str) -> str:
    return _standing(results, goal, _best_today(results, goal), results["announced"])


def _on_own(results: Document, goal: str) -> str:
    own = results["variations"][OWN]
    return _standing(results, goal, own["best"][goal]["metrics"][goal], own["announced"])


def _standing(results: Document, goal: str, best: float, bands: Document) -> str:
    ends = ", ".join(f"{100.0 * bands[goal][key]:.0f}" for key in ("p5", "p95"))
    return f"{100.0 * _announced(results, goal) / best:.0f} [{ends}]"
