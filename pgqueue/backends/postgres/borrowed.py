"""Operations on connections of other drivers than psycopg, in their own transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from pgqueue.backends.borrowing import AsyncBorrowed, Borrowed
from pgqueue.backends.plans import cancellable
from pgqueue.backends.postgres.errors import of_state
from pgqueue.errors import UnsupportedConnection
from pgqueue.operations import Operation, Rows
from pgqueue.statements.rounds import asked, asked_async, rounds
from pgqueue.statements.sql import Statement, Step, shortest

T = TypeVar("T")
_QUIET: Final[Operation[None]] = Operation("session/quiet", {}, lambda _: None)


class BorrowedRunner:
    """Operations on a borrowed connection, a statement at a time."""

    def __init__(self, connection: Borrowed, statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    def execute(self, operation: Operation[T]) -> T:
        operation, statement = shortest(operation, self._statements)
        if statement.atomic:
            return operation.decode(self._ask(operation, statement.steps))
        with self._connection.transaction():
            return operation.decode(asked(rounds(statement), partial(self._ask, operation)))

    def _ask(self, operation: Operation[Any], steps: Sequence[Step]) -> list[Rows]:
        answers: list[Rows] = []
        with self._connection.cursor() as cursor:
            for step in steps:
                cursor.execute(step.sql, step.given(operation.params))
                answers.append([] if cursor.description is None else cursor.fetchall())
        return answers


class AsyncBorrowedRunner:
    """As `BorrowedRunner`, on an asyncio connection."""

    def __init__(self, connection: AsyncBorrowed, statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    async def execute(self, operation: Operation[T]) -> T:
        with cancellable():
            operation, statement = shortest(operation, self._statements)
            if statement.atomic:
                return operation.decode(await self._ask(operation, statement.steps))
            async with self._connection.transaction():
                asking = rounds(statement)
                return operation.decode(await asked_async(asking, partial(self._ask, operation)))

    async def _ask(self, operation: Operation[Any], steps: Sequence[Step]) -> list[Rows]:
        return [await self._connection.ask(step.sql, step.bind(operation.params)) for step in steps]


@contextmanager
def borrowed(
    connection: Borrowed, statements: Mapping[str, Statement], *, single: bool
) -> Iterator[BorrowedRunner]:
    """Run operations on *connection*; *single* ones need no transaction around them.

    The framework's errors are passed on, except those that show what is wrong with the queue.
    """
    try:
        runner = BorrowedRunner(connection, statements)
        if connection.two_phases:
            runner.execute(_QUIET)
        if single:
            yield runner
        else:
            with connection.transaction():
                yield runner
    except Exception as error:
        if (ours := _ours(error)) is not None:
            raise ours from error
        raise


@asynccontextmanager
async def borrowed_async(
    connection: AsyncBorrowed, statements: Mapping[str, Statement], *, single: bool
) -> AsyncIterator[AsyncBorrowedRunner]:
    """As `borrowed`, without blocking the event loop."""
    try:
        runner = AsyncBorrowedRunner(connection, statements)
        if single:
            yield runner
        else:
            async with connection.transaction():
                yield runner
    except Exception as error:
        if (ours := _ours(error)) is not None:
            raise ours from error
        raise


def _ours(error: Exception) -> Exception | None:
    cause = error.__cause__ or error
    if isinstance(cause, UnicodeError):  # psycopg2's, for text that its encoding lacks
        return UnsupportedConnection(
            f"this connection's client_encoding has no such text ({cause}): connect with "
            "client_encoding=UTF8"
        )
    return of_state(_state(cause), cause)


def _state(error: BaseException) -> str | None:
    """Return the SQLSTATE of *error*, wherever its driver keeps that."""
    told = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if told is None and error.args and isinstance(error.args[0], dict):  # pg8000
        told = error.args[0].get("C")
    return told
