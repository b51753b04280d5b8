"""Django's tasks as tasks of pgqueue, which a worker runs, with Django's signals around each
attempt.

A task is found by its import path, which is the job's task. Signals are sent where the task runs,
before the store knows how it ended: a task whose worker dies is started twice, and so is its
signal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.module_loading import import_string

from pgqueue.contrib.django import documents
from pgqueue.contrib.django.tasks_api import (
    Task,
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_finished,
    task_started,
)
from pgqueue.jobs.job import Job
from pgqueue.jobs.outcomes import OUTCOMES
from pgqueue.operations import inspections
from pgqueue.tasks import current
from pgqueue.tasks import task as declared
from pgqueue.tasks.context import Context

log = logging.getLogger("pgqueue.django")

if TYPE_CHECKING:
    from pgqueue.contrib.django.queue_app import DjangoApp


def imported(app: DjangoApp, path: str) -> declared.Task[..., Any] | None:
    """Return the task of Django's at the import *path*, to be run by a worker of *app*.

    None if *path* cannot be imported here, or is no task: a row must not make a worker call any
    function that it names. A module that fails is logged, and its jobs are handed back, so that
    other jobs go on.
    """
    try:
        task = import_string(path)
    except ImportError:
        return None
    except (Exception, SystemExit):
        log.exception("%s: its module cannot be imported", path)
        return None
    if not isinstance(task, Task) or task.module_path != path:
        return None
    is_async = iscoroutinefunction(task.func)
    kind: type[Any] = declared.AsyncTask if is_async else declared.SyncTask
    made: declared.Task[..., Any] = kind(
        _coroutine(app, task) if is_async else _function(app, task),
        name=path,
        queue=task.queue_name,
        priority=-task.priority,
        retry=getattr(task, "backoff", None),
        schema=app.schema,
    )
    return made


def _function(app: DjangoApp, task: Any) -> Callable[..., Any]:
    def attempt(context: Context, /, **document: Any) -> Any:
        running = Attempt(app, task, context, document)
        sender = type(task.get_backend())
        task_started.send(sender, task_result=running.result)
        try:
            answer = running.ended(task.func(*running.args, **running.kwargs))
        except BaseException as error:
            if running.failed(error):
                task_finished.send(sender, task_result=running.result)
            raise
        if running.is_final:
            task_finished.send(sender, task_result=running.result)
        return answer

    return attempt


def _coroutine(app: DjangoApp, task: Any) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def attempt(context: Context, /, **document: Any) -> Any:
        running = Attempt(app, task, context, document)
        sender = type(task.get_backend())
        await task_started.asend(sender, task_result=running.result)
        try:
            answer = running.ended(await task.func(*running.args, **running.kwargs))
        except Exception as error:
            if running.failed(error):
                await task_finished.asend(sender, task_result=running.result)
            raise
        if running.is_final:
            await task_finished.asend(sender, task_result=running.result)
        return answer

    return attempt


class Attempt:
    """One attempt of a job of Django's *task*: its arguments, and its result so far."""

    def __init__(self, app: DjangoApp, task: Any, context: Context, document: Any) -> None:
        self._retry_after = app.find(context.task).retry_after
        self._context = context
        self.is_final = False
        """Whether the job ends with this attempt."""
        given, self.kwargs = documents.call_of(document)
        before = _before(app, context)
        now = documents.shown(timezone.now())
        starts = [error.at for error in before.errors] if before else []
        workers = documents.workers(before) if before else []
        alias = documents.alias_of(context)
        self.result = TaskResult(
            task=documents.as_enqueued(task, context, alias),
            id=str(context.id),
            status=TaskResultStatus.RUNNING,
            enqueued_at=documents.shown(before.enqueued_at if before else context.run_at),
            started_at=documents.shown(min(starts)) if starts else now,
            finished_at=None,
            last_attempted_at=now,
            args=given,
            kwargs=self.kwargs,
            backend=alias,
            errors=documents.errors(before) if before else [],
            worker_ids=[*workers[: context.attempt - 1], str(current.worker_id() or "")],
        )
        self.args = [TaskContext(task_result=self.result), *given] if task.takes_context else given

    def ended(self, answer: Any) -> Any:
        """Note the task's return value, and return it as a JSON value.

        An outcome of pgqueue, such as Snooze, is returned unchanged: the job goes on. Raises
        TypeError for values that JSON does not have, which fails the attempt.
        """
        if isinstance(answer, OUTCOMES):
            return answer
        answer = normalize_json(answer)
        self._finish(TaskResultStatus.SUCCESSFUL)
        object.__setattr__(self.result, "_return_value", answer)
        return answer

    def failed(self, error: BaseException) -> bool:
        """Note *error*, and return whether the job is not tried again."""
        kind = type(error)
        told = TaskError(
            exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
            traceback="".join(format_exception(error)),
        )
        self.result.errors.append(told)
        context = self._context
        if context.last_attempt or self._retry_after(context.attempt, error) is None:
            self._finish(TaskResultStatus.FAILED)
        return self.is_final

    def _finish(self, status: Any) -> None:
        self.is_final = True
        object.__setattr__(self.result, "status", status)
        object.__setattr__(self.result, "finished_at", documents.shown(timezone.now()))


def _before(app: DjangoApp, context: Context) -> Job | None:
    """Return the job, with the errors of earlier attempts; None at the first attempt, which needs
    no query."""
    if context.attempt == 1 or not context.id:
        return None
    found: Job | None = app.execute(inspections.get([context.id])).get(context.id)
    return found
