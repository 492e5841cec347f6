"""Studies: a space over a system, tasks, objectives, limits, and what may be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spec_files import Folder, filled

from dse.errors import SpecError, UnknownNameError
from dse.spec import Choice, Range
from dse.spec.catalog import Catalog
from dse.spec.space import parameters
from dse.spec.study import Constraint, Study, load_study


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with a stack, a chip of such stacks and a system of such chips."""
    return filled(tmp_path)


HEAD = """\
kind = "study"
name = "question"
doc = "Which?"
system = "box"
references = ["box", "gb200-nvl72"]
price_basis = "at-cost"
objectives = { tokens_per_usd = "max", chip_power_w = "min" }
"""
TASKS = """\
[[workloads]]
model = "llama-3.3-70b"
workload = "chat-decode"
weight = 0.75
[[workloads]]
model = "llama-3.1-8b"
workload = "long-prefill"
"""
SPACE = """\
[space]
"chip.dies" = { choice = [2, 4] }
"chip.die.core.count" = { range = [4, 16], step = 2 }
"chip.memory.stack" = { choice = ["stack", "hbm3-8h", { base = "stack", rate = "8 Gb/s" }] }
chip.scale_up.lanes = { choice = [8, 16] }
"system.chips" = 4
"""
LIMITS = """\
[constraints]
"chip.die.area" = "<= 830 mm2"
"rack.power" = "<= 200 kW"
"tpot@chat-decode" = "<= 50 ms"
mfu = ">= 10 %"
[search]
method = "random"
budget = 30
seed = 7
"""
WHOLE = HEAD + TASKS + SPACE + LIMITS


def read(folder: Folder, text: str, **settings: str) -> Study:
    """The study of a text."""
    pairs = [(path.replace("__", "."), value) for path, value in settings.items()]
    return load_study(str(folder.write(text)), folder.catalog, pairs)


@pytest.mark.parametrize("name", [e.name for e in Catalog.default().entries if e.kind == "study"])
def test_shipped_studies_load(name: str) -> None:
    """Every study of the catalogue is a space with tasks, objectives and references."""
    study = load_study(name, Catalog.default())
    assert study.name == name
    assert parameters(study.system)
    assert study.tasks
    assert study.objectives


def test_the_main_study_has_ten_parameters() -> None:
    """The study of the README frees at least ten parameters over the announced Trainium4."""
    study = load_study("trainium4-decode", Catalog.default())
    assert len(parameters(study.system)) >= 10
    assert {"chip.die.area", "rack.power"} <= {limit.name for limit in study.constraints}
    names = {system.name for system in study.references}
    assert {"trn2-ultraserver", "trn4-ultraserver", "gb200-nvl72"} <= names


def test_a_study_says_what_is_asked(folder: Folder) -> None:
    """Every part of the file is a part of the study."""
    study = read(folder, WHOLE)
    assert (study.name, study.doc, study.price_basis) == ("question", "Which?", "at-cost")
    assert study.objectives == {"tokens_per_usd": "max", "chip_power_w": "min"}
    assert [system.name for system in study.references] == ["box", "gb200-nvl72"]
    tasks = [(task.model.name, task.workload.name, task.weight) for task in study.tasks]
    assert tasks == [("llama-3.3-70b", "chat-decode", 0.75), ("llama-3.1-8b", "long-prefill", 1.0)]
    assert (study.method, study.budget, study.seed) == ("random", 30, 7)
    assert (study.software.name, study.facility.name) == ("default", "hyperscale-us")


def test_a_space_lies_over_the_system(folder: Folder) -> None:
    """Free values by path, quoted or dotted; choices of specs; and plain values."""
    study = read(folder, WHOLE)
    free = parameters(study.system)
    assert free["chip.dies"] == Choice([2, 4])
    assert free["chip.die.core.count"] == Range(low=4, high=16, step=2, whole=True)
    assert free["chip.scale_up.lanes"] == Choice([8, 16])
    rates = [(stack.name, stack.rate) for stack in free["chip.memory.stack"].levels()]
    assert rates[0] == ("stack", 4e9 / 8)
    assert rates[2] == ("stack", 8e9 / 8)
    assert study.system.chips == 4
    assert study.system.chip.power == 0.0
    assert study.references[0].chip.power == 400.0


