"""Connections of other drivers and frameworks that a port borrows.

How to carry out a statement there, and how to put several into one transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from pgqueue.backends.base import AsyncOperationRunner, OperationRunner
from pgqueue.operations import Operation, Rows
from pgqueue.statements.rounds import BEGIN
from pgqueue.statements.sql import Paramstyle

T = TypeVar("T")
_SAVEPOINT: Final = "pgqueue_borrowed"


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A blocking connection, which carries statements out by a cursor of its own.

    So a framework counts, logs and wraps our statements like its own. *driver*: the driver's
    connection below. *cursor* makes a DB-API cursor that takes *paramstyle*. *transaction* puts
    statements that belong together into a transaction, or does nothing where one is open.
    *savepoint*: the same, but in an open transaction it makes a savepoint. *prepared*: the SQL
    functions that the driver's connection was given, kept as long as it lives. *two_phases*: the
    transaction ends with a PREPARE TRANSACTION.
    """

    driver: Any
    cursor: Callable[[], Any]
    transaction: Callable[[], AbstractContextManager[Any]]
    savepoint: Callable[[], AbstractContextManager[Any]]
    prepared: set[str]
    paramstyle: Paramstyle = "pyformat"
    two_phases: bool = False


@dataclass(frozen=True, slots=True)
class AsyncBorrowed:
    """An asyncio connection: *ask* sends a statement with its parameters and returns the rows."""

    driver: Any
    ask: Callable[[str, Sequence[Any]], Awaitable[Rows]]
    transaction: Callable[[], AbstractAsyncContextManager[Any]]
    savepoint: Callable[[], AbstractAsyncContextManager[Any]]
    paramstyle: Paramstyle = "numeric_dollar"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A blocking connection that must be used in another thread, or greenlet, than the caller's.

    *connection* makes what a port's `on` takes, *run* awaits a function that is carried out there.
    *driver*: the driver's own connection.
    """

    driver: Any
    connection: Callable[[], Any]
    run: Callable[[Callable[[], Any]], Awaitable[Any]]


def drivers_own(connection: Any) -> Any:
    """Return the driver's own connection, of what `Recognised.driver` answers."""
    is_borrowed = isinstance(connection, (AsyncBorrowed, Borrowed, Elsewhere))
    return connection.driver if is_borrowed else connection


class _Opener(Protocol):
    def __call__(
        self, connection: Any, /, *, single: bool = False
    ) -> AbstractContextManager[OperationRunner]: ...


@asynccontextmanager
async def used_elsewhere(
    on: _Opener, there: Elsewhere, *, single: bool
) -> AsyncIterator[AsyncOperationRunner]:
    """Yield a runner whose operations *on*, which blocks, carries out in the thread or greenlet of
    *there*."""

    def begin() -> AbstractContextManager[OperationRunner]:
        return on(there.connection(), single=single)

    async with entered_elsewhere(begin, there.run) as runner:
        yield _Runner(runner, there.run)


class _Runner:
    def __init__(
        self, runner: OperationRunner, run: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._runner = runner
        self._run = run

    async def execute(self, operation: Operation[T]) -> T:
        answer: T = await self._run(partial(self._runner.execute, operation))
        return answer


@asynccontextmanager
async def entered_elsewhere(
    begin: Callable[[], AbstractContextManager[T]],
    run: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> AsyncIterator[T]:
    """Enter and leave the blocking context that *begin* makes, both by *run*."""
    contexts: list[AbstractContextManager[T]] = []

    def enter() -> T:
        contexts.append(begin())
        return contexts[0].__enter__()

    value = await run(enter)
    [context] = contexts
    try:
        yield value
    except BaseException as error:
        if not await run(partial(context.__exit__, type(error), error, error.__traceback__)):
            raise
    else:
        await run(partial(context.__exit__, None, None, None))


def by_statements(
    execute: Callable[[str], object], is_open: Callable[[], bool]
) -> tuple[Callable[[], AbstractContextManager[Any]], Callable[[], AbstractContextManager[Any]]]:
    """Return `Borrowed.transaction` and `Borrowed.savepoint` made of SQL.

    *is_open*: is a transaction open, or does the driver open one by itself?
    """

    def transaction() -> AbstractContextManager[Any]:
        if is_open():
            return nullcontext()
        return _bordered(execute, BEGIN.sql, "COMMIT", "ROLLBACK")

    def savepoint() -> AbstractContextManager[Any]:
        if not is_open():
            return _bordered(execute, BEGIN.sql, "COMMIT", "ROLLBACK")
        release = f"RELEASE {_SAVEPOINT}"
        undo = f"ROLLBACK TO {_SAVEPOINT}; {release}"
        return _bordered(execute, f"SAVEPOINT {_SAVEPOINT}", release, undo)

    return transaction, savepoint


@contextmanager
def _bordered(execute: Callable[[str], object], begin: str, end: str, undo: str) -> Iterator[None]:
    execute(begin)
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the connection may be lost; the first error says more
            for statement in undo.split("; "):
                execute(statement)
        raise
    execute(end)
