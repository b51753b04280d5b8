"""PostgreSQL: the statement files of sql/postgres, run through psycopg."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.conninfo import conninfo_to_dict

from pgqueue.backends.base import (
    DEAF_WAIT_SECONDS,
    AsyncExecutor,
    Executor,
    patiently,
    patiently_async,
)
from pgqueue.backends.postgres.errors import translate, translated
from pgqueue.backends.postgres.executor import AsyncStatements, Statements, is_idle
from pgqueue.backends.postgres.lane import PostgresLane
from pgqueue.backends.postgres.pooler import is_direct
from pgqueue.backends.postgres.pools import KEEPALIVES, WRITABLE, Pools
from pgqueue.backends.postgres.session import PostgresSession
from pgqueue.backends.postgres.silence import Silence
from pgqueue.errors import InvalidUrl
from pgqueue.operations import Operation, as_json
from pgqueue.statements import head, load

T = TypeVar("T")


class PostgresBackend:
    """Jobs in a schema of a PostgreSQL database, 14 or later."""

    store: ClassVar[str] = "postgres"
    wakes_after: ClassVar[bool] = True  # a NOTIFY inside makes commits wait for each other
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"transactions", "concurrency", "processes", "push", "sessions", "partitions", "roles"}
    )
    head: ClassVar[str] = head("postgres")

    def __init__(
        self,
        url: str,
        *,
        schema: str = "pgqueue",
        listen_url: str | None = None,
        pool_size: int = 10,
    ) -> None:
        self.schema = schema
        self.url = conninfo(url)
        self.listen_url = conninfo(listen_url) if listen_url else self.url
        self._statements = load("postgres", schema)
        self._pools = Pools(self.url, pool_size, self._statements)
        self._silence = Silence()

    def execute(self, operation: Operation[T]) -> T:
        return patiently(self._once, operation)

    def _once(self, operation: Operation[T]) -> T:
        with self._pools.connection() as connection, translated():
            return Statements(connection, self._statements).execute(operation)

    async def execute_async(self, operation: Operation[T]) -> T:
        return await patiently_async(self._once_async, operation)

    async def _once_async(self, operation: Operation[T]) -> T:
        async with self._pools.connection_async() as connection:
            with translated():
                return await AsyncStatements(connection, self._statements).execute(operation)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Executor]:
        with self._pools.connection() as connection, translated(), connection.transaction():
            yield Statements(connection, self._statements)

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncExecutor]:
        async with self._pools.connection_async() as connection:
            with translated():
                async with connection.transaction():
                    yield AsyncStatements(connection, self._statements)

    def on(self, connection: Connection[Any]) -> AbstractContextManager[Executor]:
        statements = Statements(connection, self._statements)
        return _alone(connection, statements) if is_idle(connection) else _Inside(statements)

    @contextlib.asynccontextmanager
    async def on_async(self, connection: AsyncConnection[Any]) -> AsyncIterator[AsyncExecutor]:
        together = connection.transaction() if is_idle(connection) else contextlib.nullcontext()
        with translated(transient=False):
            async with together:
                yield AsyncStatements(connection, self._statements)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection[Any]]:
        with translated():
            connection = Connection.connect(self.url, autocommit=True, **KEEPALIVES)
        with connection:
            with translated():
                is_direct(connection, self._statements)
            yield connection

    @contextlib.contextmanager
    def listen(self, topics: Collection[str]) -> Iterator[PostgresEar]:
        with translated():
            connection = Connection.connect(self.listen_url, autocommit=True, **WRITABLE)
        with connection, translated():
            if not is_direct(connection, self._statements):
                yield PostgresEar(None)
                return
            executor = Statements(connection, self._statements)
            executor.execute(Operation("listen", {}, lambda _: None))
            executor.execute(Operation("sleep", {"topics": as_json(list(topics))}, lambda _: None))
            yield PostgresEar(connection)

    @contextlib.contextmanager
    def user_connection(self) -> Iterator[Connection[Any]]:
        with self._pools.connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def user_connection_async(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._pools.connection_async() as connection, connection.transaction():
            yield connection

    def lane(self, *, durable: bool = True) -> PostgresLane:
        return PostgresLane(self.url, self._statements, durable, self._silence)

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> PostgresSession:
        lane = PostgresLane(self.listen_url, self._statements, True, self._silence, lost)
        return PostgresSession(lane, woken)

    def close(self) -> None:
        self._pools.close()

    async def close_async(self) -> None:
        await self._pools.close_async()


class _Inside(AbstractContextManager[Executor]):
    """The caller's transaction; in few steps, for one job."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __enter__(self) -> Executor:
        return self._executor

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        if error is not None:
            translate(error, transient=False)


@contextlib.contextmanager
def _alone(connection: Connection[Any], executor: Executor) -> Iterator[Executor]:
    with translated(transient=False), connection.transaction():
        yield executor


class PostgresEar:
    """Hears NOTIFY on a blocking connection. Without one, behind a pooler, it waits for a moment;
    once it is lost, it only waits."""

    def __init__(self, connection: Connection[Any] | None) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> None:
        if self._connection is None:
            time.sleep(min(seconds, DEAF_WAIT_SECONDS))
            return
        try:
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.OperationalError:
            time.sleep(seconds)


def conninfo(url: str) -> str:
    """*url* for libpq: SQLAlchemy's ``postgresql+psycopg://`` is understood too.

    Raises InvalidUrl for what libpq would refuse, and repeat: a part of the password, say.
    """
    address = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    with contextlib.suppress(psycopg.Error, ValueError):
        parts = conninfo_to_dict(address)
        hosts = str(parts.get("host") or "").split(",")
        ports = str(parts.get("port") or "").split(",")
        if not any("@" in host[1:] for host in hosts) and all(p.isdigit() or not p for p in ports):
            return address
    raise InvalidUrl


def open_backend(
    url: str, *, schema: str = "pgqueue", listen_url: str | None = None, pool_size: int = 10
) -> PostgresBackend:
    """*listen_url*, or PGQUEUE_LISTEN_URL: another way to the same database, for LISTEN."""
    listen_url = listen_url or os.environ.get("PGQUEUE_LISTEN_URL")
    return PostgresBackend(url, schema=schema, listen_url=listen_url, pool_size=pool_size)
