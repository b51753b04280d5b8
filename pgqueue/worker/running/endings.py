"""The ending of an attempt for the store, made of a result, an error or an interruption."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias

from pgqueue.errors import LeaseLost
from pgqueue.jobs.outcomes import Cancel, Discard, Retry, Snooze
from pgqueue.operations import ClaimedJob, Completed, Failed, Released
from pgqueue.tasks import results
from pgqueue.tasks.task import Task
from pgqueue.worker.running import failures
from pgqueue.worker.running.failures import RetryAsked, storable
from pgqueue.worker.running.run import Run
from pgqueue.worker.service import log

Ending: TypeAlias = Completed | Failed | Released
FAILED_ATTEMPT: Final = "job %d (%s) %s, attempt %d of %d failed: %s"


def of_result(run: Run, task: Task[..., Any], result: Any) -> Ending:
    """The ending for the task's return value, a result or an outcome such as Snooze or Retry.
    Raises InvalidResult."""
    job = run.job
    if result is None and run.context is None:
        return Completed(job.id, job.lease)
    if run.context is not None and run.context.completed:
        return Completed(job.id, job.lease, results.write(job.task, run.context.result))
    match result:
        case Snooze(delay=timedelta() as delay):
            return Released(job.id, job.lease, delay)
        case Cancel(reason=reason):
            return Failed(job.id, job.lease, "cancel", reason=_said(reason))
        case Discard(reason=reason):
            _log_failure(job, logging.ERROR, "was discarded", "the task asked for that")
            return Failed(job.id, job.lease, "discard", reason=_said(reason))
        case Retry(delay=delay, reason=reason):
            error = RetryAsked(reason or "the task asked to be tried again")
            wait = delay if isinstance(delay, timedelta) else task.retry_after(job.attempt, error)
            return _judged(job, error, wait)
    return Completed(job.id, job.lease, task.encode_result(result))


def of_error(run: Run, task: Task[..., Any] | None, error: BaseException) -> Failed | None:
    """The ending for an error that the task raised; None when the lease was lost: another worker
    may have the job by now."""
    job = run.job
    if isinstance(error, LeaseLost):
        log.warning("job %d (%s): %s", job.id, job.task, error)
        return None
    wait: timedelta | None = timedelta(seconds=1)
    cause = error.__cause__
    if isinstance(cause, failures.InChild) and cause.verdict is not None:
        wait = cause.verdict.wait
    elif task is not None:
        wait = task.retry_after(job.attempt, error)
    return _judged(job, error, wait)


def of_interruption(run: Run, task: Task[..., Any] | None) -> Ending | None:
    """The ending for cancelled code: *run* has our reason; without one, the code cancelled itself.
    None when the lease was lost."""
    job = run.job
    if run.releasing:
        return Released(job.id, job.lease)
    if run.asked_to_stop:
        return Failed(job.id, job.lease, "cancel")
    if run.lost:
        return None
    return of_error(run, task, asyncio.CancelledError("the task's code cancelled itself"))


def _said(reason: str | None) -> str | None:
    """A task's reason, as long as an error's message may be: a page of HTML is none."""
    return reason and storable(reason[: failures.MAX_MESSAGE])


def _judged(job: ClaimedJob, error: BaseException, wait: timedelta | None) -> Failed:
    """The ending of a failed attempt: tried again after *wait*; with None, the job is discarded."""
    verdict: Literal["discard", "retry"] = "discard" if wait is None else "retry"
    reason, document = failures.reason(error), failures.document(error)
    if wait is None or job.attempt >= job.max_attempts:
        _log_failure(job, logging.ERROR, "was discarded", failures.first_line(error), error)
    else:
        _log_failure(job, logging.WARNING, "will be tried again", failures.first_line(error))
    return Failed(job.id, job.lease, verdict, wait, reason, document)


def _log_failure(
    job: ClaimedJob, level: int, what: str, why: str, error: BaseException | None = None
) -> None:
    """Logs how an attempt failed. Callers make it an error when the job is discarded, and a warning
    when it is tried again, so that somebody who watches only errors sees each lost job."""
    log.log(
        level,
        FAILED_ATTEMPT,
        job.id,
        job.task,
        what,
        job.attempt,
        job.max_attempts,
        why,
        exc_info=error,
        extra={
            "job_id": job.id,
            "task": job.task,
            "queue": job.queue,
            "attempt": job.attempt,
        },
    )
