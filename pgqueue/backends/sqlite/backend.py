"""SQLite: the statement files of sql/sqlite, on a file that processes share, or in memory."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final, TypeVar

from pgqueue.backends.base import AsyncExecutor, Executor
from pgqueue.backends.sqlite import file as sqlite_file
from pgqueue.backends.sqlite.errors import is_busy, translated
from pgqueue.backends.sqlite.executor import SILENT, SqliteExecutor
from pgqueue.backends.sqlite.file import MEMORY, SYNCHRONOUS
from pgqueue.backends.sqlite.lane import SqliteLane
from pgqueue.backends.sqlite.pool import FilePool, MemoryPool, Pool, Seat, patiently
from pgqueue.backends.sqlite.session import SqliteEar, SqliteSession
from pgqueue.errors import PgqueueError
from pgqueue.operations import Operation
from pgqueue.statements import head, load

T = TypeVar("T")

_CAPABILITIES: Final = frozenset({"transactions", "processes", "sessions"})


class SqliteBackend:
    """Jobs in tables of a SQLite file, 3.35 or later; ``:memory:`` for those of this process alone.

    Each operation takes its turn to write, which the processes wait for in line. *synchronous*:
    "normal", by which a power cut, not a crash, may undo the last commits, or "full".
    """

    store: ClassVar[str] = "sqlite"
    wakes_after: ClassVar[bool] = False
    head: ClassVar[str] = head("sqlite")

    def __init__(
        self, url: str = "", *, schema: str = "pgqueue", synchronous: str | None = None
    ) -> None:
        self.url = url
        self.schema = schema
        self.path, said = sqlite_file.parse(url)
        synchronous = (synchronous or said or "normal").lower()
        if synchronous not in SYNCHRONOUS:
            raise PgqueueError(f"synchronous is {' or '.join(SYNCHRONOUS)}, not {synchronous}")
        self._synchronous = synchronous
        self._statements = load("sqlite", schema)
        self._threads: ThreadPoolExecutor | None = None

    @functools.cached_property
    def _pool(self) -> Pool:
        """Made when it is first needed: who lends us connections needs none of ours."""
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
        seat = self._pool.take()
        try:
            return seat.execute(operation)
        finally:
            self._pool.give(seat)

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
    def transaction(self) -> Iterator[Executor]:
        with self._borrowed() as seat, seat.transaction():
            yield seat.executor

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncExecutor]:
        async with self._own_lane() as lane, lane.transaction() as executor:
            yield executor

    @contextlib.contextmanager
    def on(self, connection: sqlite3.Connection) -> Iterator[Executor]:
        """In the transaction of *connection*; begun here when there is none, and ended only where
        the connection commits each statement by itself."""
        alone = not connection.in_transaction and _autocommits(connection)
        try:
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")  # or a write after a read might be refused
            yield SqliteExecutor(connection, self._statements, self._present_beside(connection))
            if alone:
                connection.execute("COMMIT")
        except BaseException as error:
            if alone and connection.in_transaction:
                connection.rollback()
            if isinstance(error, sqlite3.Error) and not is_busy(error):
                raise translated(error) from error
            raise

    @contextlib.asynccontextmanager
    async def on_async(self, connection: sqlite3.Connection) -> AsyncIterator[AsyncExecutor]:
        with self.on(connection) as executor:
            yield _Inline(executor)

    @contextlib.contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite_file.connect(self.path, create=False)
        except sqlite3.Error as error:
            raise translated(error) from error
        with contextlib.closing(connection):
            yield connection

    @contextlib.contextmanager
    def user_connection(self) -> Iterator[sqlite3.Connection]:
        with self._borrowed() as seat, seat.transaction():
            yield seat.connection

    @contextlib.asynccontextmanager
    async def user_connection_async(self) -> AsyncIterator[sqlite3.Connection]:
        """sqlite3's own, blocking: a statement takes microseconds, and only the beginning waits."""
        async with self._own_lane() as lane, lane.borrowed() as seat:
            yield seat.connection

    @contextlib.contextmanager
    def listen(self, topics: Collection[str]) -> Iterator[SqliteEar]:
        ear = SqliteEar(self._pool, topics)
        try:
            yield ear
        finally:
            ear.close()

    def lane(self, *, durable: bool = True) -> SqliteLane:
        return SqliteLane(self._pool, durable)

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> SqliteSession:
        return SqliteSession(self.lane(), self._pool, woken, lost)

    def close(self) -> None:
        self._pool.close()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)

    async def close_async(self) -> None:
        pass

    @contextlib.asynccontextmanager
    async def _own_lane(self) -> AsyncIterator[SqliteLane]:
        """A thread that nobody else keeps waiting."""
        lane = self.lane()
        await lane.open()
        try:
            yield lane
        finally:
            await lane.close()

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Seat]:
        seat = self._pool.take()
        try:
            yield seat
        finally:
            self._pool.give(seat)

    def _present_beside(self, connection: sqlite3.Connection) -> Callable[[], list[int]]:
        def present() -> list[int]:
            path = sqlite_file.path_of(connection)
            if path == MEMORY:
                return self._pool.presence.held()
            return sqlite_file.FilePresence(path, self.schema).held()

        return present


class _Inline:
    """A blocking executor, for coroutines."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def execute(self, operation: Operation[T]) -> T:
        return self._executor.execute(operation)


def _autocommits(connection: sqlite3.Connection) -> bool:
    """Does each statement commit by itself? By `autocommit` of Python 3.12, or by the older way."""
    autocommit = getattr(connection, "autocommit", -1)
    return connection.isolation_level is None if autocommit == -1 else bool(autocommit)


def open_backend(
    url: str, *, schema: str = "pgqueue", synchronous: str | None = None
) -> SqliteBackend:
    return SqliteBackend(url, schema=schema, synchronous=synchronous)
