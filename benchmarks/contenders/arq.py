"""arq: a worker with a hundred jobs at once, results not kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen

CHUNK = 500


async def noop(context: Any, sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        await asyncio.sleep(seconds)


class Arq(Agent):
    pool: ArqRedis

    async def open(self) -> None:
        self.pool = await create_pool(RedisSettings.from_dsn(self.url))

    async def close(self) -> None:
        await self.pool.aclose()

    async def enqueue(self, sent: float) -> None:
        await self.pool.enqueue_job("noop", sent)

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
            await asyncio.gather(
                *(self.pool.enqueue_job("noop", sent, body, seconds) for _ in calls)
            )

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            until = datetime.fromtimestamp(at, UTC)
            await self.pool.enqueue_job("noop", at, _defer_until=until)

    async def unfinished(self) -> bool:
        return bool(await self.pool.zcard("arq:queue"))

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        logging.getLogger("arq").setLevel(logging.ERROR)
        worker = Worker(
            functions=[noop],
            redis_settings=RedisSettings.from_dsn(self.url),
            max_jobs=concurrency,
            poll_delay=0.01,
            keep_result=0,
            handle_signals=False,
        )
        running = asyncio.ensure_future(worker.async_run())
        await asyncio.sleep(0.5)
        ready()
        await stop.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    main(Arq)
