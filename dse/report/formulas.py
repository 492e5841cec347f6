"""The formulas that matter, with the numbers of one operating point and where these come from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.text import Text

from dse.model.evaluator import Question
from dse.model.floorplan import die_area
from dse.model.manufacture import chip_log_yield, gross_dies, known_good_die
from dse.model.ownership import recovery
from dse.model.pytree import lower
from dse.report.figures import digits, with_unit
from dse.report.spec import shown
from dse.report.terminal import heading, note
from dse.spec.fields import Leaf
from dse.spec.space import leaf_at, source_of
from dse.spec.system import System

Document = dict[str, Any]


class Formula(NamedTuple):
    """One formula with its numbers in it, its value in SI, and the leaves that went in."""

    name: str
    text: str
    value: float
    unit: str
    paths: tuple[str, ...]


def formula_documents(system: System, question: Question, found: Any, index: int) -> list[Document]:
    """Each {name, text, value, unit, sources: [{path, shown, ref, confidence}]}, of one point.

    `found` is a Result with leaves [n], of which `index` is told; the system has no free values.
    """
    each = _Point(system, question, found, index)
    return [
        {
            "name": formula.name,
            "text": f"{formula.text} = {with_unit(formula.value, formula.unit)}",
            "value": formula.value,
            "unit": formula.unit,
            "sources": [_source(path, system, question) for path in formula.paths],
        }
        for formula in each.all()
    ]


def _source(path: str, system: System, question: Question) -> Document:
    head, _, rest = path.partition(".")
    part = getattr(question, head, None)
    spec, inner = (system, path) if part is None else (part, rest)
    leaf, value = leaf_at(type(spec), inner), spec
    for name in inner.split("."):
        value = getattr(value, name)
    assert isinstance(leaf, Leaf), "formulas name leaves"
    source = source_of(spec, inner)
    return {
        "path": path,
        "shown": shown(leaf, value),
        "ref": source.ref if source else "default of the field",
        "confidence": source.confidence if source else "assumption",
    }


class _Point:
    """Plain numbers of one operating point, SI."""

    def __init__(self, system: System, question: Question, found: Any, index: int) -> None:
        self.system, self.question = system, question
        self.facility, self.software = question.facility, question.software
        self.metrics = {name: float(value[index]) for name, value in found.metrics.items()}
        self.operation = found.operation
        self.cost = {n: float(v[index]) for n, v in found.cost._asdict().items()}
        self.made = found.design
        self.index = index

    def of(self, group: Any) -> dict[str, float]:
        """A named tuple of arrays as numbers."""
        return {name: float(value[self.index]) for name, value in group._asdict().items()}

    def all(self) -> Iterator[Formula]:
        """Every formula, from the chip's memory to the dollar."""
        yield from self._memory()
        yield self._arrays()
        yield from self._die()
        yield from self._money()
        yield from self._tokens()

    def _memory(self) -> Iterator[Formula]:
        memory, soft = self.system.chip.memory, self.software
        rate = memory.bandwidth * soft.memory
        paths = ("chip.memory.stacks", "chip.memory.stack.rate", "software.memory")
        held = self.of(self.operation.footprint)
        moved = self.of(self.operation.activity)["memory"]
        base = f"({with_unit(memory.bandwidth, 'TB/s')} x {digits(soft.memory)})"
        for name, size in (
            ("weights read once", held["weights"]),
            ("caches read once", held["key_values"]),
            ("all traffic of a step", moved),
        ):
            if size > 0.0 and rate > 0.0:
                text = f"bytes / (bandwidth x attained) = {with_unit(size, 'GB')} / {base}"
                yield Formula(f"memory: {name}", text, size / rate, "ms", paths)

    def _arrays(self) -> Formula:
        chip, soft = self.system.chip, self.software
        flops = self.of(self.operation.activity)["flops"]
        peak = 2.0 * chip.cell_rate * chip.die.core.array.rates.bf16
        text = (
            "FLOPs of a step / (BF16 peak x attained) = "
            f"{with_unit(flops, 'TFLOP')} / ({with_unit(peak, 'TFLOP/s')} x {digits(soft.matrix)})"
        )
        paths = ("chip.die.core.clock", "chip.die.core.array.rates.bf16", "software.matrix")
        return Formula("arrays, at BF16", text, flops / (peak * soft.matrix), "ms", paths)

    def _die(self) -> Iterator[Formula]:
        chip, low = self.system.chip, lower(self.system.chip)
        node, core = chip.die.node, chip.die.core
        area, good = float(die_area(low)), math.exp(float(chip_log_yield(low)))
        plain = (1.0 + area * node.defect_density / node.clustering) ** -node.clustering
        text = (
            "(1 + A D0 / alpha)^-alpha = "
            f"(1 + {with_unit(area, 'mm2')} x {with_unit(node.defect_density, '1/cm2')} / "
            f"{digits(node.clustering)})^-{digits(node.clustering)}"
        )
        paths = ("chip.die.node.defect_density", "chip.die.node.clustering")
        yield Formula("yield of a whole die", text, plain, "1", paths)
        if core.count:
            bad = f"at most {digits(core.spare)} of {digits(core.count)} cores bad"
            text = f"P[{bad}] x yield of the rest"
            spare = ("chip.die.core.spare", "chip.die.core.count")
            yield Formula("yield with spare cores", text, good, "1", spare)
        number, test = float(gross_dies(low.die.node, area)), chip.packaging.die_test
        text = (
            "wafer / (dies x yield) x (1 + test) = "
            f"{digits(node.wafer_price)} USD / ({digits(number)} x {digits(good)}) "
            f"x (1 + {digits(test)})"
        )
        paths = ("chip.die.node.wafer_price", "chip.packaging.die_test")
        yield Formula("known good die", text, float(known_good_die(low)), "USD", paths)

    def _money(self) -> Iterator[Formula]:
        place, low = self.facility, lower(self.facility)
        factor = float(recovery(low.server_life, low))
        text = (
            "r / (1 - (1 + r)^-n) = "
            f"{digits(place.cost_of_capital)} / (1 - {digits(1.0 + place.cost_of_capital)}^-"
            f"{digits(place.server_life / place.compounding_period)})"
        )
        paths = ("facility.cost_of_capital", "facility.server_life", "facility.compounding_period")
        yield Formula("capital recovered in a period", text, factor, "1", paths)
        yield self._energy()
        hours = [f"{name} {with_unit(value, 'USD/h')}" for name, value in self.cost.items()]
        text = f"({' + '.join(hours)}) / {digits(self.system.chips)} chips"
        each = self.metrics["usd_per_chip_hour"]
        yield Formula("a chip's hour", text, each, "USD/h", ("chips",))

    def _energy(self) -> Formula:
        place, watts = self.facility, self._watts()
        text = (
            "average power x PUE x price = "
            f"{with_unit(watts, 'kW')} x {digits(place.power_usage_effectiveness)} x "
            f"{with_unit(place.energy_price, 'USD/kWh')}"
        )
        paths = ("facility.power_usage_effectiveness", "facility.energy_price")
        value = watts * place.power_usage_effectiveness * place.energy_price
        return Formula("energy of the system", text, value, "USD/h", paths)

    def _watts(self) -> float:
        """Average power of one system, W."""
        return self.metrics["average_power_w"] * self.system.chips / self._chips()

    def _chips(self) -> float:
        return float(self.question.workload.chips or self.system.all_chips)

    def _tokens(self) -> Iterator[Formula]:
        kept = self.metrics["tokens_per_s"] * self.metrics["goodput"]
        use, chips = self.facility.utilisation, self._chips()
        hourly = self.metrics["usd_per_chip_hour"] * chips
        shared = f"{digits(kept)} tokens/s"
        text = (
            "tokens/s x utilisation / cost = "
            f"{shared} x {digits(use)} / {with_unit(hourly, 'USD/h')}"
        )
        paths = ("facility.utilisation",)
        yield Formula("tokens for a dollar", text, kept * use / hourly, "1/USD", paths)
        meter = self.metrics["average_power_w"] * self.facility.power_usage_effectiveness
        text = f"tokens/s / power at the meter = {shared} / {with_unit(meter, 'kW')}"
        paths = ("facility.power_usage_effectiveness",)
        yield Formula("tokens for a joule", text, kept / meter, "1/J", paths)


def formulas_view(documents: list[Document]) -> list[Any]:
    """The formulas, each with its sources below."""
    parts: list[Any] = [heading("Formulas, with the numbers of this operating point")]
    for each in documents:
        parts.append(Text(f"{each['name']}: {each['text']}"))
        for source in each["sources"]:
            said = ", ".join(dict.fromkeys((source["ref"], source["confidence"])))
            parts.append(note(f"  {source['path']} {source['shown']} [{said}]"))
    return parts
