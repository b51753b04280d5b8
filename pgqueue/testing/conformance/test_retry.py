"""retry: waiting jobs run now, finished ones become available again."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest

from pgqueue.jobs.job import State
from pgqueue.testing.conformance.store import NOON, Store, a_job

HOUR = timedelta(hours=1)


def test_a_scheduled_job_runs_now(store: Store) -> None:
    id = store.add(a_job(delay=HOUR))
    store.passes(seconds=5)

    assert store.retry(id) == {id: "available"}
    assert store.job(id).run_at == NOON + timedelta(seconds=5)
    assert store.take().id == id


def test_a_retryable_job_runs_now(store: Store) -> None:
    job = store.running()
    store.fail(job, retry_in=HOUR)

    assert store.retry(job) == {job.id: "available"}
    again = store.take()
    assert (again.id, again.attempt) == (job.id, 2)


def test_an_available_job_stays(store: Store) -> None:
    first, second = store.enqueue(a_job(), a_job())

    assert store.retry(first) == {first.id: "available"}
    assert [store.take().id, store.take().id] == [first.id, second.id]


def test_a_running_job_stays_with_its_worker(store: Store) -> None:
    job = store.running()

    assert store.retry(job) == {job.id: "running"}
    assert store.complete(job) == {job.id}


def test_a_blocked_job_still_waits(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))

    assert store.retry(child) == {child: "blocked"}
    assert store.claim() == []
    store.complete(parent)
    assert store.take().id == child


@pytest.mark.parametrize("ended", ["completed", "discarded", "cancelled"])
def test_a_finished_job_becomes_available_again(store: Store, ended: str) -> None:
    job = store.running(
        a_job("greet", args='{"a": 1}', queue="mail", priority=4, tags=("x",), metadata='{"m": 1}')
    )
    store.progress(job, progress='{"note": "n"}')
    if ended == "completed":
        store.complete(job, result="1")
    else:
        verdict: Literal["discard", "cancel"] = "discard" if ended == "discarded" else "cancel"
        store.fail(job, verdict=verdict, reason="r", error='{"type": "E", "message": "m"}')
    before = store.job(job)
    store.passes(minutes=1)

    assert store.retry(job) == {job.id: "available"}

    after = store.job(job)
    assert (before.state, after.state) == (ended, State.AVAILABLE)
    assert (after.task, after.args, after.queue, after.priority) == ("greet", {"a": 1}, "mail", 4)
    assert (after.tags, after.metadata, after.enqueued_at) == (("x",), {"m": 1}, NOON)
    assert (after.errors, after.progress) == (before.errors, before.progress)
    assert (after.result, after.reason, after.finished_at, after.lease) == (None, None, None, None)
    assert after.run_at == NOON + timedelta(minutes=1)
    assert len(store.listing()) == 1
    assert store.work(queue="mail") == ["greet"]


def test_attempts_go_on_from_where_they_were(store: Store) -> None:
    job = store.running(a_job(max_attempts=5))
    store.fail(job)
    store.discard(store.take())
    store.retry(job)

    again = store.take()
    assert (again.attempt, again.max_attempts) == (3, 5)


def test_a_job_without_attempts_left_gets_one_more(store: Store) -> None:
    job = store.running(a_job(max_attempts=1))
    store.fail(job)
    store.retry(job)

    again = store.take()
    assert (again.attempt, again.max_attempts) == (2, 2)
    assert store.fail(again) == {job.id: State.DISCARDED}


def test_a_job_that_killed_its_workers_starts_with_a_clean_slate(store: Store) -> None:
    job = store.running(by=store.join().worker)
    store.passes(minutes=2)
    store.heartbeat()
    store.rescue(max_rescues=0)
    assert store.job(job).rescues == 1
    store.retry(job)

    assert store.job(job).rescues == 0


def test_a_cancelled_job_is_not_told_to_cancel_again(store: Store) -> None:
    job = store.running()
    store.cancel(job)
    store.release(job)
    store.retry(job)
    again = store.take()

    assert not store.heartbeat(again)[job.id].cancel_requested
    assert store.job(job).reason is None


def test_an_unknown_job_is_missing(store: Store) -> None:
    assert store.retry(424242) == {}


def test_retries_nothing_when_given_nothing(store: Store) -> None:
    assert store.retry() == {}


def test_a_job_whose_key_was_taken_meanwhile_is_held(store: Store) -> None:
    old = store.running(a_job(unique="k"))
    store.complete(old)
    new = store.add(a_job(unique="k"))

    assert store.retry(old) == {old.id: "held"}
    assert store.states(old, new) == ["completed", "available"]


def test_a_held_job_does_not_hold_up_the_others(store: Store) -> None:
    store.enqueue(a_job(), a_job(unique="k"), a_job())
    first, held, last = store.claim()
    store.complete(first, held, last)
    store.add(a_job(unique="k"))

    assert store.retry(first, held, last) == {
        first.id: "available",
        held.id: "held",
        last.id: "available",
    }
    assert store.states(first, held, last) == ["available", "completed", "available"]


def test_of_two_with_the_same_key_one_comes_back(store: Store) -> None:
    jobs = []
    for _ in range(2):
        jobs.append(store.running(a_job(unique="k")))
        store.complete(jobs[-1])

    assert sorted(store.retry(*jobs).values()) == ["available", "held"]
    assert sorted(store.states(*jobs)) == ["available", "completed"]


def test_a_retried_job_holds_its_key_again(store: Store) -> None:
    old = store.running(a_job(unique="k"))
    store.complete(old)
    store.retry(old)
    [handle] = store.enqueue(a_job(unique="k"))

    assert (handle.id, handle.created) == (old.id, False)


def test_retries_many_and_says_what_became_of_each(store: Store) -> None:
    running = store.running()
    done = store.running()
    store.complete(done)
    child, scheduled = store.enqueue(a_job().after(running.id), a_job(delay=HOUR))

    assert store.retry(scheduled, 424242, child, done, running) == {
        running.id: "running",
        done.id: "available",
        child.id: "blocked",
        scheduled.id: "available",
    }
