"""A worker's LISTEN connection, whose advisory lock shows that the worker lives."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.postgres.worker_connection import PostgresWorkerConnection
from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.operations import Operation, as_json

T = TypeVar("T")


class PostgresSession:
    """Run statements like any worker's connection, and be notified at once while idle."""

    def __init__(self, connection: PostgresWorkerConnection, woken: Callable[[str], None]) -> None:
        self._connection = connection
        self._wake = woken
        self._pid = 0
        self._sleeps_on: frozenset[str] = frozenset()
        self._doubtful: frozenset[str] = frozenset()  # locks that were asked for without an answer

    async def open(self) -> None:
        """Connect and listen; behind a pooler, only connect.

        The caller must wake every part of the worker: notifications sent meanwhile are lost.
        """
        await self.close()
        await self._connection.open()
        if self._connection.direct:
            await self._connection.execute(Operation("session/listen", {}, lambda _: None))
        connection = self._connection.connection
        assert connection is not None
        connection.add_notify_handler(lambda notify: self._wake(notify.payload))
        self._pid = connection.pgconn.backend_pid

    async def close(self) -> None:
        self._sleeps_on = self._doubtful = frozenset()
        await self._connection.close()

    async def execute(self, operation: Operation[T]) -> T:
        return await self._connection.execute(operation)

    def transaction(self) -> AbstractAsyncContextManager[AsyncOperationRunner]:
        return self._connection.transaction()

    async def present(self, worker: int) -> bool:
        """Hold *worker*'s presence lock while this session lives; False behind a pooler."""
        if not self._connection.direct:
            return False
        operation = Operation(
            "session/present", {"worker": str(worker)}, lambda answers: answers[0][0]
        )
        pid, held = await self.execute(operation)
        return bool(held) and pid == self._pid

    async def subscribe(self, topics: Collection[str]) -> bool:
        """Be woken by *topics* from now on, and by no others; False behind a pooler.

        Raises StoreBusy while somebody holds the lock of one of them exclusively: ask again.
        """
        if not self._connection.direct:
            return False
        wanted = frozenset(topics)
        await self._say("session/unsubscribe", (self._sleeps_on - wanted) | self._doubtful)
        await self._say("session/subscribe", wanted - self._sleeps_on)
        if missing := wanted - self._sleeps_on:
            raise StoreBusy(
                f"another session holds the lock by which {min(missing)!r} would wake this worker"
            )
        return True

    async def _say(self, verb: str, topics: frozenset[str]) -> None:
        """Subscribe to *topics*, or unsubscribe, by their locks.

        A lock that is taken twice must be released twice. So a lock whose taking was never answered
        is in doubt, and is released before it is taken again.
        """
        if not topics:
            return
        self._sleeps_on -= topics
        self._doubtful |= topics
        declaration = Operation(verb, {"topics": as_json(sorted(topics))}, lambda a: a[0])
        answer = await self.execute(declaration)
        self._doubtful -= topics
        if verb == "session/subscribe":
            self._sleeps_on |= {topic for (topic,) in answer}

    async def check(self) -> None:
        """Raise StoreUnavailable when this is another session than the one that listened, or no
        longer listens."""
        listens = await self.execute(
            Operation(
                "session/listening", {"pid": str(self._pid)}, lambda answers: answers[0][0][0]
            )
        )
        if not listens:
            raise StoreUnavailable(
                "the LISTEN connection hears nothing; behind a pooler give listen_url, a way around"
            )
