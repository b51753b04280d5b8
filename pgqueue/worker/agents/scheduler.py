"""The Scheduler: fires what is due of schedules, each instant once, and sleeps until the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from math import inf
from time import monotonic
from typing import Final, TypeVar

from pgqueue import operations
from pgqueue.backends.plans import carry_out_async
from pgqueue.errors import InvalidSchedule, PgqueueError, StoreBusy, StoreUnavailable
from pgqueue.jobs.job import State
from pgqueue.jobs.schedules.firings import reconsidered
from pgqueue.jobs.schedules.rows import NEVER, ScheduleRow
from pgqueue.operations import Advance, Plan, ToFire, Unreadable, inspections
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.service import Service, happens, log

T = TypeVar("T")

PORTION: Final = 500  # so many schedules, or instants, in one transaction
PAGE: Final = 1_000
SLICE: Final = 50  # so many are computed before others may use the event loop
TICK_SECONDS: Final = 0.0005  # timers round to milliseconds; woken too early, it would find nothing
FIRST_GAP_SECONDS: Final = 0.05  # when somebody else holds what is due
LONGEST_GAP_SECONDS: Final = 1.0


class Scheduler(Service):
    """Fires schedules, and retires those that no code declares any more.

    The Promoter, which looks for due jobs anyway, says with each look when the next schedule is
    due: so a thousand schedules cost an idle leader no further question. Due schedules are read
    here in portions, each fired in one transaction: schedules that are unchanged since they were
    read advance to their next instants, the instants are noted, and exactly those that nobody has
    noted before get their jobs. A second leader, which still believes that it leads, finds the
    schedules advanced.

    A portion that waits for a lock, or that the store refuses, is divided until only the schedule
    at fault is left. That one waits, or is marked with a problem; the others fire.

    It has a connection of its own, opened when there is something to fire.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        listener: Listener,
        keep: frozenset[State],
        wake: Callable[[str], None],
        *,
        wakes_after: bool,
    ) -> None:
        self._line = line
        self._listener = listener
        self._keep = keep
        self._wake = wake
        self._wakes_after = wakes_after
        self._woken = asyncio.Event()
        self._told = asyncio.Event()
        self._due_at = inf
        self._looked_at = -inf
        self._gap = FIRST_GAP_SECONDS
        self._others_changed = True

    def told(self, next_due: timedelta | None, asked_at: float) -> None:
        """Asked at *asked_at*, the store said that the next schedule is due after *next_due*; None:
        there is none.

        One that has no next instant yet is due at once.
        """
        self._told.set()
        if asked_at < self._looked_at:
            return
        self._due_at = inf if next_due is None else asked_at + next_due.total_seconds()
        self._woken.set()

    def others_changed(self) -> None:
        """A worker has come or gone: perhaps nobody declares some of the schedules any more."""
        self._others_changed = True
        self._woken.set()

    async def run(self) -> None:
        self._others_changed = True
        await self._told.wait()
        if self._due_at != inf:
            await self._reconsider()
        while True:
            self._woken.clear()
            if self._others_changed:
                self._others_changed = False
                await self._retire()
            until = self._due_at + TICK_SECONDS - monotonic()
            if until <= 0:
                await self._fire_due()
            else:
                await happens(self._woken, None if until == inf else until)

    async def stop(self) -> None:
        await super().stop()
        self._told.clear()
        self._due_at = inf
        await self._line.close()

    async def _fire_due(self) -> None:
        """All that is due, a portion after the other; then it knows when the next one is."""
        self._looked_at = asked_at = monotonic()
        self._due_at = inf  # unless `told` says otherwise meanwhile
        due = await self._line.execute(operations.due(PORTION))
        rows: list[ScheduleRow | Unreadable] = [*due.rows, *due.unreadable]
        moves = [move async for move in _slowly(operations.to_fire(row, due.now) for row in rows)]
        advanced: set[str] = set()
        for portion in _portions(moves):
            advanced |= await self._fire(portion)
        soonest = [NEVER if due.next_due is None else due.now + due.next_due]
        soonest += [move.advance.next_at or NEVER for move in moves]
        if len(rows) == PORTION:
            soonest.append(due.now)
        if min(soonest) != NEVER:
            gap = (min(soonest) - due.now).total_seconds()
            self._due_at = min(self._due_at, asked_at + max(0.0, gap))
        if len(advanced) < len(moves):  # somebody holds the others, or was faster
            self._due_at = min(self._due_at, monotonic() + self._gap)
            if not advanced:
                await asyncio.sleep(self._gap)
                self._gap = min(2 * self._gap, LONGEST_GAP_SECONDS)
                return
        self._gap = FIRST_GAP_SECONDS

    async def _fire(self, moves: Sequence[ToFire]) -> set[str]:
        """Fires *moves* in one transaction; answers the names of those that went on."""
        try:
            async with self._line.transaction() as executor:
                plan = operations.fire(moves, keep=self._keep, notify=not self._wakes_after)
                fired = await carry_out_async(plan, executor.execute)
        except StoreUnavailable:
            raise
        except PgqueueError as error:
            if len(moves) > 1:
                middle = len(moves) // 2
                return await self._fire(moves[:middle]) | await self._fire(moves[middle:])
            if isinstance(error, StoreBusy):
                log.debug("schedule %s waits: %s", moves[0].advance.name, error)
                return set()
            return await self._give_up(moves[0].advance, error)
        for move in moves:
            if move.advance.problem and move.advance.name in fired.advanced:
                _complain(move.advance.name, move.advance.problem)
        for topic in fired.topics:
            self._wake(topic)
        if self._wakes_after and fired.topics:
            await self._line.execute(operations.wake(fired.topics))
        return fired.advanced

    async def _give_up(self, advance: Advance, error: Exception) -> set[str]:
        """The store refuses this schedule's job: note that as the schedule's problem, and end
        it."""
        problem = f"{type(error).__name__}: {error}"[:1_000]
        _complain(advance.name, problem)
        stuck = advance._replace(last_at=None, next_at=NEVER, problem=problem)
        return await self._line.execute(operations.advance([stuck]))

    async def _reconsider(self) -> None:
        """Computes each next instant anew: a clock was perhaps set, a time zone has new rules."""
        async for rows, now in self._pages():
            moved = [
                advance
                async for advance in _slowly(_reconsidered(row, now) for row in rows)
                if advance is not None
            ]
            if moved:
                await self._line.execute(operations.advance(moved))
        self._due_at = monotonic()  # and whatever is due is asked next

    async def _retire(self) -> None:
        living: dict[str, set[str]] = {}
        for worker in await self._listener.line.execute(inspections.workers()):
            if (owner := worker.info.get("owner")) is not None:
                living.setdefault(owner, set()).update(worker.info.get("schedules", ()))
        async for rows, _ in self._pages(source="code"):
            retired = await self._carry(operations.retire(rows, living))
            if retired:
                log.info("no code declares them any more: %s", ", ".join(sorted(retired)))

    async def _pages(
        self, source: str | None = None
    ) -> AsyncIterator[tuple[list[ScheduleRow], datetime]]:
        """Yields all schedules, a page of rows after the other, and the clock of each."""
        after: str | None = None
        while True:
            page = operations.schedules(source=source, after=after, limit=PAGE)
            found = await self._listener.line.execute(page)
            yield found.rows, found.now
            names = [row.name for row in found.rows]
            names += [row.name for row in found.unreadable]
            if len(names) < PAGE:
                return
            after = max(names)

    async def _carry(self, plan: Plan[T]) -> T:
        return await carry_out_async(plan, self._listener.line.execute)


def _reconsidered(row: ScheduleRow, now: datetime) -> Advance | None:
    if row.paused_at is not None or row.retired_at is not None or row.next_at is None:
        return None
    try:
        next_at = reconsidered(row, now)
    except InvalidSchedule as error:
        return Advance(row.name, row.revision, row.next_at, None, NEVER, str(error)[:1_000])
    if next_at == row.next_at:
        return None
    return Advance(row.name, row.revision, row.next_at, None, next_at, row.problem)


async def _slowly(things: Iterable[T]) -> AsyncIterator[T]:
    """Yields *things*, and now and then lets others use the event loop."""
    for n, thing in enumerate(things):
        if n % SLICE == SLICE - 1:
            await asyncio.sleep(0)
        yield thing


def _portions(moves: Iterable[ToFire]) -> Iterator[list[ToFire]]:
    portion: list[ToFire] = []
    instants = 0
    for move in moves:
        portion.append(move)
        instants += len(move.jobs) + len(move.passed)
        if instants >= PORTION:
            yield portion
            portion, instants = [], 0
    if portion:
        yield portion


def _complain(name: str, problem: str) -> None:
    log.error("schedule %s fires no more: %s", name, problem)
