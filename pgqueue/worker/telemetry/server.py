"""A small HTTP server in threads of its own: it answers while the event loop is blocked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, NamedTuple

from pgqueue.backends.forks import on_fork
from pgqueue.errors import PgqueueError
from pgqueue.worker.service import log

SLOW_SECONDS: Final = 5.0  # for a client to send its request, and to take the answer


class Page(NamedTuple):
    """An answer."""

    status: int
    text: str
    kind: str = "text/plain; charset=utf-8"


class HealthServer:
    """Answers GET with *pages*, by their paths. Raises PgqueueError where it cannot listen."""

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Page]]) -> None:
        try:
            self._server = _server(host)((host, port), _handler(pages))
        except OSError as error:
            raise PgqueueError(
                f"--health-port {port}: cannot listen on {host}: {error.strerror or error}"
            ) from error
        on_fork(self, HealthServer._abandon)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="pgqueue-health", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens: 0 was given for any port that is free."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listens no more; blocks for a moment."""
        self._server.shutdown()
        self._server.server_close()

    def _abandon(self) -> None:
        """In a process that a task has forked: it would hold the port when we are gone."""
        self._server.socket.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a client of the health port went away", exc_info=True)


class _BothServer(_Server):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def _server(host: str) -> type[_Server]:
    return _BothServer if ":" in host else _Server


def _handler(pages: Mapping[str, Callable[[], Page]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float] = SLOW_SECONDS
        server_version = "pgqueue"
        sys_version = ""

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            answer = Page(404, f"{', '.join(pages)}\n") if page is None else page()
            body = answer.text.encode("utf-8", "backslashreplace")
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Probes are no news."""

    return Handler
