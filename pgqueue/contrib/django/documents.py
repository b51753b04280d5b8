"""A call of Django's task as a job's arguments, and a job as a task's result.

Arguments that were given by name are the job's, so that SQL can enqueue a task as well; those given
by position are under ``*``, which is no name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from pgqueue.contrib.django.tasks_api import TaskError, TaskResult, TaskResultStatus
from pgqueue.jobs.job import Job, JobError, State

POSITIONAL: Final = "*"
STATUSES: Final = {
    State.BLOCKED: TaskResultStatus.READY,
    State.SCHEDULED: TaskResultStatus.READY,
    State.AVAILABLE: TaskResultStatus.READY,
    State.RETRYABLE: TaskResultStatus.READY,
    State.RUNNING: TaskResultStatus.RUNNING,
    State.COMPLETED: TaskResultStatus.SUCCESSFUL,
    State.CANCELLED: TaskResultStatus.FAILED,
    State.DISCARDED: TaskResultStatus.FAILED,
}
_RUN_AFTER: Final = "run_after"
_BACKEND: Final = "backend"


def arguments(args: list[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job's arguments."""
    return {POSITIONAL: args, **kwargs} if args else dict(kwargs)


def call_of(document: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the named arguments in *document*."""
    kwargs = dict(document)
    return list(kwargs.pop(POSITIONAL, ())), kwargs


def metadata(task: Any) -> dict[str, Any] | None:
    """Return the facts of *task* that its result shows and no column of the job has; mostly
    none."""
    own: dict[str, Any] = {}
    if isinstance(task.run_after, timedelta):
        own[_RUN_AFTER] = task.run_after.total_seconds()
    elif task.run_after is not None:
        own[_RUN_AFTER] = aware(task.run_after).isoformat()
    if task.backend != "default":
        own[_BACKEND] = task.backend
    return {"django": own} if own else None


def alias_of(job: Any) -> str:
    """Return the alias of the backend that *job* was enqueued by."""
    own = (job.metadata or {}).get("django", {})
    alias: str = own.get(_BACKEND, "default")
    return alias


def as_enqueued(task: Any, job: Any, alias: str) -> Any:
    """Return *task* as it was when *job*, or the context of its attempt, was enqueued."""
    own = (job.metadata or {}).get("django", {})
    changes: dict[str, Any] = {
        "priority": -job.priority,
        "queue_name": job.queue,
        "backend": alias,
    }
    if isinstance(after := own.get(_RUN_AFTER), str):
        changes["run_after"] = shown(datetime.fromisoformat(after))
    elif after is not None:
        changes["run_after"] = timedelta(seconds=after)
    return task.using(**changes)


def result(task: Any, job: Job, alias: str) -> Any:
    """Return *job* as Django's result of *task*."""
    args, kwargs = call_of(job.args)
    starts = [error.at for error in job.errors]
    if job.claimed_at is not None:
        starts.append(job.claimed_at)
    made = TaskResult(
        task=as_enqueued(task, job, alias),
        id=str(job.id),
        status=STATUSES[job.state],
        enqueued_at=shown(job.enqueued_at),
        started_at=shown(min(starts) if starts else None),
        finished_at=shown(job.finished_at),
        last_attempted_at=shown(max(starts) if starts else None),
        args=args,
        kwargs=kwargs,
        backend=alias,
        errors=errors(job),
        worker_ids=workers(job),
    )
    if job.state is State.COMPLETED:
        object.__setattr__(made, "_return_value", job.result)
    return made


def errors(job: Job) -> list[Any]:
    """Return the errors of *job*'s attempts; and the reason of its end, if that was no error."""
    errors = [_error(error) for error in job.errors]
    if job.reason is not None and not (job.errors and job.errors[-1].attempt == job.attempt):
        path = "pgqueue.errors.JobCancelled" if job.state is State.CANCELLED else _FAILED
        errors.append(TaskError(exception_class_path=path, traceback=f"{job.reason}\n"))
    return errors


_FAILED: Final = "pgqueue.errors.JobFailed"


def _error(error: JobError) -> Any:
    text = error.traceback or f"{error.type}: {error.message}\n"
    return TaskError(exception_class_path=error.path or _FAILED, traceback=text)


def workers(job: Job) -> list[str]:
    """Return the worker of each attempt; empty where it is not known any more."""
    by_attempt = {error.attempt: error.worker for error in job.errors}
    if job.worker is not None:
        by_attempt[job.attempt] = job.worker
    found = [by_attempt.get(attempt) for attempt in range(1, job.attempt + 1)]
    return ["" if worker is None else str(worker) for worker in found]


def aware(instant: datetime) -> datetime:
    """Return *instant* with a time zone: Django's own, where it has none."""
    return timezone.make_aware(instant) if timezone.is_naive(instant) else instant


def shown(instant: datetime | None) -> datetime | None:
    """Return *instant* as Django has it: aware, or, without USE_TZ, local and naive."""
    if instant is None:
        return None
    return instant.astimezone(UTC) if settings.USE_TZ else timezone.make_naive(instant)
