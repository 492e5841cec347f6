"""A PostgreSQL server of our own: its data, port and socket are nobody else's, and it ends."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, newest version first; None where it is not installed."""
    found = sorted(glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    plain = shutil.which("initdb")
    return Path(found[-1]).parent if found else Path(plain).parent if plain else None


def _account() -> dict[str, Any]:
    """Who runs the server: root may not, the package's own account may."""
    if os.geteuid():
        return {}
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(place: Path) -> Iterator[str]:
    """The URL of an empty database of a server that runs within; `place` is its programs."""
    account = _account()
    # not below pytest's folders: those of root cannot be entered by another account
    home = Path(tempfile.mkdtemp(prefix="dse-postgres-", dir="/tmp"))
    if account:
        os.chown(home, account["user"], account["group"])
    options = {"cwd": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **account}
    data, port = home / "data", _free_port()
    make = [place / "initdb", "-D", data, "-U", "dse", "-A", "trust", "-N", "-E", "UTF8"]
    try:
        subprocess.run([*make, "--locale=C"], check=True, **options)
        listen = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        command = [place / "postgres", "-D", data, "-p", str(port), "-k", home, *listen]
        process = subprocess.Popen(command, **options)
        try:
            _await(place, port, process)
            yield f"postgresql://dse@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _await(place: Path, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60.0
    ready = [place / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the test's PostgreSQL did not start, as {getpass.getuser()}")
        time.sleep(0.05)
