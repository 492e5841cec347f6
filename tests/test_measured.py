"""Measured rows: tables by their columns, what sources say of all rows, the specs rows name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from dse.errors import SpecError, UnknownNameError
from dse.evidence.measured import (
    Resolver,
    mean_lengths,
    measured_files,
    measured_folder,
    read_rows,
    table_of,
)
from dse.evidence.model_rows import read_models
from dse.evidence.prediction import Row
from dse.spec.catalog import Catalog

SERVE = "id,source,system,model,software,mode,seq_in,seq_out,batch,output_tokens_per_s,ttft_s,notes"
MODELS = (
    "model,layers,hidden,heads,kv_heads,head_dim,ffn,glu,vocab,tied_embeddings,"
    "experts,experts_per_token,moe_ffn,shared_experts,dense_layers,attention,notes"
)


@cache
def shipped_rows() -> dict[str, Row]:
    """Every shipped row by id."""
    return {row.id: row for row in read_rows(measured_files())}


def written(folder: Path, name: str, *lines: str) -> Path:
    """A CSV file of these lines."""
    file = folder / name
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def model_row(name: str, **cells: str) -> str:
    """A line of a file of models: an 8B dense model but for some cells."""
    values = {
        "model": name, "layers": "32", "hidden": "4096", "heads": "32", "kv_heads": "8",
        "head_dim": "128", "ffn": "14336", "glu": "True", "vocab": "128256",
        "tied_embeddings": "False",
    } | cells  # fmt: skip
    return ",".join(f'"{values.get(key, "")}"' for key in MODELS.split(","))


@pytest.mark.parametrize(
    ("name", "table", "rows"),
    [
        ("train.csv", "train", 257),
        ("serve.csv", "serve", 984),
        ("micro_gemm.csv", "gemm", 1329),
        ("micro_attention.csv", "attention", 600),
        ("micro_collective.csv", "collective", 578),
        ("memory.csv", "memory", 16),
        ("models.csv", "", 0),
        ("power.csv", "power", 68),
        ("lengths.csv", "", 0),
    ],
)
def test_a_table_is_known_by_its_columns(name: str, table: str, rows: int) -> None:
    """Each shipped file is the table it should be, with all its rows and an id of its own each."""
    file = measured_folder() / name
    assert table_of(file) == table
    found = read_rows([file])
    assert len(found) == len({row.id for row in found}) == rows
    assert {row.table for row in found} <= {table}


def test_every_shipped_row_has_a_value_and_its_cells() -> None:
    """All shipped rows were measured, in SI: latencies in seconds."""
    assert all(row.measured for row in shipped_rows().values())
    first = shipped_rows()["mb-00000"]
    assert first.measured == {"latency_s": pytest.approx(26.2144e-6)}
    assert first.number("m") == 1.0
    assert first.text("notes").startswith("kernel")


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    """The fault names the file and the columns that tables have."""
    file = written(tmp_path, "runs.csv", "speed,colour", "1,red")
    with pytest.raises(SpecError, match=r"runs\.csv.*speed, colour(.|\n)*gemm: dtype, m"):
        read_rows([file])


def test_a_value_that_is_no_number_is_refused_with_its_line(tmp_path: Path) -> None:
    """A measured value has to be a number; the fault says where."""
    file = written(tmp_path, "runs.csv", SERVE, "a,,h100-sxm,llama-3-8b,,static,1,1,1,fast,,")
    with pytest.raises(SpecError, match=r"runs\.csv:2.*fast"):
        read_rows([file])


def test_a_row_without_an_id_takes_its_file_and_line(tmp_path: Path) -> None:
    """Users' own rows need no ids; a byte-order mark does no harm."""
    file = tmp_path / "mine.csv"
    file.write_text(f"{SERVE}\n,,h200,m,,static,8,8,1,5,,\n", encoding="utf-8-sig")
    (row,) = read_rows([file])
    assert (row.id, row.line, row.system) == ("mine:2", 2, "h200")


def test_random_lengths_are_taken_at_their_mean(tmp_path: Path) -> None:
    """Lengths drawn from 80 to 100 % of the nominal one are 0.9 of it; the file's cell is kept."""
    line = "x,InferenceX,h200,m,vllm,continuous,1024,8192,64,9,,"
    file = written(tmp_path, "runs.csv", SERVE, f'{line}"lengths U[0.8,1] x nominal; closed"')
    (row,) = read_rows([file])
    assert row.number("seq_in") == pytest.approx(921.6)
    assert row.number("seq_out") == pytest.approx(7372.8)
    assert set(row.laid) == {"seq_in", "seq_out"}
    plain = written(tmp_path, "plain.csv", SERVE, line)
    assert read_rows([plain])[0].number("seq_in") == 1024.0


