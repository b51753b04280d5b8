"""The Fetcher: claims for all free slots and a small buffer; knows where the work begins."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Mapping
from math import inf
from time import monotonic
from typing import Protocol, TypeVar

from pgqueue import operations
from pgqueue.errors import StoreBusy
from pgqueue.operations import ClaimedInTurn, ClaimedJob, Floor, Operation
from pgqueue.operations.claiming import QUANTUM
from pgqueue.operations.leases import BLOCK, draw_block
from pgqueue.worker.agents.cursor import Cursor
from pgqueue.worker.agents.listener import DEAF_POLL_SECONDS, Listener
from pgqueue.worker.agents.unheard import Unheard
from pgqueue.worker.connection import TROUBLE, ReconnectingConnection
from pgqueue.worker.life import Life
from pgqueue.worker.running.executor import Executor
from pgqueue.worker.service import Service, happens, log

T = TypeVar("T")
U = TypeVar("U")
BATCH = 2_000
QUIET_SECONDS = 1.0


class Ask(Protocol):
    """Carries out a claim, in one way or another."""

    async def __call__(self, operation: Operation[T], /) -> T: ...


class Fetcher(Service):
    """Claims jobs, queue after queue, whenever there is room and may be work.

    When a queue runs dry, we look for a moment as often as jobs came from it, then with growing
    gaps. When it has been idle for a while, we ask to be notified, and still look with growing
    gaps, in the end every *poll_interval*. A transaction that was open when we fell asleep notifies
    nobody; its job is found after about as long as the transaction lasted. A lost notification
    delays a job by no more than the interval.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        listener: Listener,
        life: Life,
        executor: Executor,
        queues: Mapping[str, int | None],
        poll_interval: float,
        sleep_after: float,
        max_jobs: int | None = None,
    ) -> None:
        self._line = line
        self._listener = listener
        self._life = life
        self._executor = executor
        self._cursors = {name: Cursor(name, limit) for name, limit in queues.items()}
        self._turn = itertools.cycle(self._cursors.values())
        self._poll_interval = poll_interval
        self._sleep_after = sleep_after
        self._woken = asyncio.Event()
        self._leases = iter(range(0))
        self._unheard: dict[int, Unheard] = {}  # by lease
        self._claiming = asyncio.Lock()
        self._stopped = False
        self._asleep_until = inf
        self._claimed = asyncio.Event()
        self._max_jobs = max_jobs
        self.enough = asyncio.Event()
        self.taken = 0
        self._quiet = False
        listener.drops.append(self._drop)

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

    def serve(self, queues: Mapping[str, int | None]) -> None:
        """From now on claims from *queues* as well."""
        new = {name: Cursor(name, limit) for name, limit in queues.items()}
        self._cursors = {**new, **self._cursors}
        self._turn = itertools.cycle(list(self._cursors.values()))
        self._woken.set()

    def leave(self, queues: Collection[str]) -> None:
        """Claims no more from *queues*."""
        for name in queues:
            self._rise(self._cursors.pop(name))
        self._turn = itertools.cycle(list(self._cursors.values()))

    def idle(self, seconds: float) -> set[str]:
        """The queues that have had no job for *seconds*."""
        since = monotonic() - seconds
        return {name for name, cursor in self._cursors.items() if cursor.idle_since < since}

    def quiet(self, quiet: bool) -> None:
        """Claims nothing, from now on or no longer; what was claimed before runs."""
        if quiet != self._quiet:
            log.info("asked to claim nothing more" if quiet else "asked to claim again")
            self._quiet = quiet
            self.look()

    def ended(self, *, but: Cursor | None = None) -> None:
        """Jobs of ours have ended: queues that were at their limit may allow another job now."""
        for cursor in self._cursors.values():
            if cursor.in_turn and cursor is not but:
                cursor.freed()
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
            await self._recall_unheard()
            if self._executor.full:
                for each in self._cursors.values():
                    self._rise(each)
            room = await self._executor.room()
            await self._life.certainly()
            if self._max_jobs is not None and self.taken >= self._max_jobs and not self._unheard:
                self.enough.set()
                return
            if self._quiet:
                await self._rest()
                continue
            cursor = self._ready(monotonic())
            if cursor is None:
                await self._wait()
                continue
            if self._claiming.locked():  # a claim sent together with outcomes uses some of the room
                async with self._claiming:
                    continue
            limit = self._limit(cursor, room)
            if limit > 0:
                async with self._claiming:
                    await self._claim(cursor, limit, self._line.execute)
                self._doze(cursor)  # here too: of very many queues, one is always due
            else:
                cursor.full(monotonic() + self._longest_gap(cursor))

    def _limit(self, cursor: Cursor, room: int) -> int:
        limit = min(room, BATCH, self._executor.room_in(cursor.name, cursor.limit))
        return limit if self._max_jobs is None else min(limit, self._max_jobs - self.taken)

    async def claim_behind(self, line: ReconnectingConnection, ends: Operation[T]) -> T:
        """Carries out *ends*, which ends jobs, on *line*. A claim that waits only for that is sent
        in the same round trip, so a queue that runs one job after the other needs one round trip a
        job instead of two."""
        cursor = self._behind(line)
        limit = self._limit(cursor, self._executor.free) if cursor is not None else 0
        if cursor is None or limit <= 0:
            answer = await line.execute(ends)
            self.ended()
            return answer
        answers: list[T] = []

        async def ask(claim: Operation[U], /) -> U:
            answer, claimed = await line.execute_both(ends, claim)
            answers.append(answer)
            return claimed

        async def hand_over(lease: int) -> list[ClaimedJob] | None:
            where = (cursor.name, self._listener.worker, lease, limit)
            answer, claimed = await line.execute(operations.hand_over(ends, *where))
            answers.append(answer)
            return claimed

        async with self._claiming:
            try:
                if cursor.hands_over(monotonic()):
                    await self._take_over(cursor, hand_over)
                else:
                    await self._claim(cursor, limit, ask)
            except TROUBLE:
                raise
            except Exception as error:  # if the claim failed, the next one fails too
                log.debug("outcomes and a claim failed together: %s", error)
                self.look(cursor.name)
        if not answers:
            answer = await line.execute(ends)
            self.ended()
            return answer
        if cursor.poll_at < self._asleep_until or self._max_jobs is not None:
            self._woken.set()
        self.ended(but=cursor)
        return answers[0]

    def _behind(self, line: ReconnectingConnection) -> Cursor | None:
        """The queue whose claim should be sent together with outcomes on *line*."""
        if self._stopped or self._quiet or self._claiming.locked():
            return None
        if not line.pairs or not self._life.certain:
            return None
        now = monotonic()
        return next((each for each in self._cursors.values() if each.waits_for_an_end(now)), None)

    def _longest_gap(self, cursor: Cursor) -> float:
        woken = self._listener.wakes(cursor.name)
        return self._poll_interval if woken else min(self._poll_interval, DEAF_POLL_SECONDS)

    async def stop(self) -> None:
        """Claims nothing more. A claim under way is awaited: the jobs that it takes must not be
        left behind."""
        self._stopped = True
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
            self._doze(cursor)
        soonest = min((cursor.poll_at for cursor in self._cursors.values()), default=now + 1)
        soonest = min((soonest, *(unheard.ask_at for unheard in self._unheard.values())))
        self._asleep_until = soonest
        await happens(self._woken, max(0.0, soonest - now))
        self._woken.clear()

    def _doze(self, cursor: Cursor) -> None:
        """Asks to be notified of a queue that has been idle for a while, or no longer asks."""
        if cursor.often_notified or not self._listener.hears:
            self._rise(cursor)
        elif not cursor.asleep and monotonic() - cursor.idle_since >= self._sleep_after:
            cursor.asleep = True
            self._listener.sleep_on(cursor.name)

    async def _rest(self) -> None:
        """Waits as a quiet worker, which wants no notification but still recalls its lost
        claims."""
        for cursor in self._cursors.values():
            self._rise(cursor)
        await happens(self._woken, QUIET_SECONDS)
        self._woken.clear()

    async def _claim(self, cursor: Cursor, limit: int, ask: Ask) -> None:
        worker = self._listener.worker
        began = monotonic()
        bottom = cursor.from_bottom(began)
        lease = self._lease()
        share = None if cursor.in_turn else cursor.share.due(limit, began)
        lower, limit = share or (None, limit)
        turn: ClaimedInTurn | None = None
        floors: list[Floor] = []
        if not bottom or lower is not None:
            floors = [Floor(*floor) for floor in sorted(cursor.floors.items())]
        if cursor.in_turn:
            asking = operations.claim_in_turn(
                *(cursor.name, worker, lease, limit),
                after=cursor.after,
                quantum=max(QUANTUM, self._executor.pace.quantum),
                counting=cursor.counting,
            )
            turn = await self._answer(lease, ask(asking))
            jobs = turn.jobs
        else:
            where = (cursor.name, worker, lease, limit)
            plain = operations.claim(*where, floors=floors, lower=lower)
            jobs = await self._answer(lease, ask(plain))
        if not self._is_ours(lease):
            return
        if turn is not None:
            cursor.took_in_turn(turn, limit, began)
        elif lower is not None:
            cursor.took_lower(jobs, limit, lower, began)
        else:
            cursor.took(jobs, limit, bottom, began)
        self._take(cursor, jobs, began)
        if cursor.asks_for_terms(jobs):
            await self._ask_for_terms(cursor)

    async def _take_over(
        self, cursor: Cursor, hand_over: Callable[[int], Awaitable[list[ClaimedJob] | None]]
    ) -> None:
        """Claims by *hand_over*, under a lease."""
        began = monotonic()
        lease = self._lease()
        jobs = await self._answer(lease, hand_over(lease))
        if self._is_ours(lease):
            cursor.took_over(jobs, began)
            self._take(cursor, jobs or [], began)

    async def _answer(self, lease: int, asking: Awaitable[T]) -> T:
        """Awaits the answer to a claim under *lease*."""
        # Noted before the store is asked, so that the claim can be lost at no moment.
        unheard = self._unheard[lease] = Unheard()
        try:
            return await asking
        except StoreBusy:  # the claim was undone as a whole
            del self._unheard[lease]
            raise
        except BaseException:
            # The claim may have been carried out, or still be. Then we hold jobs that nobody here
            # runs, so `_recall_unheard` asks for them.
            unheard.lost()
            self._leases = iter(range(0))
            raise

    def _is_ours(self, lease: int) -> bool:
        """Whether the claim that was answered was made under our present worker id."""
        return self._unheard.pop(lease, None) is not None

    def _take(self, cursor: Cursor, jobs: list[ClaimedJob], began: float) -> None:
        cursor.poll_at = min(cursor.poll_at, monotonic() + self._longest_gap(cursor))
        if cursor.saturated:
            self._rise(cursor)
        self._executor.take(jobs, began)
        self.taken += len(jobs)
        self._claimed.set()

    async def _ask_for_terms(self, cursor: Cursor) -> None:
        terms = await self._line.execute(operations.turns([cursor.name]))
        limited, cursor.share.part = terms.get(cursor.name, (False, 0.0))
        if limited:
            cursor.served_in_turn()
            cursor.look()

    def awaits(self, lease: int) -> bool:
        """Whether the claim under *lease* is under way, or its fate is still unknown."""
        unheard = self._unheard.get(lease)
        return unheard is not None and monotonic() < unheard.late_at

    def _drop(self) -> int:
        """The store is another one: forget our claims, and where the work begins."""
        self._unheard.clear()
        self._leases = iter(range(0))
        for cursor in self._cursors.values():
            cursor.floors.clear()
        return 0

    def forget(self, lease: int) -> None:
        """The jobs that the claim under *lease* took are being handed back."""
        self._unheard.pop(lease, None)

    @property
    def empty_handed(self) -> bool:
        """Whether we know of all jobs that our claims took."""
        return not self._unheard

    async def _recall_unheard(self) -> None:
        """Takes up the jobs of claims whose answers were lost. It asks until the store answers, and
        once more when the claim can no longer be under way, since it may be carried out after the
        first answer."""
        for lease, unheard in list(self._unheard.items()):
            if unheard.ask_at > monotonic():
                continue
            late = unheard.late_at <= monotonic()
            unheard.asks()
            began = monotonic()
            jobs = await self._line.execute(operations.recall(self._listener.worker, lease))
            if lease not in self._unheard:
                continue
            new = [job for job in jobs if job.id not in unheard.heard]
            self._executor.take(new, began)
            self.taken += len(new)
            if late:
                del self._unheard[lease]
            else:
                unheard.heard |= {job.id for job in new}
                unheard.ask_at = unheard.late_at

    def _rise(self, cursor: Cursor) -> None:
        """From now on we look often enough by ourselves: nobody has to notify us."""
        if cursor.asleep:
            cursor.asleep = False
            cursor.look()
            self._listener.rise_from(cursor.name)

    def _lease(self) -> int:
        for lease in self._leases:
            return lease
        first = draw_block()
        self._leases = iter(range(first + 1, first + BLOCK))
        return first
