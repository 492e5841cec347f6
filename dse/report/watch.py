"""A page on loopback that is written anew while its run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs

from dse.errors import Finding, RunError

HOST = "127.0.0.1"
PAUSE = 2.0
"""Seconds between two looks at the log; longer where writing the page takes long."""

PATIENCE = 10.0
"""Seconds that a reader of the page may take over a request."""


@attrs.define
class Page:
    """The page as it stands, and the tag by which a reader sees that it changed."""

    body: bytes = b""
    tag: str = ""

    def put(self, text: str, revision: str) -> None:
        """Replaces the page by one that knows its own revision."""
        self.body, self.tag = text.encode(), f'"{revision}"'


@contextmanager
def served(page: Page, port: int = 0) -> Iterator[str]:
    """The address at which the page is served on this machine alone; port 0 takes a free one.

    Raises RunError if the port cannot be had.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), _handler(page))
    except OSError as error:
        hint = "another --port, or none, takes a free one"
        said = f"cannot serve on port {port}: {error.strerror or error}"
        raise RunError(Finding(message=said, hint=hint)) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Gives the page at /, to those who asked for this machine by its own name."""

        timeout = PATIENCE
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            # a page of another name that resolves to this machine must not read the run
            host = self.headers.get("Host", "").rsplit(":", 1)[0]
            if self.path != "/" or host not in (HOST, "localhost"):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body, tag = page.body, page.tag
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing: the reader looks every two seconds."""

    return Handler


def follow(log: Path, write: Callable[[], None], should_stop: Callable[[], bool]) -> None:
    """Calls `write` whenever the log changes, until told to stop.

    A log that cannot be read for a moment (a run that starts anew) is read again later.
    """
    known: tuple[int, int] | None = None
    while not should_stop():
        spent = time.monotonic()
        try:
            found = log.stat()
            if (state := (found.st_size, found.st_mtime_ns)) != known:
                write()
                known = state
        except (FileNotFoundError, RunError):
            known = None
        time.sleep(max(PAUSE, 3.0 * (time.monotonic() - spent)))
