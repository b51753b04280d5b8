"""A task that finishes in its own transaction: its writes and the completion, or neither."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from time import monotonic
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgqueue import App, Context, State, enqueue
from pgqueue.errors import LeaseLost
from pgqueue.jobs.retries import Never
from pgqueue.operations import inspections
from tests.worker import shop as tasks
from tests.worker.conftest import Work
from tests.worker.process import Shop, soon
from tests.worker.store import Store, becomes, ended

INSERT = "INSERT INTO entry (job) VALUES (%s)"


@pytest.fixture(autouse=True)
def _ledger(store: Store) -> None:
    store.value("CREATE TABLE entry (job bigint, at timestamptz DEFAULT clock_timestamp())")


@pytest.fixture
def url(store: Store) -> str:
    return store.url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def async_engine(url: str) -> AsyncEngine:
    return create_async_engine(url)


def add_task(
    app: App, kind: str, store: Store, engine: Engine, async_engine: AsyncEngine, fails: list[str]
) -> Any:
    """A task that writes into the ledger and completes on a connection of *kind*.

    What is in *fails* says where it raises: "inside" the transaction or "after" it.
    """
    decorate = app.task(name="write", retry=0.01, max_attempts=3)

    def maybe(where: str) -> None:
        if where in fails:
            fails.remove(where)
            raise ValueError(where)

    if kind == "ctx.transaction, coroutine":

        @decorate
        async def write(ctx: Context) -> Any:
            async with ctx.transaction() as connection:
                await connection.execute(INSERT, [ctx.id])
                ctx.result = "written"
                ctx.enqueue(tasks.ring.job())
                maybe("inside")
            maybe("after")
    elif kind == "ctx.transaction, thread":

        @decorate
        def write(ctx: Context) -> Any:
            with ctx.transaction() as connection:
                connection.execute(INSERT, [ctx.id])
                ctx.result = "written"
                ctx.enqueue(tasks.ring.job())
                maybe("inside")
            maybe("after")
    elif kind == "psycopg":

        @decorate
        def write(ctx: Context) -> Any:
            with psycopg.connect(store.url) as connection:
                connection.execute(INSERT, [ctx.id])
                ctx.enqueue(tasks.ring.job())
                ctx.complete(connection, "written")
                maybe("inside")
            maybe("after")
    elif kind == "psycopg, asyncio":

        @decorate
        async def write(ctx: Context) -> Any:
            async with await psycopg.AsyncConnection.connect(store.url) as connection:
                await connection.execute(INSERT, [ctx.id])
                ctx.enqueue(tasks.ring.job())
                await ctx.complete(connection, "written")
                maybe("inside")
            maybe("after")
    elif kind == "SQLAlchemy":

        @decorate
        def write(ctx: Context) -> Any:
            with Session(engine) as session, session.begin():
                session.execute(text("INSERT INTO entry (job) VALUES (:job)"), {"job": ctx.id})
                ctx.enqueue(tasks.ring.job())
                ctx.complete(session, "written")
                maybe("inside")
            maybe("after")
    else:

        @decorate
        async def write(ctx: Context) -> Any:
            async with AsyncSession(async_engine) as session, session.begin():
                insert = text("INSERT INTO entry (job) VALUES (:job)")
                await session.execute(insert, {"job": ctx.id})
                ctx.enqueue(tasks.ring.job())
                await ctx.complete(session, "written")
                maybe("inside")
            await async_engine.dispose()
            maybe("after")

    return write


KINDS = [
    "ctx.transaction, coroutine",
    "ctx.transaction, thread",
    "psycopg",
    "psycopg, asyncio",
    "SQLAlchemy",
    "SQLAlchemy, asyncio",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fails", [[], ["inside"], ["after"]], ids=["ends well", "inside", "after"])
async def test_writes_exactly_once(
    app: App,
    work: Work,
    shop: Shop,
    store: Store,
    engine: Engine,
    async_engine: AsyncEngine,
    kind: str,
    fails: list[str],
) -> None:
    app.add(tasks.ring)
    write = add_task(app, kind, store, engine, async_engine, list(fails))
    await work()

    handle = await app.enqueue_async(write.job())

    job = await ended(app, handle)
    assert (job.state, job.result) == (State.COMPLETED, "written")
    assert job.attempt == (2 if fails == ["inside"] else 1)
    assert store.value("SELECT count(*) FROM entry") == 1
    rings = await app.execute_async(inspections.list_jobs(task="ring"))
    assert len(rings) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_lease_rolls_everything_back(
    app: App,
    work: Work,
    store: Store,
    engine: Engine,
    async_engine: AsyncEngine,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = add_task(app, kind, store, engine, async_engine, [])
    steal = "UPDATE pgqueue.job SET lease = 5, worker = 0"
    lost: list[LeaseLost] = []
    fn = write.fn

    async def robbed(ctx: Context) -> Any:
        try:
            store.value(steal)
            return await fn(ctx)
        except LeaseLost as error:
            lost.append(error)
            raise

    def robbed_in_thread(ctx: Context) -> Any:
        try:
            store.value(steal)
            return fn(ctx)
        except LeaseLost as error:
            lost.append(error)
            raise

    write.fn = robbed if inspect.iscoroutinefunction(fn) else robbed_in_thread
    worker = await work()

    handle = await app.enqueue_async(write.job())
    await soon(lambda: lost)
    await soon(lambda: not worker._agents.executor.busy)

    assert store.value("SELECT count(*) FROM entry") == 0
    job = store.job(handle)
    assert (job.state, job.lease) == (State.RUNNING, 5)
    assert not await app.execute_async(inspections.list_jobs(task="ring"))


async def test_a_process_completes_in_a_transaction_of_its_own(
    app: App, work: Work, shop: Shop, store: Store
) -> None:
    app.add(tasks.book)
    await work(heartbeat_interval=0.1)

    handle = await app.enqueue_async(tasks.book.job())

    await soon(lambda: shop.marks("booked"))
    job = await becomes(app, handle, "completed")
    assert job.result == "booked"
    assert store.value("SELECT count(*) FROM entry") == 1
    await soon(lambda: shop.marks("end"))
    assert store.job(handle) == job


async def test_code_after_its_own_transaction_is_not_interrupted(
    app: App, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    gate, after = asyncio.Event(), asyncio.Event()

    @app.task
    async def write(ctx: Context) -> None:
        async with ctx.transaction():
            pass
        await gate.wait()
        after.set()

    worker = await work()
    handle = await app.enqueue_async(write.job())
    await becomes(app, handle, "completed")

    worker._agents.heartbeater.ask()
    await worker._agents.listener.line.execute(inspections.version())
    await worker._agents.listener.line.execute(inspections.version())
    gate.set()

    async with asyncio.timeout(5):
        await after.wait()
    assert "lost" not in caplog.text
    assert "too late" not in caplog.text


async def test_an_open_transaction_that_adds_a_child_holds_up_nobody_else(
    app: App, work: Work, store: Store
) -> None:
    """As while an application is deployed: jobs end while somebody attaches more to them."""
    gate = asyncio.Event()

    @app.task
    async def parent(ctx: Context, *, adds: bool = False) -> None:
        if adds:
            ctx.enqueue(other.job())
        await gate.wait()

    @app.task
    async def other() -> None: ...

    async def others_take() -> float:
        longest = 0.0
        for _ in range(10):
            since = monotonic()
            for handle in await app.enqueue_async([other.job() for _ in range(50)]):
                await ended(app, handle)
            longest = max(longest, monotonic() - since)
        return longest

    await work()
    free = await others_take()
    held = await app.enqueue_async([parent.job(adds=n % 2 == 0) for n in range(20)])
    for handle in held:
        await becomes(app, handle, "running")
    with psycopg.connect(store.url) as connection:
        child = enqueue(connection, other.job().after(*held))
        gate.set()

        held_up = await others_take()
        print(f"others took {held_up:.2f} s at most, and {free:.2f} s before")
        assert held_up < 3 + 3 * free
        connection.commit()

    for handle in [*held, child]:
        job = await ended(app, handle)
        assert (job.state, job.attempt) == (State.COMPLETED, 1)


async def test_children_are_enqueued_once_although_the_commit_was_not_answered(
    app: App, work: Work, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pgqueue.backends.postgres.worker_connection import PostgresWorkerConnection
    from pgqueue.errors import StoreUnavailable

    @app.task
    async def child() -> None: ...

    @app.task(retry=Never())
    async def parent(ctx: Context) -> None:
        ctx.enqueue(child.job())

    transaction = PostgresWorkerConnection.transaction
    broken: list[bool] = []

    def breaks_after_the_first_commit(worker_connection: PostgresWorkerConnection) -> Any:
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def around() -> Any:
            async with transaction(worker_connection) as executor:
                yield executor
            if not broken:
                broken.append(True)
                raise StoreUnavailable("the connection broke as the commit was answered")

        return around()

    monkeypatch.setattr(PostgresWorkerConnection, "transaction", breaks_after_the_first_commit)
    await work()

    job = await ended(app, await app.enqueue_async(parent.job()))

    assert (job.state, job.attempt) == (State.COMPLETED, 1)
    assert broken
    await soon(
        lambda: store.value("SELECT count(*) FROM pgqueue.jobs WHERE task = 'child'") == 1,
    )
    assert "child" in {j.task for j in await app.execute_async(inspections.list_jobs())}
