"""The Promoter: makes due jobs available, and sleeps exactly until the next is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from pgqueue import operations
from pgqueue.operations.topics import DUE, SOON_SECONDS
from pgqueue.worker.agents.listener import DEAF_POLL_SECONDS, Listener
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.service import Service, happens

FIRST_PORTION = 100  # small, so that some start at once; each next portion is twice as large
LARGEST_PORTION = 400
NOW = timedelta()
TICK_SECONDS = 0.0005  # timers round to milliseconds; woken too early, it would find nothing due
FIRST_GAP_SECONDS = 0.005
AWAKE_SECONDS = 0.25


class Promoter(Service):
    """Makes due jobs available, and sleeps exactly until the next one is due.

    Whoever enqueues something due soon wakes it. When that happens often, it stays awake for a
    moment and looks by itself, so that not every delayed job costs a notification. Once it sleeps,
    it still looks, with growing gaps: a transaction that enqueued while it was awake notifies
    nobody, and may commit only now.

    Each look also says when the next schedule fires, and so it tells the Scheduler.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        listener: Listener,
        wake: Callable[[str], None],
        told: Callable[[timedelta | None, float], None],
    ) -> None:
        self._line = line
        self._listener = listener
        self._wake = wake
        self._told = told
        self._woken = asyncio.Event()
        self._gap = FIRST_GAP_SECONDS
        self._awake_until = 0.0
        self._woken_at = 0.0

    def woken(self) -> None:
        """Something that is due soon was enqueued. Told twice within a moment, it stays awake."""
        now = monotonic()
        if now - self._woken_at < AWAKE_SECONDS:
            self._awake_until = now + AWAKE_SECONDS
        self._woken_at = now
        self._woken.set()

    def look(self) -> None:
        """Something may be due, or about to commit."""
        self._gap = FIRST_GAP_SECONDS
        self._woken.set()

    async def run(self) -> None:
        portion = FIRST_PORTION
        while True:
            self._woken.clear()
            asked_at = monotonic()
            answer = await self._line.execute(operations.promote(portion))
            for queue in answer.queues:
                self._wake(queue)
            self._told(answer.next_schedule, asked_at)
            portion = min(LARGEST_PORTION, 2 * portion) if answer.next_due == NOW else FIRST_PORTION
            await self._rest(answer.next_due, asked_at)

    async def stop(self) -> None:
        self._listener.rise_from(DUE)
        await super().stop()

    async def _rest(self, next_due: timedelta | None, asked_at: float) -> None:
        gap = SOON_SECONDS if self._listener.wakes(DUE) else DEAF_POLL_SECONDS
        if next_due is not None:
            gap = min(
                gap, max(0.0, asked_at + next_due.total_seconds() + TICK_SECONDS - monotonic())
            )
        if monotonic() < self._awake_until:
            self._listener.rise_from(DUE)
            gap = min(gap, FIRST_GAP_SECONDS)
        else:
            self._listener.sleep_on(DUE)
            gap = min(gap, self._gap)
            self._gap *= 2
        await happens(self._woken, gap)
