"""A worker as `python -m pgqueue.worker` starts it, that says when it is ready and what it saw."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

from benchmarks.contenders.pgqueue_tasks import app, picked
from pgqueue.worker import Options, Worker
from pgqueue.worker.worker import spare_the_collector


async def work(concurrency: int) -> None:
    worker = Worker(app, Options(concurrency=concurrency))
    worker.handle_signals()
    running = asyncio.create_task(worker.run())
    await worker.started.wait()
    print("ready", flush=True)
    await running


def main(url: str, loop: str, concurrency: str) -> None:
    app.use(url)
    app.prepare()
    spare_the_collector()
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work(int(concurrency)))
    print(json.dumps({"picked": picked}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
