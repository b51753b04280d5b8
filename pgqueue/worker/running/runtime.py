"""A running task's access to its worker: parents, progress, completion in its own transaction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pgqueue import operations
from pgqueue.backends.base import Backend
from pgqueue.backends.connections import Recognised, recognise
from pgqueue.backends.plans import carry_out, carry_out_async
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, Operation, Plan, inspections
from pgqueue.operations.inspections import ParentResult
from pgqueue.tasks.parents import Parent


class WorkerRuntime:
    """Makes a runtime for each attempt of a job."""

    def __init__(
        self, backend: Backend, keep: frozenset[State], report: Callable[[int, int, str], None]
    ) -> None:
        self.backend = backend
        self.keep = keep
        self.report = report
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()

    def of(self, job: ClaimedJob) -> AttemptRuntime:
        return AttemptRuntime(self, job)


def read_parents(page: list[ParentResult]) -> list[Parent]:
    """Parents as a task sees them."""
    return [Parent(p.parent, p.outcome, p.task, p.name, p.result) for p in page if p.outcome]


class AttemptRuntime:
    """The runtime of one attempt: parents, progress, a completion of its own."""

    __slots__ = ("_job", "_worker")

    def __init__(self, worker: WorkerRuntime, job: ClaimedJob) -> None:
        self._worker = worker
        self._job = job

    def parents(self, after: int, limit: int) -> list[Parent]:
        return read_parents(self._worker.backend.execute(self._page(after, limit)))

    async def parents_async(self, after: int, limit: int) -> list[Parent]:
        page = self._page(after, limit)
        return read_parents(await self._worker.backend.execute_async(page))

    def _page(self, after: int, limit: int) -> Operation[list[ParentResult]]:
        return inspections.parents([self._job.id], after=after, limit=limit)

    def report(self, progress: str) -> None:
        worker, said = self._worker, (self._job.id, self._job.lease, progress)
        if threading.get_ident() == worker.thread:  # now: later it might come after the job's end
            worker.report(*said)
        else:
            worker.loop.call_soon_threadsafe(worker.report, *said)

    def finish(self, connection: Any, completion: Completion) -> Awaitable[None] | None:
        found = recognise(connection)
        if found.is_async:
            return self._finish_async(found, completion)
        with self._worker.backend.on(found.driver()) as executor:
            carry_out(self._plan(completion), executor.execute)
        return None

    @asynccontextmanager
    async def transaction(self, completion: Callable[[], Completion]) -> AsyncIterator[Any]:
        backend = self._worker.backend
        async with backend.user_connection_async() as connection:
            yield connection
            async with backend.on_async(connection) as executor:
                await carry_out_async(self._plan(completion()), executor.execute)

    @contextmanager
    def blocking_transaction(self, completion: Callable[[], Completion]) -> Iterator[Any]:
        backend = self._worker.backend
        with backend.user_connection() as connection:
            yield connection
            with backend.on(connection) as executor:
                carry_out(self._plan(completion()), executor.execute)

    async def _finish_async(self, found: Recognised, completion: Completion) -> None:
        async with self._worker.backend.on_async(await found.driver()) as executor:
            await carry_out_async(self._plan(completion), executor.execute)

    def _plan(self, completion: Completion) -> Plan[None]:
        return operations.completing(self._job, completion, self._worker.keep)
