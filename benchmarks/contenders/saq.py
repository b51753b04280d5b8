"""SAQ, on Redis and on PostgreSQL: a worker with a hundred coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from saq import Queue, Worker

from benchmarks.contenders.agent import Agent, main, payload, seen

CHUNK = 500


async def noop(context: Any, *, sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        await asyncio.sleep(seconds)


class Saq(Agent):
    queue: Queue

    async def open(self) -> None:
        self.queue = Queue.from_url(self.url)
        await self.queue.connect()

    async def install(self) -> None:
        await self.open()
        await self.close()

    async def close(self) -> None:
        await self.queue.disconnect()

    async def enqueue(self, sent: float) -> None:
        await self.queue.enqueue("noop", sent=sent, retries=1, timeout=0)

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """There is no bulk call: so many calls at a time as the pool has connections for."""
        body = payload(size)
        for start in range(0, count, CHUNK):
            await asyncio.gather(
                *(
                    self.queue.enqueue("noop", sent=sent, body=body, seconds=seconds, timeout=0)
                    for _ in range(start, min(count, start + CHUNK))
                )
            )

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            await self.queue.enqueue("noop", sent=at, scheduled=at, timeout=0)

    async def unfinished(self) -> bool:
        return bool(await self.queue.count("incomplete"))

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        queue = Queue.from_url(self.url)
        await queue.connect()
        worker = Worker(queue, functions=[("noop", noop)], concurrency=concurrency)
        worker.SIGNALS = []
        running = asyncio.ensure_future(worker.start())
        await asyncio.sleep(0.5)
        ready()
        await stop.wait()
        await worker.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    main(Saq)
