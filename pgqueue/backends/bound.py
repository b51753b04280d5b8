"""A store as one connection of the application sees it: for tests that roll their transaction
back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Any, ClassVar, NoReturn, TypeVar

import msgspec

from pgqueue import backends
from pgqueue.backends.base import AsyncOperationRunner, OperationRunner
from pgqueue.backends.connections import Recognised, recognise
from pgqueue.errors import PgqueueError, UnsupportedConnection
from pgqueue.operations import Operation

T = TypeVar("T")


def at(operation: Operation[T], now: datetime | None) -> Operation[T]:
    """Return *operation* at *now*, unless it names an instant itself; None: the store's clock
    rules."""
    if now is None:
        return operation
    shortcut = None if operation.shortcut is None else at(operation.shortcut, now)
    params = dict(operation.params)
    if "now" in params and params["now"] is None:
        params["now"] = now.isoformat()
    return msgspec.structs.replace(operation, params=params, shortcut=shortcut)


class BoundBackend:
    """Operations become part of the transaction on *connection*, one of the application's.

    *now* says at which instant each is carried out; None: the store's clock rules. Nobody else sees
    what is written here before it is committed, so there is no worker, and nobody to wait for.
    """

    wakes_after: ClassVar[bool] = False

    def __init__(
        self, connection: Any, *, schema: str, now: Callable[[], datetime | None] = lambda: None
    ) -> None:
        self.connection = connection
        self._now = now
        self._attached = backends.attached(recognise(connection).store, schema)

    @property
    def store(self) -> str:
        return self._attached.store

    @property
    def capabilities(self) -> frozenset[str]:
        return self._attached.capabilities

    @property
    def head(self) -> str:
        return self._attached.head

    def execute(self, operation: Operation[T]) -> T:
        with self._on(single=True) as runner:
            return runner.execute(operation)

    async def execute_async(self, operation: Operation[T]) -> T:
        async with self._on_async(single=True) as runner:
            return await runner.execute(operation)

    def transaction(self) -> AbstractContextManager[OperationRunner]:
        return self._on(single=False)

    def transaction_async(self) -> AbstractAsyncContextManager[AsyncOperationRunner]:
        return self._on_async(single=False)

    def on(
        self, connection: Any, *, single: bool = False
    ) -> AbstractContextManager[OperationRunner]:
        return self._attached.on(connection, single=single)

    def on_async(
        self, connection: Any, *, single: bool = False
    ) -> AbstractAsyncContextManager[AsyncOperationRunner]:
        return self._attached.on_async(connection, single=single)

    def timed(self, runner: OperationRunner) -> OperationRunner:
        """Return *runner*, of another connection that joins the transaction, at the same
        instant."""
        return _At(runner, self._now)

    def timed_async(self, runner: AsyncOperationRunner) -> AsyncOperationRunner:
        return _AtAsync(runner, self._now)

    @contextlib.contextmanager
    def _on(self, *, single: bool) -> Iterator[OperationRunner]:
        found = self._blocking()
        with self._attached.on(found.driver(), single=single) as runner:
            yield _At(runner, self._now)

    @contextlib.asynccontextmanager
    async def _on_async(self, *, single: bool) -> AsyncIterator[AsyncOperationRunner]:
        found = recognise(self.connection)
        if not found.is_async:
            with self._on(single=single) as blocking:
                yield _Inline(blocking)
            return
        async with self._attached.on_async(await found.driver(), single=single) as runner:
            yield _AtAsync(runner, self._now)

    def _blocking(self) -> Recognised:
        found = recognise(self.connection)
        if found.is_async or found.bridged:
            raise UnsupportedConnection(
                "this application is bound to an asyncio connection: await its asyncio methods, "
                "app.enqueue_async(...), app.execute_async(...)"
            )
        return found

    def connect(self) -> NoReturn:
        _alone("connect")

    def worker_connection(self, *, durable: bool = True) -> NoReturn:
        _alone("run a worker")

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> NoReturn:
        _alone("wait for a result")

    def listen(self, topics: Collection[str]) -> NoReturn:
        _alone("wait for a result")

    def user_connection(self) -> NoReturn:
        _alone("open a connection")

    def user_connection_async(self) -> NoReturn:
        _alone("open a connection")

    def close(self) -> None:
        """Do nothing: the connection is not ours."""

    async def close_async(self) -> None:
        """Do nothing: the connection is not ours."""


def _alone(what: str) -> NoReturn:
    raise PgqueueError(
        f"cannot {what}: the application is bound to a connection, whose transaction nobody else "
        "sees; run its jobs with drain() of pgqueue.testing.Jobs"
    )


class _At:
    def __init__(self, runner: OperationRunner, now: Callable[[], datetime | None]) -> None:
        self._runner = runner
        self._now = now

    def execute(self, operation: Operation[T]) -> T:
        return self._runner.execute(at(operation, self._now()))


class _AtAsync:
    def __init__(self, runner: AsyncOperationRunner, now: Callable[[], datetime | None]) -> None:
        self._runner = runner
        self._now = now

    async def execute(self, operation: Operation[T]) -> T:
        return await self._runner.execute(at(operation, self._now()))


class _Inline:
    """A blocking runner, for coroutines."""

    def __init__(self, runner: OperationRunner) -> None:
        self._runner = runner

    async def execute(self, operation: Operation[T]) -> T:
        return self._runner.execute(operation)
