"""Savepoints around a task on the test's connection: its error undoes its own work, not the
test's."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

from pgqueue.backends.borrowing import entered_elsewhere
from pgqueue.backends.connections import recognise
from pgqueue.errors import PgqueueError


def savepoint(connection: Any) -> AbstractContextManager[Any]:
    """Put *connection*, a driver's, SQLAlchemy's or a framework's, into a savepoint within the
    block.

    Outside a transaction it is in a transaction that commits.
    """
    if isinstance(connection, sqlite3.Connection):
        return _of_sqlite(connection)
    begin = getattr(connection, "begin_nested", None) or getattr(connection, "transaction", None)
    begin = begin or recognise(connection).driver().savepoint  # a framework's
    found: AbstractContextManager[Any] = begin()
    return found


def savepoint_async(connection: Any, *, is_async: bool) -> AbstractAsyncContextManager[Any]:
    """As `savepoint`, for coroutines; *connection* may be a blocking one."""
    if not is_async:
        return _awaitable(savepoint(connection))
    begin = getattr(connection, "begin_nested", None) or getattr(connection, "transaction", None)
    if begin is None:
        return _elsewhere(connection)
    found: AbstractAsyncContextManager[Any] = begin()
    return found


@contextmanager
def _of_sqlite(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT pgqueue_testing")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO pgqueue_testing")
            connection.execute("RELEASE pgqueue_testing")
        raise
    try:
        connection.execute("RELEASE pgqueue_testing")
    except sqlite3.OperationalError as error:
        raise PgqueueError(
            "the task has ended the transaction of the test's connection: let it commit a "
            "connection of its own, or use ctx.transaction()"
        ) from error


@asynccontextmanager
async def _elsewhere(connection: Any) -> AsyncIterator[None]:
    driver = await recognise(connection).driver()
    async with entered_elsewhere(lambda: savepoint(driver.connection()), driver.run):
        yield


@asynccontextmanager
async def _awaitable(blocking: AbstractContextManager[Any]) -> AsyncIterator[None]:
    with blocking:
        yield
