"""No attempt begins after its job has expired, wherever it waits; the leader ends what waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from pgqueue import App
from pgqueue.doctor.why import sentence
from pgqueue.operations import inspections
from tests.worker.conftest import Work
from tests.worker.process import soon
from tests.worker.store import becomes, ended


async def test_a_job_that_expired_before_the_claim_does_not_begin(app: App, work: Work) -> None:
    begun: list[str] = []

    @app.task
    async def note(name: str) -> None:
        begun.append(name)

    late, in_time = await app.enqueue_async(
        [
            note.job("late").options(expires=datetime.now(UTC) - timedelta(seconds=1)),
            note.job("in time").options(expires=600),
        ]
    )
    await work()

    assert (await ended(app, in_time)).state == "completed"
    job = await ended(app, late)
    assert (job.state, job.attempt) == ("cancelled", 0)
    assert (job.reason or "").startswith("expired: ")
    assert begun == ["in time"]


async def test_nor_does_one_that_expires_in_the_workers_own_buffer(app: App, work: Work) -> None:
    begun: list[int] = []

    @app.task(expires=0.2)
    async def hold(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0.5)

    worker = await work(concurrency=1)
    handles = await app.enqueue_async([hold.job(n) for n in range(5)])

    for handle in handles:
        await ended(app, handle)
    states = [(await ended(app, handle)).state for handle in handles]

    assert len(begun) == states.count("completed")
    assert states.count("cancelled") >= 1
    assert not worker._agents.executor.busy


async def test_the_leader_ends_what_waits(app: App, work: Work) -> None:
    @app.task
    async def never() -> None: ...

    await work(queues="other")
    child, parent = never.job(), never.job().options(queue="nobodys", expires=2)
    waiting, follows = await app.enqueue_async([parent, child.after(parent)])
    situation = await app.execute_async(inspections.why(waiting))
    assert situation is not None
    assert "; it expires in " in sentence(situation)

    assert (await ended(app, waiting)).state == "cancelled"
    assert (await becomes(app, follows, "cancelled")).cause == waiting.id


async def test_a_job_that_is_not_kept_is_gone_when_it_is_done(app: App, work: Work) -> None:
    @app.task(keep=False)
    async def passing() -> None: ...

    await work()
    handles = await app.enqueue_async([passing.job() for _ in range(3)])

    await soon(lambda: not app.execute(inspections.get(handles)))
