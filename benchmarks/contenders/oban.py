"""oban-py: one queue with a limit of a hundred."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from oban import Oban as Instance
from oban import job
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

from benchmarks.contenders.agent import Agent, main, payload, seen


@job(queue="default")
async def noop(sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        await asyncio.sleep(seconds)


class Oban(Agent):
    pool: AsyncConnectionPool[Any]

    async def install(self) -> None:
        pool = await Instance.create_pool(self.url, min_size=1, max_size=1)
        await install(pool)
        await pool.close()

    async def open(self) -> None:
        self.pool = await Instance.create_pool(self.url, min_size=1, max_size=2)
        self._oban = Instance(pool=self.pool)

    async def close(self) -> None:
        await self.pool.close()

    async def enqueue(self, sent: float) -> None:
        await self._oban.enqueue(noop.new(sent))

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        body = payload(size)
        jobs = [noop.new(sent, body, seconds) for _ in range(count)]
        if priorities > 1:
            for number, each in enumerate(jobs):
                each.priority = number % priorities
        await self._oban.enqueue_many(jobs)

    async def schedule(self, due: list[float]) -> None:
        jobs = [noop.new(at) for at in due]
        for each, at in zip(jobs, due, strict=True):
            each.scheduled_at = datetime.fromtimestamp(at, UTC)
            each.state = "scheduled"
        await self._oban.enqueue_many(jobs)

    async def unfinished(self) -> bool:
        async with self.pool.connection() as connection:
            found = await connection.execute(
                "SELECT EXISTS (SELECT FROM oban_jobs WHERE state IN"
                " ('available', 'scheduled', 'executing', 'retryable'))"
            )
            ((there,),) = await found.fetchall()
        return bool(there)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        pool = await Instance.create_pool(self.url, min_size=1, max_size=10)
        async with Instance(pool=pool, queues={"default": concurrency}):
            ready()
            await stop.wait()
        await pool.close()


if __name__ == "__main__":
    main(Oban)
