"""The Fetcher: claims for all free slots and a small buffer; knows where the work begins."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Mapping
from math import inf
from time import monotonic

from pgqueue import operations
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import ClaimedJob, Floor
from pgqueue.worker.executor import Executor
from pgqueue.worker.line import Line
from pgqueue.worker.listener import DEAF_POLL_SECONDS, Listener
from pgqueue.worker.service import Service, happens

BATCH = 2_000
BLOCK = 10_000_000
MAX_FLOORS = 64
FIRST_GAP = 0.002
STEADY_GAP = 0.001  # while finds come one upon the other: so soon a look is hardly in vain
STEADY_SECONDS = 0.01  # from one find to the next, on average
PACE_SHARE = 0.1  # of the latest find in that average
PAUSE_SECONDS = 0.02  # of a stream; longer ones count as that, and let the gaps grow
# What a look from the bottom costs more may be at most one part in so many of the time.
BOTTOM_SHARE = 30
SAMPLES = 4
SATURATED_BOTTOM_SECONDS = 0.25
# So long after its answer was lost, a claim has been carried out, or never will be.
LATE_SECONDS = 30.0


class Cursor:
    """Where one queue's work begins, and when to look there again.

    With vacuum held back, a claim walks over every dead index entry in front of it. Everything up
    to a priority's floor has been taken, as far as we know, so the walk starts there. That is a
    hint: a transaction that commits late leaves jobs below. So one looks from the bottom too: when
    a claim comes back short, and now and then under saturation, as long as it takes but a small
    part of the time.
    """

    def __init__(self, name: str, limit: int | None) -> None:
        self.name = name
        self.limit = limit
        self.floors: dict[int, int] = {}
        self.saturated = False
        self.gap = FIRST_GAP
        self.poll_at = 0.0
        self.idle_since = monotonic()
        self.asked_at = -inf
        self._told_at = -inf
        self.asleep = False
        self._pace = PAUSE_SECONDS
        self._found_at = -inf
        self._bottom_at = 0.0
        self._bottom_costs: deque[float] = deque(maxlen=SAMPLES)
        self._floor_costs: deque[float] = deque(maxlen=SAMPLES)
        self._wakes = 0.0
        self._woken_at = 0.0

    def from_bottom(self, now: float) -> bool:
        """Is it time to look at the whole queue?"""
        wait = self._extra_cost() * BOTTOM_SHARE
        if self.saturated:
            wait = max(wait, SATURATED_BOTTOM_SECONDS)
        return not self.floors or len(self.floors) > MAX_FLOORS or now - self._bottom_at >= wait

    def _extra_cost(self) -> float:
        """What a look from the bottom costs beyond one from the floors. The cheapest of the last
        few count: the others have waited for a processor too."""
        extra = min(self._bottom_costs, default=0.0) - min(self._floor_costs, default=0.0)
        return max(0.0, extra)

    def took(self, jobs: list[ClaimedJob], limit: int, bottom: bool, began: float) -> None:
        """Learns from a claim's answer where the next one has to start, and when."""
        now = monotonic()
        self.asked_at = began
        self.saturated = len(jobs) >= limit
        last = {job.priority: job.position for job in jobs}
        (self._bottom_costs if bottom else self._floor_costs).append(now - began)
        if bottom:
            self._bottom_at = now
            if self.saturated:  # what lies behind the last one, at its priority, was not looked at
                self.floors.pop(jobs[-1].priority, None)
        for priority, position in last.items():
            self.floors[priority] = max(position, self.floors.get(priority, 0))
        if jobs:
            self._pace += PACE_SHARE * (min(now - self._found_at, PAUSE_SECONDS) - self._pace)
            self.idle_since = self._found_at = now
            if not self.asleep:  # asleep, the gaps are for what was open when we fell asleep
                self.gap = STEADY_GAP if self._pace < STEADY_SECONDS else FIRST_GAP
        # The answer may not know of what we were told while we were asking.
        at_once = self.saturated or self._told_at >= began
        self.poll_at = now if at_once else now + self.gap
        if self.asleep or now - self._found_at >= PAUSE_SECONDS:
            self.gap *= 2

    def look(self) -> None:
        """There may be work."""
        self._told_at = monotonic()
        self.poll_at = 0.0
        self.gap = FIRST_GAP

    def full(self, until: float) -> None:
        """As many of its jobs run as may: no need to look before one has ended."""
        self.idle_since = monotonic()
        self.poll_at = until

    def notified(self) -> None:
        """Somebody who enqueued has told us."""
        self._wakes = self._recent_wakes() + 1
        self._woken_at = self._told_at = self.idle_since = monotonic()
        self.poll_at = 0.0

    @property
    def often_notified(self) -> bool:
        """So often that we had better look by ourselves, at no cost to those who enqueue?"""
        return self._recent_wakes() > 10

    def _recent_wakes(self) -> float:
        return self._wakes * max(0.0, 1 - (monotonic() - self._woken_at) * 10)


