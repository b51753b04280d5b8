"""The Elector: at most one worker of a cluster leads, and does what must be done once.

The leadership is a row: who, and until when. The leader renews it after two thirds of its term; a
candidate asks now and then, and is told who leads without writing anything. The more there are,
the less often each one asks: together they do it every second or so. A leader that stops leaves a
gap of

* nothing, when it resigns: the next who asks leads;
* until the next candidate asks, when it dies: its session is dead, and the row of a dead leader is
  free at once. That is a second or two, and nine at the very most, as they ask at different times;
* its term, when it freezes, or where there are no sessions.

A leader trusts its own clock only in one direction: it counts its term from *before* it asked, so
it stops leading before anybody else can start. All that a leader does is safe to be done by two, as
each statement takes row locks; one is a matter of cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from random import uniform
from time import monotonic

from pgqueue import operations
from pgqueue.errors import StoreUnavailable
from pgqueue.worker.listener import Listener
from pgqueue.worker.service import Service, log

NAME = "leader"
ASKING_SECONDS = 1.25
LONGEST_SECONDS = 9.0


def patience(workers: int, term: float) -> float:
    """How long one of so many waits before it asks again who leads, at the longest."""
    return min(ASKING_SECONDS * max(2, workers - 1), LONGEST_SECONDS, term * 2 / 3)


class Elector(Service):
    """Stands for election, and runs *duties* while it leads."""

    def __init__(self, listener: Listener, term: float, duties: Sequence[Service]) -> None:
        self._listener = listener
        self._term = term
        self._duties = duties
        self._trusted_until = 0.0
        self.leads = False

    async def run(self) -> None:
        while True:
            began = monotonic()
            try:
                left = max(0.1, self._trusted_until - began) if self.leads else None
                async with asyncio.timeout(left):
                    answer = await self._listener.line.execute(
                        operations.elect(NAME, self._listener.worker, timedelta(seconds=self._term))
                    )
            except TimeoutError:
                await self._step_down("its term ran out before it could be renewed")
                continue
            except StoreUnavailable:
                if monotonic() > self._trusted_until:
                    await self._step_down("the database is away")
                raise
            if answer.elected:
                self._trusted_until = began + self._term
                self._take_up()
            else:
                await self._step_down(f"worker {answer.worker} leads")
            await asyncio.sleep(
                self._term * 2 / 3
                if self.leads
                else patience(answer.workers, self._term) * uniform(0.7, 1)  # never all at once
            )

    async def stop(self) -> None:
        await super().stop()
        if self.leads:
            await self._step_down("stopping")
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(1):
                    await self._listener.line.execute(
                        operations.resign(NAME, self._listener.worker)
                    )

    def _take_up(self) -> None:
        if not self.leads:
            self.leads = True
            log.info("worker %d leads", self._listener.worker)
            for duty in self._duties:
                duty.start()

    async def _step_down(self, why: str) -> None:
        if self.leads:
            log.info("worker %d no longer leads: %s", self._listener.worker, why)
            for duty in self._duties:
                await duty.stop()
            self.leads = False  # only now: whoever stops us meanwhile stops the other duties too
