"""Sessions and subscriptions, which watch a SQLite file for commits.

SQLite sends no notifications, but tells within microseconds whether another connection has
committed. A session asks that every two milliseconds while it sleeps on a topic. Only after a
commit does it look, on its connection's thread, whether its topics have news.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeVar

from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.sqlite.errors import translated
from pgqueue.backends.sqlite.pool import Pool, Watch
from pgqueue.backends.sqlite.worker_connection import SqliteWorkerConnection
from pgqueue.errors import StoreBusy
from pgqueue.operations import Answers, Operation, as_json
from pgqueue.operations.topics import ANY_END, DUE, JOINED, of_worker

T = TypeVar("T")
R = TypeVar("R")

WATCH_SECONDS: Final = 0.002
IDLE_WATCH_SECONDS: Final = 0.015
IDLE_AFTER_SECONDS: Final = 60.0


class Marks:
    """The mark of each topic at the last look: a topic whose mark has changed has news."""

    def __init__(self) -> None:
        self._marks: dict[str, Any] = {}

    def asked(self, topics: Iterable[str]) -> Operation[list[str]]:
        """Return the operation that answers which of *topics* have news since it last asked.

        A topic that was never asked about has none.
        """
        wanted = {topic for topic in topics if topic != ANY_END}
        if DUE in wanted:
            wanted.add(JOINED)
        return Operation("session/topic_marks", {"topics": as_json(sorted(wanted))}, self._news)

    def _news(self, answers: Answers) -> list[str]:
        before, self._marks = self._marks, dict(answers[0])
        return [
            DUE if topic == JOINED else topic
            for topic, mark in self._marks.items()
            if mark is not None and topic in before and _is_news(topic, mark, before[topic])
        ]


class SqliteSession:
    """A worker's connection that watches the file, with a lock that shows that the worker lives."""

    def __init__(
        self,
        connection: SqliteWorkerConnection,
        pool: Pool,
        woken: Callable[[str], None],
        lost: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._pool = pool
        self._wake = woken
        self._lost = lost
        self._marks = Marks()
        self._topics: frozenset[str] = frozenset()
        self._worker: int | None = None
        self._watch: Watch | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.close()
        await self._connection.open()
        try:
            self._watch = self._pool.watch()
        except sqlite3.Error as error:
            raise translated(error) from error
        self._watching = asyncio.create_task(self._watch_over(self._watch), name="watch")

    async def close(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._worker is not None:
            self._pool.presence.let_go(self._worker)
            self._worker = None
        self._topics = frozenset()
        await self._connection.close()

    async def execute(self, operation: Operation[T]) -> T:
        return await self._connection.execute(operation)

    def transaction(self) -> contextlib.AbstractAsyncContextManager[AsyncOperationRunner]:
        return self._connection.transaction()

    async def present(self, worker: int) -> bool:
        """Hold *worker*'s lock while this session lives; False if another session holds it."""
        if self._worker != worker:
            if not self._pool.presence.hold(worker):
                return False
            self._worker = worker
            await self._tell()
        return True

    async def subscribe(self, topics: Collection[str]) -> bool:
        """Be woken by *topics* from now on, and by no others."""
        self._topics = frozenset(topics)
        await self._tell()
        return True

    async def check(self) -> None:
        """Raise StoreUnavailable when the file is gone or was replaced."""
        if self._watch is not None:
            self._watch.check()

    async def _watch_over(self, watch: Watch) -> None:
        seen = watch.version()
        news_at = time.monotonic()
        while True:
            await asyncio.sleep(self._gap(news_at))
            version = watch.version()
            if version == seen:
                continue
            seen = version
            try:
                if await self._tell():
                    news_at = time.monotonic()
            except StoreBusy:
                seen = -1
            except Exception:
                self._lost()
                raise

    def _gap(self, news_at: float) -> float:
        if not self._topics - {DUE} or time.monotonic() - news_at > IDLE_AFTER_SECONDS:
            return IDLE_WATCH_SECONDS
        return WATCH_SECONDS

    async def _tell(self) -> list[str]:
        """Wake for each topic that has news, and return these. The marks move, so no later look
        finds the same news."""
        cancelled = () if self._worker is None else (of_worker(self._worker),)
        news = await self.execute(self._marks.asked((*self._topics, *cancelled)))
        for topic in news:
            self._wake(topic)
        return news


class SqliteSubscription:
    """Wait for topics by watching the file, without an event loop."""

    def __init__(self, pool: Pool, topics: Collection[str]) -> None:
        self._pool = pool
        self._topics = topics
        self._marks = Marks()
        self._watch = pool.watch()
        self._seen = self._watch.version()
        self._look()

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, WATCH_SECONDS))
            version = self._watch.version()
            if version != self._seen:
                self._seen = version
                if self._look():
                    return

    def close(self) -> None:
        self._watch.close()

    def _look(self) -> list[str]:
        pooled = self._pool.take()
        try:
            return pooled.execute(self._marks.asked(self._topics))
        finally:
            self._pool.give(pooled)


def _is_news(topic: str, mark: Any, before: Any) -> bool:
    """Is a changed *mark* news? Not a later time of the next due job: somebody took the earlier
    one."""
    return bool(before is None or (mark < before if topic == DUE else mark != before))
