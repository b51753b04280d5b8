"""Errors of a statement that the `statement_timeout` of the role or the database has ended.

The timeout would end the next attempt, too: so there is none, and the error names the setting. A
statement that somebody has cancelled has the same SQLSTATE, and the server's message is in its own
language. So pgqueue asks the session for its limit, and compares it with the time that has passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection

from pgqueue.backends.postgres.errors import translate
from pgqueue.backends.postgres.running import AsyncioRunner, BlockingRunner
from pgqueue.errors import StatementTimeout, StoreBusy
from pgqueue.operations import Operation
from pgqueue.statements.sql import Statement

_LIMIT: Operation[tuple[int, str]] = Operation("session/time_limit", {}, lambda a: a[0][0])


class in_time:
    """As `translated`, but raise StatementTimeout. A class: it costs a job less than a generator
    does."""

    def __init__(self, connection: Connection[Any], statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    def __enter__(self) -> None:
        self._began = monotonic()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            try:
                translate(error, transient=True)
            except StoreBusy as busy:
                if may_be(busy) and not self._connection.closed:
                    asked = BlockingRunner(self._connection, self._statements)
                    refuse(busy, *asked.execute(_LIMIT), monotonic() - self._began)
                raise


class in_time_async:
    """As `in_time`, without blocking the event loop."""

    def __init__(
        self, connection: AsyncConnection[Any], statements: Mapping[str, Statement]
    ) -> None:
        self._connection = connection
        self._statements = statements

    async def __aenter__(self) -> None:
        self._began = monotonic()

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            try:
                translate(error, transient=True)
            except StoreBusy as busy:
                if may_be(busy) and not self._connection.closed:
                    asked = AsyncioRunner(self._connection, self._statements)
                    refuse(busy, *await asked.execute(_LIMIT), monotonic() - self._began)
                raise


def may_be(busy: StoreBusy) -> bool:
    return isinstance(busy.__cause__, psycopg.errors.QueryCanceled)


def refuse(busy: StoreBusy, limit: int, written: str, seconds: float) -> None:
    """Raise StatementTimeout if *limit* milliseconds have passed in *seconds*."""
    if 0 < limit <= seconds * 1000:
        raise StatementTimeout(
            f"the setting statement_timeout = {written} has ended this; nothing was changed. Ask "
            "for less at once, or give pgqueue's role more time: "
            "ALTER ROLE ... SET statement_timeout = 0"
        ) from busy.__cause__
