"""`enqueue` and `schedule`: what exists if, and only if, the application's transaction commits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, Unpack, overload

from pgqueue import backends, operations
from pgqueue.backends.borrowing import drivers_own
from pgqueue.backends.connections import (
    AnyConnection,
    AsyncioConnection,
    BlockingConnection,
    Recognised,
    recognise,
)
from pgqueue.backends.plans import carry_out, carry_out_async
from pgqueue.errors import InvalidJob
from pgqueue.jobs.graphs import Jobs, Mode, Step, gather, lone
from pgqueue.jobs.job import Handle, NewJob
from pgqueue.jobs.schedules.schedule import ScheduleOptions, make_schedule
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.operations import Operation, acting, editing
from pgqueue.operations.acting import Acted, Which
from pgqueue.statements.files import load
from pgqueue.statements.sql import PARAMSTYLES, Paramstyle

R = TypeVar("R")
T = TypeVar("T")


@overload
def enqueue(connection: BlockingConnection, job: NewJob[R], /) -> Handle[R]: ...
@overload
def enqueue(
    connection: BlockingConnection, jobs: Iterable[NewJob[Any]], /
) -> list[Handle[Any]]: ...
@overload
def enqueue(
    connection: BlockingConnection, first: Step, second: Step, /, *more: Step
) -> list[Handle[Any]]: ...
@overload
def enqueue(connection: AsyncioConnection, job: NewJob[R], /) -> Coroutine[Any, Any, Handle[R]]: ...
@overload
def enqueue(
    connection: AsyncioConnection, jobs: Jobs, /
) -> Coroutine[Any, Any, list[Handle[Any]]]: ...
@overload
def enqueue(
    connection: AsyncioConnection, first: Step, second: Step, /, *more: Step
) -> Coroutine[Any, Any, list[Handle[Any]]]: ...
def enqueue(connection: AnyConnection, /, *jobs: Any) -> Any:
    """Enqueue jobs in the transaction of *connection*: they exist if, and only if, it commits.

    *connection* is psycopg's, psycopg2's, asyncpg's, sqlite3's, aiosqlite's or SQLAlchemy's, a
    session of the latter, or what docs/drivers.md has besides; await the answer of an async one.
    One job answers with its handle, several with a list; an iterable of jobs always with a list, in
    order. Ten thousand jobs are ten statements. On a connection in autocommit they are a
    transaction of their own.

    Raises InvalidJob, before anything is written, UnsupportedConnection, SchemaMissing.
    """
    if (job := lone(jobs)) is not None and operations.is_plain(job):
        return _enqueue_plain(connection, job)
    gathered = gather(jobs)
    batch, one, workflow = gathered
    single = workflow is None and operations.is_simple(batch)
    plan = _answered(operations.enqueue(batch, workflow=workflow), one)
    return _carried(
        "enqueue", connection, plan, schema_of(batch), single=single, mode=gathered.mode
    )


@overload
def execute(
    connection: BlockingConnection, operation: Operation[T], /, *, schema: str = ...
) -> T: ...
@overload
def execute(
    connection: AsyncioConnection, operation: Operation[T], /, *, schema: str = ...
) -> Coroutine[Any, Any, T]: ...
def execute(
    connection: AnyConnection, operation: Operation[T], /, *, schema: str = "pgqueue"
) -> T | Coroutine[Any, Any, T]:
    """Carry out any of `pgqueue.operations` in the transaction of *connection*.

    `execute(session, operations.cancel([7]))`; await the answer of an async connection.
    """
    return _carried("execute", connection, _alone(operation), schema, single=True)


class Statement(NamedTuple):
    """What a driver is to carry out; the answer is one row, the job's id."""

    sql: str
    params: Sequence[Any] | Mapping[str, Any]


