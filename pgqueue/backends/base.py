"""What a store must do to be a backend, and how a plan of several operations is carried out.

Whoever inherits from a protocol here gets what a store without sessions and messages answers.
docs/backends.md is the manual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any, ClassVar, Final, Protocol, TypeVar, TypeVarTuple

import tenacity

from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.operations import Operation, Plan, Together

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DEAF_WAIT_SECONDS: Final = 0.5  # between two looks for a result whose end nobody can announce


def again(error: type[Exception], attempts: int) -> Mapping[str, Any]:
    """How tenacity tries something again after *error*, with growing, jittered waits."""
    return {
        "retry": tenacity.retry_if_exception_type(error),
        "wait": tenacity.wait_random_exponential(multiplier=0.01, max=1),
        "stop": tenacity.stop_after_attempt(attempts),
        "reraise": True,
    }


# For questions only: the connection died under it. The pool brings the next one, or waits.
ASK_AGAIN: Final = again(StoreUnavailable, 3)


def patiently(work: Callable[[*Ts], T], *arguments: *Ts, attempts: int = 10) -> T:
    """Does *work*, again while the store undoes it as a whole; in the end raises StoreBusy."""
    try:  # without what retrying costs, more than all else here
        return work(*arguments)
    except StoreBusy:
        return tenacity.Retrying(**again(StoreBusy, attempts))(work, *arguments)


async def patiently_async(work: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
    """As `patiently`, without blocking the event loop."""
    try:
        return await work(*arguments)
    except StoreBusy:
        return await tenacity.AsyncRetrying(**again(StoreBusy, 10))(work, *arguments)


@contextmanager
def cancellable() -> Iterator[None]:
    """A cancellation that comes inside is never lost, whatever else is raised or answered there.

    Otherwise a service that is stopped in this moment would go on for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


class Executor(Protocol):
    """Carries operations out, one after the other, on one connection."""

    def execute(self, operation: Operation[T]) -> T: ...


class AsyncExecutor(Protocol):
    """Carries operations out, one after the other, on one connection, without blocking the loop."""

    async def execute(self, operation: Operation[T]) -> T: ...


class Lane(AsyncExecutor, Protocol):
    """A worker's connection of its own.

    *execute* raises StoreUnavailable when the connection is lost; *open* makes a new one.
    """

    async def open(self) -> None:
        """Connects, anew after a loss. Raises StoreUnavailable."""
        return

    async def close(self) -> None:
        """Ends it; twice, or without having been opened, is no error."""
        return

    def transaction(self) -> AbstractAsyncContextManager[AsyncExecutor]:
        """What is executed inside commits together, or not at all."""
        ...


class Session(Lane, Protocol):
    """The connection that is a worker's life, and its ear. Notifications are hints: they may be
    lost."""

    async def present(self, worker: int) -> bool:
        """Holds *worker*'s presence while this session lives; False where the store has no
        sessions, or while another session holds it: heartbeats are its life then."""
        return False

    async def sleep(self, topics: Collection[str]) -> bool:
        """From now on *topics* wake us, and no others; False where nothing can: then the worker
        looks every second."""
        return False

    async def check(self) -> None:
        """Raises StoreUnavailable when this session has gone deaf."""
        return


class Ear(Protocol):
    """Hears of one's topics, without an event loop."""

    def wait(self, seconds: float) -> None:
        """Returns when a topic was notified, or after *seconds*; earlier is no error."""
        ...


class Backend(Protocol):
    """A store. Its only substantial method is the one that carries out an operation."""

    wakes_after: ClassVar[bool] = False
    """Whether who owns the commit should wake sleepers in an operation of its own, after it."""

    @property
    def store(self) -> str:
        """Its name, for messages."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """What of `pgqueue.backends.capabilities` it can do."""
        ...

    @property
    def head(self) -> str:
        """The version that `inspections.version` must answer at least, compared as text."""
        ...

    def execute(self, operation: Operation[T]) -> T:
        """Carries out *operation* in a transaction of its own.

        Raises StoreUnavailable when the store is away, StoreBusy when it has undone the whole.
        """
        ...

    async def execute_async(self, operation: Operation[T]) -> T: ...

    def transaction(self) -> AbstractContextManager[Executor]:
        """A transaction of pgqueue's own."""
        ...

    def transaction_async(self) -> AbstractAsyncContextManager[AsyncExecutor]: ...

    def on(self, connection: Any) -> AbstractContextManager[Executor]:
        """Operations become part of the caller's transaction on *connection*, the driver's own;
        without one they are a transaction of their own."""
        ...

    def on_async(self, connection: Any) -> AbstractAsyncContextManager[AsyncExecutor]: ...

    def connect(self) -> AbstractContextManager[Any]:
        """A connection of the driver's, outside any pool; says at once when the store is away, and
        why."""
        ...

    def lane(self, *, durable: bool = True) -> Lane:
        """A worker's connection. Not *durable*: a crash may undo what was answered, never corrupt
        it."""
        ...

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> Session:
        """A worker's session: *woken* is called with each topic, *lost* when it breaks idle."""
        ...

    def listen(self, topics: Collection[str]) -> AbstractContextManager[Ear]:
        """While inside, *topics* are announced to us. Lossy: look for yourself now and then."""
        ...

    def user_connection(self) -> AbstractContextManager[Any]:
        """A connection in a transaction, for a task that finishes in its own."""
        ...

    def user_connection_async(self) -> AbstractAsyncContextManager[Any]: ...

    def close(self) -> None:
        """Gives back what the blocking methods keep open; used again, it connects again."""
        return

    async def close_async(self) -> None:
        """Gives back what the asyncio methods keep open on this event loop."""
        return


def carry_out(
    plan: Plan[T],
    execute: Callable[[Operation[Any]], Any],
    together: Callable[[Iterable[Operation[Any]]], list[Any]] | None = None,
) -> T:
    """Runs *plan* to its end, sending each operation's answer back into it.

    Several that go *together* are executed one by one where the store has nothing better.
    """
    try:
        asked = next(plan)
        while True:
            if not isinstance(asked, Together):
                asked = plan.send(execute(asked))
            elif together is not None:
                asked = plan.send(together(asked.operations))
            else:
                asked = plan.send([execute(operation) for operation in asked.operations])
    except StopIteration as stop:
        result: T = stop.value
        return result


async def carry_out_async(
    plan: Plan[T],
    execute: Callable[[Operation[Any]], Awaitable[Any]],
    together: Callable[[Iterable[Operation[Any]]], Awaitable[list[Any]]] | None = None,
) -> T:
    """As `carry_out`, for what is to be awaited."""
    try:
        asked = next(plan)
        while True:
            if not isinstance(asked, Together):
                asked = plan.send(await execute(asked))
            elif together is not None:
                asked = plan.send(await together(asked.operations))
            else:
                asked = plan.send([await execute(operation) for operation in asked.operations])
    except StopIteration as stop:
        result: T = stop.value
        return result
