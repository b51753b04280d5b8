"""Leaving Celery without downtime, in both directions: a real Celery, its worker in a process of
its own, and calls that go on all the while."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain
from pika.adapters.blocking_connection import BlockingChannel

from pgqueue import PARENT, App, Result
from pgqueue.bridges import celery
from pgqueue.jobs.job import State
from tests.bridges.conftest import Work
from tests.bridges.rabbit import Rabbit
from tests.bridges.running import listed, until_ended
from tests.bridges.test_in import waits
from tests.worker.process import soon

SHOP = """
import os
from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_AMQP"])
app.conf.update(task_default_queue=os.environ["SHOP_QUEUE"], worker_enable_remote_control=False)

@app.task(name="shop.book")
def book(n, by="celery"):
    with open("diary", "a") as file:
        file.write(f"{by} {n}\\n")
"""
WORKER = ("worker", "-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat")


class Theirs:
    """The application as it is with Celery; its calls block."""

    def __init__(self, broker: Rabbit, queue: str, folder: Path) -> None:
        self.celery = Celery("shop", broker=broker.url, set_as_current=False)
        self.celery.conf.update(task_default_queue=queue, result_backend=None)
        self._folder = folder
        self._environment = {**os.environ, "SHOP_AMQP": broker.url, "SHOP_QUEUE": queue}
        (folder / "theirs.py").write_text(SHOP)

    async def delay(self, *numbers: int, **options: Any) -> None:
        """As `book.apply_async((n,), ...)` for each."""
        await asyncio.to_thread(self._delay, numbers, options)

    def _delay(self, numbers: tuple[int, ...], options: dict[str, Any]) -> None:
        for n in numbers:
            self.celery.send_task("shop.book", (n,), **options)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self._folder / "worker").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "theirs", *WORKER],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def diary(self) -> list[tuple[str, int]]:
        """Who has booked what, in this order."""
        path = self._folder / "diary"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(who, int(n)) for who, n in (line.split() for line in lines)]

    async def until_booked(self, *numbers: int) -> dict[int, str]:
        """Who has booked each of *numbers*; nothing has been booked twice."""

        def look() -> dict[int, str] | None:
            found = self.diary()
            by = {n: who for who, n in found}
            assert len(by) == len(found), f"booked twice: {found}"
            return by if by.keys() >= set(numbers) else None

        try:
            return await soon(look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(self._folder / 'worker').read_text()}") from None


@pytest.fixture
def theirs(broker: Rabbit, queue: str, tmp_path: Path) -> Iterator[Theirs]:
    theirs = Theirs(broker, queue, tmp_path)
    yield theirs
    theirs.celery.close()


async def test_leaving_celery_loses_no_call_and_repeats_none(
    app: App, work: Work, broker: Rabbit, queue: str, theirs: Theirs, tmp_path: Path
) -> None:
    @app.task(name="shop.book")
    async def book(n: int, by: str = "pgqueue") -> None:
        with (tmp_path / "diary").open("a") as file:
            file.write(f"{by} {n}\n")

    to_celery = app.outlet("to_celery", celery.Exchange(url=broker.url, routing_key=queue))
    their_book = celery.Task(to_celery, "shop.book")
    app.inlet("from_celery", celery.Queue(queue, url=broker.url, prefetch=4))

    with theirs.worker() as worker:
        # Calls go into our transactions; Celery's workers still run them.
        await theirs.delay(*range(10))
        later = their_book.message(11, by="celery").options(delay=0.5)
        await app.enqueue_async([their_book.message(10), later])
        await work(queues="to_celery")
        by = await theirs.until_booked(*range(12))
        assert {by[n] for n in range(12)} == {"celery"}

        # Our workers serve Celery's queue beside its own.
        await work(inlets=True, queues="default")
        await theirs.delay(*range(12, 30))
        await theirs.until_booked(*range(30))

        # Celery's workers end; calls go on.
        worker.send_signal(signal.SIGTERM)
        await theirs.delay(*range(30, 40))
        assert await asyncio.to_thread(worker.wait, 60) == 0
        await theirs.delay(*range(40, 50))
        by = await theirs.until_booked(*range(50))
        assert {by[n] for n in range(40, 50)} == {"pgqueue"}

    # The last calls are made as jobs.
    await app.enqueue_async([book.job(n) for n in range(50, 55)])
    await theirs.until_booked(*range(55))
    assert [n for _, n in sorted(theirs.diary(), key=lambda each: each[1])] == list(range(55))


async def test_what_celerys_client_asks_for_is_kept_to(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str, theirs: Theirs
) -> None:
    @app.task(name="shop.book")
    async def book(n: int) -> int:
        return n

    @app.task(name="shop.add")
    async def add(y: int, x: Result[int] = PARENT) -> int:
        return x + y

    app.inlet("from_celery", celery.Queue(queue, url=broker.url))
    due = datetime.now(UTC) + timedelta(hours=2)
    await theirs.delay(1, countdown=3_600, time_limit=60)
    await theirs.delay(2, eta=due, expires=due + timedelta(hours=1))
    await theirs.delay(3, serializer="pickle")
    links = chain(
        theirs.celery.signature("shop.book", (40,)), theirs.celery.signature("shop.add", (2,))
    )
    await asyncio.to_thread(links.apply_async)
    await work(inlets=True)

    found = await until_ended(app, 3)
    await soon(lambda: waits(channel, queue) == 0)
    assert len(found) == 5

    by = {(job.task, str(job.args.get("n", job.args.get("y")))): job for job in listed(app)}
    countdown, eta = (by["shop.book", n] for n in "12")
    assert countdown.state == eta.state == State.SCHEDULED
    assert timedelta(minutes=50) < countdown.run_at - datetime.now(UTC) < timedelta(minutes=61)
    assert countdown.timeout_seconds == 60
    assert abs(eta.run_at - due) < timedelta(seconds=1)
    assert eta.expires_at is not None
    assert abs(eta.expires_at - due - timedelta(hours=1)) < timedelta(seconds=1)
    [refused] = [job for job in by.values() if job.task == "from_celery"]
    assert refused.state == State.DISCARDED
    assert "pickle, which runs code when it is read, is refused" in (refused.reason or "")
    assert by["shop.book", "40"].state == State.COMPLETED
    assert app.result(by["shop.add", "2"].id, timeout=10) == 42
