"""A run folder: whose it is, what was asked in it (`run.json`), and the lock of who writes it.

A folder that is not empty and holds no run belongs to someone and is never touched. The settings
are replaced as a whole or not at all. The lock dies with its process.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from dse.errors import Finding, RunError

FORMAT = "dse-run"
VERSION = 1
SETTINGS, BATCHES, LOCK = "run.json", "batches.jsonl", "lock"
COMPARED = "references.json"
"""How the run's references come to its front; what is missing there is found anew."""

LEFTOVERS = frozenset({LOCK, f"{SETTINGS}.partial"})
"""What a run leaves behind that died before it wrote its settings."""

ELSEWHERE = "name another folder with -o"


def fail(message: str, path: Path, *, line: int = 0, hint: str = "") -> NoReturn:
    """Raises the RunError that says what is wrong with a file or folder."""
    raise RunError(Finding(message=message, file=str(path), line=line, hint=hint))


def refuse(action: str, path: Path, error: OSError, *, hint: str = "") -> NoReturn:
    """Raises the RunError of something that the operating system did not let us do."""
    reason = error.strerror or str(error)
    raise RunError(Finding(message=f"{action}: {reason}", file=str(path), hint=hint)) from error


def read_settings(folder: Path) -> dict[str, Any]:
    """What `run.json` holds; raises RunError if the folder is no readable run."""
    path = folder / SETTINGS
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        missing = "this folder holds no dse run" if folder.is_dir() else "there is no such run"
        raise RunError(Finding(message=missing, file=str(folder))) from None
    except OSError as error:
        refuse("cannot read the run", path, error)
    except (ValueError, RecursionError):
        fail("this is not valid JSON", path, hint="restore it, or start over with --fresh")
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        fail("this file was not written by dse run; nothing was changed", path, hint=ELSEWHERE)
    if data.get("version") != VERSION:
        fail(f"this run has format {data.get('version')}, this dse reads {VERSION}", path)
    return data


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Replaces `run.json` as a whole; raises RunError if it cannot be written."""
    write_json(folder, SETTINGS, settings)


def write_json(folder: Path, name: str, data: Mapping[str, Any]) -> None:
    """Replaces a file of the run as a whole; raises RunError if it cannot be written."""
    path, partial = folder / name, folder / f"{name}.partial"
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        synchronise(folder)
    except OSError as error:
        refuse(f"cannot write {name} of the run", path, error)


def synchronise(folder: Path) -> None:
    """Makes the names in a folder durable, as `fsync` does a file's bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def claim(
    folder: Path,
    identity: Mapping[str, Any],
    create: Callable[[], Mapping[str, Any]],
    *,
    fresh: bool = False,
) -> tuple[dict[str, Any], int]:
    """The settings of the run in `folder` and the lock on it; begins the run if there is none.

    See `dse.search.log.open_run`, which this serves.
    """
    _refuse_foreign(folder)
    if fresh and (folder / SETTINGS).exists():
        _set_aside(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse("cannot create the run folder", folder, error)
    held = lock(folder)
    try:
        if (folder / SETTINGS).exists():
            settings = read_settings(folder)
            _refuse_other(folder, settings, identity)
        else:
            settings = {"format": FORMAT, "version": VERSION, **identity, **create()}
            write_settings(folder, settings)
    except BaseException:
        os.close(held)
        raise
    return settings, held


def lock(folder: Path) -> int:
    """The descriptor of the folder's lock, held until it is closed or this process dies."""
    path = folder / LOCK
    try:
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        refuse("cannot write in the run folder", path, error)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(held, 0)
        os.write(held, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        holder = os.read(held, 20).decode(errors="replace").strip() or "unknown"
        os.close(held)
        fail(f"another dse run holds this folder, pid {holder}", folder)
    except OSError as error:
        os.close(held)
        refuse("cannot lock the run folder", path, error)
    return held


def held(folder: Path) -> bool:
    """Whether a run that goes on now holds the folder."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def numbered(place: Path) -> Iterator[Path]:
    """The folder, then NAME.2, NAME.3, ... beside it."""
    yield place
    for number in itertools.count(2):
        yield place.with_name(f"{place.name}.{number}")


def _refuse_foreign(folder: Path) -> None:
    """A folder may be absent, empty, or a run; all else belongs to someone."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        refuse("cannot read the run folder", folder, error)
    if SETTINGS in names:
        if not _is_run(folder):
            read_settings(folder)
    elif names - LEFTOVERS:
        message = "this folder holds files but no dse run; nothing was changed"
        fail(message, folder, hint=ELSEWHERE)


def _is_run(folder: Path) -> bool:
    """Whether `run.json` is ours; one that cannot be parsed is, if a log lies beside it."""
    try:
        data = json.loads((folder / SETTINGS).read_bytes())
    except OSError as error:
        refuse("cannot read the run", folder / SETTINGS, error)
    except (ValueError, RecursionError):
        return (folder / BATCHES).exists()
    return isinstance(data, dict) and data.get("format") == FORMAT


def _refuse_other(folder: Path, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    different = [
        f"{name}: stored {stored.get(name)}, asked {value}"
        for name, value in asked.items()
        if stored.get(name) != value
    ]
    if different:
        hint = "--fresh starts over (the old run is kept beside it); -o DIR goes elsewhere"
        fail(f"this folder holds another run ({'; '.join(different)})", folder, hint=hint)


def _set_aside(folder: Path) -> None:
    """Renames the run's folder to the first free NAME.old-N."""
    held = lock(folder)
    try:
        place = Path(os.path.abspath(folder))
        number = 1
        while (target := place.with_name(f"{place.name}.old-{number}")).exists():
            number += 1
        place.rename(target)
    except OSError as error:
        refuse("cannot set the old run aside", folder, error)
    finally:
        os.close(held)
