"""Retrying a job revives the descendants that were cancelled because of it, and no others."""

from __future__ import annotations

import pytest

from pgqueue import chain
from pgqueue.testing.conformance.store import Store, a_job


def test_a_retried_parent_brings_its_child_back(store: Store) -> None:
    parent = store.running(a_job("parent"))
    child = store.add(a_job("child").after(parent.id))
    store.discard(parent)
    assert store.job(child).cause == parent.id

    assert store.retry(parent) == {parent.id: "available"}

    assert store.states(parent, child) == ["available", "blocked"]
    assert (store.job(child).blocked_by, store.job(child).reason) == (1, None)
    assert store.work() == ["parent", "child"]


def test_a_parent_that_fails_again_cancels_again(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    for _ in range(3):
        store.discard(parent)
        assert store.states(parent, child) == ["discarded", "cancelled"]
        store.retry(parent)
        parent = store.take()
    store.complete(parent)

    assert store.take().id == child


def test_generations_come_back_in_their_order(store: Store) -> None:
    handles = store.enqueue(chain(*(a_job(f"step{n}") for n in range(6))))
    store.discard(store.take())
    assert store.states(*handles) == ["discarded"] + ["cancelled"] * 5

    store.retry(handles[0])

    assert store.states(*handles) == ["available"] + ["blocked"] * 5
    assert store.work() == [f"step{n}" for n in range(6)]


def test_a_diamond_comes_back_whole(store: Store) -> None:
    top = a_job("top")
    left, right = a_job("left").after(top), a_job("right").after(top)
    handles = store.enqueue(top, left, right, a_job("bottom").after(left, right))
    store.discard(store.take())
    store.retry(handles[0])

    assert store.job(handles[3]).blocked_by == 2
    assert store.work() == ["top", "left", "right", "bottom"]


def test_what_a_person_cancelled_stays_cancelled(store: Store) -> None:
    parent = store.running()
    mine, theirs = (store.add(a_job().after(parent.id)) for _ in range(2))
    below = store.add(a_job().after(mine))
    store.cancel(mine)
    store.discard(parent)

    store.retry(parent)

    assert store.states(mine, below, theirs) == ["cancelled", "cancelled", "blocked"]
    assert store.job(mine).cause is None
    store.retry(mine)
    assert store.states(mine, below) == ["blocked", "blocked"]


def test_a_child_with_another_failed_parent_waits_for_that_one_too(store: Store) -> None:
    one, two = store.running(), store.running()
    child = store.add(a_job("child").after(one.id, two.id))
    below = store.add(a_job("below").after(child))
    store.discard(one)
    store.discard(two)

    store.retry(one)
    assert store.states(child, below) == ["cancelled", "cancelled"]
    assert (store.job(child).cause, store.job(below).cause) == (two.id, child)
    assert store.job(child).reason == f"parent {two.id} was discarded"

    store.retry(two)
    assert store.states(child, below) == ["blocked", "blocked"]
    assert store.work() == ["task", "task", "child", "below"]


def test_in_whatever_order_the_parents_are_retried(store: Store) -> None:
    one, two = store.running(), store.running()
    store.add(a_job("child").after(one.id, two.id))
    store.discard(one)
    store.discard(two)
    store.retry(two)
    store.retry(one)

    assert store.work() == ["task", "task", "child"]


def test_both_parents_at_once(store: Store) -> None:
    one, two = store.running(), store.running()
    child = store.add(a_job("child").after(one.id, two.id))
    store.discard(one, two)
    store.retry(one, two)

    assert store.job(child).blocked_by == 2
    assert store.work() == ["task", "task", "child"]


def test_a_parent_that_has_completed_meanwhile_is_not_waited_for(store: Store) -> None:
    failing, running = store.running(), store.running()
    child = store.add(a_job("child").after(failing.id, running.id))
    store.discard(failing)
    store.complete(running)
    store.retry(failing)

    assert store.job(child).blocked_by == 1
    assert store.work() == ["task", "child"]


def test_an_edge_that_runs_anyway_does_not_matter(store: Store) -> None:
    strict, lenient = store.running(), store.running()
    child = store.add(a_job().after(strict.id).after(lenient.id, on_failure="run"))
    store.discard(strict, lenient)
    store.retry(strict)

    assert (store.job(child).state, store.job(child).blocked_by) == ("blocked", 1)


def test_a_child_that_ran_anyway_is_left_alone(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id, on_failure="run"))
    store.discard(parent)
    store.work()
    store.retry(parent)

    assert store.states(parent, child) == ["available", "completed"]


