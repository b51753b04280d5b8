"""The Expirer: ends jobs that have waited until no attempt of them may begin any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from pgqueue import operations
from pgqueue.errors import StoreBusy
from pgqueue.jobs.job import State
from pgqueue.operations import Expired
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.service import Service, log

LOOK_SECONDS: Final = 10.0
PORTION: Final = 1_000
NOW: Final = timedelta(0)


class Expirer(Service):
    """Cancels what has expired while it waited: for parents, for its time, behind others, in a
    paused queue. It looks when the next one is due, and every ten seconds for new ones. A late look
    does no harm, as no worker begins a job that has expired.

    Ending a job touches its children, and another transaction may hold one of those. Then jobs are
    ended one at a time, and held ones are passed over. Children that can run now are announced on
    the session on which we listen, and a session does not hear its own notifications: hence *wake*.
    """

    def __init__(
        self, listener: Listener, keep: frozenset[State], wake: Callable[[], None]
    ) -> None:
        self._listener = listener
        self._keep = keep
        self._wake = wake

    async def run(self) -> None:
        while True:
            next_due = await self._expire()
            gap = LOOK_SECONDS if next_due is None else next_due.total_seconds() + 0.001
            if next_due != NOW:
                await asyncio.sleep(min(LOOK_SECONDS, gap))

    async def _expire(self) -> timedelta | None:
        """How long until the next one is due."""
        try:
            answer = await self._take(PORTION, 0)
        except StoreBusy as busy:
            log.debug("jobs that have expired are ended one by one: %s", busy)
            answer = await self._one_by_one()
        return answer.next_due

    async def _one_by_one(self) -> Expired:
        held = 0
        for _ in range(PORTION):
            try:
                answer = await self._take(1, held)
            except StoreBusy:
                held += 1
            else:
                if answer.jobs == 0:
                    break
        return Expired(0, None)

    async def _take(self, limit: int, skip: int) -> Expired:
        operation = operations.expire(limit, skip=skip, keep=self._keep)
        answer = await self._listener.line.execute(operation)
        if answer.jobs:
            log.info("%d jobs expired", answer.jobs)
            self._wake()
        return answer
