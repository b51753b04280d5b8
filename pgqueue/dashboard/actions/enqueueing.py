"""A job from a form: a new one, or one like another with other arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pgqueue import operations
from pgqueue.dashboard.actions.asked import Asked, Done
from pgqueue.dashboard.fields import read_fields
from pgqueue.jobs.graphs import gather
from pgqueue.jobs.job import Handle, Job, NewJob
from pgqueue.jobs.unique import Unique
from pgqueue.operations import Plan, inspections
from pgqueue.tasks.task import Task

RETRIED_FROM: Final = "retried_from"
"""The key in a job's metadata that names the job whose arguments somebody has edited."""


def enqueue(asked: Asked) -> Plan[Done]:
    """Enqueue one job; its arguments are checked by the signature of its task, where that is known.

    For a viewer of some queues, a job that has its unique key already stays as it is.
    Raises ValueError, InvalidJob, DuplicateJob.
    """
    form, app = asked.form, asked.app
    before: Job | None = None
    if (id := form.integer(RETRIED_FROM)) is not None:
        found: dict[int, Job] = yield inspections.get([id])
        before = found.get(id)
        if before is None or not asked.access.sees(before.queue):
            raise ValueError(f"no job {id}; it may be past its retention")
    name = before.task if before else form.text("task")
    task = app.tasks.get(name)
    job = _job(name, task, read_fields(task, form, before.args if before else {}))
    job = _with_options(asked, job)
    if before is not None:
        job = job.options(metadata={**(before.metadata or {}), RETRIED_FROM: before.id})
    if not asked.access.sees(job.queue):
        raise ValueError("queue: choose one that you see")
    [new] = gather((job,), app.hooks.enqueue).jobs
    if not asked.access.sees_all:
        new = _harmless(new)
    [handle] = yield from operations.enqueue([new], notify=asked.notify)
    if handle.outcome == "existing":
        return (yield from _was_there(asked, handle))
    words = {
        "replaced": "had this unique key and waited: it has the new values now",
        "next": "enqueued: it waits until the running job with its unique key ends",
    }.get(handle.outcome, "enqueued")
    to = f"/jobs/{handle.id}"
    return Done(f"job {handle.id} {words}", to, operations.topics_to_wake([new]))


def _harmless(job: NewJob[Any]) -> NewJob[Any]:
    """Return *job* with a rule that neither changes nor names the job that has its unique key:
    that may be in any queue, and who sees it is known only afterwards."""
    rule = job.uniqueness
    if rule is None:
        return job
    return job.options(unique=Unique(key=job.unique, queue=rule.queue, until=rule.until))


def _was_there(asked: Asked, handle: Handle[Any]) -> Plan[Done]:
    """Name the job that has the unique key already, if the viewer sees it."""
    words = "has this unique key: nothing was added"
    if not (yield from asked.sees(handle.id)):
        return Done(f"a job of another queue {words}")
    return Done(f"job {handle.id} {words}", f"/jobs/{handle.id}")


def _job(name: str, task: Task[..., Any] | None, given: Mapping[str, Any]) -> NewJob[Any]:
    text = msgspec.json.encode(given).decode()
    if task is None:
        return NewJob(name, text)
    args, named = task.decode_args(text)
    by_name = dict(zip((p.name for p in task.signature.parameters), args, strict=False)) | named
    job: NewJob[Any] = task.job(**{name: by_name[name] for name in given})
    return job


def _with_options(asked: Asked, job: NewJob[Any]) -> NewJob[Any]:
    form = asked.form
    options: dict[str, Any] = {
        "queue": form.text("queue") or None,
        "priority": form.integer("priority"),
        "max_attempts": form.integer("max_attempts"),
        "key": form.text("key") or None,
        "delay": form.duration("delay"),
        "tags": form.text("tags").split() or None,
    }
    return job.options(**{name: value for name, value in options.items() if value is not None})
