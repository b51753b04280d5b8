"""The Elector: at most one worker of a cluster leads, and does what must be done once.

The leadership is a row: who, and until when. The leader renews it after two thirds of its term; a
candidate asks now and then, and is told who leads without writing anything. A leader that stops
leaves a gap of

* nothing, when it resigns: the next who asks leads;
* one candidate's interval, when it dies: its session is dead, and the row of a dead leader is free
  at once;
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
from time import monotonic

from pgqueue import operations
from pgqueue.errors import StoreUnavailable
from pgqueue.worker.listener import Listener
from pgqueue.worker.service import Service, log

NAME = "leader"
CANDIDATE_SECONDS = 2.5


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
                self._term * 2 / 3 if self.leads else min(CANDIDATE_SECONDS, self._term / 3)
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
