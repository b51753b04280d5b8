"""Processes for tasks with ``executor="process"``: one job at a time each, killed when its time is
up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any

from pgqueue.context import Context
from pgqueue.errors import PgqueueError
from pgqueue.operations import ClaimedJob
from pgqueue.tasks import Task
from pgqueue.worker.child import Completing, Finished, Order, Raised, Reported
from pgqueue.worker.service import within
from pgqueue.worker.threads import Threads

_CHILD = "from pgqueue.worker.child import main; main()"


class ProcessDied(PgqueueError):
    """The process that ran the task died."""


class ProcessPool:
    """Starts processes as they are needed, up to *size*; a job waits for a free one.

    Each is spoken to by one of *threads*: a pipe blocks, when an order is large and the process has
    only just been started.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        store: Mapping[str, Any],
        size: int | None,
        threads: Threads,
    ) -> None:
        self._tasks = tasks
        self._store = store
        self._threads = threads
        self._free: list[_Slot] = []
        self._slots: set[_Slot] = set()
        self._turn = asyncio.Semaphore(size or os.cpu_count() or 1)

    async def submit(
        self,
        job: ClaimedJob,
        context: Context,
        report: Callable[[str], None],
        completing: Callable[[], None],
    ) -> Any:
        """Run *job* and return what its task returned. Cancelled, it kills the process.

        Its time begins when there is a process for it, which has found the task. *report* is told
        its progress, *completing* that it completes in a transaction of its own. Raises what the
        task raised, OutOfTime, and ProcessDied.
        """
        async with self._turn:
            slot = self._take()
            try:
                answer = await self._threads.submit(slot.begin, self._order(job))
                if answer is None:
                    talk = self._threads.submit(slot.finish, report, completing)
                    answer = await within(job.timeout_seconds, talk)
            except BaseException:
                self._slots.discard(slot)
                slot.kill()
                raise
            self._free.append(slot)
        if isinstance(answer, Raised):
            raise answer.error()
        if answer.additions is not None:
            context.adopt(answer.additions)
        if answer.completed:
            context.result = answer.result
            context.mark_completed()
        return answer.result

    def close(self) -> None:
        """Kills them all."""
        for slot in self._slots:
            slot.kill()
        self._slots.clear()
        self._free.clear()

    def _take(self) -> _Slot:
        while self._free:
            if (slot := self._free.pop()).alive:
                return slot
            self._slots.discard(slot)
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
    first. It leads a group of its own, so that what a task has started goes with it.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        self._pipe: Connection[Any, Any] = Connection(ours.detach())

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def begin(self, order: Order) -> Raised | None:
        """Returns when the process begins with *order*, or cannot; blocks. Raises ProcessDied."""
        with self._talking():
            self._pipe.send(order)
            answer = self._pipe.recv()
            return answer if isinstance(answer, Raised) else None

    def finish(
        self, report: Callable[[str], None], completing: Callable[[], None]
    ) -> Finished | Raised:
        """Listens until the process has done with its order; blocks. Raises ProcessDied."""
        with self._talking():
            while True:
                match self._pipe.recv():
                    case Reported(progress):
                        report(progress)
                    case Completing():
                        completing()
                    case answer:
                        return answer  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            self.kill()
            self._process.wait(5)
            raise ProcessDied(
                f"the process that ran it died with exit code {self._process.returncode}; "
                "a negative one is the signal that killed it"
            ) from error

    def kill(self) -> None:
        if self._process.returncode is None:  # until then its number is nobody else's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