def statement(job: NewJob[Any], paramstyle: Paramstyle = "pyformat") -> Statement:
    """Return the SQL and the parameters that enqueue *job* in PostgreSQL, through any driver.

    *paramstyle*: "pyformat" (psycopg2) and "format", "named" (SQLAlchemy's `text`),
    "numeric_dollar" (asyncpg). All parameters are text. Raises InvalidJob when it waits for others.
    """
    if paramstyle not in PARAMSTYLES:
        raise ValueError(f"paramstyle {paramstyle!r}; give {', '.join(PARAMSTYLES)}")
    [job], _, _ = gather((job,))
    operation = operations.door(job)
    [step] = load("postgres", job.schema, paramstyle)[operation.name].steps
    return Statement(step.sql, step.given(operation.params))


@overload
def cancel(
    connection: BlockingConnection,
    which: Which,
    /,
    *,
    reason: str | None = ...,
    by: str | None = ...,
    schema: str = ...,
) -> Acted: ...
@overload
def cancel(
    connection: AsyncioConnection,
    which: Which,
    /,
    *,
    reason: str | None = ...,
    by: str | None = ...,
    schema: str = ...,
) -> Coroutine[Any, Any, Acted]: ...
def cancel(
    connection: AnyConnection,
    which: Which,
    /,
    *,
    reason: str | None = None,
    by: str | None = None,
    schema: str = "pgqueue",
) -> Acted | Coroutine[Any, Any, Acted]:
    """Cancel jobs, a `Filter`'s or by their ids, in the transaction of *connection*.

    What waits is cancelled when it commits, what runs is asked to stop; await the answer of an
    async connection. All are one transaction: thousands are for `app.jobs.cancel`. *by*: who does
    it; if it is said, that is noted in the audit.
    """
    plan = acting.whole(acting.cancelling(reason), which, who=by)
    return _carried("cancel", connection, plan, schema)


@overload
def retry(
    connection: BlockingConnection, which: Which, /, *, by: str | None = ..., schema: str = ...
) -> Acted: ...
@overload
def retry(
    connection: AsyncioConnection, which: Which, /, *, by: str | None = ..., schema: str = ...
) -> Coroutine[Any, Any, Acted]: ...
def retry(
    connection: AnyConnection,
    which: Which,
    /,
    *,
    by: str | None = None,
    schema: str = "pgqueue",
) -> Acted | Coroutine[Any, Any, Acted]:
    """Run jobs again, a `Filter`'s or by their ids, once the transaction of *connection* commits.

    As `cancel`. A filter without a state means the discarded ones.
    """
    plan = acting.whole(acting.retrying(), which, who=by)
    return _carried("retry", connection, plan, schema)


@overload
def schedule(
    connection: BlockingConnection,
    name: str,
    when: str | timedelta | Timing,
    job: NewJob[Any],
    /,
    **options: Unpack[ScheduleOptions],
) -> bool: ...
@overload
def schedule(
    connection: AsyncioConnection,
    name: str,
    when: str | timedelta | Timing,
    job: NewJob[Any],
    /,
    **options: Unpack[ScheduleOptions],
) -> Coroutine[Any, Any, bool]: ...
def schedule(
    connection: AnyConnection,
    name: str,
    when: str | timedelta | Timing,
    job: NewJob[Any],
    /,
    **options: Unpack[ScheduleOptions],
) -> bool | Coroutine[Any, Any, bool]:
    """Let *job* be enqueued again and again, in the transaction of *connection*.

    One for each user, say: `schedule(session, f"digest/{user.id}", "@weekly", digest.job(user.id),
    zone=user.zone)`. A schedule of this *name* is changed to what is said here; returns whether
    anything is. *when* and the options are those of `App.schedule`; await the answer of an async
    connection. Raises InvalidSchedule, before anything is written, and for a name that code
    declares.
    """
    made = make_schedule(name, when, job, **options)
    return _carried("schedule", connection, editing.put(made), schema_of([job]))


@overload
def unschedule(connection: BlockingConnection, /, *names: str, schema: str = ...) -> set[str]: ...
@overload
def unschedule(
    connection: AsyncioConnection, /, *names: str, schema: str = ...
) -> Coroutine[Any, Any, set[str]]: ...
def unschedule(
    connection: AnyConnection, /, *names: str, schema: str = "pgqueue"
) -> set[str] | Coroutine[Any, Any, set[str]]:
    """Delete schedules that `schedule` has made, in the transaction of *connection*.

    Returns which of *names* there were; await the answer of an async connection. Raises
    InvalidSchedule for one that code declares.
    """
    return _carried("unschedule", connection, editing.remove(names), schema)


