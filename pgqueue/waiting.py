"""Those who wait for results in one event loop, and the one connection that wakes them all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from pgqueue.backends.base import DEAF_WAIT_SECONDS, Backend, Session
from pgqueue.errors import StoreUnavailable


class Waiter:
    """Wakes whoever waits for a job when it finishes. Notifications get lost: look for yourself
    too."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._lock = asyncio.Lock()
        self._hears = True
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)

    @property
    def usable(self) -> bool:
        """Is this the loop it was made on?"""
        return self._loop is asyncio.get_running_loop()

    @asynccontextmanager
    async def waiting(self, job: int) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
        """While inside, *job*'s end is announced to us. Gives a function that waits for that, so
        many seconds."""
        event = asyncio.Event()
        self._waiting[job].add(event)

        async def woken(seconds: float) -> None:
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    seconds if self._hears else min(seconds, DEAF_WAIT_SECONDS)
                ):
                    await event.wait()
            event.clear()

        try:
            await self._declare()
            yield woken
        finally:
            self._waiting[job].discard(event)
            if not self._waiting[job]:
                del self._waiting[job]
                await self._declare()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _declare(self) -> None:
        """Says for which jobs we wait; the last one out closes the connection."""
        async with self._lock:
            try:
                if not self._waiting:
                    await self.close()
                    return
                if self._session is None:
                    self._session = self._backend.session(self._wake, self._lost)
                    await self._session.open()
                topics = {"#", *(f"#{job}" for job in self._waiting)}
                self._hears = await self._session.sleep(topics)
            except StoreUnavailable:
                self._session = None  # deaf: the poll finds it, and the next who waits tries again

    def _wake(self, topic: str) -> None:
        if topic.startswith("#") and topic[1:].isdigit():
            for event in self._waiting.get(int(topic[1:]), ()):
                event.set()

    def _lost(self) -> None:
        self._session = None
        for events in self._waiting.values():
            for event in events:
                event.set()
