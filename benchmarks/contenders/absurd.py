"""Absurd: its Python SDK's worker, claiming batches."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from absurd_sdk import AsyncAbsurd

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen


class Absurd(Agent):
    async def install(self) -> None:
        tool = str(Path(sys.executable).with_name("absurdctl"))
        quiet = asyncio.subprocess.DEVNULL
        init = await asyncio.create_subprocess_exec(tool, "init", "-d", self.url, stdout=quiet)
        if await init.wait():
            raise RuntimeError("absurdctl init has failed")
        client = AsyncAbsurd(self.url)
        await client.create_queue("default")
        await client.close()

    async def open(self) -> None:
        self._client = AsyncAbsurd(self.url)
        self._connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    async def close(self) -> None:
        await self._client.close()
        await self._connection.close()

    async def enqueue(self, sent: float) -> None:
        await self._client.spawn("noop", {"sent": sent}, queue="default")

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
            raise Unable("no priorities")
        arguments = {"sent": sent, "body": payload(size), "seconds": seconds}
        for _ in range(count):
            await self._client.spawn("noop", arguments, queue="default")

    async def schedule(self, due: list[float]) -> None:
        raise Unable("a task starts at once; it may sleep inside")

    async def unfinished(self) -> bool:
        found = await self._connection.execute(
            "SELECT EXISTS (SELECT FROM absurd.t_default"
            " WHERE state IN ('pending', 'running', 'sleeping'))"
        )
        ((there,),) = await found.fetchall()
        return bool(there)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        client = AsyncAbsurd(self.url)

        @client.register_task("noop", queue="default")
        async def noop(arguments: Any, context: Any) -> None:
            seen(arguments["sent"])
            if seconds := arguments.get("seconds"):
                await asyncio.sleep(seconds)

        running = asyncio.ensure_future(
            client.start_worker(concurrency=concurrency, poll_interval=0.05)
        )
        await asyncio.sleep(0.5)
        ready()
        await stop.wait()
        client.stop_worker()
        await asyncio.wait({running}, timeout=5)
        running.cancel()


if __name__ == "__main__":
    main(Absurd)
