"""`dse calibrate`: known numbers are found again, its file loads, nothing is overwritten."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dse.cli import cli
from dse.evidence.calibrate import Problem, summary
from dse.evidence.fit_errors import COLUMNS, read_lines, text_of_lines
from dse.evidence.kernel_rows import batches
from dse.evidence.left_out import families_out
from dse.evidence.lineage import Lineage
from dse.evidence.measured import Resolver, measured_folder, read_rows
from dse.evidence.prediction import Row, predict
from dse.evidence.stack_file import family_data
from dse.evidence.stack_fit import fit_stack
from dse.model.pytree import lower, replace, stack
from dse.report.calibrate import fits_markdown
from dse.spec import Catalog, Software, load
from dse.spec.write import text_of

GEMM = measured_folder() / "micro_gemm.csv"
FREE = {"matrix": (0.3, 0.97), "memory": (0.3, 0.97)}
RESOLVER = Resolver(Catalog.default())


def some_rows(systems: tuple[str, ...] = ("h100-sxm", "a100-80gb")) -> list[Row]:
    """BF16 products, every fifth, of some systems."""
    rows = [r for r in read_rows([GEMM]) if r.cells["dtype"] == "bf16" and r.system in systems]
    return rows[::5]


def made_up(matrix: float, memory: float) -> Problem:
    """A problem whose measured values are predictions of a known stack."""
    (batch,), _ = batches(some_rows(), RESOLVER)
    known = replace(lower(RESOLVER.software("default")), matrix=matrix, memory=memory)
    values = predict(batch, stack([known] * len(batch.rows)))
    rows = tuple(
        _measured(row, dict(zip(batch.metrics, map(float, line), strict=True)))
        for row, line in zip(batch.rows, values, strict=True)
    )
    again = type(batch)(
        rows=rows, metrics=batch.metrics, inputs=batch.inputs, function=batch.function
    )
    return Problem([again], RESOLVER.software("default"), FREE)


def _measured(row: Row, measured: dict[str, float]) -> Row:
    import attrs

    return attrs.evolve(row, measured=measured)


@pytest.mark.parametrize(("matrix", "memory"), [(0.6, 0.9), (0.85, 0.6)])
def test_known_numbers_are_found_again(matrix: float, memory: float) -> None:
    """Rows made by the model itself give back the numbers that made them."""
    problem = made_up(matrix, memory)
    found = problem.describe(problem.solve())
    assert found.values["matrix"] == pytest.approx(matrix, rel=0.02)
    assert found.values["memory"] == pytest.approx(memory, rel=0.02)
    assert summary(found.errors).mean < 0.005
    low, high = found.intervals["matrix"]
    assert low <= found.values["matrix"] <= high


def test_the_gradient_of_the_loss_agrees_with_differences() -> None:
    """Through the model, the rows' stacks, and the robust loss."""
    problem = made_up(0.6, 0.9)
    at, step = problem.start, 1e-2
    _, slope = problem.loss(at, problem.weights)
    for index in range(len(at)):
        moved = [at.copy(), at.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        up, down = (problem.loss(p, problem.weights)[0] for p in moved)
        assert float(slope[index]) == pytest.approx((up - down) / (2 * step), rel=0.1, abs=2e-3)


def test_a_family_left_out_is_not_seen() -> None:
    """Its rows are predicted by a fit to the others; rows of one truth leave no error."""
    problem = made_up(0.6, 0.9)
    assert summary(families_out(problem)).mean < 0.02


def calibrate(folder: Path, *more: str) -> Result:
    """Runs the command on a few shipped rows, in a folder."""
    file = folder / "runs.csv"
    rows = some_rows(("h100-sxm",))[:12]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0].cells))
        writer.writeheader()
        writer.writerows(row.cells for row in rows)
    asked = ["calibrate", str(file), "--software", "mine", "--rows", "kernels", "--quick"]
    place = ["-o", str(folder / "mine.toml")]
    return CliRunner().invoke(cli, [*asked, *place, *more], catch_exceptions=False)


