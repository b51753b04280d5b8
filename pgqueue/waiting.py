"""Waiting for a job's result: woken when it ends, not polling.

Whoever waits says so in the store, then looks once more: the job may have ended in between. A
completion notifies only where somebody waits. In one event loop all that wait share one connection.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
import tenacity

from pgqueue.backends.base import DEAF_WAIT_SECONDS, Backend, Session
from pgqueue.backends.plans import again
from pgqueue.errors import JobFailed, ResultTimeout, StoreBusy, StoreUnavailable, UnknownJob
from pgqueue.jobs.job import FINISHED, Handle, State, job_id
from pgqueue.operations import inspections
from pgqueue.operations.inspections import JobEnd
from pgqueue.operations.topics import ANY_END, end_of, ended

if TYPE_CHECKING:
    from pgqueue.app import App

# For when the connection dies under a question, which may be asked twice; other operations may not.
# The pool gives the next connection, or waits for one.
ASK_AGAIN = again(StoreUnavailable, 3)
FIRST_GAP_SECONDS = 0.005
LONGEST_GAP_SECONDS = 5.0


def result(app: App, job: Handle[Any] | int, timeout: timedelta | float | None) -> Any:
    """See `App.result`."""
    deadline = _deadline(timeout)
    look = tenacity.Retrying(**ASK_AGAIN).wraps(app.execute)
    found = _ended(job, look(inspections.result(job)))
    if found is None:
        with app.backend.listen((ANY_END, end_of(job_id(job)))) as subscription:
            gaps = _growing_gaps()
            while (found := _ended(job, look(inspections.result(job)))) is None:
                subscription.wait(min(_left(job, deadline), next(gaps)))
    return _read(app, job, found)


async def result_async(app: App, job: Handle[Any] | int, timeout: timedelta | float | None) -> Any:
    """See `App.result_async`."""
    deadline = _deadline(timeout)
    look = tenacity.AsyncRetrying(**ASK_AGAIN).wraps(app.execute_async)
    found = _ended(job, await look(inspections.result(job)))
    if found is None:
        waiter = app.waiters.get() or app.waiters.put(Waiter(app.backend))
        async with waiter.waiting(job_id(job)) as woken:
            gaps = _growing_gaps()
            while (found := _ended(job, await look(inspections.result(job)))) is None:
                await woken(min(_left(job, deadline), next(gaps)))
    return _read(app, job, found)


class Waiter:
    """Wakes whoever waits for a job when it finishes. A notification may get lost, so those who
    wait must look now and then by themselves."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._session: Session | None = None
        self._lock = asyncio.Lock()
        self._hears = True
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)

    @asynccontextmanager
    async def waiting(self, job: int) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
        """While inside, the end of *job* is announced to us. Gives a function that waits for it, at
        most so many seconds."""
        event = asyncio.Event()
        self._waiting[job].add(event)

        async def woken(seconds: float) -> None:
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    seconds if self._hears else min(seconds, DEAF_WAIT_SECONDS)
                ):
                    await event.wait()
            event.clear()

        try:
            await self._declare()
            yield woken
        finally:
            self._waiting[job].discard(event)
            if not self._waiting[job]:
                del self._waiting[job]
                await self._declare()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _declare(self) -> None:
        """Says for which jobs we wait; the last one out closes the connection."""
        async with self._lock:
            try:
                if not self._waiting:
                    await self.close()
                    return
                if self._session is None:
                    self._session = self._backend.session(self._wake, self._lost)
                    await self._session.open()
                topics = {ANY_END, *map(end_of, self._waiting)}
                self._hears = await self._session.subscribe(topics)
            except StoreBusy:  # deaf for now: the poll finds it, and the next who waits tries again
                self._hears = False
            except StoreUnavailable:
                self._hears, self._session = False, None

    def _wake(self, topic: str) -> None:
        if (job := ended(topic)) is not None:
            for event in self._waiting.get(job, ()):
                event.set()

    def _lost(self) -> None:
        self._session = None
        for events in self._waiting.values():
            for event in events:
                event.set()


def _ended(job: Handle[Any] | int, end: JobEnd | None) -> JobEnd | None:
    """*end*, or None if the job has not finished. Raises UnknownJob."""
    if end is None:
        raise UnknownJob(f"no job {job_id(job)}; it was never committed, or is past its retention")
    return end if end.state in FINISHED else None


def _read(app: App, job: Handle[Any] | int, end: JobEnd) -> Any:
    """The result in *end*. Raises JobFailed."""
    if end.state != State.COMPLETED:
        error = None if end.error is None else msgspec.json.decode(end.error)
        why = end.reason or (f"{error['type']}: {error['message']}" if error else "no reason given")
        raise JobFailed(
            f"{end.task}: job {job_id(job)} was {end.state}: {why}",
            job_id=job_id(job),
            state=end.state,
            reason=end.reason,
            error=error,
        )
    if (task := app.tasks.get(end.task)) is not None:
        return task.decode_result(end.result)
    return None if end.result is None else msgspec.json.decode(end.result)


def _deadline(timeout: timedelta | float | None) -> float | None:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    return None if seconds is None else monotonic() + seconds


def _growing_gaps() -> Iterator[float]:
    """Seconds between looks. A completion that was about to commit when we declared that we wait
    notifies nobody, so look again soon, then seldom."""
    gap = FIRST_GAP_SECONDS
    while True:
        yield gap
        gap = min(gap * 2, LONGEST_GAP_SECONDS)


def _left(job: Handle[Any] | int, deadline: float | None) -> float:
    """Seconds until *deadline*. Raises ResultTimeout when it has passed."""
    if deadline is None:
        return inf
    left = deadline - monotonic()
    if left <= 0:
        raise ResultTimeout(f"job {job_id(job)} has not finished in time; it goes on all the same")
    return left
