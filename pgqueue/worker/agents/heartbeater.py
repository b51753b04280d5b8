"""The Heartbeater: says that we live and what we hold, and learns what we lost or should stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import Any

from pgqueue import operations
from pgqueue.errors import StoreBusy
from pgqueue.operations.workers import Asked
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.life import Life
from pgqueue.worker.running.executor import Executor
from pgqueue.worker.service import Service, happens

BUSY_SECONDS = 5.0
LOOK_SECONDS = 1.0
LONG_SECONDS = 1.0
MOST_LONG = 100
SOON_SECONDS = 1.0


class Heartbeater(Service):
    """Asks about the leases now and then, and at once when somebody cancels one of our jobs.

    The answer to a sign of life says what people ask of this worker; *directed* is called when that
    changes.

    While jobs run it asks more often; without a session of our own every second, as nothing else
    tells us of a cancellation then. An idle worker asks only every other time: each time it checks
    whether the session still hears, and that shows a broken one too.

    Where the session cannot be opened, but other connections can, it gives signs of life on
    *other*: a worker without a session is alive too, and may go on (see life.py).
    """

    def __init__(
        self,
        listener: Listener,
        other: ReconnectingConnection,
        life: Life,
        executor: Executor,
        profile: dict[str, Any],
        interval: float,
        frozen_after: float,
        bridges: Callable[[], Mapping[str, Any]] = dict,
        directed: Callable[[Asked | None], None] = lambda asked: None,
    ) -> None:
        self._listener = listener
        self._other = other
        self._life = life
        listener.cut = self._cut
        listener.drops.append(executor.drop)
        self._executor = executor
        self._profile = profile
        self._interval = interval
        self._has_time = frozen_after >= 3 * interval
        self._asked = asyncio.Event()
        self._said_running = 0
        self._seen_busy = False
        self._bridges = bridges
        self._directed = directed
        self._beat_at = 0.0
        self._soon: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Asks now."""
        self._asked.set()

    def ask_soon(self) -> None:
        """Asks, but no sooner than a second after the last time: for changes that may repeat fast,
        as those of a broker that comes and goes."""
        if self._soon is None:
            left = max(0.0, self._beat_at + SOON_SECONDS - monotonic())
            self._soon = asyncio.get_running_loop().call_later(left, self._ask_now)

    def _ask_now(self) -> None:
        self._soon = None
        self.ask()

    def _cut(self) -> None:
        self._life.doubt()
        self.ask()

    async def beat(self) -> None:
        """Say once that we live; then ask what is still ours, which may have to wait.

        While another transaction holds our own row, the first raises StoreBusy. The second is asked
        all the same: a job that is to be cancelled must hear of it.
        """
        listener, held = self._listener, self._executor.leases()
        line, began = listener.line if listener.line.is_open else self._other, monotonic()
        self._beat_at = began
        await listener.recognise(line)
        beats = listener.beats + 1
        profile, session = self._present_profile(beats), listener.present
        try:
            alive = operations.alive(listener.worker, len(held), profile, session=session)
            self._told(await line.execute(alive))
        except StoreBusy:
            await self._ask_what_is_ours(line, held, profile, session=session)
            raise
        listener.beats = beats
        self._said_running = len(held)
        if session == listener.present:
            self._life.heard(began)
        await self._ask_what_is_ours(line, held, profile, session=session)

    async def _ask_what_is_ours(
        self,
        line: ReconnectingConnection,
        held: Collection[tuple[int, int]],
        profile: dict[str, Any],
        *,
        session: bool,
    ) -> None:
        if not held:
            return
        answer = await line.execute(
            operations.heartbeat(self._listener.worker, held, profile, session=session)
        )
        for lease in held:
            if lease not in answer:
                self._executor.lost(*lease)
            elif answer[lease].cancel_requested:
                self._executor.cancel(*lease)

    def _told(self, asked: Asked | None) -> None:
        if asked != self._listener.asked:
            self._listener.asked = asked
            self._directed(asked)

    def _present_profile(self, beats: int) -> dict[str, Any]:
        """The profile, and the worker's present state.

        *full*: the queues that are at their limit here, for those who ask why a job waits.
        *running*: how many jobs run here, by queue; *longest*: the ids of those that have been
        running long, the longest first; the store has no index for either. *beats*: how often we
        have said that we live; a store that knows of fewer has been restored from a backup.
        *asked*: what we were asked to do, in case our row has to be inserted again. *bridges*: the
        state of each, if there are any.
        """
        runs = [run for run in self._executor.runs() if run.task is not None]
        long = sorted(
            (run for run in runs if 0 < run.started_at < monotonic() - LONG_SECONDS),
            key=lambda run: run.started_at,
        )
        more = {
            "full": self._executor.full_queues,
            "running": dict(Counter(run.job.queue for run in runs)),
            "longest": [run.job.id for run in long[:MOST_LONG]],
            "beats": beats,
            "asked": self._listener.asked,
            **self._bridges(),
        }
        return self._profile | {"info": self._profile["info"] | more}

    async def run(self) -> None:
        checked_at, skipped = monotonic(), False
        while True:
            await self._turn()
            skipped = self._may_skip() and not skipped
            self._asked.clear()
            if not skipped:
                await self.beat()
            if self._listener.present and monotonic() - checked_at >= self._interval * 0.9:
                await self._listener.check()
                checked_at = monotonic()

    def _may_skip(self) -> bool:
        idle = self._listener.present and not self._executor.busy
        return idle and self._has_time and not self._asked.is_set() and not self._said_running

    async def _turn(self) -> None:
        """Waits until it is time to ask. When an idle worker gets something to do, that is at most
        a second later, so that others see it; this happens once a turn."""
        began = monotonic()
        while not self._asked.is_set() and (left := began + self._gap() - monotonic()) > 0:
            await happens(self._asked, min(left, LOOK_SECONDS))
            if self._executor.busy and not self._seen_busy:
                self._seen_busy = True
                return
        self._seen_busy = self._executor.busy

    def _gap(self) -> float:
        if not self._executor.busy:
            return self._interval
        return min(self._interval, BUSY_SECONDS if self._listener.present else 1.0)
