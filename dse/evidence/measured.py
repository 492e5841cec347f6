"""Measured rows from CSV files, and the specs that they name.

The table of a file is recognised by its columns. Systems are specs by name; models are specs, or
rows of a `models*.csv` beside the file; software is the spec with the longest matching name, else
its family's (what stands before the first hyphen), else the default. What a source says about all
of its rows is laid over their cells here, once: lengths drawn at random below a nominal one, the
mean input length of a benchmark that prints none, the library that timed a kernel.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import attrs

from dse.errors import Finding, SpecError
from dse.evidence.model_rows import read_models as read_models
from dse.evidence.prediction import Row
from dse.spec.catalog import Catalog, shipped
from dse.spec.load import load
from dse.spec.system import System
from dse.spec.workload import LanguageModel, Software

SIGNATURES = {
    "train": ("micro_batch", "metric", "zero"),
    "serve": ("seq_in", "seq_out", "output_tokens_per_s"),
    "gemm": ("dtype", "m", "n", "k", "latency_us"),
    "attention": ("phase", "seq_q", "seq_kv", "latency_us"),
    "collective": ("op", "ranks", "bytes", "latency_us"),
    "memory": ("micro_batch", "metric", "vp"),
    "power": ("workload", "metric", "value"),
}
"""Columns by which each table is recognised, most telling first."""

ASIDE = (("layers", "hidden"), ("benchmark", "mean_input"), ("stack", "part", "error"))
"""Columns of files that stand beside the tables: models, lengths of data sets, errors of fits."""

LENGTHS = "lengths.csv"
"""The file of mean input lengths of benchmarks that print none."""

FITS = "fits.csv"
"""The file of the errors of fits."""

MLPERF_TRAINING = "nemo-mlperf-v4.0"
"""The stack of the runs whose power is measured: NVIDIA's container of MLPerf Training v4.0."""

_SERVED = ("ttft_s", "tpot_s", "output_tokens_per_s")
_RANDOM_LENGTHS = re.compile(r"lengths U\[([\d.]+),\s*([\d.]+)\] x nominal")
_KORTHIKANTI = "Korthikanti et al. 2022"
_INSTINCT = re.compile(r"mi\d{3}")
_LIBRARY = re.compile(r"\((TRTLLM|VLLM|SGLANG)\s+([\w.]+)\)")


def measured_folder() -> Path:
    """The folder of the measurements that come with the package."""
    return shipped()[0] / "measured"


def measured_files() -> list[Path]:
    """The files of measurements that come with the package."""
    return sorted(measured_folder().glob("*.csv"))


def read_rows(files: Iterable[Path]) -> list[Row]:
    """All rows of files of the schema; files of models and of lengths are left out.

    SpecError for a file of other columns, or a measured value that is no number.
    """
    return [row for file in files if (table := table_of(file)) for row in _rows(file, table)]


def table_of(file: Path) -> str:
    """The table of a file's columns; empty for models and lengths, SpecError for others."""
    header = next(iter(_lines(file)), {})
    for table, columns in SIGNATURES.items():
        if set(columns) <= set(header):
            return table
    if any(set(columns) <= set(header) for columns in ASIDE):
        return ""
    expected = "; ".join(f"{name}: {', '.join(cols)}" for name, cols in SIGNATURES.items())
    message = f"columns of no known table: {', '.join(header)[:120]}"
    raise SpecError(Finding(message=message, file=str(file), line=1, expected=expected))


