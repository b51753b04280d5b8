"""Tasks that mean no good: each ends as a job that failed, and says why; the worker goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from pgqueue import App
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from tests.hostile import shop

KINDS = [shop.harm, shop.harm_in_thread, shop.harm_in_process]


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    shop.app.use(postgres_url)
    yield shop.app
    shop.app.close()


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.name)
async def test_goes_on_whatever_a_task_does(
    app: App, task: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    harm = task
    jobs = [harm.job(raises=what) for what in shop.RAISED]  # type: ignore[attr-defined]
    jobs += [harm.job(returns=what) for what in shop.RETURNED]  # type: ignore[attr-defined]
    handles = app.enqueue([*jobs, shop.well.job()])
    async with asyncio.timeout(60):
        await app.run_worker(drain=True, concurrency=4, pool_processes=1)
    found = app.execute(inspections.get(handles))

    *harmed, good = (found[handle.id] for handle in handles)
    assert (good.state, good.result) == (State.COMPLETED, "well")
    for what, job in zip([*shop.RAISED, *shop.RETURNED], harmed, strict=True):
        assert job.state == State.DISCARDED, what
        assert job.reason, what
        [error] = job.errors
        assert len(error.message) <= 2_000, what
        assert len(error.traceback or "") <= 8_100, what
        assert "\0" not in job.reason + error.message + error.type
    assert "failed; it goes on" not in caplog.text
