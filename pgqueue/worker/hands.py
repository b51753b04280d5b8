"""What a running task may ask of its worker: progress, and to finish in its own transaction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pgqueue import inspections, operations
from pgqueue.backends.base import Backend, carry_out, carry_out_async
from pgqueue.connections import driver, driver_async, is_async
from pgqueue.hands import Completion
from pgqueue.inspections import Outcome
from pgqueue.jobs import State
from pgqueue.operations import ClaimedJob, Operation, Plan
from pgqueue.parents import Parent


class WorkerHands:
    """Makes each job's hands."""

    def __init__(
        self, backend: Backend, keep: frozenset[State], report: Callable[[int, int, str], None]
    ) -> None:
        self.backend = backend
        self.keep = keep
        self.report = report
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()

    def of(self, job: ClaimedJob) -> JobHands:
        return JobHands(self, job)


def read_parents(page: list[Outcome]) -> list[Parent]:
    """Parents as a task sees them."""
    return [Parent(p.parent, p.outcome, p.task, p.name, p.result) for p in page if p.outcome]


class JobHands:
    """One job's way out of its process."""

    __slots__ = ("_job", "_worker")

    def __init__(self, worker: WorkerHands, job: ClaimedJob) -> None:
        self._worker = worker
        self._job = job

    def parents(self, after: int, limit: int) -> list[Parent]:
        return read_parents(self._worker.backend.execute(self._page(after, limit)))

    async def parents_async(self, after: int, limit: int) -> list[Parent]:
        page = self._page(after, limit)
        return read_parents(await self._worker.backend.execute_async(page))

    def _page(self, after: int, limit: int) -> Operation[list[Outcome]]:
        return inspections.parents([self._job.id], after=after, limit=limit)

    def report(self, progress: str) -> None:
        worker, said = self._worker, (self._job.id, self._job.lease, progress)
        if threading.get_ident() == worker.thread:  # at once: how the job ends must come second
            worker.report(*said)
        else:
            worker.loop.call_soon_threadsafe(worker.report, *said)

    def finish(self, connection: Any, completion: Completion) -> Awaitable[None] | None:
        if is_async(connection):
            return self._finish_async(connection, completion)
        with self._worker.backend.on(driver(connection)) as executor:
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

    async def _finish_async(self, connection: Any, completion: Completion) -> None:
        async with self._worker.backend.on_async(await driver_async(connection)) as executor:
            await carry_out_async(self._plan(completion), executor.execute)

    def _plan(self, completion: Completion) -> Plan[None]:
        return operations.completing(self._job, completion, self._worker.keep)
