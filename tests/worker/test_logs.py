"""What goes with a job into its run: the texts that it carries, its fields on every log record."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from pgqueue import App
from pgqueue.errors import InvalidTask
from pgqueue.jobs import carrying
from pgqueue.logs import FIELDS, JobFilter, job_fields
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from tests.worker import carried
from tests.worker.carried import correlated, in_a_process, in_a_thread, in_the_loop
from tests.worker.conftest import Start
from tests.worker.process import PATIENCE, Shop
from tests.worker.shop import fail_in_thread
from tests.worker.store import Store


@pytest.fixture
async def working(postgres_url: str) -> AsyncIterator[tuple[App, Worker]]:
    carried.app.use(postgres_url)
    worker = Worker(carried.app, Options(queues="default", pool_processes=1))
    running = asyncio.create_task(worker.run())
    yield carried.app, worker
    worker.stop()
    worker.stop()
    await running
    carried.app.close()


@pytest.mark.parametrize("task", [in_the_loop, in_a_thread, in_a_process], ids=lambda t: t.name)
async def test_a_record_inside_a_task_says_whose_it_is(
    working: tuple[App, Worker], task: object
) -> None:
    app, worker = working
    with correlated("7f3"):
        handle = await app.enqueue_async(task.job())  # type: ignore[attr-defined]

    assert await app.result_async(handle, PATIENCE) == {
        "job_id": handle.id,
        "task": handle.task,
        "queue": "default",
        "attempt": 1,
        "worker": worker.id,
        "carried": "7f3",
    }


async def test_what_a_process_of_the_pool_ran_leaves_nothing_behind(
    working: tuple[App, Worker],
) -> None:
    app, _ = working
    with correlated("first"):
        first = await app.enqueue_async(in_a_process.job())
    assert (await app.result_async(first, PATIENCE))["carried"] == "first"

    with correlated("second"):
        job = in_a_process.job().options(metadata={"correlation_id": 2})
        second = await app.enqueue_async(job)
    assert (await app.result_async(second, PATIENCE))["carried"] == "none"


async def test_jobs_that_a_task_enqueues_carry_on(working: tuple[App, Worker]) -> None:
    app, _ = working
    with correlated("7f3"):
        handle = await app.enqueue_async(in_the_loop.job(children=True))
    await app.result_async(handle, PATIENCE)
    [child] = [
        job
        for job in await app.execute_async(inspections.list_jobs(task="in_the_loop"))
        if job.id != handle.id
    ]

    assert (await app.result_async(child.id, PATIENCE))["carried"] == "7f3"


def test_outside_of_tasks_a_record_has_the_fields_and_they_are_empty() -> None:
    record = logging.makeLogRecord({"queue": "my own"})
    assert JobFilter().filter(record)

    assert job_fields() == {}
    assert {field: getattr(record, field) for field in FIELDS} == {
        **dict.fromkeys(FIELDS),
        "queue": "my own",
    }


async def test_a_variable_that_a_process_would_not_find_is_refused_at_the_start(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(carrying.variables, "hidden", ContextVar("hidden"))
    app = App(postgres_url)
    app.add(in_a_process)

    with pytest.raises(InvalidTask, match=r"hidden: a process would not find it"):
        await Worker(app, Options(queues="default")).run()
    app.close()


def test_a_line_of_the_json_log_names_the_worker(start: Start, store: Store, shop: Shop) -> None:
    worker = start(log_format="json")
    [handle] = store.enqueue(fail_in_thread.job())
    worker.logs("will be tried again|was discarded")

    [line] = [
        json.loads(line)
        for line in worker.log.splitlines()
        if f'"job_id": {handle.id}' in line or f'"job_id":{handle.id}' in line
    ]
    assert (line["task"], line["worker"]) == ("fail_in_thread", worker.worker)
