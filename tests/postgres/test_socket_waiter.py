"""A worker's connection is watched all the time: for answers, and for what comes unasked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
import uvloop

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.postgres.worker_connection import PostgresWorkerConnection
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import ClaimedJob, Completed, Operation, inspections
from pgqueue.testing.conformance import Store

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
MEGABYTES = 8


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(postgres_url)
    yield backend
    backend.close()


@LOOPS
def test_sends_what_the_socket_does_not_take_at_once(
    backend: PostgresBackend, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    store = Store(backend)
    job = store.running()
    result = f'"{"x" * (MEGABYTES << 20)}"'

    async def complete() -> object:
        worker_connection = await _open(backend)
        answer = await worker_connection.execute(
            operations.complete([Completed(job.id, job.lease, result)])
        )
        await worker_connection.close()
        return dict(answer)

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(complete()) == {(job.id, job.lease): True}


@LOOPS
def test_ends_a_statement_that_is_cancelled_and_goes_on(
    backend: PostgresBackend, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    store = Store(backend)
    job = store.running()
    complete = operations.complete([Completed(job.id, job.lease)])

    async def cancel() -> object:
        worker_connection = await _open(backend)
        assert worker_connection.connection is not None
        pid = worker_connection.connection.info.backend_pid
        async with _held(backend, job):
            completing = asyncio.create_task(worker_connection.execute(complete))
            await _until(backend, "SELECT cardinality(pg_blocking_pids(%s)) > 0", pid)
            completing.cancel()
            await asyncio.wait({completing})
            assert completing.cancelled()
            await _until(backend, "SELECT cardinality(pg_blocking_pids(%s)) = 0", pid)
        answer = await worker_connection.execute(complete)
        assert worker_connection.connection.info.backend_pid == pid
        await worker_connection.close()
        return dict(answer)

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(cancel()) == {(job.id, job.lease): True}


@LOOPS
def test_looks_no_more_at_a_connection_that_broke_while_it_was_idle(
    backend: PostgresBackend, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Its end would be there to be read for ever."""

    async def end() -> None:
        worker_connection = await _open(backend)
        assert worker_connection.connection is not None
        assert worker_connection._wire is not None
        pid = worker_connection.connection.info.backend_pid
        assert worker_connection._wire.watches
        await _until(backend, "SELECT pg_terminate_backend(%s)", pid)
        async with asyncio.timeout(10):
            while worker_connection._wire.watches:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable):
            await worker_connection.execute(inspections.version())
        await worker_connection.open()
        assert await worker_connection.execute(inspections.version())
        await worker_connection.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(end())


@LOOPS
def test_hears_the_end_of_a_server_that_leaves_words_of_ours_unread(
    backend: PostgresBackend, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Its last words are followed by an error of the socket's, of which libuv speaks only once."""
    store = Store(backend)
    job = store.running()
    longer_than_it_reads_at_once = f'"{"x" * 50_000}"'
    complete = operations.complete([Completed(job.id, job.lease, longer_than_it_reads_at_once)])

    async def end() -> None:
        worker_connection = await _open(backend)
        assert worker_connection.connection is not None
        pid = worker_connection.connection.info.backend_pid
        async with _held(backend, job):
            completing = asyncio.create_task(worker_connection.execute(complete))
            await _until(backend, "SELECT cardinality(pg_blocking_pids(%s)) > 0", pid)
            # Blocks the loop, which so sees all of it at once.
            with psycopg.connect(backend.url) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 10_000)", [pid])
            with pytest.raises(StoreUnavailable):
                async with asyncio.timeout(5):  # half of a worker_connection's patience
                    await completing
        await worker_connection.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(end())


@LOOPS
def test_hears_between_two_answers_and_with_them(
    backend: PostgresBackend, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    heard: list[str] = []

    async def hear() -> None:
        session = backend.session(heard.append, lambda: None)
        await session.open()
        await session.subscribe({"mail", "default"})
        await session.execute(Operation("wake", {"topics": '["mail", "default"]'}, lambda _: None))
        said = len(heard)
        await _until(backend, "SELECT true FROM (SELECT pg_notify('pgqueue', %s)) AS it", "mail")
        async with asyncio.timeout(10):
            while len(heard) == said:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await session.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(hear())
    assert heard[-1] == "mail"


@asynccontextmanager
async def _held(backend: PostgresBackend, job: ClaimedJob) -> AsyncIterator[None]:
    """Within, somebody else's transaction holds *job*."""
    async with await psycopg.AsyncConnection.connect(backend.url) as holder:
        await holder.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [job.id])
        yield


async def _open(backend: PostgresBackend) -> PostgresWorkerConnection:
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    return worker_connection


async def _until(backend: PostgresBackend, query: str, value: object) -> None:
    async with await psycopg.AsyncConnection.connect(backend.url, autocommit=True) as admin:
        async with asyncio.timeout(10):
            while not (  # noqa: ASYNC110
                await (await admin.execute(query.encode(), [value])).fetchall()
            )[0][0]:
                await asyncio.sleep(0.01)
