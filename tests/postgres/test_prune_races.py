"""Retention drops tables: it must not stand in the way of those who work, or read."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Any

import psycopg

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.jobs.retention import Retention
from pgqueue.operations import Completed
from pgqueue.testing.conformance import Store, a_job
from tests.postgres.conftest import Racers
from tests.postgres.racer import Racer

RETENTION = Retention(timedelta(days=1), timedelta(days=1), timedelta(days=1))


def past_its_retention(store: Store) -> int:
    """A job that the next prune drops with its day."""
    store.prune(RETENTION)
    old = store.bring("completed")
    store.passes(days=3)
    store.heartbeat()
    return old


async def reads(racer: Racer) -> None:
    """A report of the archive begins, and takes its time."""
    await racer.connection.execute("SELECT count(*) FROM pgqueue.archive")


async def test_prune_gives_up_at_once_behind_a_long_reader(store: Store, racer: Racers) -> None:
    old = past_its_retention(store)
    reader, pruner = await racer(), await racer()
    await reads(reader)

    began = monotonic()
    pruned = await pruner.do(operations.prune(RETENTION, now=store.now))
    assert "lock timeout" in pruned.failed["completed"]
    assert monotonic() - began < 1
    await pruner.commit()
    assert store.state(old) == "completed"

    await reader.commit()
    pruned = await pruner.do(operations.prune(RETENTION, now=store.now))
    await pruner.commit()
    assert (pruned.dropped, pruned.failed) == (1, {})
    assert store.missing(old)


async def test_completions_go_on_while_prune_cannot(store: Store, racer: Racers) -> None:
    past_its_retention(store)
    reader, pruner, worker = await racer(), await racer(), await racer()
    await reads(reader)
    jobs = [store.running() for _ in range(20)]

    async def prunes() -> None:
        for _ in range(10):
            assert (await pruner.do(operations.prune(RETENTION, now=store.now))).failed
            await pruner.commit()

    pruning = asyncio.create_task(prunes())
    for job in jobs:
        done = operations.complete([Completed(job.id, job.lease)], now=store.now)
        assert await asyncio.wait_for(worker.do(done), timeout=1)
        await worker.commit()
    await pruning
    await reader.commit()


async def test_prune_waits_for_no_completion_either(store: Store, racer: Racers) -> None:
    past_its_retention(store)
    job = store.running()
    worker, pruner = await racer(), await racer()
    await worker.do(operations.complete([Completed(job.id, job.lease)], now=store.now))

    assert (await pruner.do(operations.prune(RETENTION, now=store.now))).failed
    await pruner.commit()
    await worker.commit()


async def test_a_completion_waits_for_a_prune_that_is_at_work(store: Store, racer: Racers) -> None:
    old = past_its_retention(store)
    job = store.running()
    worker, pruner = await racer(), await racer()
    await pruner.do(operations.prune(RETENTION, now=store.now))
    done = operations.complete([Completed(job.id, job.lease)], now=store.now)
    completing = await worker.starts(worker.do(done), behind=pruner)
    await pruner.commit()

    assert await completing
    await worker.commit()
    assert store.missing(old)
    assert store.state(job) == "completed"


async def test_two_who_prune_at_once_do_it_once(store: Store, racer: Racers) -> None:
    old = past_its_retention(store)
    first, second = await racer(), await racer()
    await first.do(operations.prune(RETENTION, now=store.now))
    assert "completed" in (await second.do(operations.prune(RETENTION, now=store.now))).failed
    await second.commit()
    await first.commit()

    assert (await second.do(operations.prune(RETENTION, now=store.now))).failed == {}
    await second.commit()
    assert store.missing(old)


async def test_a_lock_timeout_of_the_callers_is_not_changed(store: Store, racer: Racers) -> None:
    pruner = await racer()
    await pruner.connection.execute("SET lock_timeout = '7s'")
    await pruner.commit()
    await pruner.do(operations.prune(RETENTION, now=store.now))
    await pruner.commit()

    cursor = await pruner.connection.execute("SHOW lock_timeout")
    assert await cursor.fetchall() == [("7s",)]


async def test_a_completion_may_be_faster_than_its_days_partition(
    store: Store, racer: Racers
) -> None:
    worker, pruner = await racer(), await racer()
    job = store.running()
    for _ in range(20):  # the pruner gives up after 50 ms, perhaps before the worker commits
        job = store.running()
        await worker.do(operations.complete([Completed(job.id, job.lease)], now=store.now))
        pruning = await pruner.starts(
            pruner.do(operations.prune(RETENTION, now=store.now)), behind=worker
        )
        await worker.commit()
        pruned = await pruning
        await pruner.commit()
        if not pruned.failed:
            break
        store.passes(days=1)
    assert store.state(job) == "completed"


# One thing in the way does not stop the others


def sql(backend: PostgresBackend, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(backend.url) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


FORBIDDEN = """
    CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no DDL here'; END $$;
    CREATE EVENT TRIGGER no_drop ON sql_drop EXECUTE FUNCTION forbid();
    CREATE EVENT TRIGGER no_create ON ddl_command_start EXECUTE FUNCTION forbid();
"""


def test_rows_go_where_tables_may_not_be_dropped(store: Store, backend: PostgresBackend) -> None:
    old = [past_its_retention(store), store.bring("cancelled"), store.bring("discarded")]
    store.passes(days=3)
    sql(backend, FORBIDDEN)

    assert store.prune(RETENTION) == (0, 3)

    assert store.missing(*old)
    pruned = store.do(operations.prune(RETENTION, now=store.now))
    assert set(pruned.failed) == {"completed", "cancelled", "discarded"}
    assert "no DDL here" in pruned.failed["completed"]


def test_a_big_result_that_a_child_wants_stays_and_the_others_go(
    store: Store, backend: PostgresBackend
) -> None:
    store.prune(RETENTION)
    parent = store.running()
    others = [store.bring(state) for state in ("completed", "cancelled", "discarded")]
    child = store.add(a_job().after(parent.id))
    store.complete(parent, result="1")
    sql(
        backend,
        "ALTER TABLE pgqueue.archive ALTER result SET STORAGE EXTERNAL",
        "UPDATE pgqueue.archive SET result = to_jsonb(repeat('x', 9000000))"
        f" WHERE id = {parent.id}",
    )
    store.passes(days=3)
    store.heartbeat()

    dropped, deleted = store.prune(RETENTION)

    assert (dropped >= 2, deleted) == (True, 1)
    assert store.missing(*others)
    assert len(str(store.job(parent).result)) == 9_000_000
    store.promote()
    store.complete(store.take())
    assert store.states(child) == ["completed"]
    dropped, _ = store.prune(RETENTION)
    assert dropped == 1
    assert store.missing(parent)


def test_edges_go_in_portions(store: Store, backend: PostgresBackend) -> None:
    parents = [a_job() for _ in range(25)]
    *_, child = store.enqueue(*parents, a_job().after(*parents))
    waiting = a_job()
    *_, live = store.enqueue(waiting, a_job().after(waiting))
    sql(
        backend,
        f"DELETE FROM pgqueue.job WHERE id <= {child.id}",
    )

    came_to, portions = operations.Trimmed(), 0
    while (next_one := store.do(operations.trim(came_to, limit=10))) is not None:
        came_to, portions = next_one, portions + 1

    assert portions == 3
    assert sql(backend, "SELECT child_id FROM pgqueue.dependency") == [(live.id,)]


def test_a_publication_of_all_tables_stops_neither_retry_nor_prune(
    store: Store, backend: PostgresBackend
) -> None:
    sql(backend, "CREATE PUBLICATION everything FOR ALL TABLES")
    unplaced = store.bring("discarded")
    store.retry(unplaced)
    store.complete(store.take())
    store.prune(RETENTION)
    placed = store.bring("cancelled")
    store.retry(placed)
    store.complete(store.take())
    store.passes(days=3)

    store.prune(RETENTION)

    assert store.missing(unplaced, placed)
