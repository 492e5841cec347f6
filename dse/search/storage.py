"""The storages that `--storage URL` names, and what they say when they fail.

This module imports Optuna: import it lazily.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy.exc
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url

from dse.errors import Finding, RunError, UsageError

DRIVER = "postgresql+psycopg"
"""The driver of the extra `postgres`, whatever SQLAlchemy's version takes by itself."""

SAFE = "every batch that was reported is in the run's folder; the same command completes the study"


def parsed(url: str) -> URL:
    """The parts of a storage's URL; raises UsageError if it is none."""
    try:
        found = make_url(url)
    except sqlalchemy.exc.ArgumentError:
        message = "--storage wants a URL such as sqlite:///studies.db or postgresql://host/studies"
        raise UsageError(message) from None
    if found.drivername in ("postgres", "postgresql"):
        return found.set(drivername=DRIVER)
    return found


def shown(url: str) -> str:
    """The URL without its password."""
    return parsed(url).render_as_string(hide_password=True)


def cooperative(url: str | None) -> bool:
    """Whether processes that name this storage work on one study: in PostgreSQL only."""
    return url is not None and parsed(url).drivername.startswith("postgresql")


def driver_of(url: str) -> None:
    """Raises UsageError that says how to install what PostgreSQL needs, if it is not there."""
    with translated(shown(url)):
        import psycopg  # noqa: F401 (whether it can be imported is the question)


def run_name(name: str, method: str, seed: int, fingerprint: str) -> str:
    """What a run's study is called: one name for all that would evaluate the same designs."""
    return f"{name}/{method}/{seed}/{fingerprint}"


@contextmanager
def database(url: str) -> Iterator[RDBStorage]:
    """Optuna's storage at a URL, its connections closed at the end; makes what tables lack."""
    storage = RDBStorage(parsed(url).render_as_string(hide_password=False))
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def turn(url: str, wait: bool) -> Iterator[bool]:
    """The turn to write to an SQLite file; whether it is ours, which other storages see to.

    SQLite orders statements; who counts trials and then adds some must not be disturbed between.
    The lock is on a file beside: SQLite's own are lost when anybody closes the database's file.
    """
    found = parsed(url)
    if found.get_backend_name() != "sqlite" or found.database in (None, "", ":memory:"):
        yield True
        return
    descriptor = os.open(f"{found.database}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        ours = True
    except BlockingIOError:
        ours = False
    try:
        yield ours
    finally:
        os.close(descriptor)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Errors of a storage as errors of ours that name the place and say what is safe."""
    try:
        yield
    except ImportError as error:
        message = f"{place} needs a package that is not installed ({error})"
        raise UsageError(f"{message}; for PostgreSQL: pip install 'dse[postgres]'") from None
    except sqlalchemy.exc.ArgumentError as error:
        raise UsageError(f"--storage {place}: {_first_line(error)}") from None
    except (OSError, sqlalchemy.exc.SQLAlchemyError, OptunaError) as error:
        message = f"cannot write the Optuna study: {_first_line(error)}"
        hint = f"{SAFE}, --no-mirror does without"
        raise RunError(Finding(message=message, file=place, hint=hint)) from error
    except ValueError as error:
        message = f"this storage holds another study of that name: {_first_line(error)}"
        raise RunError(Finding(message=message, file=place, hint="name another storage")) from error


def _first_line(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or os.strerror(error.errno or errno.EIO)
    cause = error.__cause__ if isinstance(error, OptunaError) and error.__cause__ else error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