def test_retrying_a_completed_job_revives_nobody(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.complete(parent)
    store.cancel(child)
    store.retry(parent)

    assert store.states(parent, child) == ["available", "cancelled"]


def test_a_child_asked_for_by_itself_runs_although_its_parent_failed(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    below = store.add(a_job("below").after(child))
    store.discard(parent)

    assert store.retry(child) == {child: "available"}
    assert store.states(parent, child, below) == ["discarded", "available", "blocked"]
    assert store.work() == ["child", "below"]
    store.retry(parent)
    assert store.states(parent, child, below) == ["available", "completed", "completed"]


def test_a_child_asked_for_together_with_its_parent_waits_for_it(store: Store) -> None:
    handles = store.enqueue(chain(a_job("a"), a_job("b"), a_job("c")))
    store.discard(store.take())

    assert store.retry(*handles) == {
        handles[0].id: "available",
        handles[1].id: "blocked",
        handles[2].id: "blocked",
    }
    assert store.work() == ["a", "b", "c"]


def test_a_cancelled_parent_brings_its_child_back_too(store: Store) -> None:
    parent = store.add()
    child = store.add(a_job().after(parent))
    store.cancel(parent)
    store.retry(parent)

    assert store.states(parent, child) == ["available", "blocked"]


@pytest.mark.parametrize("stays", ["child", "parent"])
def test_one_whose_key_was_taken_does_not_come_back(store: Store, stays: str) -> None:
    key = {"unique": "k"}
    parent = store.running(a_job(**(key if stays == "parent" else {})))
    child = store.add(a_job("child", **(key if stays == "child" else {})).after(parent.id))
    below = store.add(a_job("below").after(child))
    store.discard(parent)
    holder = store.add(a_job("holder", unique="k"))

    told = store.retry(parent)

    if stays == "parent":
        assert told == {parent.id: "held"}
        assert store.states(parent, child, below) == ["discarded", "cancelled", "cancelled"]
    else:
        assert told == {parent.id: "available"}
        assert store.states(parent, child, below) == ["available", "cancelled", "cancelled"]
    assert store.state(holder) == "available"


def test_a_key_goes_to_the_first_that_can_come_back(store: Store) -> None:
    parent, other = store.running(), store.running()
    first = store.add(a_job("first", unique="k").after(parent.id, other.id))
    store.discard(parent)
    second = store.add(a_job("second", unique="k").after(parent.id))
    third = store.add(a_job("third", unique="k").after(parent.id))
    store.discard(other)

    store.retry(parent)

    assert store.states(first, second, third) == ["cancelled", "blocked", "cancelled"]
    assert [store.job(id).cause for id in (first, third)] == [other.id, parent.id]
    assert store.work() == ["task", "second"]


def test_a_key_is_not_left_to_what_is_below_one_that_stays(store: Store) -> None:
    parent = store.running()
    stays = store.add(a_job(unique="taken").after(parent.id))
    below = store.add(a_job("below", unique="k").after(stays))
    store.discard(parent)
    store.add(a_job("holder", unique="taken"))
    second = store.add(a_job("second", unique="k").after(parent.id))

    store.retry(parent)

    assert store.states(stays, below, second) == ["cancelled", "cancelled", "blocked"]
    assert store.work() == ["holder", "task", "second"]


def test_one_that_was_asked_for_has_its_key_before_a_descendant(store: Store) -> None:
    parent = store.add(a_job("parent"))
    child = store.add(a_job("child", unique="k").after(parent))
    store.cancel(parent)
    other = store.add(a_job("other", unique="k"))
    store.cancel(other)

    assert store.retry(parent, other) == {parent: "available", other: "available"}
    assert store.states(parent, child, other) == ["available", "cancelled", "available"]


def test_a_parent_that_had_completed_for_a_child_is_no_reason_against_it(store: Store) -> None:
    """An edge is decided once, whatever happens to the parent when it is retried."""
    one, two = store.running(), store.running()
    parent = store.add(a_job("parent").after(one.id, two.id))
    store.complete(one, two)
    store.complete(store.take())
    store.retry(one, two)
    child = store.add(a_job("child").after(parent, one.id))
    store.retry(parent)
    store.discard(*store.claim())
    assert [store.job(id).cause for id in (parent, child)] == [one.id, one.id]

    store.retry(one)

    assert store.states(parent, child) == ["cancelled", "blocked"]
    assert store.job(parent).cause == two.id


def test_a_thousand_generations_come_back(store: Store) -> None:
    handles = store.enqueue(chain(*(a_job() for _ in range(1_000))))
    store.cancel(handles[0])
    assert set(store.states(*handles)) == {"cancelled"}
    store.retry(handles[0])

    assert store.states(*handles) == ["available"] + ["blocked"] * 999


def test_what_is_not_kept_cannot_come_back(store: Store) -> None:
    store.keep = frozenset()
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.discard(parent)

    assert store.retry(parent) == {}
    assert store.missing(parent, child)
