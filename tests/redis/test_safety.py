"""What a Redis must be like, or pgqueue refuses to use it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pgqueue import App
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.redis.errors import require_safe
from pgqueue.errors import NotPermitted, PgqueueError, StoreUnavailable
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.retention import Retention
from pgqueue.operations import inspections
from pgqueue.testing.conformance import Store, a_job, a_session
from tests import valkey
from tests.cli.terminal import Terminal
from tests.conftest import require_valkey
from tests.valkey import Valkey

FULL = "64mb"
USER = ("on", ">secret", "resetchannels", "~{shop}*", "&{shop}*")


@pytest.fixture
def evicting() -> Iterator[Valkey]:
    require_valkey()
    with valkey.server("--maxmemory", FULL, "--maxmemory-policy", "allkeys-lru", tcp=True) as it:
        yield it


@pytest.fixture
def small() -> Iterator[Valkey]:
    require_valkey()
    with valkey.server("--maxmemory", FULL) as server:
        yield server


def test_refuses_a_server_that_throws_jobs_away(evicting: Valkey) -> None:
    app = App(evicting.url)

    with pytest.raises(PgqueueError, match=r"allkeys-lru.*noeviction.*evictions=allowed"):
        app.enqueue(NewJob("task"))
    assert evicting.client().dbsize() == 0


async def test_refuses_it_on_a_workers_connections_too(evicting: Valkey) -> None:
    backend = RedisBackend(evicting.url)
    session = backend.session(lambda topic: None, lambda: None)

    with pytest.raises(PgqueueError, match="allkeys-lru"):
        await backend.worker_connection().open()
    with pytest.raises(PgqueueError, match="allkeys-lru"):
        await session.open()


def test_does_as_it_is_told(evicting: Valkey) -> None:
    app = App(f"{evicting.url}?evictions=allowed")

    handle = app.enqueue(NewJob("task"))

    assert handle.id == 1


@pytest.mark.parametrize("query", ["protocol=3", "decode_responses=true", "encoding=latin-1"])
async def test_hears_whatever_the_url_says_for_others(durable: Valkey, query: str) -> None:
    backend = RedisBackend(f"{durable.url}?{query}")
    store = Store(backend)
    heard = asyncio.Event()
    session = backend.session(lambda topic: heard.set(), lambda: None)
    await session.open()
    assert await session.present(store.worker)
    await session.subscribe(["default"])
    store.add(a_job(args='{"x": "ż"}'))
    async with asyncio.timeout(10):
        await heard.wait()
    await session.check()
    await session.close()

    assert store.job(store.take()).args == {"x": "ż"}
    backend.close()


def test_a_server_that_says_nothing_of_itself_is_taken_as_it_is(evicting: Valkey) -> None:
    evicting.client().execute_command(
        *("ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all", "-info", "-config")
    )

    url = evicting.url.replace("//", "//shop:secret@")
    with pytest.raises(redis.exceptions.NoPermissionError):
        redis.Redis.from_url(url).info()
    assert App(url).enqueue(NewJob("task")).id == 1


async def test_a_user_who_may_do_little_may_do_all_that_is_needed(durable: Valkey) -> None:
    """As docs/redis.md says."""
    rights = "+@read +@write +@scripting +@pubsub +@connection +info +time"
    client = durable.client()
    client.execute_command("ACL", "SETUSER", "shop", *USER, *rights.split())
    backend = RedisBackend(durable.url.replace("//", "//shop:secret@"), schema="shop")
    store = Store(backend)
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    async with a_session(store, store.worker) as session:
        await session.subscribe(["default", "@"])
        assert store.complete(parent, result="1") == {parent.id}
        assert store.rescue().jobs == []
        assert store.elect(store.worker).elected
        store.cancel(child)
        store.retry(child)
        store.prune(Retention())
        await session.check()
    assert [job.id for job in store.listing()] == [child, parent.id]
    store.check()
    other = RedisBackend(durable.url.replace("//", "//shop:secret@"), schema="other")
    with pytest.raises(NotPermitted, match="ACL"):
        Store(other)
    backend.close()


@pytest.mark.parametrize("version", ["5.0.14", "6.0.16"])
def test_an_old_server_is_refused(version: str) -> None:
    with pytest.raises(PgqueueError, match=rf"{version} is too old"):
        require_safe({"redis_version": version}, evictions=False)


@pytest.mark.parametrize("info", [{"redis_version": "6.2.0"}, {"redis_version": "8.0.1"}, {}])
def test_a_newer_one_is_not(info: dict[str, Any]) -> None:
    require_safe(info, evictions=False)


@pytest.mark.parametrize("url", ["redis://h?evictions=maybe", "redis+cluster://h/3", "redis+x://h"])
def test_a_url_that_means_nothing_is_an_error(url: str) -> None:
    with pytest.raises(PgqueueError):
        RedisBackend(url)


def test_a_full_server_takes_no_job_but_lets_those_it_has_end(small: Valkey) -> None:
    backend = RedisBackend(small.url)
    store = Store(backend)
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    small.client().set("ballast", b"x" * (20 << 20))
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        for _ in range(100):
            store.enqueue(*(a_job(args=f'{{"x": "{"x" * 10_000}"}}') for _ in range(50)))
    store.heartbeat(parent)
    assert store.elect(store.worker).elected
    waiting = store.do(inspections.count()).counts

    assert store.complete(parent, result="1") == {parent.id}
    assert store.state(child) == "available"
    assert sum(count.count for count in waiting) % 50 == 2  # all of a call, or nothing of it
    small.client().delete("ballast")
    store.check()
    backend.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:hunter2/word@localhost:6379/0",
        "redis://me:word@localhost:hunter2/0",
        "redis://me:hunter2@[localhost/0",
        "redis+cluster://me:hunter2@one:7000,two:7000/3",
        "redis+cluster://me:word@one:7000,two:hunter2",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(PgqueueError) as refused:
        RedisBackend(url)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
    ended = Terminal(url)("doctor")
    assert ended.code == 1
    assert ended.err.startswith("Error: ")
    assert "unexpected" not in ended.err
    assert "hunter2" not in ended.out + ended.err
