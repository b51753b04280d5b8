"""What a queue allows, of all workers together."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import KeyLimits, Limits, Rate
from pgqueue.operations import Terms, inspections
from pgqueue.testing.conformance.keyed import fill, keys_of
from pgqueue.testing.conformance.store import Store, ids, needs


def running(store: Store) -> Counter[str]:
    return Counter(job.key or "" for job in store.listing(state=State.RUNNING, limit=1000))


# Concurrency


@needs("limits")
def test_no_more_of_a_queue_run_than_it_allows(store: Store) -> None:
    fill(store, " ab", 5)
    store.limit(concurrency=4)

    first = store.turn()
    assert len(first.jobs) == 4
    assert store.turn(after=first.after).jobs == []

    store.complete(first.jobs[0])
    assert len(store.turn(after=first.after).jobs) == 1
    assert sum(running(store).values()) == 4


@needs("limits")
def test_no_more_of_a_key_run_than_it_may(store: Store) -> None:
    fill(store, "ab ", 5)
    store.limit(key_concurrency=2)

    first = store.turn()

    assert running(store) == {"a": 2, "b": 2, "": 5}
    assert store.turn(after=first.after).jobs == []
    [one] = [job for job in first.jobs if job.key == "a"][:1]
    store.fail(one)
    assert keys_of(store.turn(after=first.after)) == "a"


@needs("limits")
@pytest.mark.parametrize("ending", ["complete", "retry", "discard", "cancel", "release", "snooze"])
def test_whatever_ends_an_attempt_frees_its_place(store: Store, ending: Any) -> None:
    fill(store, "aa")
    store.limit(concurrency=1)
    [job] = store.turn().jobs
    assert store.turn().jobs == []

    if ending == "complete":
        store.complete(job)
    elif ending == "release":
        store.release(job)
    elif ending == "snooze":
        store.release(job, delay=timedelta(minutes=1))
    else:
        store.fail(job, verdict=ending, retry_in=timedelta(minutes=1))

    assert len(store.turn().jobs) == 1


@needs("limits")
def test_a_dead_workers_jobs_count_until_they_are_rescued(store: Store) -> None:
    fill(store, "a", 3)
    store.limit(concurrency=2)
    dead = store.join().worker
    store.turn(by=dead)
    store.passes(minutes=2)
    store.heartbeat()

    assert store.turn().jobs == []
    assert len(store.rescue().jobs) == 2
    assert len(store.turn().jobs) == 2


@needs("limits")
def test_a_key_that_is_full_is_given_nothing_either_where_nothing_is_counted_at_first(
    store: Store,
) -> None:
    store.limit(key_concurrency=2)
    fill(store, "ab", 5)
    store.turn(2)

    turn = store.turn(counting=False)

    assert keys_of(turn) == "bb"
    assert running(store) == {"a": 2, "b": 2}


@needs("limits")
def test_both_limits_hold(store: Store) -> None:
    fill(store, "abc", 5)
    store.limit(concurrency=5, key_concurrency=2)

    store.turn()

    assert sorted(running(store).values()) == [1, 2, 2]


@needs("limits")
def test_an_exception_holds_for_one_key(store: Store) -> None:
    fill(store, "ab", 5)
    store.limit(key_concurrency=1)
    store.do(operations.limit_key("default", "b", KeyLimits(concurrency=3)))

    store.turn()
    assert running(store) == {"a": 1, "b": 3}

    store.do(operations.limit_key("default", "b", None))
    assert store.turn().jobs == []


@needs("limits")
def test_queues_do_not_count_for_each_other(store: Store) -> None:
    fill(store, "a", 2)
    fill(store, "a", 2, queue="mail")
    store.limit(key_concurrency=1)
    store.limit("mail", key_concurrency=1)

    assert len(store.turn().jobs) == len(store.turn(queue="mail").jobs) == 1


# Rates


@needs("limits")
def test_no_more_attempts_begin_in_any_period_than_the_rate_says(store: Store) -> None:
    fill(store, "ab", 10)
    store.limit(rate=Rate(3, 10))

    assert len(store.turn(2).jobs) == 2
    store.passes(seconds=6)
    assert len(store.turn().jobs) == 1
    turn = store.turn()
    assert turn.jobs == []
    assert turn.free_in is not None
    assert timedelta(seconds=4) <= turn.free_in < timedelta(seconds=4.01)
    store.passes(seconds=4)
    assert store.turn().jobs == []
    store.passes(microseconds=1)
    assert len(store.turn().jobs) == 2
    assert store.turn().jobs == []
    store.passes(seconds=6)
    assert len(store.turn().jobs) == 1


@needs("limits")
def test_starts_of_a_clock_that_was_ahead_count_for_nothing(store: Store) -> None:
    fill(store, "a", 6)
    store.limit(rate=Rate(2, 60), key_rate=Rate(2, 60))
    store.passes(days=1)
    assert len(store.turn().jobs) == 2
    assert store.turn().jobs == []

    store.passes(days=-1)

    assert len(store.turn().jobs) == 2
    turn = store.turn()
    assert turn.jobs == []
    assert turn.free_in is not None
    assert timedelta(seconds=59) < turn.free_in <= timedelta(seconds=60.01)


@needs("limits")
def test_each_key_has_its_own_rate(store: Store) -> None:
    fill(store, "ab ", 3)
    store.limit(key_rate=Rate(2, 1))

    turn = store.turn()

    assert running(store) == {"a": 2, "b": 2, "": 3}
    turn = store.turn(after=turn.after)
    assert turn.jobs == []
    assert turn.free_in is not None
    assert turn.free_in >= timedelta(seconds=1)
    store.passes(seconds=1.001)
    assert sorted(keys_of(store.turn())) == ["a", "b"]


@needs("limits")
def test_retries_count_and_what_was_handed_back_unstarted_does_not(store: Store) -> None:
    fill(store, "a", 3)
    store.limit(rate=Rate(2, 60), key_rate=Rate(2, 60))
    one, two = store.turn().jobs

    store.fail(one)
    assert store.turn().jobs == []
    store.release(two, unstarted=True)
    [again] = store.turn().jobs
    store.release(again)
    assert store.turn().jobs == []


# Order


@needs("limits")
def test_the_jobs_of_a_key_start_one_after_the_other(store: Store) -> None:
    made = fill(store, "ab", 3)
    store.limit(ordered=True)
    seen: dict[str, list[int]] = {"a": [], "b": []}

    for _ in range(3):
        turn = store.turn()
        assert sorted(keys_of(turn)) == ["a", "b"]
        assert store.turn().jobs == []
        for job in turn.jobs:
            seen[job.key].append(job.id)
        store.complete(*turn.jobs)

    assert seen == made


@needs("limits")
@pytest.mark.parametrize("ending", ["retry", "now", "snooze", "release", "rescue"])
def test_one_that_will_be_tried_again_holds_its_key(store: Store, ending: str) -> None:
    made = fill(store, "a", 2)["a"]
    store.limit(ordered=True)
    worker = store.join().worker
    [job] = store.turn(by=worker).jobs
    assert job.id == made[0]

    if ending in ("retry", "now"):
        store.fail(job, retry_in=timedelta(minutes=1) if ending == "retry" else None)
    elif ending == "rescue":
        store.passes(minutes=2)
        store.heartbeat()
        store.rescue()
    else:
        store.release(job, delay=timedelta(minutes=1) if ending == "snooze" else None)

    if ending in ("retry", "snooze"):
        assert store.turn().jobs == []
        store.passes(minutes=1)
        store.promote()
    [again] = store.turn().jobs
    assert again.id == made[0]
    assert store.turn().jobs == []
    store.complete(again)
    assert ids(store.turn().jobs) == [made[1]]


@needs("limits")
@pytest.mark.parametrize("ending", ["cancel", "discard"])
def test_one_that_ends_frees_its_key(store: Store, ending: str) -> None:
    made = fill(store, "a", 2)["a"]
    store.limit(ordered=True)
    [job] = store.turn().jobs
    store.fail(job, retry_in=timedelta(minutes=1))
    assert store.turn().jobs == []

    if ending == "cancel":
        store.cancel(job)
    else:
        store.passes(minutes=1)
        store.promote()
        store.fail(*store.turn().jobs, verdict="discard")

    assert ids(store.turn().jobs) == [made[1]]


@needs("limits")
def test_jobs_without_a_key_are_in_order_too(store: Store) -> None:
    made = fill(store, " ", 2)[""]
    store.limit(ordered=True)

    assert ids(store.turn().jobs) == [made[0]]
    assert store.turn().jobs == []


# What is stored


@needs("limits")
def test_what_code_says_anew_wins_and_other_changes_stay(store: Store) -> None:
    def declared(**fields: Any) -> Limits | None:
        return store.do(operations.declare_limits("q", Limits(**fields)))

    def changed(**fields: int | None) -> Limits | None:
        return store.do(operations.limit("q", fields))

    assert declared(concurrency=5, key_concurrency=2) == Limits(5, None, 2)
    assert changed(concurrency=7) == Limits(7, None, 2)
    assert declared(concurrency=5, key_concurrency=2) == Limits(7, None, 2)
    assert declared(concurrency=5, key_concurrency=3) == Limits(7, None, 3)
    assert declared(concurrency=6, key_concurrency=3) == Limits(6, None, 3)
    assert changed(concurrency=None) == Limits(None, None, 3)
    assert declared(concurrency=6, key_concurrency=3) == Limits(None, None, 3)
    assert store.do(operations.limit("q", reset=True)) == Limits(6, None, 3)
    assert changed(concurrency=None, key_concurrency=None) is None
    assert store.do(operations.turns(["q"])) == {}


@needs("limits")
def test_all_fields_come_back_as_they_were_given(store: Store) -> None:
    given = Limits(1, Rate(2, 3.5), 4, Rate(5, 0.001), True)

    assert store.do(operations.declare_limits("q", given)) == given
    assert store.do(operations.limit("q", {})) == given


@needs("limits")
def test_a_lowest_share_is_no_limit(store: Store) -> None:
    share, both = Limits(lowest_share=0.25), Limits(2, lowest_share=0.25)
    fill(store, " ", 3)

    assert store.do(operations.declare_limits("default", share)) == share
    assert store.do(operations.turns(["default"])) == {"default": Terms(False, 0.25)}
    assert len(store.claim(1)) == 1
    assert store.do(operations.limit("default", {"concurrency": 2})) == both
    assert store.do(operations.turns(["default"])) == {"default": Terms(True, 0.25)}
    assert store.claim() == []
    [queue] = store.do(inspections.queues())
    assert queue.limits == both
    assert store.do(operations.limit("default", {"lowest_share": None}, reset=True)) is None
    assert store.do(operations.turns(["default"])) == {}


@needs("limits")
def test_a_limit_holds_from_the_next_claim_on(store: Store) -> None:
    fill(store, "a", 10)
    store.limit(concurrency=5)
    first = store.turn()
    store.limit(concurrency=2)

    assert len(first.jobs) == 5
    store.complete(*first.jobs[:3])
    assert store.turn().jobs == []
    store.complete(first.jobs[3])
    assert len(store.turn().jobs) == 1
    store.limit(concurrency=4)
    assert len(store.turn().jobs) == 2


@needs("limits")
def test_what_ran_before_there_was_a_limit_does_not_count(store: Store) -> None:
    fill(store, " ", 6)
    before = store.claim(3)
    store.limit(concurrency=2)

    assert len(store.turn().jobs) == 2
    store.complete(*before)
    assert store.turn().jobs == []


@needs("limits")
def test_without_limits_again_a_plain_claim_takes_all(store: Store) -> None:
    fill(store, " ", 4)
    store.limit(concurrency=1)
    store.turn()
    store.limit()

    assert len(store.claim()) == 3
