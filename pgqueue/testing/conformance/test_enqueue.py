"""enqueue: all or none, in order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.errors import UnknownParent
from pgqueue.jobs.job import State
from pgqueue.testing.conformance.store import NOON, Store, a_job, ids, needs


def test_answers_with_a_handle_for_each_job_in_order(store: Store) -> None:
    handles = store.enqueue(a_job("first"), a_job("second"), a_job("third"))

    assert [handle.task for handle in handles] == ["first", "second", "third"]
    assert all(handle.created for handle in handles)
    assert [job.task for job in store.jobs(*handles)] == ["first", "second", "third"]


def test_enqueues_nothing_when_given_nothing(store: Store) -> None:
    assert store.enqueue() == []


def test_keeps_the_order_of_the_call(store: Store) -> None:
    handles = store.enqueue(*(a_job(f"task{n}") for n in range(20)))

    assert ids(store.claim()) == [handle.id for handle in handles]


def test_says_when_by_the_stores_clock(store: Store) -> None:
    id, enqueued_at = store.do(operations.enqueue_dated(a_job()))

    assert store.job(id).enqueued_at == enqueued_at
    instant = NOON + timedelta(microseconds=123_457)
    assert store.do(operations.enqueue_dated(a_job(), now=instant))[1] == instant


def test_a_job_takes_the_defaults(store: Store) -> None:
    job = store.job(store.add(a_job("greet")))

    assert (job.task, job.queue, job.state) == ("greet", "default", State.AVAILABLE)
    assert (job.priority, job.attempt, job.max_attempts, job.rescues) == (0, 0, 10, 0)
    assert job.enqueued_at == job.run_at == NOON
    assert (job.args, job.tags, job.errors) == ({}, (), ())
    assert (job.metadata, job.result, job.progress, job.reason) == (None, None, None, None)
    assert (job.worker, job.lease, job.claimed_at, job.finished_at) == (None, None, None, None)
    assert (job.timeout_seconds, job.unique_key, job.blocked_by) == (None, None, 0)
    assert not job.cancel_requested


def test_a_job_keeps_all_it_was_given(store: Store) -> None:
    id = store.add(
        a_job(
            "shop.mail/send:receipt",
            args='{"order": 7}',
            queue="mail",
            priority=-5,
            run_at=NOON + timedelta(hours=1),
            max_attempts=3,
            timeout=timedelta(seconds=90.5),
            unique="order 7",
            tags=("eu", "vip"),
            metadata='{"by": "ada"}',
        )
    )
    job = store.job(id)

    assert (job.task, job.queue, job.priority) == ("shop.mail/send:receipt", "mail", -5)
    assert (job.args, job.metadata) == ({"order": 7}, {"by": "ada"})
    assert (job.run_at, job.timeout_seconds) == (NOON + timedelta(hours=1), 90.5)
    assert (job.max_attempts, job.unique_key, job.tags) == (3, "order 7", ("eu", "vip"))


@pytest.mark.parametrize("count", [1, 2])
def test_a_job_that_can_run_at_once_keeps_all_it_was_given(store: Store, count: int) -> None:
    given = a_job(
        "render",
        args='{"order": 7}',
        queue="slow",
        priority=4,
        max_attempts=3,
        timeout=timedelta(seconds=1.5),
    )
    for job in store.jobs(*store.enqueue(*[given] * count)):
        assert (job.task, job.args, job.queue) == ("render", {"order": 7}, "slow")
        assert (job.priority, job.max_attempts, job.timeout_seconds) == (4, 3, 1.5)
        assert (job.state, job.run_at, job.enqueued_at) == (State.AVAILABLE, NOON, NOON)
        assert (job.tags, job.metadata, job.unique_key, job.workflow) == ((), None, None, None)


def test_jobs_that_differ_in_their_arguments_alone_keep_them_in_order(store: Store) -> None:
    texts = [f'{n} żółw "quoted", ] [ {{ }} \\' for n in range(20)]
    handles = store.enqueue(*(a_job(args=json.dumps({"x": text})) for text in texts))

    assert [job.args["x"] for job in store.jobs(*handles)] == texts
    assert ids(store.claim()) == [handle.id for handle in handles]


@pytest.mark.parametrize(
    ("args", "value"),
    [
        ('{"x": "żółw 🐢 \\" \\\\ \' :now $1 %s"}', "żółw 🐢 \" \\ ' :now $1 %s"),
        ('{"x": 9007199254740993}', 9007199254740993),
        ('{"x": -0.1}', -0.1),
        ('{"x": [null, true, {"y": []}]}', [None, True, {"y": []}]),
        ('{"x": "2030-01-01T00:00:00Z"}', "2030-01-01T00:00:00Z"),
        ('{"x": ""}', ""),
    ],
)
def test_arguments_come_back_unchanged(store: Store, args: str, value: object) -> None:
    id = store.add(a_job(args=args))

    assert store.job(id).args == {"x": value}


def test_a_job_of_later_is_scheduled(store: Store) -> None:
    delayed, at = store.enqueue(
        a_job(delay=timedelta(minutes=5)), a_job(run_at=NOON + timedelta(minutes=5))
    )

    assert store.states(delayed, at) == ["scheduled", "scheduled"]
    assert {job.run_at for job in store.jobs(delayed, at)} == {NOON + timedelta(minutes=5)}


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(microseconds=1), timedelta(days=9000)])
def test_a_job_of_now_or_before_is_available(store: Store, ago: timedelta) -> None:
    id = store.add(a_job(run_at=NOON - ago))

    assert store.state(id) == State.AVAILABLE
    assert store.job(id).run_at == NOON - ago


def test_no_delay_is_available(store: Store) -> None:
    assert store.state(store.add(a_job(delay=timedelta(0)))) == State.AVAILABLE


def test_run_at_is_the_same_instant_in_any_zone(store: Store) -> None:
    local = datetime.fromisoformat("2030-06-01T15:30:00+02:30")
    job = store.job(store.add(a_job(run_at=local)))

    assert job.run_at == datetime(2030, 6, 1, 13, tzinfo=UTC)
    assert job.state == State.SCHEDULED


def test_the_same_value_twice_makes_two_jobs(store: Store) -> None:
    job = a_job()
    first, second = store.enqueue(job, job)

    assert first.id != second.id
    assert len(store.claim()) == 2


def test_enqueues_thousands_in_one_call_in_order(store: Store) -> None:
    handles = store.enqueue(*(a_job(args=f'{{"n": {n}}}') for n in range(2_500)))

    assert [job.args["n"] for job in store.jobs(*handles)] == list(range(2_500))
    assert ids(store.claim(2_500)) == [handle.id for handle in handles]


def test_an_unknown_parent_enqueues_nothing(store: Store) -> None:
    with pytest.raises(UnknownParent):
        store.enqueue(a_job(), a_job().after(999_999))

    assert store.listing() == []


def test_the_stores_clock_rules_when_no_instant_is_given(store: Store) -> None:
    store.now = None
    before = datetime.now(UTC)
    job = store.job(store.add(a_job(delay=timedelta(hours=1))))

    assert abs(job.enqueued_at - before) < timedelta(minutes=1)
    assert abs(job.run_at - before - timedelta(hours=1)) < timedelta(minutes=1)


@needs("transactions")
def test_a_job_exists_only_if_its_transaction_commits(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.backend.transaction() as executor:
        carry_out(operations.enqueue([a_job()], now=NOON), executor.execute)
        raise ZeroDivisionError

    assert store.listing() == []


@needs("transactions", "concurrency")
def test_nobody_sees_a_job_before_its_transaction_commits(store: Store) -> None:
    with store.backend.transaction() as executor:
        [handle] = carry_out(operations.enqueue([a_job()], now=NOON), executor.execute)
        assert store.missing(handle)
        assert store.claim() == []

    assert ids(store.claim()) == [handle.id]
