"""PostgreSQL: the statement files of sql/postgres, run through psycopg."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection

from pgqueue.addresses import KEEPALIVES, Url, asked_anew, settings
from pgqueue.backends.base import DEAF_WAIT_SECONDS, AsyncOperationRunner, OperationRunner
from pgqueue.backends.borrowing import AsyncBorrowed, Borrowed, Elsewhere, used_elsewhere
from pgqueue.backends.plans import patiently, patiently_async
from pgqueue.backends.postgres.answer_deadline import LastHangUp
from pgqueue.backends.postgres.borrowed import borrowed, borrowed_async
from pgqueue.backends.postgres.encodings import in_utf8, in_utf8_async, speaks_utf8
from pgqueue.backends.postgres.errors import translate, translated
from pgqueue.backends.postgres.lending import lent, must_be_open
from pgqueue.backends.postgres.pooler import is_direct
from pgqueue.backends.postgres.pools import Pools
from pgqueue.backends.postgres.running import AsyncioRunner, BlockingRunner, has_two_phases, is_idle
from pgqueue.backends.postgres.session import PostgresSession
from pgqueue.backends.postgres.time_limit import in_time, in_time_async
from pgqueue.backends.postgres.worker_connection import PostgresWorkerConnection
from pgqueue.operations import Operation, as_json
from pgqueue.statements.files import head, load

T = TypeVar("T")
_QUIET: Operation[None] = Operation("session/quiet", {}, lambda _: None)


class PostgresBackend:
    """Jobs in a schema of a PostgreSQL database, 14 or later."""

    store: ClassVar[str] = "postgres"
    wakes_after: ClassVar[bool] = True  # transactions with a NOTIFY commit one after the other
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            "transactions",
            "concurrency",
            "processes",
            "push",
            "sessions",
            "partitions",
            "roles",
            "limits",
            "whereabouts",
        }
    )
    head: ClassVar[str] = head("postgres")

    def __init__(
        self,
        url: Url,
        *,
        schema: str = "pgqueue",
        listen_url: str | None = None,
        pool_size: int = 10,
    ) -> None:
        self.schema = schema
        self._address = asked_anew(url)
        self._listen_address = asked_anew(listen_url) if listen_url else self._address
        self._statements = load("postgres", schema)
        self._pools = Pools(self._address, pool_size, self._statements)
        self._last_hang_up = LastHangUp()

    @property
    def url(self) -> str:
        """The URL to connect to at this moment."""
        return self._address()

    @property
    def listen_url(self) -> str:
        """The URL to connect to at this moment, in order to listen."""
        return self._listen_address()

    def execute(self, operation: Operation[T]) -> T:
        return patiently(self._once, operation)

    def _once(self, operation: Operation[T]) -> T:
        with self._pools.connection() as connection, in_time(connection, self._statements):
            return BlockingRunner(connection, self._statements).execute(operation)

    async def execute_async(self, operation: Operation[T]) -> T:
        return await patiently_async(self._once_async, operation)

    async def _once_async(self, operation: Operation[T]) -> T:
        async with (
            self._pools.connection_async() as connection,
            in_time_async(connection, self._statements),
        ):
            return await AsyncioRunner(connection, self._statements).execute(operation)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[OperationRunner]:
        with (
            self._pools.connection() as connection,
            in_time(connection, self._statements),
            connection.transaction(),
        ):
            yield BlockingRunner(connection, self._statements)

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncOperationRunner]:
        async with (
            self._pools.connection_async() as connection,
            in_time_async(connection, self._statements),
            connection.transaction(),
        ):
            yield AsyncioRunner(connection, self._statements)

    def on(
        self, connection: Connection[Any] | Borrowed, *, single: bool = False
    ) -> AbstractContextManager[OperationRunner]:
        if isinstance(connection, Borrowed):
            statements = load("postgres", self.schema, connection.paramstyle)
            return borrowed(connection, statements, single=single)
        must_be_open(connection)
        runner = BlockingRunner(connection, self._statements)
        if not speaks_utf8(connection):
            return _foreign(connection, runner)
        if not single and _begins(connection):
            return _alone(connection, runner)
        return _As(runner, _QUIET if has_two_phases(connection) else None)

    def on_async(
        self,
        connection: AsyncConnection[Any] | AsyncBorrowed | Elsewhere,
        *,
        single: bool = False,
    ) -> AbstractAsyncContextManager[AsyncOperationRunner]:
        if isinstance(connection, Elsewhere):
            return used_elsewhere(self.on, connection, single=single)
        if isinstance(connection, AsyncBorrowed):
            statements = load("postgres", self.schema, connection.paramstyle)
            return borrowed_async(connection, statements, single=single)
        must_be_open(connection)
        runner = AsyncioRunner(connection, self._statements)
        if not speaks_utf8(connection):
            return _foreign_async(connection, runner)
        if not single and _begins(connection):
            return _alone_async(connection, runner)
        return _AsAsync(runner, _QUIET if has_two_phases(connection) else None)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection[Any]]:
        with translated():
            url = self._address()
            connection = Connection.connect(url, autocommit=True, **settings(url, KEEPALIVES))
        with connection:
            with translated():
                is_direct(connection, self._statements)
            yield connection

    @contextlib.contextmanager
    def listen(self, topics: Collection[str]) -> Iterator[PostgresSubscription]:
        with translated():
            url = self._listen_address()
            connection = Connection.connect(url, autocommit=True, **settings(url))
        with connection, translated():
            if not is_direct(connection, self._statements):
                yield PostgresSubscription(None)
                return
            executor = BlockingRunner(connection, self._statements)
            executor.execute(Operation("session/listen", {}, lambda _: None))
            sleep = Operation(
                "session/subscribe", {"topics": as_json(list(topics))}, lambda a: len(a[0])
            )
            subscribed = executor.execute(sleep) == len(topics)
            yield PostgresSubscription(connection if subscribed else None)

    @contextlib.contextmanager
    def user_connection(self) -> Iterator[Connection[Any]]:
        with (
            self._pools.connection() as connection,
            lent(connection),
            connection.transaction(),
        ):
            try:
                yield connection
            finally:
                if is_idle(connection):  # psycopg has lost count of transactions
                    connection.close()

    @contextlib.asynccontextmanager
    async def user_connection_async(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._pools.connection_async() as connection:
            with lent(connection):
                async with connection.transaction():
                    try:
                        yield connection
                    finally:
                        if is_idle(connection):
                            await connection.close()

    def worker_connection(self, *, durable: bool = True) -> PostgresWorkerConnection:
        return PostgresWorkerConnection(
            self._address, self._statements, durable, self._last_hang_up
        )

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> PostgresSession:
        connection = PostgresWorkerConnection(
            self._listen_address, self._statements, True, self._last_hang_up, lost
        )
        return PostgresSession(connection, woken)

    def close(self) -> None:
        self._pools.close()

    async def close_async(self) -> None:
        await self._pools.close_async()


def _begins(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Do several operations need a transaction that we begin?

    In a pipeline in autocommit they do: what lies between two syncs is a transaction only as long
    as nobody asks for an answer. If the caller has begun a transaction there, ours is a savepoint
    in it.
    """
    return is_idle(connection) or (
        connection.autocommit and bool(connection.pgconn.pipeline_status)
    )


