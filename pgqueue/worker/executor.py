"""The Executor: runs jobs, as many at once as there are slots, and says how each one ended."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter, deque
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar

from pgqueue import results
from pgqueue.context import Context
from pgqueue.errors import InvalidArguments, InvalidResult, JobCancelled, LeaseLost
from pgqueue.operations import ClaimedJob, Completed, Failed, Released, as_json
from pgqueue.outcomes import Cancel, Discard, Retry, Snooze
from pgqueue.tasks import Task
from pgqueue.worker.completer import Completer
from pgqueue.worker.hands import WorkerHands
from pgqueue.worker.processes import ProcessPool
from pgqueue.worker.service import log
from pgqueue.worker.threads import Threads

T = TypeVar("T")

MAX_BUFFER = 500
BUFFER_SECONDS = 0.01
MAX_TRACEBACK = 8_000
MAX_MESSAGE = 2_000


class Run:
    """A job in our hands: waiting in the buffer, or running."""

    __slots__ = ("asked_to_stop", "context", "job", "lost", "releasing", "task")

    def __init__(self, job: ClaimedJob) -> None:
        self.job = job
        self.task: asyncio.Task[None] | None = None
        self.context: Context | None = None
        self.asked_to_stop = False
        self.lost = False
        self.releasing = False

    def stop(self) -> None:
        """Asks the code to stop: a coroutine is interrupted, a function may look."""
        if self.context is not None:
            self.context.cancel()
        if self.task is not None:
            self.task.cancel()


class Executor:
    """Takes claimed jobs, runs *concurrency* of them at once, hands their endings to the completer.

    Holds a small buffer beyond the slots: what is done in ten milliseconds, so that quick jobs need
    not wait for the next claim, and slow ones are left to other workers.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        completer: Completer,
        hands: WorkerHands,
        threads: Threads,
        processes: ProcessPool,
        concurrency: int,
    ) -> None:
        self._tasks = tasks
        self._completer = completer
        self._hands = hands
        self._threads = threads
        self._processes = processes
        self._concurrency = concurrency
        self._buffer: deque[Run] = deque()
        self._runs: dict[tuple[int, int], Run] = {}
        self._running = 0
        self._by_queue: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._free = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._stopping = False
        self._rate = 0.0
        self._counted = 0
        self._counted_at = monotonic()
        self.finished = 0

    @property
    def busy(self) -> bool:
        return bool(self._runs)

    @property
    def full(self) -> bool:
        return self._room() <= 0

    def leases(self) -> list[tuple[int, int]]:
        """(id, lease) of all that is held and has not ended."""
        return list(self._runs)

    async def room(self) -> int:
        """How many more jobs there is room for; waits until there is some."""
        while (room := self._room()) <= 0:
            self._free.clear()
            await self._free.wait()
        return room

    def room_in(self, queue: str, limit: int | None) -> int:
        """How many more jobs of *queue*, of which *limit* may run at once."""
        return MAX_BUFFER if limit is None else limit - self._by_queue[queue]

    def take(self, jobs: list[ClaimedJob]) -> None:
        """Runs *jobs* as slots become free, in this order."""
        for job in jobs:
            run = self._runs[job.id, job.lease] = Run(job)
            self._by_queue[job.queue] += 1
            self._buffer.append(run)
        if jobs:
            self._empty.clear()
        self._fill()

    def cancel(self, id: int, lease: int) -> None:
        """Somebody cancelled this job."""
        run = self._runs.get((id, lease))
        if run is not None and not run.asked_to_stop:
            run.asked_to_stop = True
            if run.task is None:
                self._buffer.remove(run)
                self._end(run, Failed(id, lease, "cancel"))
            else:
                run.stop()

    def lost(self, id: int, lease: int) -> None:
        """This job is another worker's by now; what our code still does changes nothing."""
        run = self._runs.get((id, lease))
        if run is not None and not run.lost:
            log.warning("job %d (%s): its lease was lost", id, run.job.task)
            run.lost = True
            if run.task is None:
                self._buffer.remove(run)
                self._end(run, None)
            else:
                run.stop()

    def stop(self) -> None:
        """Starts nothing more, and hands back what has not been started."""
        self._stopping = True
        while self._buffer:
            run = self._buffer.popleft()
            self._end(run, Released(run.job.id, run.job.lease))

    async def finish(self, grace: float) -> None:
        """Lets jobs go on for *grace* seconds; then stops them and hands them back."""
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            log.warning(
                "%d jobs are still running after the grace period; handing them back",
                len(self._runs),
            )
        for run in list(self._runs.values()):
            run.releasing = True
            run.stop()
        while self._runs:
            done, _ = await asyncio.wait([r.task for r in self._runs.values() if r.task], timeout=1)
            if not done:
                break
        for run in list(self._runs.values()):
            self._end(run, Released(run.job.id, run.job.lease))

    def _room(self) -> int:
        if self._stopping:
            return 0
        now = monotonic()
        if now - self._counted_at > 0.05:
            rate = (self.finished - self._counted) / (now - self._counted_at)
            self._rate = rate if rate > self._rate else (self._rate + rate) / 2
            self._counted, self._counted_at = self.finished, now
        ahead = min(MAX_BUFFER, int(self._rate * BUFFER_SECONDS))
        return self._concurrency - self._running - len(self._buffer) + ahead

    def _fill(self) -> None:
        while self._buffer and self._running < self._concurrency:
            run = self._buffer.popleft()
            self._running += 1
            run.task = asyncio.create_task(self._run(run), name=run.job.task)

    def _end(self, run: Run, ending: Completed | Failed | Released | None) -> None:
        """The job leaves our hands; its lease stays ours until the completer has sent *ending*."""
        job = run.job
        if self._runs.pop((job.id, job.lease), None) is None:
            return
        self._by_queue[job.queue] -= 1
        if run.task is not None:
            self._running -= 1
        self.finished += 1
        if log.isEnabledFor(logging.DEBUG):
            how = "was lost" if ending is None else type(ending).__name__.lower()
            log.debug("job %d (%s) %s, attempt %d", job.id, job.task, how, job.attempt)
        if ending is not None:
            context = run.context
            additions = None if context is None else context.additions
            if additions is not None and type(ending) is Completed:
                self._completer.add_with_jobs(job, ending, additions)
            else:
                self._completer.add(ending)
        if self._buffer:
            self._fill()
        self._free.set()
        if not self._runs:
            self._empty.set()

    async def _run(self, run: Run) -> None:
        job = run.job
        ending: Completed | Failed | Released | None
        task = self._tasks.get(job.task)
        try:
            if task is None:
                ending = self._hand_back_unknown(job)
            else:
                result = await self._call(run, task)
                ending = self._ending(run, task, result)
        except asyncio.CancelledError:
            ending = self._stopped(run, task)
        except JobCancelled as error:
            ending = (
                self._stopped(run, task)
                if run.asked_to_stop or run.releasing
                else Failed(job.id, job.lease, "cancel", reason=_text(error))
            )
        except BaseException as error:
            ending = self._failed(run, task, error)
            if not isinstance(error, Exception):
                self._end(run, ending)
                raise
        self._end(run, None if run.lost else ending)

    async def _call(self, run: Run, task: Task[..., Any]) -> Any:
        job = run.job
        seconds = job.timeout_seconds
        if task.executor == "async":
            if task.wants_results:
                run.context = self._context(job)
                coroutine = task.call_async(run.context, job.args)
            elif task.wants_context:
                run.context = self._context(job)
                coroutine = task.call(run.context, job.args)
            else:
                args, kwargs = task.decode_args(job.args)
                coroutine = task.fn(*args, **kwargs)
            return await (coroutine if seconds is None else _within(seconds, coroutine))
        run.context = context = self._context(job)
        if task.executor == "thread":
            future = self._threads.submit(task.call, context, job.args)
        else:
            future = asyncio.ensure_future(
                self._processes.submit(job, context, self._hands.of(job).report)
            )
        try:
            return await (future if seconds is None else _within(seconds, future))
        except OutOfTime:
            context.cancel()
            raise

    def _context(self, job: ClaimedJob) -> Context:
        deadline = None if job.timeout_seconds is None else monotonic() + job.timeout_seconds
        return Context(job, self._hands.of(job), deadline)

    def _ending(self, run: Run, task: Task[..., Any], result: Any) -> Completed | Failed | Released:
        job = run.job
        if result is None and run.context is None:
            return Completed(job.id, job.lease)
        if run.context is not None and run.context.completed:
            return Completed(job.id, job.lease, results.write(job.task, run.context.result))
        match result:
            case Snooze(delay=timedelta() as delay):
                return Released(job.id, job.lease, delay)
            case Cancel(reason=reason):
                return Failed(job.id, job.lease, "cancel", reason=reason)
            case Discard(reason=reason):
                return Failed(job.id, job.lease, "discard", reason=reason)
            case Retry(delay=delay, reason=reason):
                error = _RetryAsked(reason or "the task asked to be tried again")
                wait = (
                    delay if isinstance(delay, timedelta) else task.retry_after(job.attempt, error)
                )
                return self._judged(job, error, wait)
        return Completed(job.id, job.lease, task.encode_result(result))

    def _failed(self, run: Run, task: Task[..., Any] | None, error: BaseException) -> Failed | None:
        job = run.job
        if isinstance(error, LeaseLost):
            log.warning("job %d (%s): %s", job.id, job.task, error)
            return None
        log.debug("job %d (%s) failed: %s", job.id, job.task, _text(error))
        wait: timedelta | None = timedelta(seconds=1)
        if task is not None:
            wait = task.retry_after(job.attempt, error)
        return self._judged(job, error, wait)

    def _judged(self, job: ClaimedJob, error: BaseException, wait: timedelta | None) -> Failed:
        """What becomes of a failed attempt; None waits for nothing: it must not be tried again."""
        verdict = "discard" if wait is None else "retry"
        reason = None
        if wait is None or job.attempt >= job.max_attempts:
            reason = f"{type(error).__name__}: {_text(error)}"[:MAX_MESSAGE]
        return Failed(job.id, job.lease, verdict, wait, reason, _document(error))  # type: ignore[arg-type]

    def _stopped(
        self, run: Run, task: Task[..., Any] | None
    ) -> Completed | Failed | Released | None:
        """Its code was interrupted: because somebody asked for that, or by itself."""
        job = run.job
        if run.releasing:
            return Released(job.id, job.lease)
        if run.asked_to_stop:
            return Failed(job.id, job.lease, "cancel")
        if run.lost:
            return None
        return self._failed(run, task, asyncio.CancelledError("the task's code cancelled itself"))

    def _hand_back_unknown(self, job: ClaimedJob) -> Released:
        """A rolling deploy: others may know this task. The wait grows, up to a minute."""
        self._unknown[job.task] += 1
        seen = self._unknown[job.task]
        if seen == 1:
            log.warning(
                "job %d: no task %r here; handing it and others like it back", job.id, job.task
            )
        return Released(job.id, job.lease, timedelta(seconds=min(60, 2 ** min(seen - 1, 6))))


class OutOfTime(TimeoutError):
    """An attempt took longer than its timeout."""


async def _within(seconds: float, work: Awaitable[T]) -> T:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise OutOfTime(f"it took longer than its timeout of {seconds:g} s") from None
        raise


class _RetryAsked(Exception):
    """Shown as the error of an attempt that returned Retry."""


_RetryAsked.__name__ = "Retry"


def _document(error: BaseException) -> str:
    """The error as JSON, bounded; written although its own text may fail or be unprintable."""
    if isinstance(error, (_RetryAsked, InvalidArguments, InvalidResult)):
        trace = None
    else:
        trace = "".join(traceback.format_exception(error))[-MAX_TRACEBACK:]
    document = {
        "type": type(error).__name__,
        "message": _text(error)[:MAX_MESSAGE],
        "traceback": trace,
    }
    return as_json({key: _storable(text) if text else text for key, text in document.items()})


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<its message could not be read: {type(broken).__name__}>"


def _storable(text: str) -> str:
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
