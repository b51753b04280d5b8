"""What kind of connection did the caller hand us?"""

from __future__ import annotations

import ast
import inspect
import sqlite3
import subprocess
import sys
from typing import Any

import asyncpg
import peewee
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from pgqueue.backends import connections, kinds
from pgqueue.backends.connections import recognise
from pgqueue.errors import UnsupportedConnection


def test_a_blocking_session_needs_no_greenlet() -> None:
    script = (
        "import sys; sys.modules['greenlet'] = None\n"
        "from sqlalchemy import create_engine\n"
        "from sqlalchemy.orm import Session\n"
        "from pgqueue.backends.connections import recognise\n"
        "assert not recognise(Session(create_engine('sqlite://'))).is_async\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


class Wrapped:
    """Some other driver's connection, that SQLAlchemy can talk to."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_names_the_driver_below_sqlalchemy() -> None:
    engine = create_engine("sqlite://", creator=Wrapped)
    with Session(engine) as session, engine.connect() as connection:
        for given in (session, connection):
            with pytest.raises(UnsupportedConnection, match=r"Wrapped.*sqlite3.*aiosqlite"):
                recognise(given).driver()


def test_finds_the_store_and_the_driver_of_each_kind() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection, Session(engine) as session:
        for given in (sqlite3.connect(":memory:"), connection, session):
            found = recognise(given)
            assert not found.is_async
            assert found.store == "sqlite"
            assert isinstance(found.driver(), sqlite3.Connection)


def test_names_a_database_that_is_no_store() -> None:
    engine = create_engine("sqlite://")
    engine.dialect.name = "oracle"
    with (
        engine.connect() as connection,
        pytest.raises(UnsupportedConnection, match="leads to oracle"),
    ):
        recognise(connection)


class Pool:
    """A package's own, with a connection below it."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")


class LargePool(Pool):
    """A subclass of it."""


def test_a_registered_type_is_what_its_factory_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_REGISTERED", {})
    with pytest.raises(UnsupportedConnection, match=r"test_connections\.LargePool"):
        recognise(LargePool())
    connections.register(f"{__name__}.Pool", lambda pool: pool.connection)
    pool = LargePool()
    found = recognise(pool)
    assert (found.store, found.driver()) == ("sqlite", pool.connection)


async def test_what_leads_to_no_transaction_is_refused_with_what_does() -> None:
    pool = asyncpg.create_pool("postgresql:///shop")
    with pytest.raises(UnsupportedConnection, match=r"async with pool\.acquire\(\)"):
        recognise(pool)
    with pytest.raises(UnsupportedConnection, match=r"give database\.connection\(\)"):
        recognise(peewee.SqliteDatabase(":memory:"))


def test_types_of_connections_need_only_what_is_always_installed() -> None:
    """A class that a type checker does not find is Any, and `await enqueue(...)` an error."""
    tree = ast.parse(inspect.getsource(kinds))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }

    assert {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names) == {
        "psycopg",
        "sqlalchemy",
    }
