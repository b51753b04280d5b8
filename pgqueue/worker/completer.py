"""The Completer: sends outcomes in batches, as soon as the previous batch is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec

from pgqueue import operations
from pgqueue.backends.base import carry_out_async
from pgqueue.errors import LeaseLost, StoreBusy, StoreUnavailable
from pgqueue.hands import Completion
from pgqueue.jobs import State
from pgqueue.operations import (
    ClaimedJob,
    Completed,
    Failed,
    Operation,
    Progress,
    Released,
    Told,
)
from pgqueue.worker import failures
from pgqueue.worker.line import Line
from pgqueue.worker.service import Service, log

BATCH = 2_000
FIRST_GAP = 0.2
LONGEST_GAP = 5.0
SPOILED_RETRY = timedelta(minutes=1)
Ending: TypeAlias = Completed | Failed | Released
Name: TypeAlias = tuple[int, int]
_VERBS: dict[type, Callable[..., Operation[Any]]] = {
    Completed: operations.complete,
    Failed: operations.fail,
    Released: operations.release,
}


class Completer(Service):
    """Sends outcomes. No timer: a busy worker batches by itself, an idle one adds no latency.

    A job may be held by somebody else's transaction, for as long as that lasts: one that adds a
    child to it, say. Such an outcome is put aside and tried again later, alone, and ever later.
    *freed* is called for each queue in which an outcome has let children run.
    """

    def __init__(self, line: Line, keep: frozenset[State], freed: Callable[[str], None]) -> None:
        self._line = line
        self._keep = keep
        self._freed = freed
        self._endings: list[Ending] = []
        self._again: list[Ending] = []
        self._gaps: dict[Name, float] = {}  # of what was put aside: seconds until it is tried again
        self._additions: dict[Name, tuple[ClaimedJob, Completion]] = {}
        self._progress: dict[Name, str] = {}
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, ending: Ending) -> None:
        self._endings.append(ending)
        self._ready.set()
        self._idle.clear()

    def add_with_jobs(self, job: ClaimedJob, completed: Completed, additions: Completion) -> None:
        """*additions* appear if, and only if, the completion is accepted."""
        completion = msgspec.structs.replace(additions, result=completed.result)
        self._additions[job.id, job.lease] = (job, completion)
        self.add(completed)

    def report(self, id: int, lease: int, progress: str) -> None:
        """Only the latest report of a job is sent."""
        self._progress[id, lease] = progress
        self._ready.set()

    async def finish(self) -> None:
        """Returns when everything that was added is durable."""
        await self._idle.wait()

    async def run(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._endings or self._again or self._progress:
                # Taken in one moment, and reports go first: they are heard while the lease holds.
                batch, self._endings = self._endings[:BATCH], self._endings[BATCH:]
                again, self._again = self._again, []
                reports, self._progress = self._progress, {}
                await self._report(reports)
                await self._send_all([*await self._free(again), *batch])
            if not self._gaps:
                self._idle.set()

    async def _report(self, reports: Mapping[Name, str]) -> None:
        rows = [Progress(id, lease, text) for (id, lease), text in reports.items()]
        if rows:
            try:
                await self._line.insist(operations.progress(rows))
            except Exception as error:
                log.warning("the progress of %d jobs was not kept: %s", len(rows), error)

    async def _send_all(self, endings: Sequence[Ending]) -> None:
        alone: list[Ending] = []
        if self._additions:
            alone = [ending for ending in endings if ending.held in self._additions]
            endings = [ending for ending in endings if ending.held not in self._additions]
        for kind in _VERBS:
            if alike := [ending for ending in endings if type(ending) is kind]:
                await self._send(alike)
        for ending in await self._free(alone):  # a transaction each: do not wait in each
            await self._send([ending])

    async def _send(self, endings: Sequence[Any]) -> None:
        """Sends outcomes of one kind; what is wrong with one of them must not hold up the
        others."""
        name = endings[0].held
        try:
            if name in self._additions:
                answers = await self._complete_with_jobs(*self._additions[name])
            else:
                verb = _VERBS[type(endings[0])]
                answers = await self._line.insist(verb(endings, keep=self._keep))
        except StoreBusy:
            free = await self._free(endings)
            if len(endings) == len(free) == 1:  # it is not the job that is held, but its child
                self._put_aside(free[0])
            elif len(endings) == len(free):
                for ending in free:
                    await self._send([ending])
            elif free:
                await self._send(free)
        except Exception as error:
            if len(endings) > 1:
                for ending in endings:
                    await self._send([ending])
            else:
                self._spoiled(endings[0], error)
        else:
            self._conclude(endings, answers)
            if type(answers) is Told:
                for queue in answers.freed:
                    self._freed(queue)

    async def _free(self, endings: Sequence[Ending]) -> list[Ending]:
        """Those of *endings* whose jobs nobody holds; puts the others aside, and all of them if one
        cannot even ask: the whole table may be held."""
        if not endings:
            return []
        names = [ending.held for ending in endings]
        busy = set(names)
        try:
            busy = await self._line.insist(operations.busy(names))
        except Exception as error:
            log.debug("what is held cannot be said: %s", error)
        for ending in endings:
            if ending.held in busy:
                self._put_aside(ending)
        return [ending for ending in endings if ending.held not in busy]

    def _put_aside(self, ending: Ending) -> None:
        gap = self._gaps.get(ending.held, FIRST_GAP)
        self._gaps[ending.held] = min(2 * gap, LONGEST_GAP)
        asyncio.get_running_loop().call_later(gap, self._try_again, ending)

    def _try_again(self, ending: Ending) -> None:
        self._again.append(ending)
        self._ready.set()

    async def _complete_with_jobs(
        self, job: ClaimedJob, completion: Completion
    ) -> Collection[Name]:
        """One transaction; when its commit's answer is lost, the second asking finds the job
        completed."""
        name = (job.id, job.lease)
        while True:
            try:
                async with self._line.transaction() as executor:
                    plan = operations.completing(job, completion, self._keep)
                    await carry_out_async(plan, executor.execute)
                return {name}
            except StoreUnavailable:
                await asyncio.sleep(0.1)
            except LeaseLost:  # and rolled back: was it completed, by an earlier asking?
                completed = Completed(*name, completion.result)
                return await self._line.insist(operations.complete([completed], keep=self._keep))

    def _conclude(self, endings: Sequence[Ending], answers: Collection[Name]) -> None:
        if self._gaps or self._additions:
            for ending in endings:
                self._gaps.pop(ending.held, None)
                self._additions.pop(ending.held, None)
        if len(answers) == len(endings):
            return
        for ending in endings:
            if ending.held not in answers:
                log.warning("job %d: finished too late, it was another worker's by then", ending.id)

    def _spoiled(self, ending: Ending, error: Exception) -> None:
        """The store refuses what the task said: the attempt has failed. That must not be forgotten,
        even if the store refuses to hear it too: nobody would take the job from us."""
        name = ending.held
        if isinstance(ending, Failed) and ending.retry_in is SPOILED_RETRY:
            self._put_aside(ending)
            return
        log.error("job %d: its outcome cannot be stored: %s", ending.id, error)
        self._conclude([ending], {name})
        reason, document = failures.reason(error), failures.document(error)
        self.add(Failed(*name, "retry", SPOILED_RETRY, reason, document))