def test_a_space_may_speak_of_a_variant(folder: Folder) -> None:
    """A table with `base` in the space is a reference with what differs."""
    text = WHOLE.replace(
        '"chip.dies"', '"chip.packaging" = { base = "cowos-l", spacing = 1.5 }\n"chip.dies"'
    )
    study = read(folder, text)
    packaging = study.system.chip.packaging
    assert (packaging.name, packaging.spacing) == ("cowos-l", 1.5)


def test_settings_lie_over_the_space(folder: Folder) -> None:
    """--set fixes what the space left free, and frees what it left fixed."""
    study = read(folder, WHOLE, chip__dies="4", chips="{ choice = [4, 8] }")
    assert study.system.chip.dies == 4
    assert "chip.dies" not in parameters(study.system)
    assert parameters(study.system)["chips"] == Choice([4, 8])


def test_constraints_are_metrics_with_limits(folder: Folder) -> None:
    """A limit has a metric, a side, a value in SI, and a workload if it is for one only."""
    found = {limit.name: limit for limit in read(folder, WHOLE).constraints}
    assert found["chip.die.area"].limit == pytest.approx(830e-6)
    assert found["rack.power"] == Constraint(
        text="rack.power <= 200 kW", name="rack.power", metric="rack_power_w", limit=200e3
    )
    assert (found["tpot"].metric, found["tpot"].workload) == ("tpot_s", "chat-decode")
    assert (found["mfu"].upper, found["mfu"].limit) == (False, pytest.approx(0.1))


def test_paths_of_files_are_relative_to_the_study(folder: Folder, tmp_path: Path) -> None:
    """A study may name a system's file beside it, wherever it is run from."""
    text = WHOLE.replace('system = "box"', 'system = "box.toml"')
    assert read(folder, text).system.name == "box"


def test_defaults_are_stated_once(folder: Folder) -> None:
    """Without limits, references and a search a study is whole."""
    head = "\n".join(line for line in HEAD.splitlines() if "references" not in line)
    study = read(folder, f"{head}\n{TASKS}{SPACE}")
    assert (study.references, study.constraints) == ((), ())
    assert (study.method, study.budget, study.seed) == ("hybrid", 2000, 0)


