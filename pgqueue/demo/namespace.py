"""Where the demo plays on a Redis: in a namespace of its own, which is deleted at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

from pgqueue.backends.redis import RedisBackend
from pgqueue.client import enqueue
from pgqueue.demo import SCHEMA
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import Handle, NewJob


@contextmanager
def namespace(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the server's name and version, and a function that empties the queue; it is empty at
    first.

    Raises StoreUnavailable, and PgqueueError when another demo is running there.
    """
    with RedisBackend(url, schema=SCHEMA).connect() as client:
        playing = f"{{{SCHEMA}}}:demo"  # a subscription, not a key: it ends with its process
        if dict(client.pubsub_numsub(playing)).get(playing.encode()):
            raise PgqueueError("another demo is running in this Redis; wait for its end")
        listener = redis.Redis.from_pool(_another(client)).pubsub()
        listener.subscribe(playing)
        try:
            _clear(client)
            yield _server(client), lambda: _clear(client)
        finally:
            listener.close()


def _clear(client: redis.Redis) -> None:
    """Delete all keys of the demo."""
    names = client.scan_iter(f"{{{SCHEMA}}}:*", count=1_000)
    for name in names:
        client.unlink(name)


@contextmanager
def pipeline(url: str) -> Iterator[Any]:
    """Yield a pipeline, in which the application queues commands; it is executed at the end of the
    block."""
    with RedisBackend(url, schema=SCHEMA).connect() as client, client.pipeline() as queued:
        yield queued
        queued.execute()


def enqueue_with(queued: Any, directory: str, jobs: list[NewJob[Any]]) -> list[Handle[Any]]:
    """Queue a key of the application's own and *jobs*, in the same MULTI; return the jobs'
    handles."""
    queued.hset(f"{{{SCHEMA}}}:scan", mapping={"directory": directory, "files": len(jobs)})
    handles: list[Handle[Any]] = enqueue(queued, jobs)
    return handles


def _another(client: redis.Redis) -> redis.ConnectionPool:
    pool = client.connection_pool
    return redis.ConnectionPool(pool.connection_class, **pool.connection_kwargs)


def _server(client: redis.Redis) -> str:
    info = client.info("server")
    valkey = info.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"
