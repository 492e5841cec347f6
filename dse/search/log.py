"""The log of a run, `batches.jsonl`: a line for each batch, on the disk before it is reported.

So what a user was told survives any kind of death. A last line that was torn by one is cut off
when the run goes on; anything else that cannot be read stops the run and is left as it is.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sized
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np

from dse.search import folder as places
from dse.search.counts import Counts
from dse.search.protocol import Evaluations


@attrs.frozen(kw_only=True, eq=False)
class Batch:
    """One line of the log: designs [n, p] of a generation, their parents, what they attain.

    `parents` are indices of designs in the log, counted from 0 over all batches. Where a batch
    holds not all designs that it decided, `counts` tells of all: a chunk of a sweep keeps only what
    is of its front.
    """

    number: int
    generation: int
    parents: tuple[int, ...]
    levels: np.ndarray
    evaluations: Evaluations
    counts: Counts | None = None

    @property
    def counted(self) -> Counts:
        """What this batch adds to the counts of the run."""
        if self.counts is not None:
            return self.counts
        return Counts(evaluated=len(self.levels), feasible=int(self.evaluations.feasible.sum()))

    def encode(self) -> bytes:
        """The line; floats are written so that they read back exactly."""
        found = self.evaluations
        data = {
            "batch": self.number,
            "generation": self.generation,
            "parents": list(self.parents),
            "levels": np.asarray(self.levels, dtype=np.int64).tolist(),
            "objectives": np.asarray(found.objectives, dtype=float).tolist(),
            "margins": np.asarray(found.margins, dtype=float).tolist(),
            "metrics": {name: _finite(values) for name, values in found.metrics.items()},
            "mapping": list(found.mapping),
        }
        if self.counts is not None:
            data["counts"] = attrs.asdict(self.counts)
        return json.dumps(data, allow_nan=False, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def decode(cls, data: Any) -> Batch:
        """The batch of a parsed line; raises KeyError, TypeError or ValueError."""
        batch = cls(
            number=int(data["batch"]),
            generation=int(data["generation"]),
            parents=tuple(int(index) for index in data["parents"]),
            levels=np.array(data["levels"], dtype=np.int64),
            evaluations=Evaluations(
                objectives=np.array(data["objectives"], dtype=float),
                margins=np.array(data["margins"], dtype=float),
                metrics={
                    name: np.array(values, dtype=float) for name, values in data["metrics"].items()
                },
                mapping=list(data["mapping"]),
            ),
            counts=Counts.read(data["counts"]) if "counts" in data else None,
        )
        _check_columns(batch)
        return batch


def _check_columns(batch: Batch) -> None:
    """Raises ValueError unless there is one row of everything for each design."""
    found = batch.evaluations
    tables = (batch.levels, found.objectives, found.margins)
    columns: tuple[Sized, ...] = (*tables, *found.metrics.values(), found.mapping)
    if {len(column) for column in columns} != {len(batch.levels)}:
        raise ValueError("its columns differ in length")
    if len(batch.levels) == 0 and batch.counts is None:
        raise ValueError("it has no designs")
    if any(table.ndim != 2 for table in tables if len(table)):
        raise ValueError("its rows differ in length")


def _finite(values: Any) -> list[Any]:
    """JSON knows no infinity: what is not finite becomes the text that `float` reads."""
    numbers = np.asarray(values).tolist()
    return [number if math.isfinite(number) else str(number) for number in numbers]


def read_batches(folder: Path) -> Iterator[tuple[Batch, int]]:
    """Each batch of the log and the offset of its end; a torn last line is passed over.

    Nothing is locked or changed. Raises RunError that names file and line of any other fault.
    """
    path = folder / places.BATCHES
    torn, end = 0, 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if torn:
                    message = "this line cannot be read and is not the last; nothing was changed"
                    places.fail(message, path, line=torn)
                data = _parsed(line)
                if data is None:
                    torn = number
                    continue
                end += len(line)
                yield _decoded(data, number, path), end
    except FileNotFoundError:
        return
    except OSError as error:
        places.refuse("cannot read the log", path, error)


def _parsed(line: bytes) -> Any:
    """The JSON value of a whole line, or None."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None


def _decoded(data: Any, number: int, path: Path) -> Batch:
    try:
        batch = Batch.decode(data)
    except KeyError as error:
        places.fail(f"this batch has no {error}; nothing was changed", path, line=number)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        places.fail(f"this line is no batch: {error}; nothing was changed", path, line=number)
    if batch.number != number - 1:
        message = f"this is batch {batch.number}, and batch {number - 1} is missing"
        places.fail(f"{message}; nothing was changed", path, line=number)
    return batch


class RunLog:
    """An open run, held by this process alone until `close`.

    Made by `open_run`. Call `replay` once, then `append`.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], lock: int) -> None:
        self.folder = folder
        self.settings = settings
        self._lock = lock
        self._stream = -1
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def replay(self, observe: Callable[[Batch], None]) -> None:
        """Gives each logged batch to `observe`, then cuts off a torn last line.

        A ValueError of `observe` becomes a RunError that names the line.
        """
        path = self.folder / places.BATCHES
        for batch, end in read_batches(self.folder):
            try:
                observe(batch)
            except ValueError as error:
                message = f"this batch does not follow those before it: {error}"
                places.fail(f"{message}; nothing was changed", path, line=batch.number + 1)
            self._size = end
        try:
            self._stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            if os.fstat(self._stream).st_size != self._size:
                os.ftruncate(self._stream, self._size)
            os.fsync(self._stream)
            places.synchronise(self.folder)
        except OSError as error:
            places.refuse("cannot write the log", path, error)

    def append(self, batch: Batch) -> None:
        """Writes the batch; when this returns it is on the disk, when it raises it is not."""
        rest = memoryview(line := batch.encode())
        try:
            while rest:
                rest = rest[os.write(self._stream, rest) :]
            os.fsync(self._stream)
        except OSError as error:
            self._withdraw()
            safe = "every batch that was reported is safe; the same command continues the run"
            path = self.folder / places.BATCHES
            places.refuse("cannot write the log", path, error, hint=safe)
        except BaseException:
            self._withdraw()
            raise
        self._size += len(line)

    def _withdraw(self) -> None:
        """Best effort: a line that stays torn is cut off by the next run."""
        try:
            os.ftruncate(self._stream, self._size)
        except OSError:
            return

    def update(self, **changes: Any) -> None:
        """Changes settings, all or nothing."""
        self.settings = {**self.settings, **changes}
        places.write_settings(self.folder, self.settings)

    def close(self) -> None:
        """Releases the folder; may be called twice."""
        for descriptor in (self._stream, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._stream = self._lock = -1


def open_run(
    folder: Path,
    identity: Mapping[str, Any],
    create: Callable[[], Mapping[str, Any]],
    *,
    fresh: bool = False,
) -> RunLog:
    """Opens the run of `identity` in `folder`, or begins it there with the settings of `create`.

    `identity` are the settings that must not differ from those stored; `create` gives the others
    and is called only when a run begins. With `fresh` a run that the folder holds is first renamed
    to NAME.old-1, NAME.old-2, ... Raises RunError if the folder holds something else than a run,
    a run of another identity, one that is running now, or cannot be read or written.
    """
    settings, lock = places.claim(folder, identity, create, fresh=fresh)
    return RunLog(folder, settings, lock)
