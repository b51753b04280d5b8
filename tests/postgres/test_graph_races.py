"""Grafts, revivals and results, each against whoever else changes the same graph."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.errors import UnknownParent
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import Handle, NewJob, State
from pgqueue.jobs.retention import Retention
from pgqueue.operations import ClaimedJob, Completed, Failed, Operation, Plan
from pgqueue.testing.conformance import NOON, Store, a_job
from tests.postgres.conftest import Racers

NOTHING: frozenset[State] = frozenset()


def completes(*jobs: ClaimedJob, keep: frozenset[State] = operations.EVERYTHING) -> Operation[Any]:
    done = [Completed(job.id, job.lease, "1") for job in jobs]
    return operations.complete(done, keep=keep, now=NOON)


def discards(*jobs: ClaimedJob) -> Operation[Any]:
    return operations.fail([Failed(job.id, job.lease, "discard") for job in jobs], now=NOON)


def retries(*ids: int) -> Operation[dict[int, str]]:
    return operations.retry(ids, now=NOON)


def adds(job: NewJob[Any]) -> Plan[list[Handle[Any]]]:
    return operations.enqueue([job], now=NOON)


def grafts(job: ClaimedJob, *jobs: NewJob[Any]) -> Plan[None]:
    return operations.completing(job, Completion(None, jobs, jobs), now=NOON)


# Graft


async def test_a_sibling_finishes_while_a_job_grafts(store: Store, racer: Racers) -> None:
    grower, sibling = store.running(), store.running()
    child = store.add(a_job("child").after(grower.id, sibling.id))
    first, second = await racer(), await racer()

    await first.carry(grafts(grower, a_job("added")))
    finishing = await second.starts(second.do(completes(sibling)), behind=first)
    await first.commit()
    await finishing
    await second.commit()

    assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    assert store.work() == ["added", "child"]


async def test_a_job_grafts_while_a_sibling_finishes(store: Store, racer: Racers) -> None:
    grower, sibling = store.running(), store.running()
    child = store.add(a_job("child").after(grower.id, sibling.id))
    first, second = await racer(), await racer()

    await first.do(completes(sibling))
    growing = await second.starts(second.carry(grafts(grower, a_job("added"))), behind=first)
    await first.commit()
    await growing
    await second.commit()

    assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    assert store.work() == ["added", "child"]


async def test_a_sibling_fails_while_a_job_grafts(store: Store, racer: Racers) -> None:
    grower, sibling = store.running(), store.running()
    child = store.add(a_job("child").after(grower.id, sibling.id))
    first, second = await racer(), await racer()

    await first.carry(grafts(grower, a_job("added")))
    failing = await second.starts(second.do(discards(sibling)), behind=first)
    await first.commit()
    await failing
    await second.commit()

    assert store.state(child) == State.CANCELLED
    assert store.work() == ["added"]


async def test_a_job_grafts_while_a_sibling_fails(store: Store, racer: Racers) -> None:
    grower, sibling = store.running(), store.running()
    child = store.add(a_job("child").after(grower.id, sibling.id))
    first, second = await racer(), await racer()

    await first.do(discards(sibling))
    growing = await second.starts(second.carry(grafts(grower, a_job("added"))), behind=first)
    await first.commit()
    await growing
    await second.commit()

    assert store.state(child) == State.CANCELLED
    store.retry(sibling)
    assert store.job(child).blocked_by == 2
    assert sorted(store.work()) == ["added", "child", "task"]


async def test_a_child_is_added_while_a_job_grafts(store: Store, racer: Racers) -> None:
    grower = store.running()
    first, second = await racer(), await racer()

    [child] = await first.carry(adds(a_job("child").after(grower.id)))
    growing = await second.starts(second.carry(grafts(grower, a_job("added"))), behind=first)
    await first.commit()
    await growing
    await second.commit()

    assert store.job(child).blocked_by == 1
    assert store.work() == ["added", "child"]


async def test_a_child_that_is_added_after_a_graft_waits_for_the_job_alone(
    store: Store, racer: Racers
) -> None:
    grower = store.running()
    first, second = await racer(), await racer()

    await first.carry(grafts(grower, a_job("added", priority=9)))
    adding = await second.starts(second.carry(adds(a_job("late").after(grower.id))), behind=first)
    await first.commit()
    [late] = await adding
    await second.commit()

    assert store.state(late) == State.AVAILABLE


async def test_two_parents_graft_onto_one_child_at_once(store: Store, racer: Racers) -> None:
    one, two = store.running(), store.running()
    child = store.add(a_job("child").after(one.id, two.id))
    first, second = await racer(), await racer()

    await first.carry(grafts(one, a_job("added"), a_job("added")))
    growing = await second.starts(second.carry(grafts(two, a_job("added"))), behind=first)
    await first.commit()
    await growing
    await second.commit()

    assert store.job(child).blocked_by == 3
    assert store.work() == ["added", "added", "added", "child"]


# Revival


async def test_a_job_is_retried_by_two_at_once(store: Store, racer: Racers) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.discard(parent)
    first, second = await racer(), await racer()

    assert await first.do(retries(parent.id)) == {parent.id: "available"}
    again = await second.starts(second.do(retries(parent.id)), behind=first)
    await first.commit()
    assert await again == {parent.id: "available"}
    await second.commit()

    assert store.states(parent, child) == ["available", "blocked"]


async def test_a_retry_that_is_rolled_back_leaves_it_to_the_other(
    store: Store, racer: Racers
) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.discard(parent)
    first, second = await racer(), await racer()

    await first.do(retries(parent.id))
    again = await second.starts(second.do(retries(parent.id)), behind=first)
    await first.rollback()
    assert await again == {parent.id: "available"}
    await second.commit()

    assert store.states(parent, child) == ["available", "blocked"]


@pytest.mark.parametrize("cause_first", [True, False])
async def test_two_failed_parents_of_one_child_are_retried_at_once(
    store: Store, racer: Racers, cause_first: bool
) -> None:
    one, two = store.running(), store.running()
    child = store.add(a_job("child").after(one.id, two.id))
    store.discard(one)
    store.discard(two)
    assert store.job(child).cause == one.id
    begins, follows = (one, two) if cause_first else (two, one)
    first, second = await racer(), await racer()

    await first.do(retries(begins.id))
    again = await second.starts(second.do(retries(follows.id)), behind=first)
    await first.commit()
    await again
    await second.commit()

    assert store.states(one, two, child) == ["available", "available", "blocked"]
    assert store.job(child).blocked_by == 2


async def test_a_grandchild_is_added_while_its_grandparent_is_retried(
    store: Store, racer: Racers
) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    store.discard(parent)
    user, admin = await racer(), await racer()

    below = a_job("below").after(child)
    added = await user.carry(operations.enqueue([below, a_job("last").after(below)], now=NOON))
    retrying = await admin.starts(admin.do(retries(parent.id)), behind=user)
    await user.commit()
    assert store.states(*added) == ["cancelled", "cancelled"]
    await retrying
    await admin.commit()

    assert store.states(parent, child, *added) == ["available", "blocked", "blocked", "blocked"]
    assert store.work() == ["task", "child", "below", "last"]


async def test_a_grandchild_that_is_added_behind_a_retry_waits(store: Store, racer: Racers) -> None:
    parent = store.running()
    child = store.add(a_job("child").after(parent.id))
    store.discard(parent)
    user, admin = await racer(), await racer()

    await admin.do(retries(parent.id))
    adding = await user.starts(user.carry(adds(a_job("below").after(child))), behind=admin)
    await admin.commit()
    [below] = await adding
    await user.commit()

    assert store.states(parent, child, below) == ["available", "blocked", "blocked"]


@pytest.mark.parametrize("ends", [completes, discards])
async def test_the_other_parent_ends_while_a_child_is_revived(
    store: Store, racer: Racers, ends: Any
) -> None:
    failed, other = store.running(), store.running()
    child = store.add(a_job("child").after(failed.id, other.id))
    store.discard(failed)
    admin, worker = await racer(), await racer()

    await admin.do(retries(failed.id))
    ending = await worker.starts(worker.do(ends(other)), behind=admin)
    await admin.commit()
    await ending
    await worker.commit()

    if ends is completes:
        assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    else:
        assert (store.state(child), store.job(child).cause) == (State.CANCELLED, other.id)


@pytest.mark.parametrize("ends", [completes, discards])
async def test_a_child_is_revived_while_the_other_parent_ends(
    store: Store, racer: Racers, ends: Any
) -> None:
    failed, other = store.running(), store.running()
    child = store.add(a_job("child").after(failed.id, other.id))
    store.discard(failed)
    admin, worker = await racer(), await racer()

    await worker.do(ends(other))
    retrying = await admin.starts(admin.do(retries(failed.id)), behind=worker)
    await worker.commit()
    await retrying
    await admin.commit()

    if ends is completes:
        assert (store.state(child), store.job(child).blocked_by) == (State.BLOCKED, 1)
    else:
        assert (store.state(child), store.job(child).cause) == (State.CANCELLED, other.id)


async def test_a_parent_is_cancelled_again_while_it_is_retried(store: Store, racer: Racers) -> None:
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.discard(parent)
    first, second = await racer(), await racer()

    await first.do(retries(parent.id))
    cancelling = await second.starts(second.do(retries(child)), behind=first)
    await first.commit()
    assert await cancelling == {child: "blocked"}
    await second.commit()

    assert store.states(parent, child) == ["available", "blocked"]


# Prune, and results


async def test_prune_gives_way_to_a_child_that_is_being_added(store: Store, racer: Racers) -> None:
    parent = store.running()
    store.complete(parent, result="1")
    user, pruner = await racer(), await racer()
    prune = operations.prune(Retention(), now=NOON + timedelta(days=30))

    [child] = await user.carry(adds(a_job().after(parent.id)))
    assert (await pruner.do(prune)).deleted == 0
    await pruner.commit()
    await user.commit()
    assert (await pruner.do(prune)).deleted == 0
    await pruner.commit()

    assert store.state(child) == State.AVAILABLE
    assert store.job(parent).result == 1


async def test_a_parent_that_is_being_pruned_is_unknown(store: Store, racer: Racers) -> None:
    parent = store.running()
    store.complete(parent)
    user, pruner = await racer(), await racer()

    await pruner.do(operations.prune(Retention(), now=NOON + timedelta(days=30)))
    adding = await user.starts(user.carry(adds(a_job().after(parent.id))), behind=pruner)
    await pruner.commit()

    with pytest.raises(UnknownParent):
        await adding


async def test_a_result_is_kept_for_a_child_that_was_being_added(
    store: Store, racer: Racers
) -> None:
    parent = store.running()
    user, worker = await racer(), await racer()

    [child] = await user.carry(adds(a_job("child").after(parent.id)))
    ending = await worker.starts(worker.do(completes(parent, keep=NOTHING)), behind=user)
    await user.commit()
    await ending
    await worker.commit()

    assert store.state(child) == State.AVAILABLE
    assert store.job(parent).result == 1


# Deadlock: a graft turns the order of ids around


async def test_a_workflow_is_cancelled_while_it_grows(store: Store, racer: Racers) -> None:
    grower = store.running()
    child = store.add(a_job("child").after(grower.id))
    first, second = await racer(), await racer()

    await first.carry(grafts(grower, a_job("added")))
    cancelling = await second.starts(
        second.do(operations.cancel([grower.id, child], now=NOON)), behind=first
    )
    await first.commit()
    assert await cancelling == {child: State.CANCELLED}
    await second.commit()

    assert store.work() == ["added"]
