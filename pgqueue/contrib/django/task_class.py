"""Django's `Task` with the additional options of pgqueue's jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypedDict,
    Unpack,
    overload,
)

from pgqueue.contrib.django.tasks_api import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_QUEUE_NAME,
    Task,
    task_backends,
)
from pgqueue.jobs.unique import Unique

P = ParamSpec("P")


class Options(TypedDict, total=False):
    """What `@task` takes by name: settings of Django's `Task`, and those of `PgqueueTask`."""

    priority: int
    queue_name: str
    backend: str
    max_attempts: int | None
    backoff: Any
    timeout: timedelta | float | None
    unique: bool | str | Unique
    key: str | None
    after: Any


class Changes(Options, total=False):
    """What `using` takes."""

    run_after: datetime | timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PgqueueTask(Task, Generic[P]):
    """A task of Django's, with the parameters *P*.

    *max_attempts*: how often it is tried, once unless the task or OPTIONS says otherwise.
    *backoff*: when it is tried again, a number of seconds, a timedelta, or what else
    `@app.task(retry=...)` takes. *timeout* of an attempt: seconds or a timedelta. *unique*: while
    an unfinished job has this key, enqueueing answers with that job; True makes it of the task and
    its arguments, a text like ``"invoice-{order_id}"`` of some; `Unique` says more. *key*: the
    job's group inside the queue, a text or such a template. *after*: results, or ids, of jobs that
    must complete before.
    """

    max_attempts: int | None = None
    backoff: Any = None
    timeout: timedelta | float | None = None
    unique: bool | str | Unique = False
    key: str | None = None
    after: tuple[Any, ...] = ()

    if TYPE_CHECKING:  # Django's methods. A result is Any: not all stubs of Django have its class

        def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...
        async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...
        def call(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...
        async def acall(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...
        def get_result(self, result_id: str) -> Any: ...
        async def aget_result(self, result_id: str) -> Any: ...

    def using(self, **changes: Unpack[Changes]) -> PgqueueTask[P]:
        """Return this task with other settings; None leaves one as it is."""
        given: dict[str, Any] = {
            name: value for name, value in changes.items() if value is not None
        }
        if not isinstance(given.get("after", ()), (tuple, list)):
            given["after"] = (given["after"],)
        return replace(self, **given)


@overload
def task(function: Callable[P, Any], /) -> PgqueueTask[P]: ...
@overload
def task(
    *, takes_context: Literal[False] = False, **options: Unpack[Options]
) -> Callable[[Callable[P, Any]], PgqueueTask[P]]: ...
@overload
def task(
    *, takes_context: Literal[True], **options: Unpack[Options]
) -> Callable[[Callable[Concatenate[Any, P], Any]], PgqueueTask[P]]: ...
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
