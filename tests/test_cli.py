"""The commands as a user meets them: help, data, JSON shapes, errors, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dse.cli import COMMANDS, cli
from dse.spec.metrics import METRICS

EVAL = ["-m", "llama-3.3-70b", "-w", "chat-decode"]
CHIP = """\
kind = "chip"
name = "{name}"
doc = "a chip of a test"
base = "{base}"
"""


def dse(*arguments: str) -> Result:
    """One command line, in this process."""
    return CliRunner().invoke(cli, list(arguments))


def data(*arguments: str) -> Any:
    """What a successful command prints with --json."""
    result = dse(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def fails(code: int, *arguments: str) -> str:
    """The message of a command that fails with this code."""
    result = dse(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert "fault of dse itself" not in result.output
    return result.stderr


def write(folder: Path, name: str, text: str = "", base: str = "trainium2") -> Path:
    """A chip's file in a folder of a test."""
    file = folder / f"{name}.toml"
    file.write_text(CHIP.format(name=name, base=base) + text, encoding="utf-8")
    return file


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """--help of each command says what it does and lists its options."""
    result = dse(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: cli {command}")
    # what `new` writes is a file in its own form
    assert command == "new" or "--json" in result.stdout


def test_the_commands_of_help_are_those_of_the_table() -> None:
    """`dse --help` lists every command in the order of COMMANDS, exit codes and completion."""
    text = dse("--help").stdout
    listed = re.search(r"Commands:\n(.*?)\n\n", text, re.DOTALL)
    assert listed is not None
    assert [line.split()[0] for line in listed[1].splitlines()] == list(COMMANDS)
    assert "130 interrupted" in text
    assert "_DSE_COMPLETE" in text


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    """Help and list start without JAX, pint and optuna."""
    imported = _imported(arguments)
    assert not imported & {"jax", "pint", "optuna", "numpy"}


def test_check_imports_no_jax() -> None:
    """Checking specs needs the language only."""
    assert "jax" not in _imported(["check", "trainium2"])


def _imported(arguments: list[str]) -> set[str]:
    """Top-level modules that a dse of its own has imported when it ends."""
    code = (
        "import sys\nfrom dse.cli import cli\n"
        f"try: cli.main({arguments!r})\nexcept SystemExit as end: assert end.code == 0\n"
        "sys.stderr.write(' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


class TestList:
    """`dse list`."""

    def test_json_holds_name_kind_and_doc(self) -> None:
        """Each entry has exactly the three fields that scripts rely on."""
        entries = data("list")
        assert {"name": "trn2-ultraserver", "kind": "system"}.items() <= next(
            e for e in entries if e["name"] == "trn2-ultraserver"
        ).items()
        assert all(set(entry) == {"name", "kind", "doc"} for entry in entries)

    @pytest.mark.parametrize("word", ["memory", "memories", "Memory"])
    def test_a_kind_may_be_singular_or_plural(self, word: str) -> None:
        """Both words list the same specs."""
        assert {entry["kind"] for entry in data("list", word)} == {"memory"}

    def test_studies_are_listed(self) -> None:
        """Studies are a kind like any other."""
        assert "trainium4-decode" in {entry["name"] for entry in data("list", "studies")}

    def test_an_unknown_kind_names_the_nearest(self) -> None:
        """A slip in the kind is answered with the word that was meant."""
        assert "did you mean 'chips'?" in fails(1, "list", "chps")

    def test_output_goes_to_a_file(self, tmp_path: Path) -> None:
        """With -o nothing is on stdout and the file holds the data."""
        file = tmp_path / "list.json"
        result = dse("list", "chips", "--json", "-o", str(file))
        assert result.stdout == ""
        assert {entry["kind"] for entry in json.loads(file.read_text())} == {"chip"}

    def test_a_missing_folder_for_the_output_is_said(self, tmp_path: Path) -> None:
        """A file in a folder that is not there is bad input."""
        assert "no such folder" in fails(1, "list", "-o", str(tmp_path / "no" / "list.txt"))


class TestShow:
    """`dse show`."""

    def test_a_chip_has_leaves_with_sources_and_derived_figures(self) -> None:
        """Trainium2's BF16 peak follows from its parts and stands beside the announced one."""
        shown = data("show", "trainium2")
        assert {"name", "kind", "file", "leaves", "derived"} <= set(shown)
        leaf = next(leaf for leaf in shown["leaves"] if leaf["path"] == "die.core.clock")
        assert leaf["value"] == 2.4e9
        assert leaf["unit"] == "GHz"
        assert leaf["shown"] == "2.4 GHz"
        assert leaf["source"]["confidence"] == "vendor"
        peak = shown["derived"]["derived"]["matrix_peak_bf16"]
        assert peak["value"] == pytest.approx(2 * 8 * 128 * 128 * 2.4e9)
        assert peak["announced"] == pytest.approx(667e12)

    def test_a_bill_of_materials_adds_up(self) -> None:
        """The parts of a system's bill make its total."""
        bill = data("show", "trn2-ultraserver")["derived"]["bill_of_materials_at_cost"]
        total = bill.pop("total")["value"]
        assert sum(part["value"] for part in bill.values()) == pytest.approx(total)
        assert {"chips", "boards", "hosts", "racks"} <= set(bill)

    @pytest.mark.parametrize(
        ("name", "total"),
        [("llama-3.3-70b", 70.6e9), ("llama-3.1-405b", 405.9e9), ("deepseek-v3", 671e9)],
    )
    def test_a_model_shows_its_parameters(self, name: str, total: float) -> None:
        """The count follows from the dimensions and is the published one."""
        parameters = data("show", name)["derived"]["parameters"]
        assert parameters["total"]["value"] == pytest.approx(total, rel=2e-3)

    def test_a_setting_shows(self) -> None:
        """--set lays a value over the spec that is shown."""
        shown = data("show", "trainium2", "--set", "memory.stacks=6")
        leaf = next(leaf for leaf in shown["leaves"] if leaf["path"] == "memory.stacks")
        assert leaf["value"] == 6

    def test_a_study_shows_what_is_free(self) -> None:
        """A study's leaves are its free parameters with all their levels."""
        assert len(data("show", "trainium4-decode")["leaves"]) >= 12
        # without conditions the space is all combinations of levels
        shown = data("show", "trainium4-memory")
        size = 1
        for leaf in shown["leaves"]:
            size *= len(leaf["value"])
        assert shown["derived"]["space"] == size

    def test_tables_fit_eighty_columns(self) -> None:
        """In a pipe no line is wider than 80 characters."""
        for name in ("trainium2", "trn2-ultraserver", "llama-3.3-70b", "trainium4-decode"):
            lines = dse("show", name).stdout.splitlines()
            assert max(map(len, lines)) <= 80

    def test_a_name_of_two_kinds_asks_for_the_kind(self, tmp_path: Path) -> None:
        """An ambiguous name lists its kinds, and --kind decides."""
        write(tmp_path, "chat-decode")
        folder = ["--specs", str(tmp_path)]
        message = fails(1, "show", "chat-decode", *folder)
        assert "chip, workload" in message
        assert "--kind" in message
        assert data("show", "chat-decode", "--kind", "chips", *folder)["kind"] == "chip"

    def test_an_unknown_name_names_the_nearest(self) -> None:
        """A slip in a name is answered with the name that was meant."""
        assert "did you mean 'trainium2'?" in fails(1, "show", "trainum2")


class TestCheck:
    """`dse check`."""

    def test_the_catalogue_holds_no_fault(self) -> None:
        """Everything that comes with dse passes, numbers without a source included."""
        result = dse("check", "--json")
        assert json.loads(result.stdout) == []
        assert result.exit_code == 0
        assert re.search(r"\d+ files checked, no faults", result.stderr)

    def test_all_faults_of_all_files_are_found(self, tmp_path: Path) -> None:
        """Two files with three faults give three findings, each with its file and line."""
        first = write(tmp_path, "one", 'dies = -2\npower = "3 GHz"\n')
        second = write(tmp_path, "two", "[memory]\nreserv = 0.1\n")
        result = dse("check", str(first), str(second), "--json")
        assert result.exit_code == 1
        found = {f["path"]: f for f in json.loads(result.stdout)}
        assert {"dies", "power", "memory.reserv"} <= set(found)
        assert found["dies"]["file"] == str(first)
        assert found["dies"]["line"] == 5
        assert found["memory.reserv"]["hint"] == "did you mean 'reserve'?"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("volum = 2\n", ["volum", "did you mean 'volume'?"]),
            ('power = "500 GHz"\n', ["power", "W"]),
            ("dies = -1\n", ["dies", "at least 1|between 1"]),
            ("dies = 1.5\n", ["dies", "whole"]),
            ("volume = 1e400\n", ["volume"]),
            ("dies = [\n", ["broken.toml"]),
        ],
    )
    def test_a_fault_is_named(self, tmp_path: Path, text: str, words: list[str]) -> None:
        """Unknown fields, wrong units, negative and broken counts, bad TOML: each says what."""
        file = write(tmp_path, "broken", text)
        result = dse("check", str(file))
        assert result.exit_code == 1
        assert all(re.search(word, result.stdout) for word in words), result.stdout
        assert "Traceback" not in result.output

    def test_a_circle_of_bases_is_a_fault(self, tmp_path: Path) -> None:
        """Two chips that rest on each other are named."""
        write(tmp_path, "egg", base="hen")
        write(tmp_path, "hen", base="egg")
        result = dse("check", "egg", "--specs", str(tmp_path))
        assert result.exit_code == 1
        assert re.search(r"circle.*hen", result.stdout)

    def test_a_missing_file_is_said(self, tmp_path: Path) -> None:
        """A path that is not there is a fault with its name."""
        result = dse("check", str(tmp_path / "gone.toml"))
        assert result.exit_code == 1
        assert "gone.toml" in result.stdout

    def test_a_missing_spec_folder_is_said(self, tmp_path: Path) -> None:
        """--specs must name a folder."""
        assert "no such spec folder" in fails(1, "list", "--specs", str(tmp_path / "gone"))


