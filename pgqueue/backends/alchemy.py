"""SQLAlchemy's connections and sessions: the store they lead to, and how to write through them.

Below a connection on psycopg, sqlite3 or aiosqlite, pgqueue writes through the driver's connection:
it is in the transaction that writes the application's own rows, so the job becomes part of it.
SQLAlchemy must know that the transaction has begun, or its commit would do nothing.

With any other driver of PostgreSQL's, SQLAlchemy carries the statements out itself: the dialect of
asyncpg begins a transaction at its own first statement, so statements sent below it would commit at
once.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Self, cast

from pgqueue.backends.borrowing import Borrowed, Elsewhere, by_statements
from pgqueue.backends.drivers import aiosqlite_elsewhere
from pgqueue.backends.recognised import Recognised, name_of
from pgqueue.errors import UnsupportedConnection
from pgqueue.operations import Rows
from pgqueue.statements.sql import PARAMSTYLES, Paramstyle

_DIALECTS: Final = {"postgresql": "postgres", "sqlite": "sqlite"}
_BELOW: Final = ("psycopg", "aiosqlite")
"""Asyncio drivers whose own connection is used inside `run_sync`, where SQLAlchemy's blocks."""


def recognise_alchemy(connection: Any) -> Recognised | None:
    """Recognise SQLAlchemy's connections and sessions.

    Its asyncio module needs greenlet, which may not be installed: it is used only where the caller
    has imported it.
    """
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session, scoped_session

    if "sqlalchemy.ext.asyncio" in sys.modules:
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

        if isinstance(connection, async_scoped_session):
            connection = connection()
        if isinstance(connection, (AsyncConnection, AsyncSession)):
            store = _store_below(_bind_of(connection))
            return Recognised(store, True, lambda: _driver_below_async(connection))
    if isinstance(connection, scoped_session):
        connection = connection()
    if not isinstance(connection, (Connection, Session)):
        return None
    bind = _bind_of(connection)
    store = _store_below(bind)
    bridged = bool(getattr(bind.dialect, "is_async", False)) and bind.dialect.driver in _BELOW
    return Recognised(store, False, lambda: _driver_below(connection), bridged)


def _bind_of(connection: Any) -> Any:
    """Return the connection through which a SQLAlchemy connection or session writes.

    Raises UnsupportedConnection.
    """
    if not hasattr(connection, "get_bind"):
        return connection
    session = getattr(connection, "sync_session", connection)
    _require_one_engine(session)
    return session.get_bind(**_write_arguments(session).get("bind_arguments", {}))


def _store_below(bind: Any) -> str:
    """Return the store that *bind* leads to. Raises UnsupportedConnection."""
    if bind.dialect.name not in _DIALECTS:
        raise UnsupportedConnection(
            f"this SQLAlchemy connection leads to {bind.dialect.name}; pgqueue's tables can be in "
            "PostgreSQL or SQLite"
        )
    return _DIALECTS[bind.dialect.name]


def _require_one_engine(session: Any) -> None:
    """Raise UnsupportedConnection for a session of several databases: which one has the queue?"""
    binds = getattr(session, "binds", None) or getattr(session, "_Session__binds", None)  # 2.1, 2.0
    if not binds:
        return
    engines = {id(getattr(bind, "engine", bind)): bind for bind in binds.values()}
    if session.bind is not None:
        engines.setdefault(id(getattr(session.bind, "engine", session.bind)), session.bind)
    if len(engines) > 1 or session.bind is None:
        raise UnsupportedConnection(
            "this session writes to several databases; say which one the job belongs to: "
            'enqueue(session.connection(bind_arguments={"mapper": Order}), job)'
        )


def _write_arguments(session: Any) -> dict[str, Any]:
    """Return arguments by which a session that routes by statement routes the job as a write."""
    from sqlalchemy import insert, table
    from sqlalchemy.orm import Session

    if type(session).get_bind is Session.get_bind:
        return {}
    return {"bind_arguments": {"clause": insert(table("job", schema="pgqueue"))}}


