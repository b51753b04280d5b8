"""A worker's connection to Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import redis.asyncio

from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.redis.errors import translated
from pgqueue.backends.redis.namespace import Namespace
from pgqueue.backends.redis.script_plans import ScriptPlan, run_plan_async, script_plan
from pgqueue.backends.redis.transaction import AsyncBufferedRunner, Transaction
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation

T = TypeVar("T")


class RedisWorkerConnection:
    """A worker's own connection, on which one operation runs at a time."""

    def __init__(
        self, connect: Callable[[], Awaitable[redis.asyncio.Redis]], namespace: Namespace
    ) -> None:
        self._connect = connect
        self._namespace = namespace
        self._lock = asyncio.Lock()
        self.client: redis.asyncio.Redis | None = None

    async def open(self) -> None:
        """Connect anew. Raises StoreUnavailable."""
        await self.close()
        with translated():
            self.client = await self._connect()

    async def close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            await client.connection_pool.disconnect()

    async def execute(self, operation: Operation[T]) -> T:
        async with self._lock:
            return await self.carry(script_plan(operation))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncOperationRunner]:
        async with self._lock:
            transaction = Transaction()
            yield AsyncBufferedRunner(transaction, self.carry)
            await self.carry(transaction.commit())

    async def carry_alone(self, asked: ScriptPlan[T]) -> T:
        """Run *asked* once no other operation uses this connection."""
        async with self._lock:
            return await self.carry(asked)

    async def carry(self, asked: ScriptPlan[T]) -> T:
        """Run *asked*; the caller holds the lock of this connection."""
        if self.client is None:
            raise StoreUnavailable("the connection to Redis is lost")
        with translated():
            call = partial(self._namespace.call_async, self.client)
            return await run_plan_async(asked, call)