class TestEval:
    """`dse eval`."""

    def test_json_has_the_shape_that_scripts_rely_on(self) -> None:
        """Every metric of the phase, the mapping with its batch, the breakdown, what binds."""
        document = data("eval", "trn2-ultraserver", *EVAL)
        assert {"metrics", "mapping", "breakdown", "bound", "margins"} <= set(document)
        assert set(METRICS) - set(document["metrics"]) == {
            "ttft_s",
            "ttft_unqueued_s",
            "goodput",
            "days",
            "training_usd",
            "training_mwh",
        }
        assert {"tp", "pp", "ep", "batch"} <= set(document["mapping"])
        assert document["bound"] in document["breakdown"]["bound"]
        assert document["feasible"] is True

    @pytest.mark.parametrize("arguments", [["rainier"], ["trn2-ultraserver", "--chips", "16"]])
    def test_breakdowns_are_of_all_chips_of_the_job(self, arguments: list[str]) -> None:
        """Of many scale-up domains, or of a part of one: parts add up to the metrics."""
        document = data("eval", *arguments, *EVAL)
        metrics, parts = document["metrics"], document["breakdown"]
        equal = {"power": "average_power_w", "design_power": "system_power_w"}
        for part, metric in {**equal, "price": "system_cost_usd"}.items():
            assert sum(parts[part].values()) == pytest.approx(metrics[metric], rel=1e-4)
        paid = sum(parts["ownership"].values()) / document["chips"]
        assert paid == pytest.approx(metrics["usd_per_chip_hour"], rel=1e-4)

    def test_breakdowns_add_up(self) -> None:
        """Time by operator and by bound make the step, cost parts the cost of all chips."""
        document = data("eval", "trn2-ultraserver", *EVAL)
        metrics, parts = document["metrics"], document["breakdown"]
        assert sum(parts["time"].values()) == pytest.approx(metrics["step_time_s"], rel=1e-4)
        assert sum(parts["bound"].values()) == pytest.approx(metrics["step_time_s"], rel=1e-4)
        hourly = 64 * metrics["usd_per_chip_hour"]
        assert sum(parts["ownership"].values()) == pytest.approx(hourly, rel=1e-4)
        assert sum(parts["power"].values()) == pytest.approx(metrics["average_power_w"], rel=1e-4)

    def test_named_units_are_in_the_unit_of_their_name(self) -> None:
        """Dollars for a million tokens are the inverse of tokens for a dollar."""
        metrics = data("eval", "trn2-ultraserver", *EVAL)["metrics"]
        assert metrics["usd_per_mtok"] == pytest.approx(1e6 / metrics["tokens_per_usd"], rel=1e-4)

    def test_tables_show_every_part(self) -> None:
        """The text names precisions, mapping, times, memory, power, cost and rules."""
        text = dse("eval", "trn2-ultraserver", *EVAL).stdout
        for words in ("weights fp8", "best of", "collectives", "usable", "kW", "USD/h", "rules"):
            assert words in text.lower() or words in text
        assert max(map(len, text.splitlines())) <= 80

    def test_the_mapping_can_be_given(self) -> None:
        """Degrees and batch that are given stand in the result."""
        document = data("eval", "trn2-ultraserver", *EVAL, "--tp", "4", "--batch", "256")
        assert document["mapping"]["tp"] == 4
        assert document["mapping"]["batch"] == 256

    def test_part_of_a_system_may_be_used(self) -> None:
        """--chips sets how many chips work on it."""
        document = data("eval", "trn2-ultraserver", *EVAL, "--chips", "16")
        assert document["chips"] == 16
        whole = document["metrics"]["tokens_per_s"]
        assert whole == pytest.approx(16 * document["metrics"]["tokens_per_s_per_chip"], rel=1e-4)

    def test_settings_reach_system_and_workload(self) -> None:
        """A leading workload. lays the value over the workload, all else over the system."""
        settings = ("--set", "chip.memory.stacks=6", "--set", "workload.tpot=30 ms")
        document = data("eval", "trn2-ultraserver", *EVAL, *settings)
        assert document["breakdown"]["memory"]["capacity"] == pytest.approx(6 * 24 * 2**30)
        assert document["metrics"]["tpot_s"] <= 0.030

    def test_nothing_feasible_is_three_and_says_why(self) -> None:
        """The nearest mapping and the limits it breaks are named; the data is still there."""
        result = dse("eval", "trn2-ultraserver", *EVAL, "--set", "workload.tpot=1 ms", "--json")
        assert result.exit_code == 3
        document = json.loads(result.stdout)
        assert document["feasible"] is False
        assert "tpot" in document["violated"]
        error = json.loads(result.stderr)["errors"][0]["message"]
        assert "the nearest is tp=" in error
        assert "tpot: margin -" in error

    @pytest.mark.parametrize("text", ["chip.dies", "=4", "chip.dies=", ""])
    def test_a_malformed_setting_is_wrong_usage(self, text: str) -> None:
        """--set without path or value exits with 2."""
        assert "path=value" in fails(2, "eval", "trn2-ultraserver", *EVAL, "--set", text)

    def test_a_setting_of_an_unknown_field_names_the_nearest(self) -> None:
        """A slip in a path is answered with the field that was meant."""
        message = fails(1, "eval", "trn2-ultraserver", *EVAL, "--set", "chip.memory.reserv=0.1")
        assert "did you mean 'reserve'?" in message

    def test_a_setting_of_another_unit_is_refused(self) -> None:
        """A clock in watts says what was expected."""
        message = fails(1, "eval", "trn2-ultraserver", *EVAL, "--set", "chip.die.core.clock=2 W")
        assert "GHz" in message

    def test_a_chip_stands_for_its_usual_system(self) -> None:
        """The chip's name gives what its server or pod gives."""
        assert data("eval", "h100-sxm", *EVAL) == data("eval", "h100-server", *EVAL)

    def test_a_chip_without_a_usual_system_names_those_that_carry_it(self, tmp_path: Path) -> None:
        """A part that no system claims says so, and names what there is."""
        chip = 'kind = "chip"\nname = "bare"\nbase = "trainium2"\nsystem = ""\n'
        (tmp_path / "bare.toml").write_text(chip)
        (tmp_path / "rig.toml").write_text('kind = "system"\nname = "rig"\nchip = "bare"\n')
        message = fails(1, "eval", "bare", "--specs", str(tmp_path), *EVAL)
        assert "no usual system" in message
        assert "systems of it: rig" in message

    def test_every_unknown_name_is_said_at_once(self) -> None:
        """Model and workload are both wrong and both named."""
        message = fails(1, "eval", "trn2-ultraserver", "-m", "llama-3.3-7b", "-w", "chat-decod")
        assert "did you mean 'llama-3.3-70b'?" in message
        assert "did you mean 'chat-decode'?" in message

    def test_an_unknown_objective_is_wrong_usage(self) -> None:
        """The nearest metric is named."""
        message = fails(2, "eval", "trn2-ultraserver", *EVAL, "--objective", "tokens_per_us")
        assert "tokens_per_usd" in message

    def test_a_mapping_that_cannot_be_is_bad_input(self) -> None:
        """More tensor parallelism than heads has no mapping."""
        assert "tp" in fails(1, "eval", "trn2-ultraserver", *EVAL, "--tp", "5000")


