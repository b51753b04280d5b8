"""expire: after an instant no attempt begins; and jobs that leave no row behind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue.jobs.job import State
from pgqueue.operations import Expired
from pgqueue.testing.conformance.store import NOON, Store, a_job

MINUTE = timedelta(minutes=1)
REASON = "expired: no attempt was to begin after 2030-06-01T12:01:00.000000Z"


def test_a_relative_expiry_counts_from_when_the_job_is_due(store: Store) -> None:
    at_once = store.add(a_job(expires=MINUTE))
    delayed = store.add(a_job(expires=MINUTE, delay=MINUTE))
    at_noon = store.add(a_job(expires=MINUTE, run_at=NOON - MINUTE))
    fixed = store.add(a_job(expires=NOON + timedelta(microseconds=7)))
    never = store.add()

    expiring = [job.expires_at for job in store.jobs(at_once, delayed, at_noon, fixed, never)]

    assert expiring == [
        *(NOON + MINUTE, NOON + 2 * MINUTE, NOON),
        *(NOON + timedelta(microseconds=7), None),
    ]


def test_with_a_unique_key_it_is_kept_too(store: Store) -> None:
    [made, held] = store.enqueue(
        a_job(unique="a", expires=MINUTE, keep=False), a_job(unique="a", expires=2 * MINUTE)
    )

    assert not held.created
    job = store.job(made)
    assert (job.expires_at, job.keep) == (NOON + MINUTE, False)


@pytest.mark.parametrize("state", ["available", "scheduled", "blocked", "retryable"])
def test_what_waits_too_long_is_cancelled(store: Store, state: str) -> None:
    id = store.bring(state, a_job(expires=2 * timedelta(hours=1)))
    expires_at = store.job(id).expires_at
    assert expires_at is not None
    store.passes(hours=4)

    assert store.expire() == Expired(1, None)
    job = store.job(id)
    assert (job.state, job.expires_at, job.cause) == (State.CANCELLED, None, None)
    assert job.reason is not None
    assert job.reason.startswith("expired: no attempt was to begin after 2030-06-01T")
    assert store.expire() == Expired(0, None)


def test_in_a_paused_queue_too(store: Store) -> None:
    store.pause()
    id = store.add(a_job(expires=MINUTE))
    store.passes(minutes=2)

    store.expire()

    assert (store.state(id), store.job(id).reason) == ("cancelled", REASON)


def test_not_before_its_instant_has_passed(store: Store) -> None:
    id = store.add(a_job(expires=MINUTE))
    assert store.expire() == Expired(0, MINUTE)
    store.passes(minutes=1)

    assert store.expire() == Expired(0, timedelta(0))
    assert store.state(id) == "available"


def test_a_running_job_goes_on(store: Store) -> None:
    job = store.running(a_job(expires=MINUTE))
    store.passes(minutes=2)

    assert store.expire() == Expired(0, None)
    assert store.complete(job) == {job.id}


def test_so_many_a_call_the_longest_expired_first(store: Store) -> None:
    late, later, other = store.enqueue(
        a_job(expires=3 * MINUTE), a_job(expires=MINUTE), a_job(expires=2 * MINUTE)
    )
    store.passes(minutes=10)

    assert store.expire(1) == Expired(1, timedelta(0))
    assert store.states(late, later, other) == ["available", "cancelled", "available"]
    assert store.expire(1, skip=1) == Expired(1, timedelta(0))
    assert store.states(late, other) == ["cancelled", "available"]


def test_children_follow_by_their_edges(store: Store) -> None:
    parent = a_job(expires=NOON + MINUTE)
    spoiled, anyway = a_job().after(parent), a_job(queue="b").after(parent, on_failure="run")
    ids = [handle.id for handle in store.enqueue(parent, spoiled, anyway)]
    store.passes(minutes=2)

    store.expire()

    assert store.states(*ids) == ["cancelled", "cancelled", "available"]
    assert store.job(ids[1]).cause == ids[0]


def test_a_claim_says_how_long_its_jobs_may_wait(store: Store) -> None:
    store.enqueue(a_job(expires=MINUTE), a_job())
    store.passes(seconds=90)

    first, second = store.claim()

    assert (first.expires_in, second.expires_in) == (-30.0, None)


def test_an_attempt_that_does_not_begin_is_not_spent(store: Store) -> None:
    job = store.running(a_job(expires=MINUTE))
    store.passes(minutes=2)

    assert store.fail(job, verdict="expire") == {job.id: State.CANCELLED}
    ended = store.job(job)
    assert (ended.attempt, ended.reason) == (0, REASON)


def test_a_retry_that_would_come_too_late_ends_the_job_at_once(store: Store) -> None:
    error = '{"type": "ValueError", "message": "no"}'
    late = store.running(a_job(expires=MINUTE))
    assert store.fail(late, retry_in=2 * MINUTE, error=error) == {late.id: State.CANCELLED}
    ended = store.job(late)
    assert (ended.attempt, ended.reason, len(ended.errors)) == (1, REASON, 1)

    in_time = store.running(a_job(expires=MINUTE))
    assert store.fail(in_time, retry_in=MINUTE) == {in_time.id: State.RETRYABLE}
    assert store.job(in_time).expires_at == NOON + MINUTE


def test_a_job_out_of_attempts_is_discarded_although_it_has_expired(store: Store) -> None:
    job = store.running(a_job(expires=MINUTE, max_attempts=1))
    store.passes(minutes=2)

    assert store.fail(job, retry_in=MINUTE, reason="r") == {job.id: State.DISCARDED}
    assert store.job(job).reason == "r"


def test_a_job_that_is_retried_by_hand_does_not_expire_again(store: Store) -> None:
    id = store.add(a_job(expires=MINUTE))
    store.passes(minutes=2)
    store.expire()

    assert store.retry(id) == {id: "available"}
    assert store.job(id).expires_at is None
    store.passes(minutes=2)
    assert store.expire() == Expired(0, None)


def test_a_job_that_is_not_to_be_kept_leaves_no_row(store: Store) -> None:
    ids = [handle.id for handle in store.enqueue(a_job(keep=False), a_job(), a_job(keep=False))]
    assert [job.keep for job in store.jobs(*ids)] == [False, True, False]

    assert store.complete(*store.claim()) == set(ids)

    assert store.missing(ids[0], ids[2])
    assert store.state(ids[1]) == "completed"
    assert store.add() > max(ids)


def test_unless_a_child_wants_its_result(store: Store) -> None:
    parent = a_job(keep=False)
    first, child = store.enqueue(parent, a_job("child").after(parent))
    store.complete(store.take(), result="7")

    assert store.job(first).result == 7
    store.complete(store.take())
    assert store.state(child) == "completed"


def test_one_that_fails_is_kept(store: Store) -> None:
    id = store.bring("discarded", a_job(keep=False))

    assert store.state(id) == "discarded"


@pytest.mark.parametrize("number", [1, 2])
def test_alone_or_many_alike_that_are_not_to_be_kept(store: Store, number: int) -> None:
    ids = [handle.id for handle in store.enqueue(*(a_job(keep=False) for _ in range(number)))]
    assert not any(job.keep for job in store.jobs(*ids))

    store.complete(*store.claim())

    assert store.missing(*ids)
