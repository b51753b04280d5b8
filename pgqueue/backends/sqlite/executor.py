"""Runs the statement files of sql/sqlite on a connection of sqlite3's."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pgqueue.operations import Operation, Rows
from pgqueue.statements import Statement, Step, briefly

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# What there is no need to say: a commit is heard by whoever watches the file.
SILENT: Final = frozenset({"wake"})


class SqliteExecutor:
    """Operations on one connection, in the transaction that it is in.

    A statement that answers under the names of parameters, ``AS ":ids"``, gives them to those after
    it. What is left to the store is put in here: `now`, in microseconds, and who is `present`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Mapping[str, Statement],
        present: Callable[[], Sequence[int]],
    ) -> None:
        self._cursor = connection.cursor()
        self._cursor.row_factory = None  # whatever the application wants of its own
        self._statements = statements
        self._present = present

    def execute(self, operation: Operation[T]) -> T:
        """Runs the steps in order; those that follow as often as they say."""
        if operation.name in SILENT:
            return operation.decode([])
        operation, statement = briefly(operation, self._statements)
        given: dict[str, Any] = {**operation.params, "now": instant(operation.params.get("now"))}
        given.update(dict.fromkeys(statement.remembers))
        if statement.name in ("rescue", "elect"):
            given["present"] = json.dumps(list(self._present()))
        answers, _ = self._run(statement.steps, given)
        if statement.followed_by:
            said, again = self._run(statement.followed_by, given)
            if not statement.repeats:
                answers += said
            while statement.repeats and again:
                _, again = self._run(statement.followed_by, given)
        return operation.decode(answers)

    def _run(self, steps: Sequence[Step], given: dict[str, Any]) -> tuple[list[Rows], bool]:
        """What *steps* answer, and whether one says that they should run again."""
        answers: list[Rows] = []
        again = False
        for step in steps:
            cursor = self._cursor.execute(step.sql, given)
            if cursor.description is None:
                continue
            rows: Rows = cursor.fetchall()
            if step.gives:
                given.update(zip(step.gives, rows[0] if rows else (None,) * 9, strict=False))
            else:
                answers.append(_with_lists(cursor, rows) if step.has_lists else rows)
            again = again or (step.says_again and bool(rows[0][0]))
        return answers, again


def instant(text: str | None) -> int:
    """Microseconds since 1970: of *text*, or of this moment."""
    if text is None:
        return time.time_ns() // 1_000
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def _with_lists(cursor: sqlite3.Cursor, rows: Rows) -> Rows:
    """*rows*, with the arrays in them read: columns called ``name[]``."""
    places = [n for n, column in enumerate(cursor.description) if column[0].endswith("[]")]
    if not any(row[place] is not None for row in rows for place in places):
        return rows
    read = [list(row) for row in rows]
    for row in read:
        for place in places:
            if row[place] is not None:
                row[place] = json.loads(row[place])
    return [tuple(row) for row in read]
