"""Each job has an asyncio task and a context of its own; plain functions have their own limit."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from weakref import WeakKeyDictionary

from pgqueue import App
from tests.worker.conftest import Work
from tests.worker.process import PATIENCE, soon
from tests.worker.store import becomes


async def test_a_job_finds_nothing_of_another_in_its_task_or_context(app: App, work: Work) -> None:
    by_task: WeakKeyDictionary[asyncio.Task[object], int] = WeakKeyDictionary()
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    seen: list[asyncio.Task[object] | None] = []
    found: list[int] = []

    @app.task(max_attempts=1)
    async def remember(number: int) -> None:
        mine = asyncio.current_task()
        assert mine is not None
        found.extend(each for each in (by_task.get(mine), variable.get(0)) if each)
        by_task[mine] = number
        variable.set(number)
        seen.append(mine)
        if number % 3 == 0:
            raise ValueError(number)
        if number % 3 == 1:
            await asyncio.sleep(0)

    handles = await app.enqueue_async([remember.job(n) for n in range(1, 91)])
    await work(drain=True, concurrency=5)
    for handle in handles:
        await becomes(app, handle, "completed", "discarded")

    assert not found
    assert len({id(task) for task in seen}) == 90


async def test_plain_functions_run_as_many_at_once_as_there_are_threads(
    app: App, work: Work
) -> None:
    gate, lock = threading.Event(), threading.Lock()
    running: list[int] = [0, 0]

    @app.task
    def hold() -> None:
        with lock:
            running[0] += 1
            running[1] = max(running)
        gate.wait(PATIENCE)
        with lock:
            running[0] -= 1

    @app.task
    async def pass_by() -> None: ...

    try:
        await app.enqueue_async([hold.job() for _ in range(7)])
        await work(threads=4, concurrency=50)
        await soon(lambda: running[0] == 4)
        passing = await app.enqueue_async([pass_by.job() for _ in range(60)])
        for handle in passing:
            await becomes(app, handle, "completed")
        assert running == [4, 4]
    finally:
        gate.set()


async def test_what_no_thread_is_free_for_is_left_to_other_workers(app: App, work: Work) -> None:
    gate = threading.Event()

    @app.task
    def hold() -> None:
        gate.wait(PATIENCE)

    try:
        handles = await app.enqueue_async([hold.job() for _ in range(40)])
        first = await work(threads=2, concurrency=50)
        await soon(lambda: len(first._agents.executor.leases()) >= 2)
        second = await work(threads=2, concurrency=50)
        await soon(lambda: len(second._agents.executor.leases()) >= 2)
        assert len(first._agents.executor.leases()) <= 4
        assert len(second._agents.executor.leases()) <= 4
    finally:
        gate.set()
    for handle in handles:
        await becomes(app, handle, "completed")
