"""complete: finishes and unblocks children; asking twice answers twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.errors import LeaseLost
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import State
from pgqueue.operations import Completed, inspections
from pgqueue.operations.topics import DUE
from pgqueue.testing.conformance.store import NOON, Store, a_job, needs


def test_a_completed_job_is_kept_with_its_result(store: Store) -> None:
    job = store.running(a_job("add", args='{"a": 1}', tags=("x",), metadata='{"by": 1}'))
    store.passes(seconds=2)

    assert store.complete(job, result='{"sum": 3}') == {job.id}

    done = store.job(job)
    assert (done.state, done.result, done.finished) == (State.COMPLETED, {"sum": 3}, True)
    assert (done.enqueued_at, done.claimed_at) == (NOON, NOON)
    assert done.finished_at == NOON + timedelta(seconds=2)
    assert (done.task, done.args, done.tags, done.metadata) == ("add", {"a": 1}, ("x",), {"by": 1})
    assert (done.attempt, done.worker, done.lease) == (1, store.worker, job.lease)
    assert done.position is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None),
        ("null", None),
        ("0", 0),
        ('""', ""),
        ("[1, 2.5]", [1, 2.5]),
        ('"ż\\"$1"', 'ż"$1'),
    ],
)
def test_a_result_is_any_json(store: Store, text: str | None, value: object) -> None:
    job = store.running()
    store.complete(job, result=text)

    assert store.job(job).result == value


def test_each_job_of_a_batch_gets_its_own_result(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(5)))
    jobs = store.claim()
    done = [Completed(job.id, job.lease, str(n)) for n, job in enumerate(jobs)]

    store.do(operations.complete(done, now=store.now))

    assert [job.result for job in store.jobs(*jobs)] == [0, 1, 2, 3, 4]


def test_completes_nothing_when_given_nothing(store: Store) -> None:
    assert store.complete() == set()


def test_asking_twice_answers_twice(store: Store) -> None:
    job = store.running()

    assert store.complete(job, result="1") == {job.id}
    assert store.complete(job, result="2") == {job.id}
    assert store.job(job).result == 1


def test_says_whether_it_was_this_call_or_an_earlier_one(store: Store) -> None:
    store.enqueue(a_job(), a_job())
    early, late = store.claim()
    store.complete(early)
    both = [Completed(job.id, job.lease) for job in (early, late)]

    assert store.do(operations.complete(both, now=store.now)) == {
        (early.id, early.lease): False,
        (late.id, late.lease): True,
    }


def test_says_in_which_queues_children_can_run_now(store: Store) -> None:
    parent, other = store.running(), store.running()
    store.enqueue(
        a_job(queue="b").after(parent.id),
        a_job(queue="a").after(parent.id),
        a_job(queue="a").after(parent.id),
        a_job(queue="later", delay=timedelta(hours=1)).after(parent.id),
        a_job(queue="waits").after(parent.id, other.id),
    )
    parents = [Completed(job.id, job.lease) for job in (parent, other)]

    first = store.do(operations.complete(parents[:1], now=NOON))
    assert set(first.freed) - {DUE} == {"a", "b"}
    assert list(store.do(operations.complete(parents[1:], now=NOON)).freed) == ["waits"]
    assert not store.do(operations.complete(parents, now=NOON)).freed


def test_asking_twice_in_one_call_completes_once(store: Store) -> None:
    job = store.running()

    assert store.complete(job, job) == {job.id}
    assert store.states(job) == ["completed"]
    assert len(store.listing()) == 1


def test_a_stale_lease_finishes_nothing(store: Store) -> None:
    lost = store.running()
    store.release(lost)
    held = store.take(by=store.join().worker)

    assert store.complete(lost, result="1") == set()
    assert store.state(lost) == State.RUNNING
    assert store.complete(held, result="2") == {held.id}
    assert store.job(held).result == 2


def test_a_stale_lease_is_told_so_after_the_new_owner_has_finished(store: Store) -> None:
    lost = store.running()
    store.release(lost)
    store.complete(store.take(), result="2")

    assert store.complete(lost, result="1") == set()
    assert store.job(lost).result == 2


@pytest.mark.parametrize("back", ["release", "fail"])
def test_a_lease_that_was_given_back_finishes_nothing(store: Store, back: str) -> None:
    job = store.running()
    getattr(store, back)(job)

    assert store.complete(job) == set()
    assert store.state(job) == State.AVAILABLE


def test_a_job_that_ended_otherwise_cannot_be_completed(store: Store) -> None:
    job = store.running()
    store.discard(job)

    assert store.complete(job) == set()
    assert store.state(job) == State.DISCARDED


def test_an_unknown_job_is_not_completed(store: Store) -> None:
    assert store.do(operations.complete([Completed(12345, 67890)])) == {}


def test_a_batch_completes_what_is_held_and_tells_of_the_rest(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(4)))
    first, lost, done, last = store.claim()
    store.release(lost)
    store.complete(done)

    assert store.complete(first, lost, done, last) == {first.id, done.id, last.id}
    assert store.states(first, done, last) == ["completed"] * 3
    assert store.state(lost) == State.AVAILABLE


def test_the_order_of_a_batch_does_not_matter(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(4)))
    jobs = store.claim()

    assert store.complete(*reversed(jobs)) == {job.id for job in jobs}


def test_a_thousand_are_completed_at_once(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(1_000)))
    jobs = store.claim(1_000)

    assert len(store.complete(*jobs)) == 1_000
    assert store.claim() == []


def test_a_job_that_was_asked_to_cancel_may_still_complete(store: Store) -> None:
    job = store.running()
    store.cancel(job)

    assert store.complete(job) == {job.id}
    assert store.job(job).state == State.COMPLETED
    assert store.job(job).reason is None


def test_a_completed_job_is_handed_out_no_more(store: Store) -> None:
    store.complete(store.running())
    store.passes(days=400)
    store.promote()

    assert store.claim() == []


def test_what_is_not_kept_is_gone(store: Store) -> None:
    store.keep = frozenset({State.DISCARDED})
    job = store.running()

    assert store.complete(job) == {job.id}
    assert store.missing(job)


@needs("transactions")
def test_a_completion_that_is_rolled_back_never_was(store: Store) -> None:
    parent = a_job()
    _, child = store.enqueue(parent, a_job().after(parent))
    job = store.take()
    done = operations.complete([Completed(job.id, job.lease)], now=store.now)

    with pytest.raises(ZeroDivisionError), store.backend.transaction() as executor:
        assert executor.execute(done) == {(job.id, job.lease): True}
        raise ZeroDivisionError

    assert store.states(job, child) == ["running", "blocked"]
    assert store.complete(job) == {job.id}
    assert store.states(job, child) == ["completed", "available"]


# A task that finishes in its own transaction


@needs("transactions", "concurrency")
def test_nobody_sees_what_a_task_enqueued_before_it_commits(store: Store) -> None:
    job = store.running()

    with store.backend.transaction() as executor:
        plan = operations.completing(job, Completion("7", (a_job("next"),)))
        carry_out(plan, executor.execute)
        assert store.claim() == []

    assert store.work() == ["next"]


@needs("transactions")
def test_a_task_finishes_in_its_own_transaction_with_what_it_enqueued(store: Store) -> None:
    job = store.running()
    completion = Completion("7", (a_job("next"),))

    with store.backend.transaction() as executor:
        carry_out(operations.completing(job, completion), executor.execute)

    assert (store.state(job), store.job(job).result) == (State.COMPLETED, 7)
    assert store.work() == ["next"]


def test_a_task_enqueues_itself_again_under_its_own_key(store: Store) -> None:
    job = store.running(a_job("again", unique="k"))
    completion = Completion(None, (a_job("again", unique="k"),))

    store.carry(operations.completing(job, completion, now=store.now))

    assert store.state(job) == State.COMPLETED
    assert store.work() == ["again"]


def test_a_task_enqueues_what_follows_itself_although_it_is_not_kept(store: Store) -> None:
    store.keep = frozenset()
    job = store.running()
    completion = Completion("7", (a_job("next").after(job.id),))

    store.carry(operations.completing(job, completion, store.keep, now=store.now))

    child = store.take()
    assert child.task == "next"
    [parent] = store.do(inspections.parents([child.id]))
    assert (parent.outcome, parent.result) == (State.COMPLETED, "7")


@needs("transactions")
def test_a_task_whose_transaction_fails_is_still_running(store: Store) -> None:
    job = store.running()
    completion = Completion("7", (a_job("next"),))

    with pytest.raises(ZeroDivisionError), store.backend.transaction() as executor:
        carry_out(operations.completing(job, completion), executor.execute)
        raise ZeroDivisionError

    assert store.state(job) == State.RUNNING
    assert store.claim() == []


@needs("transactions")
@pytest.mark.parametrize("lost", ["to another worker", "because it was completed already"])
def test_a_task_that_has_lost_its_lease_cannot_finish(store: Store, lost: str) -> None:
    job = store.running()
    if lost == "to another worker":
        store.release(job)
        store.take()
    else:
        store.complete(job)

    with pytest.raises(LeaseLost), store.backend.transaction() as executor:
        carry_out(operations.completing(job, Completion(None, (a_job(),))), executor.execute)

    assert store.claim() == []
