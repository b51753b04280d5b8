"""The Executor: runs jobs, as many at once as there are slots, and hands on how each one ended."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pgqueue.errors import JobCancelled
from pgqueue.jobs import carrying
from pgqueue.operations import ClaimedJob, Completed, Failed, Released
from pgqueue.tasks import current
from pgqueue.tasks.context import Context
from pgqueue.tasks.hooks import AroundHook, awaited, called
from pgqueue.tasks.task import Task
from pgqueue.worker.life import Life
from pgqueue.worker.running import endings, failures
from pgqueue.worker.running.buffer import MAX_BUFFER, Pace
from pgqueue.worker.running.endings import Ending
from pgqueue.worker.running.failures import OutOfTime
from pgqueue.worker.running.processes import ProcessPool
from pgqueue.worker.running.run import Observer, Run
from pgqueue.worker.running.runtime import WorkerRuntime
from pgqueue.worker.running.slots import Kinds
from pgqueue.worker.running.threads import Threads
from pgqueue.worker.running.timeouts import within
from pgqueue.worker.running.unknown_tasks import UnknownTasks
from pgqueue.worker.service import log

if TYPE_CHECKING:
    from pgqueue.worker.agents.completer import Completer

STOP_SECONDS = 2.0
_NO_LIMITS: Final[Mapping[str, int]] = MappingProxyType({})


class Executor:
    """Takes claimed jobs, runs *concurrency* of them at once, hands their endings to the completer.

    *limits*: how many jobs may run in threads at once, and how many in processes. A job beyond its
    limit waits without taking one of the *concurrency* slots, so coroutines can start before it;
    and fewer jobs of its kind are claimed. *around*: hooks around each attempt. *observers* hear
    how each attempt ends.

    It holds a few more jobs than it has slots: as many as usually end within 20 milliseconds. So
    quick jobs need not wait for the next claim, and slow ones are left to other workers.

    Each job has an asyncio task and a context of its own. Libraries keep state in both, and a job
    must not find the state of an earlier one.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        completer: Completer,
        runtime: WorkerRuntime,
        threads: Threads,
        processes: ProcessPool,
        unknown_tasks: UnknownTasks,
        life: Life,
        concurrency: int,
        limits: Mapping[str, int] = _NO_LIMITS,
        freed: Callable[[str], None] = lambda queue: None,
        around: Sequence[AroundHook] = (),
        observers: Sequence[Observer] = (),
    ) -> None:
        self._tasks = tasks
        self._completer = completer
        self._runtime = runtime
        self._threads = threads
        self._processes = processes
        self._unknown_tasks = unknown_tasks
        self._life = life
        life.regained, life.lapsed = self._fill, self._hand_back_waiting
        self._concurrency = concurrency
        self._kinds = Kinds(tasks, concurrency, limits)
        self._scarce = self._kinds.scarce
        self._clogged: set[str] = set()
        self._starting = False  # `_start` is at it, or will be in the event loop's next turn
        self._runs: dict[tuple[int, int], Run] = {}
        self._running = 0
        self._taken = 0
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._full: set[str] = set()
        self._freed = freed
        self._around = around
        self._observers = observers
        self._tell = [observer.ends for observer in observers]
        self._free = asyncio.Event()
        self._crowded = False  # whether somebody waits for `_free`
        self._verbose = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._stopping = False
        self.pace = self._pace = Pace()

    @property
    def busy(self) -> bool:
        return bool(self._runs)

    @property
    def full(self) -> bool:
        return self._room() <= 0

    @property
    def free(self) -> int:
        """How many more jobs there is room for, now."""
        return self._room()

    def leases(self) -> list[tuple[int, int]]:
        """(id, lease) of all held jobs that have not ended."""
        return list(self._runs)

    def runs(self) -> list[Run]:
        """All held jobs that have not ended; any thread may ask."""
        return list(self._runs.values())

    def holds(self, id: int, lease: int) -> bool:
        """Whether this job is here and has not ended."""
        return (id, lease) in self._runs

    async def room(self) -> int:
        """How many more jobs there is room for; waits until there is some."""
        while (room := self._room()) <= 0:
            self._free.clear()
            self._crowded = True
            await self._free.wait()
        return room

    def room_in(self, queue: str, limit: int | None) -> int:
        """How many more jobs of *queue* to claim, if *limit* of them may run at once. When that is
        zero or less, *freed* is called with *queue* as soon as there may be room again."""
        scarce = self._room_of_scarce(queue) if self._scarce else MAX_BUFFER
        if limit is None or scarce <= 0:
            return scarce
        room = limit - sum(run.job.queue == queue for run in self._runs.values())
        if room <= 0:
            self._full.add(queue)
        return min(room, scarce)

    def _room_of_scarce(self, queue: str) -> int:
        """How many more jobs of *queue* to claim, as far as there are threads and processes for
        them."""
        ahead = self._pace.ahead
        room = min(slots.room_in(queue, ahead) for slots in self._scarce)
        if room <= 0:
            self._clogged.add(queue)
        return room

    @property
    def finished(self) -> int:
        """How many jobs have ended here."""
        return self._taken - len(self._runs)

    @property
    def full_queues(self) -> list[str]:
        """The queues that are at their own limit here."""
        return sorted(self._full)

    def take(self, jobs: list[ClaimedJob], since: float) -> None:
        """Runs *jobs*, whose claim was sent at *since*, as slots become free."""
        self._pace.begins(self.finished)
        self._verbose = log.isEnabledFor(logging.DEBUG)
        runs, slots_of = self._runs, self._kinds.of
        for number, job in enumerate(jobs, self._taken):
            slots = slots_of(job)
            run = runs[job.id, job.lease] = Run(job, slots, number)
            if job.expires_in is not None:
                run.expires_at = since + job.expires_in
            slots.waiting.append(run)
        self._taken += len(jobs)
        if jobs:
            self._empty.clear()
            for slots in self._scarce:
                slots.learn(jobs)
        if self._life.helpless:  # a claim that was answered late
            self._hand_back_waiting()
        self._fill()

    def cancel(self, id: int, lease: int) -> None:
        """Somebody has cancelled this job: it ends now if it has not started, else its code is
        asked to stop."""
        run = self._runs.get((id, lease))
        if run is not None and not run.asked_to_stop:
            run.asked_to_stop = True
            if run.task is None:
                run.slots.waiting.remove(run)
                self._end(run, Failed(id, lease, "cancel"))
            else:
                run.stop()

    def lost(self, id: int, lease: int) -> None:
        """Gives up a job whose lease the store no longer knows: another worker may have it by now,
        and the store refuses whatever our code still reports."""
        run = self._runs.get((id, lease))
        if run is not None and not run.lost and not run.completed:
            log.warning("job %d (%s): its lease was lost", id, run.job.task)
            self._lose(run)

    def drop(self) -> int:
        """Gives up all held jobs, as other workers may have them; returns how many."""
        runs = [run for run in self._runs.values() if not run.lost]
        for run in runs:
            self._lose(run)
        return len(runs)

    def _lose(self, run: Run) -> None:
        run.lost = True
        for observer in self._observers:
            observer.lost()
        if run.task is None:
            run.slots.waiting.remove(run)
            self._end(run, None)
        else:
            run.stop()

    def stop(self) -> None:
        """Starts no more jobs, and hands back those that have not been started."""
        self._stopping = True
        self._hand_back_waiting()

    def _hand_back_waiting(self) -> None:
        """Hands back jobs that have not been started, for other workers to claim."""
        for run in self._kinds.clear():
            self._end(run, Released(run.job.id, run.job.lease, unstarted=True))

    async def finish(self) -> None:
        """Returns when no job runs any more."""
        await self._empty.wait()

    async def hand_back(self) -> None:
        """Asks running jobs to stop, gives them a moment for that, and hands them back."""
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
        self._pace.measure(self.finished)
        ahead = self._pace.ahead
        waiting = self._kinds.ready
        free = self._concurrency - self._running - waiting
        if free <= 0 and 2 * waiting >= ahead:
            return 0  # claims once half the buffer is used up, not for each job that leaves it
        return free + ahead

    def _fill(self) -> None:
        """Starts jobs as long as there are slots, unless that is done already."""
        if not self._starting:
            self._start()

    def _start(self) -> None:
        """Starts as many jobs as usually end within half a millisecond, and goes on in the event
        loop's next turn, so that a large batch does not keep everything else on the loop waiting.
        It starts none while others may have declared us dead: they may have the jobs by now."""
        self._starting = self._life.certain
        if not self._starting:
            return
        loop, context, kinds = self._loop, self._context, self._kinds
        for _ in range(self._pace.turn):
            slots = kinds.first() if self._running < self._concurrency else None
            if slots is None or not slots.waiting:
                self._starting = False
                return
            run = slots.waiting.popleft()
            if run.expires_at is not None and run.expires_at < monotonic():
                self._end(run, Failed(run.job.id, run.job.lease, "expire"))
                continue
            self._running += 1
            slots.running += 1
            run.task = asyncio.Task(
                self._run(run), loop=loop, name=run.job.task, context=context.copy()
            )
        self._loop.call_soon(self._start)

    def _end(self, run: Run, ending: Ending | None) -> None:
        """Forgets the job and gives *ending* to the completer; None: its lease was lost, and there
        is nothing to report. The lease holds until the completer has sent that."""
        job = run.job
        if self._runs.pop((job.id, job.lease), None) is None:
            return
        if run.task is not None:
            self._running -= 1
            run.slots.running -= 1
        if self._verbose:
            how = "was lost" if ending is None else type(ending).__name__.lower()
            log.debug("job %d (%s) %s, attempt %d", job.id, job.task, how, job.attempt)
        if ending is not None:
            for tell in self._tell:
                tell(run)
            context = run.context
            if context is None or context.additions is None or type(ending) is not Completed:
                self._completer.add(ending)
            else:
                self._completer.add_with_jobs(job, ending, context.additions)
        if not self._starting and not self._stopping:
            self._start()
        if self._clogged and run.slots in self._scarce:
            clogged, self._clogged = self._clogged, set()
            for queue in clogged:
                self._freed(queue)
        if self._full and job.queue in self._full:
            self._full.discard(job.queue)
            self._freed(job.queue)
        if self._crowded:
            self._crowded = False
            self._free.set()
        if not self._runs:
            self._empty.set()

    async def _run(self, run: Run) -> None:
        job = run.job
        ending: Ending | None
        task = self._tasks.get(job.task)
        current.job.set(job)
        if self._observers:
            run.started_at = monotonic()
        try:
            if carrying.variables:
                carrying.restore(job.metadata)
            if task is None:
                delay = await self._unknown_tasks.delay_for(job)
                ending = Released(job.id, job.lease, delay, unknown=True, unstarted=True)
            else:
                if task.is_plain and job.timeout_seconds is None and not self._around:
                    args, kwargs = task.decode_args(job.args)  # as `_call`, without the call
                    result = await task.fn(*args, **kwargs)
                else:
                    result = await self._call(run, task)
                if result is None and run.context is None:  # the short way, which most jobs take
                    ending = Completed(job.id, job.lease)
                else:
                    ending = endings.of_result(run, task, result)
        except asyncio.CancelledError:
            ending = endings.of_interruption(run, task)
        except JobCancelled as error:
            ending = (
                endings.of_interruption(run, task)
                if run.asked_to_stop or run.releasing
                else Failed(job.id, job.lease, "cancel", reason=failures.message(error))
            )
        except BaseException as error:  # any error ends the attempt, not the worker
            ending = endings.of_error(run, task, error)
        self._end(run, None if run.lost else ending)

    def _call(self, run: Run, task: Task[..., Any]) -> Awaitable[Any]:
        job = run.job
        if task.executor == "thread":
            return self._in_thread(run, task)
        if task.executor == "process":
            run.context = context = self._context_of(job)
            report = self._runtime.of(job).report
            return self._processes.submit(job, context, report, run.completes)
        coroutine: Coroutine[Any, Any, Any]
        if self._around:
            run.context = context = self._context_of(job)
            call = task.call_async if task.wants_results else task.call
            coroutine = awaited(self._around, context, partial(call, context, job.args))
        elif task.wants_results:
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
            submitted = self._threads.submit(called, self._around, context, task.call, job.args)
            return await within(job.timeout_seconds, self._answered(run, submitted))
        except OutOfTime:
            context.cancel()
            if not run.in_thread:
                raise
            log.warning(
                "job %d (%s) is out of time, but its function goes on, in a thread of its own, "
                "until it looks at ctx.cancelled; nobody hears how it ends",
                *(job.id, job.task),
            )
            raise

    async def _answered(self, run: Run, submitted: Awaitable[Any]) -> Any:
        """The function's result. A coroutine is awaited here: a decorated coroutine function may
        look like a plain one, and was then called in a thread."""
        answer = await submitted
        if inspect.isawaitable(answer):
            run.in_thread = False
            if run.asked_to_stop or run.releasing:
                asyncio.ensure_future(answer).cancel()
                raise asyncio.CancelledError
            if self._around and run.context is not None:  # its second part, in another thread
                return await awaited(self._around, run.context, lambda: answer)
            answer = await answer
        return answer

    def _context_of(self, job: ClaimedJob) -> Context:
        deadline = None if job.timeout_seconds is None else monotonic() + job.timeout_seconds
        return Context(job, self._runtime.of(job), deadline)
