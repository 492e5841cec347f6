"""Small spec files for tests: written into a folder that is looked up before the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import Finding, InputError
from dse.spec import KINDS
from dse.spec.catalog import Catalog, shipped
from dse.spec.load import load
from dse.spec.study import load_study

STACK = """\
kind = "memory"
name = "stack"
capacity = "16 GB"
width = 1024
rate = "4 Gb/s"
price = "10 USD/GB"
[sources]
capacity = { ref = "book A", confidence = "vendor" }
price = { ref = "book A, prices", confidence = "vendor" }
rate = { ref = "book A, rates", confidence = "vendor" }
"""

CHIP = """\
kind = "chip"
name = "part"
dies = 2
power = "400 W"
packaging = "cowos-s"
[die]
node = "n5"
area = "600 mm2"
[die.core]
count = 4
clock = "2 GHz"
sram = "24 MiB"
[memory]
stack = "stack"
stacks = 4
[sources]
dies = { ref = "book B", confidence = "vendor" }
"die.core" = { ref = "book B, cores", confidence = "vendor" }
"chip.die.core.sram" = { ref = "book B, memory", confidence = "third-party" }
power = { ref = "book B, power", confidence = "vendor" }
memory = { ref = "book B, stacks", confidence = "vendor" }
"""

SYSTEM = """\
kind = "system"
name = "box"
chip = "part"
chips = 8
"""

VARIANT = 'kind = "chip"\nname = "variant"\nbase = "part"\n'


class Folder:
    """A spec folder under test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str, name: str = "") -> Path:
        """Write a file named as the spec it holds."""
        name = name or text.split('name = "')[1].split('"')[0]
        file = self.path / f"{name}.toml"
        file.write_text(text)
        return file

    @property
    def catalog(self) -> Catalog:
        """A catalogue that reads the files as they are now."""
        return Catalog(folders=(self.path, *shipped()))

    def load(self, kind: str, name: str, **settings: str) -> object:
        """A spec of this folder; `settings` have two underscores for a dot."""
        pairs = [(path.replace("__", "."), value) for path, value in settings.items()]
        return load(KINDS[kind], name, self.catalog, pairs)

    def faults(self, text: str) -> tuple[Finding, ...]:
        """What is wrong with a file; fails if nothing is."""
        kind = text.split('kind = "')[1].split('"')[0]
        file = self.write(text)
        try:
            if kind == "study":
                load_study(str(file), self.catalog)
            else:
                load(KINDS[kind], file.stem, self.catalog)
        except InputError as error:
            return error.findings
        return pytest.fail(f"nothing is wrong with {file}")

    def fault(self, text: str) -> Finding:
        """The one thing that is wrong with a file."""
        (finding,) = self.faults(text)
        return finding


def filled(path: Path) -> Folder:
    """A folder with a stack, a chip of such stacks and a system of such chips."""
    made = Folder(path)
    for text in (STACK, CHIP, SYSTEM):
        made.write(text)
    return made
