"""taskiq: the stream broker, whose messages are acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import redis.asyncio
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen

CHUNK = 500


async def noop(sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        await asyncio.sleep(seconds)


class Taskiq(Agent):
    def _broker(self) -> RedisStreamBroker:
        broker = RedisStreamBroker(self.url, consumer_id="0")
        self._task = broker.register_task(noop, task_name="noop")
        return broker

    async def install(self) -> None:
        broker = self._broker()
        await broker.startup()
        await broker.shutdown()

    async def open(self) -> None:
        self._opened = self._broker()
        await self._opened.startup()
        self._connection = redis.asyncio.Redis.from_url(self.url)

    async def close(self) -> None:
        await self._opened.shutdown()
        await self._connection.aclose()

    async def enqueue(self, sent: float) -> None:
        await self._task.kiq(sent)

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """There is no bulk call: 500 calls at a time."""
        if priorities > 1:
            raise Unable("no priorities")
        body = payload(size)
        for start in range(0, count, CHUNK):
            calls = range(start, min(count, start + CHUNK))
            await asyncio.gather(*(self._task.kiq(sent, body, seconds) for _ in calls))

    async def schedule(self, due: list[float]) -> None:
        raise Unable("needs a scheduler process beside the worker")

    async def unfinished(self) -> bool:
        (group,) = await self._connection.xinfo_groups("taskiq")
        return bool(group["pending"] or group.get("lag"))

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        logging.getLogger("taskiq").setLevel(logging.CRITICAL)
        broker = self._broker()
        broker.is_worker_process = True
        await broker.startup()
        running = asyncio.ensure_future(run_receiver_task(broker, max_async_tasks=concurrency))
        await asyncio.sleep(0.5)
        ready()
        await stop.wait()
        running.cancel()
        await asyncio.wait({running}, timeout=3)


if __name__ == "__main__":
    main(Taskiq)
