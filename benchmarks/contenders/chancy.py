"""Chancy: the asyncio executor with eager polling."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from chancy import Chancy as Instance
from chancy import Queue, Worker, job

from benchmarks.contenders.agent import Agent, main, payload, seen

logging.getLogger("chancy").setLevel(logging.WARNING)
silent = logging.getLogger("silent")
silent.setLevel(logging.ERROR)


@job(queue="default")
async def noop(*, sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        await asyncio.sleep(seconds)


class Chancy(Agent):
    def _instance(self) -> Instance:
        return Instance(self.url, log=silent)

    async def install(self) -> None:
        async with self._instance() as chancy:
            await chancy.migrate()

    async def open(self) -> None:
        self._chancy = self._instance()
        await self._chancy.pool.open()

    async def close(self) -> None:
        await self._chancy.pool.close()

    async def enqueue(self, sent: float) -> None:
        await self._chancy.push(noop.job.with_kwargs(sent=sent))

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        made = noop.job.with_kwargs(sent=sent, body=payload(size), seconds=seconds)
        ranked = [made.with_priority(-n) for n in range(priorities)]
        jobs = [ranked[n % priorities] for n in range(count)]
        async for _ in self._chancy.push_many(jobs):
            pass

    async def schedule(self, due: list[float]) -> None:
        jobs = [
            noop.job.with_kwargs(sent=at).with_scheduled_at(datetime.fromtimestamp(at, UTC))
            for at in due
        ]
        async for _ in self._chancy.push_many(jobs):
            pass

    async def unfinished(self) -> bool:
        async with self._chancy.pool.connection() as connection:
            found = await connection.execute(
                "SELECT EXISTS (SELECT FROM chancy_jobs"
                " WHERE state IN ('pending', 'running', 'retrying'))"
            )
            ((there,),) = await found.fetchall()
        return bool(there)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        async with self._instance() as chancy:
            queue = Queue(
                "default",
                concurrency=concurrency,
                executor=Instance.Executor.Async,
                polling_interval=1,
                eager_polling=True,
            )
            await chancy.declare(queue, upsert=True)
            worker = Worker(chancy, register_signal_handlers=False, shutdown_timeout=5)
            await worker.start()
            await asyncio.sleep(0.5)
            ready()
            await stop.wait()
            await worker.stop()


if __name__ == "__main__":
    main(Chancy)
