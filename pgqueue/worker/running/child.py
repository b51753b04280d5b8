"""The code of a pool process: take an order, run the task, tell how it ended."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, Final, TypeAlias

from pgqueue import backends
from pgqueue.backends.connections import recognise
from pgqueue.backends.plans import carry_out
from pgqueue.errors import JobCancelled, LeaseLost, PgqueueError
from pgqueue.jobs.carrying import carry
from pgqueue.jobs.completion import Completion
from pgqueue.operations import ClaimedJob, completing, inspections
from pgqueue.tasks import current
from pgqueue.tasks.context import Context
from pgqueue.tasks.hooks import Around, AroundHook
from pgqueue.tasks.parents import Parent
from pgqueue.tasks.task import Task
from pgqueue.worker.running.failures import InChild, Verdict, at_the_task
from pgqueue.worker.running.places import Place
from pgqueue.worker.running.runtime import read_parents

Pipe: TypeAlias = "Connection[Any, Any]"
STAYS: Final = (signal.SIGINT, signal.SIGTERM)
_speaking = threading.Lock()
_forking = threading.local()


@dataclass(frozen=True, slots=True)
class Order:
    """The job to run; where to import its task, the hooks *around* each attempt and the *carried*
    variables; the way to the *store*; the worker's id."""

    place: Place
    job: ClaimedJob
    store: Mapping[str, Any]
    around: tuple[Place, ...] = ()
    carried: tuple[Place, ...] = ()
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The task was found, and begins."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Progress, as JSON text."""

    progress: str


@dataclass(frozen=True, slots=True)
class Completing:
    """The task completes its job in a transaction of its own.

    From its commit on, the store no longer knows the lease. That must not look like a job that
    another worker took, and the task must not be stopped.
    """


@dataclass(frozen=True, slots=True)
class Finished:
    """The task returned *result*; *completed*: it finished its job in a transaction of its own."""

    result: Any
    additions: Completion | None
    completed: bool


@dataclass(frozen=True, slots=True)
class Raised:
    """The task raised. *pickled*: the error itself, if it can be pickled; *classes*: its classes,
    the nearest first; *trace*: its traceback as text; *verdict*: the retry policy's answer. The
    policy is called here, where it sees the original error."""

    pickled: bytes | None
    classes: tuple[bytes, ...]
    kind: str
    message: str
    trace: str
    verdict: Verdict | None

    def error(self) -> Exception:
        """The error to raise in the parent, caused by the traceback of the child."""
        error = None if self.pickled is None else _unpickled(self.pickled)
        if not isinstance(error, Exception) or type(error).__name__ != self.kind:
            error = self._likeness()
        error.__cause__ = InChild(self.trace, self.verdict)
        return error

    def _likeness(self) -> Exception:
        """An error with the original's name, derived from the nearest of its classes that is known
        here, so that `except` catches it as it would the original. No __init__ is called: its
        arguments are unknown."""
        said = {"__str__": lambda _: self.message}
        for pickled in self.classes:
            known = _unpickled(pickled)
            if isinstance(known, type) and issubclass(known, Exception):
                with suppress(Exception):
                    likeness: type[Exception] = type(self.kind, (known,), said)
                    return known.__new__(likeness, self.message)
        plain: type[Exception] = type(self.kind, (Exception,), said)
        return plain(self.message)


def _unpickled(data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except BaseException:  # unpickling runs code of the task's classes, which may raise anything
        return None


def main() -> None:
    """Serves the pipe whose descriptor is the first argument; the second is the parent's process
    id."""
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))


def serve(pipe: Pipe, parent: int) -> None:
    """Runs orders until the parent is gone."""
    _die_with(parent)
    # A process that a task forks must not keep the pipe open: its closing shows the worker our
    # death.
    os.register_at_fork(after_in_child=pipe.close)
    _outlive_signals()
    while True:
        try:
            order: Order = pipe.recv()
        except (EOFError, OSError):
            return
        _say(pipe, copy_context().run(_run, order, pipe))


def _outlive_signals() -> None:
    """Makes Ctrl-C and SIGTERM do nothing here. They may be sent to all processes of a service, or
    of a terminal, but the parent alone decides what becomes of the job.

    The signals get a handler that does nothing; they are not ignored. A program that a task starts
    would inherit SIG_IGN, and could not be terminated. A process that it forks would inherit even
    the handler; so that is taken back after each fork.
    """
    for number in STAYS:
        signal.signal(number, lambda *_: None)
    os.register_at_fork(
        before=_hold_signals, after_in_parent=_release_signals, after_in_child=_heed_signals
    )
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STAYS)


