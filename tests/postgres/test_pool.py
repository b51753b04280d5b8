"""An application's pooled connections: an error says why there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from pgqueue import App
from pgqueue.backends.postgres import pools as postgres_pools
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import inspections

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_pools, "WAIT_SECONDS", 0.2)


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    app = App(postgres_url, pool_size=1)
    yield app
    app.close()


async def test_says_why_the_database_cannot_be_reached() -> None:
    app = App(NOWHERE)
    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*refused"):
        app.execute(inspections.version())
    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*refused"):
        await app.execute_async(inspections.version())
    app.close()
    await app.close_async()


async def test_says_that_all_connections_are_in_use(app: App) -> None:
    with app.backend.transaction(), pytest.raises(StoreUnavailable, match="all 1 connections"):
        app.execute(inspections.version())
    async with app.backend.transaction_async():
        with pytest.raises(StoreUnavailable, match="pool_size"):
            await app.execute_async(inspections.version())
    await app.close_async()


def test_threads_that_begin_at_once_share_one_pool(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    both = threading.Barrier(2)

    class Pool(ConnectionPool):
        def __init__(self, *args: Any, **options: Any) -> None:
            made.append(self)
            with suppress(threading.BrokenBarrierError):
                both.wait(0.5)
            super().__init__(*args, **options)

    monkeypatch.setattr(postgres_pools, "ConnectionPool", Pool)
    with ThreadPoolExecutor(2) as threads:
        versions = list(threads.map(lambda _: app.execute(inspections.version()), range(2)))

    assert versions[0] == versions[1]
    assert len(made) == 1


def test_a_forked_process_has_connections_of_its_own(postgres_url: str) -> None:
    """As web servers do that load the application before they fork."""
    script = """
import os
from pgqueue import App
from pgqueue.operations import inspections
from pgqueue.jobs.job import NewJob
app = App(os.environ["URL"])
app.enqueue(NewJob("parent"))
with app.backend.user_connection() as connection:
    mine = connection.info.backend_pid
child = os.fork()
app.enqueue(NewJob("either"))
with app.backend.user_connection() as connection:
    assert (connection.info.backend_pid == mine) == (child > 0)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
app.enqueue(NewJob("parent"))
print(len(app.execute(inspections.list_jobs())))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "URL": postgres_url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout, ended.returncode) == ("4\n", 0), ended.stderr


LEFT_OPEN = """
import atexit, sys, threading
from pgqueue.operations import inspections

def pooling() -> None:
    print(any(thread.name.startswith("pgqueue-worker") for thread in threading.enumerate()))

atexit.register(pooling)  # the first registered is the last called
from pgqueue import App
app = App(sys.argv[1])
app.execute(inspections.version())
pooling()
"""


def test_a_process_that_leaves_its_pool_open_ends_without_the_pools_threads(
    postgres_url: str,
) -> None:
    """Python 3.13 and later would wait five seconds for each of them, and say so."""
    script = [sys.executable, "-c", LEFT_OPEN, postgres_url]

    ended = subprocess.run(script, capture_output=True, text=True, check=True)

    assert ended.stdout.split() == ["True", "False"]
    assert ended.stderr == ""
