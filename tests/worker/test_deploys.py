"""A rolling deploy, half done: tasks that some of the workers do not know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from pgqueue import App, State, operations
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from tests.worker.conftest import Work, _stop
from tests.worker.store import becomes, ended

SOON = 25.0  # far below the minute that one bounce may take where nobody knows the task


@pytest.fixture
async def new_app(postgres_url: str) -> AsyncIterator[App]:
    """The same application, newer by one task."""
    app = App(postgres_url)

    @app.task
    async def engrave(n: int) -> int:
        return n

    yield app
    await app.close_async()


async def test_jobs_soon_reach_the_one_worker_that_knows_their_task(
    app: App, new_app: App, work: Work
) -> None:
    for _ in range(2):
        await work(concurrency=2)
    newer = Worker(new_app, Options(concurrency=2))
    running = asyncio.create_task(newer.run())
    await newer.started.wait()
    began = monotonic()

    engrave = new_app.tasks["engrave"]
    handles = await new_app.enqueue_async([engrave.job(n) for n in range(20)])
    jobs = [await ended(app, handle) for handle in handles]

    assert monotonic() - began < SOON
    assert {(job.state, job.attempt) for job in jobs} == {(State.COMPLETED, 1)}
    await _stop(newer, running)


async def test_a_job_that_no_worker_knows_is_later_each_time_it_comes_back(
    app: App, new_app: App, work: Work
) -> None:
    await work()
    handle = await new_app.enqueue_async(new_app.tasks["engrave"].job(1))
    first = (await becomes(app, handle, State.SCHEDULED)).run_at
    async with asyncio.timeout(SOON):
        while True:
            if (await becomes(app, handle, State.SCHEDULED)).run_at != first:
                break
            await asyncio.sleep(0.01)

    [count] = (await app.execute_async(inspections.count())).counts
    assert count.late > timedelta(seconds=1)


async def test_a_flood_for_others_keeps_nobody_from_the_own_work(
    app: App, new_app: App, work: Work
) -> None:
    """Somebody is said to know the task, but does nothing."""

    @app.task
    async def ours() -> None: ...

    profile: dict[str, Any] = {
        "name": "busy",
        "host": "elsewhere",
        "pid": 1,
        "queues": ["default"],
        "started_at": datetime.now(UTC),
        "info": {"tasks": ["engrave"]},
    }
    await app.execute_async(operations.join(profile))
    engrave = new_app.tasks["engrave"]
    flood = await new_app.enqueue_async([engrave.job(n) for n in range(2_000)])
    await work()
    await becomes(app, flood[-1], "scheduled")

    handle = await app.enqueue_async(ours.job())
    await ended(app, handle, within=SOON)

    run_at = [job.run_at for job in (await app.execute_async(inspections.get(flood))).values()]
    assert (max(run_at) - min(run_at)).total_seconds() > 10
