"""An error at the commit is an error, whoever carries the operation out: nothing has happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import psycopg
import pytest

from pgqueue import operations
from pgqueue.backends.base import AsyncOperationRunner, OperationRunner
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.operations import Completed, Operation
from pgqueue.testing.conformance.store import Store

Execute: TypeAlias = Callable[[Operation[Any]], Awaitable[Any]]
Runner: TypeAlias = Callable[[PostgresBackend], AbstractAsyncContextManager[Execute]]

REFUSE_AT_COMMIT = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE 'refused at the commit'; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE OR DELETE ON pgqueue.job
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@asynccontextmanager
async def a_lane(backend: PostgresBackend) -> AsyncIterator[Execute]:
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    yield worker_connection.execute
    await worker_connection.close()


@asynccontextmanager
async def a_lane_behind_a_pooler(backend: PostgresBackend) -> AsyncIterator[Execute]:
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    worker_connection.direct, worker_connection._prepared = False, None
    yield worker_connection.execute
    await worker_connection.close()


@asynccontextmanager
async def a_lane_s_transaction(backend: PostgresBackend) -> AsyncIterator[Execute]:
    worker_connection = backend.worker_connection()
    await worker_connection.open()

    async def execute(operation: Operation[Any]) -> Any:
        async with worker_connection.transaction() as executor:
            return await executor.execute(operation)

    yield execute
    await worker_connection.close()


@asynccontextmanager
async def the_pool(backend: PostgresBackend) -> AsyncIterator[Execute]:
    async def execute(operation: Operation[Any]) -> Any:
        return backend.execute(operation)

    yield execute


@asynccontextmanager
async def the_pool_of_coroutines(backend: PostgresBackend) -> AsyncIterator[Execute]:
    yield backend.execute_async
    await backend.close_async()


@asynccontextmanager
async def a_transaction_of_ours(backend: PostgresBackend) -> AsyncIterator[Execute]:
    async def execute(operation: Operation[Any]) -> Any:
        with backend.transaction() as executor:
            return executor.execute(operation)

    yield execute


@asynccontextmanager
async def a_connection_in_autocommit(backend: PostgresBackend) -> AsyncIterator[Execute]:
    with psycopg.connect(backend.url, autocommit=True) as connection:

        async def execute(operation: Operation[Any]) -> Any:
            executor: OperationRunner
            with backend.on(connection) as executor:
                return executor.execute(operation)

        yield execute


@asynccontextmanager
async def an_asyncio_connection_in_autocommit(backend: PostgresBackend) -> AsyncIterator[Execute]:
    connection = await psycopg.AsyncConnection.connect(backend.url, autocommit=True)
    async with connection:

        async def execute(operation: Operation[Any]) -> Any:
            executor: AsyncOperationRunner
            async with backend.on_async(connection) as executor:
                return await executor.execute(operation)

        yield execute


RUNNERS: list[Runner] = [
    a_lane,
    a_lane_behind_a_pooler,
    a_lane_s_transaction,
    the_pool,
    the_pool_of_coroutines,
    a_transaction_of_ours,
    a_connection_in_autocommit,
    an_asyncio_connection_in_autocommit,
]


@pytest.mark.parametrize("runner", RUNNERS, ids=lambda runner: runner.__name__.replace("_", " "))
@pytest.mark.parametrize("steps", ["one statement", "several statements"])
async def test_an_error_at_the_commit_is_raised(
    runner: Runner, steps: str, backend: PostgresBackend, store: Store
) -> None:
    job = store.running()
    waits = store.add()
    complete = operations.complete([Completed(job.id, job.lease)])
    claim = operations.claim("default", store.worker, job.lease + 1, 1)
    operation: Operation[Any] = claim if steps == "one statement" else complete

    async with runner(backend) as execute:
        with psycopg.connect(backend.url, autocommit=True) as admin:
            admin.execute(REFUSE_AT_COMMIT.encode())
        for _ in range(2):  # once prepared, too
            with pytest.raises(psycopg.Error, match="refused at the commit"):
                await execute(operation)
        assert store.states(job, waits) == ["running", "available"]
        with psycopg.connect(backend.url, autocommit=True) as admin:
            admin.execute("DROP TRIGGER refuse ON pgqueue.job")

        assert len(await execute(operation)) == 1
