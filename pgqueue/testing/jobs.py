"""`Jobs` and `AsyncJobs`: what a test asks about the jobs of its own transaction, and runs.

    jobs = Jobs(app, connection)
    place_order(connection, 7)
    jobs.assert_enqueued(send_receipt, order_id=7)
    jobs.drain()
    connection.rollback()

Nothing is emulated: jobs are rows of the real tables, written, claimed and ended by the operations
that clients and workers use, on the connection of the test. docs/testing.md is the manual.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from contextlib import (
    nullcontext,
)
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, overload

from pgqueue.app import App
from pgqueue.backends.connections import (
    BlockingConnection,
    recognise,
)
from pgqueue.backends.plans import carry_out
from pgqueue.errors import UnsupportedConnection
from pgqueue.jobs.job import Job, NewJob
from pgqueue.tasks.task import Task
from pgqueue.testing import attempts
from pgqueue.testing.attempts import Performed
from pgqueue.testing.clock import Clock
from pgqueue.testing.draining import Body, Draining, InTransaction, Ran
from pgqueue.testing.jobs_base import LOOK_SECONDS, JobsBase, asserted, refuted, seconds_of
from pgqueue.testing.matching import Expected, waiting
from pgqueue.testing.savepoints import savepoint

R = TypeVar("R")


class Jobs(JobsBase):
    """The jobs that a blocking *connection* sees: psycopg's, sqlite3's or SQLAlchemy's.

    In a test whose connection is rolled back, they never leave it. *clock*: shared with other
    `Jobs`, or one of its own. Without a *connection* only `perform` works.
    """

    def __init__(
        self, app: App, connection: BlockingConnection | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(app, connection, clock)
        if connection is not None:
            found = recognise(connection)
            if found.is_async or found.bridged:
                raise UnsupportedConnection("this connection is asyncio's: AsyncJobs(app, ...)")

    @overload
    def assert_enqueued(
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
    def assert_enqueued(
        self,
        task: Task[..., Any] | NewJob[Any],
        /,
        *,
        queue: str | None = ...,
        count: int,
        within: timedelta | float = ...,
        **arguments: Any,
    ) -> list[Job]: ...
    def assert_enqueued(
        self,
        task: Task[..., Any] | NewJob[Any],
        /,
        *,
        queue: str | None = None,
        count: int | None = None,
        within: timedelta | float = 0,
        **arguments: Any,
    ) -> Any:
        """Return the one job of *task* that waits with these *arguments*; with *count*, a list of
        so many.

        Of an object or dictionary only what is given must be there, at any depth; a list must have
        the same length. An argument that was not enqueued has its default. With `task.job(...)`
        instead of a task, a type checker looks at its arguments. *within*: for how many seconds to
        wait for it, if another thread or process is to enqueue it; 0 does not wait.

        Raises AssertionError, which shows what waits and how the nearest job differs; TypeError for
        an argument that the task does not have.
        """
        expected = Expected(self.app, task, arguments, queue)
        deadline = time.monotonic() + seconds_of(within)
        while True:
            jobs = self._read(waiting())
            found = [job for job in jobs if expected.matches(job)]
            if len(found) >= (1 if count is None else count) or time.monotonic() >= deadline:
                return asserted(expected, jobs, found, count)
            time.sleep(LOOK_SECONDS)

    def refute_enqueued(
        self,
        task: Task[..., Any] | NewJob[Any] | None = None,
        /,
        *,
        queue: str | None = None,
        **arguments: Any,
    ) -> None:
        """Raise AssertionError if `assert_enqueued` would find a job; without a *task*, if any job
        waits."""
        refuted(Expected(self.app, task, arguments, queue), self._read(waiting()))

    def enqueued(
        self, task: Task[..., Any] | None = None, *, queue: str | None = None
    ) -> list[Job]:
        """Return all jobs that wait, in the order in which they were enqueued."""
        return self._read(waiting(task=None if task is None else task.name, queue=queue))

    def drain(
        self,
        *,
        queue: str | None = None,
        recursive: bool = True,
        scheduled: datetime | timedelta | None = None,
        raising: bool = True,
    ) -> list[Performed[Any]]:
        """Run what is due in this thread, on the test's connection, and return how each attempt
        went.

        Each job is claimed, run and ended as a worker does it, in a savepoint of its own, until
        nothing is due: children and what jobs enqueue included. *recursive* False: only what is due
        at the beginning, once. The first error of a task is raised, once its attempt is recorded;
        with *raising* False the job is tried again instead, and the clock moves to the instant of
        that. *scheduled*: also run what is due up to this instant, or within so long from now, each
        job at its time.
        """
        return self._carry(self._draining(queue, recursive, scheduled, raising))

    def run_due(self) -> list[Performed[Any]]:
        """Run what is due now, and what becomes available by that; errors only end their jobs'
        attempts."""
        return self._carry(self._draining(None, True, None, False, travels=False))

    def _carry(self, plan: Draining) -> list[Performed[Any]]:
        bound = self._bound()
        with self._loops() as loop:

            def answer(asked: Any) -> Any:
                if isinstance(asked, Body):
                    task, context, runtime = self._prepared(asked)
                    undoing, around = savepoint(self._connection), self.app.hooks.all_around()
                    judged = attempts.run(task, asked.job, context, undoing, loop.runner, around)
                    return Ran(judged, context, runtime.said)
                if isinstance(asked, InTransaction):
                    with bound.transaction() as runner:
                        return carry_out(asked.plan, runner.execute)
                return bound.execute(asked)

            return carry_out(plan, answer)

    def perform(
        self,
        job: NewJob[R],
        *,
        attempt: int = 1,
        parents: Mapping[str, Any] | None = None,
        checkpoint: Any = None,
        connection: Any = None,
    ) -> Performed[R]:
        """Run *job* once, without a database, as its *attempt*-th attempt, and return how it went.

        Its arguments and its result go through JSON, its error to the retry policy, as in a worker.
        *parents*: the results of the jobs it waits for, by name. *checkpoint*: what an earlier
        attempt kept. *connection* is lent to `ctx.transaction()`. Raises nothing that the task
        raises: ask the answer for its `result` or `error`.
        """
        task, claimed, context = self._detached(job, attempt, parents, checkpoint, connection)
        with _Loop() as loop:
            around = self.app.hooks.all_around()
            judged = attempts.run(task, claimed, context, nullcontext(), loop.runner, around)
        state = attempts.state_after(claimed, judged.ending)
        return attempts.performed(task, claimed, context, judged, state)

    def _loops(self) -> _Loop:
        return _Loop()

    def _read(self, plan: Generator[Any, Any, R]) -> R:
        return carry_out(plan, self._bound().execute)


class _Loop:
    """An event loop for the coroutines of one `drain`, made when the first one comes."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._runner is not None:
            self._runner.close()

    def runner(self) -> asyncio.Runner:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner
