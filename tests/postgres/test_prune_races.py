"""Retention drops tables: it must not stand in the way of those who work, or read."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import monotonic

import psycopg
import pytest

from pgqueue import operations
from pgqueue.operations import Completed, Retention
from pgqueue.testing.conformance import Store
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
    with pytest.raises(psycopg.errors.LockNotAvailable):
        await pruner.do(operations.prune(RETENTION, now=store.now))
    assert monotonic() - began < 1
    await pruner.rollback()
    assert store.state(old) == "completed"

    await reader.commit()
    dropped, _ = await pruner.do(operations.prune(RETENTION, now=store.now))
    await pruner.commit()
    assert dropped >= 1
    assert store.missing(old)


async def test_completions_go_on_while_prune_cannot(store: Store, racer: Racers) -> None:
    past_its_retention(store)
    reader, pruner, worker = await racer(), await racer(), await racer()
    await reads(reader)
    jobs = [store.running() for _ in range(20)]

    async def prunes() -> None:
        for _ in range(10):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await pruner.do(operations.prune(RETENTION, now=store.now))
            await pruner.rollback()

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

    with pytest.raises(psycopg.errors.LockNotAvailable):
        await pruner.do(operations.prune(RETENTION, now=store.now))
    await pruner.rollback()
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
    with pytest.raises(psycopg.errors.LockNotAvailable):
        await second.do(operations.prune(RETENTION, now=store.now))
    await second.rollback()
    await first.commit()

    assert await second.do(operations.prune(RETENTION, now=store.now)) == (0, 0)
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
        try:
            assert await pruning == (0, 0)
        except psycopg.errors.LockNotAvailable:
            await pruner.rollback()
            store.passes(days=1)
        else:
            break
    await pruner.commit()
    assert store.state(job) == "completed"