class Fetcher(Service):
    """Claims jobs, queue after queue, whenever there is room and may be work.

    A queue that runs dry is looked at for a moment as often as jobs came from it, then with growing
    gaps; idle for a while we ask to be notified, and still look, at last every *poll_interval*. So
    a job whose transaction was open while we fell asleep is found within about as long as that
    transaction lasted, and a lost notification costs no more than the interval.
    """

    def __init__(
        self,
        line: Line,
        listener: Listener,
        executor: Executor,
        queues: Mapping[str, int | None],
        poll_interval: float,
        sleep_after: float,
    ) -> None:
        self._line = line
        self._listener = listener
        self._executor = executor
        self._cursors = {name: Cursor(name, limit) for name, limit in queues.items()}
        self._turn = itertools.cycle(self._cursors.values())
        self._poll_interval = poll_interval
        self._sleep_after = sleep_after
        self._woken = asyncio.Event()
        self._leases = iter(range(0))
        self._unheard: deque[tuple[int, frozenset[int]]] = deque()
        self._claiming = asyncio.Lock()
        self._claimed = asyncio.Event()
        self.taken = 0
        executor.freed = self.look

    def notified(self, queue: str) -> None:
        """Somebody who enqueued into *queue* has told us."""
        if (cursor := self._cursors.get(queue)) is not None:
            cursor.notified()
            self._woken.set()

    def look(self, queue: str | None = None) -> None:
        """There may be work in *queue*, or anywhere."""
        for cursor in self._cursors.values():
            if queue in (None, cursor.name):
                cursor.look()
        self._woken.set()

    async def look_everywhere(self) -> None:
        """Returns when all of each queue has been looked at, from now on."""
        since = monotonic()
        for cursor in self._cursors.values():
            cursor.floors.clear()
        self.look()
        while any(cursor.asked_at < since for cursor in self._cursors.values()):
            self._claimed.clear()
            await self._claimed.wait()

    async def run(self) -> None:
        while True:
            if self._executor.full:
                for each in self._cursors.values():
                    self._rise(each)
            room = await self._executor.room()
            while self._unheard:
                await self._recall(*self._unheard[0])
                self._unheard.popleft()
            cursor = self._ready(monotonic())
            if cursor is None:
                await self._wait()
                continue
            limit = min(room, BATCH, self._executor.room_in(cursor.name, cursor.limit))
            if limit > 0:
                async with self._claiming:
                    await self._claim(cursor, limit)
            else:
                cursor.full(monotonic() + self._longest_gap)

    @property
    def _longest_gap(self) -> float:
        hears = self._listener.hears
        return self._poll_interval if hears else min(self._poll_interval, DEAF_POLL_SECONDS)

    async def stop(self) -> None:
        """Claims nothing more. A claim on its way is awaited: what it takes must not be left
        behind."""
        async with self._claiming:
            await super().stop()

    def _ready(self, now: float) -> Cursor | None:
        for cursor in itertools.islice(self._turn, len(self._cursors)):
            if cursor.poll_at <= now:
                return cursor
        return None

    async def _wait(self) -> None:
        """Sleeps until the next look is due, or somebody wakes us."""
        now = monotonic()
        for cursor in self._cursors.values():
            idle = now - cursor.idle_since
            if cursor.often_notified or not self._listener.hears:
                self._rise(cursor)
            elif not cursor.asleep and idle >= self._sleep_after:
                cursor.asleep = True
                self._listener.sleep_on(cursor.name)
        soonest = min(cursor.poll_at for cursor in self._cursors.values())
        await happens(self._woken, max(0.0, soonest - now))
        self._woken.clear()

    async def _claim(self, cursor: Cursor, limit: int) -> None:
        worker = self._listener.worker
        began = monotonic()
        bottom = cursor.from_bottom(began)
        floors = [] if bottom else [Floor(*floor) for floor in sorted(cursor.floors.items())]
        lease = await self._lease()
        try:
            jobs = await self._line.execute(
                operations.claim(cursor.name, worker, lease, limit, floors=floors)
            )
        except StoreUnavailable:
            # It may have been carried out, and its answer lost. Leases that nobody knows would stay
            # with us; those of a claim that is still on its way, too.
            jobs = await self._line.insist(operations.recall(worker, lease))
            self._leases = iter(range(0))
            heard = frozenset(job.id for job in jobs)
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._wonder, lease, heard)
        cursor.took(jobs, limit, bottom, began)
        cursor.poll_at = min(cursor.poll_at, monotonic() + self._longest_gap)
        if cursor.saturated:
            self._rise(cursor)
        self._executor.take(jobs)
        self.taken += len(jobs)
        self._claimed.set()

    def _wonder(self, lease: int, heard: frozenset[int]) -> None:
        """Did the claim under *lease* take more than we have *heard* of?"""
        self._unheard.append((lease, heard))
        self._woken.set()

    async def _recall(self, lease: int, heard: frozenset[int]) -> None:
        """Takes up what a claim took that was carried out after we had asked."""
        jobs = await self._line.insist(operations.recall(self._listener.worker, lease))
        self._executor.take([job for job in jobs if job.id not in heard])

    def _rise(self, cursor: Cursor) -> None:
        """We look by ourselves, often enough: nobody has to notify us."""
        if cursor.asleep:
            cursor.asleep = False
            cursor.look()
            self._listener.rise_from(cursor.name)

    async def _lease(self) -> int:
        for lease in self._leases:
            return lease
        # On the line whose commits are durable: a lease must never be given twice.
        first = await self._listener.line.insist(operations.reserve())
        self._leases = iter(range(first + 1, first + BLOCK))
        return first
