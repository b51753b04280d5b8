"""One unique key, two transactions."""

from __future__ import annotations

from typing import Any

from pgqueue import operations
from pgqueue.jobs.job import Handle
from pgqueue.operations import Plan
from pgqueue.testing.conformance import NOON, Store, a_job
from tests.postgres.conftest import Racers


def keys(*names: str) -> Plan[list[Handle[Any]]]:
    return operations.enqueue([a_job(unique=name) for name in names], now=NOON)


async def test_the_second_waits_and_is_answered_with_the_first(store: Store, racer: Racers) -> None:
    first, second = await racer(), await racer()
    [created] = await first.carry(keys("k"))
    enqueueing = await second.starts(second.carry(keys("k")), behind=first)
    await first.commit()
    [answered] = await enqueueing
    await second.commit()

    assert (answered.id, answered.created) == (created.id, False)
    assert len(store.listing()) == 1


async def test_the_second_gets_the_key_when_the_first_is_rolled_back(
    store: Store, racer: Racers
) -> None:
    first, second = await racer(), await racer()
    [lost] = await first.carry(keys("k"))
    enqueueing = await second.starts(second.carry(keys("k")), behind=first)
    await first.rollback()
    [created] = await enqueueing
    await second.commit()

    assert created.created
    assert store.missing(lost)
    assert store.job(created).unique_key == "k"


async def test_the_second_gets_the_key_when_its_holder_finishes_meanwhile(
    store: Store, racer: Racers
) -> None:
    job = store.running(a_job(unique="k"))
    worker, user = await racer(), await racer()
    await worker.do(operations.complete([operations.Completed(job.id, job.lease)], now=NOON))
    enqueueing = await user.starts(user.carry(keys("k")), behind=worker)
    await worker.commit()
    [created] = await enqueueing
    await user.commit()

    assert created.created
    assert store.states(job, created) == ["completed", "available"]


async def test_two_calls_with_the_same_keys_cannot_wait_for_each_other(
    store: Store, racer: Racers
) -> None:
    """With the last key held by a third, both must meet at the first one."""
    holder, first, second = await racer(), await racer(), await racer()
    await holder.carry(keys("z"))
    enqueueing = [await first.starts(first.carry(keys("z", "m", "a")), behind=holder)]
    enqueueing.append(await second.starts(second.carry(keys("a", "z", "m")), behind=first))
    await holder.commit()
    assert [handle.created for handle in await enqueueing[0]] == [False, True, True]
    await first.commit()
    assert [handle.created for handle in await enqueueing[1]] == [False, False, False]
    await second.commit()

    assert len(store.listing()) == 3


async def test_a_retry_waits_for_whoever_takes_the_key(store: Store, racer: Racers) -> None:
    old = store.running(a_job(unique="k"))
    store.complete(old)
    user, admin = await racer(), await racer()
    [new] = await user.carry(keys("k"))
    retrying = await admin.starts(admin.do(operations.retry([old.id], now=NOON)), behind=user)
    await user.commit()

    assert await retrying == {old.id: "held"}
    await admin.commit()
    assert store.states(old, new) == ["completed", "available"]


async def test_a_key_is_taken_while_its_old_job_is_retried(store: Store, racer: Racers) -> None:
    old = store.running(a_job(unique="k"))
    store.complete(old)
    user, admin = await racer(), await racer()
    assert await admin.do(operations.retry([old.id], now=NOON)) == {old.id: "available"}
    enqueueing = await user.starts(user.carry(keys("k")), behind=admin)
    await admin.commit()
    [answered] = await enqueueing
    await user.commit()

    assert (answered.id, answered.created) == (old.id, False)