class TestCompare:
    """`dse compare`."""

    def test_json_is_a_list_of_evaluations(self) -> None:
        """One entry a system, in the order given, with its name."""
        names = ["trn2-ultraserver", "gb200-nvl72"]
        documents = data("compare", *names, *EVAL)
        assert [document["name"] for document in documents] == names
        assert all({"metrics", "mapping", "breakdown", "bound"} <= set(d) for d in documents)

    def test_a_system_is_evaluated_as_it_is_alone(self) -> None:
        """Company does not change a result."""
        alone = data("eval", "trn2-ultraserver", *EVAL)["metrics"]
        beside = data("compare", "trn2-ultraserver", "gb200-nvl72", *EVAL)[0]["metrics"]
        assert beside == pytest.approx(alone, rel=1e-5)

    def test_precisions_and_basis_are_printed(self) -> None:
        """What all are compared at stands above the table."""
        text = dse("compare", "trn2-ultraserver", "gb200-nvl72", *EVAL).stdout
        assert "weights fp8" in text
        assert "at-cost" in text

    def test_an_infeasible_system_is_shown_with_what_it_breaks(self) -> None:
        """One that meets the limits is enough for exit code 0."""
        arguments = (
            "trn2-ultraserver",
            "h100-server",
            "-m",
            "llama-3.1-405b",
            "-w",
            "chat-decode",
            "--set",
            "workload.tpot=40 ms",
            "--chips",
            "8",
        )
        documents = [
            json.loads(dse("eval", s, *arguments[2:], "--json").stdout) for s in arguments[:2]
        ]
        expected = [document["feasible"] for document in documents]
        result = dse("compare", *arguments)
        assert result.exit_code == (0 if any(expected) else 3)
        assert ("breaks" in result.stdout) == any(d["violated"] for d in documents)

    def test_all_infeasible_is_three(self) -> None:
        """No system meets a limit of a microsecond."""
        limit = ("--set", "workload.tpot=1 us")
        message = fails(3, "compare", "trn2-ultraserver", "gb200-nvl72", *EVAL, *limit)
        assert message.count("no mapping of") == 2


