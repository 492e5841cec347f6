"""README: what it shows is what happens."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.evidence.fit_errors import KINDS
from dse.evidence.measured import FITS, measured_folder
from dse.spec.catalog import Catalog
from dse.spec.chip import Chip
from dse.spec.load import load

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The gradient of tokens per dollar comes back as a System; bandwidth has a positive share."""
    (example,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    elasticity = names["elasticity"]
    assert 0.0 < float(elasticity) < 1.0  # type: ignore[arg-type]
    assert "more tokens per dollar" in capsys.readouterr().out


def test_the_chip_of_the_language_section_loads(tmp_path: Path) -> None:
    """The variant has what it says and inherits the rest; its published figures fall away."""
    text, schema = blocks("toml")
    assert schema.startswith("#:schema")
    (tmp_path / "trainium4-wide.toml").write_text(text)
    catalog = Catalog.default([tmp_path])
    wide, announced = (load(Chip, name, catalog) for name in ("trainium4-wide", "trainium4"))
    assert (wide.dies, wide.die.core.count, wide.memory.stacks) == (4.0, 8.0, 12.0)
    assert wide.die.core.array == announced.die.core.array


def test_the_accuracy_table_is_the_generated_one() -> None:
    """Each line of README's errors repeats a line that `dse validate --markdown` wrote."""
    page = Path(__file__).parent.parent / "specs" / "measured" / "README.md"
    first = page.read_text(encoding="utf-8").split("<!-- errors")[1].split("\n\n")[1]
    generated = {tuple(float(f"{cell:.3g}") for cell in line) for line in _numbers(first)}
    section = README.split("## Accuracy")[1].split("\n## ")[0].split("five errors")[0]
    shown = _numbers(section)
    assert len(shown) == 8
    assert {line[:4] for line in shown} <= {line[:4] for line in generated}


def test_errors_of_fits_are_those_of_the_file() -> None:
    """Each line of README's second table repeats the means of a part of fits.csv."""
    with (measured_folder() / FITS).open(encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    parts: dict[tuple[str, str], dict[str, str]] = {}
    for line in lines:
        each = parts.setdefault((line["stack"], line["part"]), {})
        each[line["error"]] = f"{100.0 * float(line['mean']):.1f} %"
    section = README.split("## Accuracy")[1].split("\n## ")[0]
    table = section.split("| before any fit |")[1].split("\n\n")[0].strip().splitlines()[1:]
    known = {tuple(each.get(kind) for kind in KINDS) for each in parts.values()}
    shown = {tuple(cell.strip() for cell in line.split("|")[2:-1]) for line in table}
    assert len(shown) == 10
    assert shown <= known


def test_what_is_said_of_silicon_is_generated() -> None:
    """Die areas, design powers and node power: the medians and means that the page has."""
    page = Path(__file__).parent.parent / "specs" / "measured" / "README.md"
    made = page.read_text(encoding="utf-8")
    (area, worst), (power, _) = re.findall(r"Median error ([\d.]+) %, worst ([\d.]+) %", made)
    node = re.search(r"\| node power \| 66 \| ([\d.]+) ", made)
    assert node
    said = " ".join(README.split("Silicon is held")[1].split("\n\n")[0].split())
    assert f"within {area} % in the median ({worst} % at worst)" in said
    assert f"within {power} % (" in said
    assert f"within {node[1]} %." in said


def _numbers(table: str) -> list[tuple[float, ...]]:
    """The numbers of each line of a Markdown table, without those of its first column."""
    rows = [line.split("|")[2:-1] for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip(" %").replace(",", "") for cell in row] for row in rows]
    return [tuple(map(float, row)) for row in cells if re.fullmatch(r"[\d.]+", row[0])]


LINES = [
    # two systems at once are programs of their own
    pytest.param(line, marks=pytest.mark.slow if "--decode-system" in line else ())
    for line in re.findall(r"\| `(dse [^`]+)`", README)
]


@pytest.mark.parametrize("line", LINES)
def test_commands_of_the_table_are_commands(line: str) -> None:
    """Each command of the table has help; those that need no file run as they stand."""
    command, *arguments = shlex.split(line)[1:]
    runner = CliRunner()
    assert runner.invoke(cli, [command, "--help"]).exit_code == 0
    if command in ("list", "show", "eval", "compare"):
        assert runner.invoke(cli, [command, *arguments]).exit_code == 0, line
