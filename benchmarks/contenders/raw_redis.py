"""The least on Redis: a list, RPUSH, a script that moves a batch aside, a DEL of what is done.

A worker moves up to 500 payloads into a list of its own and deletes that when they have run: a
crash leaves them there. Then BLMOVE waits for more.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
import redis

from benchmarks.contenders.agent import Agent, main, payload, seen

TAKE = """
local jobs = redis.call('LPOP', KEYS[1], ARGV[1])
if not jobs then return {} end
redis.call('RPUSH', KEYS[2], unpack(jobs))
return jobs
"""
BATCH = 500
CHUNK = 1_000


class Args(msgspec.Struct):
    sent: float
    seconds: float = 0.0


class Raw(Agent):
    connection: redis.Redis

    async def open(self) -> None:
        self.connection = redis.Redis.from_url(self.url)

    async def close(self) -> None:
        self.connection.close()

    async def enqueue(self, sent: float) -> None:
        self.connection.rpush("jobs", f'{{"sent": {sent}}}')

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        job = json.dumps({"sent": sent, "seconds": seconds, "body": payload(size)})
        with self.connection.pipeline(transaction=False) as pipe:
            for start in range(0, count, CHUNK):
                pipe.rpush("jobs", *([job] * min(CHUNK, count - start)))
            pipe.execute()

    async def unfinished(self) -> bool:
        return any(True for _ in self.connection.scan_iter(match="*", count=100))

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._loop, ready, stop)

    def _loop(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        decode = msgspec.json.Decoder(Args).decode
        client = redis.Redis.from_url(self.url)
        take: Any = client.register_script(TAKE)
        mine = f"running:{os.getpid()}"
        take(keys=["jobs", mine], args=[0])
        ready()
        while not stop.is_set():
            found = take(keys=["jobs", mine], args=[BATCH])
            if not found:
                one = client.blmove("jobs", mine, 1)
                if one is None:
                    continue
                found = [one]
            arguments = [decode(job) for job in found]
            for job in arguments:
                seen(job.sent)
            if longest := max(job.seconds for job in arguments):
                time.sleep(longest)
            client.delete(mine)


if __name__ == "__main__":
    main(Raw)
