"""A connection of pgqueue's own to a SQLite file: one lent to a task leaves the end to us."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from pgqueue.errors import TransactionEnded


class OwnConnection(sqlite3.Connection):
    """A connection of pgqueue's own.

    While it is *lent* to a task, the task cannot end the transaction, as on psycopg's: what it
    wrote would be there without its job's completion. ``execute("COMMIT")`` is noticed afterwards.
    """

    lent = False

    def commit(self) -> None:
        self._refuse("commit()")
        super().commit()

    def rollback(self) -> None:
        self._refuse("rollback()")
        super().rollback()

    def executescript(self, script: str, /) -> sqlite3.Cursor:
        self._refuse("executescript(), which commits first,")
        return super().executescript(script)

    def __enter__(self) -> Self:
        self._refuse("`with connection`")
        return super().__enter__()

    def _refuse(self, how: str) -> None:
        if self.lent:
            raise TransactionEnded(
                f"{how} would end the transaction of ctx.transaction(): leave that to its block, "
                "and raise to roll back"
            )


@contextmanager
def lent(connection: OwnConnection) -> Iterator[OwnConnection]:
    """Lend *connection* to a task; how it wants its rows does not stay."""
    connection.lent = True
    try:
        yield connection
    finally:
        connection.lent = False
        connection.row_factory, connection.text_factory = None, str
