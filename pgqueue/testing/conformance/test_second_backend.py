"""Two backends on one store: what one does, the other sees, and is woken by."""

from __future__ import annotations

import asyncio

from pgqueue import operations
from pgqueue.backends.base import Backend
from pgqueue.jobs.job import State
from pgqueue.operations import Completed
from pgqueue.operations.topics import ANY_END, end_of
from pgqueue.testing.conformance.store import PROFILE, Store, a_job, needs


@needs("processes")
def test_what_one_enqueues_the_other_claims(store: Store, second_backend: Backend) -> None:
    id = store.add(a_job("task"))
    member = second_backend.execute(operations.join({**PROFILE, "name": "second"}, now=store.now))
    claim = operations.claim("default", member.worker, member.lease, 10, now=store.now)

    [job] = second_backend.execute(claim)

    assert job.id == id
    assert store.state(id) == State.RUNNING
    second_backend.execute(operations.complete([Completed(id, member.lease)], now=store.now))
    assert store.state(id) == State.COMPLETED


@needs("processes")
def test_no_two_members_share_an_identity_or_a_lease(store: Store, second_backend: Backend) -> None:
    one, other = store.join(), second_backend.execute(operations.join(PROFILE, now=store.now))

    assert one.worker != other.worker
    assert abs(one.lease - other.lease) >= 10_000_000


@needs("processes")
async def test_a_session_is_woken_by_what_another_enqueues(
    store: Store, second_backend: Backend
) -> None:
    woken: asyncio.Queue[str] = asyncio.Queue()
    session = second_backend.session(woken.put_nowait, lambda: None)
    await session.open()
    if await session.subscribe(["default"]):
        job = a_job()
        [handle] = store.enqueue(job)
        store.do(operations.wake(operations.topics_to_wake([job])))

        async with asyncio.timeout(10):
            assert await woken.get() == "default"
        assert [job.id for job in store.claim()] == [handle.id]
    await session.close()


@needs("processes")
async def test_who_waits_for_a_result_is_woken_by_its_end(
    store: Store, second_backend: Backend
) -> None:
    job = store.running()
    woken: asyncio.Queue[str] = asyncio.Queue()
    session = second_backend.session(woken.put_nowait, lambda: None)
    await session.open()
    if await session.subscribe([ANY_END, end_of(job.id)]):
        store.complete(job)

        async with asyncio.timeout(10):
            assert await woken.get() == end_of(job.id)
    await session.close()


@needs("processes")
def test_who_waits_without_a_loop_is_woken_too(store: Store, second_backend: Backend) -> None:
    job = store.running()
    with second_backend.listen((ANY_END, end_of(job.id))) as ear:
        store.complete(job)
        ear.wait(10)

    assert store.state(job) == State.COMPLETED
