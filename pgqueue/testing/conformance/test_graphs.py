"""Graphs in one call: chains, groups, lattices and workflows."""

from __future__ import annotations

from pgqueue import chain, group, map_reduce
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from pgqueue.testing.conformance.store import Store, a_job


def test_a_chain_runs_in_its_order(store: Store) -> None:
    handles = store.enqueue(*chain(*(a_job(f"step{n}") for n in range(10))).jobs)

    assert store.states(*handles) == ["available"] + ["blocked"] * 9
    assert store.work() == [f"step{n}" for n in range(10)]


def test_a_job_after_a_group_runs_when_all_are_done(store: Store) -> None:
    graph = map_reduce(lambda n: a_job("map", args=f'{{"n": {n}}}'), range(10), a_job("reduce"))
    *_, reduce = store.enqueue(*graph.jobs)
    taken = store.claim()
    store.complete(*taken[1:])

    assert store.state(reduce) == State.BLOCKED
    store.complete(taken[0])
    assert store.work() == ["reduce"]


def test_ten_thousand_jobs_in_one_call(store: Store) -> None:
    graph = chain(a_job("top"), group(a_job("middle") for _ in range(9_998)), a_job("end"))
    handles = store.enqueue(*graph.jobs)

    assert len(handles) == 10_000
    assert store.job(handles[-1]).blocked_by == 9_998
    store.complete(store.take())
    while jobs := store.claim(1_000):
        store.complete(*jobs)
    assert store.state(handles[-1]) == State.COMPLETED


def test_a_lattice_runs_row_by_row(store: Store) -> None:
    rows = [[a_job("row0") for _ in range(12)]]
    for n in range(1, 12):
        above = rows[-1]
        rows.append([a_job(f"row{n}").after(above[i - 1], above[i]) for i in range(12)])
    store.enqueue(*(job for row in rows for job in row))

    assert store.work() == [f"row{n}" for n in range(12) for _ in range(12)]


def test_a_chain_that_runs_anyway(store: Store) -> None:
    graph = chain(a_job("first"), a_job("second"), a_job("third"), on_failure="run")
    store.enqueue(*graph.jobs)
    store.discard(store.take())

    assert store.work() == ["second", "third"]


def test_a_child_is_told_what_it_calls_its_parents(store: Store) -> None:
    left, right = a_job("one"), a_job("two")
    *_, child = store.enqueue(left, right, a_job().after(right, left=left))

    edges = store.do(inspections.parents([child]))
    assert [edge.name for edge in edges] == ["left", None]
