"""Waking those who sleep: without polling, and only if somebody sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
import redis

from pgqueue import App, enqueue
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.redis.session import SLEEP_SECONDS
from pgqueue.jobs.job import NewJob
from pgqueue.testing.conformance import Store, a_job, until
from tests.redis.conftest import Start
from tests.valkey import Valkey
from tests.worker import shop as tasks
from tests.worker.process import Shop, eventually


@pytest.fixture
def published(valkey_server: Valkey) -> Callable[[], int]:
    """How many messages the server has been told to publish."""
    client = valkey_server.client()

    def count() -> int:
        stats: dict[str, dict[str, int]] = client.info("commandstats")
        return int(stats.get("cmdstat_publish", {}).get("calls", 0))

    return count


def test_nothing_is_published_when_nobody_sleeps(
    store: Store, published: Callable[[], int]
) -> None:
    before = published()
    store.enqueue(a_job(), a_job())
    store.complete(*store.claim())

    assert published() == before


async def test_a_sleeper_is_told_of_its_topics_and_no_others(
    store: Store, backend: RedisBackend, published: Callable[[], int]
) -> None:
    woken: list[str] = []
    session = backend.session(woken.append, lambda: None)
    await session.open()
    await session.subscribe(["mail"])
    before = published()
    store.enqueue(a_job(queue="other"), a_job(queue="mail"), a_job(queue="mail"))
    await _true(lambda: woken)
    await session.subscribe(["other"])
    store.enqueue(a_job(queue="mail"), a_job(queue="other"))
    await _true(lambda: len(woken) == 2)

    assert woken == ["mail", "other"]
    assert published() == before + 2
    await session.close()
    store.enqueue(a_job(queue="other"))
    assert published() == before + 2


async def test_who_died_asleep_is_forgotten(store: Store, backend: RedisBackend) -> None:
    session = backend.session(lambda topic: None, lambda: None)
    await session.open()
    await session.subscribe(["mail"])
    client = redis.Redis.from_url(backend.url)

    left = client.pttl(f"{backend.namespace.tag}:asleep:mail")

    assert 0 < left <= SLEEP_SECONDS * 1000
    await session.close()
    assert client.pttl(f"{backend.namespace.tag}:asleep:mail") == -2


async def test_a_session_whose_connection_is_killed_says_so(
    store: Store, backend: RedisBackend
) -> None:
    lost = asyncio.Event()
    session = backend.session(lambda topic: None, lost.set)
    await session.open()
    await session.present(store.worker)
    await session.check()
    client = redis.Redis.from_url(backend.url)
    for connection in client.client_list(_type="pubsub"):
        client.client_kill_filter(_id=connection["id"])

    async with asyncio.timeout(5):
        await lost.wait()
    with pytest.raises(Exception, match="Redis"):
        await session.check()
    await session.open()
    assert await session.present(store.worker)
    await session.close()


def test_an_executed_pipeline_wakes_a_worker_that_sleeps(
    start: Start, durable: Valkey, shop: Shop
) -> None:
    """It looks by itself every thirty seconds only."""
    start().logs("leads")
    asleep = durable.client()
    until(lambda: asleep.exists("{pgqueue}:asleep:default"))
    time.sleep(1)  # its gaps between looks have grown by now
    with durable.client().pipeline() as pipeline:
        enqueue(pipeline, tasks.ring.job())
        pipeline.execute()
    began = time.monotonic()

    eventually(lambda: shop.marks("start"))
    assert time.monotonic() - began < 1
    app = App(durable.url)
    began = time.monotonic()
    app.enqueue(tasks.ring.job().options(delay=0.5))
    eventually(lambda: len(shop.marks("start")) == 2)
    assert 0.4 < time.monotonic() - began < 2


async def test_who_waits_for_a_result_is_woken(valkey_server: Valkey, namespace: str) -> None:
    app = App(valkey_server.url, schema=namespace)

    @app.task
    async def double(n: int) -> int:
        return 2 * n

    worker = asyncio.create_task(app.run_worker())
    handles = [await app.enqueue_async(double.job(n)) for n in range(5)]
    assert [await app.result_async(handle, 10) for handle in handles] == [0, 2, 4, 6, 8]
    handle = await app.enqueue_async(double.job(21))
    assert await asyncio.to_thread(app.result, handle, 10) == 42
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await app.close_async()
    app.close()


async def _true(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_jobs_of_another_database_wake_nobody(valkey_server: Valkey, namespace: str) -> None:
    """Channels know no databases."""
    one = RedisBackend(valkey_server.url, schema=namespace)
    other = RedisBackend(f"{valkey_server.url}?db=1", schema=namespace)

    assert one.namespace.channel != other.namespace.channel
    other.execute(_enqueue(NewJob("task")))
    assert Store(one).listing() == []
    one.close()
    other.close()


def _enqueue(job: NewJob[object]) -> object:
    from pgqueue import operations

    return operations.enqueue([job]).send(None)
