"""release: hands back without spending the attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue.jobs.job import State
from pgqueue.testing.conformance.store import NOON, Store, a_job

MINUTE = timedelta(minutes=1)


def test_a_released_job_is_available_with_its_attempt_unspent(store: Store) -> None:
    job = store.running()

    assert store.release(job) == {job.id: State.AVAILABLE}

    released = store.job(job)
    assert (released.attempt, released.worker, released.lease) == (0, None, None)
    assert store.take().attempt == 1


def test_a_snoozed_job_waits(store: Store) -> None:
    job = store.running()
    store.passes(seconds=5)

    assert store.release(job, delay=MINUTE) == {job.id: State.SCHEDULED}

    assert store.job(job).run_at == NOON + timedelta(seconds=65)
    assert store.claim() == []
    store.passes(minutes=1)
    store.promote()
    assert store.take().attempt == 1


def test_a_snooze_of_nothing_is_a_release(store: Store) -> None:
    job = store.running()

    assert store.release(job, delay=timedelta(0)) == {job.id: State.AVAILABLE}


def test_a_job_may_be_snoozed_for_ever(store: Store) -> None:
    job = store.running(a_job(max_attempts=1))
    for _ in range(20):
        assert store.release(job) == {job.id: State.AVAILABLE}
        job = store.take()

    assert (job.attempt, store.job(job).errors) == (1, ())


def test_earlier_failures_still_count(store: Store) -> None:
    job = store.running(a_job(max_attempts=2))
    store.fail(job, error='{"type": "E", "message": "1"}')
    store.release(store.take())
    last = store.take()

    assert last.attempt == 2
    assert len(store.job(last).errors) == 1
    assert store.fail(last) == {last.id: State.DISCARDED}


@pytest.mark.parametrize("delay", [None, MINUTE])
def test_a_job_that_was_asked_to_cancel_is_cancelled(store: Store, delay: timedelta | None) -> None:
    job = store.running()
    store.cancel(job, reason="by hand")

    assert store.release(job, delay=delay) == {job.id: State.CANCELLED}
    cancelled = store.job(job)
    assert (cancelled.state, cancelled.reason) == (State.CANCELLED, "by hand")


def test_a_stale_lease_releases_nothing(store: Store) -> None:
    lost = store.running()
    store.release(lost)
    held = store.take()

    assert store.release(lost) == {}
    assert (store.state(held), store.job(held).attempt) == (State.RUNNING, 1)


def test_an_attempt_is_given_back_once(store: Store) -> None:
    job = store.running()
    store.release(job)

    assert store.release(job) == {}
    assert store.job(job).attempt == 0


def test_a_finished_job_cannot_be_released(store: Store) -> None:
    job = store.running()
    store.complete(job)

    assert store.release(job) == {}
    assert store.state(job) == State.COMPLETED


def test_a_batch_releases_what_is_held_and_tells_of_the_rest(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(4)))
    first, lost, asked, last = store.claim()
    store.complete(lost)
    store.cancel(asked)

    told = store.release(last, asked, lost, first)

    assert told == {first.id: "available", asked.id: "cancelled", last.id: "available"}


def test_releases_nothing_when_given_nothing(store: Store) -> None:
    assert store.release() == {}
