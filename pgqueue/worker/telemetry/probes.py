"""Probes: how a process is, over HTTP, in a file, and to systemd."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Final

from pgqueue.errors import PgqueueError
from pgqueue.views.metrics import TEXT_KIND
from pgqueue.worker.options import Options
from pgqueue.worker.service import log
from pgqueue.worker.telemetry.systemd import Systemd
from pgqueue.worker.telemetry.vitals import Vitals

if TYPE_CHECKING:
    from pgqueue.worker.telemetry.server import HealthServer, Page

LOOK_SECONDS: Final = 0.5
FRESH_SECONDS: Final = 5.0  # how often the file is written while nothing changes


class Probes:
    """Shows *vitals* while it is entered, in threads of its own, in the ways that *options* and
    *systemd* ask for. Raises PgqueueError for a port or a file that cannot be had.

    `/live` and `/ready` answer 200, or 503 with the reason; `/metrics` with what *metrics* says.
    The file says "ready", or "waiting" and why, and is written every five seconds as long as the
    process lives. systemd hears READY once, STOPPING, and WATCHDOG as long as the process lives.
    """

    def __init__(
        self,
        vitals: Vitals,
        options: Options,
        systemd: Systemd | None = None,
        metrics: Callable[[], str] = str,
    ) -> None:
        self._vitals = vitals
        self._text = metrics
        self._host, self._port = options.health_host, options.health_port
        self._file = None if options.health_file is None else Path(options.health_file)
        self._systemd = systemd
        self._server: HealthServer | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = ""
        self._written_at = self._told_at = 0.0
        self._was_ready = False

    @property
    def port(self) -> int | None:
        """Where it listens, if it does."""
        return None if self._server is None else self._server.port

    def __enter__(self) -> None:
        if self._file is not None:
            try:
                self._write("waiting: not at work yet")
            except OSError as error:
                raise PgqueueError(f"--health-file {self._file}: {error.strerror}") from error
        if self._port is not None:
            from pgqueue.worker.telemetry.server import HealthServer

            pages: dict[str, Callable[[], Page]] = {
                "/live": self._live,
                "/ready": self._ready,
                "/metrics": self._metrics,
            }
            self._server = HealthServer(self._host, self._port, pages)
            log.info("probes on port %d: %s", self._server.port, " ".join(pages))
        if self._file is not None or self._systemd is not None:
            self._thread = threading.Thread(target=self._watch, name="pgqueue-probes", daemon=True)
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._systemd is not None:  # again, perhaps: one with nothing to do stops in no time
            self._systemd.say("STOPPING=1")
        if self._server is not None:
            self._server.close()
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()

    def _live(self) -> Page:
        return _page(self._vitals.dead(), "live")

    def _ready(self) -> Page:
        return _page(self._vitals.unready(), "ready")

    def _metrics(self) -> Page:
        from pgqueue.worker.telemetry.server import Page

        return Page(200, self._text(), TEXT_KIND)

    def _watch(self) -> None:
        while True:
            try:
                self._look()
            except OSError as error:
                log.warning("--health-file %s: %s", self._file, error)
            if self._ended.wait(LOOK_SECONDS):
                return

    def _look(self) -> None:
        reason, dead = self._vitals.unready(), self._vitals.dead()
        state, now = "ready" if reason is None else f"waiting: {reason}", monotonic()
        changed, self._state = state != self._state, state
        if self._systemd is not None:
            self._tell(self._systemd, reason, dead, changed, now)
        stale = changed or now - self._written_at >= FRESH_SECONDS
        if self._file is not None and dead is None and stale:
            self._written_at = now
            self._write(state)

    def _tell(
        self, systemd: Systemd, reason: str | None, dead: str | None, changed: bool, now: float
    ) -> None:
        if changed:
            first = reason is None and not self._was_ready
            self._was_ready |= first
            told = ["READY=1"] if first else ["STOPPING=1"] if reason == "stopping" else []
            systemd.say(*told, f"STATUS={self._state}")
        gap = systemd.watchdog_seconds
        if gap is not None and dead is None and now - self._told_at >= gap / 3:
            self._told_at = now
            systemd.say("WATCHDOG=1")

    def _write(self, state: str) -> None:
        """Replaces the file, so that whoever reads it never finds half a line."""
        if self._file is None:
            return
        beside = self._file.with_name(f"{self._file.name}.new")
        beside.write_text(f"{state}\n", "utf-8")
        beside.replace(self._file)


def _page(trouble: str | None, well: str) -> Page:
    from pgqueue.worker.telemetry.server import Page

    return Page(200, f"{well}\n") if trouble is None else Page(503, f"{trouble}\n")
