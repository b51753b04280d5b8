"""huey: its consumer's threads on a SQLite file."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from huey import SqliteHuey
from huey.consumer import Consumer

from benchmarks.contenders.agent import Agent, main, payload, seen

THREADS = 4


def noop(sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        time.sleep(seconds)


class Quiet(Consumer):
    """Signals are handled by the benchmark."""

    def _set_signal_handlers(self) -> None:
        pass


class Huey(Agent):
    loops = ("asyncio",)

    def _huey(self) -> SqliteHuey:
        made = SqliteHuey(filename=self.url.removeprefix("sqlite:///"), results=False, timeout=30)
        self._task = made.task(name="noop")(noop)
        return made

    async def open(self) -> None:
        self._opened = self._huey()

    async def close(self) -> None:
        self._opened.storage.close()

    async def enqueue(self, sent: float) -> None:
        self._task(sent)

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """There is no bulk call: one after the other."""
        body = payload(size)
        for number in range(count):
            ranked = {"priority": -(number % priorities)} if priorities > 1 else {}
            self._task(sent, body, seconds, **ranked)

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            self._task.schedule((at,), eta=datetime.fromtimestamp(at))  # noqa: DTZ006 - its way

    async def unfinished(self) -> bool:
        return bool(self._opened.pending_count() or self._opened.scheduled_count())

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        logging.getLogger("huey").setLevel(logging.ERROR)
        consumer = Quiet(
            self._huey(),
            workers=min(THREADS, concurrency),
            initial_delay=0.005,
            max_delay=0.02,
            backoff=1.15,
        )
        consumer.start()
        ready()
        await stop.wait()
        consumer.stop(graceful=False)


if __name__ == "__main__":
    main(Huey)
