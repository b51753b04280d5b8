"""Break lent connections on which somebody waits for an answer that was lost on the way.

A task or an application may run a statement for hours, so no time-out can tell that it is lost. The
server can: if a session is idle while somebody waits on its connection, the statement or the answer
was lost. A firewall or a proxy may have forgotten the connection without telling anybody.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import AsyncConnection, Connection, RawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgqueue.addresses import settings
from pgqueue.operations import as_json
from pgqueue.statements.sql import Statement

LOOK_SECONDS = 4.0
MOST_LOOKS_APART: Final = 16  # looks
ASKING_SECONDS: Final = 10.0


class TimedConnection:
    """A connection that knows since when somebody has been waiting on it, in one call.

    *lent*: to a task, in a transaction that the task must not end.
    """

    waits_since: float | None = None
    lent: bool = False


class WatchedConnection(TimedConnection, Connection[Any]):
    """A connection that is lent to threads."""

    def wait(self, *arguments: Any, **options: Any) -> Any:
        self.waits_since = time.monotonic()
        try:
            return super().wait(*arguments, **options)
        finally:
            self.waits_since = None


class WatchedAsyncConnection(TimedConnection, AsyncConnection[Any]):
    """A connection that is lent to coroutines."""

    async def wait(self, *arguments: Any, **options: Any) -> Any:
        self.waits_since = time.monotonic()
        try:
            return await super().wait(*arguments, **options)
        finally:
            self.waits_since = None


AnyConnection: TypeAlias = WatchedConnection | WatchedAsyncConnection


class BorrowedConnection:
    """One connection that is in use, and what was seen of it."""

    def __init__(self, connection: AnyConnection) -> None:
        self.connection = connection
        self._since: float | None = None
        self._looks = 0
        self._ask_at = 1
        self._idle_since: str | None = None

    def waits(self) -> bool:
        """Has somebody waited here since the last look, and is it time to ask the server?"""
        since = self.connection.waits_since
        if self.connection.pgconn.transaction_status != TransactionStatus.ACTIVE:
            since = None  # waits for notifications, which may never come
        if since is None or since != self._since:
            self._since, self._looks, self._ask_at, self._idle_since = since, 0, 1, None
            return False
        self._looks += 1
        return self._looks >= self._ask_at

    def learns(self, idle_since: str | None) -> None:
        """Take the server's answer: since when it is idle, or None while it works for this session.

        Hangs up when the last look had the same answer, and somebody has waited all the while.
        """
        if idle_since is not None and idle_since == self._idle_since:
            hang_up(self.connection)
        gap = 1 if idle_since is not None else min(self._looks, MOST_LOOKS_APART)
        self._idle_since, self._ask_at = idle_since, self._looks + gap


class StallWatch:
    """A thread that looks at lent connections now and then, while there are any; one a process."""

    def __init__(self, address: Callable[[], str], statements: Mapping[str, Statement]) -> None:
        self._address = address
        self._statements = statements
        self._starting = threading.Lock()
        self._process = 0  # the process that has the thread
        self._lent: dict[int, BorrowedConnection] = {}
        self._some = threading.Event()

    @contextmanager
    def over(self, connection: AnyConnection) -> Iterator[None]:
        """Watch *connection* within the block, and break it if its answer is lost."""
        if connection.prepare_threshold is None:  # behind a pooler: whose session?
            yield
            return
        if self._process != os.getpid():
            self._start()
        self._lent[id(connection)] = BorrowedConnection(connection)
        self._some.set()
        try:
            yield
        finally:
            self._lent.pop(id(connection), None)

    def close(self) -> None:
        """Stop looking; after that, the next use starts it again."""
        self._process = 0
        self._some.set()

    def _start(self) -> None:
        with self._starting:
            if self._process != (process := os.getpid()):
                # After a fork: the connections are the parent's, and must not be shut down here.
                self._lent, self._some = {}, threading.Event()
                self._process = process
                threading.Thread(
                    target=self._run, args=[self._some], name="pgqueue-watch", daemon=True
                ).start()

    def _run(self, some: threading.Event) -> None:
        while some.wait() and some is self._some and self._process:
            time.sleep(LOOK_SECONDS)
            some.clear()
            if lent := list(self._lent.values()):
                some.set()
            if waiting := [each for each in lent if each.waits()]:
                with suppress(psycopg.Error, OSError):  # no answer: look again later
                    self._ask(waiting)

    def _ask(self, waiting: Iterable[BorrowedConnection]) -> None:
        pids = [each.connection.pgconn.backend_pid for each in waiting]
        [step] = self._statements["session/idle_since"].steps
        url = self._address()
        with Connection.connect(
            url, autocommit=True, **settings(url, {"connect_timeout": 5})
        ) as connection:
            timer = threading.Timer(ASKING_SECONDS, hang_up, [connection])
            timer.start()
            try:
                cursor = RawCursor(connection, row_factory=tuple_row)
                rows = cursor.execute(step.text, [as_json(pids)], prepare=False).fetchall()
            finally:
                timer.cancel()
        idle_since: dict[int, str | None] = dict(rows)
        for each, pid in zip(waiting, pids, strict=True):
            each.learns(idle_since.get(pid, "gone"))


def hang_up(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Shut the socket down, without closing its descriptor.

    A coroutine may still wait on it: if the descriptor were closed, it would wait for ever, and
    libuv aborts the process when a descriptor that it watches is closed.
    """
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as duplicate,
    ):
        duplicate.shutdown(socket.SHUT_RDWR)
