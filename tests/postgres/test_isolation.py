"""The application's transactions may be stricter than READ COMMITTED; ours never are."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import IsolationLevel

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import PgqueueError
from pgqueue.operations import Completed
from pgqueue.testing.conformance import NOON, PROFILE, Store, a_job
from tests.postgres.conftest import Racers
from tests.postgres.racer import Racer

STRICT = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
strict = pytest.mark.parametrize("level", STRICT, ids=lambda level: level.name)


async def begun(racer: Racer) -> Racer:
    """Its snapshot is taken; what others commit from now on, it does not see."""
    await racer.connection.execute("SELECT FROM pgqueue.job")
    return racer


@strict
async def test_jobs_of_every_kind_can_be_enqueued(
    store: Store, racer: Racers, level: IsolationLevel
) -> None:
    done, running = store.running(), store.running()
    store.complete(done)
    user = await begun(await racer(level))
    store.add()
    parent = a_job("parent")
    plan = operations.enqueue(
        [
            parent,
            a_job(unique="k"),
            a_job(unique="k"),
            a_job("child").after(parent),
            a_job("child").after(done.id),
            a_job("child").after(running.id),
        ],
        now=NOON,
    )
    handles = await user.carry(plan)
    await user.commit()

    waiting = ["available", "available", "available", "blocked", "available", "blocked"]
    assert store.states(*handles) == waiting
    store.complete(running)
    assert store.state(handles[-1]) == "available"


@strict
async def test_a_parent_that_was_claimed_meanwhile_still_gets_its_child(
    store: Store, racer: Racers, level: IsolationLevel
) -> None:
    parent = store.add()
    user = await begun(await racer(level))
    job = store.take()
    await _either(user, parent)

    store.complete(job)
    assert all(listed.state != "blocked" for listed in store.listing())


async def _either(user: Racer, parent: int) -> None:
    """The child is enqueued, or the transaction has to be run again: both are right."""
    try:
        await user.carry(operations.enqueue([a_job().after(parent)], now=NOON))
    except psycopg.errors.SerializationFailure:
        await user.rollback()
        await user.carry(operations.enqueue([a_job().after(parent)], now=NOON))
    await user.commit()


@strict
@pytest.mark.parametrize("ended", ["completed", "discarded", "cancelled"])
async def test_a_parent_that_ended_meanwhile_is_a_serialization_failure(
    store: Store, racer: Racers, level: IsolationLevel, ended: str
) -> None:
    parent = store.running()
    user = await begun(await racer(level))
    if ended == "completed":
        store.complete(parent)
    else:
        store.fail(parent, verdict="discard" if ended == "discarded" else "cancel")

    with pytest.raises(psycopg.errors.SerializationFailure):
        await user.carry(operations.enqueue([a_job().after(parent.id)], now=NOON))
    await user.rollback()
    [child] = await user.carry(operations.enqueue([a_job().after(parent.id)], now=NOON))
    await user.commit()

    assert store.state(child) == ("available" if ended == "completed" else "cancelled")


@strict
async def test_a_key_that_was_taken_meanwhile_is_a_serialization_failure(
    store: Store, racer: Racers, level: IsolationLevel
) -> None:
    user = await begun(await racer(level))
    holder = store.add(a_job(unique="k"))

    with pytest.raises(psycopg.errors.SerializationFailure):
        await user.carry(operations.enqueue([a_job(unique="k")], now=NOON))
    await user.rollback()
    [handle] = await user.carry(operations.enqueue([a_job(unique="k")], now=NOON))
    await user.commit()

    assert (handle.id, handle.created) == (holder, False)


@strict
async def test_a_parent_waits_for_a_strict_transaction_too(
    store: Store, racer: Racers, level: IsolationLevel
) -> None:
    parent = store.running()
    user, worker = await begun(await racer(level)), await racer()
    [child] = await user.carry(operations.enqueue([a_job().after(parent.id)], now=NOON))
    done = operations.complete([Completed(parent.id, parent.lease)], now=NOON)
    completing = await worker.starts(worker.do(done), behind=user)
    await user.commit()
    await completing
    await worker.commit()

    assert store.state(child) == "available"


@strict
async def test_completing_in_a_strict_transaction_is_refused(
    store: Store, racer: Racers, level: IsolationLevel
) -> None:
    """It could not see a child that is being added, and the child would wait for ever."""
    job = store.running()
    task = await begun(await racer(level))

    with pytest.raises(PgqueueError, match="READ COMMITTED"):
        await task.do(operations.complete([Completed(job.id, job.lease)], now=NOON))
    await task.rollback()

    assert store.state(job) == "running"


@strict
@pytest.mark.parametrize(
    "way",
    ["a worker_connection", "a worker_connection's transaction", "a pool", "a pool's transaction"],
)
async def test_a_strict_database_does_not_make_the_queue_strict(
    store: Store, backend: PostgresBackend, racer: Racers, level: IsolationLevel, way: str
) -> None:
    parent = store.running()
    user = await racer()
    [child] = await user.carry(operations.enqueue([a_job().after(parent.id)], now=NOON))
    await _make_strict(backend, level)
    done = operations.complete([Completed(parent.id, parent.lease)], now=NOON)
    database = PostgresBackend(backend.url)
    worker_connection = database.worker_connection()
    await worker_connection.open()

    async def complete() -> None:
        if way == "a worker_connection":
            await worker_connection.execute(done)
        elif way == "a pool":
            await database.execute_async(done)
        else:
            both = (
                worker_connection.transaction()
                if "worker_connection" in way
                else database.transaction_async()
            )
            async with both as executor:
                await executor.execute(operations.heartbeat(store.worker, [], PROFILE, now=NOON))
                await executor.execute(done)

    completing = await user.holds_up(complete())
    await user.commit()
    await completing
    await worker_connection.close()
    await database.close_async()

    assert store.state(child) == "available"


async def _make_strict(backend: PostgresBackend, level: IsolationLevel) -> None:
    """An administrator makes all transactions strict."""
    strict = "repeatable read" if level is IsolationLevel.REPEATABLE_READ else "serializable"
    async with await psycopg.AsyncConnection.connect(backend.url, autocommit=True) as admin:
        name = admin.info.dbname
        setting = f"ALTER DATABASE {name} SET default_transaction_isolation = '{strict}'"
        await admin.execute(setting.encode())
