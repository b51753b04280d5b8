"""PostgreSQL: the statement files of sql/postgres, run through psycopg."""

from __future__ import annotations

import asyncio
import contextlib
import re
import select
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import psycopg
import tenacity
from psycopg import AsyncConnection, Connection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from pgqueue.backends.base import AsyncExecutor, Executor
from pgqueue.backends.postgres_errors import translated
from pgqueue.backends.postgres_executor import AsyncStatements, Statements, is_idle
from pgqueue.backends.postgres_pooler import is_direct, is_direct_async
from pgqueue.backends.postgres_session import PostgresSession
from pgqueue.errors import InvalidUrl, StoreBusy, StoreUnavailable
from pgqueue.operations import Operation, as_json
from pgqueue.statements import Statement, load

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
DEAF_SECONDS = 0.5
KEEPALIVES: Mapping[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # keepalives are silent while an answer is due
    "connect_timeout": 10,
}
# Of several hosts only the one that takes writes: a standby would refuse each statement.
WRITABLE: Mapping[str, Any] = {"target_session_attrs": "read-write", **KEEPALIVES}
POOLED: dict[str, Any] = {"autocommit": True, **WRITABLE}
# Rolled back by the server as a whole: nothing of the operation happened, it may run again.
_AGAIN: Mapping[str, Any] = {
    "retry": tenacity.retry_if_exception_type(StoreBusy),
    "wait": tenacity.wait_random_exponential(multiplier=0.01, max=1),
    "stop": tenacity.stop_after_attempt(10),
    "reraise": True,
}


class PostgresBackend:
    """Jobs in a schema of a PostgreSQL database, 14 or later."""

    store: ClassVar[str] = "postgres"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"transactions", "push", "sessions", "partitions"}
    )

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
        self._pool_size = pool_size
        self._pool: ConnectionPool | None = None
        self._async_pools: WeakKeyDictionary[Any, AsyncConnectionPool] = WeakKeyDictionary()

    def execute(self, operation: Operation[T]) -> T:
        def once() -> T:
            with self._connection() as connection, translated():
                return Statements(connection, self._statements).execute(operation)

        return tenacity.Retrying(**_AGAIN)(once)

    async def execute_async(self, operation: Operation[T]) -> T:
        async def once() -> T:
            async with self._connection_async() as connection:
                with translated():
                    return await AsyncStatements(connection, self._statements).execute(operation)

        return await tenacity.AsyncRetrying(**_AGAIN)(once)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Executor]:
        with self._connection() as connection, translated(), connection.transaction():
            yield Statements(connection, self._statements)

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncExecutor]:
        async with self._connection_async() as connection:
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
        with self._connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def user_connection_async(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._connection_async() as connection, connection.transaction():
            yield connection

    def lane(self, *, durable: bool = True) -> PostgresLane:
        return PostgresLane(self.url, self._statements, durable)

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> PostgresSession:
        lane = PostgresLane(self.listen_url, self._statements, durable=True)
        return PostgresSession(lane, woken, lost)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    async def close_async(self) -> None:
        pool = self._async_pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection[Any]]:
        if self._pool is None:
            self._pool = ConnectionPool(
                self.url,
                kwargs=POOLED,
                min_size=0,
                max_size=self._pool_size,
                configure=self._configure,
                check=_check,
                name="pgqueue",
                open=True,
            )
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise StoreUnavailable(f"no connection to PostgreSQL: {error}") from error

    @contextlib.asynccontextmanager
    async def _connection_async(self) -> AsyncIterator[AsyncConnection[Any]]:
        loop = asyncio.get_running_loop()
        pool = self._async_pools.get(loop)
        if pool is None:
            pool = self._async_pools[loop] = AsyncConnectionPool(
                self.url,
                kwargs=POOLED,
                min_size=0,
                max_size=self._pool_size,
                configure=self._configure_async,
                check=_check_async,
                name="pgqueue",
                open=False,
            )
            await pool.open()
        try:
            async with pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise StoreUnavailable(f"no connection to PostgreSQL: {error}") from error

    def _configure(self, connection: Connection[Any]) -> None:
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        is_direct(connection, self._statements)

    async def _configure_async(self, connection: AsyncConnection[Any]) -> None:
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await is_direct_async(connection, self._statements)


class PostgresEar:
    """Hears NOTIFY on a blocking connection. Without one, behind a pooler, it waits for a moment;
    once it is lost, it only waits."""

    def __init__(self, connection: Connection[Any] | None) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> None:
        if self._connection is None:
            time.sleep(min(seconds, DEAF_SECONDS))
            return
        try:
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.OperationalError:
            time.sleep(seconds)


class PostgresLane:
    """A worker's own connection, in autocommit, with the plans of our statements pinned."""

    def __init__(self, url: str, statements: Mapping[str, Statement], durable: bool) -> None:
        self._url = url
        self._statements = statements
        self._durable = durable
        self._lock = asyncio.Lock()  # a pipeline is the connection's, not the coroutine's
        self.connection: AsyncConnection[Any] | None = None
        self.direct = True

    async def open(self) -> None:
        """Connects anew. Raises StoreUnavailable."""
        await self.close()
        with translated():
            connection = await AsyncConnection.connect(
                self._url,
                autocommit=True,
                **WRITABLE,
            )
            self.direct = await is_direct_async(connection, self._statements)
            if self.direct:
                connection.prepare_threshold = 0
                settings = LANE_SETTINGS if self._durable else LANE_SETTINGS + ASYNCHRONOUS
                await connection.execute(settings.encode(), prepare=False)
        self.connection = connection

    async def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()

    async def execute(self, operation: Operation[T]) -> T:
        async with self._lock:
            connection = self._connected()
            with translated():
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
        return self.connection


def _check(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Raises when the server has closed an idle connection: then there is something to read. No
    round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    while poll.poll(0):  # its last words come before its end
        connection.pgconn.consume_input()
        if connection.pgconn.status == ConnStatus.BAD or connection.closed:
            raise psycopg.OperationalError("the server closed the connection while it was idle")


async def _check_async(connection: AsyncConnection[Any]) -> None:
    _check(connection)


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


open_backend = PostgresBackend
