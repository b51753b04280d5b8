"""dramatiq: its worker's threads on Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen

THREADS = 8


def noop(sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        time.sleep(seconds)


class Dramatiq(Agent):
    loops = ("asyncio",)

    def _prepare(self) -> RedisBroker:
        broker = RedisBroker(url=self.url)
        dramatiq.set_broker(broker)
        self._actor = dramatiq.actor(noop, broker=broker)
        return broker

    async def open(self) -> None:
        self._broker = self._prepare()
        self._connection = redis.Redis.from_url(self.url)

    async def close(self) -> None:
        self._broker.close()

    async def enqueue(self, sent: float) -> None:
        self._actor.send(sent)

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
        if priorities > 1:
            raise Unable("priorities order what one worker has already fetched")
        body = payload(size)
        for _ in range(count):
            self._actor.send(sent, body, seconds)

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            delay = max(0, round((at - time.time()) * 1_000))
            self._actor.send_with_options(args=(at,), delay=delay)

    async def unfinished(self) -> bool:
        keys = ("dramatiq:default.msgs", "dramatiq:default.DQ.msgs")
        return any(self._connection.hlen(key) for key in keys)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        logging.getLogger("dramatiq").setLevel(logging.ERROR)
        broker = self._prepare()
        worker = dramatiq.Worker(broker, worker_threads=min(THREADS, concurrency))
        worker.start()
        await asyncio.sleep(0.5)
        ready()
        await stop.wait()
        worker.stop(timeout=1_000)


if __name__ == "__main__":
    main(Dramatiq)
