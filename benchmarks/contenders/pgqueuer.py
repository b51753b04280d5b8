"""pgqueuer: its queue manager on asyncpg, batches of 100."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from time import time

import asyncpg
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer.models import Job

from benchmarks.contenders.agent import Agent, main, payload, seen

BATCH = 100


class Pgqueuer(Agent):
    connection: asyncpg.Connection

    async def install(self) -> None:
        connection = await asyncpg.connect(self.url)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self) -> None:
        self.connection = await asyncpg.connect(self.url)
        self._queries = Queries(AsyncpgDriver(self.connection))

    async def close(self) -> None:
        await self.connection.close()

    async def enqueue(self, sent: float) -> None:
        await self._queries.enqueue("noop", json.dumps({"sent": sent}).encode())

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        arguments = {"sent": sent, "body": payload(size), "seconds": seconds}
        body = json.dumps(arguments).encode()
        order = [n % priorities for n in range(count)]
        await self._queries.enqueue(["noop"] * count, [body] * count, order)

    async def fill_limited(self, count: int, *, keys: int, limit: int, seconds: float) -> None:
        """Each key is an entry point: limits are theirs."""
        names = [f"k{n % keys}" for n in range(count)]
        body = json.dumps({"seconds": seconds}).encode()
        await self._queries.enqueue(names, [body] * count, [0] * count)

    async def schedule(self, due: list[float]) -> None:
        now = time()
        await self._queries.enqueue(
            ["noop"] * len(due),
            [json.dumps({"sent": at}).encode() for at in due],
            [0] * len(due),
            [timedelta(seconds=at - now) for at in due],
        )

    async def unfinished(self) -> bool:
        return bool(await self.connection.fetchval("SELECT EXISTS (SELECT FROM pgqueuer)"))

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(self.url)
        queuer = PgQueuer(AsyncpgDriver(connection))

        @queuer.entrypoint("noop")
        async def noop(job: Job) -> None:
            arguments = json.loads(job.payload or b"{}")
            seen(arguments["sent"])
            if seconds := arguments.get("seconds"):
                await asyncio.sleep(seconds)

        async def noted(job: Job) -> None:
            seen(0.0)
            with seen.running(job.entrypoint):
                await asyncio.sleep(json.loads(job.payload or b"{}")["seconds"])

        for number in range(self.options.get("keys", 0)):
            queuer.entrypoint(f"k{number}", concurrency_limit=self.options["limit"])(noted)

        limits = {"max_concurrent_tasks": concurrency} if concurrency < BATCH else {}
        batch = min(BATCH, max(1, concurrency // 2))
        running = asyncio.ensure_future(queuer.run(batch_size=batch if limits else BATCH, **limits))
        await asyncio.sleep(0.5)
        ready()
        await stop.wait()
        queuer.shutdown.set()
        await asyncio.wait({running}, timeout=40)


if __name__ == "__main__":
    main(Pgqueuer)
