"""A cancellation reaches whoever waits for the server, whatever else happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import psycopg
import pytest
import uvloop

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend, answer_deadline
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Completed, inspections
from pgqueue.testing.conformance import Store

MOMENTS = 60


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_is_not_lost_when_the_connection_breaks_in_the_same_moment(
    postgres_url: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Which moment matters depends on the loop: each of the first ones is tried."""
    backend = PostgresBackend(postgres_url)
    store = Store(backend)
    with asyncio.Runner(loop_factory=loop) as runner:
        for moment in range(MOMENTS):
            runner.run(_cancel_at(backend, store, moment // 3))
    backend.close()


async def _cancel_at(backend: PostgresBackend, store: Store, turns: int) -> None:
    job = store.running()
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    assert worker_connection.connection is not None
    pid = worker_connection.connection.info.backend_pid
    async with (
        await psycopg.AsyncConnection.connect(backend.url) as holder,
        await psycopg.AsyncConnection.connect(backend.url, autocommit=True) as admin,
    ):
        await holder.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [job.id])
        waiting = operations.complete([Completed(job.id, job.lease)])
        completing = asyncio.create_task(worker_connection.execute(waiting))
        blocked = "SELECT cardinality(pg_blocking_pids(%s))"
        while not (await (await admin.execute(blocked, [pid])).fetchall())[0][0]:
            pass
        killing = asyncio.create_task(admin.execute("SELECT pg_terminate_backend(%s)", [pid]))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled = completing.cancel()
        await killing
        await asyncio.wait({completing})
        assert completing.cancelled() == cancelled
        if not cancelled:
            completing.exception()
    await worker_connection.close()
    assert store.complete(job) == {job.id}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_whoever_waits_on_a_lane_that_is_opened_anew_is_told(
    postgres_url: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """With its descriptor closed under him he would hear nothing, and libuv abort."""
    with asyncio.Runner(loop_factory=loop) as runner:
        answered = runner.run(_open_anew(postgres_url))
    assert answered < MOMENTS


async def _open_anew(url: str) -> int:
    """How many of those who asked meanwhile got their answer."""
    worker_connection = PostgresBackend(url).worker_connection()
    await worker_connection.open()
    answered = 0
    for moment in range(MOMENTS):
        asking = asyncio.ensure_future(worker_connection.execute(inspections.version()))
        for _ in range(moment // 10):
            await asyncio.sleep(0)
        await worker_connection.open()
        try:
            await asking
            answered += 1
        except StoreUnavailable:
            pass
    await worker_connection.close()
    return answered


async def test_what_an_earlier_session_was_asked_is_not_done_later(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would hear of it: a claim's jobs would be ours for ever, and never run."""
    monkeypatch.setattr(answer_deadline, "PATIENCE_SECONDS", 0.2)
    backend = PostgresBackend(postgres_url)
    store = Store(backend)
    id = store.add()
    claim = operations.claim("default", store.worker, 1, 1, now=store.now)
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    assert worker_connection.connection is not None
    pid = worker_connection.connection.info.backend_pid

    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable):
            await worker_connection.execute(claim)
        with pytest.raises(StoreUnavailable, match=f"process {pid} still works for us"):
            await worker_connection.open()
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(10):
        while worker_connection.connection is None:
            with contextlib.suppress(StoreUnavailable):
                await worker_connection.open()

    assert await worker_connection.execute(operations.recall(store.worker, 1)) == []
    assert [job.id for job in await worker_connection.execute(claim)] == [id]
    await worker_connection.close()
    backend.close()
