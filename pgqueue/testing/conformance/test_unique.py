"""unique: enqueueing with the key of an unfinished job answers with that job."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.jobs.job import State
from pgqueue.testing.conformance.store import NOON, Store, a_job, ids, needs


def test_a_free_key_makes_a_job(store: Store) -> None:
    [handle] = store.enqueue(a_job(unique="k"))

    assert handle.created
    assert store.job(handle).unique_key == "k"


def test_a_held_key_answers_with_its_holder(store: Store) -> None:
    [first] = store.enqueue(a_job("first", unique="k", args='{"n": 1}'))
    [second] = store.enqueue(a_job("second", unique="k", args='{"n": 2}', queue="mail", priority=9))

    assert (second.id, second.created) == (first.id, False)
    assert len(store.listing()) == 1
    holder = store.job(first)
    assert (holder.task, holder.args, holder.queue) == ("first", {"n": 1}, "default")


def test_twice_in_one_call_makes_one_job(store: Store) -> None:
    first, second, third = store.enqueue(
        a_job("first", unique="k"), a_job("second", unique="k"), a_job("third", unique="k")
    )

    assert first.id == second.id == third.id
    assert [handle.created for handle in (first, second, third)] == [True, False, False]
    assert store.work() == ["first"]


def test_of_a_key_in_one_call_the_first_makes_the_job(store: Store) -> None:
    keys = ["b", "a", "c"] * 20
    store.enqueue(*(a_job(f"{key}{n}", unique=key) for n, key in enumerate(keys)))

    assert store.work() == ["b0", "a1", "c2"]


def test_keys_that_differ_are_different(store: Store) -> None:
    keys = ["k", "K", "k ", " k", "ḱ", "k" * 512, "'", '"', "\\", "1", "%s", "$1", ":now", "\n"]
    handles = store.enqueue(*(a_job(unique=key) for key in keys))

    assert all(handle.created for handle in handles)
    assert [job.unique_key for job in store.jobs(*handles)] == keys
    again = store.enqueue(*(a_job(unique=key) for key in keys))
    assert [handle.id for handle in again] == [handle.id for handle in handles]


@pytest.mark.parametrize("state", ["scheduled", "available", "running", "retryable", "blocked"])
def test_a_job_holds_its_key_until_it_has_finished(store: Store, state: str) -> None:
    id = store.bring(state, a_job(unique="k"))

    [handle] = store.enqueue(a_job(unique="k"))

    assert (handle.id, handle.created) == (id, False)


@pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
def test_a_finished_job_frees_its_key(store: Store, state: str) -> None:
    id = store.bring(state, a_job(unique="k"))

    [handle] = store.enqueue(a_job(unique="k"))

    assert handle.created
    assert handle.id != id
    assert store.job(id).unique_key == "k"


def test_a_key_is_freed_by_every_way_to_finish(store: Store) -> None:
    cancelled = store.add(a_job(unique="a"))
    store.cancel(cancelled)
    asked = store.running(a_job(unique="b"))
    store.cancel(asked)
    store.release(asked)
    lost = store.running(a_job(unique="c"), by=store.join().worker)
    spoiled = store.add(a_job(unique="d").after(lost.id))
    store.passes(minutes=2)
    store.heartbeat()
    store.rescue(max_rescues=0)
    finished = ["cancelled", "cancelled", "discarded", "cancelled"]
    assert store.states(cancelled, asked, lost, spoiled) == finished

    assert all(handle.created for handle in store.enqueue(*(a_job(unique=k) for k in "abcd")))


def test_a_call_mixes_new_held_and_plain_jobs_in_order(store: Store) -> None:
    held = store.add(a_job("held", unique="h"))
    handles = store.enqueue(
        a_job("plain"),
        a_job("z", unique="z"),
        a_job("held", unique="h"),
        a_job("a", unique="a"),
        a_job("other", unique="z"),
        a_job("last"),
    )

    assert [handle.created for handle in handles] == [True, True, False, True, False, True]
    assert handles[2].id == held
    assert handles[4].id == handles[1].id
    assert [h.task for h in handles] == ["plain", "z", "held", "a", "other", "last"]
    assert store.work() == ["held", "plain", "z", "a", "last"]


def test_thousands_of_keys_in_one_call(store: Store) -> None:
    keys = [n % 1_700 for n in range(2_500)]
    handles = store.enqueue(*(a_job(args=f'{{"n": {n}}}', unique=f"key {n}") for n in keys))

    assert [handle.created for handle in handles] == [n < 1_700 for n in range(2_500)]
    assert [job.args["n"] for job in store.jobs(*handles)] == keys
    assert ids(store.claim(2_500)) == [handle.id for handle in handles[:1_700]]


def test_a_unique_job_keeps_all_it_was_given(store: Store) -> None:
    id = store.add(
        a_job(
            "shop.send",
            args='{"order": 7}',
            queue="mail",
            priority=-5,
            delay=timedelta(hours=1),
            max_attempts=3,
            timeout=timedelta(seconds=90.5),
            unique="k",
            tags=("eu", "vip"),
            metadata='{"by": "ada"}',
        )
    )
    job = store.job(id)

    assert (job.task, job.queue, job.priority) == ("shop.send", "mail", -5)
    assert (job.args, job.metadata) == ({"order": 7}, {"by": "ada"})
    assert (job.run_at, job.timeout_seconds) == (NOON + timedelta(hours=1), 90.5)
    assert (job.max_attempts, job.tags, job.enqueued_at) == (3, ("eu", "vip"), NOON)
    assert job.state == State.SCHEDULED


def test_a_child_of_a_held_job_waits_for_its_holder(store: Store) -> None:
    holder = store.running(a_job(unique="k"))
    parent = a_job(unique="k")
    answered, child = store.enqueue(parent, a_job().after(parent))

    assert answered.id == holder.id
    assert store.state(child) == State.BLOCKED
    store.complete(holder)
    assert store.take().id == child.id


def test_a_holder_keeps_its_own_parents(store: Store) -> None:
    first, second = store.running(), store.running()
    child = store.add(a_job(unique="k").after(first.id))
    [answered] = store.enqueue(a_job(unique="k").after(second.id))

    assert answered.id == child
    assert list(store.outcomes(child)) == [(child, first.id)]
    store.complete(first)
    assert store.state(child) == State.AVAILABLE


def test_a_holder_without_parents_waits_for_none(store: Store) -> None:
    id = store.add(a_job(unique="k"))
    parent = a_job()
    _, answered = store.enqueue(parent, a_job(unique="k").after(parent))

    assert answered.id == id
    assert (store.state(id), store.job(id).blocked_by) == (State.AVAILABLE, 0)


def test_a_chain_under_one_key_is_one_job(store: Store) -> None:
    parent = a_job("first", unique="k")
    first, second = store.enqueue(parent, a_job("second", unique="k").after(parent))

    assert first.id == second.id
    assert store.work() == ["first"]


@needs("transactions")
def test_a_key_is_free_when_its_transaction_is_rolled_back(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.backend.transaction() as executor:
        carry_out(operations.enqueue([a_job(unique="k")], now=NOON), executor.execute)
        raise ZeroDivisionError

    [handle] = store.enqueue(a_job(unique="k"))
    assert handle.created


@needs("transactions")
def test_a_key_is_held_within_its_own_transaction(store: Store) -> None:
    with store.backend.transaction() as executor:
        first = carry_out(operations.enqueue([a_job(unique="k")], now=NOON), executor.execute)
        second = carry_out(operations.enqueue([a_job(unique="k")], now=NOON), executor.execute)

    assert (second[0].id, second[0].created) == (first[0].id, False)
