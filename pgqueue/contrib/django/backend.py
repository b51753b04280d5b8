"""The backend of Django's tasks: `TASKS = {"default": {"BACKEND": "...PgqueueBackend"}}`.

A job is written in the open transaction of Django's connection: its id is known at once, and the
job exists if, and only if, the transaction commits.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from django.core.checks import CheckMessage
from django.db import connections
from django.utils.module_loading import import_string

from pgqueue import backends, operations
from pgqueue.backends.plans import carry_out
from pgqueue.contrib.django import documents
from pgqueue.contrib.django.checks import of_backend
from pgqueue.contrib.django.database import recognise
from pgqueue.contrib.django.keys import named
from pgqueue.contrib.django.queue_app import DjangoApp, app_of
from pgqueue.contrib.django.task_class import PgqueueTask
from pgqueue.contrib.django.tasks_api import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    normalize_json,
    task_enqueued,
)
from pgqueue.errors import InvalidJob
from pgqueue.jobs import jsontext
from pgqueue.jobs.graphs import gather
from pgqueue.jobs.job import Job, NewJob
from pgqueue.jobs.retries import policy
from pgqueue.operations import inspections
from pgqueue.tasks.uniqueness import own_key, rule, unique_key

_ID: Final = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class PgqueueBackend(BaseTaskBackend):
    """Jobs in a schema of one of Django's databases.

    OPTIONS: *database*, an alias of DATABASES, and *schema*; *max_attempts* (1) and *timeout*,
    defaults of tasks; *listen_url*, *retention*, *max_rescues*, *pool_size* and *environment* as
    for `pgqueue.App`.
    """

    task_class = PgqueueTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.database: str = self.options.get("database", "default")

    @property
    def app(self) -> DjangoApp:
        """The application whose jobs these are."""
        return app_of(self.options)

    def validate_task(self, task: Any) -> None:
        """Raise InvalidTask for a task that could not be enqueued, or not be run."""
        super().validate_task(_Undelayed(task) if _is_delay(task.run_after) else task)
        try:
            policy(getattr(task, "backoff", None))
            _check_keys(task)
            self._job(task, "{}")
        except (InvalidJob, TypeError, ValueError) as error:
            raise InvalidTask(str(error)) from error

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue a call of *task* in the transaction of Django's connection, by one query."""
        self.validate_task(task)
        args, kwargs = normalize_json(list(args)), normalize_json(kwargs)
        document = jsontext.write(documents.arguments(args, kwargs))
        [job] = gather((self._job(task, document, args, kwargs),)).jobs
        result = self._enqueued(task, job, args, kwargs)
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Return what has become of the job *result_id*, by one query.

        Raises TaskResultDoesNotExist where there is none, or none of Django's tasks.
        """
        if _ID.fullmatch(str(result_id)) is None:
            raise TaskResultDoesNotExist(result_id)
        with self._on(single=True) as runner:
            job: Job | None = runner.execute(inspections.get([int(result_id)])).get(int(result_id))
        if job is None:
            raise TaskResultDoesNotExist(result_id)
        try:
            task = import_string(job.task)
        except ImportError:
            task = None
        if not isinstance(task, Task):
            raise TaskResultDoesNotExist(result_id)
        return documents.result(task, job, self.alias)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return of_backend(self)

    def _enqueued(self, task: Any, job: NewJob[Any], args: list[Any], kwargs: Any) -> Any:
        [job], _, _ = gather((job,), self.app.hooks.enqueue)
        simple = operations.is_simple([job])
        with self._on(single=simple) as runner:
            if simple:
                id, enqueued_at = runner.execute(operations.enqueue_dated(job))
            else:
                [handle] = carry_out(operations.enqueue([job]), runner.execute)
                found: Job = runner.execute(inspections.get([handle]))[handle.id]
                if not handle.created:
                    return documents.result(task, found, self.alias)
                id, enqueued_at = found.id, found.enqueued_at
        return TaskResult(
            task=task,
            id=str(id),
            status=TaskResultStatus.READY,
            enqueued_at=documents.shown(enqueued_at),
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

    def _on(self, *, single: bool) -> Any:
        found = recognise(connections[self.database])
        assert found is not None
        schema = self.options.get("schema", "pgqueue")
        return backends.attached(found.store, schema).on(found.driver(), single=single)

    def _job(
        self, task: Any, document: str, args: list[Any] | None = None, kwargs: Any = None
    ) -> NewJob[Any]:
        app = self.app
        job = NewJob[Any](
            task.module_path,
            document,
            schema=app.schema,
            on_enqueue=app.hooks.enqueue,
        ).options(
            queue=task.queue_name,
            priority=-int(task.priority),
            max_attempts=attempts_of(task, self.options),
            timeout=getattr(task, "timeout", None) or self.options.get("timeout"),
            metadata=documents.metadata(task),
        )
        if _is_delay(task.run_after):
            job = job.options(delay=task.run_after)
        elif task.run_after is not None:
            job = job.options(run_at=documents.aware(task.run_after))
        unique, key = getattr(task, "unique", False), getattr(task, "key", None)
        if (unique or key) and args is not None:
            codec = named(task, args, kwargs)
            found = unique_key(job.task, unique, codec, document)
            own = own_key(job.task, key, codec, document) if key else None
            job = job.given(document, found, own, rule(job.task, unique))
        after = [int(getattr(each, "id", each)) for each in getattr(task, "after", ())]
        return job.after(*after) if after else job


class _Undelayed:
    """A task that hides its *run_after*, a timedelta, from Django's checks: those know instants
    only."""

    run_after = None

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


def _check_keys(task: Any) -> None:
    """Raise TypeError (InvalidTask is one) for a task of which no key can be made."""
    unique, key = getattr(task, "unique", False), getattr(task, "key", None)
    rule(task.name, unique)
    if key is not None and not isinstance(key, str) and not callable(key):
        raise TypeError(f"{task.name}: key: give a text, which may be a template, or a function")


def attempts_of(task: Any, options: Any) -> int:
    """Return how often *task* is tried: once, as in Django, unless the task or *options* say
    otherwise."""
    own = getattr(task, "max_attempts", None)
    found: int = options.get("max_attempts", 1) if own is None else own
    return found


def _is_delay(run_after: object) -> bool:
    return isinstance(run_after, timedelta)
