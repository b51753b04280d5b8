"""A database for all kinds, emptied before each test."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from pgqueue import migrations
from tests.connections.kinds import POSTGRES, SQLITE, Kind
from tests.databases import Databases


class Shop(Protocol):
    """An application's database, seen from outside: what is committed."""

    url: str

    def jobs(self) -> list[int]: ...
    def purchases(self) -> list[int]: ...


class PostgresShop:
    def __init__(self, url: str) -> None:
        self.url = url
        self.outside = psycopg.connect(url, autocommit=True)
        self.outside.execute("CREATE TABLE purchase (id integer)")
        self.outside.execute("ALTER TABLE pgqueue.job ADD CHECK (args ->> 'n' <> '-1')")

    def jobs(self) -> list[int]:
        rows = self.outside.execute("SELECT (args ->> 'n')::integer FROM pgqueue.job ORDER BY id")
        return [n for (n,) in rows]

    def purchases(self) -> list[int]:
        return [n for (n,) in self.outside.execute("SELECT id FROM purchase ORDER BY 1")]

    def empty(self) -> None:
        self.outside.execute("DELETE FROM pgqueue.job")
        self.outside.execute("DELETE FROM purchase")


class SqliteShop:
    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        migrations.migrate(self.url)
        self.outside = sqlite3.connect(path, isolation_level=None)
        self.outside.execute("CREATE TABLE purchase (id INTEGER)")
        self.outside.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON pgqueue_job WHEN NEW.args ->> '$.n' = -1 "
            "BEGIN SELECT raise(ABORT, 'refused'); END"
        )

    def jobs(self) -> list[int]:
        rows = self.outside.execute("SELECT args ->> '$.n' FROM pgqueue_job ORDER BY id")
        return [n for (n,) in rows]

    def purchases(self) -> list[int]:
        return [n for (n,) in self.outside.execute("SELECT id FROM purchase ORDER BY 1")]

    def empty(self) -> None:
        self.outside.execute("DELETE FROM pgqueue_job")
        self.outside.execute("DELETE FROM purchase")


@pytest.fixture(scope="module")
def postgres_shop(databases: Databases, template: str) -> Iterator[PostgresShop]:
    with databases.fresh(template) as url:
        shop = PostgresShop(url)
        yield shop
        shop.outside.close()


@pytest.fixture(scope="module")
def sqlite_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteShop]:
    shop = SqliteShop(tmp_path_factory.mktemp("shop") / "shop.db")
    yield shop
    shop.outside.close()


@pytest.fixture
def shop(request: pytest.FixtureRequest, kind: Kind) -> Shop:
    """The database for *kind*."""
    store = "sqlite" if kind in SQLITE.values() else "postgres"
    shop: Any = request.getfixturevalue(f"{store}_shop")
    shop.empty()
    return shop


EVERY = [pytest.param(kind, id=name) for name, kind in (POSTGRES | SQLITE).items()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", EVERY)
