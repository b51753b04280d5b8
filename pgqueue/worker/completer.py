"""The Completer: sends outcomes in batches, as soon as the previous batch is durable."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container
from datetime import timedelta
from math import inf
from time import monotonic
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
    as_json,
)
from pgqueue.worker.line import Line
from pgqueue.worker.service import Service, log

BATCH = 500
Ending: TypeAlias = Completed | Failed | Released
_VERBS: dict[type, Callable[..., Operation[Any]]] = {
    Completed: operations.complete,
    Failed: operations.fail,
    Released: operations.release,
}


class Completer(Service):
    """Sends outcomes. No timer: a busy worker batches by itself, an idle one adds no latency.

    *settled* is called for each job whose outcome is durable, or whose lease was lost; *freed* for
    each queue in which that has let children run.
    """

    def __init__(
        self,
        line: Line,
        keep: frozenset[State],
        settled: Callable[[int, int], None],
        freed: Callable[[str], None],
    ) -> None:
        self._line = line
        self._keep = keep
        self._settled = settled
        self._freed = freed
        self._endings: list[Ending] = []
        self._with_jobs: deque[tuple[ClaimedJob, Completion]] = deque()
        self._progress: dict[tuple[int, int], str] = {}
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.idle_at = monotonic()

    def add(self, ending: Ending) -> None:
        self._endings.append(ending)
        self._busy()

    def add_with_jobs(self, job: ClaimedJob, completed: Completed, additions: Completion) -> None:
        """*additions* appear if, and only if, the completion is accepted."""
        completion = msgspec.structs.replace(additions, result=completed.result)
        self._with_jobs.append((job, completion))
        self._busy()

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
            while self._endings or self._with_jobs or self._progress:
                batch, self._endings = self._endings[:BATCH], self._endings[BATCH:]
                for kind in (Completed, Failed, Released):
                    if alike := [ending for ending in batch if type(ending) is kind]:
                        await self._send(alike)
                if self._with_jobs:
                    await self._send_with_jobs(*self._with_jobs.popleft())
                if self._progress:
                    reports, self._progress = self._progress, {}
                    rows = [Progress(id, lease, text) for (id, lease), text in reports.items()]
                    await self._line.insist(operations.progress(rows))
            if not self._endings:
                self.idle_at = monotonic()
                self._idle.set()

    def _busy(self) -> None:
        self._ready.set()
        self._idle.clear()
        self.idle_at = inf

    async def _send(self, endings: list[Any]) -> None:
        """Sends outcomes of one kind; one that somebody else blocks must not hold up the others."""
        verb = _VERBS[type(endings[0])]
        try:
            answers = await self._line.insist(verb(endings, keep=self._keep))
        except Exception as error:
            if len(endings) > 1:
                for ending in endings:
                    await self._send([ending])
            elif isinstance(error, StoreBusy):
                asyncio.get_running_loop().call_later(1, self.add, endings[0])
            else:
                self._spoiled(endings[0], error)
            return
        for ending in endings:
            self._conclude((ending.id, ending.lease), answers)
        if type(answers) is Told:
            for queue in answers.freed:
                self._freed(queue)

    async def _send_with_jobs(self, job: ClaimedJob, completion: Completion) -> None:
        """One transaction; when its commit's answer is lost, the second asking finds the job
        completed."""
        completed = Completed(job.id, job.lease, completion.result)
        answer = Told({(job.id, job.lease): True})
        while True:
            try:
                async with self._line.transaction() as executor:
                    plan = operations.completing(job, completion, self._keep)
                    await carry_out_async(plan, executor.execute)
                break
            except (StoreUnavailable, StoreBusy):
                await asyncio.sleep(0.1)
            except LeaseLost:  # and rolled back: was it completed, by an earlier asking?
                again = operations.complete([completed], keep=self._keep)
                answer = await self._line.insist(again)
                break
            except Exception as error:
                self._spoiled(completed, error)
                return
        self._conclude((job.id, job.lease), answer)

    def _conclude(self, name: tuple[int, int], answers: Container[tuple[int, int]]) -> None:
        if name not in answers:
            log.warning("job %d: finished too late, it was another worker's by then", name[0])
        self._settled(*name)

    def _spoiled(self, ending: Ending, error: Exception) -> None:
        """The store refuses what the task returned: the attempt has failed."""
        log.error("job %d: its outcome cannot be stored: %s", ending.id, error)
        if isinstance(ending, Completed):
            text = as_json({"type": type(error).__name__, "message": str(error)})
            self.add(Failed(ending.id, ending.lease, "retry", timedelta(minutes=1), None, text))
        else:
            self._settled(ending.id, ending.lease)
