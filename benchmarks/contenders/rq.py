"""RQ: a SimpleWorker, which does not fork for each job; one job at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import redis
from rq import Queue, SimpleWorker

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen

CHUNK = 1_000
NOOP = "benchmarks.contenders.rq.noop"  # it takes no function of __main__


def noop(sent: float, body: str = "", seconds: float = 0.0) -> None:
    seen(sent)
    if seconds:
        time.sleep(seconds)


class Quiet(SimpleWorker):
    """Signals are handled by the benchmark, and in a thread nobody may set an alarm."""

    def _install_signal_handlers(self) -> None:
        pass


class Rq(Agent):
    loops = ("asyncio",)
    queue: Queue

    async def open(self) -> None:
        self._connection = redis.Redis.from_url(self.url)
        self.queue = Queue("default", connection=self._connection)

    async def close(self) -> None:
        self._connection.close()

    async def enqueue(self, sent: float) -> None:
        self.queue.enqueue(NOOP, sent, result_ttl=0)

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        if priorities > 1:
            raise Unable("no priorities; a worker takes its queues in order")
        body = payload(size)
        for start in range(0, count, CHUNK):
            self.queue.enqueue_many(
                [
                    Queue.prepare_data(NOOP, (sent, body, seconds), result_ttl=0)
                    for _ in range(start, min(count, start + CHUNK))
                ]
            )

    async def schedule(self, due: list[float]) -> None:
        for at in due:
            self.queue.enqueue_at(datetime.fromtimestamp(at, UTC), NOOP, at)

    async def unfinished(self) -> bool:
        started = self.queue.started_job_registry
        return bool(len(self.queue) or started.get_job_count(cleanup=False))

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        connection = redis.Redis.from_url(self.url)
        worker = Quiet([Queue("default", connection=connection)], connection=connection)
        worker.death_penalty_class = _Patience

        def run() -> None:
            worker.work(logging_level="ERROR", with_scheduler=self.options.get("scheduler", True))

        threading.Thread(target=run, daemon=True).start()
        await asyncio.sleep(1.0)
        ready()
        await stop.wait()


class _Patience:
    """No timeouts: RQ's own are signals, which only a main thread may ask for."""

    def __init__(self, *arguments: object, **options: object) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass


if __name__ == "__main__":
    main(Rq)
