"""What others see of a worker, between two of its signs of life."""

from __future__ import annotations

import asyncio

from pgqueue import App
from pgqueue.operations import inspections
from tests.worker.conftest import Work

SOON = 4.0  # below the five seconds of a busy worker, and the ten of an idle one


async def test_an_idle_worker_that_gets_work_soon_shows_it(app: App, work: Work) -> None:
    gate = asyncio.Event()

    @app.task
    async def hold() -> None:
        await gate.wait()

    await work()
    await app.enqueue_async([hold.job() for _ in range(6)])

    async with asyncio.timeout(SOON):
        while True:
            [worker] = await app.execute_async(inspections.workers())
            if worker.running == 6:
                break
            await asyncio.sleep(0.05)
    gate.set()
