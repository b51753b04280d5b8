"""The tally: what a worker has counted stays in the store when it has gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import App, NewJob
from pgqueue.operations import inspections
from pgqueue.operations.params import EPOCH
from pgqueue.operations.tallying import TallyRow, tallied
from pgqueue.worker import Options, Worker
from pgqueue.worker.agents import gauger
from tests.worker.conftest import Work
from tests.worker.process import soon

DAY = timedelta(days=1)


async def counted(app: App) -> list[TallyRow]:
    now = datetime.now(UTC)
    return await app.execute_async(tallied(now - DAY, now + DAY))


async def test_what_became_of_jobs_is_kept(app: App) -> None:
    @app.task
    async def works() -> None: ...

    @app.task(queue="other", max_attempts=1)
    async def breaks() -> None:
        raise ValueError

    await app.enqueue_async([*(works.job() for _ in range(5)), breaks.job()])
    await Worker(app, Options(queues="default,other", drain=True)).run()

    rows = await counted(app)
    assert {row.series.queue: row.series.outcomes for row in rows} == {
        "default": {"completed": 5},
        "other": {"discarded": 1},
    }
    for row in rows:
        assert row.worker > 0
        assert row.at.second == 0
        assert sum(row.series.ran.counts.values()) == sum(row.series.outcomes.values())


async def test_the_leader_notes_how_much_waits(
    app: App, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauger, "_until_the_middle", lambda now: 0.05)
    await app.enqueue_async([NewJob("nobody", queue="elsewhere") for _ in range(3)])
    await work()
    rows = await soon(lambda: app.execute(tallied(EPOCH, datetime.now(UTC))))

    assert (rows[0].worker, rows[0].series.queue) == (0, "elsewhere")
    assert rows[0].series.outcomes == {"looks": 1, "waiting": 3, "running": 0}


def test_it_looks_in_the_middle_of_each_minute() -> None:
    noon = datetime(2026, 3, 5, 12, tzinfo=UTC)
    waits = [gauger._until_the_middle(noon + timedelta(seconds=s)) for s in (0, 29, 30, 31)]
    assert waits == [30, 1, 60, 59]


async def test_a_worker_says_what_runs_and_what_has_run_long(app: App, work: Work) -> None:
    gate = asyncio.Event()

    @app.task
    async def hold() -> None:
        await gate.wait()

    await work()
    handles = await app.enqueue_async([hold.job() for _ in range(3)])
    async with asyncio.timeout(15):
        while True:
            [worker] = await app.execute_async(inspections.workers())
            if worker.info.get("longest"):
                break
            await asyncio.sleep(0.05)

    assert worker.info["running"] == {"default": 3}
    assert sorted(worker.info["longest"]) == [handle.id for handle in handles]
    gate.set()
