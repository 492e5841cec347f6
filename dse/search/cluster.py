"""Chunks of a sweep on many processes or machines, by Dask.

Workers get the problem once, as bytes, and sweep the chunks they are given; the process that owns
the run takes the chunks in order and alone writes. A chunk follows from its number, so that one
whose worker died is simply swept again. Whoever reaches a scheduler may run code on it: what is
started here listens on this machine's loopback alone.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

from dse.errors import DseError, Finding, RunError, UsageError
from dse.search.log import Batch
from dse.search.protocol import Problem
from dse.search.space import Space
from dse.search.sweep import Source, sweep_chunk

AHEAD = 4
"""Chunks that are given out for each thread of the workers: some wait while others are late."""

PATIENCE = 60.0
"""Seconds to wait for a scheduler, and for its first worker."""

Shares = tuple[tuple[int, ...], ...]
"""The processors of each worker of this machine."""

_LOCAL = re.compile(r"local:([1-9][0-9]{0,3})(?:x([1-9][0-9]{0,3}))?")
_REMOTE = re.compile(r"(tcp|tls)://\S+:[0-9]+")


def prepared(problem: Problem, address: str, *, prune: bool = True) -> Source:
    """What sweeps the chunks of `problem` at `address`, once it is asked for the first of them.

    `local:N` starts N workers on this machine, each bound to its share of the processors, or to C
    of them with `local:NxC`, and ends them with the sweep; `tcp://HOST:PORT` (or tls://) uses the
    scheduler that runs there.
    UsageError for another address, or where Dask is not installed.
    """
    if not (_LOCAL.fullmatch(address) or _REMOTE.fullmatch(address)):
        raise UsageError(f"--cluster {address!r} is neither local:N, local:NxC nor tcp://HOST:PORT")
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise UsageError("--cluster needs Dask: pip install 'dse[cluster]'") from None

    def source(first: int, size: int) -> Iterator[Batch]:
        return _chunks(problem, address, first, size, prune=prune)

    return source


def _chunks(
    problem: Problem, address: str, first: int, size: int, *, prune: bool
) -> Iterator[Batch]:
    """The chunks from `first` on, in order; closing the iterator ends what was started."""
    import cloudpickle

    payload = cloudpickle.dumps(problem)
    numbers = iter(range(first, -(-Space(problem.parameters).size() // size)))
    with _reported(address), _client(address) as (client, shares):
        given: deque[Any] = deque()

        def give() -> None:
            for number in numbers:
                task = (payload, problem.fingerprint, number, size, prune, shares)
                # no key that an earlier run left on the scheduler may answer
                given.append(client.submit(_swept, *task, pure=False))
                return

        for _ in range(AHEAD * sum(client.nthreads().values())):
            give()
        while given:
            batch: Batch = given.popleft().result()
            give()
            yield batch


@contextmanager
def _reported(address: str) -> Iterator[None]:
    """Turns what goes wrong on a cluster into one RunError; our own errors pass."""
    try:
        yield
    except DseError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        hint = "what was reported is safe; the same command continues the run"
        message = f"the cluster {address} failed: {what}"
        raise RunError(Finding(message=message, hint=hint)) from error


@contextmanager
def _client(address: str) -> Iterator[tuple[Any, Shares]]:
    """A client, and the processors of each worker (none: they are not ours)."""
    import distributed

    local = _LOCAL.fullmatch(address)
    with ExitStack() as stack:
        shares: Shares = ()
        target: Any = address
        if local:
            shares = _shares(int(local[1]), int(local[2] or 0))
            target = stack.enter_context(_local_cluster(int(local[1])))
        client = stack.enter_context(
            distributed.Client(target, timeout=PATIENCE, set_as_default=False)
        )
        client.wait_for_workers(1, timeout=PATIENCE)
        yield client, shares


@contextmanager
def _local_cluster(number: int) -> Iterator[Any]:
    """Workers on the loopback, ended with this process whatever ends it."""
    import distributed

    with (
        tempfile.TemporaryDirectory(prefix="dse-cluster-", ignore_cleanup_errors=True) as folder,
        distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=0,
            preload=[__name__],
            local_directory=folder,
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster


def dask_setup(_worker: Any) -> None:
    """Called by Dask in a worker of ours: Ctrl-C is the owner's to hear, who then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _swept(
    payload: bytes, fingerprint: str, number: int, size: int, prune: bool, shares: Shares
) -> Batch:
    """One chunk, on a worker; RunError if the worker's code or specs are not the owner's."""
    if shares:
        _pin(shares)
    problem, space = _opened(payload)
    if problem.fingerprint != fingerprint:
        raise RunError("a worker of the cluster has another version of dse than this process")
    return sweep_chunk(problem, space, number, size, prune=prune)


@lru_cache(maxsize=2)
def _opened(payload: bytes) -> tuple[Problem, Space]:
    """The problem, made once on a worker."""
    import cloudpickle

    problem: Problem = cloudpickle.loads(payload)
    return problem, Space(problem.parameters)


def _shares(workers: int, each: int = 0) -> Shares:
    """The processors of each of some workers, `each` at most (0: all are shared out).

    Where there are fewer, workers share one.
    """
    cores = sorted(os.sched_getaffinity(0))
    shares = [tuple(cores[i::workers]) or (cores[i % len(cores)],) for i in range(workers)]
    return tuple(share[: each or None] for share in shares)


@lru_cache(maxsize=1)
def _pin(shares: Shares) -> None:
    """Gives this worker its share of the processors: each would otherwise use all of them."""
    import distributed

    mine = shares[int(distributed.get_worker().name) % len(shares)]
    # a thread that starts later has what the one that starts it has
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), mine)
