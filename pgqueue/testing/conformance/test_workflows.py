"""Workflows: jobs that share a name and an id are found, watched, cancelled and retried as one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pgqueue import chain, group, operations, workflow
from pgqueue.jobs.graphs import Workflow
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from pgqueue.operations.inspections import Link
from pgqueue.testing.conformance.store import NOON, Store, a_job


def a_flow(name: str = "import", **options: list[str]) -> Workflow:
    """Return two steps, of which the second waits for the first, and a third on its own."""
    return workflow(name, chain(a_job("first"), a_job("second")), a_job("alone"), **options)


def flow_of(store: Store, id: int) -> inspections.WorkflowSummary:
    [found] = store.do(inspections.workflows(id=id))
    return found


def test_the_jobs_of_a_workflow_share_its_id(store: Store) -> None:
    handles = store.enqueue(a_flow())
    other = store.add()

    [id] = {handle.workflow for handle in handles}
    assert id is not None
    assert {job.workflow for job in store.jobs(*handles)} == {id}
    assert {job.id for job in store.listing(workflow=id)} == {handle.id for handle in handles}
    assert store.job(other).workflow is None


def test_a_workflow_is_found_by_name_and_tag(store: Store) -> None:
    one = store.enqueue(a_flow("one", tags=["nightly"]))[0].workflow
    two = store.enqueue(a_flow("two"))[0].workflow

    def found(**by: Any) -> list[int]:
        return [flow.id for flow in store.do(inspections.workflows(**by))]

    assert found() == [two, one]
    assert found(name="one") == found(tag="nightly") == found(id=one) == found(before=two) == [one]
    assert found(limit=1) == [two]
    assert found(name="none") == []


def test_a_workflow_is_watched(store: Store) -> None:
    id = store.enqueue(a_flow(tags=["x"]))[0].workflow
    assert id is not None
    flow = flow_of(store, id)
    assert (flow.name, flow.tags, flow.created_at) == ("import", ("x",), NOON)
    assert flow.states == {State.AVAILABLE: 2, State.BLOCKED: 1}
    assert (flow.state, flow.unfinished, flow.exact) == ("open", 3, True)

    store.work()

    flow = flow_of(store, id)
    assert (flow.states, flow.state) == ({State.COMPLETED: 3}, "completed")


def test_a_workflow_has_failed_when_one_of_its_jobs_has(store: Store) -> None:
    id = store.enqueue(a_flow())[0].workflow
    assert id is not None
    store.discard(store.take())
    store.work()

    flow = flow_of(store, id)
    assert flow.states == {State.DISCARDED: 1, State.CANCELLED: 1, State.COMPLETED: 1}
    assert flow.state == "failed"


def test_counting_stops_where_it_is_told(store: Store) -> None:
    store.enqueue(workflow("wide", group(a_job() for _ in range(20))))

    [flow] = store.do(inspections.workflows(look=10))
    assert (flow.states, flow.exact) == ({State.AVAILABLE: 10}, False)


def test_cancelling_a_workflow_cancels_what_has_not_run(store: Store) -> None:
    handles = store.enqueue(
        workflow("mixed", a_job("done"), a_job("runs"), chain(a_job("x"), a_job("y")))
    )
    other = store.add()
    id = handles[0].workflow
    done, runs = store.claim(2)
    store.complete(done)

    told = store.cancel(workflow=id, reason="not today")

    assert told == {runs.id: "running", handles[2].id: "cancelled", handles[3].id: "cancelled"}
    assert store.states(*handles, other) == [
        "completed", "running", "cancelled", "cancelled", "available",
    ]  # fmt: skip
    assert {store.job(handle).reason for handle in handles[2:]} == {"not today"}
    assert store.heartbeat(runs)[runs.id].cancel_requested


def test_no_job_slips_through_while_a_workflow_is_cancelled(store: Store) -> None:
    graph = chain(*(a_job() for _ in range(10)), on_failure="run")
    handles = store.enqueue(workflow("run-anyway", graph))
    store.cancel(workflow=handles[0].workflow)

    assert set(store.states(*handles)) == {"cancelled"}


def test_retrying_a_workflow_brings_back_what_failed(store: Store) -> None:
    handles = store.enqueue(a_flow())
    store.discard(store.take())
    store.work()
    id = handles[0].workflow

    assert store.retry(workflow=id) == {handles[0].id: "available", handles[1].id: "blocked"}
    assert store.states(*handles) == ["available", "blocked", "completed"]
    assert store.work() == ["first", "second"]


def test_a_cancelled_workflow_is_retried_in_its_order(store: Store) -> None:
    top = a_job("top")
    middle = [a_job(f"middle{n}").after(top) for n in range(3)]
    handles = store.enqueue(workflow("diamond", a_job("end").after(*middle)))
    id = handles[0].workflow
    store.cancel(workflow=id)
    store.retry(workflow=id)

    assert store.states(*handles) == ["available"] + ["blocked"] * 4
    assert store.work() == ["top", "middle0", "middle1", "middle2", "end"]


def test_jobs_join_a_workflow_that_exists(store: Store) -> None:
    id = store.enqueue(a_flow())[0].workflow
    [handle] = store.carry(operations.enqueue([a_job("late")], workflow=id, now=store.now))

    assert (handle.workflow, store.job(handle).workflow) == (id, id)


def test_the_holder_of_a_key_stays_in_its_own_workflow(store: Store) -> None:
    holder = store.add(a_job(unique="k"))
    handle, other = store.enqueue(workflow("flow", a_job(unique="k"), a_job()))

    assert (handle.id, handle.created, handle.workflow) == (holder, False, None)
    assert store.job(holder).workflow is None
    assert store.job(other).workflow == other.workflow


def test_a_workflow_keeps_its_id_in_every_state(store: Store) -> None:
    handles = store.enqueue(workflow("flow", *(a_job() for _ in range(4))))
    completed, cancelled, discarded, retried = store.claim()
    store.complete(completed)
    store.fail(cancelled, verdict="cancel")
    store.discard(discarded, retried)
    store.retry(retried)

    assert {job.workflow for job in store.jobs(*handles)} == {handles[0].workflow}


def test_shows_the_graph_of_a_workflow(store: Store) -> None:
    first, second, alone = store.enqueue(a_flow())
    outside = store.add(a_job().after(first, on_failure="run"))
    store.complete(store.take())

    graph = store.do(inspections.graph(workflow=first.workflow))

    assert [(job.id, str(job.state)) for job in graph.jobs] == [
        (first.id, "completed"), (second.id, "available"), (alone.id, "available"),
    ]  # fmt: skip
    assert graph.edges == [Link(first.id, second.id, "cancel", State.COMPLETED, None)]
    assert not graph.cut
    assert outside not in {job.id for job in graph.jobs}


def test_shows_what_hangs_together_with_a_job(store: Store) -> None:
    a, b, c = a_job("a"), a_job("b"), a_job("c")
    handles = store.enqueue(a, b, c, a_job("d").after(a, name=b))
    e = store.add(a_job("e").after(handles[3], on_failure="run"))

    graph = store.do(inspections.graph(job=handles[1]))

    assert [job.task for job in graph.jobs] == ["a", "b", "d", "e"]
    assert graph.edges == [
        Link(handles[0].id, handles[3].id, "cancel", None, None),
        Link(handles[1].id, handles[3].id, "cancel", None, "name"),
        Link(handles[3].id, e, "run", None, None),
    ]


def test_a_large_graph_is_cut_and_says_so(store: Store) -> None:
    handles = store.enqueue(workflow("wide", group(a_job() for _ in range(30)).then(a_job())))

    graph = store.do(inspections.graph(workflow=handles[0].workflow, limit=10))
    assert (len(graph.jobs), graph.cut) == (10, True)
    graph = store.do(inspections.graph(job=handles[-1], limit=10))
    assert (len(graph.jobs), graph.cut) == (10, True)
    assert not store.do(inspections.graph(job=handles[-1], limit=31)).cut


def test_a_workflow_without_jobs_left_goes_with_them(store: Store) -> None:
    id = store.enqueue(a_flow())[0].workflow
    waiting = store.enqueue(a_flow())[0].workflow
    assert id is not None
    store.cancel(workflow=id)
    store.passes(days=2)
    store.prune(operations.Retention(cancelled=None))
    assert [flow.id for flow in store.do(inspections.workflows())] == [waiting, id]

    store.prune(operations.Retention(cancelled=timedelta(0)))

    assert [flow.id for flow in store.do(inspections.workflows())] == [waiting]
