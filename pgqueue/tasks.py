"""Tasks: functions that can become jobs, and the registry that finds them by name.

    @app.task(queue="mail", max_attempts=5)
    async def send_receipt(order_id: int) -> None: ...

    send_receipt.job(order_id=7)      # a NewJob, typed by the signature, to be enqueued
    await send_receipt(order_id=7)    # just runs it

A task is named after its function, `send_receipt` here, since SQL and other languages say it too.
Two tasks of one app cannot share a name: give one of them `name="..."`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import (
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    TypeAlias,
    TypeVar,
    overload,
)

from pgqueue import checks, results, retries
from pgqueue.codec import ArgumentsCodec, Call
from pgqueue.context import Context
from pgqueue.errors import InvalidJob, InvalidTask, UnknownTask
from pgqueue.jobs import NewJob
from pgqueue.outcomes import Outcome
from pgqueue.parents import PARENT, Parent
from pgqueue.retries import Policy, Retries
from pgqueue.signatures import Signature
from pgqueue.uniqueness import Unique, unique_key

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Executor: TypeAlias = Literal["async", "thread", "process"]
Duration: TypeAlias = timedelta | float

_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})
_log = logging.getLogger(__name__)


class Task(Generic[P, R_co]):
    """A function and how its jobs are run: what `SyncTask` and `AsyncTask` share.

    Everything a job is given by default stands here; `job(...).options(...)` changes it for one
    job. *retry* and *executor* belong to the code: they are read where the job runs.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None = None,
        queue: str = "default",
        priority: int = 0,
        max_attempts: int = 10,
        timeout: Duration | None = None,
        executor: Executor | None = None,
        retry: Retries | None = None,
        unique: Unique = False,
        tags: Iterable[str] = (),
        schema: str = "pgqueue",
    ) -> None:
        self.fn: Final = fn
        self.schema: Final = schema
        self.name: Final = _name(fn) if name is None else name
        self.executor: Final[Executor] = _executor(self.name, fn, executor)
        try:
            self.retry: Final[Policy] = retries.policy(retry)
        except (TypeError, ValueError) as error:
            raise InvalidTask(f"{self.name}: {error}") from error
        try:
            checks.name(self.name, "name", self.name)
            # Makes the other checks, and keeps the values in their final form.
            self._defaults: Final = NewJob[Any](self.name, schema=schema).options(
                queue=queue,
                priority=priority,
                max_attempts=max_attempts,
                timeout=timeout,
                tags=tags,
            )
        except InvalidJob as error:
            raise InvalidTask(str(error)) from error
        if not isinstance(unique, (bool, str)) and not callable(unique):
            raise InvalidTask(f"{self.name}: unique: give True, a template or a function")
        self.unique: Final = unique
        self.signature: Final = Signature(self.name, fn)
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            if hasattr(fn, attribute):
                setattr(self, attribute, getattr(fn, attribute))

    @property
    def queue(self) -> str:
        return self._defaults.queue

    @property
    def priority(self) -> int:
        return self._defaults.priority

    @property
    def max_attempts(self) -> int:
        return self._defaults.max_attempts

    @property
    def timeout(self) -> timedelta | None:
        return self._defaults.timeout

    @property
    def tags(self) -> tuple[str, ...]:
        return self._defaults.tags

    @property
    def wants_context(self) -> bool:
        """Whether the function takes a `Context` before the job's arguments."""
        return self.signature.wants_context

    @cached_property
    def wants_results(self) -> bool:
        """Whether parameters are results of parents."""
        return bool(self.signature.wanted)

    def job(self: Task[P, R | Outcome], *args: P.args, **kwargs: P.kwargs) -> NewJob[R]:
        """Return a job of this task with these arguments, to be enqueued.

        Raises InvalidArguments when they do not fit the signature or cannot be stored, JobTooLarge
        beyond 1 MiB of JSON, and InvalidTask when an annotation cannot be used.
        """
        codec = self._codec
        if self.wants_results:
            given = tuple(value for value in args if value is not PARENT)
            named = {name: value for name, value in kwargs.items() if value is not PARENT}
            text = codec.write(given, named)
        else:
            text = codec.write(args, kwargs)
        if not self.unique:
            return self._defaults.given(text)
        return self._defaults.given(text, unique_key(self.name, self.unique, codec, text))

    def decode_args(self, text: str) -> Call:
        """Return the arguments in *text* as (args, kwargs), without the context.

        Raises InvalidArguments: the job was written for another signature.
        """
        return self._codec.read(text)

    def call(self, context: Context, text: str) -> Any:
        """Call the function with *context*, if it wants one, and the arguments in *text*.

        Results of parents that it wants are read here, and block; a coroutine calls `call_async`.
        """
        if self.wants_results:
            return self._call_with_results(context, text, list(context.parents))
        args, kwargs = self._codec.read(text)
        if self.signature.wants_context:
            return self.fn(context, *args, **kwargs)
        return self.fn(*args, **kwargs)

    async def call_async(self, context: Context, text: str) -> Any:
        """As `call`, for a coroutine function that wants results of parents."""
        parents = [parent async for parent in context.parents]
        return await self._call_with_results(context, text, parents)

    def _call_with_results(self, context: Context, text: str, parents: list[Parent]) -> Any:
        given = self._codec.read_named(text)
        alone = len(self.signature.wanted) == 1
        for want in self.signature.wanted:
            given[want.name] = want.find(parents, alone)
        return self.fn(context, **given) if self.wants_context else self.fn(**given)

    def encode_result(self, result: Any) -> str | None:
        """Return *result* as JSON text, None for None; raises InvalidResult."""
        return results.write(self.name, result)

    def decode_result(self, text: str | bytes | None) -> Any:
        """Return the result in *text*, typed by the return annotation; raises InvalidResult."""
        return self._results.read(text)

    def retry_after(self, attempt: int, error: BaseException) -> timedelta | None:
        """Return how long to wait after *attempt* failed with *error*; None: discard the job.

        A policy that fails itself is logged, and the default one used: a bug in it loses no job.
        """
        try:
            return self.retry.delay(attempt, error)
        except Exception:
            _log.exception("%s: its retry policy failed; using the default one", self.name)
            return retries.DEFAULT.delay(attempt, error)

    def prepare(self) -> None:
        """Resolve the annotations now; raises InvalidTask.

        Happens at the first use otherwise. A worker prepares all its tasks before it takes a job.
        """
        self._codec  # noqa: B018

    @cached_property
    def _codec(self) -> ArgumentsCodec:
        return ArgumentsCodec(self.name, self.signature)

    @cached_property
    def _results(self) -> results.ResultReader:
        return results.ResultReader(self.name, self.signature.returns)

    def _direct(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self.wants_context:
            return self.fn(Context.detached(self.name), *args, **kwargs)
        return self.fn(*args, **kwargs)

    def __reduce__(self) -> str:
        # Pickled by its place in its module, where the function itself is no longer found.
        return str(self.__dict__["__qualname__"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class SyncTask(Task[P, R_co]):
    """A task whose function is a plain one: it runs in a thread, or in a process."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now; one that wants a context gets a detached one."""
        answer: R_co = self._direct(args, kwargs)
        return answer


class AsyncTask(Task[P, R_co]):
    """A task whose function is a coroutine function: it runs on the worker's event loop."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Run the coroutine here and now; one that wants a context gets a detached one."""
        coroutine: Coroutine[Any, Any, R_co] = self._direct(args, kwargs)
        return coroutine


class _NotAContext:
    """For type checkers: only a parameter that takes anything takes this."""


class TaskDecorator:
    """Makes functions tasks of one registry: `@app.task`, `@app.task(queue="mail")`.

    With options it is a decorator again, which may be kept and used for several functions:
    `mail = app.task(queue="mail", max_attempts=3)`, then `@mail` or `@mail(priority=-1)`.
    """

    def __init__(self, registry: TaskRegistry, options: Mapping[str, Any] = _NO_OPTIONS) -> None:
        self._registry = registry
        self._options = options

    # The first two are for a first parameter that may be anything, un-annotated ones included: it
    # would pass for a context, so a checker cannot tell what the job takes.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: Callable[Concatenate[_NotAContext, ...], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[..., R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[_NotAContext, ...], R], /) -> SyncTask[..., R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = ...,
        queue: str = ...,
        priority: int = ...,
        max_attempts: int = ...,
        timeout: Duration | None = ...,
        executor: Executor | None = ...,
        retry: Retries | None = ...,
        unique: Unique = ...,
        tags: Iterable[str] = ...,
    ) -> TaskDecorator: ...
    def __call__(self, fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Make *fn* a task, or return a decorator with these options.

        *name*: the function's own unless given. *queue*, *priority* (smaller first),
        *max_attempts*, *tags*: what its jobs have unless they say otherwise. *timeout* of an
        attempt: a timedelta or seconds, no limit unless given. *executor*: "async" for a coroutine
        function, "thread" for a plain one, or "process", which alone can be killed when its time is
        up. *retry*: see `pgqueue.retries`. *unique*: True, a template, or a function of the
        arguments; see `pgqueue.uniqueness`.

        Raises InvalidTask for a declaration that cannot work.
        """
        options = {**self._options, **options}
        if fn is None:
            return TaskDecorator(self._registry, options)
        if isinstance(fn, Task):
            raise InvalidTask(f"{fn.name} is a task already; register it elsewhere with add()")
        if not callable(fn):
            raise InvalidTask(f"{fn!r:.60} is no function; options go by name, task(name=...)")
        kind = AsyncTask if _is_coroutine_function(fn) else SyncTask
        task: Task[..., Any] = kind(fn, schema=self._registry.schema, **options)
        self._registry.add(task)
        return task


class TaskRegistry:
    """The tasks of an application, by name."""

    def __init__(self, schema: str = "pgqueue") -> None:
        self.schema: Final = schema
        self._tasks: dict[str, Task[..., Any]] = {}

    @property
    def task(self) -> TaskDecorator:
        """The decorator that makes functions tasks of this registry; see `TaskDecorator`."""
        return TaskDecorator(self)

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """A live, read-only view."""
        return MappingProxyType(self._tasks)

    def add(self, task: Task[..., Any]) -> None:
        """Take in *task*, perhaps another registry's; raises InvalidTask if its name is taken."""
        known = self._tasks.get(task.name)
        if known is not None and _place(known.fn) != _place(task.fn):
            raise InvalidTask(
                f"{task.name}: {_place(known.fn)} has this name already, {_place(task.fn)} needs "
                'another, @app.task(name="...")'
            )
        self._tasks[task.name] = task

    def find(self, name: str) -> Task[..., Any]:
        """Return the task *name*; raises UnknownTask."""
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTask(
                f"{name}: no task of this name; import the module that declares it, "
                "before the worker starts"
            ) from None

    def prepare(self) -> None:
        """Prepare all tasks; raises InvalidTask for the first that cannot work."""
        for task in self._tasks.values():
            task.prepare()


def _name(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__name__", None)
    if name is None or name == "<lambda>":
        raise InvalidTask(f"{fn!r:.80} has no name; give one, @app.task(name=...)")
    return str(name)


def _executor(name: str, fn: Callable[..., Any], executor: str | None) -> Executor:
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidTask(f"{name}: a generator cannot be a task; return a list, or enqueue jobs")
    is_async = _is_coroutine_function(fn)
    match executor:
        case None:
            return "async" if is_async else "thread"
        case "async" if is_async:
            return "async"
        case "async":
            raise InvalidTask(
                f'{name}: a plain function would block the event loop; use executor="thread" '
                "or make it `async def`"
            )
        case "thread" | "process" if not is_async:
            return "thread" if executor == "thread" else "process"
        case "thread" | "process":
            raise InvalidTask(
                f"{name}: a coroutine runs on the event loop; make it a plain `def` "
                f"to run it in a {executor}"
            )
    raise InvalidTask(f'{name}: executor {executor!r}; give "async", "thread" or "process"')


def _is_coroutine_function(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004
    )


def _place(fn: Callable[..., Any]) -> str:
    """Where *fn* is written; a module that is loaded again declares the same tasks again."""
    return f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', repr(fn))}"
