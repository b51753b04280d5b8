"""A worker's connection that mends itself, and says so once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import Final, TypeVar

import tenacity

from pgqueue.backends.base import AsyncOperationRunner, PairingConnection, WorkerConnection
from pgqueue.errors import PgqueueError, StoreBusy, StoreUnavailable
from pgqueue.operations import Operation
from pgqueue.worker.service import log

T = TypeVar("T")
U = TypeVar("U")

TROUBLE: Final = (StoreUnavailable, StoreBusy)


class Health:
    """Whether the store is reachable: one line in the log for each change, whoever notices it.

    The store counts as away when a connection cannot be opened. A broken connection proves less: an
    idle one may show an outage long after the store is back.
    """

    def __init__(self) -> None:
        self._away: set[str] = set()
        self.reason = "it does not answer"
        self.answered_at = -inf  # on the monotonic clock

    def away(self, line: str, error: Exception) -> None:
        if not self._away:
            log.warning("the database is away, jobs in hand go on: %s", error)
        self._away.add(line)
        self.reason = str(error)

    def answered(self) -> None:
        """The store has answered some operation."""
        self.answered_at = monotonic()

    def closed(self, line: str) -> None:
        """*line* is not used any more: forget it, as it would never be seen to come back."""
        self._away.discard(line)

    def back(self, line: str) -> None:
        if line in self._away:
            self._away.discard(line)
            if not self._away:
                log.info("the database is back")


class ReconnectingConnection:
    """A connection that is opened again when it was lost, with growing, jittered waits of up to a
    second.

    *execute* raises StoreUnavailable when the connection breaks during the operation; then nobody
    knows whether the operation was carried out. *insist* repeats it until it is answered, so use
    that only for operations that may be carried out twice; with `on=TROUBLE` it also repeats after
    the store was busy and has undone the operation. *opened* runs after each opening, before
    anybody else may use the connection; *broken* when it breaks.
    """

    def __init__(
        self,
        name: str,
        connection: WorkerConnection,
        health: Health,
        opened: Callable[[], Awaitable[None]] | None = None,
        broken: Callable[[], None] | None = None,
    ) -> None:
        self.connection = connection
        self._pairing = connection if isinstance(connection, PairingConnection) else None
        self._name = name
        self._health = health
        self._opened = opened
        self._broken = broken
        self._is_open = False
        self._opening = asyncio.Lock()

    def recognised_by(self, check: Callable[[WorkerConnection], Awaitable[None]]) -> None:
        """*check* sees each connection before it is used."""
        self._opened = lambda: check(self.connection)

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as we know: a break may show only at the next use."""
        return self._is_open

    async def open(self) -> None:
        """Returns when the line is open."""
        async with self._opening:
            if self._is_open:
                return
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(TROUBLE),
                wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            ):
                with attempt:
                    try:
                        await self.connection.open()
                        if self._opened is not None:
                            await self._opened()
                    except TROUBLE as error:
                        self._health.away(self._name, error)
                        raise
            self._is_open = True
            self._health.back(self._name)

    async def execute(self, operation: Operation[T]) -> T:
        if not self._is_open:
            await self.open()
        try:
            answer = await self.connection.execute(operation)
        except StoreUnavailable as error:
            self.lost(error)
            raise
        self.answered()
        return answer

    @property
    def pairs(self) -> bool:
        """Whether two operations in one round trip are possible at the moment."""
        return self._is_open and self._pairing is not None and self._pairing.pairs

    async def execute_both(self, first: Operation[T], second: Operation[U]) -> tuple[T, U]:
        """Carries out *first*, then *second*, where it *pairs*."""
        assert self._pairing is not None
        try:
            answers = await self._pairing.execute_both(first, second)
        except StoreUnavailable as error:
            self.lost(error)
            raise
        self.answered()
        return answers

    async def insist(
        self, operation: Operation[T], *, on: tuple[type[PgqueueError], ...] = (StoreUnavailable,)
    ) -> T:
        while True:
            try:
                return await self.execute(operation)
            except on:
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncOperationRunner]:
        if not self._is_open:
            await self.open()
        try:
            async with self.connection.transaction() as executor:
                yield executor
        except StoreUnavailable as error:
            self.lost(error)
            raise
        self.answered()

    def answered(self) -> None:
        """The store has answered on this line."""
        self._health.answered()

    def lost(self, error: Exception) -> None:
        log.debug("the connection for %s broke: %s", self._name, error)
        self._is_open = False
        if self._broken is not None:
            self._broken()

    async def close(self) -> None:
        self._is_open = False
        self._health.closed(self._name)
        await self.connection.close()
