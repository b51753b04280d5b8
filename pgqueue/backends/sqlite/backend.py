"""SQLite: the statement files of sql/sqlite, on a file that processes share, or in memory."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final, TypeVar

from pgqueue.backends.base import AsyncOperationRunner, OperationRunner
from pgqueue.backends.borrowing import Borrowed, Elsewhere, used_elsewhere
from pgqueue.backends.sqlite import file as sqlite_file
from pgqueue.backends.sqlite.borrowed import borrowed
from pgqueue.backends.sqlite.errors import is_busy, translated
from pgqueue.backends.sqlite.file import MEMORY, SYNCHRONOUS
from pgqueue.backends.sqlite.own_connection import lent
from pgqueue.backends.sqlite.pool import FilePool, MemoryPool, Pool, PooledConnection, patiently
from pgqueue.backends.sqlite.running import SILENT, SqliteRunner
from pgqueue.backends.sqlite.session import SqliteSession, SqliteSubscription
from pgqueue.backends.sqlite.worker_connection import SqliteWorkerConnection
from pgqueue.errors import PgqueueError, TransactionEnded
from pgqueue.operations import Operation
from pgqueue.statements.files import head, load

T = TypeVar("T")

_CAPABILITIES: Final = frozenset({"transactions", "processes", "sessions", "limits", "whereabouts"})


class SqliteBackend:
    """Jobs in tables of a SQLite file, 3.35 or later; ``:memory:`` for jobs of this process alone.

    Writers of all processes queue for one lock. *synchronous* is "full" or "normal": with "normal"
    a power cut may undo the last commits, but no crash of a process does.
    """

    store: ClassVar[str] = "sqlite"
    wakes_after: ClassVar[bool] = False
    head: ClassVar[str] = head("sqlite")

    def __init__(
        self, url: str = "", *, schema: str = "pgqueue", synchronous: str | None = None
    ) -> None:
        self.url = url
        self.schema = schema
        self.path, from_url = sqlite_file.parse(url)
        synchronous = (synchronous or from_url or "normal").lower()
        if synchronous not in SYNCHRONOUS:
            raise PgqueueError(f"synchronous is {' or '.join(SYNCHRONOUS)}, not {synchronous}")
        self._synchronous = synchronous
        self._statements = load("sqlite", schema)
        self._threads: ThreadPoolExecutor | None = None

    @functools.cached_property
    def _pool(self) -> Pool:
        """The pool, made at its first use: applications that bring their own connections need
        none."""
        if self.path == MEMORY:
            return MemoryPool(self.schema, self._statements)
        return FilePool(self.path, self.schema, self._synchronous, self._statements)

    @property
    def capabilities(self) -> frozenset[str]:
        return _CAPABILITIES - {"processes"} if self.path == MEMORY else _CAPABILITIES

    def execute(self, operation: Operation[T]) -> T:
        if operation.name in SILENT:
            return operation.decode([])
        answer: T = patiently(self._once, operation)
        return answer

    def _once(self, operation: Operation[T]) -> T:
        pooled = self._pool.take()
        try:
            return pooled.execute(operation)
        finally:
            self._pool.give(pooled)

    async def execute_async(self, operation: Operation[T]) -> T:
        if operation.name in SILENT:
            return operation.decode([])
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor(), self.execute, operation)

    def _executor(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(4, "pgqueue-sqlite")
        return self._threads

    @contextlib.contextmanager
    def transaction(self) -> Iterator[OperationRunner]:
        with self._borrowed() as pooled, pooled.transaction():
            yield pooled.executor

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncOperationRunner]:
        async with self._own_connection() as connection, connection.transaction() as executor:
            yield executor

    @contextlib.contextmanager
    def on(
        self, connection: sqlite3.Connection | Borrowed, *, single: bool = False
    ) -> Iterator[OperationRunner]:
        """Work in the transaction of *connection*; begin one if there is none.

        A transaction that was begun here is committed here only if *connection* is in autocommit.
        Such a caller may write again and again, so it queues for its turn to write.
        """
        if isinstance(connection, Borrowed):
            statements = load("sqlite", self.schema, connection.paramstyle)
            present = self._present_beside(connection.driver)
            with borrowed(connection, statements, present, single=single) as runner:
                yield runner
            return
        if not connection.in_transaction and getattr(connection, "lent", False):
            raise TransactionEnded
        alone = sqlite_file.commits_alone(connection)
        try:
            if not connection.in_transaction:
                sqlite_file.begin(connection, sqlite_file.turn_of(connection))
            yield SqliteRunner(connection, self._statements, self._present_beside(connection))
            if alone:
                connection.execute("COMMIT")
        except BaseException as error:
            if alone and connection.in_transaction:
                connection.rollback()
            if isinstance(error, sqlite3.Error) and not is_busy(error):
                raise translated(error) from error
            raise

    @contextlib.asynccontextmanager
    async def on_async(
        self, connection: sqlite3.Connection | Elsewhere, *, single: bool = False
    ) -> AsyncIterator[AsyncOperationRunner]:
        if isinstance(connection, Elsewhere):
            async with used_elsewhere(self.on, connection, single=single) as runner:
                yield runner
            return
        with self.on(connection) as executor:
            yield _Inline(executor)

    @contextlib.contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite_file.connect(self.path, create=False)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        with contextlib.closing(connection):
            yield connection

    @contextlib.contextmanager
    def user_connection(self) -> Iterator[sqlite3.Connection]:
        with (
            self._borrowed() as pooled,
            pooled.transaction(),
            lent(pooled.connection) as connection,
        ):
            yield connection

    @contextlib.asynccontextmanager
    async def user_connection_async(self) -> AsyncIterator[sqlite3.Connection]:
        """Return sqlite3's own connection, which blocks.

        Its statements take microseconds: only the BEGIN may wait, and it runs on a thread.
        """
        async with self._own_connection() as connection, connection.borrowed() as pooled:
            with lent(pooled.connection) as own:
                yield own

    @contextlib.contextmanager
    def listen(self, topics: Collection[str]) -> Iterator[SqliteSubscription]:
        subscription = SqliteSubscription(self._pool, topics)
        try:
            yield subscription
        finally:
            subscription.close()

    def worker_connection(self, *, durable: bool = True) -> SqliteWorkerConnection:
        return SqliteWorkerConnection(self._pool, durable)

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> SqliteSession:
        return SqliteSession(self.worker_connection(), self._pool, woken, lost)

    def close(self) -> None:
        self._pool.close()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)

    async def close_async(self) -> None:
        pass

    @contextlib.asynccontextmanager
    async def _own_connection(self) -> AsyncIterator[SqliteWorkerConnection]:
        """Open a connection with a thread of its own: the shared threads might all be waiting."""
        connection = self.worker_connection()
        await connection.open()
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[PooledConnection]:
        pooled = self._pool.take()
        try:
            yield pooled
        finally:
            self._pool.give(pooled)

    def _present_beside(self, connection: sqlite3.Connection) -> Callable[[], list[int]]:
        def present() -> list[int]:
            path = sqlite_file.path_of(connection)
            if path == MEMORY:
                return self._pool.presence.held()
            return sqlite_file.FilePresence(path, self.schema).held()

        return present


class _Inline:
    """Run operations at once, in a coroutine: sqlite3 blocks, for microseconds."""

    def __init__(self, executor: OperationRunner) -> None:
        self._executor = executor

    async def execute(self, operation: Operation[T]) -> T:
        return self._executor.execute(operation)


def open_backend(
    url: str, *, schema: str = "pgqueue", synchronous: str | None = None
) -> SqliteBackend:
    return SqliteBackend(url, schema=schema, synchronous=synchronous)
