"""Loading: bases, overrides, references, published figures, and where numbers come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from spec_files import CHIP, SYSTEM, VARIANT, Folder, filled

from dse.spec import Chip
from dse.spec.load import load, setting
from dse.spec.space import source_of


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with a stack, a chip of such stacks and a system of such chips."""
    return filled(tmp_path)


def ref(spec: Any, path: str) -> str:
    """What the source of a leaf refers to."""
    source = source_of(spec, path)
    return source.ref if source else ""


# ---------------------------------------------------------------- bases and overrides


def test_a_variant_keeps_what_it_does_not_say(folder: Folder) -> None:
    """A table laid over its base changes the leaves it names and no others."""
    folder.write(VARIANT + "[die.core]\ncount = 6\n")
    chip = folder.load("chip", "variant")
    assert (chip.die.core.count, chip.die.core.clock, chip.memory.stacks) == (6, 2e9, 4)
    assert chip.name == "variant"


def test_a_reference_by_name_is_that_spec(folder: Folder) -> None:
    """A name stands for the whole spec of that name."""
    chip = folder.load("chip", "part")
    assert chip.memory.stack == folder.load("memory", "stack")
    assert chip.memory.bandwidth == 4 * 1024 * 4e9 / 8


def test_a_table_with_base_is_that_spec_but(folder: Folder) -> None:
    """A table with `base` in place of a name changes what it says of the spec it names."""
    folder.write(VARIANT + '[memory]\nstack = { base = "hbm3-8h", rate = "6 Gb/s" }\n')
    stack = folder.load("chip", "variant").memory.stack
    other = folder.load("memory", "hbm3-8h")
    assert stack.rate == 6e9 / 8
    assert (stack.capacity, stack.energy) == (other.capacity, other.energy)


def test_a_table_without_base_speaks_of_the_inherited_reference(folder: Folder) -> None:
    """Over a reference that the base named, a table changes that spec only where it says so."""
    folder.write(VARIANT + '[memory.stack]\nrate = "5 Gb/s"\n')
    stack = folder.load("chip", "variant").memory.stack
    assert (stack.rate, stack.capacity) == (5e9 / 8, 16e9)


def test_a_table_speaks_of_each_spec_of_an_inherited_choice(folder: Folder) -> None:
    """Over a choice of specs, a table changes every one of them."""
    folder.write(VARIANT + '[memory]\nstack = { choice = ["stack", "hbm3-8h"] }\n')
    folder.write('kind = "chip"\nname = "third"\nbase = "variant"\n[memory.stack]\nwidth = 512\n')
    choice = folder.load("chip", "third").memory.stack
    assert [stack.width for stack in choice.values] == [512, 512]
    assert [stack.capacity for stack in choice.values] == [16e9, 16 * 1024**3]


def test_the_nearest_of_several_bases_wins(folder: Folder) -> None:
    """Through a chain of bases the value nearest to the spec holds."""
    folder.write(VARIANT + '[die.core]\ncount = 6\nclock = "1 GHz"\n')
    folder.write('kind = "chip"\nname = "third"\nbase = "variant"\ndie.core.count = 8\n')
    core = folder.load("chip", "third").die.core
    assert (core.count, core.clock, core.sram) == (8, 1e9, 24 * 2**20)


def test_set_changes_a_leaf_through_references(folder: Folder) -> None:
    """A path may lead through references, and may begin with the kind's own name."""
    for path in ("chip__memory__stack__rate", "system__chip__memory__stack__rate"):
        system = folder.load("system", "box", **{path: "8 Gb/s"})
        assert system.chip.memory.stack.rate == 1e9
        assert system.chip.memory.stack.capacity == 16e9


def test_set_may_name_another_spec(folder: Folder) -> None:
    """A reference is set by name; a later path speaks of the spec that was set."""
    system = folder.load(
        "system", "box", chip__memory__stack="hbm3-8h", chip__memory__stack__rate="3 Gb/s"
    )
    assert (system.chip.memory.stack.width, system.chip.memory.stack.rate) == (1024, 3e9 / 8)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("2.5", 2.5),
        ("true", True),
        ("2.4 GHz", "2.4 GHz"),
        ('"2.4 GHz"', "2.4 GHz"),
        ("hbm3-8h", "hbm3-8h"),
        ("{ choice = [2, 4] }", {"choice": [2, 4]}),
        ("1\nother = 2", "1\nother = 2"),
        ("nan", "nan"),
        ("[" * 1000, "[" * 1000),
        ("", ""),
    ],
)
def test_a_setting_is_toml_or_text(text: str, value: object) -> None:
    """What is one TOML value is that value; everything else is the text itself."""
    assert setting(text) == value


def test_a_file_is_read_once_for_a_catalogue_and_again_for_the_next(folder: Folder) -> None:
    """A new catalogue sees what a file says now."""
    before = folder.catalog
    assert load(Chip, "part", before).dies == 2
    folder.write(CHIP.replace("dies = 2", "dies = 3"))
    assert load(Chip, "part", before).dies == 2
    assert load(Chip, "part", folder.catalog).dies == 3


# ---------------------------------------------------------------- published figures


