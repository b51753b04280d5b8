"""The Rescuer: takes jobs away from dead workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic

from pgqueue import operations
from pgqueue.errors import StoreBusy
from pgqueue.jobs.job import State
from pgqueue.operations import Rescued
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.life import Grace, Watch
from pgqueue.worker.service import Service, happens, log

RESCUE_SECONDS = 1.0
ALONE_SECONDS = 30.0
LONGEST_RETRY_SECONDS = 8.0  # between two tries to take the jobs of a worker whose row is held


class Rescuer(Service):
    """Takes jobs away from dead workers.

    Who is dead: see life.py. When our own connection was lost, the others' may have been too, so
    workers that have not come back yet are spared for a while. A worker that is alone looks seldom.
    It is woken by a worker that joins, and by a new session of its own, since the lost one may have
    missed a join. Jobs that become available are announced on the session on which we listen, and a
    session does not hear its own notifications: hence *wake*.

    A job that was cancelled, or rescued too often, ends instead of becoming available. That touches
    its children, and another transaction may hold one of those. Then the jobs that only become
    available are taken first, and those that end are taken one at a time.
    """

    def __init__(
        self,
        listener: Listener,
        keep: frozenset[State],
        max_rescues: int,
        frozen_after: float,
        wake: Callable[[], None],
        rescued: Callable[[Sequence[Rescued]], None] | None = None,
        others_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener
        self._wake = wake
        self._rescued = rescued
        self._others_changed = others_changed
        self._others: set[int] | None = None
        self._keep = keep
        self._max_rescues = max_rescues
        self._frozen_after = frozen_after
        self._watch = Watch(frozen_after)
        self._ends: int | None = None
        self._woken = asyncio.Event()
        self._grace = Grace(monotonic())
        self._tries: dict[int, tuple[float, float]] = {}  # by worker: when to try next, and the gap

    def woken(self) -> None:
        """Somebody joined."""
        self._woken.set()

    def unsettled(self) -> None:
        """Our own session was lost and is new; the others' may be lost, or be about to be."""
        self._grace.begins(monotonic(), restarted=self._listener.restarted)
        self._watch = Watch(self._frozen_after)
        self._woken.set()

    async def run(self) -> None:
        """One unbroken series of looks. The first that fails ends it; the next turn begins anew."""
        self._watch = Watch(self._frozen_after)
        while True:
            watch, looked_at = self._watch, monotonic()
            sightings = await self._listener.line.execute(operations.watch())
            others = {each.worker for each in sightings}
            if self._others not in (None, others):
                self._others_changed()
            self._others = others
            if watch is self._watch:
                watch.saw(sightings, looked_at)
                spared = self._grace.saw(sightings, looked_at)
                if watch.frozen or not all(each.well for each in sightings):
                    await self._rescue(watch, spared)
                else:
                    self._ends = None
            self._woken.clear()
            await happens(self._woken, RESCUE_SECONDS if len(sightings) > 1 else ALONE_SECONDS)

    async def _rescue(self, watch: Watch, spared: set[int]) -> None:
        silent, gone = watch.frozen, self._gone(watch, spared)
        try:
            jobs = await self._take(silent, gone, spared)
        except StoreBusy as busy:
            log.debug("rescue passes over jobs that end, for now: %s", busy)
            self._ends = 0
            jobs = await self._take(silent, gone, spared)
            self._ends = 1
        for job in jobs:
            log.warning(
                "job %d (%s) rescued from worker %d: %s",
                *(job.id, job.task, job.worker, job.state),
            )
        if jobs:
            self._wake()
            if self._rescued is not None:
                self._rescued(jobs)
        robbed = {job.worker for job in jobs}
        watch.spared(silent.keys() - robbed)

    def _gone(self, watch: Watch, spared: set[int]) -> set[int]:
        """The workers whose jobs to take even while somebody holds the worker's row. What was taken
        cannot be noted in that row, so each try reads the whole live table; the gap between tries
        doubles."""
        now, gone = monotonic(), set[int]()
        before, self._tries = self._tries, {}
        for worker in watch.gone(RESCUE_SECONDS) - spared:
            at, gap = before.get(worker, (now, RESCUE_SECONDS))
            if at <= now:
                gone.add(worker)
                at, gap = now + gap, min(2 * gap, LONGEST_RETRY_SECONDS)
            self._tries[worker] = at, gap
        return gone

    async def _take(
        self, silent: dict[int, str], gone: set[int], spared: set[int]
    ) -> list[Rescued]:
        operation = operations.rescue(
            patience=timedelta(seconds=RESCUE_SECONDS),
            silent=silent,
            gone=gone,
            spared=spared,
            ends=self._ends,
            max_rescues=self._max_rescues,
            keep=self._keep,
        )
        return (await self._listener.line.execute(operation)).jobs
