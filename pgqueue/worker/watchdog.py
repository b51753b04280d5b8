"""The Watchdog: says which task blocks the event loop, and where."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from time import monotonic

from pgqueue.worker.service import log

TICK_SECONDS = 0.25
BLOCKED_SECONDS = 1.0


class Watchdog:
    """A thread that watches the loop tick; while it does not, nothing else goes on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = threading.get_ident()
        self._ticked_at = monotonic()
        self._stopped = threading.Event()
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._tick()
        threading.Thread(target=self._watch, name="pgqueue-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        self._ticked_at = monotonic()
        self._handle = self._loop.call_later(TICK_SECONDS, self._tick)

    def _watch(self) -> None:
        said_at = 0.0
        while not self._stopped.wait(TICK_SECONDS):
            ticked_at = self._ticked_at
            if monotonic() - ticked_at > BLOCKED_SECONDS and said_at != ticked_at:
                said_at = ticked_at
                task = asyncio.current_task(self._loop)
                frame = sys._current_frames().get(self._main)
                where = "".join(traceback.format_stack(frame)[-3:]) if frame else ""
                log.warning(
                    "task %s blocks the event loop for over %g s; make it a plain function:\n%s",
                    task.get_name() if task else "?",
                    BLOCKED_SECONDS,
                    where,
                )
