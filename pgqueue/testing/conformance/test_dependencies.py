"""Dependencies: a child starts after all its parents finished as its edges demand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.errors import UnknownParent
from pgqueue.jobs.job import NewJob, State
from pgqueue.operations import inspections
from pgqueue.testing.conformance.store import NOON, Store, a_job, needs, read

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
def test_a_child_waits_for_a_parent_of_an_earlier_call(store: Store, state: str) -> None:
    parent = store.bring(state)
    child = store.add(a_job("child").after(parent))

    assert store.state(child) == State.BLOCKED
    store.work(queue="parents")
    store.retry(parent)
    if state == "running":
        store.free(parent)
    assert store.work() == ["task", "child"]


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
    layers: list[list[NewJob[Any]]] = [[a_job("layer0") for _ in range(900)]]
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
    assert min(parent for _, parent in store.outcomes(child)) == holder.id
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
        return [(edge.parent, edge.outcome, edge.task, read(edge.result)) for edge in edges]

    assert left()[0] == (first.id, State.COMPLETED, "one", {"n": 1})
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
