"""A child reads its parents' results, by handle, id, name or task, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pgqueue import Context, group
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, inspections
from pgqueue.tasks.parents import PAGE, Parent, Parents
from pgqueue.tasks.runtime import DetachedRuntime
from pgqueue.testing.conformance.store import Store, a_job
from pgqueue.worker.running.runtime import read_parents


class StoreHands(DetachedRuntime):
    """Reads parents from a store, and counts how often."""

    def __init__(self, store: Store, job: ClaimedJob) -> None:
        super().__init__()
        self._store = store
        self._job = job
        self.pages: list[int] = []

    def parents(self, after: int, limit: int) -> Sequence[Parent]:
        page = self._store.do(inspections.parents([self._job.id], after=after, limit=limit))
        self.pages.append(len(page))
        return read_parents(page)


def parents_of(store: Store, job: ClaimedJob) -> Parents:
    return Context(job, StoreHands(store, job)).parents


def test_by_handle_id_name_and_task(store: Store) -> None:
    left, right, rest = a_job("one"), a_job("two"), a_job("two")
    handles = store.enqueue(left, right, rest, a_job("child").after(right, rest, left=left))
    for n, job in enumerate(store.claim()):
        store.complete(job, result=f'{{"n": {n}}}')

    parents = parents_of(store, store.take())

    assert parents[handles[0]] == parents[handles[0].id] == parents["left"]
    assert (parents["left"].result, parents["left"].task) == ({"n": 0}, "one")
    assert [parent.result["n"] for parent in parents.all("two")] == [1, 2]
    assert parents.all("one") == []  # a parent that has a name is found by that
    assert (len(parents), parents.failed) == (3, [])
    with pytest.raises(LookupError, match="2 parents are called 'two'"):
        parents["two"]
    with pytest.raises(LookupError, match="no parents are called 'none'"):
        parents["none"]


def test_which_parents_failed(store: Store) -> None:
    good, bad = store.running(a_job("good")), store.running(a_job("bad"))
    store.add(a_job("child").after(good.id, bad.id, on_failure="run"))
    store.complete(good, result="7")
    store.discard(bad)

    parents = parents_of(store, store.take())

    assert [(parent.id, parent.state) for parent in parents.failed] == [(bad.id, State.DISCARDED)]
    assert (parents["good"].result, parents["bad"].result) == (7, None)


def test_a_job_without_parents_has_none(store: Store) -> None:
    assert list(parents_of(store, store.running())) == []


def test_a_parent_without_a_result(store: Store) -> None:
    parent = store.running()
    store.add(a_job().after(parent.id))
    store.complete(parent)

    [found] = parents_of(store, store.take())
    assert (found.completed, found.result, found.text) == (True, None, None)


def test_thousands_of_parents_come_in_pages(store: Store) -> None:
    hands = _of_many(store, 1_101)

    assert sum(parent.result for parent in Parents(hands)) == 1_101
    assert max(hands.pages) == PAGE


def test_however_many_parents_are_counted_listed_and_found(store: Store) -> None:
    hands = _of_many(store, 1_101)
    parents = Parents(hands)

    assert [parent.result for parent in list(parents)] == [1] * 1_101
    assert (len(parents), len(parents.all("task")), parents.failed) == (1_101, 1_101, [])
    assert sum(hands.pages) == 1_101  # each was read once


def test_results_that_are_too_much_for_the_memory_are_gone_through(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.tasks.parents.MAX_LOADED_BYTES", 50_000)
    hands = _of_many(store, 2, result=f'"{"x" * 30_000}"')

    with pytest.raises(PgqueueError, match=r"for parent in ctx\.parents"):
        len(Parents(hands))
    assert sum(len(parent.result) for parent in Parents(hands)) == 60_000


def _of_many(store: Store, count: int, result: str = "1") -> StoreHands:
    """Return the runtime of a job with *count* parents."""
    store.enqueue(group(a_job() for _ in range(count)).then(a_job("child")))
    taken = store.claim(count)
    for start in range(0, count, 500):
        store.complete(*taken[start : start + 500], result=result)
    return StoreHands(store, store.take())


def test_a_result_is_there_although_completed_jobs_are_not_kept(store: Store) -> None:
    store.keep = frozenset()
    parent = store.running()
    store.add(a_job("child").after(parent.id))
    store.complete(parent, result="7")

    assert parents_of(store, store.take())["task"].result == 7


async def test_in_a_coroutine_parents_are_awaited(store: Store) -> None:
    parents = Context.detached(parents={"left": 1, "right": [2]}).parents

    with pytest.raises(PgqueueError, match=r"await ctx\.parents"):
        parents["left"]
    assert [parent.result async for parent in parents] == [1, [2]]
    assert (await parents)["right"].result == [2]
    assert [parent.name for parent in parents] == ["left", "right"]
    assert parents["left"].read(int) == 1


def test_says_what_becomes_of_the_child_when_the_parent_fails(store: Store) -> None:
    one, two = store.enqueue(a_job(), a_job())
    child = store.add(a_job().after(one).after(two, on_failure="run"))

    edges = store.do(inspections.parents([child]))

    assert {edge.parent: edge.on_failure for edge in edges} == {one.id: "cancel", two.id: "run"}
