"""Workers: in processes of their own, or in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

import pytest

from pgqueue import App
from pgqueue.worker import Options, Worker
from tests.worker.process import PATIENCE, Shop, WorkerProcess
from tests.worker.starting import has_started
from tests.worker.store import Store

Start: TypeAlias = Callable[..., WorkerProcess]
Work: TypeAlias = Callable[..., Awaitable[Worker]]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    return Shop(tmp_path)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = Store(postgres_url)
    yield store
    store.app.close()


@pytest.fixture
def start(postgres_url: str, shop: Shop) -> Iterator[Start]:
    """Starts worker processes; kills them in the end, and shows their logs if the test failed."""
    workers: list[WorkerProcess] = []
    numbers = count(1)

    def start(url: str = postgres_url, **options: Any) -> WorkerProcess:
        worker = WorkerProcess(url, shop, next(numbers), **options)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
        print(worker.log)


@pytest.fixture
async def app(postgres_url: str) -> AsyncIterator[App]:
    """An application for tasks that a test declares; its workers run in the test's event loop."""
    app = App(postgres_url)
    yield app
    await app.close_async()
    app.close()


@pytest.fixture
async def work(app: App) -> AsyncIterator[Work]:
    """Starts a worker of *app*; stops it in the end, whatever it is doing."""
    async with AsyncExitStack() as stack:

        async def work(**options: Any) -> Worker:
            worker = Worker(app, Options(**{"queues": "default", **options}))
            running = asyncio.create_task(worker.run())
            stack.push_async_callback(_stop, worker, running)
            await has_started(worker, running)
            return worker

        yield work


async def looks_seldom(worker: Worker) -> None:
    """Returns when *worker* sleeps, and will not look for jobs by itself for minutes."""
    cursor, session = worker._agents.fetcher._cursors["default"], worker._agents.listener._session
    async with asyncio.timeout(PATIENCE):
        while "default" not in session._sleeps_on or cursor.poll_at < monotonic() + 100:
            if cursor.asleep:
                cursor.gap = 300.0
            await asyncio.sleep(0.01)


async def _stop(worker: Worker, running: asyncio.Task[None]) -> None:
    worker.stop()
    worker.stop()
    await asyncio.wait({running})
