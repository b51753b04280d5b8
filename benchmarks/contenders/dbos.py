"""DBOS: workflows on a queue; its client enqueues."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import psycopg
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.contenders.agent import Agent, main, payload, seen

QUEUE = "default"


@DBOS.workflow(name="noop")
async def noop(sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        await asyncio.sleep(seconds)


@DBOS.workflow(name="noted")
async def noted(key: str, seconds: float) -> None:
    seen(0.0)
    with seen.running(key):
        await asyncio.sleep(seconds)


class Dbos(Agent):
    loops = ("asyncio",)

    def _config(self) -> DBOSConfig:
        return {
            "name": "benchmark",
            "system_database_url": self.url.replace("postgresql://", "postgresql+psycopg://"),
            "application_version": "1",
            "executor_id": str(os.getpid()),  # two with one name run each other's workflows again
            "log_level": "ERROR",
        }

    async def install(self) -> None:
        await asyncio.to_thread(self._launch, 100)
        await asyncio.to_thread(DBOS.destroy)

    def _launch(self, concurrency: int) -> None:
        DBOS(config=self._config())
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=concurrency,
            partition_concurrency=self.options.get("limit"),
            polling_interval_sec=0.05,
        )

    async def open(self) -> None:
        url = self._config()["system_database_url"]
        self._client = DBOSClient(system_database_url=url)
        self._connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    async def close(self) -> None:
        self._client.destroy()
        await self._connection.close()

    async def enqueue(self, sent: float) -> None:
        self._enqueue(sent)

    def _enqueue(self, *arguments: Any, **options: Any) -> None:
        wanted: Any = {"queue_name": QUEUE, "workflow_name": "noop", "app_version": "1", **options}
        self._client.enqueue(wanted, *arguments)

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
            ranked = {"priority": 1 + number % priorities} if priorities > 1 else {}
            self._enqueue(sent, body, seconds, **ranked)

    async def fill_limited(self, count: int, *, keys: int, limit: int, seconds: float) -> None:
        """The limit is there before a worker is, which would begin without it."""
        self._client.register_queue(
            QUEUE, worker_concurrency=100, partition_concurrency=limit, polling_interval_sec=0.05
        )
        for number in range(count):
            key = f"k{number % keys}"
            self._enqueue(key, seconds, workflow_name="noted", queue_partition_key=key)

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            self._enqueue(at, delay_seconds=max(0.0, at - time.time()))

    async def unfinished(self) -> bool:
        found = await self._connection.execute(
            "SELECT EXISTS (SELECT FROM dbos.workflow_status"
            " WHERE status IN ('ENQUEUED', 'PENDING', 'DELAYED'))"
        )
        ((there,),) = await found.fetchall()
        return bool(there)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._launch, concurrency)
        ready()
        await stop.wait()
        await asyncio.to_thread(DBOS.destroy)


if __name__ == "__main__":
    main(Dbos)
