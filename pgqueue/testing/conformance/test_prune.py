"""prune: jobs that are past their retention are deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue.jobs.job import State
from pgqueue.jobs.retention import Retention
from pgqueue.testing.conformance.store import Store, a_job, needs

DAY = timedelta(days=1)
FOR_EVER = Retention(None, None, None)
ENDS = ["completed", "cancelled", "discarded"]


def keeping(state: str, time: timedelta | None) -> Retention:
    """Return a retention that keeps everything for ever, except one state."""
    return Retention(**{**dict.fromkeys(ENDS), state: time})


@pytest.mark.parametrize("state", ENDS)
def test_what_is_past_its_retention_goes(store: Store, state: str) -> None:
    old = store.bring(state)
    store.passes(days=5)

    store.prune(keeping(state, 2 * DAY))

    assert store.missing(old)


@pytest.mark.parametrize("state", ENDS)
def test_what_is_not_past_its_retention_stays(store: Store, state: str) -> None:
    recent = store.bring(state)
    others = [store.bring(other) for other in ENDS if other != state]
    store.passes(days=1.9)

    store.prune(keeping(state, 2 * DAY))

    assert store.states(recent, *others) == [state, *(s for s in ENDS if s != state)]


@pytest.mark.parametrize("state", ENDS)
def test_goes_also_when_it_was_pruned_before(store: Store, state: str) -> None:
    """By then, a store with partitions has made one for each day."""
    retention = keeping(state, 2 * DAY)
    store.prune(retention)
    kept = []
    for _ in range(12):
        store.passes(days=1)
        kept.append(store.bring(state))
        store.prune(retention)

    assert store.missing(*kept[:-4])
    assert store.states(*kept[-2:]) == [state] * 2


@pytest.mark.parametrize("state", ENDS)
def test_no_retention_keeps_for_ever(store: Store, state: str) -> None:
    old = store.bring(state)
    for _ in range(5):
        store.passes(days=1_000)
        store.prune(FOR_EVER)
        store.bring(state)

    assert store.state(old) == state


@pytest.mark.parametrize("state", ENDS)
def test_a_retention_of_nothing_drops_what_was_kept_before(store: Store, state: str) -> None:
    old = store.bring(state)
    store.passes(seconds=1)

    store.prune(keeping(state, timedelta(0)))

    assert store.missing(old)


def test_a_retention_says_which_states_are_kept_at_all() -> None:
    assert Retention().archived_states() == {State.COMPLETED, State.CANCELLED, State.DISCARDED}
    assert FOR_EVER.archived_states() == {State.COMPLETED, State.CANCELLED, State.DISCARDED}
    assert Retention(completed=timedelta(0)).archived_states() == {State.CANCELLED, State.DISCARDED}


def test_never_touches_what_has_not_finished(store: Store) -> None:
    running = store.running()
    waiting, scheduled, blocked = store.enqueue(
        a_job(), a_job(delay=9_999 * DAY), a_job().after(running.id)
    )
    store.passes(days=5_000)

    store.prune(Retention(timedelta(0), timedelta(0), timedelta(0)))

    assert store.states(running, waiting, scheduled, blocked) == [
        "running",
        "available",
        "scheduled",
        "blocked",
    ]
    store.heartbeat()


def test_each_state_has_its_own_time(store: Store) -> None:
    completed, cancelled, discarded = (store.bring(state) for state in ENDS)
    retention = Retention(DAY, 7 * DAY, 30 * DAY)
    store.passes(days=4)
    store.prune(retention)
    assert store.missing(completed)
    assert store.states(cancelled, discarded) == ["cancelled", "discarded"]

    store.passes(days=16)
    store.prune(retention)
    assert store.missing(cancelled)
    assert store.states(discarded) == ["discarded"]

    store.passes(days=40)
    store.prune(retention)
    assert store.missing(discarded)


def test_a_retention_may_change(store: Store) -> None:
    store.prune(keeping("completed", 100 * DAY))
    jobs = []
    for days in (100, 1, 30, 3, None):
        jobs.append(store.bring("completed"))
        store.prune(keeping("completed", None if days is None else days * DAY))
        store.passes(hours=20)

    assert store.states(*jobs[-2:]) == ["completed"] * 2
    store.passes(days=50)
    store.prune(keeping("completed", DAY))
    assert store.missing(*jobs)


def test_prunes_twice_in_a_row(store: Store) -> None:
    store.bring("completed")
    store.passes(days=9)
    store.prune(Retention())

    assert store.prune(Retention()) == (0, 0)


def test_what_an_unfinished_child_may_read_stays(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.complete(parent, result="1")
    store.passes(days=9)
    store.prune(Retention())
    store.heartbeat()

    assert store.job(parent).result == 1
    store.complete(store.take())
    store.prune(Retention())
    assert store.missing(parent)
    assert not store.missing(child)


def test_a_result_is_kept_for_a_child_although_completed_jobs_are_not(store: Store) -> None:
    at_once = Retention(completed=timedelta(0))
    store.keep = at_once.archived_states()
    parent, alone = store.running(), store.running()
    child = store.add(a_job().after(parent.id))
    store.complete(parent, alone, result="1")
    store.prune(at_once)

    assert store.job(parent).result == 1
    assert store.missing(alone)
    store.complete(store.take())
    store.prune(at_once)
    assert store.missing(parent, child)
    assert store.outcomes(child) == {}


@pytest.mark.parametrize("kept", [frozenset(), frozenset({State.CANCELLED})])
def test_a_result_is_not_kept_for_a_child_that_has_ended(
    store: Store, kept: frozenset[State]
) -> None:
    store.keep = kept
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.cancel(child)
    store.complete(parent, result="1")

    assert store.missing(parent)
    assert store.missing(child) == (not kept)


def test_a_result_is_not_kept_for_a_child_that_ends_with_its_parent(store: Store) -> None:
    store.keep = Retention(completed=timedelta(0)).archived_states()
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.discard(parent)
    store.retry(child)
    store.retry(parent)
    store.complete(*store.claim(2))

    assert store.missing(parent, child)


def test_edges_go_with_their_children(store: Store) -> None:
    parent = a_job()
    _, child = store.enqueue(parent, a_job().after(parent))
    store.work()
    store.passes(days=9)
    store.prune(Retention())

    assert store.outcomes(child) == {}


def test_edges_go_with_children_that_were_not_kept(store: Store) -> None:
    nothing = Retention(timedelta(0), timedelta(0), timedelta(0))
    store.keep = nothing.archived_states()
    parent = a_job()
    _, child = store.enqueue(parent, a_job().after(parent))
    store.work()
    store.passes(days=1)
    store.prune(nothing)

    assert store.outcomes(child) == {}


def test_edges_of_a_child_that_waits_stay(store: Store) -> None:
    first, second = a_job(), a_job()
    *_, child = store.enqueue(first, second, a_job().after(first, second))
    store.complete(store.take())
    store.passes(days=9)
    store.prune(Retention())
    store.heartbeat()

    assert len(store.outcomes(child)) == 2
    store.work()
    assert store.state(child) == State.COMPLETED


@needs("partitions")
def test_days_are_dropped_whole(store: Store) -> None:
    retention = keeping("completed", 2 * DAY)
    store.prune(retention)
    for _ in range(3):
        store.bring("completed")
    store.passes(days=10)

    dropped, deleted = store.prune(retention)

    assert dropped >= 1
    assert deleted == 0
    assert store.listing() == []
