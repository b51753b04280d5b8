"""choose: which jobs a filter matches."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.jobs.filters import Filter
from pgqueue.operations import Place
from pgqueue.testing.conformance.store import Store, a_job

STATES = (
    "available",
    "scheduled",
    "blocked",
    "running",
    "retryable",
    "completed",
    "cancelled",
    "discarded",
)


@pytest.mark.parametrize("state", STATES)
def test_by_state(store: Store, state: str) -> None:
    brought = {name: store.bring(name) for name in reversed(STATES)}

    assert store.choose(state=state, task="task") == [brought[state]]


def test_by_several_states(store: Store) -> None:
    discarded, scheduled = store.bring("discarded"), store.bring("scheduled")
    store.bring("available")

    assert store.choose(state=["scheduled", "discarded"]) == [discarded, scheduled]


def test_by_queue_task_and_tag(store: Store) -> None:
    jobs = [a_job("a"), a_job("b", queue="mail"), a_job("a", queue="mail", tags=("t", "u"))]
    a, b, tagged = (handle.id for handle in store.enqueue(*jobs))

    assert store.choose(queue="mail") == [b, tagged]
    assert store.choose(task="a") == [a, tagged]
    assert store.choose(tag="u") == [tagged]
    assert store.choose(task="a", queue="default") == [a]
    assert store.choose(task="b", tag="t") == []


def test_by_key(store: Store) -> None:
    store.add()
    ours, _ = store.enqueue(a_job(key="tenant 7"), a_job(key="tenant 70"))

    assert store.choose(key="tenant 7") == [ours.id]
    store.cancel(ours.id)
    assert store.choose(key="tenant 7", state="cancelled") == [ours.id]


def test_by_the_type_of_the_last_error(store: Store) -> None:
    job = store.running(a_job(max_attempts=5))
    store.fail(job, error='{"type": "ValueError", "message": "1"}')
    job = store.take()
    store.fail(job, verdict="discard", error='{"type": "KeyError", "message": "2"}')

    assert store.choose(error="KeyError") == [job.id]
    assert store.choose(error="ValueError") == []


ARGS = '{"user": {"id": 7, "name": "ann"}, "pages": [1], "urgent": true, "note": null, "rate": 0.5}'


@pytest.mark.parametrize(
    "args",
    [
        {"user.id": 7},
        {"user.id": 7.0},
        {"user.id": 7, "user.name": "ann"},
        {"urgent": True},
        {"note": None},
        {"rate": 0.5},
    ],
    ids=str,
)
def test_by_arguments(store: Store, args: dict[str, Any]) -> None:
    meant, _ = store.enqueue(a_job(args=ARGS), a_job(args='{"user": 7}'))

    assert store.choose(args=args) == [meant.id]


@pytest.mark.parametrize(
    "args",
    [
        {"user.id": "7"},
        {"user.id": 8},
        {"user.id": None},
        {"user": "ann"},
        {"user.id.deeper": 7},
        {"missing": None},
        {"urgent": 1},
        {"urgent": False},
        {"note": False},
        {"pages": 1},
        {"pages.0": 1},
        {"id": 7},
    ],
    ids=str,
)
def test_not_by_other_arguments(store: Store, args: dict[str, Any]) -> None:
    store.add(a_job(args=ARGS))

    assert store.choose(args=args) == []


def test_by_age(store: Store) -> None:
    old = store.add()
    store.passes(hours=2)
    young = store.add()
    store.passes(hours=1)

    assert store.choose(older_than=timedelta(hours=3)) == [old]
    assert store.choose(newer_than=timedelta(hours=3)) == [young]
    assert store.choose(older_than=3_600, newer_than=timedelta(hours=4)) == [old, young]


def test_what_has_ended_ages_from_its_end(store: Store) -> None:
    job = store.running()
    store.passes(days=9)
    store.complete(job)
    store.passes(days=1)

    assert store.choose(older_than=timedelta(days=2)) == []
    assert store.choose(older_than=timedelta(days=1)) == [job.id]


def test_by_how_long_it_has_been_running(store: Store) -> None:
    long = store.running()
    store.passes(minutes=10)
    store.running()
    store.complete(store.running())

    assert store.choose(running_longer_than=timedelta(minutes=10)) == [long.id]


def test_by_workflow(store: Store) -> None:
    from pgqueue.jobs.graphs import workflow

    store.add()
    member = store.enqueue(workflow("import", a_job()))[0]

    assert member.workflow is not None
    assert store.choose(workflow=member.workflow) == [member.id]
    assert store.choose(workflow=member.workflow + 1_000) == []


def test_everything_without_a_condition(store: Store) -> None:
    done = store.bring("completed")
    waits = store.bring("available")

    assert store.choose() == [done, waits]
    assert store.choose(newest=True) == [waits, done]


@pytest.mark.parametrize("newest", [False, True])
def test_portions_follow_one_another(store: Store, newest: bool) -> None:
    ids = []
    for n in range(30):
        id = store.add(a_job(queue="mail" if n % 3 else "default"))
        if n % 4 == 0:
            store.cancel(id)
        if n % 3:
            ids.append(id)
    meant = ids[::-1] if newest else ids

    assert store.choose(queue="mail", limit=7, newest=newest) == meant
    assert store.choose(queue="mail", limit=1, newest=newest) == meant


@pytest.mark.parametrize("newest", [False, True])
def test_looks_at_no_more_rows_than_it_was_told_to(store: Store, newest: bool) -> None:
    handles = store.enqueue(*(a_job() for _ in range(9)), a_job("rare"), a_job())
    seen: list[int] = []
    place: Place | None = Place()
    portions = 0
    while place is not None:
        rare = operations.choose(Filter(task="rare"), place=place, newest=newest, look=2)
        chosen = store.do(rare)
        seen += [job.id for job in chosen.jobs]
        place = chosen.rest
        portions += 1

    assert seen == [handles[9].id]
    assert portions >= 6


@pytest.mark.parametrize("newest", [False, True])
def test_what_comes_later_is_left_alone(store: Store, newest: bool) -> None:
    handles = store.enqueue(*(a_job() for _ in range(4)))
    first = store.do(operations.choose(Filter(), limit=2, newest=newest))
    store.add()
    assert first.rest is not None
    second = store.do(operations.choose(Filter(), limit=9, newest=newest, place=first.rest))

    assert {job.id for job in (*first.jobs, *second.jobs)} == {handle.id for handle in handles}
    assert second.rest is None


def test_says_who_runs_it(store: Store) -> None:
    job = store.running()
    done = store.bring("completed")

    [running, completed] = store.do(operations.choose(Filter())).jobs

    assert running == (job.id, "running", job.lease, store.worker)
    assert completed == (done, "completed", None, None)


def test_an_empty_store_has_nothing(store: Store) -> None:
    chosen = store.do(operations.choose(Filter()))

    assert (chosen.jobs, chosen.rest) == ([], None)
