"""litequeue: pop, run, done; it has no worker of its own, so the loop is ours."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from litequeue import LiteQueue

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen

PAUSE_SECONDS = 0.005
PRUNE_EVERY = 500


class Litequeue(Agent):
    loops = ("asyncio",)
    queue: LiteQueue

    def _queue(self) -> LiteQueue:
        return LiteQueue(self.url.removeprefix("sqlite:///"), timeout=30)

    async def install(self) -> None:
        self._queue().close()

    async def open(self) -> None:
        self.queue = self._queue()

    async def close(self) -> None:
        self.queue.close()

    async def enqueue(self, sent: float) -> None:
        self.queue.put(json.dumps({"sent": sent}))

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """There is no bulk call, but its transaction can hold many."""
        if priorities > 1:
            raise Unable("no priorities")
        job = json.dumps({"sent": sent, "body": payload(size), "seconds": seconds})
        with self.queue.transaction():
            for _ in range(count):
                self.queue.put(job)

    async def unfinished(self) -> bool:
        (count,) = self.queue.conn.execute(
            "SELECT count(*) FROM Queue WHERE status IN (0, 1)"
        ).fetchone()
        return bool(count)

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._loop, ready, stop)

    def _loop(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        queue = self._queue()
        since_pruned = 0
        ready()
        while not stop.is_set():
            message = queue.pop()
            if message is None:
                time.sleep(PAUSE_SECONDS)
                continue
            job = json.loads(message.data)
            seen(job["sent"])
            if seconds := job.get("seconds"):
                time.sleep(seconds)
            queue.done(message.message_id)
            since_pruned += 1
            if since_pruned == PRUNE_EVERY:  # or each pop walks over all that is done
                queue.prune()
                since_pruned = 0


if __name__ == "__main__":
    main(Litequeue)
