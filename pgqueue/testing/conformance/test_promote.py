"""promote: what is due becomes available."""

from __future__ import annotations

from datetime import timedelta

from pgqueue.jobs.job import State
from pgqueue.operations import Promoted
from pgqueue.testing.conformance.store import NOON, Store, a_job, ids

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def test_promotes_nothing_when_nothing_waits(store: Store) -> None:
    store.add()

    assert store.promote() == Promoted({}, None)


def test_a_scheduled_job_becomes_available_when_it_is_due(store: Store) -> None:
    id = store.add(a_job(delay=MINUTE))
    store.passes(seconds=59)
    assert store.promote() == Promoted({}, SECOND)
    assert store.claim() == []

    store.passes(seconds=1)

    assert store.promote() == Promoted({"default": 1}, None)
    assert store.take().id == id
    assert store.job(id).run_at == NOON + MINUTE


def test_a_retryable_job_becomes_available_when_it_is_due(store: Store) -> None:
    job = store.running()
    store.fail(job, retry_in=MINUTE)
    assert store.promote() == Promoted({}, MINUTE)
    store.passes(minutes=1)

    assert store.promote() == Promoted({"default": 1}, None)
    again = store.take()
    assert (again.id, again.attempt) == (job.id, 2)


def test_counts_by_queue(store: Store) -> None:
    store.enqueue(*(a_job(queue=q, delay=SECOND) for q in ("a", "b", "a", "a")))
    store.passes(seconds=1)

    assert store.promote() == Promoted({"a": 3, "b": 1}, None)


def test_says_when_the_next_is_due(store: Store) -> None:
    store.enqueue(a_job(delay=SECOND), a_job(delay=90 * SECOND), a_job(delay=3 * MINUTE))
    store.passes(seconds=1)

    assert store.promote() == Promoted({"default": 1}, 89 * SECOND)


def test_the_longest_due_comes_first(store: Store) -> None:
    late, early, middle = store.enqueue(*(a_job(delay=n * SECOND) for n in (3, 1, 2)))
    store.passes(minutes=1)
    store.promote()

    assert ids(store.claim()) == [early.id, middle.id, late.id]


def test_stops_at_the_limit_and_says_that_more_are_due(store: Store) -> None:
    late, early, middle = store.enqueue(*(a_job(delay=n * SECOND) for n in (3, 1, 2)))
    store.passes(minutes=1)

    assert store.promote(2) == Promoted({"default": 2}, timedelta(0))
    assert store.states(early, middle, late) == ["available", "available", "scheduled"]
    assert store.promote(2) == Promoted({"default": 1}, None)


def test_leaves_everything_else_alone(store: Store) -> None:
    parent = store.running()
    blocked = store.add(a_job(run_at=NOON + SECOND).after(parent.id))
    done = store.running()
    store.complete(done)
    store.passes(hours=1)

    assert store.promote() == Promoted({}, None)
    assert store.states(parent, blocked, done) == ["running", "blocked", "completed"]


def test_promotes_once(store: Store) -> None:
    id = store.add(a_job(delay=SECOND))
    store.passes(seconds=1)
    store.promote()
    position = store.job(id).position

    assert store.promote() == Promoted({}, None)
    assert (store.state(id), store.job(id).position) == (State.AVAILABLE, position)
