"""Never more at once than was said, the urgent first, and three connections whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from time import time
from typing import Any

import pytest

from pgqueue import App, Context
from pgqueue.doctor.why import sentence
from pgqueue.errors import SchemaMissing, SchemaOutOfDate
from pgqueue.operations import Operation, inspections
from pgqueue.worker import Options, Worker
from tests.worker.conftest import Work
from tests.worker.process import least, soon
from tests.worker.store import Store, ended


async def test_never_runs_more_than_its_concurrency_and_a_queues_limit(
    app: App, work: Work
) -> None:
    now, most = Counter[str](), Counter[str]()

    @app.task
    async def step(ctx: Context) -> None:
        for name in (ctx.queue, "all"):
            now[name] += 1
            most[name] = max(most[name], now[name])
        await asyncio.sleep(0.002)
        for name in (ctx.queue, "all"):
            now[name] -= 1

    await work(queues="a:1,b:3,c", concurrency=7)

    handles = await app.enqueue_async(
        [step.job().options(queue=queue) for queue in "abc" for _ in range(60)]
    )
    for handle in handles:
        await ended(app, handle, within=20)

    assert most == {"a": 1, "b": 3, "c": most["c"], "all": 7}


async def test_whoever_asks_why_is_told_of_the_limit(app: App, work: Work) -> None:
    gate = asyncio.Event()

    @app.task
    async def wait() -> None:
        await gate.wait()

    await work(queues="a:1,b", concurrency=9, heartbeat_interval=0.1)
    handles = await app.enqueue_async([wait.job().options(queue="a") for _ in range(2)])

    def told() -> bool:
        situation = app.execute(inspections.why(handles[1]))
        return situation is not None and "as many of its jobs as may run" in sentence(situation)

    await soon(told)
    gate.set()
    await ended(app, handles[1])


async def test_claims_quick_jobs_by_the_hundred_at_once(app: App, work: Work) -> None:
    @app.task
    async def quick() -> None: ...

    handles = await app.enqueue_async([quick.job() for _ in range(3_000)])
    worker = await work(concurrency=50)
    execute, sizes = worker._agents.claims.connection.execute, list[int]()

    async def noted(operation: Operation[Any]) -> Any:
        answer = await execute(operation)
        if operation.name == "claim":
            sizes.append(len(answer))
        return answer

    worker._agents.claims.connection.execute = noted  # type: ignore[method-assign]
    await ended(app, handles[-1], within=20)

    print(f"claims of {' '.join(map(str, sizes))} jobs")
    assert sum(size > 0 for size in sizes) <= 40  # it would be 60, if each took what is free


async def test_a_queue_at_its_limit_costs_nothing_until_a_job_has_ended(
    app: App, work: Work
) -> None:
    gate = asyncio.Event()

    @app.task
    async def wait() -> None:
        await gate.wait()

    worker = await work(queues="a:1,b:2", concurrency=9)
    handles = await app.enqueue_async(
        [wait.job().options(queue=queue) for queue in "ab" for _ in range(4)]
    )
    await soon(lambda: len(worker._agents.executor.leases()) == 3)
    looks: list[str] = []
    room_in = worker._agents.executor.room_in

    def counted(queue: str, limit: int | None) -> int:
        looks.append(queue)
        return room_in(queue, limit)

    worker._agents.executor.room_in = counted  # type: ignore[method-assign]
    await asyncio.sleep(0.5)  # not to synchronise: to measure

    assert len(looks) <= 4
    gate.set()
    for handle in handles:
        await ended(app, handle)


async def test_runs_the_urgent_first_and_then_the_oldest(app: App, work: Work) -> None:
    order: list[int] = []

    @app.task
    async def step(n: int) -> None:
        order.append(n)

    jobs = [step.job(n).options(priority=n % 3) for n in range(30)]
    handles = await app.enqueue_async(jobs)
    await work(concurrency=1)
    for handle in handles:
        await ended(app, handle)

    assert order == sorted(range(30), key=lambda n: (n % 3, n))


async def test_needs_three_connections_at_most(app: App, work: Work, store: Store) -> None:
    gate = asyncio.Event()

    @app.task
    async def wait() -> None:
        await gate.wait()

    mine = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    before = store.value(mine)
    handles = store.enqueue(*[wait.job() for _ in range(300)])
    await work(concurrency=200)
    running = "SELECT count(*) FROM pgqueue.job WHERE state = 'running'"
    await soon(lambda: store.value(running) == 200)

    assert store.value(mine) - before - 1 <= 4  # a leader has one more while it tidies up
    gate.set()
    await soon(lambda: store.all_finished(handles))
    await soon(lambda: store.value(mine) - before - 1 <= 3)


async def test_refuses_to_start_without_the_schema_and_names_the_cure(empty_url: str) -> None:
    app = App(empty_url)
    with pytest.raises(SchemaMissing, match="pgqueue migrate"):
        await Worker(app, Options()).run()


async def test_refuses_to_start_on_an_older_schema_and_names_the_cure(
    app: App, store: Store
) -> None:
    store.value("DELETE FROM pgqueue.migration WHERE version > '0001'")
    store.value("UPDATE pgqueue.migration SET version = '0000'")

    with pytest.raises(SchemaOutOfDate, match=r"at version 0000.*needs 0\d+.*pgqueue migrate"):
        await Worker(app, Options()).run()

    left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    await soon(lambda: store.value(left) <= 2)


async def test_starts_a_scheduled_job_at_its_instant(app: App, work: Work) -> None:
    late: list[float] = []

    @app.task
    async def on_time(ctx: Context) -> None:
        late.append(time() - ctx.run_at.timestamp())

    worker = await work()
    await _leads(worker)

    async def latest_of_ten() -> float:
        late.clear()
        delays = [0.3 + 0.1 * n for n in range(10)]
        handles = await app.enqueue_async([on_time.job().options(delay=delay) for delay in delays])
        for handle in handles:
            await ended(app, handle)
        assert min(late) >= 0
        return max(late)

    at_most = await least(latest_of_ten, below=0.25)
    print(f"ten scheduled jobs started {at_most * 1e3:.1f} ms late at most")


async def test_an_earlier_job_that_is_enqueued_later_wakes_the_leader(app: App, work: Work) -> None:
    @app.task
    async def ring() -> None: ...

    worker = await work()
    await _leads(worker)
    await app.enqueue_async(ring.job().options(delay=timedelta(hours=1)))
    await app.enqueue_async(ring.job().options(delay=20))
    async with asyncio.timeout(10):
        while "@" not in worker._agents.listener._session._sleeps_on:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        worker._agents.promoter._gap = 300.0
        while worker._agents.promoter._gap == 300:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # now it rests until the next one is due

    job = await ended(app, await app.enqueue_async(ring.job().options(delay=0.2)))

    assert job.finished_at
    assert job.finished_at - job.enqueued_at < timedelta(seconds=15)


async def _leads(worker: Worker) -> None:
    await soon(lambda: worker._agents.elector.leads)
