"""What jobs that share an event loop may notice of one another: nothing."""

from __future__ import annotations

import asyncio
import itertools
from contextvars import ContextVar
from time import monotonic

from pgqueue import App
from tests.worker.conftest import Work

user: ContextVar[str | None] = ContextVar("user", default=None)


async def test_a_job_finds_no_context_variable_that_another_has_set(app: App, work: Work) -> None:
    @app.task
    async def sign_in(name: str, wait: bool) -> str | None:
        before = user.get()
        user.set(name)
        if wait:
            await asyncio.sleep(0)
        assert user.get() == name
        return before

    @app.task
    def look() -> str | None:
        return user.get()

    jobs = [sign_in.job(f"user {n}", n % 3 == 0) for n in range(30)]
    handles = await app.enqueue_async([*jobs, *(look.job() for _ in range(3))])

    await work(concurrency=2)

    assert [await app.result_async(handle, timeout=10) for handle in handles] == [None] * 33


async def test_a_job_that_waits_has_an_asyncio_task_of_its_own(app: App, work: Work) -> None:
    """Others may keep it, and cancel it when the job is long done."""
    seen: list[asyncio.Task[object] | None] = []

    @app.task
    async def wait() -> str:
        task = asyncio.current_task()
        seen.append(task)
        await asyncio.sleep(0)
        assert asyncio.current_task() is task
        return "" if task is None else task.get_name()

    handles = await app.enqueue_async([wait.job() for _ in range(20)])

    await work()

    names = [await app.result_async(handle, timeout=10) for handle in handles]
    assert set(names) == {wait.name}
    assert len(set(seen)) == 20
    assert all(task and task.done() for task in seen)


async def test_a_job_that_cancels_itself_at_its_end_does_not_cancel_the_next(
    app: App, work: Work
) -> None:
    @app.task
    async def cancel_myself() -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancel()

    @app.task
    async def wait() -> str:
        await asyncio.sleep(0)
        return "undisturbed"

    jobs = [job for _ in range(10) for job in (cancel_myself.job(), wait.job())]
    handles = await app.enqueue_async(*jobs)

    await work()

    results = [await app.result_async(handle, timeout=10) for handle in handles]
    assert results == [True, "undisturbed"] * 10


async def test_jobs_that_never_wait_leave_the_event_loop_its_turn(app: App, work: Work) -> None:
    done, turns = 0, []

    @app.task
    async def compute() -> None:
        nonlocal done
        until = monotonic() + 0.003
        while monotonic() < until:
            pass
        done += 1

    async def others() -> None:
        while done < 50:
            turns.append(done)
            await asyncio.sleep(0)
        turns.append(done)

    handles = await app.enqueue_async([compute.job() for _ in range(50)])
    ticking = asyncio.ensure_future(others())

    await work()

    await ticking
    for handle in handles:
        await app.result_async(handle, timeout=10)
    assert max(now - before for before, now in itertools.pairwise(turns)) <= 1
