"""The protocols that a store must implement to be a backend.

A class that inherits from a protocol here answers like a store without sessions and messages.
docs/backends.md is the manual.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ClassVar, Final, Protocol, TypeVar, runtime_checkable

from pgqueue.operations import Operation

T = TypeVar("T")
U = TypeVar("U")

DEAF_WAIT_SECONDS: Final = 0.5  # between looks for a result that no message announces


class OperationRunner(Protocol):
    """Carry operations out, one after the other, on one connection."""

    def execute(self, operation: Operation[T]) -> T: ...


class AsyncOperationRunner(Protocol):
    """Carry operations out, one after the other, on one connection, without blocking the loop."""

    async def execute(self, operation: Operation[T]) -> T: ...


class WorkerConnection(AsyncOperationRunner, Protocol):
    """A worker's connection of its own.

    *execute* raises StoreUnavailable when the connection is lost; *open* makes a new one.
    """

    async def open(self) -> None:
        """Connect, anew after a loss. Raises StoreUnavailable."""
        return

    async def close(self) -> None:
        """Close the connection; twice, or without having been opened, is no error."""
        return

    def transaction(self) -> AbstractAsyncContextManager[AsyncOperationRunner]:
        """Return a transaction: what is executed inside commits together, or not at all."""
        ...


@runtime_checkable
class PairingConnection(Protocol):
    """A worker's connection that can carry out two operations in one round trip.

    Its store also has the operation `hand_over`.
    """

    @property
    def pairs(self) -> bool:
        """Can it do that now?"""
        ...

    async def execute_both(self, first: Operation[T], second: Operation[U]) -> tuple[T, U]:
        """Carry out *first*, then *second*, a transaction each; *second* need not be durable.

        When *first* fails, *second* is not carried out. An error does not say which one failed.
        """
        ...


class Session(WorkerConnection, Protocol):
    """The connection that shows that a worker lives, and on which it is notified.

    Notifications are hints: they may be lost.
    """

    async def present(self, worker: int) -> bool:
        """Hold *worker*'s presence while this session lives.

        Returns False where the store has no sessions, or while another session holds it: then only
        heartbeats show that the worker lives.
        """
        return False

    async def subscribe(self, topics: Collection[str]) -> bool:
        """Be woken by *topics* from now on, and by no others; ask again after any error.

        Returns False where nothing can wake us: then the worker looks every second.
        """
        return False

    async def check(self) -> None:
        """Raise StoreUnavailable when this session no longer hears notifications."""
        return


class Subscription(Protocol):
    """Wait for topics, without an event loop."""

    def wait(self, seconds: float) -> None:
        """Return when a topic was notified, or after *seconds*; earlier is no error."""
        ...


class Backend(Protocol):
    """A store. Its only substantial method is `execute`, which carries an operation out."""

    wakes_after: ClassVar[bool] = False
    """After a commit, should the caller wake sleeping workers, by an operation of its own?"""

    @property
    def store(self) -> str:
        """The store's name, for messages."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """The names of the `pgqueue.backends.capabilities` that it has."""
        ...

    @property
    def head(self) -> str:
        """The least version that `inspections.version` must answer, compared as text."""
        ...

    def execute(self, operation: Operation[T]) -> T:
        """Carry out *operation* in a transaction of its own.

        Raises StoreUnavailable when the store cannot be reached, StoreBusy when it has undone
        everything.
        """
        ...

    async def execute_async(self, operation: Operation[T]) -> T: ...

    def transaction(self) -> AbstractContextManager[OperationRunner]:
        """Return a transaction on a connection of pgqueue's own."""
        ...

    def transaction_async(self) -> AbstractAsyncContextManager[AsyncOperationRunner]: ...

    def on(
        self, connection: Any, *, single: bool = False
    ) -> AbstractContextManager[OperationRunner]:
        """Return a runner in the caller's transaction on *connection*, the driver's own.

        Where none is open, the operations are a transaction of their own. *single*: there will be
        only one operation, which may save the round trips of a transaction around it.
        """
        ...

    def on_async(
        self, connection: Any, *, single: bool = False
    ) -> AbstractAsyncContextManager[AsyncOperationRunner]: ...

    def connect(self) -> AbstractContextManager[Any]:
        """Return a connection of the driver's, outside any pool.

        Raises StoreUnavailable at once, and says why: a pool would try again first.
        """
        ...

    def worker_connection(self, *, durable: bool = True) -> WorkerConnection:
        """Return a worker's connection.

        Not *durable*: a crash of the server may undo what it has answered, but corrupts nothing.
        """
        ...

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> Session:
        """Return a worker's session; it calls *woken* with each topic, *lost* if it breaks while
        idle."""
        ...

    def listen(self, topics: Collection[str]) -> AbstractContextManager[Subscription]:
        """Subscribe to *topics* within the block. Some notifications may be missed: look for
        yourself now and then."""
        ...

    def user_connection(self) -> AbstractContextManager[Any]:
        """Return a connection in a transaction, for a task that completes its job there."""
        ...

    def user_connection_async(self) -> AbstractAsyncContextManager[Any]: ...

    def close(self) -> None:
        """Close what the blocking methods keep open; used again, the backend connects again."""
        return

    async def close_async(self) -> None:
        """Close what the asyncio methods keep open on this event loop."""
        return
