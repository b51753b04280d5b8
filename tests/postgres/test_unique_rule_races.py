"""Keys with rules, two sessions, and every isolation that the application's may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

from pgqueue import operations
from pgqueue.jobs.job import Handle, NewJob
from pgqueue.jobs.unique import Unique
from pgqueue.operations import Completed, Plan
from pgqueue.testing.conformance import NOON, Store, a_job
from tests.postgres.conftest import Racers
from tests.postgres.racer import Racer

STARTED = Unique(key="k", until="started")
REPLACE = Unique(key="k", until="started", conflict="replace")
HOURLY = Unique(key="k", until=3600)
LEVELS = [
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
]
every_level = pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)


def ruled(rule: Unique = STARTED, task: str = "task") -> NewJob[Any]:
    return a_job(task).options(unique=rule)


def asks(rule: Unique = STARTED, task: str = "task") -> Plan[list[Handle[Any]]]:
    return operations.enqueue([ruled(rule, task)], now=NOON)


async def begun(racer: Racer) -> Racer:
    """Its snapshot is taken, if it has one for the whole transaction."""
    await racer.connection.execute("SELECT FROM pgqueue.job")
    return racer


async def told(level: IsolationLevel, asking: Any, again: Callable[[], Any], user: Racer) -> Any:
    """What *asking* is answered, in a strict isolation at its second try."""
    if level == IsolationLevel.READ_COMMITTED:
        [handle] = await asking
    else:
        with pytest.raises(psycopg.errors.SerializationFailure):
            await asking
        await user.rollback()
        [handle] = await user.carry(again())
    await user.commit()
    return handle


@every_level
@pytest.mark.parametrize("rule", [STARTED, REPLACE, HOURLY], ids=["started", "replace", "hourly"])
@pytest.mark.parametrize("running", [False, True], ids=["free", "running"])
async def test_of_two_the_second_waits_and_meets_the_first(
    store: Store, racer: Racers, level: IsolationLevel, rule: Unique, running: bool
) -> None:
    if running:
        store.running(ruled())
    first, second = await racer(level), await begun(await racer(level))
    [made] = await first.carry(asks(rule, "first"))
    asking = await second.starts(second.carry(asks(rule, "second")), behind=first)
    await first.commit()
    met = await told(level, asking, lambda: asks(rule, "second"), second)

    expected = "replaced" if rule is REPLACE else "existing"
    assert made.outcome == ("next" if running and rule is not HOURLY else "created")
    assert (met.id, met.outcome) == (made.id, expected)
    assert store.job(made).task == ("second" if rule is REPLACE else "first")


@every_level
@pytest.mark.parametrize("rule", [STARTED, HOURLY], ids=["started", "hourly"])
async def test_the_second_has_the_key_when_the_first_is_rolled_back(
    store: Store, racer: Racers, level: IsolationLevel, rule: Unique
) -> None:
    first, second = await racer(level), await begun(await racer(level))
    [lost] = await first.carry(asks(rule))
    asking = await second.starts(second.carry(asks(rule)), behind=first)
    await first.rollback()
    [made] = await asking
    await second.commit()

    assert made.outcome == "created"
    assert store.missing(lost)


@every_level
@pytest.mark.parametrize("rule", [STARTED, REPLACE], ids=["started", "replace"])
async def test_a_run_begins_after_all_that_was_said_of_it(
    store: Store, racer: Racers, level: IsolationLevel, rule: Unique
) -> None:
    holder = store.add(ruled())
    user = await racer(level)
    await user.carry(asks(rule, "new"))
    assert store.claim() == []
    await user.commit()

    [job] = store.claim()
    assert (job.id, job.task) == (holder, "new" if rule is REPLACE else "task")


@every_level
async def test_who_asks_while_the_job_is_claimed_waits_behind_it(
    store: Store, racer: Racers, level: IsolationLevel
) -> None:
    holder = store.add(ruled())
    worker, user = await racer(), await begun(await racer(level))
    [job] = await worker.do(operations.claim("default", store.worker, 7, 1, now=NOON))
    asking = await user.starts(user.carry(asks()), behind=worker)
    await worker.commit()
    met = await told(level, asking, asks, user)

    assert job.id == holder
    assert met.outcome == "next"
    assert list(store.outcomes(met)) == [(met.id, holder)]


@every_level
async def test_who_asks_while_the_job_ends_has_the_key(
    store: Store, racer: Racers, level: IsolationLevel
) -> None:
    job = store.running(ruled())
    worker, user = await racer(), await begun(await racer(level))
    await worker.do(operations.complete([Completed(job.id, job.lease)], now=NOON))
    asking = await user.starts(user.carry(asks()), behind=worker)
    await worker.commit()
    met = await told(level, asking, asks, user)

    assert met.outcome == "created"
    assert store.take().id == met.id


@every_level
@pytest.mark.parametrize("running", [False, True], ids=["waiting", "running"])
async def test_an_old_snapshot_does_not_see_the_second_place_and_cannot_take_the_first(
    store: Store, racer: Racers, level: IsolationLevel, running: bool
) -> None:
    user = await begun(await racer(level))
    first = store.running(ruled())
    [behind] = store.enqueue(ruled())
    store.complete(first)
    if running:
        assert store.take().id == behind.id
    met = await told(level, user.carry(asks()), asks, user)

    assert met.outcome == ("next" if running else "existing")
    assert (met.id == behind.id) is not running


async def test_a_finished_job_does_not_come_back_beside_the_one_in_the_second_place(
    store: Store, racer: Racers
) -> None:
    first = store.running(ruled())
    user, admin = await racer(), await racer()
    [behind] = await user.carry(asks())
    await user.commit()
    store.complete(first)

    assert await admin.do(operations.retry([first.id], now=NOON)) == {first.id: "held"}
    await admin.commit()
    assert store.states(first, behind) == ["completed", "available"]


async def test_two_calls_with_the_same_times_cannot_wait_for_each_other(
    store: Store, racer: Racers
) -> None:
    """With the last key held by a third, both must meet at the first one."""

    def hourly(*keys: str) -> Plan[list[Handle[Any]]]:
        return operations.enqueue([ruled(Unique(key=key, until=3600)) for key in keys], now=NOON)

    holder, first, second = await racer(), await racer(), await racer()
    await holder.carry(hourly("z"))
    enqueueing = [await first.starts(first.carry(hourly("z", "m", "a")), behind=holder)]
    enqueueing.append(await second.starts(second.carry(hourly("a", "z", "m")), behind=first))
    await holder.commit()
    assert [handle.created for handle in await enqueueing[0]] == [False, True, True]
    await first.commit()
    assert [handle.created for handle in await enqueueing[1]] == [False, False, False]
    await second.commit()

    assert len(store.listing()) == 3