@pytest.mark.parametrize(
    ("path", "value", "power", "area"),
    [
        ("volume", "2e6", 400.0, 600e-6),
        ("memory__reserve", "0.1", 400.0, 600e-6),
        ("packaging", "cowos-l", 400.0, 600e-6),
        ("dies", "2", 400.0, 600e-6),
        ("dies", "3", 0.0, 0.0),
        ("die__core__clock", "2.1 GHz", 0.0, 0.0),
        ("die__node", "n3p", 0.0, 0.0),
        ("memory__stack", "hbm3-8h", 0.0, 0.0),
        ("memory__stack__rate", "5 Gb/s", 0.0, 0.0),
        ("memory__stacks", "{ choice = [4, 6] }", 0.0, 0.0),
        ("scale_up__lanes", "8", 0.0, 0.0),
        ("power", "500 W", 500.0, 600e-6),
        ("die__area", "500 mm2", 0.0, 500e-6),
    ],
)
@pytest.mark.parametrize("kind", ["chip", "system"])
def test_published_figures_hold_for_the_part_as_published(
    folder: Folder, kind: str, path: str, value: str, power: float, area: float
) -> None:
    """Power and die area fall to 0, derived, when what they hold for changes; else they stay."""
    if kind == "chip":
        chip = folder.load("chip", "part", **{path: value})
    else:
        chip = folder.load("system", "box", **{f"chip__{path}": value}).chip
    assert (chip.power, chip.die.area) == (power, pytest.approx(area))


def test_a_variant_may_publish_figures_of_its_own(folder: Folder) -> None:
    """What a variant says itself stays, whatever else it changes."""
    folder.write(VARIANT + 'dies = 4\npower = "900 W"\n')
    chip = folder.load("chip", "variant")
    assert (chip.power, chip.die.area) == (900.0, 0.0)


def test_figures_of_an_inline_variant_fall_away_too(folder: Folder) -> None:
    """A figure said over a reference is gone after a change, and its base's does not come back."""
    folder.write(SYSTEM.replace('"part"', '{ base = "part", power = "450 W" }'))
    assert folder.load("system", "box").chip.power == 450.0
    assert folder.load("system", "box", chip__volume="2e6").chip.power == 450.0
    assert folder.load("system", "box", chip__dies="3").chip.power == 0.0


# ---------------------------------------------------------------- sources


def test_a_source_speaks_of_a_path_and_all_below_it(folder: Folder) -> None:
    """The longest path wins; a leading kind name is optional."""
    chip = folder.load("chip", "part")
    assert ref(chip, "die.core.count") == "book B, cores"
    assert ref(chip, "die.core.sram") == "book B, memory"
    assert ref(chip, "die.area") == ""


def test_sources_may_be_written_with_dotted_keys(folder: Folder) -> None:
    """`die.core = {...}` in [sources] is the same as `"die.core" = {...}`."""
    folder.write(CHIP.replace('"die.core"', "die.core"))
    assert ref(folder.load("chip", "part"), "die.core.count") == "book B, cores"


def test_a_number_brings_its_source_along(folder: Folder) -> None:
    """What a variant and a reference inherit keeps its source; what it sets loses it."""
    folder.write(VARIANT + "[die.core]\ncount = 6\n")
    chip = folder.load("chip", "variant")
    assert ref(chip, "die.core.clock") == "book B, cores"
    assert ref(chip, "die.core.count") == "not given"
    assert ref(folder.load("system", "box"), "chip.die.core.count") == "book B, cores"


def test_set_has_no_source(folder: Folder) -> None:
    """A number from the command line does not borrow the source of the one it replaces."""
    system = folder.load("system", "box", chip__die__core__sram="32 MiB")
    assert ref(system, "chip.die.core.sram") == "not given"
    assert ref(system, "chip.die.core.count") == "book B, cores"


def test_the_source_of_a_variant_is_its_own_for_what_it_sets(folder: Folder) -> None:
    """A short path of the variant wins over a longer one of its base where the variant sets it."""
    text = '[die.core]\nsram = "32 MiB"\n[sources]\n"die.core" = { ref = "book C" }\n'
    folder.write(VARIANT + text)
    chip = folder.load("chip", "variant")
    assert ref(chip, "die.core.sram") == "book C"
    assert ref(chip, "die.core.clock") == "book C"
    folder.write(VARIANT + '[sources]\n"die.core" = { ref = "book C" }\n')
    assert ref(folder.load("chip", "variant"), "die.core.sram") == "book B, memory"


def test_sources_inside_a_reference_stay_with_it(folder: Folder) -> None:
    """A source of a reference does not speak of numbers that stand in the other file."""
    chip = folder.load("chip", "part")
    assert ref(chip, "memory.stacks") == "book B, stacks"
    assert ref(chip, "memory.stack.price") == "book A, prices"


def test_a_leaf_set_inside_a_reference_has_the_outer_source(folder: Folder) -> None:
    """Of two equally long paths the outer spec's wins, and a short one covers what it sets."""
    folder.write(CHIP.replace('"stack"', '{ base = "stack", rate = "5 Gb/s" }'))
    chip = folder.load("chip", "part")
    assert ref(chip, "memory.stack.rate") == "book B, stacks"
    assert ref(chip, "memory.stack.price") == "book A, prices"


def test_a_replaced_reference_takes_its_sources_along(folder: Folder) -> None:
    """Sources of numbers inside a reference do not outlive it."""
    inner = CHIP.replace('"stack"', '{ base = "stack", rate = "5 Gb/s" }')
    folder.write(inner + '"memory.stack.rate" = { ref = "a tuned rate" }\n')
    folder.write(VARIANT + '[memory]\nstack = "stack"\n')
    assert ref(folder.load("chip", "part"), "memory.stack.rate") == "a tuned rate"
    assert ref(folder.load("chip", "variant"), "memory.stack.rate") == "book A, rates"


def test_a_pipe_in_a_folder_is_not_waited_for(folder: Folder) -> None:
    """A folder may hold anything: what is no regular file is passed over."""
    os.mkfifo(folder.path / "pipe.toml")
    (folder.path / "digits.toml").write_text("x = " + "1" * 5000)
    (folder.path / "latin.toml").write_bytes(b'name = "\xff"')
    assert folder.load("chip", "part").name == "part"
