"""recollect: all that the store holds for a worker."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.testing.conformance.store import Store, a_job


def test_answers_what_is_held_under_any_lease(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(3)))
    jobs = [*store.claim(2), *store.claim()]
    assert len({job.lease for job in jobs}) == 2

    held = store.do(operations.recollect(store.worker))

    assert held == {(job.id, job.lease) for job in jobs}


def test_what_has_ended_or_is_anothers_is_not_held(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(4)))
    done, released, failed, kept = store.claim()
    store.complete(done)
    store.release(released)
    store.fail(failed)
    other = store.join().worker
    taken = store.claim(by=other)
    assert taken

    assert store.do(operations.recollect(store.worker)) == {(kept.id, kept.lease)}
    assert store.do(operations.recollect(other)) == {(job.id, job.lease) for job in taken}


def test_a_worker_without_jobs_holds_nothing(store: Store) -> None:
    assert store.do(operations.recollect(store.join().worker)) == set()
