"""An application's own code around its jobs: when they are enqueued, while they run, and after they
ended.

    @app.on_enqueue
    def with_tenant(job: NewJob[Any]) -> NewJob[Any]:
        return job.options(tags=[*job.tags, tenant.get()])

    @app.around
    @contextmanager
    def timed(ctx: Context) -> Iterator[None]:
        with histogram.labels(ctx.task).time():
            yield

    @app.on(JobDiscarded)
    async def tell(event: JobDiscarded) -> None: ...

A hook around an attempt never changes how that ends: an error of the task that the hook swallows is
raised all the same, and an error of the hook after the task is only logged.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from pgqueue.errors import InvalidTask
from pgqueue.jobs.events import JobEvent
from pgqueue.jobs.graphs import EnqueueHooks
from pgqueue.tasks.context import Context

T = TypeVar("T")
AroundHook: TypeAlias = Callable[[Context], AbstractContextManager[Any]]
_log = logging.getLogger(__name__)


everywhere: Final[list[AroundHook]] = []
"""Hooks around the attempts of all applications, outside their own: an instrumentation's."""


class Handler(NamedTuple):
    """A function that is told of events of *kinds*."""

    function: Callable[[Any], Any]
    kinds: tuple[type[JobEvent], ...]


class Hooks:
    """The hooks of one application, each kind in the order in which they were registered."""

    def __init__(self) -> None:
        self.enqueue = EnqueueHooks()
        self.around: list[AroundHook] = []
        self.handlers: list[Handler] = []

    def all_around(self) -> list[AroundHook]:
        """Return the hooks around an attempt, the outermost first."""
        return [*everywhere, *self.around]


class Around:
    """The hooks *around* one attempt, as a context manager: first in, last out."""

    def __init__(self, around: Sequence[AroundHook], context: Context) -> None:
        self._around = around
        self._context = context
        self._entered: list[tuple[AroundHook, AbstractContextManager[Any]]] = []

    def __enter__(self) -> None:
        try:
            for hook in self._around:
                manager = hook(self._context)
                manager.__enter__()
                self._entered.append((hook, manager))
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._entered:
            hook, manager = self._entered.pop()
            try:
                manager.__exit__(kind, error, trace)
            except BaseException as raised:
                self._tell(hook, raised, error)

    def _tell(self, hook: AroundHook, raised: BaseException, error: BaseException | None) -> None:
        if raised is not error:
            _log.error(
                "%s failed after job %d (%s), which ends as it would have without it",
                *(named(hook), self._context.id, self._context.task),
                exc_info=raised,
            )

    async def __aenter__(self) -> None:
        """As `__enter__`, for a coroutine; asynchronous managers are entered as such."""
        try:
            for hook in self._around:
                manager = hook(self._context)
                if isinstance(manager, AbstractAsyncContextManager):
                    await manager.__aenter__()
                else:
                    manager.__enter__()
                self._entered.append((hook, manager))
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from asyncio import CancelledError  # not needed by processes that only enqueue

        cancelled: CancelledError | None = None
        while self._entered:
            hook, manager = self._entered.pop()
            try:
                if isinstance(manager, AbstractAsyncContextManager):
                    await manager.__aexit__(kind, error, trace)
                else:
                    manager.__exit__(kind, error, trace)
            except CancelledError as raised:
                cancelled = raised
            except BaseException as raised:
                self._tell(hook, raised, error)
        if cancelled is not None and cancelled is not error:
            raise cancelled


def called(
    around: Sequence[AroundHook],
    context: Context,
    function: Callable[[Context, str], T],
    args: str,
) -> T:
    """Return what a task's *function* returns, called inside the hooks *around*."""
    with Around(around, context):
        return function(context, args)


async def awaited(
    around: Sequence[AroundHook], context: Context, work: Callable[[], Awaitable[T]]
) -> T:
    """Return the result of *work*, awaited inside the hooks *around*, in the coroutine's own
    task."""
    async with Around(around, context):
        return await work()


def named(hook: object) -> str:
    """Return a name of *hook* for people."""
    module, name = getattr(hook, "__module__", None), getattr(hook, "__qualname__", None)
    return f"{module}.{name}" if module and name else f"{hook!r:.80}"


def checked(kind: str, hook: Any) -> None:
    """Raise InvalidTask if *hook* cannot be a hook of this *kind*."""
    if not callable(hook):
        raise InvalidTask(f"{kind}: {hook!r:.60} is no function")
    bare = inspect.unwrap(hook)
    if kind == "on":
        return
    if inspect.iscoroutinefunction(bare) or inspect.isasyncgenfunction(bare):
        where = "jobs are enqueued by" if kind == "on_enqueue" else "attempts run in"
        raise InvalidTask(
            f"{kind}: {named(hook)} is asynchronous, but {where} blocking code too, where nothing "
            "can be awaited; make it a plain function"
        )
    if inspect.isgeneratorfunction(hook):
        raise InvalidTask(
            f"{kind}: {named(hook)} is a generator; decorate it with contextlib.contextmanager, "
            "below @app.around"
            if kind == "around"
            else f"{kind}: {named(hook)} is a generator; return a job"
        )
