"""recall: the jobs of a claim whose answer never came."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.testing.conformance.store import Store, a_job


def test_answers_what_the_claim_answered(store: Store) -> None:
    store.enqueue(a_job("one", args='{"n": 1}', tags=("x",)), a_job("two", priority=-1), a_job())
    claimed = store.claim(2)

    recalled = store.do(operations.recall(store.worker, claimed[0].lease))

    assert sorted(recalled, key=lambda job: job.priority) == claimed


def test_a_claim_that_never_came_about_took_nothing(store: Store) -> None:
    store.add()
    job = store.take()

    assert store.do(operations.recall(store.worker, job.lease + 1)) == []


def test_another_workers_claim_is_not_ours(store: Store) -> None:
    job = store.running(by=store.join().worker)

    assert store.do(operations.recall(store.worker, job.lease)) == []


def test_what_has_been_given_back_is_not_ours_any_more(store: Store) -> None:
    store.enqueue(a_job(), a_job(), a_job())
    done, released, kept = store.claim()
    store.complete(done)
    store.release(released)

    assert store.do(operations.recall(store.worker, kept.lease)) == [kept]
