"""`App(mode="inline")` and `App(mode="inside")`."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from pgqueue import App, Context, Discard, Job, Snooze, chain, enqueue, migrations
from pgqueue.errors import MissingCapability, SchemaMissing
from pgqueue.operations import inspections
from pgqueue.worker.worker import Worker
from tests.valkey import Valkey
from tests.worker.process import eventually


@pytest.fixture(params=["postgres", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that has transactions."""
    if request.param == "postgres":
        found: str = request.getfixturevalue("postgres_url")
        return found
    migrations.migrate(f"sqlite:///{tmp_path}/jobs.db")
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def inline(url: str) -> Iterator[App]:
    app = App(url, mode="inline")
    yield app
    app.close()


@pytest.fixture
def inside(url: str) -> Iterator[App]:
    app = App(url, mode="inside", worker={"grace": 5.0, "poll_interval": 1.0})
    yield app
    app.close()


def jobs(app: App) -> dict[str, Job]:
    """The last job of each task."""
    found = app.execute(inspections.list_jobs(limit=1_000))
    return {job.task: job for job in reversed(found)}


# Inline


def test_a_job_runs_where_it_is_enqueued(inline: App) -> None:
    seen = []

    @inline.task(queue="mail")
    def send(ctx: Context, order_id: int) -> str:
        seen.append((order_id, ctx.attempt, threading.current_thread()))
        return f"sent {order_id}"

    handle = inline.enqueue(send.job(7))

    assert seen == [(7, 1, threading.current_thread())]
    assert inline.result(handle) == "sent 7"
    assert jobs(inline)["send"].state == "completed"


def test_an_application_may_be_inline_for_a_while(url: str) -> None:
    app = App(url)

    @app.task
    def double(n: int) -> int:
        return 2 * n

    with app.testing("inline"):
        assert app.result(app.enqueue(double.job(4)), timeout=0) == 8
    app.enqueue(double.job(5))
    assert jobs(app)["double"].state == "available"
    with pytest.raises(ValueError, match="inline"), app.testing("fake"):  # type: ignore[arg-type]
        pass
    app.close()


def test_arguments_go_through_json(inline: App) -> None:
    seen: list[object] = []

    @inline.task
    def look(pairs: list[tuple[int, str]]) -> None:
        seen.append(pairs)

    given = [(1, "a")]
    inline.enqueue(look.job(given))

    assert seen == [[(1, "a")]]
    assert seen[0] is not given


def test_a_failure_is_the_jobs_own(inline: App) -> None:
    @inline.task(max_attempts=3, retry=60.0)
    def fail() -> None:
        raise ValueError("no")

    @inline.task(max_attempts=1)
    def fail_once() -> None:
        raise ValueError("no")

    inline.enqueue(fail.job(), fail_once.job())

    found = jobs(inline)
    assert (found["fail"].state, found["fail"].attempt) == ("retryable", 1)
    assert found["fail"].errors[0].type == "ValueError"
    assert found["fail_once"].state == "discarded"


def test_outcomes_graphs_and_jobs_of_jobs(inline: App) -> None:
    seen = []

    @inline.task
    def first(ctx: Context) -> None:
        seen.append("first")
        ctx.enqueue(inner.job())

    @inline.task
    def inner() -> None:
        seen.append("inner")
        inline.enqueue(other.job())

    @inline.task
    def other() -> None:
        seen.append("other")

    @inline.task
    def second() -> Discard:
        seen.append("second")
        return Discard("enough")

    @inline.task
    def later() -> Snooze:
        return Snooze(60)

    inline.enqueue(chain(first.job(), second.job()))
    inline.enqueue(later.job())
    inline.enqueue(other.job().options(delay=60))

    assert sorted(seen) == ["first", "inner", "other", "second"]
    assert jobs(inline)["second"].state == "discarded"
    assert jobs(inline)["later"].state == "scheduled"
    assert jobs(inline)["other"].state == "scheduled"


async def test_coroutines_run_in_the_loop_that_enqueues(inline: App) -> None:
    seen = []

    @inline.task
    async def send() -> None:
        await asyncio.sleep(0)
        seen.append(asyncio.get_running_loop())

    await inline.enqueue_async(send.job())

    assert seen == [asyncio.get_running_loop()]
    await inline.close_async()


def test_a_job_belongs_to_the_callers_transaction(postgres_url: str) -> None:
    app = App(postgres_url, mode="inline")

    @app.task
    def note(ctx: Context, n: int) -> None:
        with ctx.transaction() as connection:
            connection.execute("INSERT INTO noted VALUES (%s)", [n])
        if n == 2:
            raise ValueError

    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE noted (n integer)")
        connection.commit()
        enqueue(connection, note.job(1))
        assert connection.execute("SELECT n FROM noted").fetchall() == [(1,)]
        connection.rollback()
        assert connection.execute("SELECT n FROM noted").fetchall() == []
        enqueue(connection, [note.job(2), note.job(3)])
        connection.commit()
        assert connection.execute("SELECT n FROM noted ORDER BY n").fetchall() == [(2,), (3,)]
    assert {job.state for job in jobs(app).values()} == {"completed"}
    app.close()


async def test_an_async_connection_as_well(postgres_url: str) -> None:
    app = App(postgres_url, mode="inline")
    seen = []

    @app.task
    async def send(n: int) -> None:
        seen.append(n)

    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await enqueue(connection, send.job(1))
        assert seen == [1]
    app.close()


