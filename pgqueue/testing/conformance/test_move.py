"""move: waiting jobs go to another queue or priority, always to a new place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue.jobs.job import State
from pgqueue.operations import Floor
from pgqueue.testing.conformance.store import Store, a_job, ids


def test_to_another_queue_behind_what_is_there(store: Store) -> None:
    moved, there = store.add(a_job("moved")), store.add(a_job("there", queue="mail"))

    assert store.move(moved, queue="mail") == {moved: State.AVAILABLE}
    assert store.claim() == []
    assert ids(store.claim(queue="mail")) == [there, moved]


def test_to_another_priority(store: Store) -> None:
    first, second, third = (handle.id for handle in store.enqueue(a_job(), a_job(), a_job()))

    assert store.move(third, priority=-1) == {third: State.AVAILABLE}
    assert ids(store.claim()) == [third, first, second]
    assert store.job(third).priority == -1


def test_they_keep_their_order_among_themselves(store: Store) -> None:
    jobs = [a_job(priority=1), a_job(), a_job(priority=1), a_job()]
    late, first, later, second = (handle.id for handle in store.enqueue(*jobs))

    store.move(late, first, later, second, queue="mail", priority=5)

    assert ids(store.claim(queue="mail")) == [first, second, late, later]


def test_a_new_place_lies_above_the_floors(store: Store) -> None:
    waits = store.add()
    mail = store.running(a_job(queue="mail"))
    floor = Floor(mail.priority, mail.position)

    store.move(waits, queue="mail")

    assert ids(store.claim(queue="mail", floors=[floor])) == [waits]


@pytest.mark.parametrize("state", ["blocked", "scheduled", "retryable"])
def test_what_waits_runs_there_when_its_time_comes(store: Store, state: str) -> None:
    id = store.bring(state)

    assert store.move(id, queue="other", priority=3) == {id: state}
    job = store.job(id)
    assert (job.state, job.queue, job.priority) == (state, "other", 3)
    if state == "blocked":
        assert store.work(queue="parents") == ["parent"]
    else:
        store.passes(hours=2)
        store.promote()
    assert ids(store.claim(queue="other")) == [id]


def test_a_running_job_stays_where_it_is(store: Store) -> None:
    job = store.running()

    assert store.move(job, queue="mail") == {job.id: State.RUNNING}
    store.release(job)
    assert ids(store.claim()) == [job.id]


def test_what_has_finished_is_missing(store: Store) -> None:
    id = store.bring("completed")

    assert store.move(id, 424242, queue="mail") == {}
    assert store.job(id).queue == "default"


def test_the_new_queue_is_counted(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(3)))
    waits = store.add(a_job(delay=timedelta(hours=1)))
    store.move(*store.choose(), queue="mail")

    assert [job.queue for job in store.listing()] == ["mail"] * 4
    assert len(store.claim(queue="mail")) == 3
    assert store.state(waits) == State.SCHEDULED
