"""Every kind of connection that an application may have, opened, and what a test does with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import aiosqlite
import asyncpg
import psycopg2
import psycopg2.extras
import sqlmodel
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgqueue import enqueue, execute


class Opened:
    """A blocking connection of SQLAlchemy's."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def enqueue(self, *jobs: Any) -> Any:
        return enqueue(self.connection, *jobs)

    async def execute(self, operation: Any) -> Any:
        return execute(self.connection, operation)

    async def buy(self, n: int) -> None:
        await self.run(f"INSERT INTO purchase VALUES ({n})")

    async def run(self, sql: str) -> None:
        self.connection.execute(text(sql))

    async def commit(self) -> None:
        self.connection.commit()

    async def rollback(self) -> None:
        self.connection.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        with self.connection.begin_nested():
            yield


class OpenedAsync(Opened):
    """An asyncio connection of SQLAlchemy's."""

    async def enqueue(self, *jobs: Any) -> Any:
        return await enqueue(self.connection, *jobs)

    async def execute(self, operation: Any) -> Any:
        return await execute(self.connection, operation)

    async def run(self, sql: str) -> None:
        await self.connection.execute(text(sql))

    async def commit(self) -> None:
        await self.connection.commit()

    async def rollback(self) -> None:
        await self.connection.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        async with self.connection.begin_nested():
            yield


class OpenedInside(OpenedAsync):
    """SQLAlchemy's blocking session inside `run_sync` of an asyncio one."""

    async def enqueue(self, *jobs: Any) -> Any:
        return await self.connection.run_sync(lambda session: enqueue(session, *jobs))

    async def execute(self, operation: Any) -> Any:
        return await self.connection.run_sync(lambda session: execute(session, operation))


