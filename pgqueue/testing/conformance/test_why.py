"""why: one read, and one sentence, for every state of a job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.doctor.why import sentence
from pgqueue.jobs.unique import Unique
from pgqueue.operations import inspections
from pgqueue.testing.conformance.store import PROFILE, Store, a_job

HOUR = timedelta(hours=1)


def why(store: Store, job: Any) -> str:
    id = job if isinstance(job, int) else job.id
    situation = store.do(inspections.why(id, now=store.now))
    assert situation is not None
    return sentence(situation)


def knows(store: Store, *tasks: str, concurrency: int = 2, queue: str = "default") -> int:
    info = {"tasks": list(tasks), "concurrency": concurrency}
    return store.join(name="w3", queues=[queue], info=info).worker


def test_no_such_job(store: Store) -> None:
    assert store.do(inspections.why(424242)) is None


def test_a_blocked_job_waits_on_its_parents(store: Store) -> None:
    one, two = a_job("one"), a_job("two")
    *_, child = store.enqueue(one, two, a_job("child").after(one, two))
    assert why(store, child) == ("job 3 (child) waits on jobs 1 and 2; 1 (one) is available")
    store.claim(1)
    store.release(*store.claim(1), delay=HOUR)
    store.passes(seconds=12)
    assert why(store, child) == (
        "job 3 (child) waits on jobs 1 and 2; 1 (one) is running on test since 12 s"
    )


def test_a_job_behind_the_one_that_has_its_key(store: Store) -> None:
    job = a_job().options(unique=Unique(key="k", until="started"))
    first, parent = store.running(job), store.add(a_job("parent"))
    behind = store.add(job)
    store.passes(seconds=5)
    said = f"waits behind job {first.id}, which runs and has the same unique key"
    assert why(store, behind) == (
        f"job {behind} (task) {said}; {first.id} (task) is running on test since 5 s"
    )
    store.cancel(behind)
    behind = store.add(job.after(parent))
    both = f"waits on jobs {first.id} and {parent}; {first.id} has the same unique key; "
    assert both in why(store, behind)


def test_of_many_parents_it_names_five(store: Store) -> None:
    parents = [a_job() for _ in range(40)]
    *_, child = store.enqueue(*parents, a_job().after(*parents))

    assert "waits on jobs 1, 2, 3, 4, 5 and 35 more; 1 (task) is available" in why(store, child)


def test_a_parent_that_is_scheduled(store: Store) -> None:
    parent = store.add(a_job(delay=HOUR))
    child = store.add(a_job().after(parent))

    assert why(store, child).endswith(
        f"waits on job {parent}; {parent} (task) is scheduled, due in 60 min"
    )


def test_a_scheduled_job(store: Store) -> None:
    store.elect(store.worker)
    id = store.add(a_job(delay=HOUR))
    assert why(store, id) == "job 1 (task) is scheduled for 2030-06-01 13:00:00 UTC (in 60 min)"
    store.passes(hours=2)
    assert why(store, id).endswith("(60 min ago), but no worker leads, so nobody wakes it")
    store.leave(store.worker)
    assert why(store, id).endswith(
        "no worker leads, so nobody wakes it; besides, no live worker serves queue default"
    )


def test_an_available_job_is_next(store: Store) -> None:
    id = store.add()
    assert why(store, id) == (
        "job 1 (task) is available and the next one of queue default; a worker takes it any moment"
    )


def test_an_available_job_has_others_ahead_of_it(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(3)), a_job(priority=5))
    assert why(store, 3).endswith("is available; 2 jobs are ahead of it in queue default")
    assert why(store, 2).endswith("is available; 1 job is ahead of it in queue default")
    assert why(store, 4).endswith("is available; 3 jobs are ahead of it in queue default")


def test_its_queue_is_paused(store: Store) -> None:
    id = store.add()
    store.pause()
    store.passes(minutes=3)
    assert why(store, id).endswith("is available, but queue default is paused since 3 min")


def test_no_worker_serves_its_queue(store: Store) -> None:
    assert why(store, store.add(a_job(queue="mail"))).endswith(
        "is available, but no live worker serves queue mail"
    )
    assert why(store, store.add(a_job(queue="mail", delay=HOUR))).endswith(
        "(in 60 min), but no live worker serves queue mail"
    )


def test_no_worker_knows_its_task(store: Store) -> None:
    id = store.add(a_job("render", queue="mail"))
    knows(store, "send", queue="mail")
    assert why(store, id).endswith(
        "is available, but the worker of queue mail does not know the task render"
    )
    knows(store, "draw", queue="mail")
    assert why(store, id).endswith(
        "is available, but none of the 2 workers of queue mail knows the task render"
    )
    knows(store, "render", queue="mail")
    assert "but" not in why(store, id)


def test_all_slots_are_taken(store: Store) -> None:
    worker = knows(store, "task", concurrency=2, queue="mail")
    store.enqueue(*(a_job(queue="mail") for _ in range(4)))
    taken = store.claim(2, queue="mail", by=worker)
    beat = {"info": {"tasks": ["task"], "concurrency": 2}, "queues": ["mail"]}
    leases = [(job.id, job.lease) for job in taken]
    store.do(operations.heartbeat(worker, leases, PROFILE | beat, now=store.now))

    assert why(store, 3).endswith(
        "is available, but all 2 slots of the worker of queue mail are taken"
    )
    assert why(store, 4).endswith("are taken; 1 job is ahead of it")


def test_its_queue_is_at_its_limit(store: Store) -> None:
    worker = knows(store, "task", concurrency=9, queue="mail")
    store.enqueue(*(a_job(queue="mail") for _ in range(3)))
    [taken] = store.claim(1, queue="mail", by=worker)
    info = {"tasks": ["task"], "concurrency": 9}
    held = [(taken.id, taken.lease)]
    full = PROFILE | {"info": {**info, "full": ["mail"]}, "queues": ["mail"]}
    store.do(operations.heartbeat(worker, held, full, now=store.now))

    limit = "but the worker of queue mail runs as many of its jobs as may run at once"
    assert why(store, 2).endswith(f"is available, {limit}")
    assert why(store, 3).endswith(f"is available, {limit}; 1 job is ahead of it")
    store.do(operations.heartbeat(worker, held, full | {"info": info}, now=store.now))
    assert "but" not in why(store, 2)


def test_a_running_job(store: Store) -> None:
    job = store.running()
    store.passes(seconds=90)
    assert why(store, job) == "job 1 (task) is running on test since 90 s, attempt 1 of 10"
    store.cancel(job)
    assert why(store, job).endswith("attempt 1 of 10; it was asked to stop")


def test_a_running_job_whose_worker_is_gone(store: Store) -> None:
    gone = store.join().worker
    job = store.running(by=gone)
    store.leave(gone)
    assert why(store, job).endswith(
        f"was running since 0 s on worker {gone}, which is gone; it will be rescued"
    )
    store.passes(minutes=2)
    store.sweep()


def test_a_retryable_job(store: Store) -> None:
    job = store.running()
    store.fail(job, retry_in=HOUR, error='{"type": "ValueError", "message": "no\\nway"}')
    assert why(store, job) == (
        "job 1 (task) failed (ValueError: no) and is tried again at 2030-06-01 13:00:00 UTC,"
        " attempt 2 of 10 (in 60 min)"
    )


@pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
def test_a_finished_job(store: Store, state: str) -> None:
    id = store.bring(state)
    store.passes(minutes=10)
    said = why(store, id)

    said = said.replace("(task) was", "(task)")
    assert said.startswith(f"job 1 (task) {state} 10 min ago")


def test_why_it_was_cancelled_and_what_brings_it_back(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.fail(parent, verdict="discard", reason="ValueError: no")
    assert why(store, parent).endswith("discarded 0 s ago: ValueError: no, after 1 of 10 attempts")
    assert why(store, child) == (
        "job 2 (task) was cancelled 0 s ago: parent 1 was discarded; retrying job 1 brings it back"
    )


@pytest.mark.parametrize(
    "state", ["blocked", "scheduled", "available", "running", "retryable", "completed", "cancelled"]
)
def test_every_state_is_one_line(store: Store, state: str) -> None:
    said = why(store, store.bring(state))
    assert "\n" not in said
    assert state in said or state in ("blocked", "retryable")
