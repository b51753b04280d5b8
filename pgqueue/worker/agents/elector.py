"""The Elector: at most one worker of a cluster leads, and does what must be done once.

The leadership is a row: who leads, and until when. The leader renews it after two thirds of its
term. A candidate asks now and then, and is told who leads; nothing is written for that. The more
candidates there are, the less often each one asks, so that together they ask every second or so.
When a leader stops, nobody leads

* if it resigns: until the next candidate asks;
* if it dies: until the next candidate asks, too, since its session is dead, and the row of a dead
  leader is free at once. That takes a second or two, as they ask at different times; at most nine;
* if it freezes, or where there are no sessions: until its term has run out.

A leader counts its term from *before* it asked for it. So it stops leading before anybody else can
start, however long the answer took. All that a leader does may safely be done by two, as each
statement takes row locks; that there is only one saves work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from random import uniform
from time import monotonic

from pgqueue import operations
from pgqueue.errors import StoreUnavailable
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.service import Service, log

NAME = "leader"
ASKING_SECONDS = 1.25
SHORTEST_SECONDS = 1.5  # a lone candidate's wait and two looks of the Rescuer take 2.6 s at most
LONGEST_SECONDS = 9.0


def patience(workers: int, term: float) -> float:
    """The longest time in seconds before one of so many *workers* asks again who leads."""
    share = max(ASKING_SECONDS * (workers - 1), SHORTEST_SECONDS)
    return min(share, LONGEST_SECONDS, term * 2 / 3)


class Elector(Service):
    """Stands for election, and runs *duties* while it leads. *others_changed* is told when there
    are more workers, or fewer, than at the election before."""

    def __init__(
        self,
        listener: Listener,
        term: float,
        duties: Sequence[Service],
        others_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener
        self._term = term
        self._duties = duties
        self._others_changed = others_changed
        self._workers: int | None = None
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
            if self._workers not in (None, answer.workers):
                self._others_changed()
            self._workers = answer.workers
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
            # Only now: if we are stopped while we wait above, `stop` comes here again, and stops
            # the duties that are left.
            self.leads = False
