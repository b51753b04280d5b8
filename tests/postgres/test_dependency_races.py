"""A child is enqueued while its parent ends: it is never stranded, whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out_async
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import StoreBusy, UnknownParent
from pgqueue.jobs.job import Handle
from pgqueue.operations import ClaimedJob, Completed, Failed, Operation, Plan
from pgqueue.testing.conformance import NOON, PROFILE, Store, a_job
from tests.postgres.conftest import Racers

End: TypeAlias = Callable[[ClaimedJob], Operation[Any]]


def by_completing(job: ClaimedJob) -> Operation[Any]:
    return operations.complete([Completed(job.id, job.lease)], now=NOON)


def by_discarding(job: ClaimedJob) -> Operation[Any]:
    return operations.fail([Failed(job.id, job.lease, "discard")], now=NOON)


def by_cancelling(job: ClaimedJob) -> Operation[Any]:
    return operations.fail([Failed(job.id, job.lease, "cancel")], now=NOON)


def by_rescuing(job: ClaimedJob) -> Operation[Any]:
    return operations.rescue(max_rescues=0, now=NOON + timedelta(hours=1))


EVERY_END = [by_completing, by_discarding, by_cancelling, by_rescuing]


def children(parent: int) -> Plan[list[Handle[Any]]]:
    """One that is cancelled when *parent* fails, and one that runs anyway."""
    jobs = [a_job().after(parent), a_job().after(parent, on_failure="run")]
    return operations.enqueue(jobs, now=NOON)


def after(ended: End) -> list[str]:
    return ["available" if ended is by_completing else "cancelled", "available"]


@pytest.mark.parametrize("ends", EVERY_END)
async def test_a_parent_that_ends_sees_a_child_that_was_being_added(
    store: Store, racer: Racers, ends: End
) -> None:
    parent = store.running()
    user, worker = await racer(), await racer()
    handles = await user.carry(children(parent.id))
    ending = await worker.starts(worker.do(ends(parent)), behind=user)
    await user.commit()
    await ending
    await worker.commit()

    assert store.states(*handles) == after(ends)


@pytest.mark.parametrize("ends", EVERY_END)
async def test_a_parent_ends_when_the_child_is_rolled_back(
    store: Store, racer: Racers, ends: End
) -> None:
    parent = store.running()
    user, worker = await racer(), await racer()
    handles = await user.carry(children(parent.id))
    ending = await worker.starts(worker.do(ends(parent)), behind=user)
    await user.rollback()
    await ending
    await worker.commit()

    assert store.missing(*handles)
    assert store.job(parent).finished


@pytest.mark.parametrize("ends", EVERY_END)
async def test_a_child_sees_a_parent_that_was_ending(
    store: Store, racer: Racers, ends: End
) -> None:
    parent = store.running()
    user, worker = await racer(), await racer()
    await worker.do(ends(parent))
    adding = await user.starts(user.carry(children(parent.id)), behind=worker)
    await worker.commit()
    handles = await adding
    await user.commit()

    assert store.states(*handles) == after(ends)


@pytest.mark.parametrize("ends", EVERY_END)
async def test_a_child_waits_when_its_parents_end_is_rolled_back(
    store: Store, racer: Racers, ends: End
) -> None:
    parent = store.running()
    user, worker = await racer(), await racer()
    await worker.do(ends(parent))
    adding = await user.starts(user.carry(children(parent.id)), behind=worker)
    await worker.rollback()
    handles = await adding
    await user.commit()

    assert store.states(*handles) == ["blocked", "blocked"]
    store.complete(parent)
    assert store.states(*handles) == ["available", "available"]


async def test_a_waiting_parent_that_is_cancelled_sees_a_child_that_was_being_added(
    store: Store, racer: Racers
) -> None:
    parent = store.add()
    user, admin = await racer(), await racer()
    handles = await user.carry(children(parent))
    cancelling = await admin.starts(admin.do(operations.cancel([parent], now=NOON)), behind=user)
    await user.commit()
    await cancelling
    await admin.commit()

    assert store.states(*handles) == ["cancelled", "available"]


async def test_a_child_of_a_job_that_is_not_committed_has_an_unknown_parent(
    store: Store, racer: Racers
) -> None:
    first, second = await racer(), await racer()
    [parent] = await first.carry(operations.enqueue([a_job()], now=NOON))

    with pytest.raises(UnknownParent):
        await second.carry(children(parent.id))

    await first.commit()
    handles = await second.carry(children(parent.id))
    await second.commit()
    assert store.states(*handles) == ["blocked", "blocked"]


async def test_a_finished_parent_cannot_be_retried_while_a_child_is_added(
    store: Store, racer: Racers
) -> None:
    parent = store.running()
    store.complete(parent)
    user, admin = await racer(), await racer()
    handles = await user.carry(children(parent.id))
    retrying = await admin.starts(admin.do(operations.retry([parent.id], now=NOON)), behind=user)
    await user.commit()
    assert await retrying == {parent.id: "available"}
    await admin.commit()

    assert store.states(*handles) == ["available", "available"]


async def test_a_child_waits_for_a_parent_that_was_being_retried(
    store: Store, racer: Racers
) -> None:
    parent = store.running()
    store.discard(parent)
    user, admin = await racer(), await racer()
    await admin.do(operations.retry([parent.id], now=NOON))
    adding = await user.starts(user.carry(children(parent.id)), behind=admin)
    await admin.commit()
    handles = await adding
    await user.commit()

    assert store.states(*handles) == ["blocked", "blocked"]
    store.complete(store.take())
    assert store.states(*handles) == ["available", "available"]


async def test_a_holder_that_is_gone_before_its_child_is_linked_counts_as_completed(
    store: Store, racer: Racers
) -> None:
    store.keep = frozenset()
    holder = store.running(a_job(unique="k"))
    user = await racer()
    parent = a_job(unique="k")
    plan = operations.enqueue([parent, a_job().after(parent)], now=NOON)
    answer = await user.do(next(plan))
    store.complete(holder)

    _, child = await user.carry(_resume(plan, answer))
    await user.commit()

    assert store.states(child) == ["available"]


def _resume(plan: Plan[list[Handle[Any]]], answer: object) -> Plan[list[Handle[Any]]]:
    """*plan*, of which the first operation was answered elsewhere."""
    try:
        operation = plan.send(answer)
        while True:
            operation = plan.send((yield operation))
    except StopIteration as stop:
        handles: list[Handle[Any]] = stop.value
        return handles


# Two parents, two completions


async def test_the_last_two_parents_finish_at_once(store: Store, racer: Racers) -> None:
    store.enqueue(a_job(), a_job())
    one, two = store.claim()
    child = store.add(a_job().after(one.id, two.id))
    first, second = await racer(), await racer()
    await first.do(by_completing(one))
    completing = await second.starts(second.do(by_completing(two)), behind=first)
    await first.commit()
    await completing
    await second.commit()

    assert store.states(child) == ["available"]


async def test_the_other_parent_is_still_counted_when_the_first_is_rolled_back(
    store: Store, racer: Racers
) -> None:
    store.enqueue(a_job(), a_job())
    one, two = store.claim()
    child = store.add(a_job().after(one.id, two.id))
    first, second = await racer(), await racer()
    await first.do(by_completing(one))
    completing = await second.starts(second.do(by_completing(two)), behind=first)
    await first.rollback()
    await completing
    await second.commit()

    assert (store.state(child), store.job(child).blocked_by) == ("blocked", 1)
    store.complete(one)
    assert store.states(child) == ["available"]


@pytest.mark.parametrize(
    ("ends_first", "ends_second"),
    [(by_completing, by_discarding), (by_discarding, by_completing)],
)
async def test_a_parent_fails_while_the_other_finishes(
    store: Store, racer: Racers, ends_first: End, ends_second: End
) -> None:
    store.enqueue(a_job(), a_job())
    one, two = store.claim()
    child = store.add(a_job().after(one.id, two.id))
    first, second = await racer(), await racer()
    await first.do(ends_first(one))
    ending = await second.starts(second.do(ends_second(two)), behind=first)
    await first.commit()
    await ending
    await second.commit()

    assert store.states(child) == ["cancelled"]


async def test_shared_children_are_locked_in_one_order(store: Store, racer: Racers) -> None:
    """With the later child held by a third, both must meet at the earlier one."""
    store.enqueue(a_job(), a_job())
    one, two = store.claim()
    early, late = store.enqueue(a_job().after(one.id, two.id), a_job().after(two.id, one.id))
    holder, first, second = await racer(), await racer(), await racer()
    await holder.connection.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [late.id])
    ending = [await first.starts(first.do(by_completing(one)), behind=holder)]
    ending.append(await second.starts(second.do(by_completing(two)), behind=first))
    await holder.commit()
    await ending[0]
    await first.commit()
    await ending[1]
    await second.commit()

    assert store.states(early, late) == ["available", "available"]


async def test_parents_are_locked_in_one_order(store: Store, racer: Racers) -> None:
    store.enqueue(a_job(), a_job())
    one, two = store.claim()
    holder, user, worker = await racer(), await racer(), await racer()
    await holder.connection.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [two.id])
    child = a_job().after(two.id, one.id)
    adding = await user.starts(user.carry(operations.enqueue([child], now=NOON)), behind=holder)
    both = operations.complete([Completed(job.id, job.lease) for job in (two, one)], now=NOON)
    completing = await worker.starts(worker.do(both), behind=user)
    await holder.commit()
    [handle] = await adding
    await user.commit()
    await completing
    await worker.commit()

    assert store.states(handle) == ["available"]


# What a worker sees


async def test_a_worker_is_told_that_a_user_is_in_the_way(
    store: Store, backend: PostgresBackend, racer: Racers
) -> None:
    parent = store.running()
    user = await racer()
    handles = await user.carry(children(parent.id))
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    try:
        with pytest.raises(StoreBusy):
            await worker_connection.execute(by_completing(parent))
        assert store.state(parent) == "running"
        await user.commit()

        assert await worker_connection.execute(by_completing(parent)) == {
            (parent.id, parent.lease): True
        }
    finally:
        await worker_connection.close()
    assert store.states(*handles) == ["available", "available"]


# Everything at once


async def test_a_storm_strands_nobody(store: Store, backend: PostgresBackend) -> None:
    """Users add children to whatever there is while workers end it, well or not."""
    store.now = None
    known = [store.add() for _ in range(4)]
    storming = True

    async def user(n: int) -> None:
        for turn in range(25):
            parents = known[-(1 + (turn + n) % 5) :]
            child = a_job().after(*parents, on_failure="run" if turn % 3 else "cancel")
            plan = operations.enqueue([child, a_job().after(child)])
            async with backend.transaction_async() as executor:
                handles = await carry_out_async(plan, executor.execute)
            known.extend(handle.id for handle in handles)

    async def worker(n: int) -> None:
        member = await backend.execute_async(operations.join(PROFILE))
        worker, lease = member
        while storming:
            lease += 1
            for job in await backend.execute_async(operations.claim("default", worker, lease, 3)):
                end = by_discarding if (n + job.id) % 7 == 0 else by_completing
                await backend.execute_async(end(job))

    workers = asyncio.gather(*(worker(n) for n in range(3)))
    await asyncio.gather(*(user(n) for n in range(3)))
    storming = False
    await workers
    await backend.close_async()
    store.work()

    assert all(job.finished for job in store.jobs(*known))
