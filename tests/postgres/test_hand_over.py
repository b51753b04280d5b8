"""A job ends and the next one of its key is claimed, in one transaction and without a lock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations, count
from typing import Any

import pytest
from psycopg import AsyncRawCursor

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import KeyLimits, Limits, Rate
from pgqueue.operations import ClaimedJob, Completed, Operation
from pgqueue.statements.files import load
from pgqueue.statements.sql import Step
from pgqueue.testing.conformance import Store, a_job, ids
from tests.postgres.conftest import Racers
from tests.postgres.racer import Racer

LEASES = count(7_000_000)
ORDERED = Limits(ordered=True)
HAND_OVER = load("postgres")["hand_over"].steps
TURN = load("postgres")["claim_in_turn"].steps


def handing_over(
    store: Store, *jobs: ClaimedJob, limit: int = 100, lease: int | None = None, queue: str = "api"
) -> Operation[Any]:
    ends = operations.complete([Completed(job.id, lease or job.lease) for job in jobs])
    return operations.hand_over(ends, queue, store.worker, next(LEASES), limit)


def ordered(store: Store, keys: str, each: int = 3) -> list[ClaimedJob]:
    """One job of each key runs, the others wait."""
    store.do(operations.declare_limits("api", ORDERED))
    store.enqueue(
        *(a_job(queue="api", key=key.strip() or None) for key in keys for _ in range(each))
    )
    return store.turn(queue="api").jobs


def test_claims_the_next_job_of_each_key_that_is_free_now(store: Store) -> None:
    a, b, c = sorted(ordered(store, "abc"), key=lambda job: job.key)

    completed, jobs = store.do(handing_over(store, a, c))

    assert completed.keys() == {(a.id, a.lease), (c.id, c.lease)}
    assert sorted(job.key for job in jobs) == ["a", "c"]
    assert sorted(ids(jobs)) == [a.id + 1, c.id + 1]
    assert {job.lease for job in jobs} == {jobs[0].lease}
    assert {job.id for job in store.listing(state=State.RUNNING)} == {b.id, *ids(jobs)}


def test_jobs_without_a_key_are_one_line(store: Store) -> None:
    [job] = ordered(store, " ")

    _, jobs = store.do(handing_over(store, job))

    assert ids(jobs) == [job.id + 1]


def test_takes_the_most_urgent_one(store: Store) -> None:
    [job] = ordered(store, "a")
    [urgent] = store.enqueue(a_job(queue="api", key="a", priority=-1))

    _, jobs = store.do(handing_over(store, job))

    assert ids(jobs) == [urgent.id]


def test_takes_no_more_than_there_is_room_for(store: Store) -> None:
    running = ordered(store, "abc")

    _, jobs = store.do(handing_over(store, *running, limit=2))

    assert len(jobs) == 2


def test_a_line_that_has_ended_has_no_next(store: Store) -> None:
    [job] = ordered(store, "a", each=1)

    completed, jobs = store.do(handing_over(store, job))

    assert jobs == []
    assert completed


def test_a_lease_that_was_lost_hands_nothing_over(store: Store) -> None:
    [job] = ordered(store, "a")

    completed, jobs = store.do(handing_over(store, job, lease=next(LEASES)))

    assert (completed, jobs) == ({}, [])
    assert store.state(job.id) == State.RUNNING


def test_jobs_of_another_queue_free_no_key_here(store: Store) -> None:
    ordered(store, "a")
    store.do(operations.declare_limits("other", ORDERED))
    store.enqueue(a_job(queue="other", key="a"))
    [elsewhere] = store.turn(queue="other").jobs

    _, jobs = store.do(handing_over(store, elsewhere))

    assert jobs == []


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(key_concurrency=1),
        Limits(ordered=True, concurrency=5),
        Limits(ordered=True, rate=Rate(100, 60)),
        Limits(ordered=True, key_rate=Rate(100, 60)),
    ],
    ids=str,
)
def test_a_queue_with_other_limits_is_left_to_a_claim_in_turn(store: Store, limits: Limits) -> None:
    [job] = ordered(store, "a")
    store.do(operations.declare_limits("api", limits))

    completed, jobs = store.do(handing_over(store, job))

    assert jobs is None
    assert completed


def test_so_is_one_whose_keys_differ_and_one_that_is_paused(store: Store) -> None:
    first, second = ordered(store, "ab")
    store.do(operations.limit_key("api", "b", KeyLimits(weight=2)))
    assert store.do(handing_over(store, first))[1] is None

    store.do(operations.limit_key("api", "b", None))
    store.pause("api")
    assert store.do(handing_over(store, second))[1] is None


def test_jobs_that_began_before_there_was_an_order_all_end_first(store: Store) -> None:
    store.do(operations.declare_limits("api", Limits(key_concurrency=2)))
    store.enqueue(*(a_job(queue="api", key="a") for _ in range(4)))
    first, second = store.turn(queue="api").jobs
    store.do(operations.declare_limits("api", ORDERED))

    assert store.do(handing_over(store, first))[1] == []
    assert ids(store.do(handing_over(store, second))[1]) == [second.id + 1]


async def test_passes_over_a_row_that_somebody_holds(
    backend: PostgresBackend, store: Store, racer: Racers
) -> None:
    """It neither waits for that job nor lets another one overtake it."""
    [job] = ordered(store, "a")
    holder = await racer()
    await holder.connection.execute(
        "SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [job.id + 1]
    )

    assert store.do(handing_over(store, job))[1] == []

    await holder.rollback()
    assert ids(store.turn(queue="api").jobs) == [job.id + 1]


# Two sessions, a part at a time

COMMIT = None
Part = Sequence[Step | None]
RIGHT: Sequence[Part] = [HAND_OVER[:3], HAND_OVER[3:], [COMMIT]]
CLAIM: Sequence[Part] = [TURN[:1], TURN[1:], [COMMIT]]


class Session:
    """An operation that is carried out part by part on a connection of its own."""

    def __init__(self, racer: Racer, operation: Operation[Any], parts: Sequence[Part]) -> None:
        self._racer = racer
        self._params = operation.params
        self._cursor = AsyncRawCursor(racer.connection)
        self._parts = iter(parts)

    async def goes_on(self) -> None:
        for step in next(self._parts):
            if step is COMMIT:
                await self._racer.commit()
            else:
                await self._cursor.execute(step.text, step.bind(self._params))


async def interleaved(
    store: Store, racer: Racers, parts: Sequence[Part], *, other: Sequence[Part], began: int = 1
) -> dict[str, int]:
    """How many jobs of one key run in the end, by the order in which two sessions went on.

    One ends a job of this key. The other ends one, too, if two of them *began*; else it claims. At
    each boundary somebody enqueues a job that is more urgent than all others.
    """
    store.now = None
    racers = [await racer() for _ in "ab"]
    ran: dict[str, int] = {}
    for n, places in enumerate(combinations(range(len(parts) + len(other)), len(parts))):
        queue = f"q{n}"
        store.do(operations.declare_limits(queue, Limits(key_concurrency=began)))
        store.enqueue(*(a_job(queue=queue, key="k") for _ in range(4)))
        first, *more = store.turn(queue=queue).jobs
        store.do(operations.declare_limits(queue, ORDERED))
        theirs: Operation[Any] = (
            handing_over(store, *more, queue=queue)
            if more
            else operations.claim_in_turn(queue, store.worker, next(LEASES), 100)
        )
        ours = Session(racers[0], handing_over(store, first, queue=queue), parts)
        others = Session(racers[1], theirs, other)
        order = "".join("a" if at in places else "b" for at in range(len(parts) + len(other)))
        for at, name in enumerate(order):
            await (ours if name == "a" else others).goes_on()
            store.enqueue(a_job(queue=queue, key="k", priority=-1 - at))
        ran[order] = len(store.listing(queue=queue, state=State.RUNNING))
    return ran


@pytest.mark.timeout(180)
async def test_whichever_statement_of_a_claim_comes_between_the_next_one_runs_alone(
    store: Store, racer: Racers
) -> None:
    ran = await interleaved(store, racer, RIGHT, other=CLAIM)

    assert len(ran) == 20
    assert set(ran.values()) == {1}


@pytest.mark.timeout(180)
async def test_of_two_ends_of_one_key_no_more_than_one_hands_over(
    store: Store, racer: Racers
) -> None:
    """Both ran when the queue got its order. If neither sees that it is the last one, the next
    claim in turn does."""
    ran = await interleaved(store, racer, RIGHT, other=RIGHT, began=2)

    assert len(ran) == 20
    assert set(ran.values()) == {0, 1}


@pytest.mark.timeout(180)
async def test_an_order_shows_what_two_transactions_would_do(store: Store, racer: Racers) -> None:
    """Between them the key is free, and another worker's claim has its lock."""
    beyond = re.sub(r"('pgqueue_local.left', .*), true\)", r"\1, false)", HAND_OVER[0].sql)
    assert beyond != HAND_OVER[0].sql
    ends = [Step(beyond, HAND_OVER[0].params), *HAND_OVER[1:3], COMMIT]

    ran = await interleaved(store, racer, [ends, HAND_OVER[3:], [COMMIT]], other=CLAIM)

    assert max(ran.values()) == 2
