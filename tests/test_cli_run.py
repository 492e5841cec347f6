"""`dse run` and `dse front` on a tiny study: searched, resumed, refused, interrupted."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dse.cli import cli

STUDY = """\
kind = "study"
name = "{name}"
doc = "Which memory and clock serve chat best?"
system = "trn2-ultraserver"
references = ["trn2-ultraserver", "gb200-nvl72"]
price_basis = "at-cost"
objectives = {{ tokens_per_usd = "max", tokens_per_joule = "max" }}

[[workloads]]
model = "llama-3.3-70b"
workload = "chat-decode"

[space]
"chip.memory.stacks" = {{ choice = [2, 4, 6] }}
"chip.die.core.clock" = {{ choice = ["1.6 GHz", "1.8 GHz", "2.0 GHz", "2.2 GHz", "2.4 GHz"] }}
"chip.scale_up.lanes" = {{ choice = [40, 80, 120, 160, 200] }}

[constraints]
tpot = "<= {tpot}"
"chip.cost" = "<= 3000 USD"

[search]
method = "random"
budget = 60
seed = 3
"""


def write(folder: Path, name: str = "tiny", tpot: str = "60 ms", **changes: str) -> str:
    """A study of 75 designs."""
    text = STUDY.format(name=name, tpot=tpot)
    for old, new in changes.items():
        text = text.replace(old, new)
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def dse(*arguments: str) -> Result:
    """One command line, in this process."""
    result = CliRunner().invoke(cli, list(arguments))
    assert "Traceback" not in result.output
    assert "fault of dse itself" not in result.output
    return result


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a dse of its own has run the tiny study."""
    folder = tmp_path_factory.mktemp("searched")
    write(folder)
    done = subprocess.run(
        [sys.executable, "-m", "dse", "run", "tiny.toml"],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


def _environment() -> dict[str, str]:
    package = str(Path(__file__).resolve().parent.parent)
    return os.environ | {"PYTHONPATH": package, "PYTHONUNBUFFERED": "1"}


def test_a_run_shows_the_front_and_reports_on_stderr(searched: Path) -> None:
    """Data is on stdout, progress and the folder on stderr; the folder is runs/NAME."""
    shown, said = (searched / "stdout").read_text(), (searched / "stderr").read_text()
    assert "tokens" in shown
    assert "60 designs evaluated" in shown
    assert "60/60 designs" in said
    for words in ("/s", "feasible", "front", "hypervolume", "left", "runs/tiny"):
        assert words in said
    assert (searched / "runs" / "tiny" / "run.json").exists()


def test_the_front_has_the_shape_that_scripts_rely_on(searched: Path) -> None:
    """Points by path with margins that hold, named references, a certificate."""
    result = dse("front", str(searched / "runs" / "tiny"), "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["points"]
    for point in document["points"]:
        assert set(point["design"]) == {
            "chip.memory.stacks",
            "chip.die.core.clock",
            "chip.scale_up.lanes",
        }
        assert {"mapping", "metrics", "margins"} <= set(point)
        assert min(point["margins"].values()) >= 0.0
    assert [r["name"] for r in document["references"]] == ["trn2-ultraserver", "gb200-nvl72"]
    certificate = document["certificate"]
    assert certificate["space"] == 75
    assert certificate["evaluated"] == certificate["distinct"] == 60
    assert {"pruned", "hash"} <= set(certificate)


def test_the_table_holds_references_and_names_broken_rules(searched: Path) -> None:
    """References stand in the table and the plot; an infeasible one says what it breaks."""
    text = dse("front", str(searched / "runs" / "tiny")).stdout
    assert "A trn2-ultraserver" in text
    assert "B gb200-nvl72: infeasible, breaks chip.cost <= 3000 USD" in text
    assert "o designs on the front" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_front_as_a_picture(searched: Path, tmp_path: Path) -> None:
    """`--svg` writes a small standalone picture with units and the names of the references."""
    run, file = str(searched / "runs" / "tiny"), tmp_path / "front.svg"
    assert dse("front", run, "--svg", str(file)).exit_code == 0
    text = file.read_text()
    assert len(text) < 200_000
    for words in ("tokens per usd, 1/USD", "tokens per joule, 1/J", "gb200-nvl72"):
        assert words in text
    assert dse("front", run, "--svg", str(file), "--csv").exit_code == 2


def test_the_front_as_parquet_has_the_columns_of_the_csv(searched: Path, tmp_path: Path) -> None:
    """Names, types and figures: booleans, whole numbers, numbers and texts as they are."""
    duckdb = pytest.importorskip("duckdb")
    run, file = str(searched / "runs" / "tiny"), tmp_path / "front.parquet"
    assert dse("front", run, "--parquet", str(file)).exit_code == 0
    header, *rows = csv.reader(io.StringIO(dse("front", run, "--csv").stdout))
    with duckdb.connect() as connection:
        table = connection.read_parquet(str(file))
        types = dict(zip(table.columns, map(str, table.types), strict=True))
        figures = table.select("tokens_per_usd").fetchall()
    assert list(types) == header
    assert types["name"] == "VARCHAR"
    assert types["feasible"] == "BOOLEAN"
    assert types["tokens_per_usd"] == "DOUBLE"
    place = header.index("tokens_per_usd")
    assert [value for (value,) in figures] == pytest.approx([float(row[place]) for row in rows])
    missing = dse("front", run, "--parquet", str(tmp_path / "none" / "front.parquet"))
    assert missing.exit_code == 1


def test_a_run_as_a_page(searched: Path, tmp_path: Path) -> None:
    """Written whole beside the run, or where it is told; the model's parts are left out at will."""
    run, file = searched / "runs" / "tiny", tmp_path / "page.html"
    assert dse("report", str(run), "--no-model", "-o", str(file)).exit_code == 0
    text = file.read_text()
    for words in ("tokens_per_usd", "gb200-nvl72", "Content-Security-Policy", "plotly.js v"):
        assert words in text
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    done = dse("report", str(run), "--no-model", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["file"] == str(run / "report.html")
    assert said["bytes"] == (run / "report.html").stat().st_size
    assert said["details"] == 0
    assert "--no-model" in said["missing"]
    assert dse("report", str(run), "--json", "-o", "-").exit_code == 2
    (run / "report.html").unlink()
    assert dse("report", str(tmp_path / "nowhere")).exit_code == 1
    assert dse("report", str(run), "--watch", "-o", "-").exit_code == 2
    missing = str(tmp_path / "none" / "page.html")
    assert dse("report", str(run), "--no-model", "-o", missing).exit_code == 1


@pytest.mark.slow
def test_a_page_with_what_the_model_says(searched: Path, tmp_path: Path) -> None:
    """Front and references in full, curves, rooflines, ranked inputs, by the study's own file."""
    run, file = str(searched / "runs" / "tiny"), tmp_path / "page.html"
    done = dse("report", run, "--study", str(searched / "tiny.toml"), "-o", str(file))
    assert done.exit_code == 0
    found = re.search(r'id="data">(.*?)</script>', file.read_text(), re.DOTALL)
    assert found is not None
    document = json.loads(found.group(1))
    details = json.loads(zlib.decompress(base64.b64decode(document["details"])))
    assert {str(number) for number in document["front"]} <= set(details)
    assert {"ref:trn2-ultraserver", "ref:gb200-nvl72"} <= set(details)
    one = details[str(document["front"][0])]
    assert {"breakdown", "footprint", "power", "cost", "elasticities", "margins"} <= set(one)
    names = {each["name"] for each in document["curves"]}
    assert "gb200-nvl72" in names
    for each in document["rooflines"]:
        for point in each["points"]:
            roof = min(each["peak"], point["intensity"] * each["bandwidth"])
            assert 0.0 < point["rate"] <= roof * 1.001
    scores = [each["score"] for each in document["sources"]]
    assert scores == sorted(scores, reverse=True)
    assert document["missing"] == ""


def test_the_front_as_csv_and_json_agree(searched: Path, tmp_path: Path) -> None:
    """CSV has one row for each point and reference with the same figures."""
    run, file = str(searched / "runs" / "tiny"), tmp_path / "front.csv"
    assert dse("front", run, "--csv", "-o", str(file)).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    document = json.loads(dse("front", run, "--json").stdout)
    assert len(rows) == len(document["points"]) + len(document["references"])
    first = document["points"][0]["metrics"]["tokens_per_usd"]
    assert float(rows[0]["tokens_per_usd"]) == pytest.approx(first)


def test_limit_keeps_that_many_points(searched: Path) -> None:
    """--limit 1 leaves one design, references stay."""
    document = json.loads(
        dse("front", str(searched / "runs" / "tiny"), "--json", "--limit", "1").stdout
    )
    assert len(document["points"]) == 1
    assert len(document["references"]) == 2


def test_a_table_says_how_many_it_leaves_out(searched: Path) -> None:
    """--limit thins and counts the rest, --all does not; both at once contradict each other."""
    run = str(searched / "runs" / "tiny")
    number = len(json.loads(dse("front", run, "--json").stdout)["points"])
    assert number > 1
    short, whole = dse("front", run, "--limit", "1").stdout, dse("front", run, "--all").stdout
    assert f"{number - 1} more on the front are like these: --all shows them" in short
    assert "--all" not in whole
    assert dse("front", run, "--limit", "1", "--all").exit_code == 2


def test_a_run_is_found_by_its_name(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dse front tiny` reads runs/tiny of the current folder."""
    monkeypatch.chdir(searched)
    assert dse("front", "tiny", "--json").exit_code == 0


def test_a_finished_run_returns_at_once(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command evaluates nothing and changes no byte of the log."""
    monkeypatch.chdir(searched)
    log = searched / "runs" / "tiny" / "batches.jsonl"
    before = log.read_bytes()
    result = dse("run", "tiny.toml")
    assert result.exit_code == 0
    assert log.read_bytes() == before
    assert result.stdout == (searched / "stdout").read_text()


def test_another_seed_is_an_error_that_names_fresh(
    searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of another seed is not continued."""
    monkeypatch.chdir(searched)
    result = dse("run", "tiny.toml", "--seed", "4")
    assert result.exit_code == 1
    assert "--fresh" in result.stderr


def test_method_budget_and_folder_can_be_given(tmp_path: Path) -> None:
    """-o is the run's folder as it is; exact evaluates the whole space but for what it prunes."""
    folder = tmp_path / "here"
    study = write(tmp_path)
    result = dse("run", study, "--method", "exact", "-o", str(folder), "--json")
    assert result.exit_code == 0
    certificate = json.loads(result.stdout)["certificate"]
    assert certificate["evaluated"] + sum(certificate["pruned"].values()) == 75
    assert certificate["evaluated"] > 0 < len(certificate["pruned"])
    assert certificate["complete"]
    assert (folder / "run.json").exists()


def test_a_setting_changes_the_system_that_is_searched(tmp_path: Path) -> None:
    """--set lays a value over the study's system."""
    study = write(tmp_path)
    plain = _front(dse("run", study, "-o", str(tmp_path / "a"), "--json"))
    cheap = _front(
        dse("run", study, "-o", str(tmp_path / "b"), "--json", "--set", "rack.price=1 USD")
    )
    assert cheap["certificate"]["hash"] != plain["certificate"]["hash"]


def _front(result: Result) -> dict[str, dict[str, str]]:
    assert result.exit_code == 0, result.stderr
    document: dict[str, dict[str, str]] = json.loads(result.stdout)
    return document


def test_several_studies_run_one_after_the_other(tmp_path: Path) -> None:
    """With -o each has a folder of its own below it; --json is a list."""
    studies = [write(tmp_path, name, **{"budget = 60": "budget = 20"}) for name in ("one", "two")]
    result = dse("run", *studies, "-o", str(tmp_path / "both"), "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 2
    assert (tmp_path / "both" / "two" / "run.json").exists()


def test_nothing_feasible_is_three_and_names_rules_and_the_nearest(tmp_path: Path) -> None:
    """The rules that fail most and the nearest design are said; references are shown."""
    result = dse("run", write(tmp_path, tpot="1 ms"), "-o", str(tmp_path / "none"))
    assert result.exit_code == 3
    assert "A trn2-ultraserver" in result.stdout
    assert "tpot: broken by 60 of 60" in result.stderr
    assert "the nearest breaks tpot" in result.stderr
    assert "chip.memory.stacks=" in result.stderr
    assert f"dse explain {tmp_path / 'none'} nearest" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('system = "trn2-ultraserver"', 'system = "trn2-ultrserver"', "trn2-ultraserver"),
        ('"chip.memory.stacks"', '"chip.memry.stacks"', "did you mean 'memory'?"),
        ('"chip.cost" =', '"chip.csot" =', "did you mean 'chip.cost'?"),
        ('"<= 60 ms"', '"<= 60 W"', "ms"),
        ('tokens_per_usd = "max"', 'tokens_per_us = "max"', "did you mean 'tokens_per_usd'?"),
        ('method = "random"', 'method = "randm"', "did you mean 'random'?"),
        ("choice = [2, 4, 6]", "choice = []", "empty"),
        ("budget = 60", "budget = -1", "budget"),
    ],
)
def test_a_fault_of_a_study_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Each fault is one clear error with exit code 1, and no run is begun."""
    study = write(tmp_path, **{old: new})
    result = dse("run", study, "-o", str(tmp_path / "run"))
    assert result.exit_code == 1
    assert words in result.stderr
    assert not (tmp_path / "run").exists()


def test_an_empty_space_is_refused(tmp_path: Path) -> None:
    """A study without free parameters is no study."""
    study = write(tmp_path)
    head, _, rest = Path(study).read_text().partition("[space]\n")
    limits = rest.partition("[constraints]\n")[2]
    Path(study).write_text(f"{head}[space]\n\n[constraints]\n{limits}")
    result = dse("run", study, "-o", str(tmp_path / "run"))
    assert result.exit_code == 1
    assert "empty space" in result.stderr


def test_an_unknown_study_and_method_are_said(tmp_path: Path) -> None:
    """A name that no study has is bad input, a method that is none wrong usage."""
    assert "did you mean 'trainium4-decode'?" in dse("run", "trainium4-decod").stderr
    result = dse("run", write(tmp_path), "--method", "randm", "-o", str(tmp_path / "run"))
    assert result.exit_code == 2
    assert "did you mean 'random'?" in result.stderr


def test_a_folder_of_something_else_is_never_touched(tmp_path: Path) -> None:
    """A folder that holds other files is refused and keeps them."""
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("words")
    result = dse("run", write(tmp_path), "-o", str(folder), "--fresh")
    assert result.exit_code == 1
    assert sorted(file.name for file in folder.iterdir()) == ["chapter.txt"]
    assert dse("front", str(folder)).exit_code == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", '{"format": "dse-run", "version": 1}'),
        ("batches.jsonl", '{"a": 1}\n{"b": 2}\n'),
    ],
)
def test_an_unreadable_run_is_one_clear_error(
    searched: Path, tmp_path: Path, name: str, content: str
) -> None:
    """A damaged run names its file and is left as it is."""
    for file in (searched / "runs" / "tiny").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text(content)
    result = dse("front", str(tmp_path))
    assert result.exit_code == 1
    assert name in result.stderr
    assert (tmp_path / name).read_text() == content


def test_a_run_that_is_not_there_is_said(tmp_path: Path) -> None:
    """`dse front` of nothing is bad input."""
    result = dse("front", str(tmp_path / "nowhere"))
    assert result.exit_code == 1
    assert "no such run" in result.stderr


def test_csv_and_json_contradict_each_other(searched: Path) -> None:
    """Two forms at once are wrong usage."""
    run = str(searched / "runs" / "tiny")
    assert dse("front", run, "--csv", "--json").exit_code == 2


def test_an_interrupted_run_keeps_what_was_reported_and_resumes(tmp_path: Path) -> None:
    """Ctrl-C exits with 130, says how to go on, and the same command finishes the budget."""
    wide = "[" + ", ".join(f'"{1500 + i} MHz"' for i in range(1000)) + "]"
    clocks = '["1.6 GHz", "1.8 GHz", "2.0 GHz", "2.2 GHz", "2.4 GHz"]'
    write(tmp_path, **{clocks: wide})
    command = [sys.executable, "-m", "dse", "run", "tiny.toml", "--budget", "4000", "--json"]
    process = subprocess.Popen(
        # on a machine with much else to do the signal must come before the end
        ["nice", "-n", "19", *command],
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "runs" / "tiny" / "batches.jsonl"
    deadline = time.monotonic() + 60.0
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "the same command resumes" in said
    assert "Traceback" not in said
    kept = log.read_bytes()
    done = subprocess.run(
        command[:-1],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert log.read_bytes().startswith(kept)
