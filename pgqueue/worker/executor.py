"""The Executor: runs jobs, as many at once as there are slots, and says how each one ended."""

from __future__ import annotations

import asyncio
import logging
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextvars import copy_context
from datetime import timedelta
from time import monotonic
from typing import Any, Literal

from pgqueue import results
from pgqueue.context import Context
from pgqueue.errors import JobCancelled, LeaseLost
from pgqueue.operations import ClaimedJob, Completed, Failed, Released
from pgqueue.outcomes import Cancel, Discard, Retry, Snooze
from pgqueue.tasks import Task
from pgqueue.worker import failures
from pgqueue.worker.completer import Completer
from pgqueue.worker.failures import OutOfTime, RetryAsked, storable
from pgqueue.worker.hands import WorkerHands
from pgqueue.worker.processes import ProcessPool
from pgqueue.worker.run import Run
from pgqueue.worker.service import log, within
from pgqueue.worker.strangers import Strangers
from pgqueue.worker.threads import Threads

MAX_BUFFER = 2_000
BUFFER_SECONDS = 0.02
RATE_SECONDS = 0.05
BURST = 20  # so many tell how quick they are, without waiting for the end of the interval
STOP_SECONDS = 2.0
TURN_SECONDS = 0.0005


class Executor:
    """Takes claimed jobs, runs *concurrency* of them at once, hands their endings to the completer.

    Holds a small buffer beyond the slots: what is done in 20 milliseconds, so that quick jobs need
    not wait for the next claim, and slow ones are left to other workers.

    Jobs that never wait run one after the other in the asyncio task in front, which lets others
    have their turn every half millisecond. One that waits keeps that task, and for those behind it
    there is a new one: so it has a task of its own, at no cost to those that need none.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        completer: Completer,
        hands: WorkerHands,
        threads: Threads,
        processes: ProcessPool,
        strangers: Strangers,
        concurrency: int,
    ) -> None:
        self._tasks = tasks
        self._completer = completer
        self._hands = hands
        self._threads = threads
        self._processes = processes
        self._strangers = strangers
        self._concurrency = concurrency
        self._buffer: deque[Run] = deque()
        self._runs: dict[tuple[int, int], Run] = {}
        self._running = 0
        self._front: asyncio.Task[None] | None = None
        self._context = copy_context()
        self._full: set[str] = set()
        self.freed: Callable[[str], None] = lambda queue: None
        self._free = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._stopping = False
        self._rate = 0.0
        self.finished = 0
        self._count()

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
        """How many more jobs of *queue*, of which *limit* may run at once; if none, *freed* is
        told when one has ended."""
        if limit is None:
            return MAX_BUFFER
        room = limit - sum(run.job.queue == queue for run in self._runs.values())
        if room <= 0:
            self._full.add(queue)
        return room

    @property
    def full_queues(self) -> list[str]:
        """The queues of which as many jobs run as may at once."""
        return sorted(self._full)

    def take(self, jobs: list[ClaimedJob]) -> None:
        """Runs *jobs* as slots become free, in this order."""
        if self.finished == self._counted:
            self._count()  # not from before we had anything to do
        for job in jobs:
            run = self._runs[job.id, job.lease] = Run(job)
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
        if run is not None and not run.lost and not run.completed:
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

    async def finish(self) -> None:
        """Returns when nothing runs any more."""
        await self._empty.wait()

    async def hand_back(self) -> None:
        """Asks what still runs to stop, gives it a moment for that, and hands it back."""
        runs = list(self._runs.values())
        for run in runs:
            run.releasing = True
            run.stop()
        if tasks := [run.task for run in runs if run.task is not None]:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for run in runs:
            self._end(run, Released(run.job.id, run.job.lease))

    def _room(self) -> int:
        if self._stopping:
            return 0
        spent, finished = monotonic() - self._counted_at, self.finished - self._counted
        if spent > RATE_SECONDS or finished >= BURST:
            rate = finished / max(spent, RATE_SECONDS / BURST)
            self._rate = max(self._rate, rate)
            if spent > RATE_SECONDS:
                self._rate = (self._rate + rate) / 2
                self._count()
        ahead = min(MAX_BUFFER, int(self._rate * BUFFER_SECONDS))
        free = self._concurrency - self._running - len(self._buffer)
        if free <= 0 and 2 * len(self._buffer) >= ahead:
            return 0  # not a claim for each job that the buffer lacks
        return free + ahead

    def _count(self) -> None:
        """The rate is counted from here."""
        self._counted, self._counted_at = self.finished, monotonic()

    def _fill(self) -> None:
        """Somebody goes on with the buffer, if there is a slot."""
        if self._buffer and self._front is None and self._running < self._concurrency:
            self._front = asyncio.get_running_loop().create_task(
                self._work(), context=self._context.copy()
            )

    async def _work(self) -> None:
        """Runs jobs until one of them has to wait, or leaves something behind."""
        front = self._front
        assert front is not None
        until = monotonic() + TURN_SECONDS
        try:
            while self._buffer and self._running < self._concurrency:
                run = self._buffer.popleft()
                self._running += 1
                run.task = front
                if run.job.task != front.get_name():
                    front.set_name(run.job.task)
                await _noticing(self._run(run), self._step_aside)
                if self._front is not front or front.cancelling():
                    return
                if copy_context() != self._context:
                    return
                if monotonic() > until:
                    await asyncio.sleep(0)
                    until = monotonic() + TURN_SECONDS
        finally:
            if self._front is front:
                self._step_aside()

    def _step_aside(self) -> None:
        """Whoever is in front is no longer."""
        self._front = None
        self._fill()

    def _end(self, run: Run, ending: Completed | Failed | Released | None) -> None:
        """The job leaves our hands; its lease stays ours until the completer has sent *ending*."""
        job = run.job
        if self._runs.pop((job.id, job.lease), None) is None:
            return
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
        if self._buffer and self._front is None:
            self._fill()
        if self._full and job.queue in self._full:
            self._full.discard(job.queue)
            self.freed(job.queue)
        self._free.set()
        if not self._runs:
            self._empty.set()

    async def _run(self, run: Run) -> None:
        job = run.job
        ending: Completed | Failed | Released | None
        task = self._tasks.get(job.task)
        try:
            if task is None:
                ending = Released(job.id, job.lease, await self._strangers.wait(job))
            else:
                result = await self._call(run, task)
                ending = self._ending(run, task, result)
        except asyncio.CancelledError:
            ending = self._stopped(run, task)
        except JobCancelled as error:
            ending = (
                self._stopped(run, task)
                if run.asked_to_stop or run.releasing
                else Failed(job.id, job.lease, "cancel", reason=failures.message(error))
            )
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit is the end of the attempt, not ours
            ending = self._failed(run, task, error)
        self._end(run, None if run.lost else ending)

    def _call(self, run: Run, task: Task[..., Any]) -> Awaitable[Any]:
        job = run.job
        if task.executor == "thread":
            return self._in_thread(run, task)
        if task.executor == "process":
            run.context = context = self._context_of(job)
            report = self._hands.of(job).report
            return self._processes.submit(job, context, report, run.completes)
        coroutine: Coroutine[Any, Any, Any]
        if task.wants_results:
            run.context = self._context_of(job)
            coroutine = task.call_async(run.context, job.args)
        elif task.wants_context:
            run.context = self._context_of(job)
            coroutine = task.call(run.context, job.args)
        else:
            args, kwargs = task.decode_args(job.args)
            coroutine = task.fn(*args, **kwargs)
        seconds = job.timeout_seconds
        return coroutine if seconds is None else within(seconds, coroutine)

    async def _in_thread(self, run: Run, task: Task[..., Any]) -> Any:
        job = run.job
        run.context = context = self._context_of(job)
        run.in_thread = True
        try:
            submitted = self._threads.submit(task.call, context, job.args)
            return await within(job.timeout_seconds, submitted)
        except OutOfTime:
            context.cancel()
            log.warning(
                "job %d (%s) is out of time, but its function goes on, in a thread of its own, "
                "until it looks at ctx.cancelled; nobody hears how it ends",
                job.id,
                job.task,
            )
            raise

    def _context_of(self, job: ClaimedJob) -> Context:
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
                return Failed(job.id, job.lease, "cancel", reason=reason and storable(reason))
            case Discard(reason=reason):
                return Failed(job.id, job.lease, "discard", reason=reason and storable(reason))
            case Retry(delay=delay, reason=reason):
                error = RetryAsked(reason or "the task asked to be tried again")
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
        log.debug("job %d (%s) failed: %s", job.id, job.task, failures.message(error))
        wait: timedelta | None = timedelta(seconds=1)
        if task is not None:
            wait = task.retry_after(job.attempt, error)
        return self._judged(job, error, wait)

    def _judged(self, job: ClaimedJob, error: BaseException, wait: timedelta | None) -> Failed:
        """What becomes of a failed attempt; None waits for nothing: it must not be tried again."""
        verdict: Literal["discard", "retry"] = "discard" if wait is None else "retry"
        reason, document = failures.reason(error), failures.document(error)
        return Failed(job.id, job.lease, verdict, wait, reason, document)

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


@types.coroutine
def _noticing(
    coroutine: Coroutine[Any, Any, None], waits: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Runs *coroutine*; calls *waits* when it has to wait for the first time, and only then."""
    try:
        future = coroutine.send(None)
        waits()
        while True:
            try:
                yield future
            except BaseException as error:
                future = coroutine.throw(error)
            else:
                yield from coroutine
                return
    except StopIteration:
        pass
