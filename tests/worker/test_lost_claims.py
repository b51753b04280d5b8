"""A claim whose answer was lost: its jobs are found again, whatever else goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgqueue import App, operations
from pgqueue.errors import StoreUnavailable
from pgqueue.jobs.job import State
from pgqueue.operations import Operation
from pgqueue.worker import Worker
from pgqueue.worker.agents import recollector, unheard
from tests.valkey import Valkey
from tests.worker.conftest import Work
from tests.worker.process import soon
from tests.worker.store import Store, becomes, ended

WAITS_FOR_THE_TABLE = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND starts_with(query, 'SELECT id, priority, position')
"""


@pytest.fixture(params=["postgres", "sqlite", "redis"])
def any_app(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Iterator[App]:
    if request.param == "postgres":
        app = App(request.getfixturevalue("postgres_url"))
    elif request.param == "sqlite":
        app = App(f"sqlite:///{tmp_path}/jobs.db")
    else:
        valkey: Valkey = request.getfixturevalue("valkey_server")
        app = App(valkey.url, schema=namespace)
    yield app
    app.close()


def loses(worker: Worker, verb: str, error: Exception, times: int, after: Any = None) -> list[str]:
    """From now on so many answers to *verb* are lost, though it is carried out."""
    execute = worker._agents.claims.connection.execute
    lost: list[str] = []

    async def execute_and_lose(operation: Operation[Any]) -> Any:
        answer = await execute(operation)
        if operation.name == verb and len(lost) < times and (verb != "claim" or answer):
            lost.append(verb)
            if after is not None:
                await after()
            raise error
        return answer

    worker._agents.claims.connection.execute = execute_and_lose  # type: ignore[method-assign]
    return lost


async def test_is_asked_for_until_there_is_an_answer(app: App, work: Work, store: Store) -> None:
    """The table is locked for longer than a statement waits."""

    @app.task
    async def ring() -> None: ...

    worker = await work(poll_interval=300)
    with psycopg.connect(store.url) as admin:
        lock = "LOCK TABLE pgqueue.job IN ACCESS EXCLUSIVE MODE"
        lost = loses(
            worker,
            "claim",
            StoreUnavailable("lost"),
            1,
            lambda: asyncio.to_thread(admin.execute, lock),
        )
        handle = await app.enqueue_async(ring.job())
        await soon(lambda: lost)
        for waits in (1, 0, 1):
            await soon(lambda waits=waits: store.value(WAITS_FOR_THE_TABLE) == waits)

    job = await ended(app, handle, within=20)
    assert (job.state, job.attempt, job.rescues) == (State.COMPLETED, 1, 0)


@pytest.mark.parametrize("lost_recalls", [0, 2])
async def test_whatever_the_error_was(lost_recalls: int, app: App, work: Work) -> None:
    runs = []

    @app.task
    async def ring() -> None:
        runs.append("ran")

    worker = await work(poll_interval=300)
    loses(worker, "claim", ZeroDivisionError(), 1)
    loses(worker, "recall", ZeroDivisionError(), lost_recalls)

    job = await ended(app, await app.enqueue_async(ring.job()), within=20)
    assert (job.state, job.attempt, job.rescues, runs) == (State.COMPLETED, 1, 0, ["ran"])


async def test_what_cannot_be_recalled_is_handed_back(
    app: App, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unheard, "LATE_SECONDS", 0.5)
    monkeypatch.setattr(recollector, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(recollector, "AGAIN_SECONDS", 0.2)

    @app.task
    async def ring() -> None: ...

    @app.task
    async def other() -> None: ...

    worker = await work(poll_interval=300)
    loses(worker, "claim", ZeroDivisionError(), 1)
    loses(worker, "recall", ZeroDivisionError(), 1_000)
    handle = await app.enqueue_async(ring.job())
    await becomes(app, handle, State.RUNNING)
    await ended(app, await app.enqueue_async(other.job()), within=20)

    job = await ended(app, handle, within=20)
    assert (job.state, job.attempt, job.rescues) == (State.COMPLETED, 1, 0)


async def test_what_the_store_holds_and_nobody_knows_of_is_handed_back(
    any_app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And what is known is left alone."""
    monkeypatch.setattr(recollector, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(recollector, "AGAIN_SECONDS", 0.2)
    app, runs, gate = any_app, [], asyncio.Event()

    @app.task
    async def ring() -> None:
        runs.append("rang")

    @app.task
    async def wait() -> None:
        runs.append("waits")
        await gate.wait()

    worker = Worker(app)
    running = asyncio.create_task(worker.run())
    await worker.started.wait()
    known = await app.enqueue_async(wait.job())
    await becomes(app, known, State.RUNNING)
    handle = await app.enqueue_async(ring.job().options(queue="elsewhere"))
    assert worker.id
    claim = operations.claim("elsewhere", worker.id, 2**52, 1)
    assert [job.id for job in await app.backend.execute_async(claim)] == [handle.id]

    job = await becomes(app, handle, State.AVAILABLE, within=20)
    await soon(lambda: "had heard that it is ours" in caplog.text)
    assert (job.attempt, job.rescues) == (0, 0)
    gate.set()
    job = await ended(app, known)
    assert (job.attempt, runs) == (1, ["waits"])
    worker.stop()
    await running


async def test_an_ending_that_cannot_be_sent_is_not_forgotten(
    app: App, work: Work, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be held up for as long as somebody's transaction holds the job."""
    monkeypatch.setattr(recollector, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(recollector, "AGAIN_SECONDS", 0.1)
    gate, runs = asyncio.Event(), []

    @app.task
    async def ring() -> None:
        runs.append("ran")
        await gate.wait()

    worker = await work()
    looks: list[str] = []
    execute = worker._agents.claims.connection.execute

    async def noted(operation: Operation[Any]) -> Any:
        looks.append(operation.name)
        return await execute(operation)

    worker._agents.claims.connection.execute = noted  # type: ignore[method-assign]
    handle = await app.enqueue_async(ring.job())
    await becomes(app, handle, State.RUNNING)
    with psycopg.connect(store.url) as somebody:
        somebody.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [handle.id])
        gate.set()
        await soon(lambda: worker._agents.completer.owes(handle.id, _lease(store, handle.id)))
        looks.clear()
        await soon(lambda: looks.count("recollect") >= 5)

    job = await ended(app, handle)
    assert (job.state, job.attempt, runs) == (State.COMPLETED, 1, ["ran"])


def _lease(store: Store, id: int) -> int:
    lease: int = store.value("SELECT lease FROM pgqueue.job WHERE id = %s", id)
    return lease
