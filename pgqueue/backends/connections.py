"""Recognise the caller's connections: their store, and the driver's connection to write through.

Each family of connections has a recogniser, which is asked only about objects of its own package:
so nothing is imported that the caller has not imported already. Other packages `register` theirs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from pgqueue.backends.alchemy import recognise_alchemy
from pgqueue.backends.drivers import (
    recognise_aiosqlite,
    recognise_asyncpg,
    recognise_psycopg2,
)
from pgqueue.backends.kinds import AnyConnection as AnyConnection
from pgqueue.backends.kinds import AsyncioConnection as AsyncioConnection
from pgqueue.backends.kinds import BlockingConnection as BlockingConnection
from pgqueue.backends.recognised import Recognised as Recognised
from pgqueue.backends.recognised import itself, name_of
from pgqueue.errors import UnsupportedConnection


def recognise(connection: object) -> Recognised:
    """Return what *connection* is. Raises UnsupportedConnection, which names the way out."""
    for name, recogniser in _kinds(type(connection)):  # type: ignore[arg-type]  # a class is hashable
        factory = _REGISTERED.get(name)
        if factory is not None:
            below = factory(connection)
            return below if isinstance(below, Recognised) else recognise(below)
        if recogniser is not None and (found := recogniser(connection)) is not None:
            return found
    way_out = _WAYS_OUT.get(type(connection).__module__.partition(".")[0], "")
    raise UnsupportedConnection(
        f"{name_of(connection)} is no connection pgqueue can write through{way_out}; give one of "
        "psycopg, psycopg2, asyncpg, sqlite3, aiosqlite or SQLAlchemy, or a Redis pipeline, or use "
        f"app.enqueue(...), with connections of its own; examples for others: {_PAGE}"
    )


@lru_cache(256)
def _kinds(kind: type) -> tuple[tuple[str, Callable[[Any], Recognised | None] | None], ...]:
    """Return the dotted name and the recogniser of *kind* and of each type that it is made of."""
    return tuple(
        (
            f"{each.__module__}.{each.__qualname__}",
            _FAMILIES.get(each.__module__.partition(".")[0]),
        )
        for each in kind.__mro__
    )


def _psycopg(connection: Any) -> Recognised | None:
    import psycopg

    if isinstance(connection, psycopg.Connection):
        return Recognised("postgres", False, lambda: connection)
    if isinstance(connection, psycopg.AsyncConnection):
        return Recognised("postgres", True, lambda: itself(connection))
    return None


def _sqlite3(connection: Any) -> Recognised | None:
    if isinstance(connection, sqlite3.Connection):
        return Recognised("sqlite", False, lambda: connection)
    return None


def _redis(connection: Any) -> Recognised | None:
    """Recognise redis-py's clients and their pipelines.

    A cluster's are refused: they do not say which node carries jobs out.
    """
    import redis.asyncio

    if isinstance(connection, (redis.RedisCluster, redis.asyncio.RedisCluster)) or any(
        kind.__name__ == "ClusterPipeline" for kind in type(connection).__mro__
    ):
        raise UnsupportedConnection(
            f"{name_of(connection)}: a cluster's client or pipeline is not taken; use "
            "app.enqueue(...), or a redis.Redis of the node that has the namespace"
        )
    if isinstance(connection, redis.asyncio.Redis):
        return Recognised("redis", True, lambda: itself(connection))
    if isinstance(connection, redis.Redis):
        return Recognised("redis", False, lambda: connection)
    return None


_FAMILIES: Final[dict[str, Callable[[Any], Recognised | None]]] = {
    "aiosqlite": recognise_aiosqlite,
    "asyncpg": recognise_asyncpg,
    "psycopg": _psycopg,
    "psycopg2": recognise_psycopg2,
    "redis": _redis,
    "sqlalchemy": recognise_alchemy,
    "sqlite3": _sqlite3,
}
_REGISTERED: Final[dict[str, Callable[[Any], Any]]] = {}


def register(name: str, factory: Callable[[Any], Any]) -> None:
    """Have `enqueue` take connections of the type *name*, its dotted name, and of its subclasses.

    *factory* is given one and returns the connection below it, of a kind that is known, or a
    `Recognised`. It is asked once a call. The type need not have been imported.
    """
    _REGISTERED[name] = factory


_PAGE: Final = "docs/drivers.md"
_WAYS_OUT: Final = {
    "django": '; with pgqueue[django] and "pgqueue.contrib.django" in INSTALLED_APPS it is one',
    "databases": "; give database.connection().raw_connection",
    "peewee": "; give database.connection()",
    "pony": "; give db.get_connection()",
    "tortoise": "; give that of `async with transaction.acquire_connection() as connection`",
    "sqlmodel": "; give a Session",
    "pg8000": '; execute pgqueue.statement(job, "format"), or give SQLAlchemy\'s connection',
}
