"""`App`: the tasks of an application, and the store their jobs live in."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import msgspec
import tenacity

from pgqueue import backends, inspections, operations
from pgqueue.backends.base import (
    ASK_AGAIN,
    carry_out,
    carry_out_async,
    patiently,
    patiently_async,
)
from pgqueue.errors import JobFailed, ResultTimeout, StoreUnavailable, UnknownJob
from pgqueue.graphs import Jobs, Step, Workflow, gather
from pgqueue.inspections import Ending
from pgqueue.jobs import FINISHED, Handle, NewJob, State, job_id
from pgqueue.operations import Operation, Retention
from pgqueue.statements import in_schema
from pgqueue.tasks import TaskRegistry

if TYPE_CHECKING:
    from pgqueue.waiting import Waiter

R = TypeVar("R")
T = TypeVar("T")
DEFAULT_URL: Final = "sqlite:///pgqueue.db"


class App(TaskRegistry):
    """The tasks of an application, and the store their jobs live in.

    *url* names the store; without one, the environment variable PGQUEUE_URL does, when it is first
    needed, and else it is SQLite, the file `pgqueue.db` in the current directory. Declaring tasks
    and enqueueing on the application's own connections need none. *schema* is where the tables are
    (in SQLite, what their names begin with). *listen_url* (PostgreSQL): another way to the same
    database, for LISTEN, where *url* leads through a pooler. *synchronous* (SQLite): "full", or
    "normal", where a power cut may undo the last moments. *retention*: how long finished jobs are
    kept. *max_rescues*: how often a job may take its worker down with it before it is discarded.
    *pool_size* (PostgreSQL, 10): how many connections `enqueue` may hold at once.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        schema: str = "pgqueue",
        listen_url: str | None = None,
        synchronous: str | None = None,
        retention: Retention | None = None,
        max_rescues: int = 3,
        pool_size: int | None = None,
    ) -> None:
        in_schema("", schema)  # a name that cannot be one is refused where it stands
        super().__init__(schema)
        self._url = url
        self._options = {
            "listen_url": listen_url,
            "synchronous": synchronous,
            "pool_size": pool_size,
        }
        self._backend: backends.Backend | None = None
        self._connecting = threading.Lock()
        self._waiter: Waiter | None = None
        self.retention = retention or Retention()
        self.max_rescues = max_rescues

    @property
    def url(self) -> str:
        """Where the jobs live."""
        return self._url or os.environ.get("PGQUEUE_URL") or DEFAULT_URL

    @property
    def backend(self) -> backends.Backend:
        """The store; connects when it is first asked something."""
        with self._connecting:
            if self._backend is None:
                self._backend = backends.connect(self.url, schema=self.schema, **self._options)
            return self._backend

    def use(self, url: str, *, listen_url: str | None = None) -> None:
        """Take *url*, and *listen_url* if it needs one, instead of what the application was made
        with: for command lines and tests."""
        self.close()
        self._url = url
        self._options["listen_url"] = listen_url
        self._backend = None

    @overload
    def enqueue(self, job: NewJob[R], /) -> Handle[R]: ...
    @overload
    def enqueue(self, jobs: Jobs, /) -> list[Handle[Any]]: ...
    @overload
    def enqueue(self, first: Step, second: Step, /, *more: Step) -> list[Handle[Any]]: ...
    def enqueue(self, /, *jobs: Any) -> Any:
        """Enqueue jobs in a transaction of their own, on a connection of pgqueue's own.

        One job answers with its handle, several, an iterable or a graph with a list. Raises
        InvalidJob, StoreUnavailable.
        """
        batch, single, workflow = gather(jobs)
        if workflow is None and operations.is_simple(batch):
            plan = operations.enqueue(batch, notify=not self.backend.wakes_after)
            handles = carry_out(plan, self.backend.execute)
        else:
            handles = patiently(self._together, batch, workflow)
        if self.backend.wakes_after:
            with contextlib.suppress(StoreUnavailable):  # a hint: the jobs are there
                self.backend.execute(operations.wake(operations.topics(batch)))
        return handles[0] if single else handles

    @overload
    async def enqueue_async(self, job: NewJob[R], /) -> Handle[R]: ...
    @overload
    async def enqueue_async(self, jobs: Jobs, /) -> list[Handle[Any]]: ...
    @overload
    async def enqueue_async(
        self, first: Step, second: Step, /, *more: Step
    ) -> list[Handle[Any]]: ...
    async def enqueue_async(self, /, *jobs: Any) -> Any:
        """As `enqueue`, without blocking the event loop."""
        batch, single, workflow = gather(jobs)
        if workflow is None and operations.is_simple(batch):
            plan = operations.enqueue(batch, notify=not self.backend.wakes_after)
            handles = await carry_out_async(plan, self.backend.execute_async)
        else:
            handles = await patiently_async(self._together_async, batch, workflow)
        if self.backend.wakes_after:
            with contextlib.suppress(StoreUnavailable):
                await self.backend.execute_async(operations.wake(operations.topics(batch)))
        return handles[0] if single else handles

    def _together(
        self, batch: Sequence[NewJob[Any]], workflow: Workflow | None
    ) -> list[Handle[Any]]:
        notify = not self.backend.wakes_after
        plan = operations.enqueue(batch, workflow=workflow, notify=notify)
        with self.backend.transaction() as executor:
            return carry_out(plan, executor.execute, getattr(executor, "together", None))

    async def _together_async(
        self, batch: Sequence[NewJob[Any]], workflow: Workflow | None
    ) -> list[Handle[Any]]:
        notify = not self.backend.wakes_after
        plan = operations.enqueue(batch, workflow=workflow, notify=notify)
        async with self.backend.transaction_async() as executor:
            return await carry_out_async(
                plan, executor.execute, getattr(executor, "together", None)
            )

    def execute(self, operation: Operation[T]) -> T:
        """Carry out any of `pgqueue.operations` or `pgqueue.inspections`."""
        return self.backend.execute(operation)

    async def execute_async(self, operation: Operation[T]) -> T:
        """As `execute`, without blocking the event loop."""
        return await self.backend.execute_async(operation)

    def result(self, job: Handle[R] | int, timeout: timedelta | float | None = None) -> R:
        """Wait for *job* and return its result; woken when it finishes, not polling.

        *timeout* is a timedelta or seconds. Raises ResultTimeout, JobFailed when it ended cancelled
        or discarded, UnknownJob when there is none, or none any more.
        """
        deadline = _deadline(timeout)
        look = tenacity.Retrying(**ASK_AGAIN).wraps(self.execute)
        found = self._ended(job, look(inspections.result(job)))
        if found is None:
            with self.backend.listen(("#", f"#{job_id(job)}")) as ear:
                gaps = _growing_gaps()
                while (found := self._ended(job, look(inspections.result(job)))) is None:
                    ear.wait(min(_left(job, deadline), next(gaps)))
        result: R = self._read(job, found)
        return result

    async def result_async(
        self, job: Handle[R] | int, timeout: timedelta | float | None = None
    ) -> R:
        """As `result`, without blocking the event loop; all that wait share one connection."""
        from pgqueue.waiting import Waiter

        deadline = _deadline(timeout)
        look = tenacity.AsyncRetrying(**ASK_AGAIN).wraps(self.execute_async)
        found = self._ended(job, await look(inspections.result(job)))
        if found is None:
            if self._waiter is None or not self._waiter.usable:
                self._waiter = Waiter(self.backend)
            async with self._waiter.waiting(job_id(job)) as woken:
                for gap in _growing_gaps():
                    found = self._ended(job, await look(inspections.result(job)))
                    if found is not None:
                        break
                    await woken(min(_left(job, deadline), gap))
        assert found is not None
        result: R = self._read(job, found)
        return result

    async def run_worker(self, **options: Any) -> None:
        """Work in this very process, until cancelled; *options* are those of
        `pgqueue.worker.Options`."""
        from pgqueue.worker import Options, Worker

        await Worker(self, Options(**options)).run()

    def close(self) -> None:
        """Give back the connections of `enqueue` and `execute`."""
        if self._backend is not None:
            self._backend.close()

    async def close_async(self) -> None:
        """Give back the connections of the asyncio methods on this event loop."""
        if self._waiter is not None:
            await self._waiter.close()
            self._waiter = None
        if self._backend is not None:
            await self._backend.close_async()

    def _ended(self, job: Handle[Any] | int, ending: Ending | None) -> Ending | None:
        """*ending* if it is one. Raises UnknownJob."""
        if ending is None:
            raise UnknownJob(f"no job {job_id(job)}; it may be past its retention")
        return ending if ending.state in FINISHED else None

    def _read(self, job: Handle[Any] | int, ending: Ending) -> Any:
        if ending.state != State.COMPLETED:
            error = None if ending.error is None else msgspec.json.decode(ending.error)
            why = ending.reason or (
                f"{error['type']}: {error['message']}" if error else "no reason given"
            )
            raise JobFailed(
                f"{ending.task}: job {job_id(job)} was {ending.state}: {why}",
                job_id=job_id(job),
                state=ending.state,
                reason=ending.reason,
                error=error,
            )
        if (task := self.tasks.get(ending.task)) is not None:
            return task.decode_result(ending.result)
        return None if ending.result is None else msgspec.json.decode(ending.result)


def _deadline(timeout: timedelta | float | None) -> float | None:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    return None if seconds is None else monotonic() + seconds


def _growing_gaps() -> Iterator[float]:
    """A job whose completion was about to commit when we declared that we wait tells us nothing, so
    look again soon, then seldom."""
    gap = 0.005
    while True:
        yield gap
        gap = min(gap * 2, 5.0)


def _left(job: Handle[Any] | int, deadline: float | None) -> float:
    """Seconds until *deadline*. Raises ResultTimeout when it has passed."""
    if deadline is None:
        return inf
    left = deadline - monotonic()
    if left <= 0:
        raise ResultTimeout(f"job {job_id(job)} has not finished in time; it goes on all the same")
    return left
