"""The connections of drivers that pgqueue does not use itself: psycopg2, asyncpg, aiosqlite.

Each is asked only about objects of its own package, so nothing is imported that the caller has not
imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from pgqueue.backends.borrowing import AsyncBorrowed, Borrowed, Elsewhere, by_statements
from pgqueue.backends.recognised import Recognised, itself, name_of
from pgqueue.errors import UnsupportedConnection
from pgqueue.operations import Rows


def recognise_psycopg2(connection: Any) -> Recognised | None:
    """Recognise psycopg2's connections, whatever cursors the application prefers."""
    from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor
    from psycopg2.extensions import connection as psycopg2_connection

    if not isinstance(connection, psycopg2_connection):
        return None
    if connection.async_:
        raise UnsupportedConnection(
            f"{name_of(connection)} in its asynchronous mode is not taken; give a blocking one"
        )

    def open_one() -> cursor:
        return connection.cursor(cursor_factory=cursor)

    def execute(sql: str) -> None:
        with open_one() as opened:
            opened.execute(sql)

    def is_open() -> bool:
        begun = connection.info.transaction_status != TRANSACTION_STATUS_IDLE
        return begun or not connection.autocommit

    transaction, savepoint = by_statements(execute, is_open)
    borrowed = Borrowed(connection, open_one, transaction, savepoint, set())
    return Recognised("postgres", False, lambda: borrowed)


def recognise_asyncpg(connection: Any) -> Recognised | None:
    """Recognise asyncpg's connections, of a pool too."""
    import asyncpg

    if isinstance(connection, asyncpg.Pool):
        raise UnsupportedConnection(
            "asyncpg.Pool: each call would take another connection, and none is in your "
            "transaction; give one: `async with pool.acquire() as connection`"
        )
    if not isinstance(connection, asyncpg.Connection):
        return None

    async def ask(sql: str, params: Sequence[Any]) -> Rows:
        records = await connection.fetch(sql, *params, record_class=asyncpg.Record)
        return [tuple(record) for record in records]

    def transaction() -> AbstractAsyncContextManager[Any]:
        if connection.is_in_transaction():
            return nullcontext()
        found: AbstractAsyncContextManager[Any] = connection.transaction(isolation="read_committed")
        return found

    borrowed = AsyncBorrowed(connection, ask, transaction, connection.transaction)
    return Recognised("postgres", True, lambda: itself(borrowed))


def recognise_aiosqlite(connection: Any) -> Recognised | None:
    """Recognise aiosqlite's connections."""
    if (elsewhere := aiosqlite_elsewhere(connection)) is None:
        return None
    return Recognised("sqlite", True, lambda: itself(elsewhere))


def aiosqlite_elsewhere(connection: Any) -> Elsewhere | None:
    """Return *connection*, if it is aiosqlite's, as the connection of the thread it works in.

    aiosqlite has no public way to carry a function out there, only its statements one by one.
    """
    if "aiosqlite" not in sys.modules:
        return None
    import aiosqlite

    if not isinstance(connection, aiosqlite.Connection):
        return None
    return Elsewhere(connection, lambda: connection._conn, connection._execute)
