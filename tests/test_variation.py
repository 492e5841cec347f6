"""Variations of a study: NAME@VARIATION is the study with what stands there, over all its specs."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import Folder, filled

from dse.errors import Finding, InputError, SpecError
from dse.search.problem import StudyProblem
from dse.spec.catalog import Catalog
from dse.spec.load import load
from dse.spec.study import Study, load_study
from dse.spec.system import System
from dse.spec.variation import parted

QUESTION = """\
kind = "study"
name = "question"
doc = "Which?"
system = "box"
references = ["box", "gb200-nvl72", { system = "gb200-nvl72", price_basis = "merchant" }]
price_basis = "at-cost"
objectives = { tokens_per_usd = "max" }
[[workloads]]
model = "llama-3.1-8b"
workload = "chat-decode"
[space]
"chip.memory.stack" = { choice = ["stack", "hbm3-8h"] }
"chip.die.core.count" = { range = [4, 8], step = 2 }
[constraints]
"chip.die.area" = "<= 830 mm2"
[variations.dear]
doc = "Memory at 53 USD/GB, bought from merchants"
price_basis = "merchant"
[variations.dear.set]
"chip.memory.price" = "53 USD/GB"
"chip.memory.stack.idle_power" = "20 W"
"software.memory" = 0.4
"workload.weights" = "fp4"
"facility.energy_price" = "0.2 USD/kWh"
[variations.small.constraints]
"chip.die.area" = "<= 400 mm2"
"rack.power" = "<= 200 kW"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with a stack, a chip of such stacks, a system of such chips, and the question."""
    made = filled(tmp_path)
    made.write(QUESTION)
    return made


def read(folder: Folder, variation: str = "") -> Study:
    """The question, or its variation."""
    return load_study(f"question@{variation}" if variation else "question", folder.catalog)


def test_a_variation_lies_over_all_that_the_study_asks_with(folder: Folder) -> None:
    """Designs, references, workloads, software and facility take what `set` says of them."""
    study = read(folder, "dear")
    assert (study.name, study.price_basis) == ("question@dear", "merchant")
    assert study.doc == "Memory at 53 USD/GB, bought from merchants"
    assert study.system.chip.memory.price == pytest.approx(53e-9)
    assert [each.chip.memory.price for each in study.references] == [pytest.approx(53e-9)] * 2
    assert study.software.memory == 0.4
    assert study.tasks[0].workload.weights == "fp4"
    assert study.facility.energy_price == pytest.approx(0.2 / 3.6e6)


def test_what_is_set_below_a_choice_is_set_in_each_of_its_specs(folder: Folder) -> None:
    """A variation speaks of what the space leaves free: of every alternative."""
    levels = read(folder, "dear").system.chip.memory.stack.levels()
    assert [each.idle_power for each in levels] == [20.0, 20.0]


def test_the_study_itself_knows_its_variations_and_is_not_changed_by_them(folder: Folder) -> None:
    """Its own name, prices and specs, and the docs of the what-ifs."""
    study = read(folder)
    assert study.variations == {"dear": "Memory at 53 USD/GB, bought from merchants", "small": ""}
    assert (study.name, study.system.chip.memory.price) == ("question", 0.0)
    assert study.software.memory == load_study("trainium4-decode", folder.catalog).software.memory


def test_limits_of_a_variation_stand_beside_the_studys(folder: Folder) -> None:
    """A limit of the same name replaces it, another is added."""
    texts = [limit.text for limit in read(folder, "small").constraints]
    assert texts == ["chip.die.area <= 400 mm2", "rack.power <= 200 kW"]


def test_a_variation_is_searched_as_a_study_of_its_own(folder: Folder) -> None:
    """What differs has another fingerprint; a study that only gains a variation keeps its own."""
    plain = StudyProblem(read(folder)).fingerprint
    assert StudyProblem(read(folder, "dear")).fingerprint != plain
    folder.write(QUESTION + '[variations.more]\nprice_basis = "merchant"\n')
    assert StudyProblem(read(folder)).fingerprint == plain


def test_a_reference_may_be_paid_at_another_price(folder: Folder) -> None:
    """The same machine at cost and at a merchant's price, told apart by name, priced apart."""
    problem = StudyProblem(read(folder))
    _, cost, merchant = problem.evaluate_references()
    assert (cost["name"], merchant["name"]) == ("gb200-nvl72", "gb200-nvl72 (merchant)")
    assert (cost["price_basis"], merchant["price_basis"]) == ("at-cost", "merchant")
    assert merchant["metrics"]["capital"] > 1.5 * cost["metrics"]["capital"]
    assert merchant["metrics"]["tokens_per_joule"] == cost["metrics"]["tokens_per_joule"]


def test_what_wafers_cost_leaves_published_figures_alone(folder: Folder) -> None:
    """A published area holds at another yield and price of wafers, not at another clock."""

    def area(path: str, value: str) -> float:
        made = load(System, "gb200-nvl72", folder.catalog, [(f"chip.die.{path}", value)])
        return float(made.chip.die.area)

    published = area("node.wafer_price", "30000 USD")
    assert published > 0.0
    assert area("node.defect_density", "0.3 1/cm2") == published
    assert area("core.count", "70") == 0.0


FAULTS = {
    # name: what replaces what, the path and what is said
    "unknown": (
        'price_basis = "merchant"\n[',
        'prices = "merchant"\n[',
        "variations.dear.prices",
        "unknown field 'prices'",
    ),
    "basis": (
        'price_basis = "merchant"\n[',
        'price_basis = "dear"\n[',
        "price_basis",
        'found "dear"',
    ),
    "path": ("chip.memory.price", "chip.memory.prise", "chip.memory.prise", "has no field 'prise'"),
    "unit": ('53 USD/GB"\n"chip', '53 W"\n"chip', "chip.memory.price", "W"),
    "software": ("software.memory", "software.memry", "memry", "has no field"),
    "reference": (
        'price_basis = "merchant" }',
        'basis = "merchant" }',
        "references.2.basis",
        "unknown field 'basis'",
    ),
    "twice": ('"gb200-nvl72", {', '"gb200-nvl72", "box", {', "references", "stands twice"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_faults_of_variations_have_a_place(folder: Folder, fault: str) -> None:
    """What is wrong, at the line of the study's file."""
    old, new, path, said = FAULTS[fault]
    assert QUESTION.count(old) == 1
    text = QUESTION.replace(old, new)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row not in QUESTION.splitlines())
    folder.write(text)
    with pytest.raises(InputError) as raised:
        read(folder, "dear")
    finding = next(each for each in raised.value.findings if said in str(each))
    assert finding.path.endswith(path)
    assert (Path(finding.file).name, finding.line) == ("question.toml", line)


@pytest.mark.parametrize("name", ["trainium4-decode@", "@fp4", "@"])
def test_nothing_beside_the_mark_is_no_variation(name: str) -> None:
    """A name that lacks its study or its variation is refused, and no study is run in its place."""
    assert parted(name) == (name, "")
    with pytest.raises(InputError, match=f"no study is named '{name}'"):
        load_study(name, Catalog.default())


def test_a_variation_that_is_not_there_names_the_nearest(folder: Folder) -> None:
    """The names that are there, and the one that was meant."""
    with pytest.raises(SpecError) as raised:
        read(folder, "deer")
    (finding,) = raised.value.findings
    assert isinstance(finding, Finding)
    assert "no variation is named 'deer'" in str(finding)
    assert "dear" in finding.hint
