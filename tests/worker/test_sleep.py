"""A worker that could not say that it sleeps: it looks for itself, and says it again."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import psycopg
import pytest

from pgqueue import App
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import StoreBusy
from pgqueue.operations import Operation
from pgqueue.worker import Options, Worker
from pgqueue.worker.agents import fetcher
from tests.worker.conftest import Work
from tests.worker.process import soon
from tests.worker.store import Store, ended
from tests.worker.test_listen import ASLEEP, SLEEPS

HOLD = "SELECT pg_advisory_lock(int4not(hashtext('pgqueue')), hashtext('{topic}'))"
LETS_GO = "SELECT pg_advisory_unlock(int4not(hashtext('pgqueue')), hashtext('{topic}'))"


@pytest.mark.parametrize("topic", ["default", "@"])
async def test_a_lock_that_somebody_holds_makes_nobody_deaf(
    topic: str, app: App, work: Work, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever may connect may hold it, for as long as he likes."""

    @app.task
    async def ring() -> None: ...

    with psycopg.connect(store.url, autocommit=True) as somebody:
        somebody.execute(HOLD.format(topic=topic).encode())
        worker = await work(poll_interval=300)
        await soon(lambda: "nobody can wake us for now" in caplog.text)

        since = monotonic()
        await ended(app, await app.enqueue_async(ring.job()))
        assert monotonic() - since < 3

        somebody.execute(LETS_GO.format(topic=topic).encode())
        await soon(lambda: worker._agents.listener.wakes(topic))


@pytest.mark.parametrize("error", [StoreBusy, ZeroDivisionError])
async def test_sleep_is_said_again_whatever_went_wrong(
    error: type[Exception], app: App, work: Work, store: Store
) -> None:
    @app.task
    async def ring() -> None: ...

    worker = await work(poll_interval=300)
    session: Any = worker._agents.listener._session
    execute, failed = session.execute, []

    async def fails_once(operation: Operation[Any]) -> Any:
        answer = await execute(operation)
        if (
            operation.name == "session/subscribe"
            and "default" in str(operation.params)
            and not failed
        ):
            failed.append(operation.name)
            raise error
        return answer

    session.execute = fails_once
    handle = await app.enqueue_async(ring.job())
    await ended(app, handle)
    await soon(lambda: failed)
    await soon(lambda: worker._agents.listener.wakes("default"))
    assert store.value(ASLEEP) == 1


async def test_a_declaration_that_was_cancelled_half_way_is_held_once(store: Store) -> None:
    """A session's lock outlasts the statement that took it, and the second one would stay."""
    backend = PostgresBackend(store.url)
    session = backend.session(lambda topic: None, lambda: None)
    await session.open()
    execute = session.execute

    async def is_cancelled(operation: Operation[Any]) -> Any:
        await execute(operation)
        raise StoreBusy

    session.execute = is_cancelled  # type: ignore[method-assign]
    with pytest.raises(StoreBusy):
        await session.subscribe({"default"})
    session.execute = execute  # type: ignore[method-assign]
    await session.subscribe({"default"})
    assert store.value(ASLEEP) == 1
    await session.subscribe(set())
    assert store.value(ASLEEP) == 0
    await session.close()


async def test_a_session_ended_under_sleep_is_opened_again(
    app: App, work: Work, store: Store
) -> None:
    @app.task
    async def ring() -> None: ...

    worker = await work(poll_interval=300, heartbeat_interval=60, frozen_after=600)
    session: Any = worker._agents.listener._session
    execute, ended_once = session.execute, []

    async def is_ended(operation: Operation[Any]) -> Any:
        if operation.name == "session/subscribe" and not ended_once:
            ended_once.append(True)
            session._connection.connection.pgconn.finish()
        return await execute(operation)

    session.execute = is_ended
    await ended(app, await app.enqueue_async(ring.job()))
    await soon(lambda: ended_once)
    await soon(lambda: store.value(ASLEEP), within=10)


async def test_who_waits_for_a_result_does_not_wait_for_a_lock(store: Store, app: App) -> None:
    @app.task
    async def ring() -> str:
        return "rang"

    handle = app.enqueue(ring.job())
    with psycopg.connect(store.url, autocommit=True) as somebody:
        somebody.execute(HOLD.format(topic=f"#{handle.id}").encode())
        asked = asyncio.create_task(app.result_async(handle, timeout=30))
        blocking = asyncio.create_task(asyncio.to_thread(app.result, handle, timeout=30))
        await Worker(app, Options(queues="default", drain=True)).run()
        assert await asked == await blocking == "rang"
    assert store.value(SLEEPS) == 0


async def test_a_worker_of_very_many_queues_leaves_the_server_its_locks(
    app: App, work: Work, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"tenant_{n:04}" for n in range(600)]

    @app.task
    async def ring() -> None: ...

    await work(queues=names, poll_interval=300)
    await soon(lambda: "so many queues that not all of them wake us" in caplog.text)
    with psycopg.connect(store.url) as somebody:
        asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        [(held,)] = somebody.execute(asked.encode()).fetchall()
    assert held <= 260

    first, last = await app.enqueue_async(
        ring.job().options(queue=names[0]), ring.job().options(queue=names[-1])
    )
    await ended(app, first)
    await ended(app, last)  # has less patience than poll_interval
    assert caplog.text.count("so many queues") == 1


async def test_a_worker_falls_asleep_even_if_one_of_its_queues_is_always_due(
    app: App, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many queues, or where a claim takes long, one is due again before all were asked."""
    monkeypatch.setattr(fetcher, "DEAF_POLL_SECONDS", 0.0)  # what a queue that wakes nobody waits
    names = [f"tenant_{n}" for n in range(20)]

    worker = await work(queues=names, poll_interval=300)

    listener = worker._agents.listener
    await soon(lambda: all(listener.wakes(name) for name in names), within=20)
