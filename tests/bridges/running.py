"""Workers of an application in the running event loop, and what their jobs came to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pgqueue import App
from pgqueue.jobs.job import Job
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from tests.worker.process import soon
from tests.worker.starting import has_started


@asynccontextmanager
async def working(app: App, **options: Any) -> AsyncIterator[Worker]:
    """A worker for as long as the block lasts; then it is stopped, whatever it is doing."""
    worker = Worker(app, Options(**{"queues": "*", "grace": 0.5, **options}))
    running = asyncio.create_task(worker.run())
    await has_started(worker, running)
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait({running})
        await asyncio.gather(running)


def listed(app: App) -> list[Job]:
    """All jobs, the oldest first; a thread may ask."""
    return sorted(app.execute(inspections.list_jobs(limit=1_000)), key=lambda job: job.id)


async def until_ended(app: App, number: int, *, within: float = 30) -> list[Job]:
    """All jobs, once *number* of them have ended."""

    def look() -> list[Job] | None:
        found = listed(app)
        return found if sum(job.finished for job in found) >= number else None

    return await soon(look, within=within)
