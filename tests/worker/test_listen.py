"""How jobs are found: by NOTIFY at once, and without it all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import psycopg
import pytest

from pgqueue import App, enqueue
from pgqueue.backends.base import Session
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.jobs.job import Handle
from pgqueue.operations import Operation
from pgqueue.worker.connection import ReconnectingConnection
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work, looks_seldom
from tests.worker.process import PATIENCE, Shop, WorkerProcess, eventually, soon
from tests.worker.store import Store

SLEEPS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
ASLEEP = f"{SLEEPS} AND objid = hashtext('default')::bigint & 4294967295"
TERMINATE = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
LISTENERS = " AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2)"


def sleeping(worker: WorkerProcess, store: Store) -> WorkerProcess:
    """*worker*, when it has told the store that it sleeps on the queue."""
    worker.logs("leads")
    eventually(lambda: store.value(SLEEPS + " AND pid <> pg_backend_pid()") >= 2)
    return worker


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url) as connection:
        yield connection


@asynccontextmanager
async def opened(session: Session) -> AsyncIterator[None]:
    await session.open()
    try:
        yield
    finally:
        await session.close()


def found_after(
    shop: Shop, handle: Handle[object], since: float, *, within: float = PATIENCE
) -> float:
    eventually(lambda: [mark for mark in shop.marks() if mark.job == handle.id], within=within)
    return monotonic() - since


async def test_is_woken_by_a_notification(
    app: App, work: Work, shop: Shop, store: Store, connection: psycopg.Connection
) -> None:
    app.add(tasks.ring)
    worker = await work(poll_interval=300)
    await soon(lambda: store.value(ASLEEP))

    latencies = []
    for _ in range(10):
        await looks_seldom(worker)
        handle = enqueue(connection, tasks.ring.job())
        committed_at = monotonic()
        connection.commit()
        latencies.append(await asyncio.to_thread(found_after, shop, handle, committed_at))
    print(f"picked up after {sorted(latencies)[5] * 1000:.0f} ms (median)")


@pytest.mark.parametrize("lost", ["the session", "all connections"])
def test_connects_anew_when_connections_are_killed_and_still_hears(
    lost: str, start: Start, store: Store, shop: Shop, connection: psycopg.Connection
) -> None:
    worker = sleeping(start(poll_interval=300), store)

    killed = store.value(TERMINATE + (LISTENERS if lost == "the session" else ""))
    assert killed
    eventually(lambda: store.value(SLEEPS) >= 2)

    since = monotonic()
    [first] = store.enqueue(tasks.ring.job())
    print(f"{lost}: found after {found_after(shop, first, since):.3f} s")
    eventually(lambda: store.all_finished([first]))
    eventually(lambda: store.value(SLEEPS) >= 2)
    [second] = store.enqueue(tasks.ring.job())
    found_after(shop, second, monotonic())
    assert store.job(second).rescues == 0
    assert "rescued" not in worker.log


def test_is_present_again_at_once_when_its_session_was_killed(start: Start, store: Store) -> None:
    worker = sleeping(start(heartbeat_interval=50, poll_interval=300), store)
    present = f"SELECT count(*) FROM pg_locks WHERE objid = {worker.worker} AND granted"
    present += " AND locktype = 'advisory' AND mode = 'ExclusiveLock'"
    for _ in range(10):
        assert eventually(lambda: store.value(present))
        store.value(TERMINATE + LISTENERS)

        eventually(lambda: store.value(present))


def test_finds_a_job_within_the_poll_interval_when_notifications_are_lost(
    start: Start, store: Store, shop: Shop
) -> None:
    store.value(
        "CREATE OR REPLACE FUNCTION pgqueue.wake(topic text) RETURNS void "
        "LANGUAGE sql VOLATILE STRICT AS $$ SELECT NULL::void $$; SELECT 1"
    )
    sleeping(start(poll_interval=1), store)

    waited = []
    for _ in range(5):
        [handle] = store.enqueue(tasks.ring.job())
        waited.append(found_after(shop, handle, monotonic()))
    print(f"found after {', '.join(f'{seconds:.2f}' for seconds in waited)} s")
    assert sorted(waited)[2] < 1.5


def test_finds_a_job_soon_whose_transaction_was_open_while_it_fell_asleep(
    start: Start, store: Store, shop: Shop, connection: psycopg.Connection
) -> None:
    worker = start(poll_interval=300, sleep_after=0.3).started()
    [busy] = store.enqueue(tasks.ring.job())
    eventually(lambda: store.all_finished([busy]))
    late = enqueue(connection, tasks.ring.job())
    open_since = monotonic()
    sleeping(worker, store)

    lasted = monotonic() - open_since
    committed_at = monotonic()
    connection.commit()

    waited = found_after(shop, late, committed_at, within=2 * lasted + 2)
    print(f"open for {lasted:.2f} s, found {waited:.2f} s after its commit")


async def test_does_not_forget_what_it_was_told_while_it_was_asking(
    app: App, work: Work, store: Store
) -> None:
    """Asleep, with its next look far away, and the claim's snapshot just too old."""
    ran: list[int] = []

    @app.task
    async def ring(n: int) -> None:
        ran.append(n)

    worker = await work(poll_interval=300)
    cursor = worker._agents.fetcher._cursors["default"]
    await soon(lambda: store.value(ASLEEP))
    await soon(lambda: cursor.poll_at > monotonic() + 0.5)
    execute = worker._agents.claims.connection.execute
    late: list[bool] = []

    async def execute_slowly(operation: Operation[Any]) -> Any:
        answer = await execute(operation)
        if operation.name == "claim" and not late:
            late.append(True)
            told_at = cursor._told_at
            store.enqueue(ring.job(2))
            await soon(lambda: cursor._told_at > told_at)
        return answer

    worker._agents.claims.connection.execute = execute_slowly  # type: ignore[method-assign]
    cursor.gap = 300.0
    store.enqueue(ring.job(1))

    await soon(lambda: ran == [1, 2])


async def test_says_little_while_there_is_nothing_to_do(app: App, work: Work) -> None:
    worker = await work()
    said: list[str] = []
    for line in (worker._agents.claims, worker._agents.completions, worker._agents.listener.line):
        _note_operations(line, said)
    await soon(lambda: worker._agents.fetcher._cursors["default"].gap > 4)

    said.clear()
    await asyncio.sleep(5)  # not to synchronise: to measure

    print(f"idle for 5 s: {' '.join(said)}")
    assert max(Counter(said).values(), default=0) <= 2
    assert set(said) <= {"alive", "claim", "elect", "promote", "turns", "watch"}


def _note_operations(line: ReconnectingConnection, said: list[str]) -> None:
    execute = line.execute

    async def noted(operation: Operation[Any]) -> Any:
        said.append(operation.name)
        return await execute(operation)

    line.execute = noted  # type: ignore[method-assign]


async def test_a_session_says_that_it_was_lost(store: Store) -> None:
    lost = asyncio.Event()
    session = PostgresBackend(store.url).session(lambda _: None, lost.set)
    for _ in range(5):
        lost.clear()
        async with opened(session):
            store.value(TERMINATE)

            async with asyncio.timeout(PATIENCE):
                await lost.wait()


async def test_an_app_that_lost_its_pooled_connections_goes_on(store: Store, app: App) -> None:
    await app.enqueue_async(tasks.ring.job())
    app.enqueue(tasks.ring.job())
    store.value(TERMINATE)

    handles = [await app.enqueue_async(tasks.ring.job()), app.enqueue(tasks.ring.job())]

    assert len(store.jobs(handles)) == 2
