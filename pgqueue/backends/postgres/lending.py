"""A pool's connection in a task's hands: how the task sets it up is its own affair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg import AsyncConnection, Connection

from pgqueue.backends.postgres.running import is_idle
from pgqueue.errors import TransactionEnded

_SETTINGS: Final = ("row_factory", "cursor_factory", "server_cursor_factory")


@contextmanager
def lent(connection: Connection[Any] | AsyncConnection[Any]) -> Iterator[None]:
    """Mark *connection* as lent, and give it back as it was: the next job must find no dict rows.

    What a task sets in the session on the server (``SET`` without ``LOCAL``) stays.
    """
    before = {name: getattr(connection, name) for name in _SETTINGS}
    connection.lent = True  # type: ignore[union-attr]  # the pool's connections have it
    try:
        yield
    finally:
        connection.lent = False  # type: ignore[union-attr]
        for name, value in before.items():
            setattr(connection, name, value)


def must_be_open(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Raise TransactionEnded for a lent *connection* whose transaction the task has ended."""
    if getattr(connection, "lent", False) and is_idle(connection):
        raise TransactionEnded