FAULTS: dict[str, tuple[str, str, str, str, str]] = {
    # name: text to replace, by what, path, message, expected or hint
    "unknown field": ("doc =", "dok =", "dok", "unknown field", "'doc'"),
    "name": ('"question"', '"other"', "name", "not the file's", '"question"'),
    "unknown system": ('= "box"\n', '= "bax"\n', "system", "no system is named 'bax'", "'box'"),
    "no system": ('system = "box"\n', "", "system", "found nothing", "a system's name"),
    "unknown reference": ("gb200-nvl72", "gb20-nvl72", "references.1", "no system", "'gb200"),
    "references": ('["box", "gb200-nvl72"]', '"gb200-nvl72"', "references", 'found "gb2', "list"),
    "price basis": ('"at-cost"', '"at-kost"', "price_basis", "at-kost", "'at-cost'"),
    "no price basis": ('price_basis = "at-cost"\n', "", "price_basis", "nothing", "merchant"),
    "metric": ("tokens_per_usd", "tokens_per_us", "objectives.tokens_per_us", "metric", "usd'"),
    "sense": ('"min"', '"less"', "objectives.chip_power_w", "less", '"max" or "min"'),
    "unknown model": ("llama-3.1-8b", "llama-8b", "workloads.1.model", "no model", "3.1-8b'"),
    "unknown workload": ("long-pre", "short-pre", "workloads.1.workload", "no workload", "prefill"),
    "no workload": ('workload = "long-prefill"\n', "", "workloads.1.workload", "nothing", "name"),
    "field of a task": ("weight =", "wait =", "workloads.0.wait", "unknown", "'weight'"),
    "no weight": ("0.75", "0", "workloads.0.weight", "found 0", "above zero"),
    "negative weight": ("0.75", "-1", "workloads.0.weight", "found -1", "above zero"),
    "weight yes": ("0.75", "true", "workloads.0.weight", "found true", "above zero"),
    "space path": ('"chip.dies"', '"chip.dyes"', "chip.dyes", "has no field 'dyes'", "'dies'"),
    "space value": ("[2, 4]", "[2, 99]", "chip.dies", "99 is out of bounds", "between 1 and 64"),
    "space key": ("{ choice = [2", "{ choise = [2", "chip.dies", "found {", "{ choice = [...] }"),
    "space name": ('"hbm3-8h"', '"hbm-8h"', "chip.memory.stack.choice.1", "no memory", "hbm3-8h"),
    "space unit": ('"8 Gb/s"', '"8 W"', "chip.memory.stack.choice.2.rate", "energy", "Gb/s"),
    "reversed": ("[4, 16]", "[16, 4]", "chip.die.core.count", "out of order", "[low, high]"),
    "limit": ('"rack.power"', '"rack.pwer"', "constraints.rack.pwer", "unknown", "'rack.power'"),
    "limit's unit": ("830 mm2", "830 mm", "constraints.chip.die.area", "is length", "mm2"),
    "limit's side": ('"<= 200 kW"', '"200 kW"', "constraints.rack.power", "200 kW", '"<= 1.5 kW"'),
    "limit's number": ("<= 50", ">= 50", "constraints.tpot@chat-decode", "from below", "<= 1.5 ms"),
    "limit's task": ("@chat", "@chit", "constraints.tpot@chit-decode", "no workload", "chat"),
    "method": ('"random"', '"randm"', "search.method", "randm", "'random'"),
    "budget": ("budget = 30", "budget = 0", "search.budget", "found 0", "at least 1"),
    "seed": ("seed = 7", 'seed = "7"', "search.seed", 'found "7"', "a whole number"),
    "search": ("seed =", "sed =", "search.sed", "unknown field", "'seed'"),
    "kind": ('kind = "study"', 'kind = "chip"', "kind", "found kind 'chip'", "study"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_study_has_its_place(folder: Folder, name: str) -> None:
    """Each fault names the study's line, the path, what was found and what was expected."""
    old, new, path, message, helpful = FAULTS[name]
    text = WHOLE.replace(old, new, 1)
    file = folder.write(text, "question")
    with pytest.raises(SpecError) as caught:
        load_study(str(file), folder.catalog)
    (found,) = caught.value.findings
    assert (found.file, found.path) == (str(file), path)
    if new:
        assert found.line == WHOLE.count("\n", 0, WHOLE.index(old)) + 1
    assert message in found.message
    assert helpful in found.expected + found.hint


def test_all_faults_of_a_study_come_at_once(folder: Folder) -> None:
    """Faults of every part of the file, of the space's paths and values, are one error."""
    text = WHOLE
    wrong = ("unknown field", "price basis", "unknown reference", "sense", "no weight", "limit")
    for name in (*wrong, "space path", "space name", "reversed", "budget"):
        text = text.replace(*FAULTS[name][:2], 1)
    assert len({f.line for f in folder.faults(text)}) == 10


@pytest.mark.parametrize(
    ("space", "path"),
    [
        ('"chip.memory.stack.rate" = { choice = ["1 Gb/s"] }', "chip.memory.stack"),
        ('"system.chip" = "part"', "chip"),
        ('"system.chip.dies" = { choice = [2, 3] }', "chip.dies"),
        ("chip.dies = { choice = [2, 3] }", "chip.dies"),
    ],
)
def test_paths_of_a_space_may_not_hold_each_other(folder: Folder, space: str, path: str) -> None:
    """Two entries that speak of one thing are refused: the order of a table means nothing."""
    found = folder.faults(WHOLE.replace("[space]", f"[space]\n{space}"))
    assert any("lies inside" in f.message or "said twice" in f.message for f in found)
    assert any(path in f.path for f in found)


@pytest.mark.parametrize("space", ["", "[space]\n", '[space]\n"chip.dies" = 4\n'])
def test_a_study_without_anything_free_is_refused(folder: Folder, space: str) -> None:
    """A space without a free parameter is empty."""
    found = folder.fault(HEAD + TASKS + space + LIMITS)
    assert (found.path, found.message) == ("space", "an empty space")


def test_what_is_only_uncertain_is_no_space(folder: Folder) -> None:
    """Uncertain values are sampled, so that they leave nothing to search."""
    text = '[space]\n"chip.power" = { low = "1 W", mode = "2 W", high = "3 W" }\n'
    assert folder.fault(HEAD + TASKS + text + LIMITS).message == "an empty space"


def test_settings_of_a_study_are_checked_with_it(folder: Folder) -> None:
    """A fault of --set stands beside those of the file, and names --set."""
    with pytest.raises(SpecError) as caught:
        read(folder, WHOLE.replace("[2, 4]", "[2, 99]"), chip__dyes="4")
    assert [Path(f.file).name for f in caught.value.findings] == ["--set", "question.toml"]


def test_faults_below_a_study_name_their_file(folder: Folder) -> None:
    """A system that is at fault is reported in its own file, also if it cannot be read."""
    folder.write('kind = "system"\nname = "bad"\nbase = "box"\nchips = 0\n')
    found = folder.fault(WHOLE.replace('["box"', '["bad"'))
    assert (Path(found.file).name, found.line, found.path) == ("bad.toml", 4, "chips")
    (folder.path / "bad.toml").write_bytes(b'kind = "system"\nname = "bad"\n\xff')
    found = folder.fault(WHOLE.replace('["box"', '["bad"'))
    assert (Path(found.file).name, found.line) == ("bad.toml", 3)


def test_a_study_that_is_not_there(folder: Folder) -> None:
    """An unknown name gives the nearest; a file that does not exist is named."""
    folder.write(WHOLE)
    with pytest.raises(UnknownNameError, match="did you mean 'question'"):
        load_study("qestion", folder.catalog)
    with pytest.raises(SpecError, match="no such file"):
        load_study("nowhere.toml", folder.catalog)


@pytest.mark.parametrize("key", ["space", "constraints", "objectives", "search", "workloads"])
@pytest.mark.parametrize("value", ["3", '"x"', "[]", "[1]", "true"])
def test_a_part_of_another_type_is_a_finding(folder: Folder, key: str, value: Any) -> None:
    """A table that is no table is said to be none."""
    parts = {"objectives": HEAD.splitlines()[-1], "workloads": TASKS, "space": SPACE}
    text = WHOLE.replace(parts.get(key, LIMITS), "")
    assert any(f.path == key for f in folder.faults(f"{key} = {value}\n{text}"))


@pytest.mark.parametrize(
    ("operate", "words"),
    [
        ("tokens_per_joul", "did you mean 'tokens_per_joule'?"),
        ("chip_power_w", "one of all, tokens_per_usd"),
        ("all", "one workload that designs serve alone"),
    ],
)
def test_what_an_operator_cannot_choose_by_is_refused(
    folder: Folder, operate: str, words: str
) -> None:
    """A metric that no mapping changes, a slip, and every point of a mix of workloads."""
    with pytest.raises(SpecError) as caught:
        read(folder, HEAD + f'operate = "{operate}"\n' + TASKS + SPACE + LIMITS)
    assert words in str(caught.value)


def test_an_operator_maximises_the_first_objective_unless_told_otherwise(folder: Folder) -> None:
    """Without `operate` the first objective; a metric that mappings change may take its place."""
    assert read(folder, WHOLE).operate == "tokens_per_usd"
    other = HEAD + 'operate = "tpot_s"\n' + TASKS + SPACE + LIMITS
    assert read(folder, other).operate == "tpot_s"
