"""`enqueue`: jobs that exist if, and only if, the application's transaction commits."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar, overload

from pgqueue import backends, operations
from pgqueue.backends.base import carry_out, carry_out_async
from pgqueue.connections import (
    AnyConnection,
    AsyncioConnection,
    BlockingConnection,
    driver,
    driver_async,
    is_async,
    store_of,
)
from pgqueue.errors import InvalidJob
from pgqueue.graphs import Jobs, Step, gather
from pgqueue.jobs import Handle, NewJob
from pgqueue.operations import Operation

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
def enqueue(connection: AsyncioConnection, job: NewJob[R], /) -> Awaitable[Handle[R]]: ...
@overload
def enqueue(connection: AsyncioConnection, jobs: Jobs, /) -> Awaitable[list[Handle[Any]]]: ...
@overload
def enqueue(
    connection: AsyncioConnection, first: Step, second: Step, /, *more: Step
) -> Awaitable[list[Handle[Any]]]: ...
def enqueue(connection: AnyConnection, /, *jobs: Any) -> Any:
    """Enqueue jobs in the transaction of *connection*: they exist if, and only if, it commits.

    *connection* is a psycopg, sqlite3 or SQLAlchemy connection or session; await the answer of an
    async one.
    One job answers with its handle, several with a list; an iterable of jobs always with a list, in
    order. Ten thousand jobs are ten statements. On a connection in autocommit they are a
    transaction of their own.

    Raises InvalidJob, before anything is written, UnsupportedConnection, SchemaMissing.
    """
    batch, single, workflow = gather(jobs)
    plan = operations.enqueue(batch, workflow=workflow)
    backend = backends.attached(store_of(connection), schema_of(batch))
    if is_async(connection):
        return _enqueue_async(backend, connection, plan, single)
    with backend.on(driver(connection)) as executor:
        handles = carry_out(plan, executor.execute, getattr(executor, "together", None))
    return handles[0] if single else handles


@overload
def execute(
    connection: BlockingConnection, operation: Operation[T], /, *, schema: str = ...
) -> T: ...
@overload
def execute(
    connection: AsyncioConnection, operation: Operation[T], /, *, schema: str = ...
) -> Awaitable[T]: ...
def execute(
    connection: AnyConnection, operation: Operation[T], /, *, schema: str = "pgqueue"
) -> T | Awaitable[T]:
    """Carry out any of `pgqueue.operations` in the transaction of *connection*.

    `execute(session, operations.cancel([7]))`; await the answer of an async connection.
    """
    backend = backends.attached(store_of(connection), schema)
    if is_async(connection):
        return _execute_async(backend, connection, operation)
    with backend.on(driver(connection)) as executor:
        return executor.execute(operation)


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


async def _enqueue_async(
    backend: backends.Backend,
    connection: Any,
    plan: operations.Plan[list[Handle[Any]]],
    single: bool,
) -> Any:
    async with backend.on_async(await driver_async(connection)) as executor:
        handles = await carry_out_async(plan, executor.execute, getattr(executor, "together", None))
    return handles[0] if single else handles


async def _execute_async(backend: backends.Backend, connection: Any, operation: Operation[T]) -> T:
    async with backend.on_async(await driver_async(connection)) as executor:
        return await executor.execute(operation)
