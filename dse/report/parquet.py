"""A run's front as Parquet, by duckdb: the columns of the CSV with their types.

`name` (text, of references), `feasible` (boolean), one column for each searched path,
`mapping.WORKLOAD.DEGREE` (whole numbers), one for each metric and `margin.RULE` (numbers).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dse.errors import UsageError
from dse.report.front import front_csv


def front_parquet(document: dict[str, Any], file: Path) -> None:
    """Writes the points and references of a `front_document`.

    Raises UsageError where duckdb is not installed, OSError where the file cannot be written.
    """
    try:
        import duckdb
    except ImportError:
        message = "Parquet takes duckdb, which is not installed: pip install 'dse[parquet]'"
        raise UsageError(message) from None
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "front.csv"
        table.write_text(front_csv(document), encoding="utf-8")
        types = {"name": "VARCHAR", "feasible": "BOOLEAN"}
        try:
            with duckdb.connect() as connection:
                rows = connection.read_csv(str(table), header=True, dtype=types, sample_size=-1)
                rows.write_parquet(str(file))
        except duckdb.IOException as error:
            raise OSError(0, str(error).splitlines()[0], str(file)) from error
