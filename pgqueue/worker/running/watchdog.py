"""The Watchdog: says which task blocks the event loop, and where."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import traceback
from time import monotonic

from pgqueue.worker.service import log

TICK_SECONDS = 0.25
BLOCKED_SECONDS = 1.0
WINDOW_SECONDS = 15.0


class Watchdog:
    """A thread that logs when the event loop stands still: then no other coroutine runs, nothing is
    claimed, and the worker gives no sign of life."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = threading.get_ident()
        self._ticked_at = self._window_at = monotonic()
        self._lag = self._lag_before = 0.0
        self._stopped = threading.Event()
        self._handle: asyncio.TimerHandle | None = None

    def silence(self) -> float:
        """How long ago the event loop last turned, in seconds."""
        return monotonic() - self._ticked_at

    def lag(self) -> float:
        """The longest that the event loop was late, in the last fifteen to thirty seconds."""
        overdue = self.silence() - TICK_SECONDS if self._handle is not None else 0.0
        return max(self._lag, self._lag_before, overdue)

    def start(self) -> None:
        self._tick()
        threading.Thread(target=self._watch, name="pgqueue-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        now = monotonic()
        if self._handle is not None:
            self._lag = max(self._lag, now - self._ticked_at - TICK_SECONDS)
        if now - self._window_at > WINDOW_SECONDS:
            self._window_at, self._lag_before, self._lag = now, self._lag, 0.0
        self._ticked_at = now
        self._handle = self._loop.call_later(TICK_SECONDS, self._tick)

    def _watch(self) -> None:
        said_at = 0.0
        while not self._stopped.wait(TICK_SECONDS):
            ticked_at = self._ticked_at
            if monotonic() - ticked_at > BLOCKED_SECONDS and said_at != ticked_at:
                said_at = ticked_at
                task = asyncio.current_task(self._loop)
                log.warning(
                    "task %s blocks the event loop for over %g s; make it a plain function:\n%s",
                    task.get_name() if task else "?",
                    BLOCKED_SECONDS,
                    stack_of(self._main),
                )


def stack_of(thread: int) -> str:
    """Where *thread* is: its last three calls.

    Runs without garbage collection: in some releases of Python 3.11 and 3.12, a collection that
    begins inside `sys._current_frames` waits for ever for a lock that is held there, and so does
    the whole process.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        frame = sys._current_frames().get(thread)
    finally:
        if collects:
            gc.enable()
    return "".join(traceback.format_stack(frame)[-3:]) if frame else ""
