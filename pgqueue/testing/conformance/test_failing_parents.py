"""When a parent fails: each edge says whether the child is cancelled too, or runs anyway."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob
from pgqueue.testing.conformance.store import Store, a_job


def by_cancel(store: Store, parent: ClaimedJob) -> None:
    store.release(parent)
    store.cancel(parent)


def by_cancelling_it_while_it_runs(store: Store, parent: ClaimedJob) -> None:
    store.cancel(parent)
    store.release(parent)


def by_a_verdict(store: Store, parent: ClaimedJob) -> None:
    store.fail(parent, verdict="discard")


def by_the_last_attempt(store: Store, parent: ClaimedJob) -> None:
    for _ in range(parent.max_attempts - 1):
        store.fail(parent)
        parent = store.take()
    store.fail(parent)


def by_killing_its_worker(store: Store, parent: ClaimedJob) -> None:
    store.passes(minutes=2)
    store.rescue(max_rescues=0)
    store.heartbeat()


EVERY_WAY = [
    by_cancel,
    by_cancelling_it_while_it_runs,
    by_a_verdict,
    by_the_last_attempt,
    by_killing_its_worker,
]


@pytest.mark.parametrize("fails", EVERY_WAY)
def test_a_child_follows_its_edges_policy_in_every_way_to_fail(
    store: Store, fails: Callable[[Store, ClaimedJob], None]
) -> None:
    parent = store.running()
    spoiled = store.add(a_job().after(parent.id))
    undeterred = store.add(a_job().after(parent.id, on_failure="run"))

    fails(store, parent)

    ended = store.state(parent)
    assert ended in (State.CANCELLED, State.DISCARDED)
    assert store.states(spoiled, undeterred) == ["cancelled", "available"]
    assert store.job(spoiled).reason == f"parent {parent.id} was {ended}"
    assert store.outcomes(undeterred) == {(undeterred, parent.id): ended}


@pytest.mark.parametrize("fails", EVERY_WAY)
def test_a_failure_cascades_through_the_generations(
    store: Store, fails: Callable[[Store, ClaimedJob], None]
) -> None:
    parent = store.running()
    line = [a_job().after(parent.id)]
    for _ in range(5):
        line.append(a_job().after(line[-1]))
    rescued = a_job("undeterred").after(line[-1], on_failure="run")
    handles = store.enqueue(*line, rescued, a_job("last").after(rescued))

    fails(store, parent)

    assert store.states(*handles[:6]) == ["cancelled"] * 6
    for child, above in zip(handles[1:6], handles, strict=False):
        assert store.job(child).reason == f"parent {above.id} was cancelled"
    assert store.work() == ["undeterred", "last"]


def test_a_child_is_cancelled_although_others_of_its_parents_still_run(store: Store) -> None:
    failing, running = store.running(), store.running()
    child = store.add(a_job().after(failing.id, running.id))
    store.discard(failing)

    assert store.state(child) == State.CANCELLED
    store.complete(running)
    assert store.state(child) == State.CANCELLED


def test_a_child_that_runs_anyway_waits_for_all_the_same(store: Store) -> None:
    failing, running = store.running(), store.running()
    child = store.add(a_job().after(failing.id, running.id, on_failure="run"))
    store.discard(failing)

    assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    store.complete(running)
    assert store.state(child) == State.AVAILABLE


@pytest.mark.parametrize("discards", ["lenient", "strict"])
def test_each_edge_has_its_own_policy(store: Store, discards: str) -> None:
    lenient, strict = store.running(), store.running()
    child = store.add(a_job().after(lenient.id, on_failure="run").after(strict.id))
    failing, other = (lenient, strict) if discards == "lenient" else (strict, lenient)
    store.discard(failing)
    store.complete(other)

    assert store.state(child) == ("available" if discards == "lenient" else "cancelled")


def test_a_batch_that_frees_and_spoils_does_both(store: Store) -> None:
    store.enqueue(a_job(), a_job(), a_job())
    good, bad, both = store.claim()
    freed = store.add(a_job().after(both.id, on_failure="run"))
    spoiled = store.add(a_job().after(good.id, bad.id))
    mixed = store.add(a_job().after(bad.id, both.id, on_failure="run"))
    store.complete(good)
    store.discard(bad, both)

    assert store.states(freed, spoiled, mixed) == ["available", "cancelled", "available"]


def test_a_parent_that_had_failed_cancels_its_child_at_once(store: Store) -> None:
    parent = store.running()
    store.discard(parent)
    child = a_job("child").after(parent.id)
    handles = store.enqueue(
        child,
        a_job("grandchild").after(child),
        a_job("undeterred").after(child, on_failure="run"),
        a_job("also").after(parent.id, on_failure="run"),
    )

    assert store.states(*handles) == ["cancelled", "cancelled", "available", "available"]
    assert store.job(handles[0]).reason == f"parent {parent.id} was discarded"
    assert store.work() == ["also", "undeterred"]


def test_a_failure_spoils_many_at_once(store: Store) -> None:
    parent = store.running()
    children = [a_job().after(parent.id) for _ in range(200)]
    handles = store.enqueue(*children, *(a_job().after(child) for child in children))
    store.discard(parent)

    assert set(store.states(*handles)) == {"cancelled"}


def test_a_cascade_that_is_not_kept_is_gone(store: Store) -> None:
    store.keep = frozenset({State.DISCARDED})
    parent = store.running()
    child = a_job().after(parent.id)
    handles = store.enqueue(child, a_job().after(child))
    survivor = store.add(a_job().after(handles[1].id, on_failure="run"))
    store.discard(parent)

    assert store.missing(*handles)
    assert store.states(parent, survivor) == ["discarded", "available"]


def test_a_cancelled_child_that_is_retried_still_waits_for_its_parents(store: Store) -> None:
    failing, running = store.running(), store.running()
    child = store.add(a_job().after(failing.id, running.id))
    store.discard(failing)

    assert store.retry(child) == {child: "blocked"}
    assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    store.complete(running)
    assert store.take().id == child


def test_a_retried_child_runs_when_no_parent_is_left(store: Store) -> None:
    failing, running = store.running(), store.running()
    child = store.add(a_job().after(failing.id, running.id))
    store.discard(failing)
    store.complete(running)

    assert store.retry(child) == {child: "available"}
    assert store.take().id == child