def schema_of(jobs: Sequence[NewJob[Any]]) -> str:
    """The schema of the application whose tasks made *jobs*; InvalidJob when there are several."""
    if len(jobs) == 1:
        return jobs[0].schema
    schemas = sorted({job.schema for job in jobs})
    if len(schemas) > 1:
        raise InvalidJob(
            f"jobs of several applications, with the schemas {', '.join(schemas)}: one call each"
        )
    return schemas[0] if schemas else "pgqueue"


def _enqueue_plain(connection: AnyConnection, job: NewJob[Any]) -> Any:
    """As `enqueue` does it, without its plan: what most calls are, at a third of our own cost."""
    found = recognise(connection)
    backend = backends.attached(found.store, job.schema)
    operation = operations.enqueue_plain(job)
    if found.is_async:
        return _named("enqueue", _enqueue_plain_async(backend, found, operation, job.task))
    if found.bridged:
        return _bridged(_enqueue_plain_async(backend, found.entered(), operation, job.task))
    with backend.on(found.driver(), single=True) as executor:
        return Handle(executor.execute(operation), job.task)


async def _enqueue_plain_async(
    backend: backends.Backend, found: Recognised, operation: Operation[int], task: str
) -> Handle[Any]:
    async with backend.on_async(await found.driver(), single=True) as executor:
        return Handle(await executor.execute(operation), task)


def _answered(plan: operations.Plan[list[Handle[Any]]], one: bool) -> operations.Plan[Any]:
    """*plan*, which answers with its only handle if *one* job was given by itself."""
    handles = yield from plan
    return handles[0] if one else handles


def _alone(operation: Operation[T]) -> operations.Plan[T]:
    """A plan of nothing but *operation*."""
    answer: T = yield operation
    return answer


def _carried(
    name: str,
    connection: AnyConnection,
    plan: operations.Plan[T],
    schema: str,
    *,
    single: bool = False,
    mode: Mode | None = None,
) -> T | Coroutine[Any, Any, T]:
    """Carry *plan* out in the transaction of *connection*, for the function *name*.

    *single*: it is one statement, which needs no transaction of its own. *mode* does its part after
    the plan.
    """
    found = recognise(connection)
    backend = backends.attached(found.store, schema)
    if found.is_async:
        work = _carried_async(backend, found, plan, single, mode, lambda driver: connection)
        return _named(name, work)
    if (
        found.bridged
    ):  # what the mode runs awaits the driver; the caller's session cannot be awaited
        work = _carried_async(backend, found.entered(), plan, single, mode, drivers_own)
        return _bridged(work)
    with backend.on(found.driver(), single=single) as executor:
        answer = carry_out(plan, executor.execute, getattr(executor, "together", None))
    if mode is not None:
        mode.enqueued(connection)
    return answer


async def _carried_async(
    backend: backends.Backend,
    found: Recognised,
    plan: operations.Plan[T],
    single: bool,
    mode: Mode | None,
    joined: Callable[[Any], Any],
) -> T:
    """As `_carried`; *joined* returns the connection for the mode, given the driver's own."""
    driver = await found.driver()
    async with backend.on_async(driver, single=single) as executor:
        answer = await carry_out_async(plan, executor.execute, getattr(executor, "together", None))
    if mode is not None:
        await mode.enqueued_async(joined(driver))
    return answer


def _named(name: str, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """Makes Python's warning about a forgotten await say *name*, which the caller has written."""
    coroutine.__qualname__ = f"pgqueue.{name}"  # type: ignore[attr-defined]  # a coroutine has one
    return coroutine


def _bridged(coroutine: Coroutine[Any, Any, T]) -> T:
    """Awaits in the greenlet in which SQLAlchemy runs blocking code over an asyncio driver."""
    from sqlalchemy.util import await_only

    answer: T = await_only(coroutine)
    return answer
