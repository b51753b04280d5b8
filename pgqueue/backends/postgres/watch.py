"""Frees those who wait for an answer that was lost on the way, on connections that are lent out.

A task or an application may ask for what takes hours, so no time-out can tell. The server can:
where it has nothing to do for a session on whose connection somebody waits, the question or the
answer was lost, as with a firewall or a proxy that has forgotten the connection and told nobody.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import AsyncConnection, Connection, RawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgqueue.operations import as_json
from pgqueue.statements import Statement

LOOK_SECONDS = 4.0
LONGEST_GAP: Final = 16  # looks
ASKING_SECONDS: Final = 10.0


class Patient:
    """A connection that says since when somebody waits on it, in one and the same call."""

    waits_since: float | None = None


class WatchedConnection(Patient, Connection[Any]):
    """One that is lent to threads."""

    def wait(self, *arguments: Any, **options: Any) -> Any:
        self.waits_since = time.monotonic()
        try:
            return super().wait(*arguments, **options)
        finally:
            self.waits_since = None


class WatchedAsyncConnection(Patient, AsyncConnection[Any]):
    """One that is lent to coroutines."""

    async def wait(self, *arguments: Any, **options: Any) -> Any:
        self.waits_since = time.monotonic()
        try:
            return await super().wait(*arguments, **options)
        finally:
            self.waits_since = None


AnyConnection: TypeAlias = WatchedConnection | WatchedAsyncConnection


class Lent:
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
            since = None  # but for notifications
        if since is None or since != self._since:
            self._since, self._looks, self._ask_at, self._idle_since = since, 0, 1, None
            return False
        self._looks += 1
        return self._looks >= self._ask_at

    def learns(self, idle_since: str | None) -> None:
        """Since when the server has had nothing to do for it; None while it works.

        Hangs up when that was the same at the look before, and so was the wait.
        """
        if idle_since is not None and idle_since == self._idle_since:
            hang_up(self.connection)
        gap = 1 if idle_since is not None else min(self._looks, LONGEST_GAP)
        self._idle_since, self._ask_at = idle_since, self._looks + gap


class Watch:
    """A thread that looks now and then, while anything is lent; one in each process."""

    def __init__(self, url: str, statements: Mapping[str, Statement]) -> None:
        self._url = url
        self._statements = statements
        self._starting = threading.Lock()
        self._process = 0  # whose thread looks
        self._lent: dict[int, Lent] = {}
        self._some = threading.Event()

    @contextmanager
    def over(self, connection: AnyConnection) -> Iterator[None]:
        """Within, *connection* breaks rather than to be waited on for ever."""
        if connection.prepare_threshold is None:  # a pooler's: whose session it is, nobody knows
            yield
            return
        if self._process != os.getpid():
            self._start()
        self._lent[id(connection)] = Lent(connection)
        self._some.set()
        try:
            yield
        finally:
            self._lent.pop(id(connection), None)

    def close(self) -> None:
        """Looks no more; used again, it begins again."""
        self._process = 0
        self._some.set()

    def _start(self) -> None:
        with self._starting:
            if self._process != (process := os.getpid()):
                # What a forked child has of its parent's it must not hang up.
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
                with suppress(psycopg.Error, OSError):  # then the network has more to say than we
                    self._ask(waiting)

    def _ask(self, waiting: Iterable[Lent]) -> None:
        pids = [each.connection.pgconn.backend_pid for each in waiting]
        [step] = self._statements["answering"].steps
        with Connection.connect(self._url, autocommit=True, connect_timeout=5) as connection:
            timer = threading.Timer(ASKING_SECONDS, hang_up, [connection])
            timer.start()
            try:
                cursor = RawCursor(connection, row_factory=tuple_row)
                rows = cursor.execute(step.text, [as_json(pids)], prepare=False).fetchall()
            finally:
                timer.cancel()
        told: dict[int, str | None] = dict(rows)
        for each, pid in zip(waiting, pids, strict=True):
            each.learns(told.get(pid, "gone"))


def hang_up(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Closes the line and not the descriptor, which somebody is waiting on."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
