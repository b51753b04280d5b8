"""A worker's ways to a SQLite file: lanes, each with a thread of its own, and the session that
watches.

SQLite tells nobody anything, but it answers in microseconds whether somebody else has committed. A
session asks every two milliseconds while it sleeps on something; only when there was a commit it
looks what that means for its topics, on its lane's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeVar

from pgqueue.backends.base import AsyncExecutor
from pgqueue.backends.sqlite.errors import translated
from pgqueue.backends.sqlite.lane import SqliteLane
from pgqueue.backends.sqlite.pool import Pool, Watch
from pgqueue.errors import StoreBusy
from pgqueue.operations import Answers, Operation, as_json

T = TypeVar("T")
R = TypeVar("R")

WATCH_SECONDS: Final = 0.002
IDLE_WATCH_SECONDS: Final = 0.015
IDLE_AFTER_SECONDS: Final = 60.0
DUE: Final = "@"
JOINED: Final = "+"
ANY_RESULT: Final = "#"  # somebody waits for a result; for whose, the others say


class Marks:
    """What there was under each topic when we looked last; says what is new."""

    def __init__(self) -> None:
        self._marks: dict[str, Any] = {}

    def asked(self, topics: Iterable[str]) -> Operation[list[str]]:
        """Which of *topics* have news since the last time they were asked about; none when that was
        never."""
        wanted = {topic for topic in topics if topic != ANY_RESULT}
        if DUE in wanted:
            wanted.add(JOINED)
        return Operation("heard", {"topics": as_json(sorted(wanted))}, self._news)

    def _news(self, answers: Answers) -> list[str]:
        before, self._marks = self._marks, dict(answers[0])
        return [
            DUE if topic == JOINED else topic
            for topic, mark in self._marks.items()
            if mark is not None and topic in before and _is_news(topic, mark, before[topic])
        ]


class SqliteSession:
    """A lane that watches the file, and a lock that shows that its worker lives."""

    def __init__(
        self,
        lane: SqliteLane,
        pool: Pool,
        woken: Callable[[str], None],
        lost: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._pool = pool
        self._woken = woken
        self._lost = lost
        self._marks = Marks()
        self._topics: frozenset[str] = frozenset()
        self._worker: int | None = None
        self._watch: Watch | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.close()
        await self._lane.open()
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
        await self._lane.close()

    async def execute(self, operation: Operation[T]) -> T:
        return await self._lane.execute(operation)

    def transaction(self) -> contextlib.AbstractAsyncContextManager[AsyncExecutor]:
        return self._lane.transaction()

    async def present(self, worker: int) -> bool:
        """Holds *worker*'s lock while this session lives."""
        if self._worker != worker:
            if not self._pool.presence.hold(worker):
                return False
            self._worker = worker
            await self._tell()
        return True

    async def sleep(self, topics: Collection[str]) -> bool:
        """From now on *topics* wake us, and no others."""
        self._topics = frozenset(topics)
        await self._tell()
        return True

    async def check(self) -> None:
        """Raises StoreUnavailable when the file is another one by now, or gone."""
        self._pool.check()

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
        """Looks, and wakes for what is new. Whoever looks must tell: nobody will see it again."""
        cancelled = () if self._worker is None else (f"!{self._worker}",)
        news = await self.execute(self._marks.asked((*self._topics, *cancelled)))
        for topic in news:
            self._woken(topic)
        return news


class SqliteEar:
    """Watches the file on a blocking connection."""

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
        seat = self._pool.take()
        try:
            return seat.execute(self._marks.asked(self._topics))
        finally:
            self._pool.give(seat)


def _is_news(topic: str, mark: Any, before: Any) -> bool:
    """That the next job is due later than what was next says only that we took that one."""
    return bool(before is None or (mark < before if topic == DUE else mark != before))
