"""restore: jobs of another store go on here, as they were, each once."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from msgspec import Raw

from pgqueue.copying.copier import Document, Edge, documents, restore, store_id
from pgqueue.jobs.job import JobError, Progress, State
from pgqueue.jobs.unique import Unique
from pgqueue.operations import inspections
from pgqueue.testing.conformance.store import NOON, Store, a_job, ids, needs

SOURCE = "another store"
NUMBERS = count(500)
EARLIER = NOON - timedelta(days=3, microseconds=7)


def a_document(state: str = "available", **fields: Any) -> Document:
    """Return a job as it comes from another store."""
    ended = {"finished_at": EARLIER} if State(state).finished else {}
    made: dict[str, Any] = {
        "id": next(NUMBERS),
        "task": "task",
        "state": State(state),
        "queue": "default",
        "priority": 0,
        "args": Raw(b"{}"),
        "attempt": 0,
        "max_attempts": 10,
        "rescues": 0,
        "run_at": EARLIER,
        "enqueued_at": EARLIER,
    }
    return Document(**made | ended | fields)


def bring(store: Store, *jobs: Document, workflows: Any = ()) -> list[int]:
    """Restore *jobs*, and return their ids here, in their order."""
    brought = store.do(restore(SOURCE, jobs, workflows, now=store.now))
    return [brought[job.id] for job in jobs]


def after(parent: Document, policy: str = "cancel", outcome: str | None = None) -> Edge:
    return Edge(parent.id, policy, None if outcome is None else State(outcome), None)


def test_a_waiting_job_arrives_as_it_was(store: Store) -> None:
    job = a_document(
        "retryable",
        task="send",
        queue="mail",
        priority=-3,
        args=Raw(b'{"n":[1,2.5,"\\u00e9",12345678901234567890]}'),
        attempt=2,
        max_attempts=7,
        rescues=1,
        run_at=NOON + timedelta(hours=1),
        timeout_seconds=2.5,
        unique_key="k",
        key="tenant",
        errors=Raw(b'[{"attempt":2,"type":"E","message":"no","at":"2030-05-01T00:00:00Z"}]'),
        progress=Raw(b'{"fraction":0.5,"checkpoint":[7]}'),
        metadata=Raw(b'{"who":"me"}'),
        tags=["a", "b"],
    )
    [id] = bring(store, job)

    found = store.job(id)
    same = ("task", "state", "queue", "priority", "attempt", "max_attempts", "rescues", "run_at")
    more = ("enqueued_at", "timeout_seconds", "unique_key", "key")
    assert {n: getattr(found, n) for n in same + more} == {n: getattr(job, n) for n in same + more}
    assert found.args == {"n": [1, 2.5, "é", 12345678901234567890]}
    assert found.errors == (JobError(2, "E", "no", found.errors[0].at),)
    assert found.progress == Progress(0.5, None, [7])
    assert (found.metadata, found.tags) == ({"who": "me"}, ("a", "b"))
    store.passes(hours=1)
    assert store.promote().queues == {"mail": 1}
    assert store.take(queue="mail").attempt == 3


@pytest.mark.parametrize("state", ["available", "scheduled", "retryable", "discarded"])
def test_what_is_brought_again_is_there_once(store: Store, state: str) -> None:
    job = a_document(state)
    [id] = bring(store, job)

    other = a_document()
    brought = store.do(restore(SOURCE, [job, other], [], now=store.now))

    assert brought.keys() == {other.id}
    assert (store.state(id), len(store.listing())) == (state, 2)


def test_stores_that_count_alike_are_told_apart(store: Store) -> None:
    job = a_document()
    one = store.do(restore("one", [job], [], now=store.now))
    two = store.do(restore("two", [job], [], now=store.now))

    assert one[job.id] != two[job.id]


def test_what_is_available_keeps_its_order(store: Store) -> None:
    one, two, three = a_document(), a_document(), a_document(priority=-1)
    own = store.add()
    second, first, urgent = bring(store, two, one, three)

    assert ids(store.claim()) == [urgent, own, second, first]


@needs("limits")
@pytest.mark.parametrize("state", ["available", "retryable", "scheduled"])
def test_one_that_has_begun_holds_its_key(store: Store, state: str) -> None:
    first = a_document("available", key="a")
    second = a_document(state, key="a", run_at=NOON + timedelta(hours=1), begun=True)
    store.limit(ordered=True)
    one, two = bring(store, first, second)

    if state != "available":
        assert store.turn().jobs == []
        store.passes(hours=1)
        store.promote()
    [begun] = store.turn().jobs
    assert begun.id == two
    assert store.turn().jobs == []
    store.complete(begun)
    assert ids(store.turn().jobs) == [one]


@needs("limits")
def test_a_dump_says_what_has_begun(store: Store) -> None:
    waits, runs = store.add(a_job(key="a")), store.add(a_job(key="b"))
    store.limit(ordered=True)
    store.release(*(job for job in store.turn().jobs if job.id == waits))
    last = store.add(a_job(key="a"))

    found = {job.id: job for job in store.do(documents([waits, runs, last]))}

    assert {id: bool(job.begun) for id, job in found.items()} == {
        waits: True,
        runs: True,
        last: False,
    }


def test_a_dead_letter_comes_with_what_was_cancelled_because_of_it(store: Store) -> None:
    dead = a_document("discarded", attempt=10, reason="enough")
    child = a_document(
        "cancelled",
        cause=dead.id,
        reason=f"parent {dead.id} was discarded",
        edges=[after(dead, outcome="discarded")],
    )
    last, first = bring(store, child, dead)

    assert store.states(first, last) == ["discarded", "cancelled"]
    assert (store.job(last).cause, store.job(last).reason) == (
        first,
        f"parent {first} was discarded",
    )
    assert store.job(first).finished_at == EARLIER
    store.retry(first)
    assert store.states(first, last) == ["available", "blocked"]
    assert store.work() == ["task", "task"]


def test_a_child_waits_for_its_parents(store: Store) -> None:
    one, two = a_document(), a_document("scheduled", run_at=NOON + timedelta(hours=1))
    child = a_document("blocked", task="child", edges=[after(one), after(two)])
    bring(store, one)
    _, number = bring(store, two, child)

    assert (store.state(number), store.job(number).blocked_by) == (State.BLOCKED, 2)
    assert store.work() == ["task"]
    store.passes(hours=1)
    store.promote()
    assert store.work() == ["task", "child"]


@pytest.mark.parametrize(("policy", "state"), [("cancel", "cancelled"), ("run", "available")])
def test_a_parent_may_have_failed_here_meanwhile(store: Store, policy: str, state: str) -> None:
    parent = a_document()
    [first] = bring(store, parent)
    store.cancel(first)
    [child] = bring(store, a_document("blocked", edges=[after(parent, policy)]))

    assert store.state(child) == state


def test_a_parent_may_have_completed_here_meanwhile(store: Store) -> None:
    parent = a_document("available")
    bring(store, parent)
    assert store.work() == ["task"]
    [child] = bring(store, a_document("blocked", task="child", edges=[after(parent)]))

    assert list(store.outcomes(child).values()) == [State.COMPLETED]
    assert store.work() == ["child"]


def test_a_child_reads_what_its_parent_left(store: Store) -> None:
    parent = a_document("completed", task="count", result=Raw(b"[1]"))
    other = a_document()
    child = a_document("blocked", edges=[after(parent, outcome="completed"), after(other)])
    *_, number = bring(store, parent, other, child)

    edges = store.do(inspections.parents([number]))
    assert [(e.outcome, e.task, e.result) for e in edges] == [
        (State.COMPLETED, "count", "[1]"),
        (None, None, None),
    ]
    assert store.job(number).blocked_by == 1


def test_the_outcome_of_a_parent_that_is_gone_is_kept(store: Store) -> None:
    gone, other = a_document("discarded"), a_document()
    child = a_document("blocked", edges=[after(gone, "run", "discarded"), after(other)])
    first, number = bring(store, other, child)

    assert sorted(store.outcomes(number).values(), key=str) == [None, State.DISCARDED]
    store.work()
    assert store.states(first, number) == ["completed", "completed"]


def test_a_held_key_answers_with_its_holder(store: Store) -> None:
    holder = store.add(a_job(unique="k"))
    job = a_document(unique_key="k")
    child = a_document("blocked", task="child", edges=[after(job)])
    brought = store.do(restore(SOURCE, [job, child], [], now=store.now))

    assert brought.keys() == {child.id}
    assert store.outcomes(brought[child.id]) == {(brought[child.id], holder): None}
    assert store.work() == ["task", "child"]


def test_a_key_that_was_brought_is_held(store: Store) -> None:
    [id] = bring(store, a_document("scheduled", unique_key="k", run_at=NOON + timedelta(days=1)))
    [handle] = store.enqueue(a_job(unique="k"))

    assert (handle.id, handle.created) == (id, False)


@pytest.mark.parametrize("together", [True, False])
def test_what_waits_behind_another_of_its_key_does_so_here(store: Store, together: bool) -> None:
    first = a_document("retryable", unique_key="k")
    second = a_document("blocked", unique_key="k", edges=[after(first, "run")])
    portions = [[first, second]] if together else [[first], [second]]
    one, two = [id for portion in portions for id in bring(store, *portion)]

    assert [job.unique_key for job in store.jobs(one, two)] == ["k", "k"]
    [third] = store.enqueue(a_job().options(unique=Unique(key="k", until="started")))
    assert (third.id, third.outcome) == (two, "existing")
    assert store.enqueue(a_job(unique="k"))[0].id == one
    store.promote()
    assert len(store.work()) == 2


def test_a_job_is_due_from_when_it_was_there(store: Store) -> None:
    earlier = EARLIER - timedelta(hours=1)
    [id] = bring(store, a_document("scheduled", due_at=earlier))

    assert (store.job(id).run_at, store.job(id).due_at) == (EARLIER, earlier)


def test_a_workflow_comes_with_its_jobs(store: Store) -> None:
    flow = inspections.WorkflowSummary(id=77, name="nightly", created_at=EARLIER, tags=("etl",))
    one, two = a_document(workflow=77), a_document("discarded", workflow=77)
    first = bring(store, one, workflows=[flow])
    second = bring(store, two, workflows=[flow])

    [found] = store.do(inspections.workflows())
    assert (found.name, found.tags, found.created_at) == ("nightly", ("etl",), EARLIER)
    assert {job.id for job in store.listing(workflow=found.id)} == {*first, *second}


def test_every_store_has_a_name_of_its_own_that_stays(store: Store) -> None:
    assert store.do(store_id()) == store.do(store_id())
