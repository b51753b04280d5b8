"""`App`: the tasks of an application, and the store their jobs live in."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from pgqueue import backends, operations
from pgqueue.backends.connections import AnyConnection
from pgqueue.backends.plans import carry_out, carry_out_async, patiently, patiently_async
from pgqueue.backends.refusals import explained
from pgqueue.errors import InvalidTask, StoreBusy, StoreUnavailable
from pgqueue.jobs.graphs import Batch, Jobs, Step, Workflow, gather
from pgqueue.jobs.job import Handle, NewJob
from pgqueue.jobs.retention import Retention
from pgqueue.operations import Operation
from pgqueue.statements.files import in_schema
from pgqueue.tasks.registry import TaskRegistry
from pgqueue.tasks.task import Task

if TYPE_CHECKING:
    from pgqueue.addresses import Url
    from pgqueue.backends.loops import PerLoop
    from pgqueue.bridges import Inlet, Outlet, Received, Sink, Source
    from pgqueue.jobs.retries import Duration, Retries
    from pgqueue.managing.jobs import ManyJobs
    from pgqueue.managing.queues import Queues
    from pgqueue.managing.schedules import Schedules
    from pgqueue.modes import Inside
    from pgqueue.waiting import Waiter

R = TypeVar("R")
T = TypeVar("T")
DEFAULT_URL: Final = "sqlite:///pgqueue.db"


class App(TaskRegistry):
    """The tasks of an application, and the store their jobs live in.

    *url* names the store; without one, the variable PGQUEUE_URL does, when it is first needed; else
    it is the SQLite file `pgqueue.db` in the current directory. Declaring tasks and enqueueing on
    the application's own connections need none. A function that returns the URL is asked at every
    connect, as its password may be a token that expires; it should not block, and is asked only
    once for another store than PostgreSQL. *schema* is where the tables are (in SQLite, what their
    names begin with). *listen_url* (PostgreSQL): another way to the same database, for LISTEN,
    where *url* leads through a pooler. *synchronous* (SQLite): "full", or "normal", where a power
    cut may undo the last moments. *retention*: how long finished jobs are kept. *max_rescues*: how
    often a job may take its worker down with it before it is discarded. *pool_size* (not SQLite;
    10): how many connections threads may hold here and in `ctx.transaction()`, and each event loop.
    *environment*, "production" say, or PGQUEUE_ENVIRONMENT: whose store this is; workers leave
    another's alone. *name*: whose schedules it declares, where several applications share a store.
    *actor*: who acts on jobs, queues and schedules, unless a call says it, for the audit; else
    PGQUEUE_ACTOR, or the system's user and host. *audit*: note such acts; for an application that
    acts all the time False, and then only those whose calls say who.

    *mode*: what becomes of jobs when they are enqueued. "queue": they wait for a worker. "inside":
    for a worker in this very process, with the options *worker*, which begins with `start` or with
    the first job that is enqueued, and ends with the process or `close`. "inline": they run at
    once, by whoever enqueues, on the same connection and in its transaction: for tests.
    """

    def __init__(
        self,
        url: Url | None = None,
        *,
        schema: str = "pgqueue",
        listen_url: str | None = None,
        synchronous: str | None = None,
        retention: Retention | None = None,
        max_rescues: int = 3,
        pool_size: int | None = None,
        environment: str | None = None,
        mode: Literal["queue", "inline", "inside"] = "queue",
        worker: Mapping[str, Any] | None = None,
        name: str | None = None,
        actor: str | None = None,
        audit: bool = True,
    ) -> None:
        in_schema("", schema)  # a name that cannot be one is refused where it stands
        super().__init__(schema)
        self._url = url
        self._environment = environment
        self._options = {
            "listen_url": listen_url,
            "synchronous": synchronous,
            "pool_size": pool_size,
        }
        self._backend: backends.Backend | None = None
        self._connecting = threading.Lock()
        self._inside: Inside | None = None
        if mode == "inline":
            from pgqueue.modes import Inline

            self.hooks.enqueue.mode = Inline(self)
        elif mode == "inside":
            from pgqueue.modes import Inside

            self.hooks.enqueue.mode = self._inside = Inside(self, worker or {})
        elif mode != "queue":
            raise ValueError(f'mode {mode!r}: give "queue", "inline" or "inside"')
        self.mode: Final = mode
        self.retention = retention or Retention()
        self.max_rescues = max_rescues
        self.outlets: Final[dict[str, Outlet]] = {}
        """What publishes messages, by its name; see `outlet`."""
        self.inlets: Final[dict[str, Inlet]] = {}
        """What makes jobs of a broker's messages, by its name; see `inlet`."""
        self._actor, self._audit = actor, audit
        self.owner = name
        """The owner of its schedules; by default the import path given to the worker."""

    @property
    def url(self) -> str:
        """Where the jobs live."""
        return self._given_url() or os.environ.get("PGQUEUE_URL") or DEFAULT_URL

    def _given_url(self) -> str | None:
        return self._url() if callable(self._url) else self._url

    @property
    def environment(self) -> str | None:
        """The environment of the store, if it is given."""
        return self._environment or os.environ.get("PGQUEUE_ENVIRONMENT") or None

    @property
    def backend(self) -> backends.Backend:
        """The store; connects when it is first asked something."""
        with self._connecting:
            if self._backend is None:
                url = self._url if callable(self._url) else self.url
                self._backend = backends.connect(url, schema=self.schema, **self._options)
            return self._backend

    def acting(self, by: str | None = None) -> str | None:
        """Return whose name stands in the audit for what *by* does; None where nothing is noted.

        Raises ValueError for a name that is none.
        """
        from pgqueue.managing.actors import actor

        return actor(by or self._actor) if by or self._audit else None

    @cached_property
    def jobs(self) -> ManyJobs:
        """Acts on many jobs, by their ids or by a filter: `app.jobs.cancel(Filter(queue="a"))`."""
        from pgqueue.managing.jobs import ManyJobs

        return ManyJobs(self)

    @property
    def schedules(self) -> Schedules:
        """The schedules in the store, and what people do with them; see `Schedules`."""
        from pgqueue.managing.schedules import Schedules

        return Schedules(lambda: self.backend, self.retention.archived_states(), self.acting)

    @cached_property
    def queues(self) -> Queues:
        """Pauses, resumes and limits queues: `app.queues.pause("mail", reason="...")`."""
        from pgqueue.managing.queues import Queues

        return Queues(self)

    def outlet(
        self,
        name: str,
        sink: Sink | str,
        *,
        max_attempts: int = 20,
        retry: Retries | None = None,
        ordered: bool = True,
        hold_key: bool = False,
    ) -> Outlet:
        """Declare a task *name*, on a queue of its own name, that publishes messages to *sink*.

        Its `message(...)` makes the jobs. If *ordered*, those with the same key keep their order.
        *sink* may be the URL of an adapter that another package brings. See
        `pgqueue.bridges.Outlet`. Raises InvalidTask if the name is taken, or no adapter is there.
        """
        from pgqueue.bridges import Outlet

        if name in self.outlets or name in self.inlets:
            raise InvalidTask(f"{name}: there is an outlet or inlet of this name; give another")
        made = Outlet(
            self,
            name,
            sink,
            max_attempts=max_attempts,
            retry=retry,
            ordered=ordered,
            hold_key=hold_key,
        )
        self.add(made.task)
        self.queue(name, ordered=ordered)
        self.outlets[name] = made
        return made

    def inlet(
        self,
        name: str,
        source: Source | str,
        task: Task[..., Any] | None = None,
        *,
        read: Callable[[Received], Mapping[str, Any]] | None = None,
        key: Callable[[Received], str | None] | None = None,
        keep: timedelta | float = timedelta(days=4),
        high_water: int | None = None,
    ) -> Inlet:
        """Declare that each message from *source* becomes a job of *task*, once by its id. Without
        *task*, messages say themselves which it is, as Celery's do.

        *keep*: how long an id is remembered, a timedelta or seconds. A worker with `--inlets`, or
        `pgqueue bridge`, takes messages. See `pgqueue.bridges.Inlet`. Raises InvalidTask if the
        name is taken, or *keep* is not more than 0.
        """
        from pgqueue.bridges import Inlet

        if name in self.outlets or name in self.inlets:
            raise InvalidTask(f"{name}: there is an outlet or inlet of this name; give another")
        made = Inlet(self, name, source, task, read=read, key=key, keep=keep, high_water=high_water)
        self.add(made.poison)
        self.inlets[name] = made
        return made

    def use(self, url: str, *, listen_url: str | None = None) -> None:
        """Take *url*, and *listen_url* if it needs one, instead of what the application was made
        with: for command lines and tests."""
        self.close()
        self._url = url
        self._options["listen_url"] = listen_url
        self._backend = None

    @contextlib.contextmanager
    def bound_to(
        self, connection: AnyConnection, *, now: Callable[[], datetime | None] = lambda: None
    ) -> Iterator[None]:
        """Within, this application reads and writes through *connection* alone: for tests.

        `enqueue`, `execute` and `result`, their asyncio kind too, become part of its transaction,
        and a rollback undoes them; in whatever thread they are called. *now*: the instant at which
        each is carried out, None where the store's clock rules.
        """
        from pgqueue.backends.bound import BoundBackend

        bound = BoundBackend(connection, schema=self.schema, now=now)
        before, self._backend = self._backend, bound
        try:
            yield
        finally:
            self._backend = before

    @contextlib.contextmanager
    def testing(self, mode: Literal["inline"]) -> Iterator[None]:
        """Inside, jobs run at once where they are enqueued, as with `App(mode="inline")`."""
        from pgqueue.modes import Inline

        if mode != "inline":
            raise ValueError(f'testing({mode!r}): give "inline"')
        before, self.hooks.enqueue.mode = self.hooks.enqueue.mode, Inline(self)
        try:
            yield
        finally:
            self.hooks.enqueue.mode = before

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
        batch = gather(jobs, self.hooks.enqueue)
        if (mode := batch.mode) is None:
            handles = self._enqueue(batch)
        else:
            handles = mode.enqueue(batch, self._enqueue)
        return handles[0] if batch.single else handles

    def _enqueue(self, gathered: Batch) -> list[Handle[Any]]:
        batch, _, workflow = gathered
        with explained(self.backend):
            if workflow is None and operations.is_simple(batch):
                plan = operations.enqueue(batch, notify=not self.backend.wakes_after)
                handles = carry_out(plan, self.backend.execute)
            else:
                handles = patiently(self._together, batch, workflow)
        if self.backend.wakes_after:
            with contextlib.suppress(StoreUnavailable, StoreBusy):  # a hint: the jobs are there
                self.backend.execute(operations.wake(operations.topics_to_wake(batch)))
        return handles

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
        batch = gather(jobs, self.hooks.enqueue)
        if (mode := batch.mode) is None:
            handles = await self._enqueue_async(batch)
        else:
            handles = await mode.enqueue_async(batch, self._enqueue_async)
        return handles[0] if batch.single else handles

    async def _enqueue_async(self, gathered: Batch) -> list[Handle[Any]]:
        batch, _, workflow = gathered
        with explained(self.backend):
            if workflow is None and operations.is_simple(batch):
                plan = operations.enqueue(batch, notify=not self.backend.wakes_after)
                handles = await carry_out_async(plan, self.backend.execute_async)
            else:
                handles = await patiently_async(self._together_async, batch, workflow)
        if self.backend.wakes_after:
            with contextlib.suppress(StoreUnavailable, StoreBusy):
                await self.backend.execute_async(operations.wake(operations.topics_to_wake(batch)))
        return handles

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
            together = getattr(executor, "together", None)
            return await carry_out_async(plan, executor.execute, together)

    def execute(self, operation: Operation[T]) -> T:
        """Carry out any of `pgqueue.operations` or `pgqueue.operations.inspections`."""
        with explained(self.backend):
            return self.backend.execute(operation)

    async def execute_async(self, operation: Operation[T]) -> T:
        """As `execute`, without blocking the event loop."""
        with explained(self.backend):
            return await self.backend.execute_async(operation)

    @overload
    def result(self, job: Handle[R], timeout: Duration | None = None) -> R: ...
    @overload
    def result(self, job: int, timeout: Duration | None = None) -> Any: ...
    def result(self, job: Handle[Any] | int, timeout: Duration | None = None) -> Any:
        """Wait for *job* and return its result; woken when it finishes, not polling.

        *timeout* is a timedelta or seconds. Raises ResultTimeout, JobFailed when it ended cancelled
        or discarded, UnknownJob when there is none, or none any more.
        """
        from pgqueue import waiting

        return waiting.result(self, job, timeout)

    @overload
    async def result_async(self, job: Handle[R], timeout: Duration | None = None) -> R: ...
    @overload
    async def result_async(self, job: int, timeout: Duration | None = None) -> Any: ...
    async def result_async(self, job: Handle[Any] | int, timeout: Duration | None = None) -> Any:
        """As `result`, without blocking the event loop; all that wait share one connection."""
        from pgqueue import waiting

        return await waiting.result_async(self, job, timeout)

    async def run_worker(self, **options: Any) -> None:
        """Work in this very process, until cancelled; *options* are those of
        `pgqueue.worker.Options`."""
        from pgqueue.worker import Options, Worker

        await Worker(self, Options(**options)).run()

    def start(self) -> None:
        """Begin to work in this process, for mode="inside"; in any other mode do nothing.

        Returns when the worker has started. Raises what keeps it from that.
        """
        if self._inside is not None:
            self._inside.start()

    def close(self) -> None:
        """Give back the connections of `enqueue` and `execute`; end a worker inside, in order."""
        if self._inside is not None:
            self._inside.stop()
        if self._backend is not None:
            self._backend.close()

    @cached_property
    def waiters(self) -> PerLoop[Waiter]:
        """Who waits for results with asyncio: one for each event loop."""
        from pgqueue.backends.loops import PerLoop
        from pgqueue.waiting import Waiter

        return PerLoop(Waiter.close, lambda waiter: None)

    async def close_async(self) -> None:
        """Give back the connections of the asyncio methods on this event loop."""
        if "waiters" in vars(self):  # else nobody has waited, and nothing need be imported for it
            await self.waiters.close()
        for outlet in self.outlets.values():
            await outlet.close()
        if self._backend is not None:
            await self._backend.close_async()
