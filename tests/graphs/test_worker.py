"""Graphs in a real worker: results reach children, and graphs grow while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pgqueue import PARENT, App, Context, Result, Results, Retention, chain, map_reduce, workflow
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from tests.graphs import shop


@pytest.fixture
async def app(postgres_url: str) -> AsyncIterator[App]:
    app = App(postgres_url, retention=Retention(completed=timedelta(hours=1)))
    yield app
    await app.close_async()
    app.close()


async def drained(app: App, **options: object) -> None:
    """Works until nothing is left."""
    async with asyncio.timeout(30):
        await Worker(app, Options(queues="default", drain=True, **options)).run()  # type: ignore[arg-type]


async def test_results_flow_down_a_chain(app: App) -> None:
    @app.task
    async def fetch(url: str) -> str:
        return f"<{url}>"

    @app.task
    def parse(page: Result[str]) -> dict[str, int]:
        return {"length": len(page)}

    @app.task
    async def store(ctx: Context, parsed: Result[dict[str, int]], table: str = "t") -> str:
        parents = await ctx.parents
        assert parents["parse"].result == parsed
        return f"{table}: {parsed['length']}"

    graph = chain(fetch.job("url"), parse.job(PARENT), store.job(PARENT))
    handles = await app.enqueue_async(graph)
    await drained(app)

    assert await app.result_async(handles[-1], 1) == "t: 5"


async def test_maps_and_reduces(app: App) -> None:
    @app.task
    async def square(n: int) -> int:
        return n * n

    @app.task
    async def total(square: Results[int]) -> int:
        return sum(square)

    handles = await app.enqueue_async(map_reduce(square.job, range(1_500), total.job(PARENT)))
    await drained(app)

    assert await app.result_async(handles[-1], 1) == sum(n * n for n in range(1_500))


async def test_a_plain_function_takes_the_results_of_more_than_a_thousand(app: App) -> None:
    @app.task
    async def square(n: int) -> int:
        return n * n

    @app.task
    def total(ctx: Context, square: Results[int]) -> list[int]:
        return [sum(square), sum(parent.result for parent in list(ctx.parents)), len(ctx.parents)]

    handles = await app.enqueue_async(map_reduce(square.job, range(1_001), total.job(PARENT)))
    await drained(app)

    squares = sum(n * n for n in range(1_001))
    assert await app.result_async(handles[-1], 1) == [squares, squares, 1_001]


async def test_a_graph_that_grows_while_it_runs(app: App) -> None:
    @app.task
    def plan(ctx: Context, parts: int) -> None:
        ctx.graft(part.job(n) for n in range(parts))

    @app.task
    async def part(ctx: Context, n: int) -> int:
        if n == 2:
            ctx.graft(part.job(100))
        return n

    @app.task
    async def total(part: Results[int]) -> int:
        return sum(part)

    graph = workflow("grows", chain(plan.job(4), total.job(PARENT)))
    handles = await app.enqueue_async(graph)
    await drained(app)

    assert await app.result_async(handles[-1], 1) == 0 + 1 + 2 + 3 + 100
    [flow] = await app.execute_async(inspections.workflows())
    assert (flow.state, sum(flow.states.values())) == ("completed", 7)


async def test_an_attempt_that_fails_grafts_nothing(app: App) -> None:
    @app.task(retry=0.01, max_attempts=2)
    async def plan(ctx: Context) -> None:
        ctx.graft(part.job())
        if ctx.attempt == 1:
            raise ValueError

    @app.task
    async def part() -> int:
        return 1

    @app.task
    async def total(part: Results[int]) -> int:
        return sum(part)

    *_, last = await app.enqueue_async(chain(plan.job(), total.job(PARENT)))
    while await app.execute_async(inspections.why(last)):
        await drained(app)
        if (await app.execute_async(inspections.get([last])))[last.id].finished:
            break

    assert await app.result_async(last, 1) == 1


async def test_a_graft_in_a_transaction_of_the_tasks_own(app: App) -> None:
    @app.task
    async def plan(ctx: Context) -> str | None:
        async with ctx.transaction() as connection:
            await connection.execute("SELECT 1")
            ctx.graft(part.job())
            ctx.result = "planned"
        return None

    @app.task
    async def part() -> int:
        return 1

    @app.task
    async def total(part: Results[int]) -> int:
        return sum(part)

    first, last = await app.enqueue_async(chain(plan.job(), total.job(PARENT)))
    await drained(app)

    assert await app.result_async(first, 1) == "planned"
    assert await app.result_async(last, 1) == 1


async def test_in_processes(postgres_url: str) -> None:
    app = shop.app
    app.use(postgres_url)
    first, last = await app.enqueue_async(
        chain(shop.plan_in_process.job(1_001), shop.total_in_process.job())
    )
    await drained(app)

    assert await app.result_async(first, 1) == "planned"
    assert await app.result_async(last, 1) == [*range(1_001), sum(range(1_001))]
    await app.close_async()
    app.close()
