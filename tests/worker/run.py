"""A worker process: `python -m tests.worker.run '{"concurrency": 5}'`, on the store of PGQUEUE_URL."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from pgqueue.worker import Options, Worker
from pgqueue.worker.worker import new_event_loop
from tests.worker import shop


async def work() -> None:
    worker = Worker(shop.app, Options(**json.loads(sys.argv[1])))
    worker.handle_signals()
    await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work())
