"""Procrastinate: `batch_defer_async` and a worker with a hundred coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import procrastinate
import psycopg

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen


async def noop(sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        await asyncio.sleep(seconds)


async def noted(key: str, seconds: float) -> None:
    seen(0.0)
    with seen.running(key):
        await asyncio.sleep(seconds)


class Procrastinate(Agent):
    connection: psycopg.AsyncConnection[Any]

    def _app(self, size: int) -> procrastinate.App:
        connector = procrastinate.PsycopgConnector(conninfo=self.url, min_size=1, max_size=size)
        app = procrastinate.App(connector=connector)
        app.task(noop, name="noop", queue="default")
        app.task(noted, name="noted", queue="default")
        return app

    async def install(self) -> None:
        async with self._app(1).open_async() as opened:
            await opened.schema_manager.apply_schema_async()

    async def open(self) -> None:
        self._opened = self._app(1)
        await self._opened.open_async()
        self._noop = self._opened.tasks["noop"]
        self._noted = self._opened.tasks["noted"]
        self.connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    async def close(self) -> None:
        await self._opened.close_async()
        await self.connection.close()

    async def enqueue(self, sent: float) -> None:
        await self._noop.defer_async(sent=sent)

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        arguments: dict[str, Any] = {"sent": sent}
        if size:
            arguments["body"] = payload(size)
        if seconds:
            arguments["seconds"] = seconds
        for priority in range(priorities):
            jobs = [arguments] * (count // priorities)
            await self._noop.configure(priority=-priority).batch_defer_async(*jobs)

    async def fill_limited(self, count: int, *, keys: int, limit: int, seconds: float) -> None:
        if limit != 1:
            raise Unable("a lock lets one job of it run at a time, and no other number")
        locks = [self._noted.configure(lock=f"k{n}") for n in range(keys)]
        jobs = [
            locks[n % keys].make_new_job(key=f"k{n % keys}", seconds=seconds) for n in range(count)
        ]
        await self._opened.job_manager.batch_defer_jobs_async(jobs)

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            later = self._noop.configure(schedule_at=datetime.fromtimestamp(at, UTC))
            await later.defer_async(sent=at)

    async def unfinished(self) -> bool:
        found = await self.connection.execute(
            "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'todo')"
            " OR EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'doing')"
        )
        ((there,),) = await found.fetchall()
        return bool(there)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        async with self._app(20).open_async() as opened:
            running = asyncio.ensure_future(
                opened.run_worker_async(
                    queues=["default"], concurrency=concurrency, install_signal_handlers=False
                )
            )
            await asyncio.sleep(0.5)
            ready()
            await stop.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    main(Procrastinate)