def test_the_file_that_is_written_loads(tmp_path: Path) -> None:
    """Numbers, intervals and sources; a second run does not overwrite it unless told to."""
    result = calibrate(tmp_path, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    made = load(Software, "mine", Catalog.default([tmp_path]))
    assert made.matrix == pytest.approx(document["values"]["matrix"], rel=5e-3)
    assert made.sources["matrix"].ref.startswith("fitted by dse calibrate")
    assert float(made.sources["matrix"].low) <= made.matrix <= float(made.sources["matrix"].high)
    assert document["errors"]["fitted"]["mean"] <= document["errors"]["uncalibrated"]["mean"] * 1.05
    again = calibrate(tmp_path)
    assert again.exit_code == 1
    assert "the file exists" in again.stderr
    assert calibrate(tmp_path, "--replace").exit_code == 0


def test_errors_of_fits_are_kept_by_stack(tmp_path: Path) -> None:
    """By set and kind; another stack's lines stay, the same stack's are replaced; a file of other
    columns is an error and stays as it is."""
    file = tmp_path / "fits.csv"
    other = dict.fromkeys(COLUMNS, "0") | {"stack": "other", "part": "GEMM", "error": "fitted"}
    file.write_text(text_of_lines([other]), encoding="utf-8")
    for _ in range(2):
        assert calibrate(tmp_path, "--replace", "--errors", str(file)).exit_code == 0
    lines = read_lines(file)
    assert [(line["stack"], line["part"], line["error"]) for line in lines] == [
        ("mine", "GEMM", "fitted"),
        ("mine", "GEMM", "uncalibrated"),
        ("other", "GEMM", "fitted"),
    ]
    assert float(lines[0]["mean"]) <= 1.05 * float(lines[1]["mean"])
    assert "| mine | GEMM | " in fits_markdown(lines)
    file.write_text("id,system\n", encoding="utf-8")
    result = calibrate(tmp_path, "--replace", "--errors", str(file))
    assert result.exit_code == 1
    assert "no file of errors of fits" in result.stderr
    assert file.read_text(encoding="utf-8") == "id,system\n"


def test_what_is_set_is_not_fitted(tmp_path: Path) -> None:
    """A number given with --set stands in the file as it was given."""
    result = calibrate(tmp_path, "--set", "software.launch=4 us", "--json")
    assert result.exit_code == 0, result.output
    assert "launch" not in json.loads(result.stdout)["values"]
    assert load(Software, "mine", Catalog.default([tmp_path])).launch == pytest.approx(4e-6)


def test_no_rows_is_an_error(tmp_path: Path) -> None:
    """A name that no row's software begins with."""
    result = calibrate(tmp_path, "--rows", "nobody")
    assert result.exit_code == 1
    assert "no row's software begins with 'nobody'" in result.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--software", "other"], "several stacks have no name for what they have in common"),
        (["--software", "other", "--pool", "mine"], "'mine' is one of the stacks"),
        (["--table", "serve"], "no row's software begins with 'kernels'"),
    ],
)
def test_what_no_fit_would_mend_is_refused(tmp_path: Path, more: list[str], said: str) -> None:
    """Several stacks without a common name, a common name that is a stack's, no rows left."""
    result = calibrate(tmp_path, *more)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not (tmp_path / "mine.toml").exists()


def test_bases_say_which_stack_and_version_a_row_is() -> None:
    """Megatron-LM of 2022 is based on that of 2021, which is Megatron: it has a factor of its own
    and is thought to be like its base, attention unfused as there; what was fitted is no fact."""
    kin = Lineage(("megatron", "maxtext"), RESOLVER)
    row = Row(id="1", table="train", software="megatron-2022")
    assert kin.path("megatron-2022") == ["megatron-2022", "megatron-2021", "megatron"]
    assert (kin.stack(row), kin.version(row)) == ("megatron", "megatron-2022")
    assert kin.elder("megatron-2022") == "megatron-2021"
    assert kin.elder("megatron-2021") == ""
    facts = kin.facts(row)
    assert facts["fused"] == 0.0
    assert facts["gathers"] == 1.0
    assert not {"matrix", "memory", "maturity"} & set(facts)
    assert kin.path("vllm-0.9") == []
    assert kin.version(Row(id="2", table="train", software="maxtext")) == ""


@pytest.mark.slow
def test_files_of_stacks_that_were_fitted_together_load(tmp_path: Path) -> None:
    """The common stack, each stack with it as base, and versions with facts and a maturity."""
    rows = [
        row
        for row in read_rows([measured_folder() / "train.csv"])
        if row.software in ("megatron-2022", "nemo-mlperf-v5.0")
    ]
    resolver = Resolver(Catalog.default(), (measured_folder(),))
    kin = Lineage(("megatron", "nemo"), resolver)
    start = resolver.software("default")
    found = fit_stack("common", rows, resolver, start, lineage=kin, crossed=False)
    for name, data in family_data(found, "default", {}, kin).items():
        (tmp_path / f"{name}.toml").write_text(text_of(data), encoding="utf-8")
    catalogue = Catalog.default([tmp_path])
    common, version = (load(Software, n, catalogue) for n in ("common", "megatron-2022"))
    assert common.matrix == pytest.approx(found.fit.values["matrix"], rel=5e-3)
    assert version.matrix == pytest.approx(found.fit.own["megatron"].values["matrix"], rel=5e-3)
    assert version.maturity == pytest.approx(found.fit.maturity["megatron-2022"], rel=5e-3)
    assert (version.fused, version.overlap, version.gathers) == (0.0, 0.0, 1.0)
    assert version.sources["fused"].ref.startswith("Korthikanti")
    assert set(found.software) == {"megatron-2022", "nemo-mlperf-v5.0"}


def test_a_folder_for_the_errors_is_asked_for_before_the_work(tmp_path: Path) -> None:
    """No fit is made whose figures could not be kept."""
    result = calibrate(tmp_path, "--errors", str(tmp_path / "nowhere" / "fits.csv"))
    assert result.exit_code == 1
    assert "no such folder for the output" in result.stderr
    assert "fitting" not in result.stderr
    assert not (tmp_path / "mine.toml").exists()
