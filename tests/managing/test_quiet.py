"""Workers are asked to claim nothing more, or to stop, on each store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from pgqueue import App, operations
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker

WITHIN = 60.0


@asynccontextmanager
async def at_work(app: App) -> AsyncIterator[tuple[Worker, asyncio.Task[None]]]:
    """A worker in this event loop, which has started."""
    worker = Worker(app, Options(heartbeat_interval=0.2))
    running = asyncio.create_task(worker.run())
    starting = asyncio.create_task(worker.started.wait())
    await asyncio.wait({running, starting}, timeout=WITHIN, return_when=asyncio.FIRST_COMPLETED)
    assert starting.done()
    try:
        yield worker, running
    finally:
        worker.stop()
        worker.stop()
        with suppress(asyncio.CancelledError):
            await running


async def ask(app: App, worker: Worker, asked: Any) -> None:
    """Ask it, and wait until it says itself that it has heard it."""
    assert worker.id is not None
    assert await app.execute_async(operations.direct([worker.id], asked)) == [worker.id]

    async def heard() -> bool:
        found = {each.id: each for each in await app.execute_async(inspections.workers())}
        return bool(found[worker.id or 0].info.get("asked") == asked)

    await eventually(heard)


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_quiet_worker_claims_nothing_until_it_is_to_claim_again(app: App) -> None:
    ran: list[int] = []

    @app.task
    async def work(n: int) -> None:
        ran.append(n)

    async def worker_of(n: int) -> int | None:
        handle = await app.enqueue_async(work.job(n))
        await app.result_async(handle, WITHIN)
        return (await app.execute_async(inspections.get([handle.id])))[handle.id].worker

    async with AsyncExitStack() as stack:
        first, _ = await stack.enter_async_context(at_work(app))
        assert await worker_of(1) == first.id
        await ask(app, first, "quiet")
        async with at_work(app) as (second, _):
            for n in (2, 3, 4):
                assert await worker_of(n) == second.id
        await ask(app, first, None)
        assert await worker_of(5) == first.id
    assert ran == [1, 2, 3, 4, 5]
    await app.close_async()


async def test_what_a_quiet_worker_runs_it_finishes(app: App) -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    @app.task
    async def work() -> str:
        began.set()
        await goes_on.wait()
        return "done"

    async with at_work(app) as (worker, _):
        handle = await app.enqueue_async(work.job())
        await asyncio.wait_for(began.wait(), WITHIN)
        await ask(app, worker, "quiet")
        goes_on.set()
        assert await app.result_async(handle, WITHIN) == "done"
    await app.close_async()


async def test_a_worker_that_is_to_stop_finishes_what_runs_and_leaves(app: App) -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    @app.task
    async def work() -> str:
        began.set()
        await goes_on.wait()
        return "done"

    async with at_work(app) as (worker, running):
        handle = await app.enqueue_async(work.job())
        await asyncio.wait_for(began.wait(), WITHIN)
        assert worker.id is not None
        await app.execute_async(operations.direct([worker.id], "stop"))
        assert not running.done()
        goes_on.set()
        await asyncio.wait_for(running, WITHIN)

        assert await app.result_async(handle, WITHIN) == "done"
        assert await app.execute_async(inspections.workers()) == []
    await app.close_async()
