"""Workers in the test's event loop."""

from __future__ import annotations

import asyncio

from pgqueue.worker import Worker


async def has_started(worker: Worker, running: asyncio.Task[None]) -> None:
    """Returns when *worker*, which *running* runs, has started; raises what ended it before."""
    there = asyncio.create_task(worker.started.wait())
    await asyncio.wait({running, there}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        there.cancel()
        await running
