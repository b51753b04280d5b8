"""Operations through a framework's cursor on its SQLite connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from pgqueue.backends.borrowing import Borrowed
from pgqueue.backends.sqlite.errors import is_busy, translated
from pgqueue.backends.sqlite.file import turn_of
from pgqueue.backends.sqlite.running import SqliteRunner
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation
from pgqueue.statements.sql import Statement, Step, shortest

T = TypeVar("T")


class BorrowedRunner(SqliteRunner):
    """Operations on a borrowed connection."""

    def __init__(
        self,
        connection: Borrowed,
        statements: Mapping[str, Statement],
        present: Callable[[], Sequence[int]],
    ) -> None:
        super().__init__(connection.driver, statements, present)
        self._own = self._cursor
        self._prepare(connection.prepared)
        self._cursor = connection.cursor()
        self._transaction = connection.transaction

    def execute(self, operation: Operation[T]) -> T:
        if operation.name in self._statements:
            _, statement = shortest(operation, self._statements)
            turn = _in_turn(self._connection) if statement.writes else nullcontext()
            with turn, nullcontext() if statement.atomic else self._transaction():
                return super().execute(operation)
        return super().execute(operation)

    def _prepare(self, prepared: set[str]) -> None:
        """Give a connection that is seen for the first time the functions that statements call.

        They are tried on the driver's connection: the framework would count a query that fails.
        """
        [step] = self._statements["session/drawn"].steps
        if step.sql not in prepared:
            self._run(step, {}).fetchall()
            prepared.add(step.sql)

    def _run(self, step: Step, given: Mapping[str, Any]) -> Any:
        """Run *step*; what only notes a number beside the file is not the application's query, so
        it goes around the framework."""
        if step not in self._statements["session/drawn"].steps:
            return super()._run(step, given)
        framework, self._cursor = self._cursor, self._own
        try:
            return super()._run(step, given)
        finally:
            self._cursor = framework


@contextmanager
def borrowed(
    connection: Borrowed,
    statements: Mapping[str, Statement],
    present: Callable[[], Sequence[int]],
    *,
    single: bool,
) -> Iterator[BorrowedRunner]:
    """Run operations on *connection*; *single* ones need no transaction around them.

    The framework's errors are passed on, except those that show what is wrong with the queue.
    """
    try:
        if single:
            yield BorrowedRunner(connection, statements, present)
        else:
            with _in_turn(connection.driver), connection.transaction():
                yield BorrowedRunner(connection, statements, present)
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, sqlite3.Error) and not is_busy(cause):
            ours = translated(cause)
            if ours is not cause and not isinstance(ours, StoreUnavailable):
                raise ours from error
        raise


@contextmanager
def _in_turn(driver: sqlite3.Connection) -> Iterator[None]:
    """Hold the turn to write within the block, if each statement would commit by itself.

    The framework begins its transactions itself, so the turn is held until they have committed.
    """
    turn = turn_of(driver)
    if turn is None:
        yield
        return
    turn.take()
    try:
        yield
    finally:
        turn.give()