def test_blank_mlperf_lengths_are_the_data_sets_mean() -> None:
    """Every MLPerf row has an input length: that of lengths.csv for its model."""
    rows = [r for r in shipped_rows().values() if r.source.startswith("MLPerf Inference")]
    assert len(rows) == 56
    assert {(row.model, row.text("seq_in")) for row in rows} == {
        (name, mean_lengths()[name])
        for name in ("llama-2-70b", "llama-3.1-405b", "llama-3-8b", "mixtral-8x7b")
    }
    assert mean_lengths()["llama-3.1-405b"] == "9400"


def test_a_blank_length_that_nobody_declares_stays_blank(tmp_path: Path) -> None:
    """Only MLPerf's models have declared lengths; another row is left as it is."""
    file = written(
        tmp_path, "runs.csv", SERVE,
        "a,MLPerf Inference v9,h200,unheard-of,,continuous,,128,,5,,",
        "b,A blog,h200,llama-2-70b,,continuous,,128,,5,,",
    )  # fmt: skip
    assert [row.text("seq_in") for row in read_rows([file])] == ["", ""]


def test_prefill_alone_makes_one_token(tmp_path: Path) -> None:
    """The first token is what prefill ends with: a blank output length is 1 there, only there."""
    lines = [f"{mode},,h200,m,,{mode},128,,8,,1,x" for mode in ("prefill_only", "static")]
    found = read_rows([written(tmp_path, "runs.csv", SERVE, *lines)])
    assert [row.text("seq_out") for row in found] == ["1", ""]


def test_what_ran_alone_is_of_the_library_that_timed_it() -> None:
    """Kernels and collectives have no software column: the source names library and version."""
    found = {table: {r.software for r in shipped_rows().values() if r.table == table}
             for table in ("gemm", "attention", "collective", "memory")}  # fmt: skip
    assert shipped_rows()["mb-00000"].software == "kernels-trtllm-1.0.0"
    assert found["gemm"] == {
        "kernels", "kernels-trtllm-1.0.0", "kernels-trtllm-1.3.0rc20", "kernels-vllm-0.24.0", "rocm"
    }  # fmt: skip
    instinct = {row.system for row in shipped_rows().values() if row.software == "rocm"}
    assert instinct == {"mi210", "mi300x", "mi325x", "mi355x"}
    assert found["attention"] == {"kernels-trtllm-1.0.0", "kernels-trtllm-1.3.0rc20"}
    assert found["collective"] == {"nccl", ""}
    assert found["memory"] == {"megatron-2022"}


STACK = """\
kind = "software"
name = "{}"
base = "default"
matrix = {}
[sources]
matrix = {{ ref = "a test", confidence = "assumption" }}
"""


@pytest.mark.parametrize(
    ("software", "chosen"),
    [
        ("spud-0.9", "spud-0.9"),
        ("spud-0.9.1", "spud-0.9"),
        ("spud-0.95", "spud"),
        ("spud-1.0rc", "spud"),
        ("spud", "spud"),
        ("spudnik-2", "default"),
        ("", "default"),
    ],
)
def test_software_is_the_longest_name_that_fits(tmp_path: Path, software: str, chosen: str) -> None:
    """The longest name, else the family's, else the default; 0.9 does not stand for 0.95."""
    for name, matrix in (("spud", 0.3), ("spud-0.9", 0.4)):
        (tmp_path / f"{name}.toml").write_text(STACK.format(name, matrix), encoding="utf-8")
    resolver = Resolver(Catalog.default([tmp_path]))
    assert resolver.software(software).name == chosen


def test_a_forced_stack_and_settings_hold_for_all_software() -> None:
    """One stack may stand for all, and its values may be set."""
    resolver = Resolver(Catalog.default(), forced="ideal", settings=[("matrix", "0.5")])
    assert resolver.software("trtllm-0.9").name == "ideal"
    assert resolver.software("trtllm-0.9").matrix == 0.5
    with pytest.raises(UnknownNameError, match="nonesuch"):
        Resolver(Catalog.default(), forced="nonesuch").software("vllm")


def test_models_beside_a_file_are_known(tmp_path: Path) -> None:
    """A model nobody has declared works from a models*.csv; specs go first, then its folder."""
    written(tmp_path, "models-mine.csv", MODELS, model_row("newcomer", layers="7"),
            model_row("llama-3.1-8b", layers="1"), model_row("llama-2-7b", layers="3"))  # fmt: skip
    resolver = Resolver.beside([tmp_path / "runs.csv"], Catalog.default())
    assert resolver.model("newcomer").layers == 7.0
    assert resolver.model("llama-3.1-8b").layers == 32.0
    assert resolver.model("llama-2-7b").layers == 3.0
    assert resolver.model("llama-2-13b").layers == 40.0
    with pytest.raises(UnknownNameError, match="nobody"):
        resolver.model("nobody")


