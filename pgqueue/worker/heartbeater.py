"""The Heartbeater: says what we hold, and learns what we lost or should stop."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from pgqueue import operations
from pgqueue.worker.executor import Executor
from pgqueue.worker.listener import Listener
from pgqueue.worker.service import Service, happens

BUSY_SECONDS = 5.0


class Heartbeater(Service):
    """Asks about the leases now and then, and at once when somebody cancels one of our jobs.

    While jobs run it asks more often; without a session of our own every second, as nothing else
    tells us of a cancellation then. Idle, it asks only every other time: whether the session still
    hears is asked each time, and that shows a broken one too.
    """

    def __init__(
        self,
        listener: Listener,
        executor: Executor,
        profile: dict[str, Any],
        interval: float,
        frozen_after: float,
    ) -> None:
        self._listener = listener
        self._executor = executor
        self._profile = profile
        self._interval = interval
        self._has_time = frozen_after >= 3 * interval
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Asks now."""
        self._asked.set()

    async def beat(self) -> None:
        """Asks once."""
        held = self._executor.leases()
        answer = await self._listener.line.execute(
            operations.heartbeat(
                self._listener.worker, held, self._present_profile(), session=self._listener.present
            )
        )
        for lease in held:
            if lease not in answer:
                self._executor.lost(*lease)
            elif answer[lease].cancel_requested:
                self._executor.cancel(*lease)

    def _present_profile(self) -> dict[str, Any]:
        """With the queues that are at their limit here, for those who ask why a job waits."""
        full = {"full": self._executor.full_queues}
        return self._profile | {"info": self._profile["info"] | full}

    async def run(self) -> None:
        checked_at, skipped = monotonic(), False
        while True:
            await happens(self._asked, self._gap())
            skipped = self._may_skip() and not skipped
            self._asked.clear()
            if not skipped:
                await self.beat()
            if self._listener.present and monotonic() - checked_at >= self._interval * 0.9:
                await self._listener.check()
                checked_at = monotonic()

    def _may_skip(self) -> bool:
        idle = self._listener.present and not self._executor.busy
        return idle and self._has_time and not self._asked.is_set()

    def _gap(self) -> float:
        if not self._executor.busy:
            return self._interval
        return min(self._interval, BUSY_SECONDS if self._listener.present else 1.0)