def _lines(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with the header's names, blank cells included; the header first."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = {name: name for name in reader.fieldnames or ()}
            return [header, *({k: v or "" for k, v in cells.items() if k} for cells in reader)]
    except (UnicodeDecodeError, csv.Error) as error:
        finding = Finding(message=str(error), file=str(file), expected="CSV in UTF-8")
        raise SpecError(finding) from error


def _rows(file: Path, table: str) -> list[Row]:
    lengths = mean_lengths()
    return [
        _row(cells, table, str(file), line, lengths)
        for line, cells in enumerate(_lines(file)[1:], start=2)
    ]


def _row(
    cells: Mapping[str, str], table: str, file: str, line: int, lengths: Mapping[str, str]
) -> Row:
    laid = _said(cells, table, lengths)
    return Row(
        id=cells.get("id", "") or f"{Path(file).stem}:{line}",
        table=table,
        source=cells.get("source", ""),
        system=cells.get("system", "").strip(),
        model=cells.get("model", "").strip(),
        software=cells.get("software", "").strip() or _library(cells, table),
        cells={**cells, **laid},
        measured=_measured(cells, table, file, line),
        file=file,
        line=line,
        laid=laid,
    )


def _said(cells: Mapping[str, str], table: str, lengths: Mapping[str, str]) -> dict[str, str]:
    """Cells that follow from what the source says about its rows."""
    if table != "serve":
        return {}
    laid = {}
    if found := _RANDOM_LENGTHS.search(cells.get("notes", "")):
        mean = (float(found[1]) + float(found[2])) / 2.0
        given = {key: cells[key] for key in ("seq_in", "seq_out") if _is_number(cells[key])}
        laid = {key: f"{mean * float(text):.10g}" for key, text in given.items()}
    if not cells["seq_in"].strip() and cells.get("source", "").startswith("MLPerf Inference"):
        laid["seq_in"] = lengths.get(cells.get("model", "").strip(), "")
    if cells.get("mode") == "prefill_only" and not cells["seq_out"].strip():
        laid["seq_out"] = "1"
    return laid


def _is_number(text: str) -> bool:
    try:
        return bool(float(text))
    except ValueError:
        return False


def _library(cells: Mapping[str, str], table: str) -> str:
    """The software of a kernel or a collective that ran alone: its table has no such column.

    A kernel's is `kernels`, with the library and version that the source names: replayed from a
    graph it attains what no whole step of that library does. What multiplies on AMD Instinct chips
    is ROCm's (rocBLAS, hipBLASLt), whatever calls it.
    """
    source = cells.get("source", "")
    if table == "memory" and source.startswith(_KORTHIKANTI):
        return "megatron-2022"
    if table == "power":
        return MLPERF_TRAINING
    if table in ("gemm", "attention"):
        if _INSTINCT.match(cells.get("system", "").strip()):
            return "rocm"
        found = _LIBRARY.search(source)
        return f"kernels-{found[1].lower()}-{found[2]}" if found else "kernels"
    named = table == "collective" and "nccl" in f"{source} {cells.get('notes', '')}".lower()
    return "nccl" if named else ""


def mean_lengths() -> dict[str, str]:
    """The mean input length of MLPerf's data set, as text, by model."""
    file = measured_folder() / LENGTHS
    listed = _lines(file)[1:] if file.is_file() else []
    return {cells["model"]: cells["mean_input"] for cells in listed}


def _measured(cells: Mapping[str, str], table: str, file: str, line: int) -> dict[str, float]:
    try:
        if table == "serve":
            return {key: float(cells[key]) for key in _SERVED if cells.get(key, "").strip()}
        if table in ("train", "memory", "power"):
            return {cells["metric"]: float(cells["value"])} if cells.get("value") else {}
        return {"latency_s": float(cells["latency_us"]) * 1e-6} if cells["latency_us"] else {}
    except ValueError as error:
        finding = Finding(message=str(error), file=file, line=line, expected="a number")
        raise SpecError(finding) from error


@attrs.define(slots=False)
class Resolver:
    """What rows name, as specs. InputError where a name is not known.

    `folders` hold models*.csv, the first one's model wins; `forced` is a stack that stands for all
    software; `settings` are (path, text) assignments laid over every stack.
    """

    catalog: Catalog
    folders: Sequence[Path] = ()
    forced: str = attrs.field(default="", kw_only=True)
    settings: Sequence[tuple[str, str]] = attrs.field(default=(), kw_only=True)
    _systems: dict[str, System] = attrs.field(factory=dict)
    _stacks: dict[str, Software] = attrs.field(factory=dict)
    _found: dict[str, LanguageModel] = attrs.field(factory=dict)

    @classmethod
    def beside(
        cls,
        files: Iterable[Path],
        catalog: Catalog,
        forced: str = "",
        settings: Sequence[tuple[str, str]] = (),
    ) -> Resolver:
        """A resolver that knows the models beside each file, and those that are shipped."""
        folders = dict.fromkeys([*(file.parent for file in files), measured_folder()])
        return cls(catalog, tuple(folders), forced=forced, settings=tuple(settings))

    def system(self, name: str) -> System:
        """A system by name, or the usual one of a chip."""
        if name not in self._systems:
            self._systems[name] = load(System, name, self.catalog)
        return self._systems[name]

    def model(self, name: str) -> LanguageModel:
        """A model by name: a spec, else a row of a models*.csv."""
        if name not in self._found:
            rowed = name not in self._specified and name in self._models
            model = self._models[name] if rowed else load(LanguageModel, name, self.catalog)
            self._found[name] = model
        return self._found[name]

    def software(self, name: str) -> Software:
        """The stack that stands for a version: the longest name that it begins with."""
        chosen = self.forced or self._longest(name)
        if chosen not in self._stacks:
            self._stacks[chosen] = load(Software, chosen, self.catalog, self.settings)
        return self._stacks[chosen]

    def _longest(self, name: str) -> str:
        fits = [k for k in self._known if name == k or re.match(rf"{re.escape(k)}(?!\w)", name)]
        family = name.split("-")[0]
        return max(fits, key=len) if fits else (family if family in self._known else "default")

    @cached_property
    def _known(self) -> list[str]:
        return [entry.name for entry in self.catalog.entries if entry.kind == "software"]

    @cached_property
    def _specified(self) -> set[str]:
        return {entry.name for entry in self.catalog.entries if entry.kind == "model"}

    @cached_property
    def _models(self) -> dict[str, LanguageModel]:
        found: dict[str, LanguageModel] = {}
        for folder in self.folders:
            for file in sorted(folder.glob("models*.csv")):
                found = read_models(file) | found
        return found
