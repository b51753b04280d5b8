"""usage: how much of a queue's limits is used, and which of its keys have most jobs."""

from __future__ import annotations

from typing import Any

from pgqueue import operations
from pgqueue.jobs.limits import KeyLimits, Rate
from pgqueue.operations import KeyUsage, Usage
from pgqueue.testing.conformance.keyed import fill
from pgqueue.testing.conformance.store import Store, a_job, needs


def usage(store: Store, most: int = 5, look: int = 1_000) -> Usage:
    found: Usage = store.do(operations.usage("default", most, look, now=store.now))
    return found


@needs("limits")
def test_the_keys_with_most_jobs_come_first(store: Store) -> None:
    fill(store, "aaab  c")
    fill(store, "dddd", queue="other")
    store.limit(key_concurrency=2)
    assert len(store.turn().jobs) == 6

    found = usage(store)

    assert (found.running, found.started, found.exact) == (6, None, True)
    assert found.keys == [
        KeyUsage("a", 1, 2),
        KeyUsage("", 0, 2),
        KeyUsage("b", 0, 1),
        KeyUsage("c", 0, 1),
    ]


@needs("limits")
def test_a_few_are_enough(store: Store) -> None:
    fill(store, "abbccc")
    store.limit(concurrency=1)

    assert [used.key for used in usage(store, most=2).keys] == ["c", "b"]


@needs("limits")
def test_jobs_that_do_not_wait_for_their_turn_are_left_out(store: Store) -> None:
    fill(store, "a")
    hour: Any = 3_600
    store.enqueue(a_job(key="a").options(delay=hour), a_job(key="b").options(delay=hour))
    store.limit(concurrency=1)

    assert usage(store).keys == [KeyUsage("a", 1, 0)]


@needs("limits")
def test_starts_of_the_last_period_are_counted(store: Store) -> None:
    fill(store, "ab", 5)
    store.limit(rate=Rate(7, 60), key_rate=Rate(3, 10))
    store.complete(*store.turn().jobs)
    assert usage(store).started == 6
    store.passes(seconds=11)
    store.complete(*store.turn().jobs)

    found = usage(store)

    assert found.started == 7
    assert {used.key: used.started for used in found.keys} == {"a": 1, "b": 0} or {
        used.key: used.started for used in found.keys
    } == {"a": 0, "b": 1}
    store.passes(seconds=61)
    assert usage(store).started == 0


@needs("limits")
def test_what_is_different_for_a_key_is_told(store: Store) -> None:
    fill(store, "ab")
    own = KeyLimits(4, Rate(3, 60.0), 2)
    store.do(operations.limit_key("default", "b", own))
    store.turn()

    found = usage(store)

    assert [(used.key, used.limits, used.started) for used in found.keys] == [
        ("a", None, None),
        ("b", own, 1),
    ]


@needs("limits")
def test_it_says_that_there_are_more_keys(store: Store) -> None:
    fill(store, "abcd")
    store.limit(concurrency=1)

    assert not usage(store, look=3).exact
    assert len(usage(store, look=3).keys) == 3
    assert usage(store, look=5).exact


@needs("limits")
def test_nothing_is_used_of_a_queue_without_jobs(store: Store) -> None:
    store.limit(concurrency=1)

    assert usage(store) == Usage(0)
    found: Usage = store.do(operations.usage("nowhere", now=store.now))
    assert found == Usage(0)
