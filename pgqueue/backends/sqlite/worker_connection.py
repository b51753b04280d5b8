"""A worker's connection with a thread of its own, since sqlite3 blocks."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.sqlite.errors import translated
from pgqueue.backends.sqlite.pool import Place, Pool, PooledConnection, patiently
from pgqueue.backends.sqlite.running import SILENT, SqliteRunner
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation

T = TypeVar("T")
R = TypeVar("R")


class SqliteWorkerConnection:
    """A connection with a thread of its own, where operations wait for the write lock."""

    def __init__(self, pool: Pool, durable: bool) -> None:
        self._pool = pool
        self._durable = durable
        self._place: Place | None = None
        self._lock = asyncio.Lock()
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Start the thread, and check that the file can be used. Raises StoreUnavailable."""
        await self.close()
        thread = ThreadPoolExecutor(1, "pgqueue-connection")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._look)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        self._thread = thread

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)

    async def execute(self, operation: Operation[T]) -> T:
        if operation.name in SILENT:
            return operation.decode([])
        async with self._lock:
            return await self._call(patiently, self._execute, operation)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncOperationRunner]:
        async with self.borrowed() as pooled:
            yield _OnThread(self._call, pooled.executor)

    @contextlib.asynccontextmanager
    async def borrowed(self) -> AsyncIterator[PooledConnection]:
        """Lend a connection in a transaction that commits at the end."""
        async with self._lock:
            held: list[PooledConnection] = []
            thread = self._opened()
            try:
                await self._call(patiently, self._begin, held)
                yield held[0]
                await self._call(held[0].commit)
            finally:  # queued behind the thread's present work, which goes on after a cancellation
                thread.submit(self._abandon, held)

    def _look(self) -> None:
        pooled = self._pool.take(durable=self._durable)
        self._place = pooled.place
        self._pool.give(pooled)

    def _take(self) -> PooledConnection:
        """Return the connection. Raises StoreUnavailable when the file was replaced: this worker
        has not joined the new one."""
        pooled = self._pool.take(durable=self._durable)
        if pooled.place != self._place:
            self._pool.give(pooled)
            raise StoreUnavailable("the file was replaced by another")
        return pooled

    def _execute(self, operation: Operation[T]) -> T:
        pooled = self._take()
        try:
            return pooled.execute(operation)
        finally:
            self._pool.give(pooled)

    def _begin(self, held: list[PooledConnection]) -> None:
        pooled = self._take()
        try:
            pooled.begin()
        except BaseException:
            self._pool.give(pooled)
            raise
        held.append(pooled)

    def _abandon(self, held: list[PooledConnection]) -> None:
        for pooled in held:
            pooled.roll_back()
            self._pool.give(pooled)

    def _opened(self) -> ThreadPoolExecutor:
        if self._thread is None:
            raise StoreUnavailable("the connection to SQLite is closed")
        return self._thread

    async def _call(self, work: Callable[..., R], *arguments: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._opened(), work, *arguments)


class _OnThread:
    """Run operations on a connection's thread."""

    def __init__(self, call: Callable[..., Awaitable[Any]], executor: SqliteRunner) -> None:
        self._call = call
        self._executor = executor

    async def execute(self, operation: Operation[T]) -> T:
        try:
            answer: T = await self._call(self._executor.execute, operation)
        except sqlite3.Error as error:
            raise translated(error) from error
        return answer
