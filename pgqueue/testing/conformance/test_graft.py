"""Graft: a running job puts jobs between itself and its children, if and only if it completes."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import Context, chain, group, operations, workflow
from pgqueue.errors import InvalidJob, LeaseLost
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import NewJob, State
from pgqueue.operations import ClaimedJob
from pgqueue.tasks.runtime import DetachedRuntime
from pgqueue.testing.conformance.store import Store, a_job


def a_context(job: ClaimedJob) -> Context:
    return Context(job, DetachedRuntime())


def finish(store: Store, job: ClaimedJob, context: Context, result: str | None = None) -> None:
    """Complete *job* with all that its context collected."""
    seen = context.additions
    completion = Completion(result, seen.jobs, seen.graft, seen.workflows) if seen else Completion()
    store.carry(operations.completing(job, completion, store.keep, now=store.now))


def graft(store: Store, job: ClaimedJob, *jobs: Any) -> None:
    context = a_context(job)
    context.graft(*jobs)
    finish(store, job, context)


def test_children_wait_for_the_additions_too(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))

    graft(store, parent, a_job("added"), a_job("added"))

    assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 2)
    assert store.work() == ["added", "added", "child"]


def test_children_wait_for_the_ends_of_what_is_grafted(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))

    graft(store, parent, chain(a_job("a"), group([a_job("b"), a_job("c")]), a_job("d")))

    assert store.job(child).blocked_by == 1
    assert store.work() == ["a", "b", "c", "d", "child"]


def test_a_child_of_many_parents_waits_for_all_of_it(store: Store) -> None:
    one, two = store.running(), store.running()
    child = store.add(a_job("child").after(one.id, two.id))

    graft(store, one, a_job("x"), a_job("y"))
    graft(store, two, a_job("z"))

    assert store.job(child).blocked_by == 3
    assert store.work() == ["x", "y", "z", "child"]


def test_several_children_wait(store: Store) -> None:
    parent = store.running()
    children = [store.add(a_job("child").after(parent.id)) for _ in range(3)]
    graft(store, parent, a_job("added"))

    assert store.states(*children) == ["blocked"] * 3
    assert store.work() == ["added"] + ["child"] * 3


def test_what_is_grafted_may_graft(store: Store) -> None:
    parent = store.running()
    store.add(a_job("child").after(parent.id))
    graft(store, parent, a_job("first"))
    graft(store, store.take(), a_job("second"))
    graft(store, store.take(), a_job("third"))

    assert store.work() == ["third", "child"]


def test_without_children_additions_just_run(store: Store) -> None:
    parent = store.running()
    graft(store, parent, a_job("added"))

    assert store.work() == ["added"]


def test_additions_that_nobody_waits_for_are_not_kept_for_anybody(store: Store) -> None:
    store.keep = frozenset()
    graft(store, store.running(), a_job("added"))

    assert store.work() == ["added"]
    assert store.listing() == []


def test_additions_are_not_kept_for_a_child_that_is_gone(store: Store) -> None:
    store.keep = frozenset()
    parent = store.running()
    store.cancel(store.add(a_job().after(parent.id)))
    graft(store, parent, a_job("added"))

    assert store.work() == ["added"]
    assert store.listing() == []


def test_nothing_appears_when_the_lease_is_lost(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    store.release(parent)
    again = store.take()

    with pytest.raises(LeaseLost):
        graft(store, parent, a_job("added"))

    assert (store.job(child).blocked_by, len(store.listing())) == (1, 2)
    store.complete(again)
    assert store.work() == ["child"]


def test_nothing_appears_when_the_job_fails(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    a_context(parent).graft(a_job("added"))
    store.discard(parent)

    assert store.states(parent, child) == ["discarded", "cancelled"]
    assert len(store.listing()) == 2


def test_asking_twice_adds_once(store: Store) -> None:
    parent = store.running()
    store.add(a_job("child").after(parent.id))
    graft(store, parent, a_job("added"))
    with pytest.raises(LeaseLost):
        graft(store, parent, a_job("added"))

    assert store.work() == ["added", "child"]


def test_additions_follow_the_policy_of_the_edge(store: Store) -> None:
    parent = store.running()
    strict = store.add(a_job("strict").after(parent.id))
    lenient = store.add(a_job("lenient").after(parent.id, on_failure="run"))
    graft(store, parent, a_job("added"))
    added = store.take()
    store.discard(added)

    assert store.states(strict, lenient) == ["cancelled", "available"]
    assert store.job(strict).cause == added.id


def test_a_failed_addition_may_be_retried(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    graft(store, parent, a_job("added"))
    added = store.take()
    store.discard(added)
    store.retry(added)

    assert store.state(child) == State.BLOCKED
    assert store.work() == ["added", "child"]


def test_a_child_that_was_cancelled_waits_for_the_additions_once_it_is_revived(
    store: Store,
) -> None:
    one, two = store.running(), store.running()
    child = store.add(a_job("child").after(one.id, two.id))
    store.discard(two)
    graft(store, one, a_job("added"))
    assert store.state(child) == State.CANCELLED

    store.retry(two)

    assert store.job(child).blocked_by == 2
    assert store.work() == ["added", "task", "child"]


def test_additions_join_the_workflow(store: Store) -> None:
    handles = store.enqueue(workflow("flow", chain(a_job("plan"), a_job("report"))))
    plan = store.take()
    context = a_context(plan)
    assert context.workflow == handles[0].workflow
    context.graft(a_job("part"), a_job("part"))
    context.enqueue(a_job("beside"))
    finish(store, plan, context)

    flow = store.listing(workflow=handles[0].workflow)
    assert sorted(job.task for job in flow) == ["beside", "part", "part", "plan", "report"]
    assert store.job(handles[1]).blocked_by == 2


def test_a_workflow_enqueued_by_a_job_is_its_own(store: Store) -> None:
    handles = store.enqueue(workflow("outer", a_job("outer")))
    job = store.take()
    context = a_context(job)
    context.enqueue(workflow("inner", chain(a_job("a"), a_job("b"))))
    finish(store, job, context)

    inner = {job.workflow for job in store.listing(task="a") + store.listing(task="b")}
    assert len(inner) == 1
    assert inner != {handles[0].workflow}
    assert store.work() == ["a", "b"]


def test_an_addition_and_what_follows_it_in_one_completion(store: Store) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    context = a_context(parent)
    [added] = context.graft(a_job("added"))
    context.enqueue(a_job("follows", priority=9).after(added))
    finish(store, parent, context)

    assert store.job(child).blocked_by == 1
    assert store.work() == ["added", "child", "follows"]


def refused(job: NewJob[Any]) -> bool:
    with pytest.raises(InvalidJob, match="graft"):
        Context.detached().graft(job)
    return True


def test_what_could_make_a_circle_is_refused() -> None:
    assert refused(a_job().after(7))
    assert refused(a_job().after(a_job()))
    assert refused(a_job(unique="k"))
    context = Context.detached()
    [other] = context.enqueue(a_job())
    with pytest.raises(InvalidJob, match="not grafted"):
        context.graft(a_job().after(other))
    with pytest.raises(InvalidJob, match="apart"):
        context.graft(workflow("flow", a_job()))
    assert context.jobs == (other,)
