"""Run one attempt of a job where the test runs, and judge it as a worker does."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pgqueue.errors import JobCancelled, PgqueueError
from pgqueue.jobs.job import NewJob, Progress, State
from pgqueue.operations import ClaimedJob, Completed, Failed, Released
from pgqueue.tasks import current
from pgqueue.tasks.context import Context
from pgqueue.tasks.hooks import AroundHook, awaited, called
from pgqueue.tasks.task import Task
from pgqueue.worker.running import endings, failures
from pgqueue.worker.running.endings import Ending
from pgqueue.worker.running.failures import OutOfTime
from pgqueue.worker.running.run import Run
from pgqueue.worker.running.slots import Slots
from pgqueue.worker.running.timeouts import within

R_co = TypeVar("R_co", covariant=True)
# Other errors beyond Exception, as of Ctrl-C or of pytest's failed assertion, end the test itself.
FAILURES: Final = (Exception, SystemExit, asyncio.CancelledError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed(Generic[R_co]):
    """How an attempt went, and what becomes of its job.

    *state*: of the job from now on: completed, retryable or available (it will be tried again),
    scheduled (it was snoozed), cancelled, discarded. *error*: what the task raised. *wait*: how
    long until the next attempt. *jobs*: those that the task enqueued with its context. *text*: its
    result as JSON, as the store keeps it.
    """

    task: str
    attempt: int
    state: State
    id: int = 0
    text: str | None = None
    error: BaseException | None = None
    wait: timedelta | None = None
    reason: str | None = None
    jobs: tuple[NewJob[Any], ...] = ()
    progress: Progress = field(default_factory=Progress)
    reader: Callable[[str | None], Any] = field(repr=False, compare=False)

    @property
    def result(self) -> R_co:
        """Return the result as a caller who waits for the job gets it: through JSON and back.

        Raises the task's own error, PgqueueError when the job did not complete without one, and
        InvalidResult for a result that is not of the type that the task declares.
        """
        if self.error is not None:
            raise self.error
        if self.state != State.COMPLETED:
            raise PgqueueError(f"{self.task} has no result: the job is {self.state}")
        result: R_co = self.reader(self.text)
        return result


class Judged(NamedTuple):
    """The end of an attempt as the store is told of it, and the error itself."""

    ending: Ending
    error: BaseException | None = None


def judge(task: Task[..., Any], job: ClaimedJob, context: Context, answer: Any) -> Judged:
    """Return how the attempt ends whose task returned *answer*."""
    try:
        return Judged(endings.of_result(_run_of(job, context), task, answer))
    except Exception as error:  # the result cannot be stored
        return judge_error(task, job, context, error)


def judge_error(
    task: Task[..., Any], job: ClaimedJob, context: Context, error: BaseException
) -> Judged:
    """Return what becomes of a job whose task raised *error*. Raises LeaseLost: the test has lost
    it."""
    if isinstance(error, JobCancelled):
        ending = Failed(job.id, job.lease, "cancel", reason=failures.message(error))
        return Judged(ending, error)
    if isinstance(error, asyncio.CancelledError):
        interrupted = endings.of_interruption(_run_of(job, context), task)
        if interrupted is not None:
            told = PgqueueError(f"{task.name}: the task's code cancelled itself")
            told.__cause__ = (
                error  # the error itself, if drain() raised it, would look like the test's own end
            )
            return Judged(interrupted, told)
    failed = endings.of_error(_run_of(job, context), task, error)
    if failed is None:
        error.add_note("complete a job on the test's connection, or one that joins its transaction")
        raise error
    return Judged(failed, error)


def _run_of(job: ClaimedJob, context: Context) -> Run:
    return Run(job, Slots(1), 1, context=context)


def run(
    task: Task[..., Any],
    job: ClaimedJob,
    context: Context,
    undoing: AbstractContextManager[Any],
    loop: Callable[[], asyncio.Runner],
    around: Sequence[AroundHook],
) -> Judged:
    """Run *task* in this thread, a coroutine in *loop*, with the hooks *around* it.

    *undoing* undoes what the task did before an error.
    """
    if task.executor == "async" and asyncio._get_running_loop() is not None:
        raise PgqueueError(
            f"{task.name} is a coroutine, and an event loop runs here already: use AsyncJobs"
        )
    kept = answer = None
    started = monotonic()
    try:
        with undoing:
            try:
                if task.executor == "async":
                    coroutine = _coroutine(task, job, context, around)
                    answer = loop().run(coroutine, context=copy_context())
                else:
                    answer = _called(task, job, context, around)
                    if inspect.isawaitable(answer):
                        answer = loop().run(_awaited(answer, job.timeout_seconds))
                _require_time(job, started)
            except FAILURES as error:
                if not context.completed:
                    raise
                kept = error  # as in a worker: what the task has completed itself stays so
    except FAILURES as error:
        return judge_error(task, job, context, error)
    judged = judge(task, job, context, answer)
    return judged if kept is None else judged._replace(error=kept)


async def run_async(
    task: Task[..., Any],
    job: ClaimedJob,
    context: Context,
    undoing: AbstractAsyncContextManager[Any],
    around: Sequence[AroundHook],
) -> Judged:
    """As `run`, in this event loop; a plain function blocks it."""
    kept = answer = None
    started = monotonic()
    try:
        async with undoing:
            try:
                if task.executor == "async":
                    coroutine = _coroutine(task, job, context, around)
                    answer = await asyncio.create_task(coroutine)
                else:
                    answer = _called(task, job, context, around)
                    if inspect.isawaitable(answer):
                        answer = await asyncio.create_task(_awaited(answer, job.timeout_seconds))
                _require_time(job, started)
            except FAILURES as error:
                if not context.completed or _is_cancelled():
                    raise
                kept = error
    except FAILURES as error:
        if _is_cancelled():
            raise
        return judge_error(task, job, context, error)
    judged = judge(task, job, context, answer)
    return judged if kept is None else judged._replace(error=kept)


def performed(
    task: Task[..., Any], job: ClaimedJob, context: Context, judged: Judged, state: State
) -> Performed[Any]:
    """Return the attempt as the test sees it."""
    ending = judged.ending
    wait = ending.delay if isinstance(ending, Released) else None
    reason = None
    if isinstance(ending, Failed):
        wait = ending.retry_in if state in (State.RETRYABLE, State.AVAILABLE) else None
        reason = ending.reason
    return Performed(
        task=job.task,
        attempt=job.attempt,
        state=state,
        id=job.id,
        text=ending.result if isinstance(ending, Completed) else None,
        error=judged.error,
        wait=wait,
        reason=reason,
        jobs=context.jobs,
        progress=context.reported,
        reader=task.decode_result,
    )


def state_after(job: ClaimedJob, ending: Ending) -> State:
    """Return the state in which a store puts a job with this *ending*, unless somebody has asked to
    cancel it."""
    if isinstance(ending, Completed):
        return State.COMPLETED
    if isinstance(ending, Released):
        return State.SCHEDULED if ending.delay else State.AVAILABLE
    if ending.verdict == "cancel":
        return State.CANCELLED
    if ending.verdict == "discard" or job.attempt >= job.max_attempts:
        return State.DISCARDED
    return State.RETRYABLE if ending.retry_in else State.AVAILABLE


def profile() -> Mapping[str, Any]:
    """Return what a test's worker reports of itself."""
    return {"name": "pgqueue.testing", "host": socket.gethostname(), "pid": os.getpid()}


def _coroutine(
    task: Task[..., Any], job: ClaimedJob, context: Context, around: Sequence[AroundHook]
) -> Coroutine[Any, Any, Any]:
    call = task.call_async if task.wants_results else task.call

    async def work() -> Any:
        current.enter(job)
        return await awaited(around, context, partial(call, context, job.args))

    return _awaited(work(), job.timeout_seconds)


def _called(
    task: Task[..., Any], job: ClaimedJob, context: Context, around: Sequence[AroundHook]
) -> Any:
    def work() -> Any:
        current.enter(job)
        return called(around, context, task.call, job.args)

    return copy_context().run(work)


async def _awaited(work: Any, seconds: float | None) -> Any:
    return await within(seconds, work)


def _require_time(job: ClaimedJob, started: float) -> None:
    """Raise the time-out of an attempt that took too long: a plain function cannot be
    interrupted."""
    seconds = job.timeout_seconds
    if seconds is not None and monotonic() - started > seconds:
        raise OutOfTime(f"it took longer than its timeout of {seconds:g} s")


def _is_cancelled() -> bool:
    """Is the test itself to end, rather than the task's code that has cancelled itself?"""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
