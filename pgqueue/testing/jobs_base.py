"""What `Jobs` and `AsyncJobs` share: all that does not wait."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import (
    contextmanager,
)
from datetime import datetime, timedelta
from typing import Any, Final

from pgqueue.app import App
from pgqueue.backends.bound import BoundBackend
from pgqueue.backends.connections import (
    recognise,
)
from pgqueue.errors import PgqueueError, UnsupportedConnection
from pgqueue.jobs import jsontext
from pgqueue.jobs.job import Job, NewJob, Progress, State
from pgqueue.operations import ClaimedJob
from pgqueue.tasks.context import Context
from pgqueue.tasks.parents import Parent
from pgqueue.tasks.runtime import DetachedRuntime
from pgqueue.tasks.task import Task
from pgqueue.testing.clock import Clock
from pgqueue.testing.draining import Body, Draining, draining
from pgqueue.testing.matching import Expected
from pgqueue.testing.runtime import ConnectionRuntime

LOOK_SECONDS: Final = 0.01


class JobsBase:
    """What both kinds share: all that does not wait."""

    def __init__(self, app: App, connection: Any, clock: Clock | None) -> None:
        self.app = app
        self.clock = clock or Clock()
        self._connection = connection
        self._keep = app.retention.archived_states()
        if connection is not None and recognise(connection).store == "redis":
            raise UnsupportedConnection(
                "Redis has no transaction that a test could roll back; test on PostgreSQL or SQLite"
            )

    @contextmanager
    def bound(self) -> Iterator[None]:
        """Have the application itself write through the test's connection, by its clock, within the
        block.

        So `app.enqueue` in the code under test does not escape the rollback.
        """
        with self.app.bound_to(self._connected(), now=lambda: self.clock.instant):
            yield

    def _connected(self) -> Any:
        if self._connection is None:
            raise PgqueueError("only perform() does without a connection: Jobs(app, connection)")
        return self._connection

    def _bound(self) -> BoundBackend:
        return BoundBackend(
            self._connected(), schema=self.app.schema, now=lambda: self.clock.instant
        )

    def _draining(
        self,
        queue: str | None,
        recursive: bool,
        scheduled: datetime | timedelta | None,
        raising: bool,
        *,
        travels: bool = True,
    ) -> Draining:
        until = scheduled
        if isinstance(until, timedelta):
            until = self.clock.now() + until
        elif until is not None and until.utcoffset() is None:
            raise PgqueueError(f"scheduled: {until!r} has no time zone")
        return draining(
            self.app,
            self.clock,
            self._keep,
            queue=queue,
            recursive=recursive,
            until=until,
            raising=raising,
            travels=travels,
        )

    def _prepared(self, asked: Body) -> tuple[Task[..., Any], Context, ConnectionRuntime]:
        job = asked.job
        runtime = ConnectionRuntime(
            self._connection, self._bound(), job, self._keep, self.app.schema, asked.parents
        )
        return self.app.find(job.task), Context(job, runtime, _deadline(job)), runtime

    def _detached(
        self,
        job: NewJob[Any],
        attempt: int,
        parents: Mapping[str, Any] | None,
        checkpoint: Any,
        connection: Any,
    ) -> tuple[Task[..., Any], ClaimedJob, Context]:
        """Return *job* as a worker would have claimed it, by what the store would keep of it."""
        seconds = None if job.timeout is None else job.timeout.total_seconds()
        due = job.run_at or self.clock.now() + (job.delay or timedelta(0))
        claimed = ClaimedJob(
            id=0,
            priority=job.priority,
            position=0,
            attempt=attempt,
            task=job.task,
            args=job.args,
            max_attempts=job.max_attempts,
            timeout_seconds=seconds,
            run_at=due.timestamp(),
            rescues=0,
            progress=jsontext.write(Progress(checkpoint=checkpoint)),
            metadata=job.metadata,
            tags=list(job.tags) or None,
            workflow=None,
            queue=job.queue,
            key=job.key or "",
            expires_in=None,
            lease=0,
        )
        left = [
            Parent(n, State.COMPLETED, name, name, jsontext.write(result))
            for n, (name, result) in enumerate((parents or {}).items(), 1)
        ]
        context = Context(claimed, DetachedRuntime(connection, left), _deadline(claimed))
        return self.app.find(job.task), claimed, context


def asserted(expected: Expected, jobs: list[Job], found: list[Job], count: int | None) -> Any:
    if count is None:
        if len(found) == 1:
            return found[0]
        wanted = "one (count=… expects so many)"
    else:
        if len(found) == count:
            return found
        wanted = str(count)
    if not found:
        raise AssertionError(expected.missing(jobs))
    raise AssertionError(expected.several(found, wanted))


def refuted(expected: Expected, jobs: list[Job]) -> None:
    if found := [job for job in jobs if expected.matches(job)]:
        raise AssertionError(expected.several(found, "none"))


def _deadline(job: ClaimedJob) -> float | None:
    return None if job.timeout_seconds is None else time.monotonic() + job.timeout_seconds


def seconds_of(duration: timedelta | float) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration
