"""A worker's connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import redis.asyncio

from pgqueue.backends.base import AsyncExecutor
from pgqueue.backends.redis.errors import translated
from pgqueue.backends.redis.exchange import Exchange, carry_async, exchange
from pgqueue.backends.redis.namespace import Namespace
from pgqueue.backends.redis.transaction import AsyncGathering, Transaction
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation

T = TypeVar("T")


class RedisLane:
    """A worker's own connection."""

    def __init__(
        self, connect: Callable[[], Awaitable[redis.asyncio.Redis]], namespace: Namespace
    ) -> None:
        self._connect = connect
        self._namespace = namespace
        self._lock = asyncio.Lock()
        self.client: redis.asyncio.Redis | None = None

    async def open(self) -> None:
        """Connects anew. Raises StoreUnavailable."""
        await self.close()
        with translated():
            self.client = await self._connect()

    async def close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            await client.connection_pool.disconnect()

    async def execute(self, operation: Operation[T]) -> T:
        async with self._lock:
            return await self.carry(exchange(operation))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncExecutor]:
        async with self._lock:
            transaction = Transaction()
            yield AsyncGathering(transaction, self.carry)
            await self.carry(transaction.commit())

    async def carry_alone(self, asked: Exchange[T]) -> T:
        """Runs *asked* on this connection, when nobody else does."""
        async with self._lock:
            return await self.carry(asked)

    async def carry(self, asked: Exchange[T]) -> T:
        """Runs *asked* on this connection, which is held."""
        if self.client is None:
            raise StoreUnavailable("the connection to Redis is lost")
        with translated():
            call = partial(self._namespace.call_async, self.client)
            return await carry_async(asked, call)