def _hold_signals() -> None:
    """Blocks the signals while a task forks. A child that got SIGTERM before `_heed_signals` would
    still have the handler that does nothing; blocked, the signal waits until then."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STAYS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _heed_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _release_signals()


def _run(order: Order, pipe: Pipe) -> Finished | Raised:
    task = None
    try:
        around = _hooks(order.around)
        task = _task(order.place)
        _carry(order.carried)
        if (worker := order.worker) is not None:
            current.worker.set(lambda: worker)
        current.enter(order.job)
        _say(pipe, Started())
        seconds = order.job.timeout_seconds
        context = Context(
            order.job,
            ProcessRuntime(order, pipe),
            None if seconds is None else monotonic() + seconds,
        )
        with Around(around, context):
            result = task.call(context, order.job.args)
            if inspect.isawaitable(
                result
            ):  # a decorated coroutine function may look like a plain one
                result = asyncio.run(_awaited(result))
        if context.completed:
            result = context.result
        pickle.dumps(result)
        return Finished(result, context.additions, context.completed)
    except (JobCancelled, LeaseLost) as error:
        return _raised(error, None)
    except BaseException as error:
        if task is None:
            return _raised(error, None)
        return _raised(error, Verdict(task.retry_after(order.job.attempt, error)))


def _say(pipe: Pipe, what: Started | Reported | Completing | Finished | Raised) -> None:
    """Sends *what*, one message at a time: a task may report progress from threads of its own."""
    with _speaking:
        pipe.send(what)


def _raised(error: BaseException, verdict: Verdict | None) -> Raised:
    try:
        message = str(error)
    except BaseException as broken:
        message = f"<its message could not be read: {type(broken).__name__}>"
    classes = tuple(filter(None, map(_pickled, type(error).__mro__[:-2])))
    trace = "".join(traceback.format_exception(at_the_task(error)))
    return Raised(_pickled(error), classes, type(error).__name__, message, trace, verdict)


def _pickled(thing: Any) -> bytes | None:
    try:
        return pickle.dumps(thing)
    except Exception:
        return None


class ProcessRuntime:
    """The job's runtime in a pool process: progress goes through the pipe, everything else over
    connections that are opened here."""

    def __init__(self, order: Order, pipe: Pipe) -> None:
        self._job = order.job
        self._store = order.store
        self._pipe = pipe

    def parents(self, after: int, limit: int) -> list[Parent]:
        page = inspections.parents([self._job.id], after=after, limit=limit)
        return read_parents(self._backend().execute(page))

    async def parents_async(self, after: int, limit: int) -> list[Parent]:
        return self.parents(after, limit)

    def report(self, progress: str) -> None:
        _say(self._pipe, Reported(progress))

    def finish(self, connection: Any, completion: Completion) -> Awaitable[None] | None:
        with self._backend().on(recognise(connection).driver()) as executor:
            carry_out(completing(self._job, completion, self._store["keep"]), executor.execute)
        _say(self._pipe, Completing())
        return None

    def transaction(self, completion: Callable[[], Completion]) -> AbstractAsyncContextManager[Any]:
        raise PgqueueError(
            f"{self._job.task}: use `with ctx.transaction()`, without async, in a process"
        )

    @contextmanager
    def blocking_transaction(self, completion: Callable[[], Completion]) -> Iterator[Any]:
        backend = self._backend()
        with backend.user_connection() as connection:
            yield connection
            with backend.on(connection) as executor:
                plan = completing(self._job, completion(), self._store["keep"])
                carry_out(plan, executor.execute)
            _say(self._pipe, Completing())

    def _backend(self) -> backends.Backend:
        _urls[0] = self._store["url"]
        return _connect(self._store["schema"])


# The URL of the latest order, for later connections: its password may be a token that changes.
_urls: Final = [""]


@cache
def _connect(schema: str) -> backends.Backend:
    return backends.connect(lambda: _urls[0], schema=schema)


@cache
def _task(place: Place) -> Task[..., Any]:
    return place.find()


@cache
def _hooks(around: tuple[Place, ...]) -> list[AroundHook]:
    return [place.find_hook() for place in around]


@cache
def _carry(carried: tuple[Place, ...]) -> None:
    for place in carried:
        carry(place.find_variable(), name=place.name)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies, also in the middle of a job."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before the call, so no signal will come
        os._exit(1)
