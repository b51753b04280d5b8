"""Two at the same rows: the second is seen to wait, then it is resolved, in both orders."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.postgres.worker_connection import SESSION_SETTINGS
from pgqueue.errors import StoreBusy
from pgqueue.jobs.job import State
from pgqueue.operations import Completed, Failed, Leadership, Released, Rescue
from pgqueue.testing.conformance import NOON, PROFILE, Store, a_job, ids
from tests.postgres.conftest import Racers


def completes(*jobs: operations.ClaimedJob) -> operations.Operation[Any]:
    return operations.complete([Completed(job.id, job.lease) for job in jobs], now=NOON)


def fails(job: operations.ClaimedJob) -> operations.Operation[dict[tuple[int, int], State]]:
    return operations.fail([Failed(job.id, job.lease, "retry")], now=NOON)


def rescues() -> operations.Operation[Rescue]:
    return operations.rescue(now=NOON + timedelta(minutes=2))


# Claim


async def test_a_second_claim_takes_what_the_first_left(store: Store, racer: Racers) -> None:
    handles = store.enqueue(*(a_job() for _ in range(4)))
    first, second = await racer(), await racer()

    taken = await first.do(operations.claim("default", store.worker, 1, 2, now=NOON))
    others = await second.do(operations.claim("default", store.worker, 2, 4, now=NOON))
    await second.commit()
    await first.rollback()

    assert [job.id for job in taken] == [handle.id for handle in handles[:2]]
    assert [job.id for job in others] == [handle.id for handle in handles[2:]]
    assert ids(store.claim()) == [handle.id for handle in handles[:2]]


async def test_claim_passes_over_what_is_being_cancelled(store: Store, racer: Racers) -> None:
    id = store.add()
    canceller = await racer()
    await canceller.do(operations.cancel([id], now=NOON))

    assert store.claim() == []
    await canceller.rollback()
    assert ids(store.claim()) == [id]


async def test_cancel_waits_for_a_claim_and_tells_its_worker(store: Store, racer: Racers) -> None:
    id = store.add()
    claimer, canceller = await racer(), await racer()
    await claimer.do(operations.claim("default", store.worker, 1, 1, now=NOON))
    cancelling = await canceller.starts(canceller.do(operations.cancel([id])), behind=claimer)
    await claimer.commit()

    assert await cancelling == {id: State.RUNNING}
    await canceller.commit()
    assert store.job(id).cancel_requested


async def test_a_job_that_gets_a_child_can_be_claimed_and_can_fail(
    store: Store, racer: Racers
) -> None:
    parent = store.add()
    user = await racer()
    await user.carry(operations.enqueue([a_job().after(parent)], now=NOON))

    job = store.take()
    assert job.id == parent
    assert store.fail(job) == {parent: State.AVAILABLE}
    await user.commit()


async def test_a_floor_hides_a_job_whose_transaction_commits_late(
    store: Store, racer: Racers
) -> None:
    user = await racer()
    [late] = await user.carry(operations.enqueue([a_job("late")], now=NOON))
    early = store.running(a_job("early"))
    await user.commit()

    assert store.claim(floors=[operations.Floor(0, early.position)]) == []
    assert ids(store.claim()) == [late.id]


async def test_two_promoters_promote_each_job_once(store: Store, racer: Racers) -> None:
    store.enqueue(*(a_job(run_at=NOON + timedelta(seconds=1)) for _ in range(5)))
    later = NOON + timedelta(minutes=1)
    first, second = await racer(), await racer()

    assert (await first.do(operations.promote(2, now=later))).queues == {"default": 2}
    assert (await second.do(operations.promote(9, now=later))).queues == {"default": 3}
    await first.commit()
    await second.commit()
    assert len(store.claim()) == 5


# The worker and its rescuer, or whoever cancels


@pytest.mark.parametrize(
    ("ends", "state", "attempt"),
    [("complete", "completed", 1), ("fail", "available", 1), ("release", "available", 0)],
)
async def test_rescue_leaves_alone_what_its_worker_is_just_handing_over(
    store: Store, racer: Racers, ends: str, state: str, attempt: int
) -> None:
    job = store.running()
    by_verb: dict[str, operations.Operation[Any]] = {
        "complete": completes(job),
        "fail": fails(job),
        "release": operations.release([Released(job.id, job.lease)], now=NOON),
    }
    worker, rescuer = await racer(), await racer()
    await worker.do(by_verb[ends])

    assert (await rescuer.do(rescues())).jobs == []
    await rescuer.commit()
    await worker.commit()
    assert store.rescue(silent={}).jobs == []
    left = store.job(job)
    assert (left.state, left.attempt, left.rescues) == (state, attempt, 0)


async def test_a_completion_comes_too_late_behind_a_rescue(store: Store, racer: Racers) -> None:
    job = store.running()
    worker, rescuer = await racer(), await racer()
    assert [saved.id for saved in (await rescuer.do(rescues())).jobs] == [job.id]
    completing = await worker.starts(worker.do(completes(job)), behind=rescuer)
    await rescuer.commit()

    assert await completing == {}
    await worker.commit()
    assert store.state(job) == State.AVAILABLE


async def test_a_completion_wins_when_the_rescue_is_rolled_back(
    store: Store, racer: Racers
) -> None:
    job = store.running()
    worker, rescuer = await racer(), await racer()
    await rescuer.do(rescues())
    completing = await worker.starts(worker.do(completes(job)), behind=rescuer)
    await rescuer.rollback()

    assert await completing == {(job.id, job.lease): True}
    await worker.commit()
    assert store.state(job) == State.COMPLETED


async def test_a_heartbeat_during_the_rescue_passes_over_its_row_and_the_next_brings_it_back(
    store: Store, racer: Racers
) -> None:
    job = store.running()
    worker, rescuer = await racer(), await racer()
    await rescuer.do(rescues())
    beat = operations.heartbeat(store.worker, [(job.id, job.lease)], PROFILE, now=NOON)
    assert (await worker.do(beat)).keys() == {(job.id, job.lease)}  # as far as it can be seen
    await worker.commit()
    await rescuer.commit()
    assert store.worker not in store.workers()

    assert await worker.do(beat) == {}
    await worker.commit()
    assert store.worker in store.workers()
    assert store.state(job) == State.AVAILABLE


async def test_a_rescue_spares_a_worker_that_speaks_at_this_moment(
    store: Store, racer: Racers
) -> None:
    job = store.running()
    worker, rescuer = await racer(), await racer()
    now = NOON + timedelta(minutes=2)
    await worker.do(operations.heartbeat(store.worker, [], PROFILE, now=now))

    assert await rescuer.do(rescues()) == Rescue([], 1)
    await rescuer.commit()
    await worker.commit()
    assert store.complete(job) == {job.id}


def beat_of(store: Store, worker: int) -> dict[int, str]:
    seen = store.do(operations.watch())
    return {each.worker: each.beat for each in seen if each.worker == worker}


async def test_rescue_passes_over_a_job_that_somebody_holds_and_takes_it_later(
    store: Store, racer: Racers
) -> None:
    dead = store.join().worker
    store.enqueue(*(a_job() for _ in range(10)))
    *others, held = store.claim(by=dead)
    holder = await racer()
    await holder.do(operations.cancel([held.id], now=NOON))

    rescued = store.rescue(silent=beat_of(store, dead))

    assert sorted(job.id for job in rescued.jobs) == sorted(ids(others))
    assert (rescued.workers, dead in store.workers()) == (2, True)
    assert len(store.claim()) == 9
    assert store.rescue(silent={}) == Rescue([], 2)
    await holder.rollback()
    assert [job.id for job in store.rescue(silent={}).jobs] == [held.id]
    assert dead not in store.workers()


async def test_rescue_passes_over_a_worker_whose_row_somebody_holds(
    store: Store, racer: Racers
) -> None:
    held, other = store.join().worker, store.join().worker
    store.enqueue(a_job(), a_job())
    [kept] = store.claim(1, by=held)
    [free] = store.claim(1, by=other)
    silent = beat_of(store, held) | beat_of(store, other)
    holder = await racer()
    row = "SELECT FROM pgqueue.worker WHERE id = %s FOR UPDATE"
    await holder.connection.execute(row, [held])

    assert [job.id for job in store.rescue(silent=silent).jobs] == [free.id]
    await holder.rollback()
    assert [job.id for job in store.rescue(silent=silent).jobs] == [kept.id]


async def test_a_worker_that_speaks_again_after_some_of_its_jobs_were_taken_keeps_the_others(
    store: Store, racer: Racers
) -> None:
    late = store.join().worker
    store.enqueue(a_job(), a_job())
    taken, kept = store.claim(by=late)
    holder = await racer()
    await holder.do(operations.cancel([kept.id], now=NOON))
    store.rescue(silent=beat_of(store, late))
    store.passes(seconds=1)
    store.do(operations.alive(late, 2, PROFILE, now=store.now))
    await holder.rollback()

    assert store.rescue(silent={}).jobs == []
    assert set(store.heartbeat(taken, kept, by=late)) == {kept.id}


async def test_a_job_that_ends_may_wait_for_its_child_but_no_other_job_waits_for_it(
    store: Store, racer: Racers
) -> None:
    dead = store.join().worker
    store.enqueue(a_job(), a_job())
    ending, free = store.claim(by=dead)
    store.cancel(ending)
    child = store.add(a_job().after(ending.id))
    holder = await racer()
    await holder.connection.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [child])
    silent = beat_of(store, dead)

    with pytest.raises(StoreBusy):
        store.rescue(silent=silent)
    assert [job.id for job in store.rescue(silent=silent, ends=0).jobs] == [free.id]
    await holder.rollback()

    assert [job.id for job in store.rescue(silent={}, ends=1).jobs] == [ending.id]
    assert store.states(ending, child) == ["cancelled", "cancelled"]


async def test_a_sign_of_life_does_not_wait_behind_a_locked_job_table(
    store: Store, racer: Racers
) -> None:
    locker, worker = await racer(), await racer()
    await locker.connection.execute("LOCK pgqueue.job IN ACCESS EXCLUSIVE MODE")
    now = NOON + timedelta(minutes=1)

    await worker.do(operations.alive(store.worker, 1, PROFILE, now=now))
    await worker.commit()

    assert store.workers()[store.worker].heartbeat_at == now


async def test_a_worker_that_enters_during_a_rescue_is_left_alone(
    store: Store, racer: Racers
) -> None:
    entering, rescuer = await racer(), await racer()
    store.passes(minutes=2)
    store.heartbeat()
    member = await entering.do(operations.join(PROFILE, now=store.now))
    assert (await rescuer.do(rescues())).jobs == []
    await entering.commit()
    await rescuer.commit()

    assert set(store.workers()) == {store.worker, member.worker}


def test_a_session_in_another_database_is_nobodys_life_here(store: Store, empty_url: str) -> None:
    other = store.join().worker
    with psycopg.connect(empty_url) as connection:
        present = "SELECT pg_advisory_lock(hashtext('pgqueue'), %s)"
        connection.execute(present, [store.worker])
        store.elect(store.worker, term=3600)
        store.has_session(store.worker)
        store.rescue()
        store.passes(seconds=1)

        assert store.elect(other).elected
        assert store.rescue().workers == 1
        assert list(store.workers()) == [other]


def started_at(backend: PostgresBackend) -> datetime:
    with psycopg.connect(backend.url) as connection:
        [(started,)] = connection.execute("SELECT pg_postmaster_start_time()").fetchall()
    assert isinstance(started, datetime)
    return started


def forget_server(backend: PostgresBackend) -> None:
    """The last sign of life came under an earlier run of the server."""
    with psycopg.connect(backend.url) as connection:
        earlier = """UPDATE pgqueue.worker SET info = info || '{"server": "1"}'"""
        connection.execute(earlier)


def test_after_a_restart_of_the_server_all_may_come_back(
    store: Store, backend: PostgresBackend
) -> None:
    """All sessions are lost, and nobody has died."""
    started = started_at(backend)
    store.now = started + timedelta(seconds=9)
    store.has_session(store.worker)
    forget_server(backend)
    store.rescue()
    assert store.workers()[store.worker].suspected_at is None

    store.passes(seconds=2)
    store.rescue()
    assert store.workers()[store.worker].suspected_at == store.now


@pytest.mark.parametrize("clock", ["right", "set back since"])
def test_who_has_spoken_since_the_servers_start_is_dead_like_any_other(
    store: Store, backend: PostgresBackend, clock: str
) -> None:
    store.now = started_at(backend) + timedelta(seconds=5 if clock == "right" else -3600)
    dead = store.join().worker
    job = store.running(by=dead)
    store.has_session(dead)

    assert store.rescue(silent={}).jobs == []
    store.passes(seconds=0.9)
    assert store.rescue(silent={}).jobs == []
    store.passes(seconds=0.1)
    assert [saved.id for saved in store.rescue(silent={}).jobs] == [job.id]


def test_who_spoke_last_before_the_servers_start_may_come_back_whatever_the_clock_said(
    store: Store, backend: PostgresBackend
) -> None:
    """The clock was ahead by an hour until the server was started anew."""
    worker = store.join().worker
    job = store.running(by=worker)
    store.now = started_at(backend) + timedelta(hours=1)
    store.has_session(worker)
    forget_server(backend)
    store.now = started_at(backend) + timedelta(seconds=2)
    for _ in range(7):
        assert store.rescue(silent={}).jobs == []
        store.passes(seconds=1)
    store.has_session(worker)

    assert store.complete(job) == {job.id}


async def test_cancel_finds_what_failed_meanwhile_waiting(store: Store, racer: Racers) -> None:
    job = store.running()
    worker, canceller = await racer(), await racer()
    await worker.do(fails(job))
    cancelling = await canceller.starts(
        canceller.do(operations.cancel([job.id], now=NOON)), behind=worker
    )
    await worker.commit()

    assert await cancelling == {job.id: State.CANCELLED}
    await canceller.commit()
    assert store.state(job) == State.CANCELLED


@pytest.mark.parametrize("ends", ["fail", "release"])
async def test_an_attempt_that_ends_while_it_is_cancelled_is_the_last(
    store: Store, racer: Racers, ends: str
) -> None:
    job = store.running()
    worker, canceller = await racer(), await racer()
    told = await canceller.do(operations.cancel([job.id], reason="by hand", now=NOON))
    assert told == {job.id: State.RUNNING}
    release = operations.release([Released(job.id, job.lease)], now=NOON)
    ending = await worker.starts(
        worker.do(fails(job) if ends == "fail" else release), behind=canceller
    )
    await canceller.commit()

    assert await ending == {(job.id, job.lease): State.CANCELLED}
    await worker.commit()
    assert (store.state(job), store.job(job).reason) == (State.CANCELLED, "by hand")


async def test_a_cancel_that_comes_too_late_finds_nothing(store: Store, racer: Racers) -> None:
    job = store.running()
    worker, canceller = await racer(), await racer()
    await worker.do(completes(job))
    cancelling = await canceller.starts(canceller.do(operations.cancel([job.id])), behind=worker)
    await worker.commit()

    assert await cancelling == {}
    await canceller.commit()
    assert store.state(job) == State.COMPLETED


async def test_a_retried_child_sees_a_parent_that_finishes_meanwhile(
    store: Store, racer: Racers
) -> None:
    failing, parent = store.running(), store.running()
    child = store.add(a_job().after(failing.id, parent.id))
    store.discard(failing)
    worker, admin = await racer(), await racer()
    await worker.do(completes(parent))
    retrying = await admin.starts(admin.do(operations.retry([child], now=NOON)), behind=worker)
    await worker.commit()

    assert await retrying == {child: "available"}
    await admin.commit()
    assert store.take().id == child


async def test_a_parent_that_finishes_sees_a_child_that_is_retried_meanwhile(
    store: Store, racer: Racers
) -> None:
    failing, parent = store.running(), store.running()
    child = store.add(a_job().after(failing.id, parent.id))
    store.discard(failing)
    worker, admin = await racer(), await racer()
    assert await admin.do(operations.retry([child], now=NOON)) == {child: "blocked"}
    completing = await worker.starts(worker.do(completes(parent)), behind=admin)
    await admin.commit()

    assert await completing == {(parent.id, parent.lease): True}
    await worker.commit()
    assert store.take().id == child


@pytest.mark.parametrize("verb", ["fail", "release", "complete", "cancel"])
async def test_jobs_are_locked_in_one_order_whatever_the_batchs(
    store: Store, racer: Racers, verb: str
) -> None:
    """With the later job held by a third, both must meet at the earlier one."""
    store.enqueue(a_job(), a_job())
    early, late = store.claim()
    by_verb: dict[str, operations.Operation[Any]] = {
        "fail": operations.fail([Failed(job.id, job.lease, "retry") for job in (early, late)]),
        "release": operations.release([Released(job.id, job.lease) for job in (early, late)]),
        "complete": completes(late, early),
        "cancel": operations.cancel([late.id, early.id]),
    }
    operation = by_verb[verb]
    if verb in ("fail", "release"):
        jobs = json.dumps(json.loads(operation.params["jobs"] or "")[::-1])
        operation = msgspec.structs.replace(operation, params={**operation.params, "jobs": jobs})
    holder, first, second = await racer(), await racer(), await racer()
    await first.connection.execute(f"{SESSION_SETTINGS} SET lock_timeout = '10s'".encode())
    await first.commit()
    lock = "SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE"
    await holder.connection.execute(lock, [late.id])
    both = await first.starts(first.do(operation), behind=holder)
    only = await second.starts(second.connection.execute(lock, [early.id]), behind=first)
    await holder.commit()
    await both
    await first.rollback()
    await only
    await second.rollback()


# Leadership


async def test_of_two_candidates_at_once_one_leads(store: Store, racer: Racers) -> None:
    other = store.join().worker
    term = timedelta(seconds=30)
    first, second = await racer(), await racer()
    vote = await first.do(operations.elect("leader", store.worker, term, now=NOON))
    voting = await second.starts(
        second.do(operations.elect("leader", other, term, now=NOON)), behind=first
    )
    await first.commit()

    assert vote == Leadership(True, store.worker, workers=2)
    assert not (await voting).elected
    await second.commit()
    assert store.elect(other) == Leadership(False, store.worker, workers=2)


async def test_a_candidate_leads_when_the_first_is_rolled_back(store: Store, racer: Racers) -> None:
    other = store.join().worker
    term = timedelta(seconds=30)
    first, second = await racer(), await racer()
    await first.do(operations.elect("leader", store.worker, term, now=NOON))
    voting = await second.starts(
        second.do(operations.elect("leader", other, term, now=NOON)), behind=first
    )
    await first.rollback()

    assert (await voting).elected
    await second.commit()


async def test_a_leader_that_renews_late_is_not_deposed_by_who_waited(
    store: Store, racer: Racers
) -> None:
    other = store.join().worker
    term = timedelta(seconds=30)
    store.elect(store.worker)
    store.passes(minutes=1)
    leader, candidate = await racer(), await racer()
    vote = await leader.do(operations.elect("leader", store.worker, term, now=store.now))
    voting = await candidate.starts(
        candidate.do(operations.elect("leader", other, term, now=store.now)), behind=leader
    )
    await leader.commit()

    assert vote.elected
    assert not (await voting).elected
    await candidate.commit()


async def test_of_two_who_replace_a_dead_leader_one_leads(store: Store, racer: Racers) -> None:
    dead, other = store.join().worker, store.join().worker
    term = timedelta(seconds=30)
    store.elect(dead, term=3600)
    store.has_session(dead)
    first, second = await racer(), await racer()
    vote = await first.do(operations.elect("leader", store.worker, term, now=NOON))
    voting = await second.starts(
        second.do(operations.elect("leader", other, term, now=NOON)), behind=first
    )
    await first.commit()

    assert vote.elected
    assert not (await voting).elected
    await second.commit()
