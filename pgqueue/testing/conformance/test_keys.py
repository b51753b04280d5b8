"""A job's key: what it belongs to inside its queue."""

from __future__ import annotations

import pytest

from pgqueue import operations
from pgqueue.errors import InvalidJob
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from pgqueue.testing.conformance.store import Store, a_job

KEYS = ("tenant-7", "Ünï çode", "a b:c\\{}%'\"", "k" * 128)


def test_a_job_has_no_key_unless_it_was_given_one(store: Store) -> None:
    one, unusual, unique = store.enqueue(a_job(), a_job(tags=("t",)), a_job(unique="u"))

    assert [job.key for job in store.jobs(one, unusual, unique)] == [None] * 3
    assert {job.key for job in store.claim()} == {""}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_kept_however_the_job_is_enqueued(store: Store, key: str) -> None:
    alone = store.add(a_job(key=key))
    alike = store.enqueue(a_job(key=key), a_job(key=key))
    unlike = store.enqueue(a_job(key=key, tags=("t",)), a_job(), a_job(key="other"))
    [unique] = store.enqueue(a_job(key=key, unique="u"))
    child = store.add(a_job(key=key).after(alone))

    assert [job.key for job in store.jobs(alone, *alike, *unlike, unique, child)] == [
        *[key] * 4,
        *(None, "other", key, key),
    ]


def test_whoever_works_is_told_the_key(store: Store) -> None:
    store.enqueue(a_job(key="a"), a_job(key="b"), a_job())

    claimed = store.claim()

    assert sorted(job.key for job in claimed) == ["", "a", "b"]
    recalled = store.do(operations.recall(store.worker, claimed[0].lease))
    assert sorted(job.key for job in recalled) == ["", "a", "b"]


@pytest.mark.parametrize(
    "state",
    [
        *("blocked", "scheduled", "available", "retryable"),
        *("completed", "cancelled", "discarded"),
    ],
)
def test_a_key_is_shown_in_every_state(store: Store, state: str) -> None:
    id = store.bring(state, a_job(key="tenant-7"))

    assert store.job(id).key == "tenant-7"
    assert [job.key for job in store.listing(state=State(state))] == ["tenant-7"]
    situation = store.do(inspections.why(id, now=store.now))
    assert situation
    assert situation.job.key == "tenant-7"


@pytest.mark.parametrize("state", ["cancelled", "discarded"])
def test_a_job_comes_back_with_its_key(store: Store, state: str) -> None:
    id = store.bring(state, a_job(key="tenant-7"))

    store.retry(id)

    assert (store.state(id), store.job(id).key) == ("available", "tenant-7")
    assert store.take().key == "tenant-7"


def test_a_key_stays_through_failure_snooze_and_hand_back(store: Store) -> None:
    job = store.running(a_job(key="tenant-7"))
    store.fail(job)
    job = store.take()
    store.release(job)
    job = store.take()
    store.release(job, unknown=True)
    job = store.take()

    assert job.key == "tenant-7"
    assert store.job(job).key == "tenant-7"


@pytest.mark.parametrize("key", ["", "k" * 129, "nul \0", 7, "half \ud800"])
def test_what_cannot_be_a_key_is_refused(store: Store, key: str) -> None:
    with pytest.raises(InvalidJob, match="task: key"):
        a_job(key=key)
