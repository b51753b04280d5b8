"""End a worker's process in time, whatever the application has left running."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar

from pgqueue.worker.service import log

T = TypeVar("T")
MARGIN_SECONDS: Final = 5.0  # after the grace period, for an event loop to show that it lives
GOING_SECONDS: Final = (
    15.0  # to hand back running jobs and tell the store; less than a supervisor waits
)
LAST_SECONDS: Final = 2.0  # for code that still runs after that


class Deadline:
    """Ends this process at a set time; each new time replaces the one before.

    A thread of its own watches the time. The event loop cannot do that while a coroutine blocks it,
    nor can the main thread while the interpreter, at its exit, waits for the application's threads.
    Until `by` is called, nothing happens.
    """

    def __init__(self) -> None:
        # A signal handler may interrupt a put with another put: that works with a SimpleQueue,
        # while a Queue would deadlock.
        self._times: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()
        threading.Thread(target=self._keep, name="pgqueue-deadline", daemon=True).start()

    def by(self, seconds: float, code: int) -> None:
        """Ends the process in *seconds* with exit code *code*, if it has not ended by then."""
        self._times.put((monotonic() + seconds, code))

    def _keep(self) -> None:
        at, code = self._times.get()
        while True:
            try:
                at, code = self._times.get(timeout=max(0.0, at - monotonic()))
            except queue.Empty:
                leave(code)


def leave(code: int) -> None:
    """Ends this process now, without waiting for anything."""
    try:
        log.warning("leaving behind what still runs: %s", ", ".join(_running()) or "a coroutine")
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _running() -> list[str]:
    ours = {"pgqueue-deadline", "MainThread"}
    names = [thread.name for thread in threading.enumerate() if thread.name not in ours]
    return [f"thread {name}" for name in names]


def on_signals(told: Callable[[int], None]) -> None:
    """Calls *told* at SIGTERM, SIGINT and SIGQUIT, at once: even while a coroutine blocks the event
    loop, when a handler of the loop would have to wait.

    A process that a task has forked inherits the handler. There the signal ends the process, as it
    would without a handler.
    """
    pid = os.getpid()

    def handle(number: int, frame: object) -> None:
        if os.getpid() != pid:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        else:
            told(number)

    for name in ("SIGTERM", "SIGINT", "SIGQUIT"):
        if number := getattr(signal, name, None):
            signal.signal(number, handle)


def run_to_the_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Runs *work* on *loop* and returns its result; the loop goes on whatever a callback or another
    task raises.

    asyncio passes a KeyboardInterrupt or SystemExit of any task on to whoever runs the loop. They
    do not mean that the worker should end: for signals it has handlers.
    """
    working = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(working)
        except (KeyboardInterrupt, SystemExit):
            if working.done():
                raise
            log.error("a task's code has raised past the event loop, which goes on", exc_info=True)


def close(runner: asyncio.Runner) -> None:
    """Cancels the tasks left on the loop and closes it, whatever that raises."""
    with suppress(Exception, KeyboardInterrupt, SystemExit):
        runner.close()
