"""The Announcer: tells the application's handlers how jobs have ended, once the store knows it."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from pgqueue.errors import PgqueueError
from pgqueue.jobs.events import (
    JobCompleted,
    JobDiscarded,
    JobEvent,
    JobRetried,
    JobWasCancelled,
)
from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, Completed, Failed, Rescued, inspections
from pgqueue.tasks.hooks import Handler, named
from pgqueue.worker.agents.held_outcomes import Ending, Name
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.running.run import Run
from pgqueue.worker.running.threads import Threads
from pgqueue.worker.service import Service, log

MOST_WAITING: Final = 1_000
HANDLER_SECONDS: Final = 60.0
_KINDS: Final[Mapping[State, type[JobEvent]]] = {
    State.COMPLETED: JobCompleted,
    State.AVAILABLE: JobRetried,
    State.RETRYABLE: JobRetried,
    State.DISCARDED: JobDiscarded,
    State.CANCELLED: JobWasCancelled,
}
_Pending: TypeAlias = "JobEvent | int"


class Announcer(Service):
    """Calls handlers, one event after the other; a plain function in one of *threads*.

    No agent waits for a handler. While a handler is slow, at most MOST_WAITING events wait here;
    later ones are dropped and counted. A handler that takes a minute is left alone. The Rescuer
    tells only the id of a job that it discarded, so the rest is read on *line* before the handlers
    are called.
    """

    def __init__(
        self, handlers: Sequence[Handler], threads: Threads, line: ReconnectingConnection
    ) -> None:
        self._handlers = handlers
        self._threads = threads
        self._line = line
        self._kinds = tuple({kind for handler in handlers for kind in handler.kinds})
        self._jobs: dict[Name, ClaimedJob] = {}
        self._waiting: deque[_Pending] = deque()
        self._dropped = 0
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def ends(self, run: Run) -> None:
        """The ending of *run* goes to the store."""
        self._jobs[run.job.id, run.job.lease] = run.job

    def lost(self) -> None:
        """No handler is called: the worker that has the job now announces its end."""

    def confirmed(self, endings: Sequence[Ending], answers: Collection[Name]) -> None:
        """The store has accepted those of *endings* that *answers* names."""
        states: Mapping[Any, Any] = answers if isinstance(answers, dict) else {}
        for ending in endings:
            job = self._jobs.pop(ending.held, None)
            if job is None or ending.held not in answers:
                continue
            state = State.COMPLETED if type(ending) is Completed else states[ending.held]
            if type(ending) is Failed or state in (State.COMPLETED, State.CANCELLED):
                reason = ending.reason if isinstance(ending, Failed) else None
                self._add(_event(_KINDS[state], job, reason))

    def rescued(self, jobs: Sequence[Rescued]) -> None:
        """The Rescuer has taken *jobs* from dead workers."""
        for job in jobs:
            if job.state is State.DISCARDED and issubclass(JobDiscarded, self._kinds):
                self._add(job.id)

    async def finish(self) -> None:
        """Returns when everything has been told."""
        await self._idle.wait()

    async def stop(self) -> None:
        await super().stop()
        if lost := len(self._waiting) + self._dropped:
            log.warning("%d events were not told: their handlers were too slow", lost)
            self._waiting.clear()
            self._dropped = 0

    async def run(self) -> None:
        while True:
            await self._ready.wait()
            while self._waiting:
                pending = self._waiting.popleft()
                event = await self._read(pending) if isinstance(pending, int) else pending
                for handler in self._handlers:
                    if event is not None and isinstance(event, handler.kinds):
                        await self._tell(handler, event)
                if self._dropped and len(self._waiting) < MOST_WAITING // 2:
                    log.warning("%d events were dropped: handlers are too slow", self._dropped)
                    self._dropped = 0
            self._ready.clear()
            self._idle.set()

    def _add(self, pending: _Pending) -> None:
        if not isinstance(pending, (int, *self._kinds)):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(pending)
        self._ready.set()
        self._idle.clear()

    async def _tell(self, handler: Handler, event: JobEvent) -> None:
        try:
            async with asyncio.timeout(HANDLER_SECONDS):
                if inspect.iscoroutinefunction(handler.function):
                    answer = handler.function(event)
                else:
                    answer = await self._threads.submit(handler.function, event)
                if inspect.isawaitable(answer):
                    await answer
        except asyncio.CancelledError:
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            log.warning("%s has cancelled itself", named(handler.function))
        except BaseException:  # SystemExit, in somebody's handler, is not the end of the worker
            log.exception("%s failed on %s", named(handler.function), _of(event))

    async def _read(self, id: int) -> JobEvent | None:
        """The event of a job that was discarded; None if it is not kept, nor known any more."""
        try:
            found = (await self._line.insist(inspections.get([id]))).get(id)
        except PgqueueError as error:
            log.warning("job %d was discarded, and nobody told: %s", id, error)
            return None
        if found is None:
            return None
        return JobDiscarded(
            id=id,
            task=found.task,
            queue=found.queue,
            attempt=found.attempt,
            max_attempts=found.max_attempts,
            reason=found.reason,
            tags=found.tags,
            metadata=found.metadata,
            workflow=found.workflow,
        )


def _event(kind: type[JobEvent], job: ClaimedJob, reason: str | None) -> JobEvent:
    return kind(
        id=job.id,
        task=job.task,
        queue=job.queue,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        reason=reason,
        tags=tuple(job.tags or ()),
        metadata=None if job.metadata is None else msgspec.json.decode(job.metadata),
        workflow=job.workflow,
    )


def _of(event: JobEvent) -> str:
    return f"{type(event).__name__} of job {event.id} ({event.task})"
