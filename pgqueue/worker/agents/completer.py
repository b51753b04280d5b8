"""The Completer: sends outcomes in batches, as soon as the previous batch is durable."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol, TypeVar

import msgspec

from pgqueue import operations
from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.plans import carry_out_async
from pgqueue.errors import LeaseLost, StoreBusy, StoreUnavailable
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, Completed, CompletedLeases, Failed, Operation, Released
from pgqueue.worker.agents.held_outcomes import Ending, HeldOutcomes, Name
from pgqueue.worker.agents.reports import Reports
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.running import failures
from pgqueue.worker.service import Service, happens, log

T = TypeVar("T")
BATCH = 2_000
WARY_SECONDS = 10.0
MOMENT = 0.05
SPOILED_RETRY = timedelta(minutes=1)
_VERBS: dict[type, Callable[..., Operation[Any]]] = {
    Completed: operations.complete,
    Failed: operations.fail,
    Released: operations.release,
}


class Send(Protocol):
    """Carries out operations that end jobs on a connection, and tells those who wait for an end."""

    async def __call__(self, line: ReconnectingConnection, ends: Operation[T], /) -> T: ...


class Completer(Service):
    """Sends outcomes. It needs no timer: while one batch is sent, the next gathers, so a busy
    worker batches by itself, and an idle one adds no latency.

    Another transaction may lock a job, or a child of it, until it ends: one that adds a child to
    the job, say. The outcomes of other jobs must not wait for that. The first batch that meets such
    a lock waits a quarter of a second, as a worker's connection does for any lock. For some time
    after that the Completer is *wary*: it first asks, without waiting, which jobs are locked, and
    puts their outcomes aside. Outcomes that were put aside, or refused by the store, are tried
    again after growing waits, and never in a batch with others. Such tries, and outcomes that need
    a transaction each, get a short time between two batches.

    The store's answer, who deals with it, and where the outcome goes:

    ====================================  ============  =========================================
    taken, or the lease was lost          `_heard`      nowhere: it is over, the latter is logged
    somebody holds the job                `_without`    aside, for another try
    none, to a transaction of its own     `_put_aside`  aside: to ask twice does no harm
    refused, with others or for a lock    `_refused`    aside, in halves, until it is alone
    refused, alone                        `_spoiled`    away: the attempt counts as failed instead
    the lease was lost, with jobs to add  `_send_lost`  once more, without those jobs
    ====================================  ============  =========================================

    A job's last report is sent before its outcome, which ends its lease; all other reports are sent
    after the outcomes. *send* carries out completions, and may send a claim in the same round trip.
    *freed* is called with each queue in which an outcome has made children available. Each function
    of *confirmed* is called with the outcomes that were sent and the names of those that the store
    has accepted.
    """

    def __init__(
        self,
        line: ReconnectingConnection,
        keep: frozenset[State],
        freed: Callable[[str], None],
        confirmed: Sequence[Callable[[Sequence[Ending], Collection[Name]], None]] = (),
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._line = line
        self._keep = keep
        self._freed = freed
        self._confirmed = confirmed
        self._ended = ended
        self.send: Send | None = None
        self._endings: list[Ending] = []
        self._sending: Sequence[Ending] = ()
        self._alone: deque[Ending] = deque()
        self._aside = HeldOutcomes()
        self._additions: dict[Name, tuple[ClaimedJob, Completion]] = {}
        self._reports = Reports(line, BATCH)
        self._wary_until = 0.0
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, ending: Ending) -> None:
        if not self._endings:  # the first of a batch; for the others both are set
            self._ready.set()
            self._idle.clear()
        self._endings.append(ending)

    def add_with_jobs(self, job: ClaimedJob, completed: Completed, additions: Completion) -> None:
        """Adds a completion; the jobs of *additions* appear if, and only if, it is accepted."""
        completion = msgspec.structs.replace(additions, result=completed.result)
        self._additions[job.id, job.lease] = (job, completion)
        self._alone.append(completed)
        self._ready.set()
        self._idle.clear()

    def report(self, id: int, lease: int, progress: str) -> None:
        """Only the latest report of a job is sent."""
        self._reports.add((id, lease), progress)
        self._ready.set()

    def owes(self, id: int, lease: int) -> bool:
        """Whether this job has ended here and the store does not know it yet."""
        waiting = (*self._sending, *self._endings, *self._alone, *self._aside)
        return any(ending.held == (id, lease) for ending in waiting)

    async def finish(self) -> None:
        """Returns when everything that was added is durable."""
        await self._idle.wait()

    async def run(self) -> None:
        self._put_aside(self._sending)  # unanswered, if a bug of ours ended the last turn
        self._ready.set()  # and that turn may have left more
        while True:
            await self._wait()
            self._ready.clear()
            while self._endings or self._alone or self._aside.due() or self._reports.due():
                batch, self._endings = self._endings[:BATCH], self._endings[BATCH:]
                if batch:
                    await self._send_batch(batch)
                if self._alone:
                    await self._send_alone()
                if self._aside.due():
                    await self._try_again()
                if self._reports.due():
                    await self._reports.send()
            if not self._aside:
                self._idle.set()

    async def _wait(self) -> None:
        """Until there is something to send."""
        seconds = self._reports.seconds()
        if self._aside:
            until = self._aside.seconds()
            seconds = until if seconds is None else min(seconds, until)
        if seconds is None:
            await self._ready.wait()
        else:
            await happens(self._ready, seconds)

    async def _send_batch(self, batch: Sequence[Ending]) -> None:
        self._sending = batch
        endings = await self._reported(batch)
        if self._is_wary:
            await self._send_free(endings)
        else:
            for alike in _by_kind(endings):
                try:
                    await self._send(alike)
                except StoreBusy:
                    self._be_wary()
                    await self._send_free(alike)
                except Exception as error:
                    self._refused(alike, error)
        self._sending = ()

    async def _send_alone(self) -> None:
        """Sends outcomes that need a transaction each, for a short time; the rest waits for the
        next one."""
        until = monotonic() + MOMENT
        while self._alone and monotonic() < until:
            ending = self._alone.popleft()
            self._sending = [ending]
            if await self._reported(self._sending):
                await self._try([ending], wary=self._is_wary)
            self._sending = ()

    async def _try_again(self) -> None:
        """Tries outcomes that were put aside, for a short time; the rest waits for the next one."""
        until = monotonic() + MOMENT
        while self._aside.due() and monotonic() < until:
            taken, suspect = self._aside.take(BATCH)
            self._sending = taken
            endings = await self._reported(taken)
            if not suspect:
                await self._send_free(endings)
            elif endings:
                await self._try(endings, wary=True)
            self._sending = ()

    async def _reported(self, endings: Sequence[Ending]) -> Sequence[Ending]:
        """Sends the last report of each job, and returns the endings that may be sent now. The
        others are put aside, since another transaction holds their jobs."""
        if not self._reports:
            return endings
        held = await self._reports.send_of([ending.held for ending in endings])
        return self._without(endings, held) if held else endings

    async def _send(self, alike: Sequence[Any]) -> None:
        operation = _VERBS[type(alike[0])](alike, keep=self._keep)
        if type(alike[0]) is Completed and self.send is not None:
            with contextlib.suppress(StoreUnavailable):
                self._heard(alike, await self.send(self._line, operation))
                return
            await asyncio.sleep(0.1)
        self._taken(alike, await self._line.insist(operation))

    async def _send_free(self, endings: Sequence[Ending]) -> None:
        """Sends the endings whose jobs nobody holds, and puts the others aside. It puts all of them
        aside if the store cannot even say which jobs are held, as when a table is locked."""
        if not endings:
            return
        try:
            held = await self._line.insist(_busy(endings))
        except StoreBusy as busy:
            log.debug("the store cannot say which jobs are held: %s", busy)
            self._put_aside(endings)
            return
        except Exception as error:
            self._refused(endings, error)
            return
        if held:
            self._be_wary()
            endings = self._without(endings, held)
        for alike in _by_kind(endings):
            try:
                await self._send(alike)
            except Exception as error:
                self._refused(alike, error)

    async def _try(self, endings: Sequence[Ending], *, wary: bool) -> None:
        """Sends *endings* in one transaction of their own. If *wary*, the transaction first asks
        which of them are held, and after that waits only briefly for a lock."""
        held: set[Name] = set()
        asked = False
        try:
            async with self._line.transaction() as executor:
                if wary:
                    held, asked = await executor.execute(_busy(endings)), True
                free = _by_kind([ending for ending in endings if ending.held not in held])
                said = [(alike, await self._carry_out(alike, executor)) for alike in free]
        except StoreUnavailable:  # perhaps it was carried out; asking twice does no harm
            await asyncio.sleep(0.1)
            self._put_aside(endings)
        except LeaseLost:  # rolled back; perhaps an earlier try has completed the job
            await self._send_lost(endings)
        except StoreBusy as busy:
            self._be_wary()
            if asked:
                self._refused(endings, busy)
            else:
                self._put_aside(endings)
        except Exception as error:
            self._refused(endings, error)
        else:
            self._without(endings, held)
            for alike, answers in said:
                self._taken(alike, answers)

    async def _carry_out(
        self, alike: Sequence[Any], executor: AsyncOperationRunner
    ) -> Collection[Name]:
        name = alike[0].held
        if name not in self._additions:
            verb = _VERBS[type(alike[0])]
            return await executor.execute(verb(alike, keep=self._keep))
        plan = operations.completing(*self._additions[name], self._keep)
        await carry_out_async(plan, executor.execute)
        return {name}

    async def _send_lost(self, endings: Sequence[Ending]) -> None:
        """Sends once more, without their additions, completions that found their lease gone. An
        earlier try may have succeeded, and only its answer was lost: then the store says that the
        job is completed, and its additions are stored too."""
        try:
            await self._send(endings)
        except Exception as error:
            self._refused(endings, error)

    @property
    def _is_wary(self) -> bool:
        return monotonic() < self._wary_until

    def _be_wary(self) -> None:
        self._wary_until = monotonic() + WARY_SECONDS

    def _without(self, endings: Sequence[Ending], held: Collection[Name]) -> Sequence[Ending]:
        """Puts aside those of *endings* that are *held*; returns the others."""
        self._put_aside(ending for ending in endings if ending.held in held)
        return [ending for ending in endings if ending.held not in held]

    def _put_aside(self, endings: Iterable[Ending]) -> None:
        """Another transaction holds rows that these endings need."""
        for ending in endings:
            if ending.held in self._additions:
                self._aside.suspected([ending])
            else:
                self._aside.held(ending)

    def _refused(self, endings: Sequence[Ending], error: Exception) -> None:
        """The store did not take at least one of *endings*; trying halves shows which."""
        if len(endings) > 1 or isinstance(error, StoreBusy):
            self._aside.suspected(endings)
        else:
            self._spoiled(endings[0], error)

    def _taken(self, endings: Sequence[Ending], answers: Collection[Name]) -> None:
        self._ended()
        self._heard(endings, answers)

    def _heard(self, endings: Sequence[Ending], answers: Collection[Name]) -> None:
        self._conclude(endings, answers)
        for confirmed in self._confirmed:
            confirmed(endings, answers)

    def _conclude(self, endings: Sequence[Ending], answers: Collection[Name]) -> None:
        self._aside.done(endings)
        if self._additions:
            for ending in endings:
                self._additions.pop(ending.held, None)
        if type(answers) is CompletedLeases:
            for queue in answers.freed:
                self._freed(queue)
        if len(answers) == len(endings):
            return
        for ending in endings:
            if ending.held not in answers:
                log.warning("job %d: finished too late, it was another worker's by then", ending.id)

    def _spoiled(self, ending: Ending, error: Exception) -> None:
        """The store refuses the task's result or error: the attempt counts as failed. Dropping the
        ending would be worse: the job would stay running, and nobody would rescue it, since its
        worker lives."""
        if isinstance(ending, Released) or getattr(ending, "reason", None) is failures.UNSTORABLE:
            self._put_aside([ending])
            return
        log.error("job %d: its outcome cannot be stored: %s", ending.id, error)
        self._conclude([ending], {ending.held})
        if isinstance(ending, Failed):  # the end stays; only its text is replaced
            said = failures.unstorable(error)
            self.add(msgspec.structs.replace(ending, reason=failures.UNSTORABLE, error=said))
        else:
            reason, document = failures.reason(error), failures.document(error)
            self.add(Failed(*ending.held, "retry", SPOILED_RETRY, reason, document))


def _by_kind(endings: Sequence[Ending]) -> Iterator[Sequence[Ending]]:
    """*endings* in groups, each for one statement."""
    if len(set(map(type, endings))) == 1:
        yield endings
        return
    for kind in _VERBS:
        if alike := [ending for ending in endings if type(ending) is kind]:
            yield alike


def _busy(endings: Sequence[Ending]) -> Operation[set[Name]]:
    staying = [
        ending.held
        for ending in endings
        if type(ending) is Released or (type(ending) is Failed and ending.verdict == "retry")
    ]
    return operations.locked([ending.held for ending in endings], staying=staying)
