"""The Receiver: takes messages from a broker's queue, and makes jobs of them.

It takes messages, enqueues a batch of them in one transaction, and settles them. While the store
works on one batch, the next is taken and made into jobs; it is stored as soon as the one before is.
So a busy inlet stores large batches, one after the other, and an idle one waits for nothing. A
message is settled only after the commit. If the worker dies earlier, the broker hands the message
out again, and its unique key makes sure that it is the same job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import structs

from pgqueue.bridges import probing
from pgqueue.bridges.base import Received, SourceLine, Unreachable
from pgqueue.bridges.inlet import Inlet
from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.jobs.job import NewJob, State
from pgqueue.jobs.tally import Bridge, Incoming
from pgqueue.operations import inspections
from pgqueue.views.bridges import BridgeState
from pgqueue.worker.service import Service, log

if TYPE_CHECKING:
    from pgqueue.app import App

COUNT_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 5.0
EXAMINE_SECONDS: Final = 15.0
LIVES_SECONDS: Final = 1.0
_WAITING: Final = (State.BLOCKED, State.SCHEDULED, State.AVAILABLE, State.RETRYABLE)
Made: TypeAlias = tuple[Received, list[NewJob[Any]]]
"""A message, and the jobs that it becomes."""


class Receiver(Service):
    """Serves one inlet, on a connection of its own. It never has more in hand than one batch on its
    way to the store and the next one. *tell* is called when its state has changed."""

    def __init__(self, app: App, inlet: Inlet, tell: Callable[[], None]) -> None:
        self._app = app
        self._inlet = inlet
        self._tell = tell
        self._away_since: float | None = None
        self._counted_at = 0.0
        self.paused = False
        self._examined = False
        self._state = BridgeState(
            name=inlet.name,
            kind="inlet",
            place=inlet.source.place,
            queue=inlet.queue,
            high_water=inlet.high_water,
        )
        self._made: list[Made] = []
        self._storing: list[Made] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._counts = Incoming()

    def figures(self) -> list[Bridge]:
        """The inlet's figures; any thread may ask."""
        since = self._away_since
        away = 0.0 if since is None else monotonic() - since
        return [Bridge(self._inlet.name, True, away, self.paused, into=self._counts)]

    def states(self) -> list[BridgeState]:
        """The inlet's state."""
        return [self._state]

    async def run(self) -> None:
        while True:
            await self._below_high_water()
            try:
                line = await self._inlet.source.open()
            except Unreachable as error:
                await self._away(str(error))
                continue
            why = None
            # A broker that accepts connections but hands out nothing still counts as away.
            living = asyncio.get_running_loop().call_later(LIVES_SECONDS, self._back)
            try:
                await self._examine()
                await self._receive(line)
            except Unreachable as error:
                why = str(error)
            finally:  # also while the store is away: the broker keeps what we cannot store
                living.cancel()
                with suppress(Exception):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await line.close()
            if why is not None:
                await self._away(why)

    async def _examine(self) -> None:
        """Notes, once, what is wrong with the source, for people who cannot reach the broker."""
        if self._examined:
            return
        self._examined = True
        with suppress(Exception):
            async with asyncio.timeout(EXAMINE_SECONDS):
                problems = list(await self._inlet.source.examine(self._inlet.keep))
            for problem in problems:
                log.warning("inlet %s: %s", self._inlet.name, problem)
            if problems:
                self._now(problems=problems)

    def _now(self, **changes: Any) -> None:
        self._state = structs.replace(self._state, **changes)
        self._tell()

    async def _receive(self, line: SourceLine) -> None:
        """Returns when the high water is reached, and all that was taken is settled."""
        self._made, self._storing = [], []
        taking = asyncio.ensure_future(self._take(line))
        taking.add_done_callback(lambda _: self._some.set())
        try:
            while await self._has_some(taking):
                self._storing, self._made = self._made, []
                self._room.set()
                await self._keep(line, self._storing)
                self._storing = []
        except BaseException:
            await _ended(taking)
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await line.release([message for message, _ in self._storing + self._made])
            raise
        finally:
            await _ended(taking)

    async def _has_some(self, taking: asyncio.Future[None]) -> bool:
        """Waits for jobs to be stored; returns whether there are some. There are none if *taking*
        has ended; raises the error that ended it."""
        while not self._made:
            if taking.done():
                taking.result()
                return False
            await self._some.wait()
            self._some.clear()
        return True

    async def _take(self, line: SourceLine) -> None:
        """Takes messages, and makes their jobs, until the high water is reached."""
        batch = self._inlet.source.batch
        while not await self._is_high():
            while len(self._made) >= batch:
                self._room.clear()
                await self._room.wait()
            messages = await line.take(batch - len(self._made))
            self._back()
            self._counts.received += len(messages)
            for message in messages:
                self._made.append((message, self._jobs_of(message)))
            self._some.set()

    def _jobs_of(self, message: Received) -> list[NewJob[Any]]:
        jobs = self._inlet.jobs_of(message)
        if jobs[0].task == self._inlet.name:
            log.warning("inlet %s: a message cannot be read: %.80s", jobs[0].task, message.id)
        return jobs

    async def _keep(self, line: SourceLine, made: Sequence[Made]) -> None:
        """Makes jobs of these messages, and settles them. Raises StoreUnavailable, StoreBusy."""
        created = await self._store(made)
        messages = [message for message, _ in made]
        counts = self._counts
        counts.taken += len(messages)
        counts.duplicates += len(messages) - created
        counts.unnamed += sum(message.id is None for message in messages)
        counts.poison += sum(jobs[0].task == self._inlet.name for _, jobs in made)
        await line.settle(messages)

    async def _store(self, jobs: Sequence[Made]) -> int:
        """Enqueues *jobs*; returns how many are new: the others had come before."""
        try:
            handles = await self._app.enqueue_async([job for _, made in jobs for job in made])
        except (StoreUnavailable, StoreBusy):
            raise
        except Exception as error:
            if len(jobs) > 1:  # the store refuses at least one of them
                middle = len(jobs) // 2
                return await self._store(jobs[:middle]) + await self._store(jobs[middle:])
            [(message, _)] = jobs
            log.warning("inlet %s: the store refuses a message: %s", self._inlet.name, error)
            bare = Received(body=message.body)
            job = self._inlet.poisoned(bare, error, message.id)
            self._counts.poison += 1
            return int((await self._app.enqueue_async(job)).created)
        firsts = accumulate((len(made) for _, made in jobs[:-1]), initial=0)
        return sum(handles[first].created for first in firsts)

    async def _below_high_water(self) -> None:
        while True:  # other processes may run the jobs that wait
            if not await self._is_high():
                return
            await asyncio.sleep(COUNT_SECONDS)

    async def _is_high(self) -> bool:
        """Whether too many jobs wait, as far as was counted a second ago."""
        most = self._inlet.high_water
        if most is None or monotonic() - self._counted_at < COUNT_SECONDS:
            return self.paused
        counted = await self._app.execute_async(inspections.count(most + 1))
        queues = self._inlet.queues
        here = (c.count for c in counted.counts if c.queue in queues and c.state in _WAITING)
        high = sum(here) + len(self._made) + len(self._storing) > most
        self._counted_at = monotonic()
        if high != self.paused:
            what = f"pauses: more than {most:,} jobs wait" if high else "goes on"
            log.info("inlet %s: %s", self._inlet.name, what)
            self.paused = high
            self._now(paused_since=datetime.now(UTC) if high else None)
        return high

    async def _away(self, why: str) -> None:
        """The broker is away: says so once, and waits, the longer the longer it is."""
        if self._away_since is None:
            self._away_since = monotonic()
            log.warning("inlet %s: %s", self._inlet.name, why)
            self._now(away_since=datetime.now(UTC), why=why)
        gap = probing.gap(monotonic() - self._away_since)
        next_look_at = datetime.now(UTC) + timedelta(seconds=gap)
        self._state = structs.replace(self._state, why=why, next_look_at=next_look_at)
        await asyncio.sleep(gap)

    def _back(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            self._now(away_since=None, why=None, next_look_at=None)
            log.info("inlet %s: %s is back", self._inlet.name, self._inlet.source.place)


async def _ended(task: asyncio.Future[None]) -> None:
    """Ends *task*, if it has not ended."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # seen: whoever waits for jobs was told
