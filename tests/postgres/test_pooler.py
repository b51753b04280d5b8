"""Behind a pooler in transaction mode all works, and nothing of ours is left in a session."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import psycopg
import pytest

from pgqueue import App, enqueue, migrations, operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.postgres.worker_connection import ASYNCHRONOUS, SESSION_SETTINGS
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from pgqueue.statements.files import folder
from pgqueue.testing.conformance import Store, a_job
from pgqueue.worker import Options, Worker
from tests.cli.terminal import Terminal
from tests.postgres.pooler import pgbouncer
from tests.worker import shop as tasks
from tests.worker import store as others
from tests.worker.conftest import Start
from tests.worker.process import Shop, WorkerProcess, eventually, soon

SIZE = 3
LEFT = """
SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()),
       (SELECT count(*) FROM pg_prepared_statements),
       (SELECT count(*) FROM pg_listening_channels()),
       current_setting('enable_seqscan'), current_setting('plan_cache_mode'),
       current_setting('lock_timeout'), current_setting('synchronous_commit')
"""
NOTHING = (0, 0, 0, "on", "auto", "0", "on")
DEAF = r"a pooler is in the way: we look for jobs every 1 s"


@pytest.fixture
def pooled(postgres_url: str) -> Iterator[str]:
    """The way to the database through a pooler of a few connections."""
    with pgbouncer(postgres_url, size=SIZE) as url:
        yield url
        assert left(url) == {NOTHING}


@pytest.fixture
def store(postgres_url: str) -> Iterator[others.Store]:
    """The same database, without the pooler."""
    store = others.Store(postgres_url)
    yield store
    store.app.close()


@pytest.fixture
def shop(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    return Shop(tmp_path)


@pytest.fixture
def start(pooled: str, shop: Shop) -> Iterator[Start]:
    """Starts worker processes behind the pooler."""
    started: list[WorkerProcess] = []

    def start(url: str = pooled, **options: Any) -> WorkerProcess:
        started.append(WorkerProcess(url, shop, len(started) + 1, **options))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


def left(pooled: str) -> set[tuple[Any, ...]]:
    """What is set in each of the pooler's sessions: all are held at once, and looked at."""
    with ExitStack() as stack:
        sessions = []
        for _ in range(SIZE):
            connection = stack.enter_context(psycopg.connect(pooled, prepare_threshold=None))
            connection.execute("SELECT 1")
            sessions.append(connection)
        return {connection.execute(LEFT.encode()).fetchall()[0] for connection in sessions}


def busy(pooled: str, stack: ExitStack) -> None:
    """Somebody holds one of the pooler's sessions, so that the others' transactions move about."""
    other = stack.enter_context(psycopg.connect(pooled, prepare_threshold=None))
    other.execute("SELECT 1")


async def test_an_application_enqueues_through_it(pooled: str, store: others.Store) -> None:
    app = App(pooled)
    handles = []
    with ExitStack() as stack:
        for n in range(24):
            if n % 8 == 7 and n < 20:
                busy(pooled, stack)
            handles.append(app.enqueue(tasks.ring.job()))
            handles.append(await app.enqueue_async(tasks.ring.job()))
            first = tasks.ring.job()
            handles += app.enqueue([first, tasks.ring.job().after(first)])
        handles += await asyncio.gather(*(app.enqueue_async(tasks.ring.job()) for _ in range(30)))
    app.close()
    await app.close_async()

    assert len(store.jobs(handles)) == len(handles) == 24 * 4 + 30


def test_the_command_line_asks_often_through_it(pooled: str) -> None:
    backend = PostgresBackend(pooled)
    for _ in range(2):
        with backend.connect() as connection, ExitStack() as stack:
            for n in range(20):
                if n == 10:
                    busy(pooled, stack)
                with backend.on(connection) as executor:
                    executor.execute(inspections.count())
    assert "no jobs" in Terminal(pooled).ok("jobs", "list")


def test_every_verb_works_through_it(pooled: str) -> None:
    backend = PostgresBackend(pooled)
    store = Store(backend)
    parent = a_job("parent")
    store.enqueue(parent, a_job("child").after(parent), a_job("unique", unique="k"))
    assert store.work() == ["parent", "unique", "child"]
    failed = store.bring("discarded")
    store.retry(failed)
    store.prune(operations.Retention())
    assert store.work() == ["task"]
    store.check()
    backend.close()


async def test_a_workers_settings_hold_for_its_transactions_only(pooled: str) -> None:
    for durable in (True, False):
        worker_connection = PostgresBackend(pooled).worker_connection(durable=durable)
        await worker_connection.open()
        assert worker_connection.connection is not None
        assert not worker_connection.direct
        async with worker_connection.transaction():
            cursor = await worker_connection.connection.execute(LEFT.encode())
            [(*_, seqscan, plans, patience, commit)] = await cursor.fetchall()
            assert (seqscan, plans, patience) == ("off", "force_generic_plan", "250ms")
            assert commit == ("on" if durable else "off")
        for _ in range(3):
            await worker_connection.execute(operations.promote())
            await worker_connection.execute(operations.claim("default", 1, 1, 1))
        cursor = await worker_connection.connection.execute(LEFT.encode())
        assert await cursor.fetchall() == [NOTHING]
        await worker_connection.close()


