"""Every chip and system that is asked for is there, and its aggregates follow from its parts."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from dse.errors import SpecError
from dse.model.evaluator import Question, evaluate
from dse.model.pytree import lower, stack
from dse.report.catalogue import faults
from dse.spec import Catalog, Chip, Facility, LanguageModel, Software, System, Workload, fixed, load
from dse.spec.fields import walk, walk_derived

SHIPPED = Catalog.default()


def words(text: str) -> list[str]:
    """The names of a text."""
    return text.split()


CHIPS = words(
    "inferentia1 inferentia2 trainium1 trainium2 trainium3 trainium4 graviton4 "
    "a10 a100-40gb a100-80gb l40s gh200 h100-sxm h200 h800 h20 b200 b300 gb200 gb300 vr200 "
    "rtx-pro-6000 tpu-v4 tpu-v5e tpu-v5p tpu-v6e tpu-v7 mi210 mi300x mi325x mi355x mi455x "
    "ascend-910c mtia-v2 mtia-400 maia-100 maia-200 mlu590 wse-3 openai-xpu"
)
SYSTEMS = words(
    "inf2-48xlarge trn1-32xlarge trn2-48xlarge trn2-ultraserver trn3-ultraserver-gen1 "
    "trn3-ultraserver-gen2 trn4-ultraserver trn4-ultraserver-ualink rainier ultracluster-100k "
    "a10-server a100-40gb-server a100-server l40s-server h100-server h200-server h800-server "
    "h20-server b200-server b300-server rtx-pro-6000-server gh200-server "
    "mi210-server mi300x-server mi325x-server mi355x-server "
    "gb200-nvl72 gb300-nvl72 vr200-nvl72 tpu-v4-pod tpu-v5e-pod tpu-v5p-pod tpu-v6e-pod "
    "tpu-v7-pod mi455x-helios-72 cloudmatrix384 minerva cs-3"
)
ALL = sorted(entry.name for entry in SHIPPED.entries if entry.kind == "system")


def system(name: str) -> System:
    """A shipped system, free values at their typical ones."""
    return fixed(load(System, name, SHIPPED))


def test_the_chips_and_systems_that_are_asked_for_are_there() -> None:
    """None is missing, and none has a fault or a number without a source."""
    entries = {(entry.kind, entry.name): entry for entry in SHIPPED.entries}
    wanted = [("chip", name) for name in CHIPS] + [("system", name) for name in SYSTEMS]
    assert [key for key in wanted if key not in entries] == []
    assert [str(f) for entry in entries.values() for f in faults(entry, SHIPPED)] == []


DIES = words("ascend-910 dojo-d1 gc200 groq-tsp mtia-v1 nnp-t t4 v100")
"""Chips whose published dies check the floorplan; no system of theirs is described."""


@pytest.mark.parametrize(
    "name", sorted(e.name for e in SHIPPED.entries if e.kind == "chip" and e.name not in DIES)
)
def test_a_chip_stands_for_a_system_that_holds_it(name: str) -> None:
    """Wherever a system is asked for, a chip's name gives its usual server or pod."""
    chip = load(Chip, name, SHIPPED)
    made = load(System, name, SHIPPED)
    assert made == load(System, chip.system, SHIPPED)
    assert made.chip == chip


@pytest.mark.parametrize("name", DIES)
def test_a_chip_without_a_system_says_so(name: str) -> None:
    """It is no error that such a chip exists; asking for its system is one."""
    with pytest.raises(SpecError, match=f"chip {name} has no usual system"):
        load(System, name, SHIPPED)


@pytest.mark.parametrize("name", ALL)
def test_aggregates_follow_from_parts(name: str) -> None:
    """FLOP/s, bytes, bandwidth of chip, system and world, multiplied out from declared leaves."""
    made = system(name)
    leaf = {path: value for path, _, value in walk(made)}
    derived = {path: value for path, _, value in walk_derived(made)}

    def product(*paths: str) -> float:
        return float(np.prod([leaf[path] for path in paths]))

    enabled = leaf["chip.die.core.count"] - leaf["chip.die.core.spare"]
    array = product("chip.die.core.array.rows", "chip.die.core.array.columns")
    cells = enabled * product("chip.dies", "chip.die.core.arrays") * array
    vector = "chip.die.core.vector."
    lanes = product(f"{vector}lanes", f"{vector}operations", f"{vector}clock")
    stack_rate = product("chip.memory.stack.width", "chip.memory.stack.rate")
    chips = product("chips", "domains")
    expected = {
        "chip.cores": leaf["chip.dies"] * enabled,
        "chip.cell_rate": cells * leaf["chip.die.core.clock"],
        "chip.vector_flops": leaf["chip.dies"] * enabled * lanes,
        "chip.sram_bytes": leaf["chip.dies"]
        * (enabled * leaf["chip.die.core.sram"] + leaf["chip.die.sram"]),
        "chip.memory.bandwidth": leaf["chip.memory.stacks"] * stack_rate,
        "chip.memory.capacity": product("chip.memory.stacks", "chip.memory.stack.capacity"),
        "chip.scale_up.bandwidth": product("chip.scale_up.lanes", "chip.scale_up.link.rate"),
        "all_chips": chips,
        "memory_bandwidth": chips * leaf["chip.memory.stacks"] * stack_rate,
        "memory_capacity": chips * product("chip.memory.stacks", "chip.memory.stack.capacity"),
        "scale_up_bandwidth": chips * product("chip.scale_up.lanes", "chip.scale_up.link.rate"),
    }
    assert {path: derived[path] for path in expected} == pytest.approx(expected, rel=1e-12)
    widest = {"bf16": ("fp32", "bf16"), "fp8": ("fp32", "bf16", "fp8")}
    for precision, wider in widest.items():
        rate = max(leaf[f"chip.die.core.array.rates.{name}"] for name in wider)
        peak = 2 * chips * cells * leaf["chip.die.core.clock"] * rate
        assert made.matrix_peak(precision) == pytest.approx(peak, rel=1e-12)


def test_every_system_has_finite_predictions() -> None:
    """All of them in one batch: decode and pretraining give numbers, feasible or not."""
    systems = stack([lower(system(name)) for name in ALL])
    for workload in ("chat-decode-bf16", "pretrain"):
        question = Question(
            model=load(LanguageModel, "llama-3.1-8b", SHIPPED),
            workload=load(Workload, workload, SHIPPED),
            software=load(Software, "default", SHIPPED),
            facility=load(Facility, "hyperscale-us", SHIPPED),
        )
        found = evaluate(systems, question)
        for path, value in jax.tree_util.tree_leaves_with_path(found.result.metrics):
            wrong = [name for name, v in zip(ALL, np.asarray(value), strict=True) if v != v]
            assert wrong == [], path
        for name, value in found.margins.items():
            assert np.isfinite(value).all(), name
