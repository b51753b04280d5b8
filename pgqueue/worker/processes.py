"""Processes for tasks with ``executor="process"``: one job at a time each, killed when its time is
up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from pgqueue.context import Context
from pgqueue.errors import PgqueueError
from pgqueue.operations import ClaimedJob
from pgqueue.tasks import Task
from pgqueue.worker.child import Finished, Order, Raised, Reported

_CHILD = "from pgqueue.worker.child import main; main()"


class ProcessDied(PgqueueError):
    """The process that ran the task died."""


class ProcessPool:
    """Starts processes as they are needed, up to *size*; a job waits for a free one."""

    def __init__(
        self, tasks: Mapping[str, Task[..., Any]], store: Mapping[str, Any], size: int | None
    ) -> None:
        self._tasks = tasks
        self._store = store
        self._free: list[_Slot] = []
        self._slots: set[_Slot] = set()
        self._turn = asyncio.Semaphore(size or os.cpu_count() or 1)

    async def submit(self, job: ClaimedJob, context: Context, report: Callable[[str], None]) -> Any:
        """Run *job* and return what its task returned. Cancelled, it kills the process.

        Raises what the task raised, and ProcessDied.
        """
        async with self._turn:
            slot = self._free.pop() if self._free else self._start()
            try:
                finished = await slot.run(self._order(job), report)
            except BaseException as error:
                if not isinstance(error, Exception) or isinstance(error, ProcessDied):
                    self._slots.discard(slot)
                    slot.kill()
                else:
                    self._free.append(slot)
                raise
            self._free.append(slot)
        if finished.additions is not None:
            context.adopt(finished.additions)
        if finished.completed:
            context.result = finished.result
            context.mark_completed()
        return finished.result

    def close(self) -> None:
        """Kills them all."""
        for slot in self._slots:
            slot.kill()
        self._slots.clear()
        self._free.clear()

    def _start(self) -> _Slot:
        slot = _Slot()
        self._slots.add(slot)
        return slot

    def _order(self, job: ClaimedJob) -> Order:
        fn = self._tasks[job.task].fn
        main = (
            getattr(sys.modules["__main__"], "__file__", None)
            if fn.__module__ == "__main__"
            else None
        )
        return Order(fn.__module__, fn.__qualname__, main, job, self._store)


class _Slot:
    """One process and the pipe to it.

    A process of its own making: that of multiprocessing would import the program's main module
    first.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._pipe: Connection[Any, Any] = Connection(ours.detach())

    async def run(self, order: Order, report: Callable[[str], None]) -> Finished:
        try:
            self._pipe.send(order)
            while True:
                match await _receive(self._pipe):
                    case Reported(progress):
                        report(progress)
                    case Raised() as raised:
                        raise raised.error()
                    case Finished() as finished:
                        return finished
        except (EOFError, OSError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            raise ProcessDied(
                f"the process that ran it died with exit code {self._process.returncode}; "
                "a negative one is the signal that killed it"
            ) from error

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.kill()
        self._process.wait(5)


async def _receive(pipe: Connection[Any, Any]) -> Any:
    """The next message; waits on the loop, not in a thread."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    return pipe.recv()
