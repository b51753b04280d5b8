"""What runs in a pool process: takes an order, runs the task, says how it ended."""

from __future__ import annotations

import ctypes
import os
import pickle
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, TypeAlias

from pgqueue import backends, inspections
from pgqueue.backends.base import carry_out
from pgqueue.connections import driver
from pgqueue.context import Context
from pgqueue.errors import PgqueueError
from pgqueue.hands import Completion
from pgqueue.operations import ClaimedJob, completing
from pgqueue.parents import Parent
from pgqueue.tasks import Task
from pgqueue.worker.hands import read_parents

Pipe: TypeAlias = "Connection[Any, Any]"
_speaking = threading.Lock()


@dataclass(frozen=True, slots=True)
class Order:
    """Which task to run, found by import as the parent found it; and the way to the store."""

    module: str
    qualname: str
    main: str | None
    job: ClaimedJob
    store: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Started:
    """The task was found, and begins."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Progress, as JSON text."""

    progress: str


@dataclass(frozen=True, slots=True)
class Completing:
    """The task completes its job in a transaction of its own: its lease is used, not lost."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The task returned *result*; *completed*: it finished its job in a transaction of its own."""

    result: Any
    additions: Completion | None
    completed: bool


@dataclass(frozen=True, slots=True)
class Raised:
    """The task raised: the error itself if it can travel, and its traceback as text."""

    pickled: bytes | None
    kind: str
    message: str
    trace: str

    def error(self) -> Exception:
        """The error to raise in the parent, caused by the traceback of the child."""
        error: Any = None
        if self.pickled is not None:
            with suppress(Exception):
                error = pickle.loads(self.pickled)
        if not isinstance(error, Exception):
            error = type(self.kind, (Exception,), {})(self.message)
        error.__cause__ = _InChild(self.trace)
        return error  # type: ignore[no-any-return]


class _InChild(Exception):
    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def main() -> None:
    """Serves the pipe whose descriptor is the first argument; the second is the parent's process
    id."""
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))


def serve(pipe: Pipe, parent: int) -> None:
    """Runs orders until the parent is gone. Ctrl-C is the parent's business."""
    _die_with(parent)
    os.register_at_fork(after_in_child=pipe.close)  # or our death would not be noticed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            order: Order = pipe.recv()
        except (EOFError, OSError):
            return
        _say(pipe, _run(order, pipe))


def _run(order: Order, pipe: Pipe) -> Finished | Raised:
    try:
        task = _task(order.module, order.qualname, order.main)
        _say(pipe, Started())
        seconds = order.job.timeout_seconds
        context = Context(
            order.job,
            _ChildHands(order, pipe),
            None if seconds is None else monotonic() + seconds,
        )
        result = task.call(context, order.job.args)
        if context.completed:
            result = context.result
        pickle.dumps(result)
        return Finished(result, context.additions, context.completed)
    except BaseException as error:
        return _raised(error)


def _say(pipe: Pipe, what: Started | Reported | Completing | Finished | Raised) -> None:
    """A task may have threads of its own, that report progress."""
    with _speaking:
        pipe.send(what)


def _raised(error: BaseException) -> Raised:
    try:
        message = str(error)
    except BaseException as broken:
        message = f"<its message could not be read: {type(broken).__name__}>"
    try:
        pickled = pickle.dumps(error)
    except Exception:
        pickled = None
    trace = "".join(traceback.format_exception(error))
    return Raised(pickled, type(error).__name__, message, trace)


class _ChildHands:
    """The job's way out of this process: progress through the pipe, completion on connections made
    here."""

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
        with self._backend().on(driver(connection)) as executor:
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
        return _connect(self._store["url"], self._store["schema"])


@cache
def _connect(url: str, schema: str) -> backends.Backend:
    return backends.connect(url, schema=schema)


@cache
def _task(module: str, qualname: str, main: str | None) -> Task[..., Any]:
    """The task as the parent has it; *main* is the file of a parent's main module."""
    if main is not None:
        found: Any = runpy.run_path(main, run_name="__mp_main__").get(qualname)
    else:
        found = reduce(getattr, qualname.split("."), import_module(module))
    if not isinstance(found, Task):
        raise PgqueueError(
            f"{module}.{qualname} is not a task; a process finds tasks by their module's names"
        )
    return found


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies, also in the middle of a job."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