class TestErrors:
    """What every command does with bad input."""

    def test_an_unknown_command_names_the_nearest(self) -> None:
        """A slip in the command is wrong usage."""
        assert "did you mean 'front'?" in fails(2, "frnt")

    def test_json_errors_are_json_on_stderr(self) -> None:
        """With --json stdout stays empty and stderr holds the findings."""
        result = dse("show", "trainum2", "--json")
        assert result.stdout == ""
        document = json.loads(result.stderr)
        assert document["exit_code"] == 1
        assert set(document["errors"][0]) == {
            "message",
            "path",
            "file",
            "line",
            "expected",
            "hint",
        }

    def test_a_directory_in_place_of_a_spec_is_said(self, tmp_path: Path) -> None:
        """What the operating system refuses is one line, not a traceback."""
        (tmp_path / "folder.toml").mkdir()
        assert "folder.toml" in fails(1, "show", str(tmp_path / "folder.toml"))

    def test_a_reader_that_stops_early_is_no_error(self) -> None:
        """`dse list | head -1` ends quietly."""
        command = f"{sys.executable} -m dse list; echo $? >&2"
        done = subprocess.run(
            ["bash", "-c", f"({command}) | true"], capture_output=True, text=True, check=True
        )
        assert "Traceback" not in done.stderr
        assert done.stderr.strip() in ("0", "")
