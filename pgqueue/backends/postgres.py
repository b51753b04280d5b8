"""PostgreSQL: the statement files of sql/postgres, run through psycopg."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import psycopg
import tenacity
from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgqueue.backends.base import AGAIN, AsyncExecutor, Executor
from pgqueue.backends.postgres_errors import translated
from pgqueue.backends.postgres_pools import KEEPALIVES, Pools
from pgqueue.backends.postgres_session import PostgresSession
from pgqueue.backends.postgres_silence import Patience, Silence
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation, Rows, as_json
from pgqueue.statements import Statement, Step, head, load

T = TypeVar("T")

# Each of our statements has one right plan: from the index, in its order. What the planner would
# prefer after a bulk load that no ANALYZE has seen yet is a scan and a sort of the whole backlog.
LANE_SETTINGS = (
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;"
    "SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off;"
    "SET lock_timeout = '1s'; SET idle_in_transaction_session_timeout = '60s';"
    "SET default_transaction_isolation = 'read committed';"
)
# Whatever the database's default: only a new statement's snapshot sees a child that was being added
# while we waited for its parent.
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


class PostgresBackend:
    """Jobs in a schema of a PostgreSQL database, 14 or later."""

    store: ClassVar[str] = "postgres"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"transactions", "concurrency", "processes", "push", "sessions", "partitions"}
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
        self._pools = Pools(self.url, pool_size)
        self._silence = Silence()

    def execute(self, operation: Operation[T]) -> T:
        def once() -> T:
            with self._pools.connection() as connection, translated():
                return _Executor(connection, self._statements).execute(operation)

        return tenacity.Retrying(**AGAIN)(once)

    async def execute_async(self, operation: Operation[T]) -> T:
        async def once() -> T:
            async with self._pools.connection_async() as connection:
                with translated():
                    return await _AsyncExecutor(connection, self._statements).execute(operation)

        return await tenacity.AsyncRetrying(**AGAIN)(once)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Executor]:
        with self._pools.connection() as connection, translated(), connection.transaction():
            yield _Executor(connection, self._statements)

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncExecutor]:
        async with self._pools.connection_async() as connection:
            with translated():
                async with connection.transaction():
                    yield _AsyncExecutor(connection, self._statements)

    @contextlib.contextmanager
    def on(self, connection: Connection[Any]) -> Iterator[Executor]:
        together = connection.transaction() if _is_idle(connection) else contextlib.nullcontext()
        with translated(transient=False), together:
            yield _Executor(connection, self._statements)

    @contextlib.asynccontextmanager
    async def on_async(self, connection: AsyncConnection[Any]) -> AsyncIterator[AsyncExecutor]:
        together = connection.transaction() if _is_idle(connection) else contextlib.nullcontext()
        with translated(transient=False):
            async with together:
                yield _AsyncExecutor(connection, self._statements)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection[Any]]:
        with translated():
            connection = Connection.connect(self.url, autocommit=True, **KEEPALIVES)
        with connection:
            yield connection

    @contextlib.contextmanager
    def listen(self, topics: Collection[str]) -> Iterator[PostgresEar]:
        with translated():
            connection = Connection.connect(self.listen_url, autocommit=True, **KEEPALIVES)
        with connection, translated():
            executor = _Executor(connection, self._statements)
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
    """Hears NOTIFY on a blocking connection; once that is lost, it only waits."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> None:
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
        self.connection: AsyncConnection[Any] | None = None

    async def open(self) -> None:
        """Connects anew. Raises StoreUnavailable."""
        await self.close()
        with translated():
            connection = await AsyncConnection.connect(
                self._url,
                autocommit=True,
                prepare_threshold=0,
                target_session_attrs="read-write",  # a standby would refuse each statement
                **KEEPALIVES,
            )
            settings = LANE_SETTINGS + ("" if self._durable else "SET synchronous_commit = off;")
            await connection.execute(settings.encode(), prepare=False)
        self._patience.heard()
        self.connection = connection

    async def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()

    async def execute(self, operation: Operation[T]) -> T:
        async with self._lock:
            connection = self._connected()
            with translated(), self._patience.answers(connection, operation.name):
                return await _AsyncExecutor(connection, self._statements).execute(operation)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncExecutor]:
        async with self._lock:
            connection = self._connected()
            with translated():
                async with connection.transaction():
                    yield _AsyncExecutor(connection, self._statements)

    def _connected(self) -> AsyncConnection[Any]:
        """The connection of this moment: another coroutine may have replaced it meanwhile."""
        if self.connection is None or self.connection.closed:
            raise StoreUnavailable("the connection to PostgreSQL is lost")
        if self._patience.doubts:
            raise StoreUnavailable("the connection to PostgreSQL may be as silent as another was")
        return self.connection


