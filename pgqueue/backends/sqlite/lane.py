"""A worker's connection: sqlite3 blocks, so it has a thread."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pgqueue.backends.base import AsyncExecutor
from pgqueue.backends.sqlite.errors import translated
from pgqueue.backends.sqlite.executor import SILENT, SqliteExecutor
from pgqueue.backends.sqlite.pool import Pool, Seat, patiently
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation

T = TypeVar("T")
R = TypeVar("R")


class SqliteLane:
    """A thread of its own: what is asked waits there for its turn, and not on the loop."""

    def __init__(self, pool: Pool, durable: bool) -> None:
        self._pool = pool
        self._durable = durable
        self._lock = asyncio.Lock()
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Raises StoreUnavailable."""
        await self.close()
        thread = ThreadPoolExecutor(1, "pgqueue-lane")
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
    async def transaction(self) -> AsyncIterator[AsyncExecutor]:
        async with self.borrowed() as seat:
            yield _OnThread(self._call, seat.executor)

    @contextlib.asynccontextmanager
    async def borrowed(self) -> AsyncIterator[Seat]:
        """A connection in a transaction that commits in the end."""
        async with self._lock:
            held: list[Seat] = []
            thread = self._opened()
            try:
                await self._call(patiently, self._begin, held)
                yield held[0]
                await self._call(held[0].commit)
            finally:  # after whatever the thread is doing: we may have been cancelled meanwhile
                thread.submit(self._abandon, held)

    def _look(self) -> None:
        self._pool.give(self._pool.take(durable=self._durable))

    def _execute(self, operation: Operation[T]) -> T:
        seat = self._pool.take(durable=self._durable)
        try:
            return seat.execute(operation)
        finally:
            self._pool.give(seat)

    def _begin(self, held: list[Seat]) -> None:
        seat = self._pool.take(durable=self._durable)
        try:
            seat.begin()
        except BaseException:
            self._pool.give(seat)
            raise
        held.append(seat)

    def _abandon(self, held: list[Seat]) -> None:
        for seat in held:
            seat.roll_back()
            self._pool.give(seat)

    def _opened(self) -> ThreadPoolExecutor:
        if self._thread is None:
            raise StoreUnavailable("the connection to SQLite is closed")
        return self._thread

    async def _call(self, work: Callable[..., R], *arguments: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._opened(), work, *arguments)


class _OnThread:
    """An executor that works on a lane's thread."""

    def __init__(self, call: Callable[..., Awaitable[Any]], executor: SqliteExecutor) -> None:
        self._call = call
        self._executor = executor

    async def execute(self, operation: Operation[T]) -> T:
        try:
            answer: T = await self._call(self._executor.execute, operation)
        except sqlite3.Error as error:
            raise translated(error) from error
        return answer
