"""The types of connections that `enqueue` takes, for type checkers.

Required packages are named by their own types, drivers that need not be installed by protocols: a
type checker takes a class of a missing package for Any, and with an Any among the blocking kinds
each `await enqueue(...)` would be an error.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection as AlchemyConnection
    from sqlalchemy.ext.asyncio import AsyncConnection as AlchemyAsyncConnection
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session


class Psycopg2Connection(Protocol):
    """psycopg2's connection."""

    def get_transaction_status(self) -> int: ...
    def commit(self) -> None: ...


class BlockingRedis(Protocol):
    """redis-py's client or pipeline."""

    def register_script(self, script: Any, /) -> Any: ...
    def __enter__(self) -> Any: ...


class AsyncpgConnection(Protocol):
    """asyncpg's connection, its pool's included."""

    def is_in_transaction(self) -> bool: ...
    def get_server_pid(self) -> int: ...


class AiosqliteConnection(Protocol):
    """aiosqlite's connection."""

    @property
    def total_changes(self) -> int: ...
    async def interrupt(self) -> None: ...


class AsyncioRedis(Protocol):
    """redis-py's client or pipeline of asyncio's kind."""

    def register_script(self, script: Any, /) -> Any: ...
    async def __aenter__(self) -> Any: ...


BlockingConnection: TypeAlias = Union[
    "psycopg.Connection[Any]",
    "sqlite3.Connection",
    "AlchemyConnection",
    "Session",
    "scoped_session[Any]",
    Psycopg2Connection,
    BlockingRedis,
]
AsyncioConnection: TypeAlias = Union[
    "psycopg.AsyncConnection[Any]",
    "AlchemyAsyncConnection",
    "AsyncSession",
    "async_scoped_session[Any]",
    AsyncpgConnection,
    AiosqliteConnection,
    AsyncioRedis,
]
AnyConnection: TypeAlias = BlockingConnection | AsyncioConnection