class _As(AbstractContextManager[OperationRunner]):
    """Use the connection as it is, after carrying out *first*, if there is one.

    The caller's transaction is open, or there is a single operation, which brings its own. A class,
    since a generator with @contextmanager costs each job more.
    """

    def __init__(self, executor: OperationRunner, first: Operation[None] | None) -> None:
        self._executor = executor
        self._first = first

    def __enter__(self) -> OperationRunner:
        if self._first is not None:
            with translated(transient=False):
                self._executor.execute(self._first)
        return self._executor

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        if error is not None:
            translate(error, transient=False)


class _AsAsync(AbstractAsyncContextManager[AsyncOperationRunner]):
    """As `_As`, for asyncio."""

    def __init__(self, runner: AsyncOperationRunner, first: Operation[None] | None) -> None:
        self._runner = runner
        self._first = first

    async def __aenter__(self) -> AsyncOperationRunner:
        if self._first is not None:
            with translated(transient=False):
                await self._runner.execute(self._first)
        return self._runner

    async def __aexit__(
        self, kind: object, error: BaseException | None, traceback: object, /
    ) -> None:
        if error is not None:
            translate(error, transient=False)


@contextlib.asynccontextmanager
async def _alone_async(
    connection: AsyncConnection[Any], runner: AsyncOperationRunner
) -> AsyncIterator[AsyncOperationRunner]:
    with translated(transient=False):
        async with connection.transaction():
            yield runner


@contextlib.contextmanager
def _alone(connection: Connection[Any], executor: OperationRunner) -> Iterator[OperationRunner]:
    with translated(transient=False), connection.transaction():
        yield executor


@contextlib.contextmanager
def _foreign(connection: Connection[Any], runner: BlockingRunner) -> Iterator[OperationRunner]:
    with translated(transient=False), in_utf8(connection, runner):
        if has_two_phases(connection):
            runner.execute(_QUIET)
        yield runner


@contextlib.asynccontextmanager
async def _foreign_async(
    connection: AsyncConnection[Any], runner: AsyncioRunner
) -> AsyncIterator[AsyncOperationRunner]:
    with translated(transient=False):
        async with in_utf8_async(connection, runner):
            if has_two_phases(connection):
                await runner.execute(_QUIET)
            yield runner


class PostgresSubscription:
    """Wait for NOTIFY on a blocking connection.

    It has no connection behind a pooler, or where somebody holds a topic's lock: then each wait is
    short. Once the connection is lost, each wait lasts its full time.
    """

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


def open_backend(
    url: Url, *, schema: str = "pgqueue", listen_url: str | None = None, pool_size: int = 10
) -> PostgresBackend:
    """Return the backend at *url*.

    *listen_url*, else PGQUEUE_LISTEN_URL, is for LISTEN: another way to the same database, around a
    pooler.
    """
    listen_url = listen_url or os.environ.get("PGQUEUE_LISTEN_URL")
    return PostgresBackend(url, schema=schema, listen_url=listen_url, pool_size=pool_size)
