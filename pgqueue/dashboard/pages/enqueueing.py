"""The form that enqueues a job: a new one, or one that is there already, with other arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.fields import Field, fields_of
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.page import NoSuchPage, Page, View
from pgqueue.jobs.job import Job
from pgqueue.operations import inspections
from pgqueue.tasks.task import Task


class EnqueuePage(Page):
    """The fields of a task's job. Not *known*: the code of the task is not at hand.

    *retried_from*: the job that they are filled in from.
    """

    task: str
    known: bool
    tasks: list[str]
    fields: list[Field]
    options: dict[str, Any]
    retried_from: int | None = None


def enqueue_form(access: Access, query: Form, tasks: Mapping[str, Task[..., Any]]) -> View:
    """Return the form of the task that is asked for, or the tasks that there are."""
    yield from ()
    name = query.text("task")
    task = tasks.get(name)
    options: dict[str, Any] = {}
    if task is not None:
        options = {"queue": task.queue if access.sees(task.queue) else ""}
        options |= {"priority": task.priority, "max_attempts": task.max_attempts}
    return EnqueuePage(name, task is not None, _names(access, tasks), fields_of(task, {}), options)


def edit_form(access: Access, query: Form, tasks: Mapping[str, Task[..., Any]], id: int) -> View:
    """Return the form of a job like *id*. Raises NoSuchPage."""
    found: dict[int, Job] = yield inspections.get([id])
    job = found.get(id)
    if job is None or not access.sees(job.queue):
        raise NoSuchPage(f"no job {id}; it may be past its retention")
    task = tasks.get(job.task)
    options: dict[str, Any] = {"queue": job.queue, "priority": job.priority}
    options |= {"max_attempts": job.max_attempts, "key": job.key, "tags": " ".join(job.tags)}
    fields = fields_of(task, job.args)
    return EnqueuePage(job.task, task is not None, _names(access, tasks), fields, options, id)


def _names(access: Access, tasks: Mapping[str, Task[..., Any]]) -> list[str]:
    """The tasks whose own queue the viewer sees."""
    return sorted(name for name, task in tasks.items() if access.sees(task.queue))
