"""cancel: waiting jobs end at once, a running one is told."""

from __future__ import annotations

from datetime import timedelta

from pgqueue.jobs.job import State
from pgqueue.testing.conformance.store import NOON, Store, a_job

HOUR = timedelta(hours=1)


def test_an_available_job_is_cancelled_at_once(store: Store) -> None:
    id = store.add()
    store.passes(seconds=5)

    assert store.cancel(id) == {id: State.CANCELLED}

    job = store.job(id)
    assert (job.state, job.reason) == (State.CANCELLED, "cancelled on request")
    assert job.finished_at == NOON + timedelta(seconds=5)
    assert store.claim() == []


def test_says_why(store: Store) -> None:
    id = store.add()
    store.cancel(id, reason="the order was withdrawn")

    assert store.job(id).reason == "the order was withdrawn"


def test_a_scheduled_job_is_cancelled_at_once(store: Store) -> None:
    id = store.add(a_job(delay=HOUR))

    assert store.cancel(id) == {id: State.CANCELLED}
    store.passes(hours=2)
    assert store.promote().queues == {}


def test_a_retryable_job_is_cancelled_at_once(store: Store) -> None:
    job = store.running()
    store.fail(job, retry_in=HOUR, error='{"type": "E", "message": "1"}')

    assert store.cancel(job) == {job.id: State.CANCELLED}
    cancelled = store.job(job)
    assert (cancelled.state, cancelled.attempt, len(cancelled.errors)) == (State.CANCELLED, 1, 1)


def test_a_blocked_job_is_cancelled_at_once(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))

    assert store.cancel(child) == {child: State.CANCELLED}
    store.complete(parent)
    assert store.state(child) == State.CANCELLED


def test_a_running_job_is_told(store: Store) -> None:
    job = store.running()

    assert store.cancel(job, reason="by hand") == {job.id: State.RUNNING}

    told = store.job(job)
    assert (told.state, told.cancel_requested, told.reason) == (State.RUNNING, True, "by hand")
    assert told.lease == job.lease


def test_a_running_job_may_be_told_twice(store: Store) -> None:
    job = store.running()
    store.cancel(job)

    assert store.cancel(job) == {job.id: State.RUNNING}


def test_a_finished_job_cannot_be_cancelled(store: Store) -> None:
    store.enqueue(a_job(), a_job(), a_job())
    completed, discarded, cancelled = store.claim()
    store.complete(completed)
    store.discard(discarded)
    store.fail(cancelled, verdict="cancel", reason="first")

    assert store.cancel(completed, discarded, cancelled, reason="second") == {}
    assert store.states(completed, discarded, cancelled) == ["completed", "discarded", "cancelled"]
    assert store.job(cancelled).reason == "first"


def test_an_unknown_job_is_missing(store: Store) -> None:
    assert store.cancel(424242) == {}


def test_cancels_nothing_when_given_nothing(store: Store) -> None:
    id = store.add()

    assert store.cancel() == {}
    assert store.state(id) == State.AVAILABLE


def test_cancels_many_and_says_what_became_of_each(store: Store) -> None:
    running = store.running()
    done = store.running()
    store.complete(done)
    waiting, scheduled, spared = store.enqueue(a_job(), a_job(delay=HOUR), a_job())

    told = store.cancel(scheduled, 424242, running, done, waiting, waiting)

    assert told == {running.id: "running", waiting.id: "cancelled", scheduled.id: "cancelled"}
    assert store.state(spared) == State.AVAILABLE


def test_what_is_not_kept_is_gone(store: Store) -> None:
    store.keep = frozenset()
    id = store.add()

    assert store.cancel(id) == {id: State.CANCELLED}
    assert store.missing(id)
