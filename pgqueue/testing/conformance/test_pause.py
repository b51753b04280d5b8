"""pause and resume: claim hands out nothing, and again."""

from __future__ import annotations

from datetime import timedelta

from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from pgqueue.testing.conformance.store import NOON, Store, a_job


def test_a_paused_queue_hands_out_nothing(store: Store) -> None:
    id = store.add()
    store.pause()

    assert store.claim() == []
    assert store.state(id) == State.AVAILABLE


def test_a_resumed_queue_hands_out_again(store: Store) -> None:
    id = store.add()
    store.pause()
    store.resume()

    assert store.take().id == id


def test_other_queues_go_on(store: Store) -> None:
    store.enqueue(a_job(queue="mail"), a_job())
    store.pause("mail")

    assert store.claim(queue="mail") == []
    assert len(store.claim()) == 1


def test_what_runs_goes_on(store: Store) -> None:
    job, failing = store.running(), store.running()
    store.pause()

    assert store.heartbeat(job) != {}
    assert store.complete(job) == {job.id}
    assert store.fail(failing) == {failing.id: State.AVAILABLE}
    assert store.claim() == []


def test_a_paused_queue_takes_jobs(store: Store) -> None:
    store.pause()
    parent = a_job("parent")
    store.enqueue(parent, a_job("child").after(parent), a_job("late", delay=timedelta(hours=1)))
    store.passes(hours=1)
    assert store.promote().queues == {"default": 1}
    store.resume()

    assert store.work() == ["parent", "late", "child"]


def test_shows_since_when(store: Store) -> None:
    def since() -> object:
        [queue] = [q for q in store.do(inspections.queues()) if q.name == "mail"]
        return queue.paused_at

    store.pause("mail")
    store.passes(minutes=1)
    store.pause("mail")
    assert since() == NOON

    store.resume("mail")
    assert since() is None

    store.pause("mail")
    assert since() == NOON + timedelta(minutes=1)


def test_a_queue_that_was_not_paused_may_be_resumed(store: Store) -> None:
    store.add()
    store.resume()
    store.resume("nowhere")

    assert len(store.claim()) == 1