def _driver_below(connection: Any) -> Any:
    """Return the driver's connection below *connection*, with its transaction begun."""
    from sqlalchemy.exc import MissingGreenlet
    from sqlalchemy.orm import Session

    try:
        if isinstance(connection, Session):
            connection = connection.connection(**_write_arguments(connection))
        if not connection.in_transaction():
            connection.begin()
        return _known(connection)
    except MissingGreenlet as error:
        raise UnsupportedConnection(
            "this session belongs to an asyncio engine: `await enqueue(async_session, job)`, or "
            "enqueue(session, job) inside `await async_session.run_sync(...)`"
        ) from error


async def _driver_below_async(connection: Any) -> Any:
    """As `_driver_below`, without blocking the event loop."""
    from sqlalchemy.ext.asyncio import AsyncSession

    if isinstance(connection, AsyncSession):
        connection = await connection.connection(**_write_arguments(connection.sync_session))
    if not connection.in_transaction():
        await connection.begin()
    known = await connection.run_sync(_known)
    if not isinstance(known, Borrowed):
        return known
    return Elsewhere(known.driver, lambda: known, partial(_in_greenlet, connection))


async def _in_greenlet(connection: Any, work: Callable[[], Any]) -> Any:
    return await connection.run_sync(lambda _: work())


def _known(connection: Any) -> Any:
    """Return the connection that pgqueue writes through: one below *connection*, or *connection*
    itself."""
    raw = connection.connection.driver_connection
    if isinstance(raw, sqlite3.Connection):
        return raw
    if "psycopg" in sys.modules:
        from psycopg import AsyncConnection, Connection

        if isinstance(raw, (Connection, AsyncConnection)):
            return raw
    if (elsewhere := aiosqlite_elsewhere(raw)) is not None:
        return elsewhere
    if _store_below(connection) == "postgres":
        return _borrowed(connection, raw)
    raise UnsupportedConnection(
        f"this SQLAlchemy connection runs on {name_of(raw)}; of SQLite's drivers pgqueue takes "
        "sqlite3, create_engine('sqlite:///...'), and aiosqlite; for others: docs/drivers.md"
    )


def _borrowed(connection: Any, raw: Any) -> Borrowed:
    """Return *connection* as what carries statements out by itself."""
    from sqlalchemy.engine import TwoPhaseTransaction

    paramstyle = connection.dialect.paramstyle
    if paramstyle not in PARAMSTYLES:
        raise UnsupportedConnection(
            f"this SQLAlchemy connection writes its parameters in the style {paramstyle}; give "
            f"create_engine(paramstyle=...) one of {', '.join(PARAMSTYLES)}"
        )

    def opens_by_itself() -> bool:
        dbapi = connection.connection.dbapi_connection
        return not getattr(dbapi, "autocommit", False) or _is_begun(raw)

    execute = connection.exec_driver_sql
    transaction, savepoint = by_statements(execute, opens_by_itself)
    return Borrowed(
        raw,
        lambda: _Cursor(execute),
        transaction,
        savepoint,
        set(),
        cast("Paramstyle", paramstyle),
        two_phases=isinstance(connection.get_transaction(), TwoPhaseTransaction),
    )


def _is_begun(raw: Any) -> bool:
    """Has somebody sent a BEGIN on the driver's connection *raw*, which is in autocommit?"""
    if (asked := getattr(raw, "is_in_transaction", None)) is not None:  # asyncpg
        return bool(asked())
    if (info := getattr(raw, "info", None)) is not None:  # psycopg2
        return bool(info.transaction_status)
    return bool(getattr(raw, "_in_transaction", False))  # pg8000


class _Cursor:
    """A cursor of SQLAlchemy's connection, as far as `Borrowed` needs one."""

    def __init__(self, execute: Callable[..., Any]) -> None:
        self._execute = execute
        self._result: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._result is not None:
            self._result.close()

    def execute(self, sql: str, params: Any) -> None:
        self._result = self._execute(sql, tuple(params) if isinstance(params, list) else params)

    @property
    def description(self) -> object:
        return True if self._result.returns_rows else None

    def fetchall(self) -> Rows:
        return [tuple(row) for row in self._result.fetchall()]