def test_a_store_without_transactions_says_so(valkey_server: Valkey, namespace: str) -> None:
    app = App(valkey_server.url, schema=namespace, mode="inline")

    @app.task
    def task() -> None: ...

    with pytest.raises(MissingCapability, match="no transactions"):
        app.enqueue(task.job())
    assert app.execute(inspections.list_jobs()) == []
    app.close()


def test_another_mode_is_refused() -> None:
    with pytest.raises(ValueError, match='"queue", "inline" or "inside"'):
        App(mode="elsewhere")  # type: ignore[arg-type]


# Inside


def test_a_worker_begins_with_the_first_job(inside: App) -> None:
    @inside.task(queue="anything")
    def where() -> list[str]:
        return [str(os.getpid()), threading.current_thread().name]

    pid, thread = inside.result(inside.enqueue(where.job()), timeout=30)

    assert pid == str(os.getpid())
    assert thread != threading.current_thread().name
    [worker] = inside.execute(inspections.workers())
    inside.close()
    assert inside.execute(inspections.workers()) == []
    assert worker.pid == os.getpid()


def test_it_begins_once_and_may_begin_again(inside: App) -> None:
    @inside.task
    def task() -> None: ...

    inside.start()
    inside.start()
    assert len(inside.execute(inspections.workers())) == 1
    inside.close()
    inside.result(inside.enqueue(task.job()), timeout=30)
    assert len(inside.execute(inspections.workers())) == 1


def test_what_runs_may_end_when_it_stops(inside: App) -> None:
    began = threading.Event()

    @inside.task
    def long() -> str:
        began.set()
        sleep(0.5)
        return "done"

    handle = inside.enqueue(long.job())
    assert began.wait(30)
    inside.close()

    assert inside.result(handle) == "done"


async def test_an_async_application_is_not_blocked(inside: App) -> None:
    @inside.task
    async def add(a: int, b: int) -> int:
        return a + b

    handle = await inside.enqueue_async(add.job(1, 2))

    assert await inside.result_async(handle, timeout=30) == 3
    await inside.close_async()


def test_what_keeps_it_from_starting_is_raised(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DROP SCHEMA pgqueue CASCADE")
    app = App(postgres_url, mode="inside")

    with pytest.raises(SchemaMissing):
        app.start()
    app.close()


def connected(url: str) -> AbstractContextManager[Any]:
    """A connection of the caller's own."""
    if url.startswith("sqlite"):
        return closing(sqlite3.connect(url.removeprefix("sqlite:///")))
    return psycopg.connect(url)


def test_it_can_be_stopped_before_it_has_started(inside: App, url: str) -> None:
    @inside.task
    def task() -> None: ...

    with connected(url) as connection:
        enqueue(connection, task.job())
        inside.close()
        assert "pgqueue-worker" not in [thread.name for thread in threading.enumerate()]
        connection.commit()

    assert inside.execute(inspections.workers()) == []
    assert jobs(inside)["task"].state == "available"


def test_what_keeps_it_from_starting_is_logged_where_nobody_waits(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    production = App(url, mode="inside", environment="production")
    production.start()
    production.close()
    staging = App(url, mode="inside", environment="staging")

    @staging.task
    def task() -> None: ...

    with connected(url) as connection:
        enqueue(connection, task.job())
        connection.commit()
    eventually(lambda: "the worker in this process has ended: " in caplog.text)

    assert "production" in caplog.text
    staging.close()


LATE = """
import asyncio, sys, threading
from pgqueue import App
began, ending = threading.Event(), threading.Event()
app = App(sys.argv[1], mode="inside", worker={"grace": 10.0})

@app.task
async def first() -> None:
    began.set()
    await asyncio.to_thread(ending.wait)
    await app.enqueue_async(second.job())

@app.task
def second() -> None: ...

app.enqueue(first.job())
began.wait()
thread = app._inside._thread
stop = thread.stop
thread.stop = lambda: (stop(), ending.set())
"""


def test_what_a_job_enqueues_at_the_end_begins_no_other_worker(url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LATE, url], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 0, ended.stderr
    app = App(url)
    assert app.execute(inspections.workers()) == []
    left = jobs(app)
    assert left["first"].state == "completed"
    assert left["second"].state in ("available", "completed")  # by the worker that is ending
    app.close()


def test_a_worker_that_breaks_says_so(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()

    async def broken(self: Worker) -> None:
        self.started.set()
        await asyncio.to_thread(started.wait)
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(Worker, "run", broken)
    app = App(url, mode="inside")
    app.start()
    started.set()
    eventually(lambda: "the worker in this process has ended: broken" in caplog.text)
    app.close()


SCRIPT = """
import sys, time
from pgqueue import App
app = App(sys.argv[1], mode="inside", worker={"grace": 10.0})

@app.task
def slow() -> None:
    time.sleep(0.3)
    print("done", flush=True)

app.enqueue(slow.job())
time.sleep(0.2)
"""


def test_the_process_ends_with_it_in_good_order(url: str) -> None:
    began = monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, url], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
    assert monotonic() - began < 30
    app = App(url)
    assert app.execute(inspections.workers()) == []
    assert jobs(app)["slow"].state == "completed"
    app.close()