def test_settings_are_the_same_for_a_session_and_for_a_transaction() -> None:
    given = re.findall(r"SET (\w+) = '?([^';]+)'?;", SESSION_SETTINGS + ASYNCHRONOUS)
    text = (folder("postgres") / "session/settings.sql").read_text()
    local = re.findall(r"set_config\('(\w+)',\s+'([^']*)', true\)", text)

    assert local == given[:-1]
    assert given[-1] == ("synchronous_commit", "off")
    assert "'synchronous_commit'" in text


def test_a_worker_works_and_says_once_that_it_is_deaf(
    start: Start, store: others.Store, pooled: str
) -> None:
    worker = start().started()
    with ExitStack() as stack:
        for n in range(3):
            handles = store.enqueue(*(tasks.ring.job() for _ in range(200)))
            first = tasks.ring.job()
            handles += store.enqueue(first, tasks.ring.job().after(first))
            handles += store.enqueue(tasks.ring.job().options(delay=0.2))
            eventually(lambda handles=handles: store.all_finished(handles))
            if n < 2:
                busy(pooled, stack)

    assert len(re.findall(DEAF, worker.log)) == 1
    assert {job.state for job in store.jobs(handles)} == {State.COMPLETED}
    assert {job.attempt for job in store.jobs(handles)} == {1}
    assert "Traceback" not in worker.log
    assert store.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_a_deaf_worker_that_has_long_been_idle_looks_every_second(
    pooled: str, store: others.Store
) -> None:
    app = App(pooled)

    @app.task
    async def ring() -> None: ...

    worker = Worker(app, Options(poll_interval=300))
    running = asyncio.create_task(worker.run())
    await soon(lambda: worker.started.is_set() and worker._agents.promoter._gap > 0.1)
    for job in (ring.job(), ring.job().options(delay=0.5)):
        worker._agents.fetcher._cursors["default"].gap = worker._agents.promoter._gap = 300.0
        await soon(lambda: worker._agents.fetcher._cursors["default"].gap > 300)
        [handle] = await asyncio.to_thread(store.enqueue, job)
        await soon(lambda handle=handle: store.all_finished([handle]), within=4)
    worker.stop()
    await running
    app.close()


def test_the_death_of_a_deaf_worker_shows_by_its_silence(
    start: Start, store: others.Store, shop: Shop
) -> None:
    options = {"heartbeat_interval": 0.3, "frozen_after": 1.5, "term": 1}
    dying = start(**options).started()
    [handle] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("begins") or shop.marks())
    start(**options).started()

    dying.kill()
    shop.open()

    eventually(lambda: store.all_finished([handle]))
    assert store.job(handle).rescues == 1


def test_with_a_way_around_it_a_worker_hears(
    start: Start, store: others.Store, shop: Shop, postgres_url: str
) -> None:
    worker = start(listen_url=postgres_url, poll_interval=300).started()
    present = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
    sleeps = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
    eventually(lambda: store.value(sleeps) >= 2)
    assert store.value(present) == 1

    with psycopg.connect(store.url) as connection:
        handle = enqueue(connection, tasks.ring.job())
    since = monotonic()
    eventually(lambda: [mark for mark in shop.marks() if mark.job == handle.id], within=2)
    print(f"found after {monotonic() - since:.3f} s")
    assert not re.search(DEAF, worker.log)


def test_a_way_around_it_that_leads_elsewhere_is_an_error(start: Start, empty_url: str) -> None:
    migrations.migrate(empty_url)
    worker = start(listen_url=empty_url)

    assert worker.ends() == 1
    assert "listen_url leads to another database" in worker.log
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT count(*) FROM pgqueue.worker").fetchall() == [(0,)]


async def test_who_waits_for_a_result_looks_often(
    start: Start, pooled: str, store: others.Store
) -> None:
    start().started()
    app = App(pooled)
    handle = await app.enqueue_async(tasks.ring.job())

    assert await app.result_async(handle, timeout=10) is None
    assert await asyncio.to_thread(app.result, app.enqueue(tasks.ring.job()), 10) is None
    app.close()
    await app.close_async()


async def test_a_pooler_that_keeps_sessions_is_treated_alike(postgres_url: str) -> None:
    with pgbouncer(postgres_url, mode="session", size=10) as url:
        app = App(url)
        worker = asyncio.create_task(app.run_worker(drain=True))
        ran = []

        @app.task
        async def ring() -> None:
            ran.append(1)

        app.enqueue([ring.job() for _ in range(10)])
        await worker
        assert len(ran) == 10
        app.close()
        await app.close_async()
        with contextlib.closing(psycopg.connect(postgres_url)) as connection:
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            assert connection.execute(locks).fetchall() == [(0,)]


async def test_the_error_says_which_url_is_wrong(postgres_url: str, empty_url: str) -> None:
    app = App(postgres_url, listen_url=empty_url)
    migrations.migrate(empty_url)
    with pytest.raises(PgqueueError, match="listen_url leads to another database than url"):
        await app.run_worker()
    await app.close_async()
