"""What a context asks of the test that runs its job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pgqueue import backends, operations
from pgqueue.backends.borrowing import drivers_own
from pgqueue.backends.bound import BoundBackend
from pgqueue.backends.connections import Recognised, recognise
from pgqueue.backends.plans import carry_out, carry_out_async
from pgqueue.errors import PgqueueError
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, Plan
from pgqueue.tasks.parents import Parent
from pgqueue.tasks.runtime import DetachedRuntime
from pgqueue.testing.savepoints import savepoint, savepoint_async


class ConnectionRuntime(DetachedRuntime):
    """Completes *job* on the test's *connection*, or on one that joins its transaction.

    *said*: what the job last said of its progress.
    """

    def __init__(
        self,
        connection: Any,
        bound: BoundBackend,
        job: ClaimedJob,
        keep: frozenset[State],
        schema: str,
        parents: Sequence[Parent],
    ) -> None:
        super().__init__(connection, parents)
        self._bound = bound
        self._job = job
        self._keep = keep
        self._schema = schema
        self.said: str | None = None

    def report(self, progress: str) -> None:
        self.said = progress

    def finish(self, connection: Any, completion: Completion) -> Awaitable[None] | None:
        found = recognise(connection)
        if found.is_async:
            return self._finish_async(found, completion)
        backend = backends.attached(found.store, self._schema)
        with backend.on(found.driver()) as runner:
            carry_out(self._plan(completion), self._bound.timed(runner).execute)
        return None

    async def _finish_async(self, found: Recognised, completion: Completion) -> None:
        backend = backends.attached(found.store, self._schema)
        async with backend.on_async(await found.driver()) as runner:
            await carry_out_async(self._plan(completion), self._bound.timed_async(runner).execute)

    @asynccontextmanager
    async def transaction(self, completion: Callable[[], Completion]) -> AsyncIterator[Any]:
        found = recognise(self._connection)
        if not found.is_async and found.store != "sqlite":
            raise _other_colour("a coroutine", "an asyncio connection, with AsyncJobs")
        driver = await found.driver() if found.is_async else found.driver()
        async with savepoint_async(self._connection, is_async=found.is_async):
            yield drivers_own(driver)
            async with self._bound.transaction_async() as runner:
                await carry_out_async(self._plan(completion()), runner.execute)

    @contextmanager
    def blocking_transaction(self, completion: Callable[[], Completion]) -> Iterator[Any]:
        found = recognise(self._connection)
        if found.is_async:
            raise _other_colour("a plain function", "a blocking connection")
        with savepoint(self._connection):
            driver = found.driver()
            yield drivers_own(driver)
            with self._bound.transaction() as runner:
                carry_out(self._plan(completion()), runner.execute)

    def _plan(self, completion: Completion) -> Plan[None]:
        return operations.completing(self._job, completion, self._keep)


def _other_colour(kind: str, wanted: str) -> PgqueueError:
    return PgqueueError(
        f"ctx.transaction() of {kind} gives the test's connection, which is of the other kind: "
        f"test this task on {wanted}"
    )
