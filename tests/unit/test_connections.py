"""What kind of connection did the caller hand us?"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from pgqueue.connections import driver, is_async, store_of
from pgqueue.errors import UnsupportedConnection


def test_a_blocking_session_needs_no_greenlet() -> None:
    script = (
        "import sys; sys.modules['greenlet'] = None\n"
        "from sqlalchemy.orm import Session\n"
        "from pgqueue.connections import is_async\n"
        "assert not is_async(Session())\n"
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
            with pytest.raises(UnsupportedConnection, match=r"Wrapped.*psycopg 3.*sqlite3"):
                driver(given)


def test_finds_the_store_and_the_driver_of_each_kind() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection, Session(engine) as session:
        for given in (sqlite3.connect(":memory:"), connection, session):
            assert not is_async(given)
            assert store_of(given) == "sqlite"
            assert isinstance(driver(given), sqlite3.Connection)


def test_names_a_database_that_is_no_store() -> None:
    engine = create_engine("sqlite://")
    engine.dialect.name = "oracle"
    with (
        engine.connect() as connection,
        pytest.raises(UnsupportedConnection, match="leads to oracle"),
    ):
        store_of(connection)
