"""Waiting for a job's result: woken when it is there, and told clearly when there is none."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic

import psycopg
import pytest

from pgqueue import App, Cancel, Context, operations
from pgqueue.errors import JobFailed, ResultTimeout, UnknownJob
from pgqueue.jobs.retries import Never
from pgqueue.worker import Options, Worker
from tests.worker.process import soon
from tests.worker.store import Store


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = Store(postgres_url)
    yield store
    store.app.close()


@pytest.fixture
async def app(postgres_url: str) -> AsyncIterator[App]:
    app = App(postgres_url)
    yield app
    await app.close_async()
    app.close()


@pytest.fixture
async def gate(postgres_url: str) -> AsyncIterator[asyncio.Event]:
    """What the tasks wait for; their worker has an App, and connections, of its own."""
    app, gate = App(postgres_url), asyncio.Event()

    @app.task
    async def echo(text: str) -> str:
        await gate.wait()
        return text

    @app.task(retry=Never())
    async def fail(ctx: Context) -> int:
        raise ValueError("no such order")

    @app.task
    async def cancel() -> int | Cancel:
        return Cancel("no longer wanted")

    worker = Worker(app, Options())
    running = asyncio.create_task(worker.run())
    await worker.started.wait()
    yield gate
    gate.set()
    worker.stop()
    await running


def declare(app: App) -> None:
    """The same tasks, as another process would see them."""

    @app.task
    async def echo(text: str) -> str:
        return text

    @app.task(retry=Never())
    async def fail(ctx: Context) -> int:
        return 1

    @app.task
    async def cancel() -> int | Cancel:
        return 1


async def test_answers_at_once_when_the_job_has_finished(app: App, gate: asyncio.Event) -> None:
    declare(app)
    gate.set()
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))

    assert await app.result_async(handle, timeout=5) == "hello"
    assert await app.result_async(handle.id, timeout=0) == "hello"
    assert app.result(handle, timeout=0) == "hello"


@pytest.mark.parametrize("blocking", [False, True], ids=["asyncio", "blocking"])
async def test_is_woken_when_the_job_finishes(
    app: App,
    gate: asyncio.Event,
    store: Store,
    blocking: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pgqueue.waiting._growing_gaps", lambda: itertools.repeat(300.0))
    declare(app)
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))
    if blocking:
        waiting = asyncio.create_task(asyncio.to_thread(app.result, handle, 60))
    else:
        waiting = asyncio.create_task(app.result_async(handle, 60))
    topic = f"hashtext('#{handle.id}')::bigint & 4294967295"
    await soon(lambda: store.value(f"SELECT count(*) FROM pg_locks WHERE objid = {topic}"))
    assert not waiting.done()

    since = monotonic()
    gate.set()

    assert await waiting == "hello"
    print(f"the result was there {(monotonic() - since) * 1e3:.0f} ms later")


@pytest.mark.parametrize("timeout", [0.2, timedelta(seconds=0.2), 0], ids=repr)
async def test_gives_up_in_time_and_the_job_goes_on(
    app: App, gate: asyncio.Event, timeout: float | timedelta
) -> None:
    declare(app)
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))

    for answer in (
        app.result_async(handle, timeout=timeout),
        asyncio.to_thread(app.result, handle, timeout),
    ):
        since = monotonic()
        with pytest.raises(ResultTimeout, match=f"job {handle.id} has not finished in time"):
            await answer
        assert monotonic() - since < 10

    gate.set()
    assert await app.result_async(handle, timeout=5) == "hello"


async def test_says_how_a_job_ended_without_a_result(app: App, gate: asyncio.Event) -> None:
    declare(app)
    failing, cancelled, told = await app.enqueue_async(
        app.tasks["fail"].job(), app.tasks["cancel"].job(), app.tasks["echo"].job("x")
    )

    with pytest.raises(
        JobFailed, match=r"fail: job .* discarded: ValueError: no such order"
    ) as why:
        await app.result_async(failing, timeout=5)
    assert why.value.state == "discarded"
    assert why.value.error["type"] == "ValueError"
    with pytest.raises(JobFailed, match="cancelled: no longer wanted") as why:
        await asyncio.to_thread(app.result, cancelled, 5)
    assert (why.value.state, why.value.job_id) == ("cancelled", cancelled.id)
    await app.execute_async(operations.cancel([told], reason="too slow"))
    with pytest.raises(JobFailed, match="cancelled: too slow"):
        await app.result_async(told, timeout=5)


async def test_says_that_there_is_no_such_job(app: App) -> None:
    with pytest.raises(UnknownJob, match="no job 987654321"):
        await app.result_async(987654321, timeout=5)
    with pytest.raises(UnknownJob, match="no job 987654321"):
        app.result(987654321, timeout=5)


async def test_reads_the_result_of_a_task_it_does_not_know(app: App, gate: asyncio.Event) -> None:
    stranger = App(app.url)
    declare(app)
    gate.set()
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))

    assert await asyncio.to_thread(stranger.result, handle.id, 5) == "hello"
    stranger.close()


async def test_all_who_wait_in_an_event_loop_share_one_connection(
    app: App, gate: asyncio.Event, store: Store
) -> None:
    declare(app)
    handles = await app.enqueue_async([app.tasks["echo"].job(f"{n}") for n in range(100)])
    topics = """
        SELECT coalesce(array_agg(topics), '{}') FROM (
            SELECT count(*) AS topics FROM pg_locks
            WHERE locktype = 'advisory' AND mode = 'ShareLock' GROUP BY pid) AS sessions
        WHERE topics > 10
    """

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(app.result_async(handle, 30)) for handle in handles]
        await soon(lambda: store.value(topics) == [101])
        gate.set()

    assert [task.result() for task in waiting] == [f"{n}" for n in range(100)]
    await soon(lambda: store.value(topics) == [])


@pytest.mark.parametrize("blocking", [False, True], ids=["asyncio", "blocking"])
async def test_goes_on_waiting_when_its_connections_are_killed(
    app: App, gate: asyncio.Event, store: Store, blocking: bool
) -> None:
    declare(app)
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))
    if blocking:
        waiting = asyncio.create_task(asyncio.to_thread(app.result, handle, 20))
    else:
        waiting = asyncio.create_task(app.result_async(handle, 20))
    topic = f"hashtext('#{handle.id}')::bigint & 4294967295"
    await soon(lambda: store.value(f"SELECT count(*) FROM pg_locks WHERE objid = {topic}"))
    store.value(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    gate.set()

    assert await waiting == "hello"


@pytest.mark.parametrize("blocking", [False, True], ids=["asyncio", "blocking"])
async def test_asks_again_when_a_connection_dies_under_the_question(
    app: App, gate: asyncio.Event, store: Store, blocking: bool
) -> None:
    declare(app)
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))
    with psycopg.connect(store.url) as reader:
        await asyncio.to_thread(reader.execute, "LOCK TABLE pgqueue.archive")
        mine = reader.info.backend_pid
        blocked = (
            f"SELECT max(pid) FROM pg_stat_activity WHERE {mine} = ANY (pg_blocking_pids(pid)) "
            "AND starts_with(query, 'SELECT task, state')"
        )
        if blocking:
            waiting = asyncio.create_task(asyncio.to_thread(app.result, handle, 20))
        else:
            waiting = asyncio.create_task(app.result_async(handle, 20))
        await soon(lambda: store.value(blocked))
        assert store.value(f"SELECT pg_terminate_backend(({blocked}), 5000)")
    gate.set()

    assert await waiting == "hello"


async def test_a_wait_that_is_cancelled_leaves_nothing_behind(
    app: App, gate: asyncio.Event
) -> None:
    declare(app)
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await app.result_async(handle)

    waiter = app.waiters.get()
    assert waiter is not None
    assert not waiter._waiting
    gate.set()
    assert await app.result_async(handle, timeout=5) == "hello"


async def test_each_event_loop_and_thread_waits_for_itself(app: App, gate: asyncio.Event) -> None:
    declare(app)
    handle = await app.enqueue_async(app.tasks["echo"].job("hello"))

    def in_another_loop() -> str:
        async def wait() -> str:
            answer: str = await app.result_async(handle, 10)
            await app.close_async()
            return answer

        return asyncio.run(wait())

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(10) as pool:
        waiting = [loop.run_in_executor(pool, in_another_loop) for _ in range(8)]
        waiting += [loop.run_in_executor(pool, app.result, handle, 10) for _ in range(2)]
        await asyncio.sleep(0.2)
        gate.set()
        assert await asyncio.gather(*waiting) == ["hello"] * 10
