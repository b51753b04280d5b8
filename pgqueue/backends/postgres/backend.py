"""PostgreSQL: the statement files of sql/postgres, run through psycopg."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
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
from pgqueue.backends.postgres.errors import translated
from pgqueue.backends.postgres.executor import AsyncStatements, Statements, is_idle
from pgqueue.backends.postgres.pooler import is_direct, is_direct_async
from pgqueue.backends.postgres.pools import KEEPALIVES, WRITABLE, Pools
from pgqueue.backends.postgres.prepared import PreparedStatements
from pgqueue.backends.postgres.session import PostgresSession
from pgqueue.backends.postgres.silence import Patience, Silence
from pgqueue.backends.postgres.watch import hang_up
from pgqueue.errors import InvalidUrl, StoreUnavailable
from pgqueue.operations import Operation, as_json
from pgqueue.statements import Statement, head, load

T = TypeVar("T")

# Each of our statements has one right plan: from the index, in its order. What the planner would
# prefer after a bulk load that no ANALYZE has seen yet is a scan and a sort of the whole backlog.
LANE_SETTINGS = (
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;"
    "SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off;"
    "SET lock_timeout = '1s'; SET idle_in_transaction_session_timeout = '60s';"
    "SET default_transaction_isolation = 'read committed';"
)
ASYNCHRONOUS = "SET synchronous_commit = off;"


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

    @contextlib.contextmanager
    def on(self, connection: Connection[Any]) -> Iterator[Executor]:
        together = connection.transaction() if is_idle(connection) else contextlib.nullcontext()
        with translated(transient=False), together:
            yield Statements(connection, self._statements)

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
        lane = PostgresLane(self.listen_url, self._statements, True, self._silence)
        return PostgresSession(lane, woken, lost)

    def close(self) -> None:
        self._pools.close()

    async def close_async(self) -> None:
        await self._pools.close_async()


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


class PostgresLane:
    """A worker's own connection, in autocommit, with the plans of our statements pinned."""

    def __init__(
        self, url: str, statements: Mapping[str, Statement], durable: bool, silence: Silence
    ) -> None:
        self._url = url
        self._statements = statements
        self._durable = durable
        self._lock = asyncio.Lock()  # a pipeline is the connection's, not the coroutine's
        self._patience = Patience(silence)
        self._prepared: PreparedStatements | None = None
        self.connection: AsyncConnection[Any] | None = None
        self.direct = True

    async def open(self) -> None:
        """Connects anew. Raises StoreUnavailable."""
        await self.close()
        with translated():
            connection = await AsyncConnection.connect(self._url, autocommit=True, **WRITABLE)
            self.direct = await is_direct_async(connection, self._statements)
            if self.direct:
                connection.prepare_threshold = 0
                settings = LANE_SETTINGS if self._durable else LANE_SETTINGS + ASYNCHRONOUS
                await connection.execute(settings.encode(), prepare=False)
        self._patience.heard()
        self._prepared = PreparedStatements(connection, self._statements) if self.direct else None
        self.connection = connection

    async def close(self) -> None:
        """Whoever still waits for an answer is told first: to close the descriptor under him would
        leave him waiting, and make libuv, which watches it, end the process."""
        connection, self.connection = self.connection, None
        if connection is not None:
            if self._lock.locked():
                hang_up(connection)
            async with self._lock:
                await connection.close()

    async def execute(self, operation: Operation[T]) -> T:
        async with self._lock:
            connection = self._connected()
            with translated(), self._patience.answers(connection, operation.name):
                if self._prepared is not None:
                    return await self._prepared.execute(operation)
                executor = AsyncStatements(connection, self._statements, self._settings())
                return await executor.execute(operation)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncExecutor]:
        async with self._lock:
            connection = self._connected()
            with translated():
                async with connection.transaction():
                    executor = AsyncStatements(connection, self._statements)
                    if (settings := self._settings()) is not None:
                        await executor.execute(settings)
                    yield executor

    def _settings(self) -> Operation[None] | None:
        """What a transaction must begin with, where the session is not ours to set."""
        if self.direct:
            return None
        durable = {"durable": "true" if self._durable else "false"}
        return Operation("settings", durable, lambda _: None)

    def _connected(self) -> AsyncConnection[Any]:
        """The connection of this moment: another coroutine may have replaced it meanwhile."""
        if self.connection is None or self.connection.closed:
            raise StoreUnavailable("the connection to PostgreSQL is lost")
        if self._patience.doubts:
            raise StoreUnavailable("the connection to PostgreSQL may be as silent as another was")
        return self.connection


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