def test_a_chip_stands_for_its_usual_system() -> None:
    """Rows name chips."""
    assert Resolver(Catalog.default()).system("h100-sxm").chip.name == "h100-sxm"


@pytest.mark.parametrize(
    ("notes", "window", "layers"),
    [
        ("5 of 6 layers use a 1024-token sliding window; text tower only", 1024, 40),
        ("alternate layers use sliding-window 128 attention; MXFP4 MoE weights", 128, 24),
        ("chunked attention 8192 on 3 of 4 layers; vision tower not counted", 8192, 36),
        ("v0.1 has sliding window 4096", 4096, 48),
        ("MoE every SECOND layer; chunked attention 8192; text tower", 8192, 48),
        ("parallel attention+FFN block; vocab 32016 from memory", 0, 0),
        ("no sliding window", 0, 0),
    ],
)
def test_windows_are_read_from_notes(
    tmp_path: Path, notes: str, window: float, layers: float
) -> None:
    """Columns cannot say which layers reach back how far; the notes of shipped rows do."""
    file = written(tmp_path, "models.csv", MODELS, model_row("m", layers="48", notes=notes))
    model = read_models(file)["m"]
    assert (model.window, model.windowed_layers) == (window, layers)


def test_latent_attention_is_read_from_notes(tmp_path: Path) -> None:
    """Sizes stand in the notes; one that does not is DeepSeek-V3's. GQA has none."""
    said = "MLA q_lora 768, kv_lora_rank 256, nope 64, v 96"
    file = written(tmp_path, "models.csv", MODELS, model_row("m", attention="mla", notes=said),
                   model_row("g", attention="gqa", notes=said))  # fmt: skip
    found = read_models(file)
    latent = found["m"].latent
    assert (latent.query_rank, latent.rank, latent.nope) == (768.0, 256.0, 64.0)
    assert (latent.rope, latent.value) == (64.0, 96.0)
    assert found["g"].latent.rank == 0.0


def test_experts_and_dense_layers(tmp_path: Path) -> None:
    """Without a count, all layers are dense in a dense model and none in one of experts."""
    file = written(tmp_path, "models.csv", MODELS, model_row("dense"),
                   model_row("moe", experts="8", experts_per_token="2", moe_ffn="1024"),
                   model_row("some", experts="8", dense_layers="3"))  # fmt: skip
    found = read_models(file)
    assert [found[name].dense_layers for name in ("dense", "moe", "some")] == [32.0, 0.0, 3.0]
    assert found["moe"].expert_ffn == 1024.0


def test_every_fault_of_a_file_of_models_is_named(tmp_path: Path) -> None:
    """All faulty models are reported at once, each with its line."""
    file = written(tmp_path, "models.csv", MODELS, model_row("a", layers="many"),
                   model_row("b"), model_row("c", heads="0"))  # fmt: skip
    with pytest.raises(SpecError) as fault:
        read_models(file)
    assert [finding.line for finding in fault.value.findings] == [2, 4]
    assert "many" in str(fault.value)


@pytest.mark.parametrize(
    ("name", "window", "layers"),
    [
        ("gemma3-12b", 1024, 40),
        ("gpt-oss-120b", 128, 18),
        ("llama-4-scout", 8192, 36),
        ("llama-4-maverick", 8192, 36),
        ("mistral-7b", 0, 0),
    ],
)
def test_specs_say_which_layers_have_a_window(name: str, window: float, layers: float) -> None:
    """Gemma 3: five local layers to a global one; gpt-oss: alternate; Llama 4: three of four."""
    model = Resolver.beside([], Catalog.default()).model(name)
    assert model.sources
    assert (model.window, model.windowed_layers) == (window, layers)


def test_specs_and_rows_of_one_model_agree() -> None:
    """A model that is both a spec and a row of models.csv has one set of dimensions."""
    resolver = Resolver.beside([], Catalog.default())
    known = {entry.name for entry in resolver.catalog.entries if entry.kind == "model"}
    rows = read_models(measured_folder() / "models.csv")
    shared = sorted(known & set(rows))
    assert len(shared) >= 7
    for name in shared:
        spec, row = resolver.model(name), rows[name]
        for field in ("layers", "hidden", "heads", "key_value_heads", "head_dimension", "ffn",
                      "gated", "vocabulary", "tied", "experts", "experts_per_token",
                      "expert_ffn", "shared_experts", "dense_layers", "latent"):  # fmt: skip
            assert getattr(spec, field) == getattr(row, field), f"{name}.{field}"


def test_all_shipped_names_are_known() -> None:
    """Every system and model that a shipped row names is a spec or a row of models.csv."""
    resolver = Resolver.beside(measured_files(), Catalog.default())
    rows = shipped_rows().values()
    assert all(resolver.system(name) for name in {row.system for row in rows})
    assert all(resolver.model(name) for name in {row.model for row in rows if row.model})
