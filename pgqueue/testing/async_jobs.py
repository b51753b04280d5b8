"""`Jobs` for tests that are coroutines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from contextlib import (
    nullcontext,
)
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

from pgqueue.app import App
from pgqueue.backends.connections import (
    AnyConnection,
    recognise,
)
from pgqueue.backends.plans import carry_out_async
from pgqueue.jobs.job import Job, NewJob
from pgqueue.tasks.task import Task
from pgqueue.testing import attempts
from pgqueue.testing.attempts import Performed
from pgqueue.testing.clock import Clock
from pgqueue.testing.draining import Body, Draining, InTransaction, Ran
from pgqueue.testing.jobs_base import LOOK_SECONDS, JobsBase, asserted, refuted, seconds_of
from pgqueue.testing.matching import Expected, waiting
from pgqueue.testing.savepoints import savepoint_async

R = TypeVar("R")


class AsyncJobs(JobsBase):
    """`Jobs` to be awaited, for tests that are coroutines.

    *connection* is psycopg's or SQLAlchemy's of the asyncio kind; a blocking one is taken too, and
    blocks.
    """

    def __init__(
        self, app: App, connection: AnyConnection | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(app, connection, clock)
        self._is_async = connection is not None and recognise(connection).is_async

    @overload
    async def assert_enqueued(
        self,
        task: Task[..., Any] | NewJob[Any],
        /,
        *,
        queue: str | None = ...,
        count: None = ...,
        within: timedelta | float = ...,
        **arguments: Any,
    ) -> Job: ...
    @overload
    async def assert_enqueued(
        self,
        task: Task[..., Any] | NewJob[Any],
        /,
        *,
        queue: str | None = ...,
        count: int,
        within: timedelta | float = ...,
        **arguments: Any,
    ) -> list[Job]: ...
    async def assert_enqueued(
        self,
        task: Task[..., Any] | NewJob[Any],
        /,
        *,
        queue: str | None = None,
        count: int | None = None,
        within: timedelta | float = 0,
        **arguments: Any,
    ) -> Any:
        """As `Jobs.assert_enqueued`."""
        expected = Expected(self.app, task, arguments, queue)
        deadline = time.monotonic() + seconds_of(within)
        while True:
            jobs = await self._read(waiting())
            found = [job for job in jobs if expected.matches(job)]
            if len(found) >= (1 if count is None else count) or time.monotonic() >= deadline:
                return asserted(expected, jobs, found, count)
            await asyncio.sleep(LOOK_SECONDS)

    async def refute_enqueued(
        self,
        task: Task[..., Any] | NewJob[Any] | None = None,
        /,
        *,
        queue: str | None = None,
        **arguments: Any,
    ) -> None:
        """As `Jobs.refute_enqueued`."""
        jobs = await self._read(waiting())
        refuted(Expected(self.app, task, arguments, queue), jobs)

    async def enqueued(
        self, task: Task[..., Any] | None = None, *, queue: str | None = None
    ) -> list[Job]:
        """As `Jobs.enqueued`."""
        return await self._read(waiting(task=None if task is None else task.name, queue=queue))

    async def drain(
        self,
        *,
        queue: str | None = None,
        recursive: bool = True,
        scheduled: datetime | timedelta | None = None,
        raising: bool = True,
    ) -> list[Performed[Any]]:
        """As `Jobs.drain`, in this event loop; each coroutine has an asyncio task of its own.

        A plain function runs in this thread, too, and blocks the loop.
        """
        return await self._carry(self._draining(queue, recursive, scheduled, raising))

    async def run_due(self) -> list[Performed[Any]]:
        """As `Jobs.run_due`."""
        return await self._carry(self._draining(None, True, None, False, travels=False))

    async def _carry(self, plan: Draining) -> list[Performed[Any]]:
        bound = self._bound()

        async def answer(asked: Any) -> Any:
            if isinstance(asked, Body):
                task, context, runtime = self._prepared(asked)
                undoing = savepoint_async(self._connection, is_async=self._is_async)
                around = self.app.hooks.all_around()
                judged = await attempts.run_async(task, asked.job, context, undoing, around)
                return Ran(judged, context, runtime.said)
            if isinstance(asked, InTransaction):
                async with bound.transaction_async() as runner:
                    return await carry_out_async(asked.plan, runner.execute)
            return await bound.execute_async(asked)

        return await carry_out_async(plan, answer)

    async def perform(
        self,
        job: NewJob[R],
        *,
        attempt: int = 1,
        parents: Mapping[str, Any] | None = None,
        checkpoint: Any = None,
        connection: Any = None,
    ) -> Performed[R]:
        """As `Jobs.perform`."""
        task, claimed, context = self._detached(job, attempt, parents, checkpoint, connection)
        around = self.app.hooks.all_around()
        judged = await attempts.run_async(task, claimed, context, nullcontext(), around)
        state = attempts.state_after(claimed, judged.ending)
        return attempts.performed(task, claimed, context, judged, state)

    async def _read(self, plan: Generator[Any, Any, R]) -> R:
        return await carry_out_async(plan, self._bound().execute_async)
