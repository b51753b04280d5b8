"""Awa: its queue storage, bulk enqueue by COPY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from awa import AsyncClient, migrate

from benchmarks.contenders.agent import Agent, main, payload, seen


@dataclass
class Noop:
    sent: float
    body: str = ""
    seconds: float = 0.0


class Awa(Agent):
    loops = ("asyncio",)
    client: Any

    @property
    def _address(self) -> str:
        """Its driver wants a host, even beside the socket's folder."""
        return self.url.replace("@/", "@localhost/")

    async def install(self) -> None:
        await migrate(self._address)

    async def open(self) -> None:
        self.client = AsyncClient(self._address, max_connections=4)
        self._connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    async def close(self) -> None:
        await self.client.close()
        await self._connection.close()

    async def enqueue(self, sent: float) -> None:
        await self.client.insert(Noop(sent))

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        job = Noop(sent, payload(size), seconds)
        for priority in range(1, priorities + 1):
            jobs = [job] * (count // priorities)
            rank = priority if priorities > 1 else 2
            await self.client.enqueue_many_copy(jobs, priority=rank)

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            await self.client.insert(Noop(at), run_at=datetime.fromtimestamp(at, UTC))

    async def unfinished(self) -> bool:
        stats = await self.client.queue_stats()
        return any(stat.available + stat.running for stat in stats)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        client = AsyncClient(self._address, max_connections=20)

        @client.task(Noop, queue="default")
        async def noop(job: Any) -> None:
            seen(job.args.sent)
            if job.args.seconds:
                await asyncio.sleep(job.args.seconds)

        await client.start([("default", concurrency)])
        ready()
        await stop.wait()
        await client.shutdown()


if __name__ == "__main__":
    main(Awa)
