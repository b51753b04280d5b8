"""purge: finished jobs are deleted now, whatever their retention."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue import operations
from pgqueue.jobs.job import State
from pgqueue.jobs.retention import Retention
from pgqueue.testing.conformance.store import Store, a_job, needs


@pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
def test_a_finished_job_goes(store: Store, state: str) -> None:
    id, other = store.bring(state), store.bring(state)

    assert store.purge(id) == {id: "purged"}
    assert store.missing(id)
    assert [job.id for job in store.listing()] == [other]
    assert store.purge(id) == {}


@pytest.mark.parametrize("state", ["available", "scheduled", "running", "retryable", "blocked"])
def test_an_unfinished_one_is_missing_in_the_answer(store: Store, state: str) -> None:
    id = store.bring(state)

    assert store.purge(id) == {}
    assert store.state(id) == state


def test_a_result_that_a_child_may_want_stays(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child", queue="children").after(parent.id))
    store.complete(parent, result="7")

    assert store.purge(parent) == {parent.id: "wanted"}
    assert store.job(parent).result == 7
    store.work(queue="children")
    assert store.purge(parent, child) == {parent.id: "purged", child: "purged"}
    store.check()


def test_what_was_purged_cannot_come_back(store: Store) -> None:
    parent = store.running(a_job(max_attempts=1))
    child = store.add(a_job().after(parent.id))
    store.fail(parent)
    assert store.states(parent, child) == ["discarded", "cancelled"]

    assert store.purge(child) == {child: "purged"}
    assert store.retry(parent) == {parent.id: "available"}
    assert store.missing(child)
    store.check()


def test_ids_are_never_given_again(store: Store) -> None:
    last = store.bring("completed")
    store.purge(last)

    assert store.add() > last


@needs("partitions")
def test_whole_days_go_at_once(store: Store) -> None:
    week = Retention(*(timedelta(days=7),) * 3)
    for _ in range(4):
        store.prune(week)  # makes the partitions of the coming days
        store.enqueue(*(a_job() for _ in range(3)))
        first, *others = store.claim()
        store.discard(first)
        store.complete(*others)
        store.passes(days=1)

    def purge_day() -> int | None:
        completed = [State.COMPLETED]
        return store.do(operations.purge_day(completed, timedelta(days=2), now=store.now))

    assert [purge_day(), purge_day(), purge_day()] == [2, 2, None]
    assert len(store.listing(state=State.COMPLETED)) == 4
    assert len(store.listing(state=State.DISCARDED)) == 4


@needs("partitions")
def test_what_a_child_wants_of_a_day_stays(store: Store) -> None:
    store.prune(Retention(*(timedelta(days=7),) * 3))
    parent, other = store.running(), store.running()
    store.add(a_job("child", queue="children").after(parent.id))
    store.complete(parent, other)
    store.passes(days=3)

    gone = operations.purge_day([State.COMPLETED], timedelta(days=1), now=store.now)

    assert store.do(gone) == 1
    assert store.state(parent) == State.COMPLETED
    assert store.missing(other)
