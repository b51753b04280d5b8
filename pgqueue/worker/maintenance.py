"""What the leader does: Promoter, Rescuer, Pruner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from pgqueue import operations
from pgqueue.errors import StoreBusy
from pgqueue.jobs import State
from pgqueue.operations import Retention
from pgqueue.worker.line import Line
from pgqueue.worker.listener import DEAF_POLL_SECONDS, Listener
from pgqueue.worker.service import Service, happens, log

DUE = "@"
FIRST_PORTION = 100  # some can start at once; each next one is twice as large
LARGEST_PORTION = 400
NOW = timedelta()
PROMOTE_SECONDS = 30.0  # enqueue wakes us for what is due earlier than that
TICK = 0.0005  # timers know milliseconds, and are rounded: too early would be in vain
FIRST_GAP = 0.005
AWAKE_SECONDS = 0.25
RESCUE_SECONDS = 1.0
ALONE_SECONDS = 30.0
GRACE_SECONDS = 10.0
PRUNE_SECONDS = 600.0


class Promoter(Service):
    """Makes due jobs available, and sleeps exactly until the next one is due.

    An enqueue of something due soon wakes it. When that happens often, it stays awake for a moment
    and looks by itself, so that not every delayed job costs a notification. Fallen asleep, it looks
    with growing gaps, for what was enqueued by a transaction that was open meanwhile.
    """

    def __init__(self, line: Line, listener: Listener, wake: Callable[[str], None]) -> None:
        self._line = line
        self._listener = listener
        self._wake = wake
        self._woken = asyncio.Event()
        self._gap = FIRST_GAP
        self._awake_until = 0.0
        self._woken_at = 0.0

    def woken(self) -> None:
        """Something that is due soon was enqueued; who hears that twice in a moment stays awake."""
        now = monotonic()
        if now - self._woken_at < AWAKE_SECONDS:
            self._awake_until = now + AWAKE_SECONDS
        self._woken_at = now
        self._woken.set()

    def look(self) -> None:
        """Something may be due, or about to commit."""
        self._gap = FIRST_GAP
        self._woken.set()

    async def run(self) -> None:
        portion = FIRST_PORTION
        while True:
            self._woken.clear()
            asked_at = monotonic()
            answer = await self._line.execute(operations.promote(portion))
            for queue in answer.queues:
                self._wake(queue)
            portion = min(LARGEST_PORTION, 2 * portion) if answer.next_due == NOW else FIRST_PORTION
            await self._rest(answer.next_due, asked_at)

    async def stop(self) -> None:
        self._listener.rise_from(DUE)
        await super().stop()

    async def _rest(self, next_due: timedelta | None, asked_at: float) -> None:
        gap = PROMOTE_SECONDS if self._listener.hears else DEAF_POLL_SECONDS
        if next_due is not None:
            gap = min(gap, max(0.0, asked_at + next_due.total_seconds() + TICK - monotonic()))
        if monotonic() < self._awake_until:
            self._listener.rise_from(DUE)
            gap = min(gap, FIRST_GAP)
        else:
            self._listener.sleep_on(DUE)
            gap = min(gap, self._gap)
            self._gap *= 2
        await happens(self._woken, gap)


class Rescuer(Service):
    """Takes jobs away from dead workers.

    After a connection of our own was lost, the others' may have been too: they get a grace period
    to come back. Alone, it looks seldom; a worker that joins wakes it, and so does a new session of
    our own, which may have missed that. It speaks on the session
    that sleeps, which a sleeper's own notifications do not wake: hence *wake*.
    """

    def __init__(
        self,
        listener: Listener,
        keep: frozenset[State],
        max_rescues: int,
        frozen_after: float,
        wake: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._wake = wake
        self._keep = keep
        self._max_rescues = max_rescues
        self._frozen = timedelta(seconds=frozen_after)
        self._woken = asyncio.Event()
        self._calm_at = 0.0

    def woken(self) -> None:
        """Somebody joined."""
        self._woken.set()

    def unsettled(self) -> None:
        """Our own session was lost and is new: the others' may be about to be."""
        self._calm_at = monotonic() + GRACE_SECONDS
        self._woken.set()

    async def run(self) -> None:
        while True:
            patience = timedelta(seconds=max(RESCUE_SECONDS, self._calm_at - monotonic()))
            rescue = await self._listener.line.execute(
                operations.rescue(
                    patience=patience,
                    frozen=self._frozen,
                    max_rescues=self._max_rescues,
                    keep=self._keep,
                )
            )
            for job in rescue.jobs:
                log.warning(
                    "job %d (%s) rescued from worker %d: %s",
                    job.id,
                    job.task,
                    job.worker,
                    job.state,
                )
            if rescue.jobs:
                self._wake()
            self._woken.clear()
            await happens(self._woken, RESCUE_SECONDS if rescue.workers > 1 else ALONE_SECONDS)


class Pruner(Service):
    """Drops what is past its retention, makes partitions ahead, and looks for what should not
    exist."""

    def __init__(self, listener: Listener, retention: Retention, wake: Callable[[], None]) -> None:
        self._listener = listener
        self._retention = retention
        self._wake = wake

    async def run(self) -> None:
        while True:
            try:
                while any(gone := await self._prune()):
                    log.info("pruned %d partitions and %d single jobs", *gone)
            except StoreBusy:
                log.debug("prune gave way to a reader of the archive")
            swept = await self._listener.line.execute(operations.sweep(keep=self._retention.kept()))
            if any(swept):
                log.error("mended %d stranded and %d orphaned jobs; please report this", *swept)
                self._wake()
            await asyncio.sleep(PRUNE_SECONDS)

    async def _prune(self) -> tuple[int, int]:
        """Once; a store may take it in portions."""
        return await self._listener.line.execute(operations.prune(self._retention))
