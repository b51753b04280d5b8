"""Django's `Task` with what pgqueue's jobs can have besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pgqueue.contrib.django.tasks_api import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_QUEUE_NAME,
    Task,
    task_backends,
)
from pgqueue.jobs.unique import Unique


@dataclass(frozen=True, slots=True, kw_only=True)
class PgqueueTask(Task):
    """A task of Django's.

    *max_attempts*: how often it is tried, once unless the task or OPTIONS says otherwise.
    *backoff*: when it is tried again, a number of seconds, a timedelta, or what else
    `@app.task(retry=...)` takes. *timeout* of an attempt: seconds or a timedelta. *unique*: while
    an unfinished job has this key, enqueueing answers with that job; True makes it of the task and
    its arguments, a text like ``"invoice-{order_id}"`` of some; `Unique` says more. *key*: what
    belongs together inside the queue, a text or such a template. *after*: results, or ids, of jobs
    that must end well before.
    """

    max_attempts: int | None = None
    backoff: Any = None
    timeout: timedelta | float | None = None
    unique: bool | str | Unique = False
    key: str | None = None
    after: tuple[Any, ...] = ()

    def using(self, **changes: Any) -> PgqueueTask:
        """Return this task with other settings; None leaves one as it is."""
        if "after" in changes and not isinstance(changes["after"], (tuple, list)):
            changes["after"] = (changes["after"],)
        return replace(
            self, **{name: value for name, value in changes.items() if value is not None}
        )


def task(
    function: Callable[..., Any] | None = None,
    *,
    priority: int = 0,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
    **options: Any,
) -> Any:
    """Make *function* a task, or return a decorator: `django.tasks.task`, with *options* of
    `PgqueueTask`, in every version of Django."""

    def decorated(function: Callable[..., Any]) -> Any:
        kind = task_backends[backend].task_class
        return kind(
            func=function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            run_after=None,
            **options,
        )

    return decorated if function is None else decorated(function)
