"""Fixtures for pytest: ``pytest_plugins = ["pgqueue.testing.fixtures"]`` in the root conftest.py.

Give them your application, and your own connection if you have one:

    @pytest.fixture
    def pgqueue_app():
        return app

    @pytest.fixture
    def pgqueue_connection(session):
        return session

A PostgreSQL is started when a test first needs it, one for each process of pytest-xdist: no two
tests that run at the same time share a database.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from pgqueue import App, embedded, migrations, operations
from pgqueue.backends.connections import recognise
from pgqueue.backends.plans import carry_out
from pgqueue.client import execute
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import Job
from pgqueue.operations import inspections
from pgqueue.testing.async_jobs import AsyncJobs
from pgqueue.testing.clock import Clock
from pgqueue.testing.jobs import Jobs
from pgqueue.testing.matching import shown, waiting
from pgqueue.worker import Options, Worker


@pytest.fixture
def pgqueue_app() -> App:
    """Return the application under test. Override it."""
    raise PgqueueError("define a fixture pgqueue_app that returns your application's App")


@pytest.fixture(scope="session")
def pgqueue_postgres() -> Iterator[str]:
    """Yield the URL of an empty, migrated database of this process's own.

    Override it to use a server of yours. Raises NoServer where there are no binaries.
    """
    with embedded.start(ephemeral=True, options={"fsync": "off"}) as server:
        migrate(server.url, "pgqueue")
        yield server.url


@pytest.fixture
def pgqueue_connection(pgqueue_app: App, pgqueue_postgres: str) -> Iterator[Any]:
    """Yield a psycopg connection in a transaction that is rolled back. Override it to use your own.

    The test fails if a job has escaped the rollback, because it was enqueued on another connection
    and committed.
    """
    migrate(pgqueue_postgres, pgqueue_app.schema)
    with (
        psycopg.connect(pgqueue_postgres) as connection,
        nothing_escapes(pgqueue_app, connection),
    ):
        yield connection


@pytest.fixture
def pgqueue_clock() -> Clock:
    """Return the clock of `pgqueue_jobs`."""
    return Clock()


@pytest.fixture
def pgqueue_jobs(
    pgqueue_app: App, pgqueue_connection: Any, pgqueue_clock: Clock
) -> Iterator[Jobs | AsyncJobs]:
    """Yield `Jobs` on `pgqueue_connection`, or `AsyncJobs` on one of asyncio's.

    The application is bound to that connection.
    """
    kind = AsyncJobs if recognise(pgqueue_connection).is_async else Jobs
    jobs = kind(pgqueue_app, pgqueue_connection, clock=pgqueue_clock)
    with jobs.bound():
        yield jobs


@pytest.fixture
def pgqueue_worker(pgqueue_app: App, pgqueue_postgres: str) -> Iterator[Callable[..., None]]:
    """Yield a function that starts a real worker in a thread:
    ``pgqueue_worker(queues="mail,default")``.

    The worker runs what is committed; meanwhile the application's URL is that of
    `pgqueue_postgres`. At the end all workers stop, and jobs that still wait are cancelled.
    """
    migrate(pgqueue_postgres, pgqueue_app.schema)
    with using(pgqueue_app, pgqueue_postgres), ExitStack() as stack:
        stack.callback(_cancel_all, pgqueue_app.execute)

        def start(**options: Any) -> None:
            stack.enter_context(working(pgqueue_app, **options))

        yield start


def migrate(url: str, schema: str) -> None:
    """Bring the database at *url* to this release's version, unless it has it."""
    with migrations.connected(url) as bind:
        migrations.upgrade(bind, schema=schema)


@contextmanager
def nothing_escapes(app: App, connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Roll *connection* back at the end. Raises AssertionError if there are jobs then that were not
    there before."""

    def ask(operation: operations.Operation[Any]) -> Any:
        return execute(connection, operation, schema=app.schema)

    newest = max((job.id for job in ask(inspections.list_jobs(limit=1))), default=0)
    connection.rollback()
    try:
        yield
    finally:
        connection.rollback()
    escaped = [job for job in ask(inspections.list_jobs()) if job.id > newest]
    _cancel_all(ask)
    connection.commit()
    if escaped:
        raise AssertionError(_escape(escaped))


@contextmanager
def using(app: App, url: str) -> Iterator[None]:
    """Give *app* the URL *url* within the block."""
    before = app._url, app._options["listen_url"]
    app.use(url)
    try:
        yield
    finally:
        app.close()
        app._backend = None
        app._url, app._options["listen_url"] = before


@contextmanager
def working(app: App, **options: Any) -> Iterator[None]:
    """Run a worker of *app* in a thread of its own; the block begins when it has started."""
    started = threading.Event()
    failed: list[BaseException] = []
    stop: list[Callable[[], object]] = []

    async def work() -> None:
        worker = Worker(app, Options(**options))
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(worker.stop))
        running = asyncio.ensure_future(worker.run())
        there = asyncio.ensure_future(worker.started.wait())
        await asyncio.wait({running, there}, return_when=asyncio.FIRST_COMPLETED)
        there.cancel()
        if not running.done():
            started.set()
        try:
            await running
        finally:
            await app.close_async()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="pgqueue-testing-worker", daemon=True)
    thread.start()
    started.wait()
    try:
        if failed:
            raise failed[0]
        yield
    finally:
        for ask in stop * 2:  # the second request stops it at once
            if thread.is_alive():
                ask()
        thread.join()
    if failed:
        raise failed[0]


def _cancel_all(ask: Callable[[operations.Operation[Any]], Any]) -> None:
    """Cancel unfinished jobs, so that none runs in the next test."""
    if left := carry_out(waiting(), ask):
        ask(operations.cancel([job.id for job in left]))


def _escape(escaped: list[Job]) -> str:
    many = "1 job" if len(escaped) == 1 else f"{len(escaped)} jobs"
    lines = [
        f"{many} escaped the rollback, committed on another connection than the test's",
        "(the fixture pgqueue_jobs binds the application to it):",
        *(f"  {shown(job)}" for job in escaped),
    ]
    return "\n".join(lines)
