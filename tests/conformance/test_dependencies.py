"""Dependencies: a child starts after all its parents finished as its edges demand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from pgqueue import inspections, operations
from pgqueue.backends.base import carry_out
from pgqueue.errors import UnknownParent
from pgqueue.jobs import State
from pgqueue.operations import ClaimedJob
from tests.conformance.store import NOON, Store, a_job, needs

HOUR = timedelta(hours=1)


def test_a_child_waits_for_its_parent(store: Store) -> None:
    parent = a_job("parent")
    _, child = store.enqueue(parent, a_job("child").after(parent))

    waiting = store.job(child)
    assert (waiting.state, waiting.blocked_by) == (State.BLOCKED, 1)
    taken = store.take()
    assert store.claim() == []
    store.passes(seconds=5)
    store.complete(taken)
    freed = store.job(child)
    assert (freed.state, freed.blocked_by) == (State.AVAILABLE, 0)
    assert freed.run_at == NOON + timedelta(seconds=5)


def test_a_chain_runs_in_its_order(store: Store) -> None:
    chain = [a_job("task0")]
    for n in range(1, 6):
        chain.append(a_job(f"task{n}", priority=-n).after(chain[-1]))
    store.enqueue(*chain)

    assert store.work() == [f"task{n}" for n in range(6)]


def test_fan_out_frees_every_child(store: Store) -> None:
    parent = a_job("parent")
    store.enqueue(parent, *(a_job("child").after(parent) for _ in range(100)))

    assert store.work() == ["parent"] + ["child"] * 100


def test_fan_in_waits_for_the_last_parent(store: Store) -> None:
    parents = [a_job() for _ in range(10)]
    *_, child = store.enqueue(*parents, a_job("child").after(*parents))
    taken = store.claim()

    for n, parent in enumerate(taken):
        assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 10 - n)
        store.complete(parent)

    assert store.take().id == child.id


def test_several_parents_in_one_batch_are_all_counted(store: Store) -> None:
    parents = [a_job() for _ in range(10)]
    *_, child = store.enqueue(*parents, a_job("child").after(*parents))
    taken = store.claim()

    store.complete(*taken[:7])
    assert store.job(child).blocked_by == 3
    store.complete(*taken[7:])

    assert store.state(child) == State.AVAILABLE


def test_a_parent_that_is_completed_twice_is_counted_once(store: Store) -> None:
    parents = [a_job(), a_job()]
    *_, child = store.enqueue(*parents, a_job().after(*parents))
    first, second = store.claim()

    for _ in range(3):
        store.complete(first)
    store.complete(first, first)

    assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    store.complete(first, second)
    assert store.state(child) == State.AVAILABLE


def test_a_retried_parent_is_counted_once(store: Store) -> None:
    parents = [a_job(), a_job()]
    *_, child = store.enqueue(*parents, a_job().after(*parents))
    first, second = store.claim()
    store.complete(first)
    store.retry(first)
    store.complete(store.take())

    assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    store.complete(second)
    assert store.state(child) == State.AVAILABLE


def test_a_diamond_joins_once(store: Store) -> None:
    top = a_job("top")
    left, right = a_job("left").after(top), a_job("right").after(top)
    store.enqueue(top, left, right, a_job("bottom").after(left, right))

    assert store.work() == ["top", "left", "right", "bottom"]


def test_a_parent_named_twice_is_one_parent(store: Store) -> None:
    parent = a_job("parent")
    _, child = store.enqueue(parent, a_job("child").after(parent, parent).after(parent))

    assert store.job(child).blocked_by == 1
    assert store.work() == ["parent", "child"]


def test_failed_attempts_do_not_free_a_child(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.fail(parent)
    store.release(store.take())
    store.fail(store.take(), retry_in=HOUR)

    assert store.state(child) == State.BLOCKED
    store.passes(hours=1)
    store.promote()
    store.complete(store.take())
    assert store.state(child) == State.AVAILABLE


# Parents from another call


@pytest.mark.parametrize("state", ["available", "scheduled", "blocked", "running", "retryable"])
def test_an_unfinished_parent_of_an_earlier_call(store: Store, state: str) -> None:
    grandparent = store.add()
    given = {"scheduled": a_job(delay=HOUR), "blocked": a_job().after(grandparent)}
    if state in ("running", "retryable"):
        store.work()
    [parent] = store.enqueue(given.get(state, a_job()))
    if state in ("running", "retryable"):
        taken = store.take()
        if state == "retryable":
            store.fail(taken, retry_in=HOUR)
    assert store.state(parent) == state

    [child] = store.enqueue(a_job("child").after(parent))

    assert store.state(child) == State.BLOCKED
    store.passes(hours=2)
    store.heartbeat()
    store.promote()
    if state == "running":
        store.complete(taken)
    assert store.work()[-1] == "child"


def test_a_parent_that_has_completed_holds_nothing_up(store: Store) -> None:
    parent = store.running()
    store.complete(parent)
    [child] = store.enqueue(a_job().after(parent.id))

    assert (store.state(child), store.job(child).blocked_by) == (State.AVAILABLE, 0)
    assert store.outcomes(child) == {(child.id, parent.id): State.COMPLETED}


def test_finished_and_unfinished_parents_together(store: Store) -> None:
    done, running = store.running(), store.running()
    store.complete(done)
    parent = a_job("parent")
    _, child = store.enqueue(parent, a_job("child").after(done.id, running.id, parent))

    assert store.job(child).blocked_by == 2
    store.complete(running)
    assert store.work() == ["parent", "child"]


def test_a_handle_and_an_id_are_the_same_parent(store: Store) -> None:
    [parent] = store.enqueue(a_job())
    [child] = store.enqueue(a_job().after(parent, parent.id))

    assert store.job(child).blocked_by == 1


def test_a_running_job_may_get_children(store: Store) -> None:
    parent = store.running()
    children = [store.add(a_job("child").after(parent.id)) for _ in range(3)]
    store.complete(parent)

    assert store.states(*children) == ["available"] * 3


# Errors: nothing is enqueued


def test_an_unknown_parent_is_an_error(store: Store) -> None:
    known = store.add()
    with pytest.raises(UnknownParent, match="424242"):
        store.enqueue(a_job(), a_job().after(known, 424242), a_job())

    assert len(store.listing()) == 1


def test_a_pruned_parent_is_unknown(store: Store) -> None:
    store.keep = frozenset()
    gone = store.running()
    store.complete(gone)

    with pytest.raises(UnknownParent):
        store.enqueue(a_job().after(gone.id))


def test_a_parent_that_comes_later_is_an_error(store: Store) -> None:
    parent = a_job("parent")
    with pytest.raises(UnknownParent, match="parent"):
        store.enqueue(a_job("child").after(parent), parent)

    assert store.listing() == []


def test_a_parent_that_is_not_in_the_call_is_an_error(store: Store) -> None:
    with pytest.raises(UnknownParent):
        store.enqueue(a_job(), a_job().after(a_job()))

    assert store.listing() == []


# When a parent fails


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


# Time, order, size


def test_a_freed_child_whose_time_has_not_come_is_scheduled(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job(delay=HOUR).after(parent.id))
    store.complete(parent)

    assert store.state(child) == State.SCHEDULED
    assert store.job(child).run_at == NOON + HOUR
    store.passes(hours=1)
    store.promote()
    assert store.take().id == child


def test_a_blocked_child_whose_time_has_passed_still_waits(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job(delay=HOUR).after(parent.id))
    store.passes(hours=2)
    store.heartbeat()
    store.promote()
    assert store.state(child) == State.BLOCKED

    store.complete(parent)

    assert store.state(child) == State.AVAILABLE


def test_a_child_of_a_finished_parent_waits_for_its_time(store: Store) -> None:
    parent = store.running()
    store.complete(parent)
    child = store.add(a_job(delay=HOUR).after(parent.id))

    assert store.state(child) == State.SCHEDULED


def test_edges_cross_the_borders_of_a_long_call(store: Store) -> None:
    layers: list[list[operations.NewJob[None]]] = [[a_job("layer0") for _ in range(900)]]
    for n in (1, 2):
        layers.append([a_job(f"layer{n}").after(parent) for parent in layers[-1][:800]])
    last = a_job("last").after(*layers[0][::9], *layers[2])
    handles = store.enqueue(*layers[0], *layers[1], *layers[2], last)
    assert len(handles) == 2_501
    assert store.job(handles[-1]).blocked_by == 900

    tasks = []
    while jobs := store.claim(1_000):
        store.complete(*jobs)
        tasks += [job.task for job in jobs]

    assert tasks == ["layer0"] * 900 + ["layer1"] * 800 + ["layer2"] * 800 + ["last"]


def test_thousands_of_edges_in_one_call(store: Store) -> None:
    parents = [a_job() for _ in range(80)]
    *_, first = store.enqueue(*parents, *(a_job("child").after(*parents) for _ in range(80)))

    assert store.job(first).blocked_by == 80
    store.complete(*store.claim(40))
    assert store.job(first).blocked_by == 40
    store.complete(*store.claim(100))
    assert len(store.claim(100)) == 80


def test_two_parents_under_one_key_are_one_parent(store: Store) -> None:
    holder = store.running(a_job(unique="k"))
    one, two, three = a_job(unique="k"), a_job(unique="k"), a_job("three")
    *_, child = store.enqueue(one, two, three, a_job("child").after(one, two, three))

    assert store.job(child).blocked_by == 2
    assert sorted(parent for _, parent in store.outcomes(child))[0] == holder.id
    store.complete(holder)
    assert store.work() == ["three", "child"]


def test_parents_under_one_key_among_thousands_of_edges(store: Store) -> None:
    done, holder = store.running(), store.running(a_job(unique="k"))
    store.complete(done)
    one, two = a_job(unique="k"), a_job(unique="k")
    parents = [a_job() for _ in range(75)]
    _, _, child, *_ = store.enqueue(
        one,
        two,
        a_job("child").after(one, two, done.id),
        *parents,
        *(a_job().after(*parents) for _ in range(75)),
    )

    assert store.job(child).blocked_by == 1
    store.complete(holder)
    assert store.state(child) == State.AVAILABLE


# What parents leave


def test_a_child_reads_its_parents_results(store: Store) -> None:
    one, two = a_job("one"), a_job("two")
    first, second, child = store.enqueue(one, two, a_job("child").after(one, two))
    a, b = store.claim()
    store.complete(a, result='{"n": 1}')

    def left() -> list[tuple[object, ...]]:
        edges = store.do(inspections.parents([child]))
        return [(edge.parent, edge.outcome, edge.task, edge.result) for edge in edges]

    assert left()[0] == (first.id, State.COMPLETED, "one", '{"n": 1}')
    assert left()[1][:2] == (second.id, None)
    store.complete(b)
    assert left()[1] == (second.id, State.COMPLETED, "two", None)


def test_a_job_without_parents_has_none(store: Store) -> None:
    assert store.outcomes(store.add()) == {}


@needs("transactions")
def test_a_child_that_is_rolled_back_leaves_nothing_behind(store: Store) -> None:
    parent = store.running()
    with pytest.raises(ZeroDivisionError), store.backend.transaction() as executor:
        child = a_job().after(parent.id)
        [handle] = carry_out(operations.enqueue([child], now=NOON), executor.execute)
        raise ZeroDivisionError

    assert store.outcomes(handle) == {}
    assert store.complete(parent) == {parent.id}


@needs("transactions")
def test_parents_and_children_of_one_transaction_in_several_calls(store: Store) -> None:
    with store.backend.transaction() as executor:
        [parent] = carry_out(operations.enqueue([a_job("parent")], now=NOON), executor.execute)
        job = a_job("child").after(parent)
        [child] = carry_out(operations.enqueue([job], now=NOON), executor.execute)

    assert store.states(parent, child) == ["available", "blocked"]
    assert store.work() == ["parent", "child"]
