"""Run the statement files of sql/sqlite on a connection of sqlite3's."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from pgqueue.backends.sqlite import numbers
from pgqueue.backends.sqlite.file import identity_of, path_of
from pgqueue.operations import Operation, Rows
from pgqueue.statements.rounds import Answer, asked, rounds
from pgqueue.statements.sql import Statement, Step, shortest

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Operations that need no statement: sessions watch the file, so they see every commit.
SILENT: Final = frozenset({"wake"})
# Operations that draw numbers: the caller sees them, and may roll back.
DRAWING: Final = frozenset(
    {"enqueue", "enqueue_alike", "enqueue_one", "enqueue_once", "enqueue_unique", "begin"}
)


class SqliteRunner:
    """Operations on one connection, in the transaction that it is in.

    A statement's columns that are named like parameters, ``AS ":ids"``, become parameters of later
    statements. Parameters that other stores compute themselves are added here: `now`, in
    microseconds, the workers that are `present`, and the file's `place`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Mapping[str, Statement],
        present: Callable[[], Sequence[int]],
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._cursor.row_factory = None  # the application may have set one for its connection
        self._statements = statements
        self._present = present

    def execute(self, operation: Operation[T]) -> T:
        """Run the steps in order, and the repeated ones as often as they ask for; return the
        decoded answer."""
        if operation.name in SILENT:
            return operation.decode([])
        operation, statement = shortest(operation, self._statements)
        given: dict[str, Any] = {**operation.params, "now": instant(operation.params.get("now"))}
        given.update(dict.fromkeys(statement.remembers))
        if statement.name in ("rescue", "elect", "watch"):
            given["present"] = json.dumps(list(self._present()))
        if statement.name in ("whereabouts", "remember", "adopt"):
            given["place"] = json.dumps(identity_of(path_of(self._connection)))
        with _as_text(self._connection):
            answers = asked(rounds(statement), partial(self._ask, given))
            if statement.name in DRAWING and self._connection.in_transaction:
                [step] = self._statements["session/drawn"].steps
                self._run(step, {}).fetchall()
            return operation.decode(answers)

    def _run(self, step: Step, given: Mapping[str, Any]) -> sqlite3.Cursor:
        try:
            return self._cursor.execute(step.sql, given)
        except sqlite3.OperationalError as error:
            if (function := numbers.missing(error)) is None:
                raise
            numbers.give(self._connection, function)
            return self._cursor.execute(step.sql, given)

    def _ask(self, given: dict[str, Any], steps: Sequence[Step]) -> list[Answer]:
        """Run *steps* and return their answers; add to *given* the parameters that a step gives
        later ones."""
        answers: list[Answer] = []
        for step in steps:
            cursor = self._run(step, given)
            rows: Rows | None = None if cursor.description is None else cursor.fetchall()
            if rows is not None and step.gives:
                given.update(zip(step.gives, rows[0] if rows else (None,) * 9, strict=False))
            elif rows is not None and step.has_lists:
                rows = _with_lists(cursor, rows)
            answers.append(rows)
        return answers


@contextmanager
def _as_text(connection: sqlite3.Connection) -> Iterator[None]:
    """Read text as `str` within the block, whatever `text_factory` the application has set."""
    factory = connection.text_factory
    if factory is str:
        yield
        return
    connection.text_factory = str
    try:
        yield
    finally:
        connection.text_factory = factory


def instant(text: str | None) -> int:
    """Return *text*, an instant, as microseconds since 1970; without a text, this moment."""
    if text is None:
        return time.time_ns() // 1_000
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def _with_lists(cursor: sqlite3.Cursor, rows: Rows) -> Rows:
    """Return *rows* with the arrays in them, columns called ``name[]``, decoded from JSON."""
    places = [n for n, column in enumerate(cursor.description) if column[0].endswith("[]")]
    if not any(row[place] is not None for row in rows for place in places):
        return rows
    read = [list(row) for row in rows]
    for row in read:
        for place in places:
            if row[place] is not None:
                row[place] = json.loads(row[place])
    return [tuple(row) for row in read]
