"""What an event loop, or a thread, has used is given back when it ends: connections, counted on the
server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import App
from pgqueue.testing.conformance import a_job
from tests.worker.process import eventually

OURS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'
"""


@pytest.fixture
def app(postgres_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[App]:
    """Records that pytest keeps would keep the connections that psycopg's pool was opening."""
    caplog.set_level(logging.CRITICAL, "psycopg")
    caplog.set_level(logging.CRITICAL, "psycopg.pool")
    app = App(postgres_url)
    yield app
    app.close()


@pytest.fixture
def outside(postgres_url: str) -> Iterator[psycopg.Connection[tuple[int]]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def open_now(outside: psycopg.Connection[tuple[int]]) -> int:
    [number] = outside.execute(OURS).fetchone() or (0,)
    return number


async def some(app: App) -> None:
    await asyncio.gather(*(app.enqueue_async(a_job()) for _ in range(4)))


def test_a_loop_that_ends_gives_its_connections_back(
    app: App, outside: psycopg.Connection[tuple[int]]
) -> None:
    for _ in range(5):
        asyncio.run(some(app))
    eventually(lambda: open_now(outside) == 0, within=5)


def test_so_does_one_that_is_cut_off_in_the_middle(
    app: App, outside: psycopg.Connection[tuple[int]]
) -> None:
    async def cut() -> None:
        started = asyncio.Event()

        async def hold() -> None:
            async with app.backend.user_connection_async():
                started.set()
                await asyncio.Event().wait()

        held = asyncio.create_task(hold())
        await started.wait()
        assert not held.done()

    asyncio.run(cut())
    eventually(lambda: open_now(outside) == 0, within=5)


def test_loops_of_threads_give_theirs_back(
    app: App, outside: psycopg.Connection[tuple[int]]
) -> None:
    def work() -> None:
        asyncio.run(some(app))
        app.enqueue(a_job())

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What is left is in the pool that the threads of the process share.
    eventually(lambda: open_now(outside) <= 5, within=5)
    app.close()
    eventually(lambda: open_now(outside) == 0, within=5)


async def test_a_loop_may_go_on_after_it_has_given_them_back(
    app: App, outside: psycopg.Connection[tuple[int]]
) -> None:
    await some(app)
    await app.close_async()
    eventually(lambda: open_now(outside) == 0, within=5)
    await some(app)
    assert open_now(outside) > 0
    await app.close_async()