class _Executor:
    """Operations on a blocking connection; in the caller's transaction, if there is one."""

    def __init__(self, connection: Connection[Any], statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    def execute(self, operation: Operation[T]) -> T:
        """Runs the steps in one round trip, with their transaction around them if there is none."""
        statement = self._statements[operation.name]
        if statement.atomic and not self._connection.pgconn.pipeline_status:
            return operation.decode([_rows(self._send(statement.steps[0], operation))])
        connection = self._connection
        own = _is_idle(connection)
        try:
            with connection.pipeline() as pipeline:
                if own:
                    connection.execute(BEGIN)
                steps = [self._send(step, operation) for step in statement.steps]
                then = [self._send(step, operation) for step in statement.followed_by]
                if own and not statement.repeats:
                    connection.execute("COMMIT")
                pipeline.sync()
                said = steps if statement.repeats else [*steps, *then]
                answers = [_rows(cursor) for cursor in said]
                while statement.repeats and _says_again(_rows(cursor) for cursor in then):
                    then = [self._send(step, operation) for step in statement.followed_by]
                    pipeline.sync()
                if own and statement.repeats:
                    connection.execute("COMMIT")
        except BaseException:
            if own and not connection.closed:
                connection.rollback()
            raise
        return operation.decode(answers)

    def _send(self, step: Step, operation: Operation[Any]) -> RawCursor[Any]:
        cursor = RawCursor(self._connection, row_factory=tuple_row)
        return cursor.execute(step.sql.encode(), step.bind(operation.params))


class _AsyncExecutor:
    """Operations on an asyncio connection; in the caller's transaction, if there is one."""

    def __init__(
        self, connection: AsyncConnection[Any], statements: Mapping[str, Statement]
    ) -> None:
        self._connection = connection
        self._statements = statements

    async def execute(self, operation: Operation[T]) -> T:
        """Runs the steps in one round trip, with their transaction around them if there is none."""
        statement = self._statements[operation.name]
        if statement.atomic and not self._connection.pgconn.pipeline_status:
            cursor = await self._send(statement.steps[0], operation)
            return operation.decode([await _rows_async(cursor)])
        connection = self._connection
        own = _is_idle(connection)
        try:
            async with connection.pipeline() as pipeline:
                if own:
                    await connection.execute(BEGIN)
                steps = [await self._send(step, operation) for step in statement.steps]
                then = [await self._send(step, operation) for step in statement.followed_by]
                if own and not statement.repeats:
                    await connection.execute("COMMIT")
                await pipeline.sync()
                said = steps if statement.repeats else [*steps, *then]
                answers = [await _rows_async(cursor) for cursor in said]
                while statement.repeats and _says_again(
                    [await _rows_async(cursor) for cursor in then]
                ):
                    then = [await self._send(step, operation) for step in statement.followed_by]
                    await pipeline.sync()
                if own and statement.repeats:
                    await connection.execute("COMMIT")
        except BaseException:
            if own and not connection.closed:
                await connection.rollback()
            raise
        return operation.decode(answers)

    async def _send(self, step: Step, operation: Operation[Any]) -> AsyncRawCursor[Any]:
        cursor = AsyncRawCursor(self._connection, row_factory=tuple_row)
        return await cursor.execute(step.sql.encode(), step.bind(operation.params))


def _rows(cursor: RawCursor[Any]) -> Rows:
    return cursor.fetchall() if cursor.description else []


async def _rows_async(cursor: AsyncRawCursor[Any]) -> Rows:
    return await cursor.fetchall() if cursor.description else []


def _says_again(answers: Iterable[Rows]) -> bool:
    return any(row[0] is True for rows in answers for row in rows)


def _is_idle(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Would each statement commit by itself? Outside autocommit psycopg opens the transaction."""
    return connection.autocommit and connection.pgconn.transaction_status == TransactionStatus.IDLE


def conninfo(url: str) -> str:
    """*url* for libpq: SQLAlchemy's ``postgresql+psycopg://`` is understood too."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def open_backend(
    url: str, *, schema: str = "pgqueue", listen_url: str | None = None, pool_size: int = 10
) -> PostgresBackend:
    """*listen_url*, or PGQUEUE_LISTEN_URL: another way to the same database, for LISTEN."""
    listen_url = listen_url or os.environ.get("PGQUEUE_LISTEN_URL")
    return PostgresBackend(url, schema=schema, listen_url=listen_url, pool_size=pool_size)
