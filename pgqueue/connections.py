"""What kind of connection did the caller hand us? Finds the driver's own, inside its open
transaction.

Reaching below SQLAlchemy is what makes a job part of the very transaction that writes the order:
but SQLAlchemy must know that a transaction has begun, or its commit would do nothing.
"""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import psycopg

from pgqueue.errors import UnsupportedConnection

if TYPE_CHECKING:
    import redis
    import redis.asyncio
    from sqlalchemy import Connection as AlchemyConnection
    from sqlalchemy.ext.asyncio import AsyncConnection as AlchemyAsyncConnection
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

BlockingConnection: TypeAlias = Union[
    "psycopg.Connection[Any]",
    "sqlite3.Connection",
    "AlchemyConnection",
    "Session",
    "scoped_session[Any]",
    "redis.Redis",
]
AsyncioConnection: TypeAlias = Union[
    "psycopg.AsyncConnection[Any]",
    "AlchemyAsyncConnection",
    "AsyncSession",
    "async_scoped_session[Any]",
    "redis.asyncio.Redis",
]
AnyConnection: TypeAlias = BlockingConnection | AsyncioConnection

# Drivers' own connections, by store; SQLAlchemy's, by what it calls the database.
_BLOCKING: dict[type, str] = {psycopg.Connection: "postgres", sqlite3.Connection: "sqlite"}
_ASYNC: dict[type, str] = {psycopg.AsyncConnection: "postgres"}
_BLOCKING_KINDS = tuple(_BLOCKING)
_ASYNC_KINDS = tuple(_ASYNC)
_STORES = _BLOCKING | _ASYNC
_DIALECTS = {"postgresql": "postgres", "sqlite": "sqlite"}


def is_async(connection: object) -> bool:
    """Is *connection* to be awaited? Raises UnsupportedConnection for what is none."""
    if isinstance(connection, _ASYNC_KINDS):
        return True
    if isinstance(connection, _BLOCKING_KINDS):
        return False
    if redis_kinds := _redis(connection):
        return isinstance(connection, redis_kinds[1])
    kinds = _alchemy(connection)
    if kinds and isinstance(connection, kinds[1]):
        return True
    if kinds and isinstance(connection, kinds[0]):
        return False
    raise UnsupportedConnection(
        f"{_name(connection)} is no connection pgqueue can write through; give a psycopg, sqlite3 "
        "or SQLAlchemy connection or session, or a Redis pipeline, or use app.enqueue(...), with "
        "connections of its own"
    )


def store_of(connection: Any) -> str:
    """The name of the store that *connection* leads to. Raises UnsupportedConnection."""
    for kind, store in _STORES.items():
        if isinstance(connection, kind):
            return store
    if _redis(connection):
        return "redis"
    is_async(connection)
    bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
    if bind.dialect.name not in _DIALECTS:
        raise UnsupportedConnection(
            f"this SQLAlchemy connection leads to {bind.dialect.name}; pgqueue's tables can be in "
            "PostgreSQL or SQLite"
        )
    return _DIALECTS[bind.dialect.name]


def driver(connection: Any) -> Any:
    """The driver's connection below *connection*, with its transaction begun."""
    if isinstance(connection, _BLOCKING_KINDS) or _redis(connection):
        return connection
    from sqlalchemy.orm import Session, scoped_session

    if isinstance(connection, scoped_session):
        connection = connection()
    if isinstance(connection, Session):
        connection = connection.connection()
    if not connection.in_transaction():
        connection.begin()
    found = connection.connection.driver_connection
    if not isinstance(found, _BLOCKING_KINDS):
        raise _wrong_driver(found)
    return found


async def driver_async(connection: Any) -> Any:
    """The driver's connection below *connection*, with its transaction begun."""
    if isinstance(connection, _ASYNC_KINDS) or _redis(connection):
        return connection
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

    if isinstance(connection, async_scoped_session):
        connection = connection()
    if isinstance(connection, AsyncSession):
        connection = await connection.connection()
    if not connection.in_transaction():
        await connection.begin()
    found = (await connection.get_raw_connection()).driver_connection
    if not isinstance(found, _ASYNC_KINDS):
        raise _wrong_driver(found)
    return found


def _alchemy(connection: object) -> tuple[tuple[type, ...], tuple[type, ...]] | None:
    """SQLAlchemy's kinds, blocking and async; imported only for what came from there.

    Its asyncio part wants greenlet, which not everybody has; who has such a connection has
    imported it.
    """
    if not any(kind.__module__.startswith("sqlalchemy.") for kind in type(connection).__mro__):
        return None
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session, scoped_session

    blocking = (Connection, Session, scoped_session)
    if "sqlalchemy.ext.asyncio" not in sys.modules:
        return blocking, ()
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

    return blocking, (AsyncConnection, AsyncSession, async_scoped_session)


def _redis(connection: object) -> tuple[type, type] | None:
    """redis-py's clients, blocking and async, and their pipelines: only for what came from there.

    Raises UnsupportedConnection for a cluster's: it does not say which node carries jobs out.
    """
    if not any(kind.__module__.startswith("redis.") for kind in type(connection).__mro__):
        return None
    import redis.asyncio

    if isinstance(connection, (redis.RedisCluster, redis.asyncio.RedisCluster)) or any(
        kind.__name__ == "ClusterPipeline" for kind in type(connection).__mro__
    ):
        raise UnsupportedConnection(
            f"{_name(connection)}: a cluster's client or pipeline is not taken; use "
            "app.enqueue(...), or a redis.Redis of the node that has the namespace"
        )
    kinds = (redis.Redis, redis.asyncio.Redis)
    return kinds if isinstance(connection, kinds) else None


def _wrong_driver(found: object) -> UnsupportedConnection:
    return UnsupportedConnection(
        f"this SQLAlchemy connection runs on {_name(found)}; pgqueue needs psycopg 3, "
        "create_engine('postgresql+psycopg://...'), for both blocking and asyncio engines, or "
        "Python's sqlite3, create_engine('sqlite:///...')"
    )


def _name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
