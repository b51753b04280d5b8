"""One of those who race, and a way to see it wait for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Any, LiteralString, TypeVar

from psycopg import AsyncConnection

from pgqueue.backends.plans import carry_out_async
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.operations import Operation, Plan

T = TypeVar("T")
PATIENCE = 10


class Racer:
    """A connection whose transaction stays open until *commit* or *rollback*."""

    def __init__(
        self,
        backend: PostgresBackend,
        connection: AsyncConnection[Any],
        watcher: AsyncConnection[Any],
    ) -> None:
        self._backend = backend
        self._watcher = watcher
        self.connection = connection
        self.pid = connection.info.backend_pid

    async def do(self, operation: Operation[T]) -> T:
        async with self._backend.on_async(self.connection) as executor:
            return await executor.execute(operation)

    async def carry(self, plan: Plan[T]) -> T:
        async with self._backend.on_async(self.connection) as executor:
            return await carry_out_async(plan, executor.execute)

    async def commit(self) -> None:
        await self.connection.commit()

    async def rollback(self) -> None:
        await self.connection.rollback()

    async def starts(self, doing: Awaitable[T], *, behind: Racer) -> asyncio.Task[T]:
        """Begins *doing*, and returns when it is seen to wait for *behind*."""
        return await self._seen(
            doing, "SELECT %s = ANY (pg_blocking_pids(%s))", behind.pid, self.pid
        )

    async def holds_up(self, doing: Awaitable[T]) -> asyncio.Task[T]:
        """Begins *doing*, on whatever connection, and returns when it is seen to wait for us."""
        return await self._seen(
            doing,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)))",
            self.pid,
        )

    async def _seen(self, doing: Awaitable[T], sight: LiteralString, *pids: int) -> asyncio.Task[T]:
        task = asyncio.ensure_future(doing)
        deadline = monotonic() + PATIENCE
        while True:
            cursor = await self._watcher.execute(sight, pids)
            [(seen,)] = await cursor.fetchall()
            if seen:
                return task
            assert not task.done(), f"it did not wait: {task.result()}"
            assert monotonic() < deadline, "it waits for nobody, or for another"
            await asyncio.sleep(0.005)
