"""heartbeat: says which jobs a worker still holds; a job that is missing was lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pgqueue import operations
from pgqueue.operations import Held
from pgqueue.testing.conformance.store import NOON, PROFILE, Store, a_job


def test_answers_with_what_is_held(store: Store) -> None:
    store.enqueue(a_job(), a_job())
    first, second = store.claim()

    assert store.heartbeat(first, second) == {
        first.id: Held(first.id, first.lease, cancel_requested=False),
        second.id: Held(second.id, second.lease, cancel_requested=False),
    }


def test_tells_of_a_job_that_is_to_be_cancelled(store: Store) -> None:
    job = store.running()
    store.cancel(job)

    assert store.heartbeat(job)[job.id].cancel_requested


def test_a_lease_that_was_lost_is_missing(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(4)))
    held, released, done, failed = store.claim()
    store.release(released)
    store.complete(done)
    store.fail(failed, retry_in=timedelta(minutes=1))

    assert set(store.heartbeat(held, released, done, failed)) == {held.id}


def test_a_stale_lease_of_a_running_job_is_missing(store: Store) -> None:
    lost = store.running()
    store.release(lost)
    store.take(by=store.join().worker)

    assert store.heartbeat(lost) == {}


def test_shows_that_the_worker_lives_and_what_it_runs(store: Store) -> None:
    jobs = [store.running(), store.running()]
    store.passes(seconds=30)
    store.heartbeat(*jobs)

    worker = store.workers()[store.worker]
    assert (worker.heartbeat_at, worker.running) == (NOON + timedelta(seconds=30), 2)
    assert worker.started_at == NOON


def test_an_idle_worker_lives_too(store: Store) -> None:
    store.passes(seconds=30)

    assert store.heartbeat() == {}
    assert store.workers()[store.worker].heartbeat_at == NOON + timedelta(seconds=30)


def test_a_worker_that_was_forgotten_is_known_again(store: Store) -> None:
    store.leave(store.worker)
    assert store.workers() == {}

    store.heartbeat()

    worker = store.workers()[store.worker]
    assert (worker.name, worker.host, worker.pid) == ("test", "here", 7)
    assert (worker.queues, worker.info) == (PROFILE["queues"], PROFILE["info"])


def test_a_sign_of_life_alone_is_one_too(store: Store) -> None:
    store.leave(store.worker)
    store.passes(seconds=30)
    for running in (3, 2):
        store.do(operations.alive(store.worker, running, PROFILE, session=True, now=store.now))

        worker = store.workers()[store.worker]
        assert (worker.heartbeat_at, worker.running) == (NOON + timedelta(seconds=30), running)
        assert (worker.name, worker.session) == ("test", True)


def test_what_the_sign_of_life_of_the_same_beat_has_said_is_not_written_again(store: Store) -> None:
    """The row changes once a beat, not twice; a worker that the store has forgotten is written
    anew."""
    first, second = ({**PROFILE, "info": {"beats": beats}} for beats in (1, 2))

    def beat(profile: dict[str, Any]) -> datetime:
        store.passes(seconds=1)
        store.do(operations.heartbeat(store.worker, [], profile, now=store.now))
        return store.workers()[store.worker].heartbeat_at

    store.do(operations.alive(store.worker, 0, first, now=store.now))
    assert beat(first) == NOON
    assert beat(second) == NOON + timedelta(seconds=2)
    assert beat(second) == NOON + timedelta(seconds=2)

    store.leave(store.worker)
    assert beat(second) == NOON + timedelta(seconds=4)
