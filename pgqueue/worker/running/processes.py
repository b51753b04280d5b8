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
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from pgqueue.errors import PgqueueError
from pgqueue.jobs import carrying
from pgqueue.operations import ClaimedJob
from pgqueue.tasks import current
from pgqueue.tasks.context import Context
from pgqueue.tasks.hooks import AroundHook
from pgqueue.tasks.task import Task
from pgqueue.worker.running.child import STAYS, Completing, Finished, Order, Raised, Reported
from pgqueue.worker.running.places import hook_place, place, variable_place
from pgqueue.worker.running.threads import Threads
from pgqueue.worker.running.timeouts import within

_CHILD = "from pgqueue.worker.running.child import main; main()"


class ProcessDied(PgqueueError):
    """The process that ran the task died."""


class ProcessPool:
    """Starts processes as they are needed, up to *size*; a job waits for a free one. Raises
    InvalidTask for a task, a hook *around* its attempts, or a carried variable that the processes
    could not import.

    One of *threads* speaks to each process, not the event loop: reading blocks until the task ends,
    and so does writing an order larger than the pipe while the process is still starting.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        store: Callable[[], Mapping[str, Any]],
        size: int | None,
        threads: Threads,
        around: Sequence[AroundHook] = (),
    ) -> None:
        self._places = {
            name: place(task) for name, task in tasks.items() if task.executor == "process"
        }
        self._around = tuple(map(hook_place, around)) if self._places else ()
        self._carried = (
            tuple(variable_place(*item) for item in carrying.variables.items())
            if self._places
            else ()
        )
        self._store = store
        self._threads = threads
        self._free: list[_Slot] = []
        self._slots: set[_Slot] = set()
        self.size = size or os.cpu_count() or 1
        self._turn = asyncio.Semaphore(self.size)

    async def submit(
        self,
        job: ClaimedJob,
        context: Context,
        report: Callable[[str], None],
        completing: Callable[[], None],
    ) -> Any:
        """Run *job* and return what its task returned. Cancelled, it kills the process.

        Its timeout runs from when a process has found the task: neither waiting for a free process
        nor the start of one counts. *report* is called with its progress, *completing* when it
        completes in a transaction of its own. Raises the task's error, OutOfTime, ProcessDied.
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
        worker = current.worker_id()
        place = self._places[job.task]
        return Order(place, job, self._store(), self._around, self._carried, worker)


@contextlib.contextmanager
def _unsignalled() -> Iterator[None]:
    """A process started inside has the signals that stop us blocked, until it has handlers of its
    own. A service manager sends them to every process of a service: one that is just starting would
    die of them, with its job."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STAYS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Slot:
    """One process and the pipe to it.

    It is started by subprocess: multiprocessing would first import the program's main module. It
    leads a process group of its own, so that `kill` reaches what a task has started, too.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, _unsignalled():
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
        """Returns when the process begins *order* (None), or cannot (its error); blocks. Raises
        ProcessDied."""
        with self._talking():
            self._pipe.send(order)
            answer = self._pipe.recv()
            return answer if isinstance(answer, Raised) else None

    def finish(
        self, report: Callable[[str], None], completing: Callable[[], None]
    ) -> Finished | Raised:
        """Listens until the process has finished its order; blocks. Raises ProcessDied."""
        with self._talking():
            while True:
                match self._pipe.recv():
                    case Reported(progress):
                        report(progress)
                    case Completing():
                        completing()
                    case ended:
                        answer: Finished | Raised = ended
                        return answer

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
        if (
            self._process.returncode is None
        ):  # not waited for yet, so no other process can have its pid
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
