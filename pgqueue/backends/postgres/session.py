"""A worker's LISTEN connection: its ear, and, by an advisory lock, its life."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from pgqueue.backends.base import AsyncExecutor
from pgqueue.backends.postgres.lane import PostgresLane
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation, as_json

T = TypeVar("T")


class PostgresSession:
    """Runs statements like any lane, and hears NOTIFY at once while it is idle."""

    def __init__(self, lane: PostgresLane, woken: Callable[[str], None]) -> None:
        self._lane = lane
        self._woken = woken
        self._pid = 0
        self._asleep: frozenset[str] = frozenset()

    async def open(self) -> None:
        """Connects and listens. Whoever calls this wakes everything: what was said meanwhile is
        gone. Behind a pooler there is nothing to hear, and no lock to hold."""
        await self.close()
        await self._lane.open()
        if self._lane.direct:
            await self._lane.execute(Operation("listen", {}, lambda _: None))
        connection = self._lane.connection
        assert connection is not None
        connection.add_notify_handler(lambda notify: self._woken(notify.payload))
        self._pid = connection.pgconn.backend_pid

    async def close(self) -> None:
        self._asleep = frozenset()
        await self._lane.close()

    async def execute(self, operation: Operation[T]) -> T:
        return await self._lane.execute(operation)

    def transaction(self) -> AbstractAsyncContextManager[AsyncExecutor]:
        return self._lane.transaction()

    async def present(self, worker: int) -> bool:
        """Holds *worker*'s presence lock while this session lives; False behind a pooler."""
        if not self._lane.direct:
            return False
        operation = Operation("present", {"worker": str(worker)}, lambda answers: answers[0][0])
        pid, held = await self.execute(operation)
        return bool(held) and pid == self._pid

    async def sleep(self, topics: Collection[str]) -> bool:
        """From now on *topics* wake us, and no others; False behind a pooler."""
        if not self._lane.direct:
            return False
        wanted = frozenset(topics)
        for name, changed in (("sleep", wanted - self._asleep), ("rise", self._asleep - wanted)):
            if changed:
                params = {"topics": as_json(sorted(changed))}
                await self.execute(Operation(name, params, lambda _: None))
        self._asleep = wanted
        return True

    async def check(self) -> None:
        """Raises StoreUnavailable when this is not the session that listened, or no longer does."""
        listens = await self.execute(
            Operation("listening", {"pid": str(self._pid)}, lambda answers: answers[0][0][0])
        )
        if not listens:
            raise StoreUnavailable("the LISTEN connection hears nothing: is a pooler in the way?")
