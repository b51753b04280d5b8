"""Tasks: functions that can become jobs, and the registry that finds them by name.

    @app.task(queue="mail", max_attempts=5)
    async def send_receipt(order_id: int) -> None: ...

    send_receipt.job(order_id=7)      # a NewJob, typed by the signature, to be enqueued
    await send_receipt(order_id=7)    # just runs it

A task has its function's name, `send_receipt` here, since SQL and other languages write it, too.
Two tasks of one app cannot share a name: give one of them `name="..."`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    ParamSpec,
    TypeAlias,
    TypeVar,
)

from pgqueue.errors import InvalidJob, InvalidTask
from pgqueue.jobs import checks, retries
from pgqueue.jobs.job import EnqueueHook, NewJob
from pgqueue.jobs.outcomes import Outcome
from pgqueue.jobs.retries import Policy, Retries
from pgqueue.tasks import results
from pgqueue.tasks.arguments import ArgumentsCodec, Call
from pgqueue.tasks.context import Context
from pgqueue.tasks.parents import PARENT, Parent
from pgqueue.tasks.signatures import Signature
from pgqueue.tasks.uniqueness import (
    Key,
    Uniqueness,
    check_names,
    is_constant,
    own_key,
    rule,
    unique_key,
)

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Executor: TypeAlias = Literal["async", "thread", "process"]
Duration: TypeAlias = timedelta | float
_log = logging.getLogger(__name__)


class Task(Generic[P, R_co]):
    """A function and how its jobs are run: the base of `SyncTask` and `AsyncTask`.

    A task holds the defaults of its jobs; `job(...).options(...)` changes them for one job. *retry*
    and *executor* are not stored with a job: they are read where it runs.
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
        unique: Uniqueness = False,
        key: Key | None = None,
        tags: Iterable[str] = (),
        expires: Duration | None = None,
        keep: bool = True,
        aliases: Iterable[str] = (),
        schema: str = "pgqueue",
        on_enqueue: Sequence[EnqueueHook] = (),
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
            if isinstance(aliases, str):
                raise InvalidTask(f"{self.name}: aliases: give a list of names")
            self.aliases: Final = tuple(checks.name(self.name, "aliases", each) for each in aliases)
            # Makes the other checks, and keeps the values in their final form.
            self._defaults: Final = NewJob[Any](
                self.name, schema=schema, on_enqueue=on_enqueue
            ).options(
                queue=queue,
                priority=priority,
                max_attempts=max_attempts,
                timeout=timeout,
                tags=tags,
                expires=_relative(self.name, expires),
                keep=keep,
                key=key if is_constant(key) else None,
            )
        except InvalidJob as error:
            raise InvalidTask(str(error)) from error
        self._rule: Final = rule(self.name, unique)
        self.unique: Final = unique
        if key is not None and not isinstance(key, str) and not callable(key):
            raise InvalidTask(f"{self.name}: key: give a text, a template or a function")
        self.key: Final = key
        self._filled_in: Final = None if is_constant(key) else key
        self.signature: Final = Signature(self.name, fn)
        check_names(self.name, unique, self.signature.names())
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            if hasattr(fn, attribute):
                setattr(self, attribute, getattr(fn, attribute))

    @property
    def queue(self) -> str:
        """Where its jobs wait, unless a job says another."""
        return self._defaults.queue

    @property
    def priority(self) -> int:
        """Its jobs' priority, unless a job says another; smaller ones come first."""
        return self._defaults.priority

    @property
    def max_attempts(self) -> int:
        """After how many failed attempts a job is discarded, unless it says another number."""
        return self._defaults.max_attempts

    @property
    def timeout(self) -> timedelta | None:
        """How long an attempt may take, unless a job says otherwise; None: for ever."""
        return self._defaults.timeout

    @property
    def tags(self) -> tuple[str, ...]:
        """Its jobs' tags, unless a job says others."""
        return self._defaults.tags

    @cached_property
    def wants_context(self) -> bool:
        """Whether the function takes a `Context` before the job's arguments."""
        return self.signature.wants_context

    @cached_property
    def wants_results(self) -> bool:
        """Whether parameters are results of parents."""
        return bool(self.signature.wanted)

    @cached_property
    def is_plain(self) -> bool:
        """Whether it is a coroutine function that takes only a job's arguments."""
        return self.executor == "async" and not (self.wants_context or self.wants_results)

    def job(self: Task[P, R | Outcome], *args: P.args, **kwargs: P.kwargs) -> NewJob[R]:
        """Return a job of this task with these arguments, to be enqueued.

        Raises InvalidArguments when the arguments do not fit the signature or cannot be stored,
        JobTooLarge beyond 1 MiB of JSON, and InvalidTask when an annotation cannot be used.
        """
        codec = self._codec
        if self.wants_results:
            given = tuple(value for value in args if value is not PARENT)
            named = {name: value for name, value in kwargs.items() if value is not PARENT}
            text = codec.write(given, named)
        else:
            text = codec.write(args, kwargs)
        if not self.unique and self._filled_in is None:
            return self._defaults.given(text)
        unique = unique_key(self.name, self.unique, codec, text)
        if self._filled_in is None:
            return self._defaults.given(text, unique, None, self._rule)
        key = own_key(self.name, self._filled_in, codec, text)
        return self._defaults.given(text, unique, key, self._rule)

    def decode_args(self, text: str) -> Call:
        """Return the arguments in *text* as (args, kwargs), without the context.

        Raises InvalidArguments if the job was written for another signature.
        """
        return self._codec.read(text)

    def call(self, context: Context, text: str) -> Any:
        """Call the function with *context*, if it wants one, and the arguments in *text*.

        Reads the parents' results that the function takes, which blocks; a coroutine calls
        `call_async`.
        """
        if self.wants_results:
            # Not list(): that calls len() first, which loads all parents into memory at once.
            parents = [parent for parent in context.parents]  # noqa: C416  not list()
            return self._call_with_results(context, text, parents)
        args, kwargs = self._codec.read(text)
        if self.signature.wants_context:
            return self.fn(context, *args, **kwargs)
        return self.fn(*args, **kwargs)

    async def call_async(self, context: Context, text: str) -> Any:
        """As `call`, for a coroutine function that takes results of parents."""
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

        If the policy itself fails, that is logged and the default policy used: a bug in it loses no
        job.
        """
        try:
            return self.retry.delay(attempt, error)
        except BaseException:  # SystemExit, raised by a policy, is not the end of the worker
            _log.exception("%s: its retry policy failed; using the default one", self.name)
            return retries.DEFAULT.delay(attempt, error)

    def prepare(self) -> None:
        """Resolve the annotations now; raises InvalidTask.

        Otherwise that happens at the first use. A worker prepares all its tasks before it takes a
        job.
        """
        self._codec  # noqa: B018  made when it is read

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
        # Pickled by name: in its module, the function's name is the task now.
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
    """A type that only a parameter of type `Any`, or without an annotation, accepts; for type
    checkers only."""


def _name(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__name__", None)
    if name is None or name == "<lambda>":
        raise InvalidTask(f"{fn!r:.80} has no name; give one, @app.task(name=...)")
    return str(name)


def _relative(name: str, expires: Duration | None) -> Duration | None:
    if isinstance(expires, datetime):
        raise InvalidTask(
            f"{name}: expires: an instant would be the same for all jobs of the task; give a "
            "duration from when they are due, or job(...).options(expires=...)"
        )
    return expires


def _executor(name: str, fn: Callable[..., Any], executor: str | None) -> Executor:
    bare = _bare(fn)
    if inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare):
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
    fn = _bare(fn)
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004  what kind of function it is
    )


def _bare(fn: Any) -> Any:
    """Return the function below partials and static methods.

    A decorator's wrapper is taken as it is: it decides itself whether it awaits.
    """
    while isinstance(fn, (partial, staticmethod)):
        fn = fn.func if isinstance(fn, partial) else fn.__func__
    return fn


def _place(fn: Callable[..., Any]) -> str:
    """Return where *fn* is defined; the same after its module was reloaded."""
    return f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', repr(fn))}"
