"""Tasks that this worker does not know: how long their jobs are kept away from it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from datetime import timedelta
from math import inf
from time import monotonic

from pgqueue.errors import PgqueueError
from pgqueue.operations import ClaimedJob, inspections
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.service import log

LONGEST_SECONDS = 60.0
SOON_SECONDS = 1.0
BACK_A_SECOND = 100
ASK_SECONDS = 5.0


class UnknownTasks:
    """How long jobs of an unknown task are put off. During a deploy, others may know the task.

    While a live worker knows the task, such a job becomes available again after about a second, for
    that worker to claim; while none does, after ever longer waits. Many such jobs become available
    one by one: together they would be claimed here again and again, before the jobs that this
    worker can run.
    """

    def __init__(self, line: ReconnectingConnection) -> None:
        self._line = line
        self._seen: Counter[str] = Counter()
        self._known: set[tuple[str, str]] = set()
        self._asked_at = -inf
        self._asking = asyncio.Lock()
        self._last_back_at = 0.0

    async def delay_for(self, job: ClaimedJob) -> timedelta:
        """How long *job* is to be kept away from us."""
        self._seen[job.task] += 1
        if self._seen[job.task] == 1:
            log.warning(
                "job %d: no task %r here; handing it and others like it back", job.id, job.task
            )
        if await self._is_known(job):
            self._seen[job.task] = 1
            seconds = SOON_SECONDS * random.uniform(0.5, 1.5)  # not all in one claim of ours
        else:
            seconds = min(LONGEST_SECONDS, 2.0 ** min(self._seen[job.task] - 1, 6))
        now = monotonic()
        queued = max(self._last_back_at, now) + 1 / BACK_A_SECOND
        self._last_back_at = min(queued, now + LONGEST_SECONDS)
        return timedelta(seconds=max(seconds, self._last_back_at - now))

    async def _is_known(self, job: ClaimedJob) -> bool:
        """Whether a worker that is present serves the job's queue and knows its task. The store is
        asked only now and then."""
        async with self._asking:
            if monotonic() - self._asked_at > ASK_SECONDS:
                with contextlib.suppress(PgqueueError):
                    present = await self._line.execute(inspections.workers())
                    self._known = {
                        (queue, task)
                        for worker in present
                        for queue in worker.queues
                        for task in worker.info.get("tasks", ())
                    }
                self._asked_at = monotonic()
        return (job.queue, job.task) in self._known
