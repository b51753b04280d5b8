"""fail: tried again later, or discarded when the attempts are used up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.jobs.job import State
from pgqueue.operations import Failed
from pgqueue.testing.conformance.store import NOON, Store, a_job

ERROR = '{"type": "ValueError", "message": "no", "traceback": "line 1"}'
MINUTE = timedelta(minutes=1)


def test_a_failed_attempt_is_tried_again_later(store: Store) -> None:
    job = store.running()
    store.passes(seconds=5)

    assert store.fail(job, retry_in=MINUTE, error=ERROR) == {job.id: State.RETRYABLE}

    failed = store.job(job)
    assert (failed.state, failed.lease) == (State.RETRYABLE, None)
    assert failed.run_at == NOON + timedelta(seconds=65)
    assert failed.attempt == 1
    assert store.claim() == []


@pytest.mark.parametrize("retry_in", [None, timedelta(0)])
def test_without_a_delay_it_is_available_at_once(store: Store, retry_in: timedelta | None) -> None:
    job = store.running()

    assert store.fail(job, retry_in=retry_in) == {job.id: State.AVAILABLE}

    again = store.take()
    assert (again.id, again.attempt) == (job.id, 2)


def test_remembers_how_each_attempt_failed(store: Store) -> None:
    job = store.running()
    store.passes(seconds=5)
    store.fail(job, error=ERROR)
    again = store.take(by=(other := store.join().worker))
    store.fail(again, error='{"type": "KeyError", "message": "\'x\'"}')

    first, second = store.job(job).errors
    assert (first.attempt, first.type, first.message) == (1, "ValueError", "no")
    assert (first.traceback, first.at) == ("line 1", NOON + timedelta(seconds=5))
    assert (first.worker, second.worker) == (store.worker, other)
    assert (second.attempt, second.type, second.traceback) == (2, "KeyError", None)


def test_remembers_the_last_ten_errors(store: Store) -> None:
    job = store.running(a_job(max_attempts=100))
    for n in range(1, 14):
        store.fail(job, error=f'{{"type": "E", "message": "{n}"}}')
        job = store.take()

    assert [error.message for error in store.job(job).errors] == [str(n) for n in range(4, 14)]
    assert [error.attempt for error in store.job(job).errors] == list(range(4, 14))


def test_a_failure_without_an_error_leaves_the_others(store: Store) -> None:
    job = store.running()
    store.fail(job, error=ERROR)
    store.fail(store.take())

    assert [error.message for error in store.job(job).errors] == ["no"]


def test_the_last_attempt_is_discarded(store: Store) -> None:
    job = store.running(a_job(max_attempts=2))
    assert store.fail(job) == {job.id: State.AVAILABLE}
    store.passes(seconds=5)

    told = store.fail(store.take(), retry_in=MINUTE, error=ERROR, reason="enough")

    assert told == {job.id: State.DISCARDED}
    dead = store.job(job)
    assert (dead.state, dead.reason, dead.attempt) == (State.DISCARDED, "enough", 2)
    assert dead.finished_at == NOON + timedelta(seconds=5)
    assert [error.attempt for error in dead.errors] == [2]
    assert store.claim() == []


def test_the_only_attempt_is_discarded(store: Store) -> None:
    job = store.running(a_job(max_attempts=1))

    assert store.fail(job) == {job.id: State.DISCARDED}


def test_a_verdict_may_discard_before_the_attempts_are_used_up(store: Store) -> None:
    job = store.running()

    assert store.fail(job, verdict="discard", reason="hopeless") == {job.id: State.DISCARDED}
    assert store.job(job).reason == "hopeless"


def test_a_verdict_may_cancel(store: Store) -> None:
    job = store.running()

    told = store.fail(job, verdict="cancel", reason="not needed", error=ERROR)

    assert told == {job.id: State.CANCELLED}
    assert store.job(job).reason == "not needed"
    assert len(store.job(job).errors) == 1


def test_a_verdict_of_cancel_wins_over_the_last_attempt(store: Store) -> None:
    job = store.running(a_job(max_attempts=1))

    assert store.fail(job, verdict="cancel") == {job.id: State.CANCELLED}


@pytest.mark.parametrize("verdict", ["retry", "discard", "cancel"])
def test_a_job_that_was_asked_to_cancel_is_not_tried_again(store: Store, verdict: Any) -> None:
    job = store.running()
    store.cancel(job, reason="by hand")
    failed = Failed(job.id, job.lease, verdict, MINUTE)

    told = store.do(operations.fail([failed], now=store.now))

    assert told == {(job.id, job.lease): State.CANCELLED}
    assert store.job(job).reason == "by hand"


def test_a_stale_lease_fails_nothing(store: Store) -> None:
    lost = store.running(a_job(max_attempts=1))
    store.release(lost)
    held = store.take()

    assert store.fail(lost, error=ERROR) == {}
    assert store.state(held) == State.RUNNING
    assert store.job(held).errors == ()


def test_a_stale_lease_beside_the_valid_one_is_told_so(store: Store) -> None:
    """A worker that lost a job and claimed it again may report both attempts in one call."""
    lost = store.running()
    store.release(lost)
    held = store.take()

    both = [Failed(job.id, job.lease, "retry") for job in (lost, held)]
    told = store.do(operations.fail(both, now=store.now))

    assert told == {(held.id, held.lease): State.AVAILABLE}


def test_a_failure_is_counted_once(store: Store) -> None:
    job = store.running()
    store.fail(job, error=ERROR)

    assert store.fail(job, error=ERROR) == {}
    assert len(store.job(job).errors) == 1


def test_a_finished_job_cannot_fail(store: Store) -> None:
    job = store.running()
    store.complete(job)

    assert store.fail(job, verdict="discard") == {}
    assert store.state(job) == State.COMPLETED


def test_a_batch_says_what_became_of_each(store: Store) -> None:
    names = ["retry", "now", "discard", "cancel", "used up", "asked", "lost", "done"]
    last = names.index("used up")
    store.enqueue(*(a_job(max_attempts=1 if n == last else 10) for n in range(len(names))))
    jobs = dict(zip(names, store.claim(), strict=True))
    store.cancel(jobs["asked"])
    store.release(jobs["lost"])
    store.complete(jobs["done"])

    def failed(name: str, verdict: Any, retry_in: timedelta | None = MINUTE) -> Failed:
        job = jobs[name]
        return Failed(job.id, job.lease, verdict, retry_in, error=ERROR)

    batch = [
        failed("done", "retry"),
        failed("cancel", "cancel"),
        failed("lost", "retry"),
        failed("used up", "retry"),
        failed("asked", "retry"),
        failed("discard", "discard"),
        failed("now", "retry", None),
        failed("retry", "retry"),
    ]
    told = store.do(operations.fail(batch, now=store.now))

    expected = {
        "retry": "retryable",
        "now": "available",
        "discard": "discarded",
        "cancel": "cancelled",
        "used up": "discarded",
        "asked": "cancelled",
    }
    assert {(jobs[name].id, jobs[name].lease): state for name, state in expected.items()} == told
    assert store.states(*jobs.values()) == [
        *expected.values(),
        "available",
        "completed",
    ]


def test_fails_nothing_when_given_nothing(store: Store) -> None:
    assert store.fail() == {}


def test_what_is_not_kept_is_gone(store: Store) -> None:
    store.keep = frozenset({State.COMPLETED})
    job = store.running()

    assert store.fail(job, verdict="discard") == {job.id: State.DISCARDED}
    assert store.missing(job)


def test_a_failed_job_keeps_what_it_was_given(store: Store) -> None:
    given = a_job("greet", args='{"a": 1}', priority=2, tags=("x",), metadata='{"m": 1}')
    job = store.running(given)
    store.fail(job, verdict="discard")
    dead = store.job(job)

    assert (dead.task, dead.args, dead.priority) == ("greet", {"a": 1}, 2)
    assert (dead.tags, dead.metadata, dead.lease) == (("x",), {"m": 1}, job.lease)
