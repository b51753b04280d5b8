"""sweep: what should not exist is found, repaired and counted."""

from __future__ import annotations

from pgqueue.jobs.job import State
from pgqueue.operations import Sweep
from pgqueue.testing.conformance.store import Store, a_job, ids


def test_finds_nothing_where_nothing_is_wrong(store: Store) -> None:
    parent = store.running()
    store.enqueue(a_job(), a_job().after(parent.id))
    store.complete(store.take())
    store.passes(days=1)

    assert store.sweep() == Sweep(stranded=0, orphaned=0)


def test_a_running_job_of_an_unknown_worker_is_available_again(store: Store) -> None:
    gone = store.join().worker
    job = store.running(by=gone)
    other = store.add()
    store.leave(gone)
    store.passes(minutes=2)

    assert store.sweep() == Sweep(stranded=0, orphaned=1)

    mended = store.job(job)
    assert (mended.state, mended.attempt, mended.rescues) == (State.AVAILABLE, 0, 1)
    assert (mended.lease, mended.position is not None) == (None, True)
    assert ids(store.claim()) == [other, job.id]
    assert store.complete(job) == set()


def test_a_worker_that_has_just_claimed_may_still_be_entering(store: Store) -> None:
    gone = store.join().worker
    job = store.running(by=gone)
    store.leave(gone)
    store.passes(seconds=59)

    assert store.sweep() == Sweep(0, 0)
    assert store.complete(job) == {job.id}


def test_what_was_claimed_while_the_clock_was_ahead_does_not_wait_for_it(store: Store) -> None:
    gone = store.join().worker
    job = store.running(by=gone)
    store.leave(gone)
    store.passes(hours=-1)

    assert store.sweep() == Sweep(stranded=0, orphaned=1)
    assert store.state(job) == State.AVAILABLE


def test_a_worker_that_is_known_keeps_its_jobs(store: Store) -> None:
    job = store.running()
    store.passes(days=5)

    assert store.sweep() == Sweep(0, 0)
    assert store.state(job) == State.RUNNING


def test_the_next_worker_of_an_orphan_is_told_to_cancel_it(store: Store) -> None:
    gone = store.join().worker
    job = store.running(by=gone)
    store.cancel(job, reason="by hand")
    store.leave(gone)
    store.passes(minutes=2)
    store.sweep()

    again = store.take()
    assert store.heartbeat(again)[job.id].cancel_requested
    assert store.release(again) == {job.id: State.CANCELLED}
    assert store.job(job).reason == "by hand"


def test_mends_as_many_as_it_is_asked_to(store: Store) -> None:
    gone = store.join().worker
    store.enqueue(*(a_job() for _ in range(5)))
    store.claim(by=gone)
    store.leave(gone)
    store.passes(minutes=2)

    assert [store.sweep(limit=2).orphaned for _ in range(4)] == [2, 2, 1, 0]
    assert len(store.claim()) == 5


def test_orphans_come_back_in_the_order_of_their_ids(store: Store) -> None:
    one, two = store.join().worker, store.join().worker
    handles = store.enqueue(*(a_job() for _ in range(12)))
    for worker in (one, two, one, two):
        store.claim(3, by=worker)
    store.leave(one)
    store.leave(two)
    store.passes(minutes=2)
    store.sweep()

    assert ids(store.claim()) == [handle.id for handle in handles]
