"""A worker's connection that mends itself, and says so once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import tenacity

from pgqueue.backends.base import AsyncExecutor, Lane
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation
from pgqueue.worker.service import log

T = TypeVar("T")


class Health:
    """Whether the store is there: one line in the log for each change, whoever notices it.

    It is away when one cannot connect. That a connection breaks says less: those that were idle
    show it long after the store is back.
    """

    def __init__(self) -> None:
        self._away: set[str] = set()

    def away(self, line: str, error: Exception) -> None:
        if not self._away:
            log.warning("the database is away, jobs in hand go on: %s", error)
        self._away.add(line)

    def back(self, line: str) -> None:
        if line in self._away:
            self._away.discard(line)
            if not self._away:
                log.info("the database is back")


class Line:
    """A lane that is opened again when it was lost, with growing, jittered waits of up to a second.

    *execute* raises StoreUnavailable when the connection breaks under the operation: whether it was
    carried out is unknown then. *insist* repeats until there is an answer: for operations that may
    be asked twice.
    *opened* runs after each opening, before anybody else may use the line; *broken* when it breaks.
    """

    def __init__(
        self,
        name: str,
        lane: Lane,
        health: Health,
        opened: Callable[[], Awaitable[None]] | None = None,
        broken: Callable[[], None] | None = None,
    ) -> None:
        self.lane = lane
        self._name = name
        self._health = health
        self._opened = opened
        self._broken = broken
        self._is_open = False
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Returns when the line is open."""
        async with self._opening:
            if self._is_open:
                return
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(StoreUnavailable),
                wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            ):
                with attempt:
                    try:
                        await self.lane.open()
                        if self._opened is not None:
                            await self._opened()
                    except StoreUnavailable as error:
                        self._health.away(self._name, error)
                        raise
            self._is_open = True
            self._health.back(self._name)

    async def execute(self, operation: Operation[T]) -> T:
        if not self._is_open:
            await self.open()
        try:
            return await self.lane.execute(operation)
        except StoreUnavailable as error:
            self.lost(error)
            raise

    async def insist(self, operation: Operation[T]) -> T:
        while True:
            try:
                return await self.execute(operation)
            except StoreUnavailable:
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncExecutor]:
        if not self._is_open:
            await self.open()
        try:
            async with self.lane.transaction() as executor:
                yield executor
        except StoreUnavailable as error:
            self.lost(error)
            raise

    def lost(self, error: Exception) -> None:
        log.debug("the connection for %s broke: %s", self._name, error)
        self._is_open = False
        if self._broken is not None:
            self._broken()

    async def close(self) -> None:
        self._is_open = False
        await self.lane.close()
