"""Timeouts and cancellation: a coroutine is interrupted, a process killed, a function told."""

from __future__ import annotations

import asyncio
import threading
from time import monotonic

import psutil
import pytest

from pgqueue import App, Context, State, operations
from pgqueue.jobs.retries import Never
from pgqueue.worker import Options, Worker
from tests.worker import shop as tasks
from tests.worker.conftest import Work
from tests.worker.process import Shop, least, soon
from tests.worker.store import Store, becomes, ended


async def test_a_coroutine_is_interrupted_when_its_time_is_up(app: App, work: Work) -> None:
    interrupted = asyncio.Event()

    @app.task(timeout=0.2, retry=Never())
    async def dawdle() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            interrupted.set()
            raise

    await work()

    job = await ended(app, await app.enqueue_async(dawdle.job()))

    assert interrupted.is_set()
    assert job.errors[0].type == "OutOfTime"
    assert "longer than its timeout of 0.2 s" in job.errors[0].message


async def test_a_timeout_of_the_tasks_own_is_not_taken_for_ours(app: App, work: Work) -> None:
    @app.task(timeout=60, retry=Never())
    async def call() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    await work()

    job = await ended(app, await app.enqueue_async(call.job()))

    assert job.errors[0].type == "TimeoutError"


async def test_a_function_out_of_time_is_reported_and_gives_its_slot_back(
    app: App, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    told, gate = threading.Event(), threading.Event()

    @app.task(timeout=0.2, max_attempts=1)
    def dawdle(ctx: Context) -> str:
        while not ctx.cancelled:
            gate.wait(0.01)
        told.set()
        gate.wait(10)
        return "too late"

    @app.task
    def next_one() -> str:
        return "in its slot"

    await work(concurrency=1)
    [late, following] = await app.enqueue_async(dawdle.job(), next_one.job())

    assert await app.result_async(following, timeout=5) == "in its slot"
    job = await ended(app, late)
    assert job.state == State.DISCARDED
    assert job.errors[0].type == "OutOfTime"
    assert await asyncio.to_thread(told.wait, 5)
    assert "(dawdle) is out of time, but its function goes on" in caplog.text
    gate.set()
    assert await app.result_async(await app.enqueue_async(next_one.job()), timeout=5)
    assert (await ended(app, late)) == job


async def test_a_process_out_of_time_is_killed_with_all_it_started(
    app: App, work: Work, shop: Shop
) -> None:
    app.add(tasks.hire)
    await work(pool_processes=1)

    handle = await app.enqueue_async(tasks.hire.job().options(timeout=1.5, max_attempts=1))

    job = await ended(app, handle)
    assert job.errors[0].type == "OutOfTime"
    [boss] = shop.marks("boss")
    [helper] = shop.marks("helper")
    await soon(lambda: not _alive(boss.pid) and not _alive(helper.pid))


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_the_time_of_an_attempt_begins_when_a_process_is_free(
    app: App, work: Work, shop: Shop
) -> None:
    app.add(tasks.doze)
    await work(pool_processes=1)

    handles = await app.enqueue_async([tasks.doze.job(0.4).options(timeout=1.5) for _ in range(5)])

    jobs = [await ended(app, handle, within=20) for handle in handles]
    assert [(job.state, job.attempt) for job in jobs] == [(State.COMPLETED, 1)] * 5


async def test_a_process_that_starts_does_not_block_the_event_loop(
    app: App, work: Work, shop: Shop
) -> None:
    app.add(tasks.count_letters)
    await work()
    handle = await app.enqueue_async(tasks.count_letters.job("x" * 1_000_000))

    longest, began = 0.0, monotonic()
    before = began
    result = asyncio.create_task(app.result_async(handle, timeout=20))
    while not result.done():
        await asyncio.sleep(0.001)
        longest, before = max(longest, monotonic() - before), monotonic()

    assert await result == 1_000_000
    assert longest < (before - began) / 2


async def test_a_process_that_died_while_it_was_idle_costs_no_attempt(
    app: App, work: Work, shop: Shop
) -> None:
    app.add(tasks.doze)
    await work(pool_processes=1)
    pid = await app.result_async(await app.enqueue_async(tasks.doze.job(0)), timeout=20)
    psutil.Process(pid).kill()
    await soon(lambda: not _alive(pid))

    job = await ended(app, await app.enqueue_async(tasks.doze.job(0)))

    assert (job.state, job.attempt) == (State.COMPLETED, 1)


async def test_cancelling_interrupts_a_coroutine_within_a_second(app: App, work: Work) -> None:
    started = asyncio.Event()

    @app.task
    async def wait() -> None:
        started.set()
        await asyncio.sleep(60)

    await work()

    async def until_it_has_ended() -> float:
        started.clear()
        handle = await app.enqueue_async(wait.job())
        await started.wait()
        asked_at = monotonic()
        assert await app.execute_async(operations.cancel([handle], reason="enough")) == {
            handle.id: State.RUNNING
        }
        job = await ended(app, handle)
        assert (job.state, job.reason, job.errors) == (State.CANCELLED, "enough", ())
        return monotonic() - asked_at

    await least(until_it_has_ended, below=1)


async def test_cancelling_tells_a_function_which_ends_when_it_looks(app: App, work: Work) -> None:
    started, gate, ended_by_itself = (threading.Event() for _ in range(3))

    @app.task
    def wait(ctx: Context) -> None:
        started.set()
        while not ctx.cancelled:
            gate.wait(0.01)
        gate.wait(10)
        ended_by_itself.set()
        ctx.raise_if_cancelled()

    await work()
    handle = await app.enqueue_async(wait.job())
    assert await asyncio.to_thread(started.wait, 5)

    await app.execute_async(operations.cancel([handle]))
    assert (await becomes(app, handle, "running")).cancel_requested
    gate.set()
    job = await ended(app, handle)

    assert ended_by_itself.is_set()
    assert (job.state, job.errors) == (State.CANCELLED, ())


async def test_a_function_that_does_not_look_completes_all_the_same(app: App, work: Work) -> None:
    started, gate = threading.Event(), threading.Event()

    @app.task
    def pay() -> str:
        started.set()
        gate.wait(10)
        return "paid"

    await work()
    handle = await app.enqueue_async(pay.job())
    assert await asyncio.to_thread(started.wait, 5)

    await app.execute_async(operations.cancel([handle]))
    gate.set()

    assert await app.result_async(handle, timeout=5) == "paid"


async def test_cancelling_kills_a_process(app: App, work: Work, shop: Shop) -> None:
    app.add(tasks.print_label)
    await work()
    handle = await app.enqueue_async(tasks.print_label.job())
    [mark] = await soon(lambda: shop.marks("start"))

    await app.execute_async(operations.cancel([handle]))
    job = await ended(app, handle)

    assert job.state == State.CANCELLED
    await soon(lambda: not _alive(mark.pid))


async def test_cancelling_reaches_jobs_that_wait_in_the_buffer(app: App, work: Work) -> None:
    """And those of another queue's worker, and those that wait in the store."""
    gate = asyncio.Event()

    @app.task
    async def quick() -> None: ...

    @app.task
    async def slow() -> None:
        await gate.wait()

    await work(concurrency=2)
    await app.enqueue_async([quick.job() for _ in range(500)])
    handles = await app.enqueue_async([slow.job() for _ in range(20)])
    await becomes(app, handles[1], "running", within=60)

    await app.execute_async(operations.cancel(handles))

    jobs = [await ended(app, handle) for handle in handles]
    assert {job.state for job in jobs} == {State.CANCELLED}


async def test_a_job_that_cancels_itself_is_cancelled(app: App, work: Work) -> None:
    from pgqueue.errors import JobCancelled

    @app.task
    async def give_up() -> None:
        raise JobCancelled("the order is gone")

    await work()

    job = await ended(app, await app.enqueue_async(give_up.job()))

    assert (job.state, job.reason) == (State.CANCELLED, "the order is gone")


async def test_a_host_that_cancels_twice_loses_nothing(app: App, store: Store) -> None:
    started = asyncio.Event()

    @app.task
    async def linger() -> None:
        started.set()
        await asyncio.Event().wait()

    handle = await app.enqueue_async(linger.job())
    worker = Worker(app, Options(grace=60))  # as `app.run_worker` does
    running = asyncio.create_task(worker.run())
    await started.wait()
    running.cancel()
    await soon(lambda: worker._agents.executor._stopping)
    running.cancel()
    await asyncio.wait({running}, timeout=20)

    assert running.cancelled()
    job = store.job(handle)
    assert (job.state, job.attempt, job.rescues) == (State.AVAILABLE, 0, 0)
    assert store.value("SELECT count(*) FROM pgqueue.worker") == 0


async def test_a_task_that_raises_keyboardinterrupt_does_not_stop_its_host(app: App) -> None:
    @app.task(max_attempts=1)
    async def in_coroutine() -> None:
        raise KeyboardInterrupt

    @app.task(max_attempts=1)
    def in_thread() -> None:
        raise KeyboardInterrupt

    @app.task
    async def after() -> str:
        return "still here"

    running = asyncio.create_task(app.run_worker())
    for job in (in_coroutine.job(), in_thread.job()):
        ended_so = await ended(app, await app.enqueue_async(job))
        assert ended_so.state == State.DISCARDED
    last = await app.enqueue_async(after.job())
    assert await app.result_async(last, timeout=20) == "still here"

    running.cancel()
    await asyncio.wait({running})