class Psycopg2(Opened):
    async def run(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        await self.run("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            await self.run("ROLLBACK TO attempt")
            raise
        await self.run("RELEASE attempt")


class Aiosqlite(OpenedAsync):
    async def run(self, sql: str) -> None:
        await self.connection.execute(sql)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        async with Psycopg2.savepoint(self):  # type: ignore[arg-type]
            yield


class Asyncpg(OpenedAsync):
    """asyncpg commits each statement outside a transaction; this one is begun before the first."""

    def __init__(self, connection: Any, *, autocommit: bool = False) -> None:
        super().__init__(connection)
        self._autocommit = autocommit
        self._transaction: Any = None

    async def _begin(self) -> None:
        if self._transaction is None and not self._autocommit:
            self._transaction = self.connection.transaction()
            await self._transaction.start()

    async def enqueue(self, *jobs: Any) -> Any:
        await self._begin()
        return await super().enqueue(*jobs)

    async def execute(self, operation: Any) -> Any:
        await self._begin()
        return await super().execute(operation)

    async def run(self, sql: str) -> None:
        await self._begin()
        await self.connection.execute(sql)

    async def commit(self) -> None:
        if self._transaction is not None:
            await self._transaction.commit()
        self._transaction = None

    async def rollback(self) -> None:
        if self._transaction is not None:
            await self._transaction.rollback()
        self._transaction = None

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        async with self.connection.transaction():
            yield


Kind: TypeAlias = Callable[..., AbstractAsyncContextManager[Opened]]


def psycopg2_kind(cursors: Any = None) -> Kind:
    @asynccontextmanager
    async def opened(url: str, *, autocommit: bool = False) -> AsyncIterator[Opened]:
        connection = psycopg2.connect(url, cursor_factory=cursors)
        connection.autocommit = autocommit
        try:
            yield Psycopg2(connection)
        finally:
            connection.close()

    return opened


@asynccontextmanager
async def asyncpg_kind(url: str, *, autocommit: bool = False) -> AsyncIterator[Opened]:
    connection = await asyncpg.connect(url)
    try:
        yield Asyncpg(connection, autocommit=autocommit)
    finally:
        await connection.close()


@asynccontextmanager
async def asyncpg_pool_kind(url: str, *, autocommit: bool = False) -> AsyncIterator[Opened]:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
    ):
        yield Asyncpg(connection, autocommit=autocommit)


@asynccontextmanager
async def aiosqlite_kind(url: str, *, autocommit: bool = False) -> AsyncIterator[Opened]:
    path = url.removeprefix("sqlite:///")
    options: Any = {"isolation_level": None} if autocommit else {}
    async with aiosqlite.connect(path, **options) as connection:
        yield Aiosqlite(connection)


def alchemy_kind(driver: str, make: Callable[[Any], Any] = Session) -> Kind:
    """A session, or what else *make* makes of an engine, through *driver*."""

    @asynccontextmanager
    async def opened(url: str, *, autocommit: bool = False) -> AsyncIterator[Opened]:
        engine = create_engine(_through(driver, url), **_isolation(autocommit))
        connection = make(engine)
        try:
            yield Opened(connection)
        finally:
            connection.close()
            engine.dispose()

    return opened


def alchemy_asyncio_kind(
    driver: str, make: Callable[[Any], Any] = AsyncSession, inside: bool = False
) -> Kind:
    @asynccontextmanager
    async def opened(url: str, *, autocommit: bool = False) -> AsyncIterator[Opened]:
        engine = create_async_engine(_through(driver, url), **_isolation(autocommit))
        try:
            async with make(engine) as connection:
                yield (OpenedInside if inside else OpenedAsync)(connection)
        finally:
            await engine.dispose()

    return opened


def _through(driver: str, url: str) -> Any:
    given = make_url(url)
    if driver == "pg8000" and (folder := given.query.get("host")):
        socket = f"{folder}/.s.PGSQL.{given.query.get('port', 5432)}"
        given = given.set(query={"unix_sock": socket})
    return given.set(drivername=f"{given.drivername}+{driver}")


def _isolation(autocommit: bool) -> dict[str, Any]:
    return {"isolation_level": "AUTOCOMMIT"} if autocommit else {}


POSTGRES: dict[str, Kind] = {
    "psycopg2": psycopg2_kind(),
    "psycopg2, rows as dictionaries": psycopg2_kind(psycopg2.extras.RealDictCursor),
    "psycopg2, rows as named tuples": psycopg2_kind(psycopg2.extras.NamedTupleCursor),
    "asyncpg": asyncpg_kind,
    "asyncpg, of a pool": asyncpg_pool_kind,
    "Session, psycopg": alchemy_kind("psycopg"),
    "Session, psycopg2": alchemy_kind("psycopg2"),
    "Connection, psycopg2": alchemy_kind("psycopg2", lambda engine: engine.connect()),
    "Session, pg8000": alchemy_kind("pg8000"),
    "scoped_session, pg8000": alchemy_kind("pg8000", lambda e: scoped_session(sessionmaker(e))),
    "SQLModel, psycopg2": alchemy_kind("psycopg2", sqlmodel.Session),
    "AsyncSession, psycopg": alchemy_asyncio_kind("psycopg"),
    "AsyncSession, asyncpg": alchemy_asyncio_kind("asyncpg"),
    "AsyncConnection, asyncpg": alchemy_asyncio_kind("asyncpg", lambda engine: engine.connect()),
    "inside run_sync, asyncpg": alchemy_asyncio_kind("asyncpg", inside=True),
}
SQLITE: dict[str, Kind] = {
    "aiosqlite": aiosqlite_kind,
    "Session, pysqlite": alchemy_kind("pysqlite"),
    "AsyncSession, aiosqlite": alchemy_asyncio_kind("aiosqlite"),
    "AsyncConnection, aiosqlite": alchemy_asyncio_kind("aiosqlite", lambda e: e.connect()),
    "inside run_sync, aiosqlite": alchemy_asyncio_kind("aiosqlite", inside=True),
}
