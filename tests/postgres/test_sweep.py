"""What only an administrator can break, the sweep mends."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.operations import Completed, Sweep
from pgqueue.testing.conformance import Store, a_job
from tests.postgres.conftest import Racers


def by_hand(backend: PostgresBackend, sql: str) -> None:
    with psycopg.connect(backend.url) as connection:
        connection.execute(sql.encode())


def test_a_child_whose_parent_was_deleted_goes_on(store: Store, backend: PostgresBackend) -> None:
    lost, parent = store.add(), store.add()
    only, also = store.add(a_job().after(lost)), store.add(a_job().after(lost, parent))
    by_hand(backend, f"DELETE FROM pgqueue.job WHERE id = {lost}")

    assert store.sweep() == Sweep(stranded=1, orphaned=0)

    assert store.states(only, also) == ["available", "blocked"]
    store.work()
    assert store.state(also) == "completed"


@pytest.mark.parametrize("ended", ["completed", "discarded", "cancelled"])
def test_a_child_that_was_never_told_learns_how_its_parent_ended(
    store: Store, backend: PostgresBackend, ended: str
) -> None:
    parent = store.bring(ended)
    child = a_job().after(parent)
    first, second = store.enqueue(child, a_job().after(child))
    by_hand(backend, f"DELETE FROM pgqueue.archive WHERE id IN ({first.id}, {second.id})")
    by_hand(backend, "UPDATE pgqueue.dependency SET outcome = NULL")
    by_hand(
        backend,
        "INSERT INTO pgqueue.job (id, state, task, blocked_by)"
        f" VALUES ({first.id}, 'blocked', 't', 1), ({second.id}, 'blocked', 't', 1)"
        " ON CONFLICT (id) DO UPDATE SET state = 'blocked', blocked_by = 1",
    )

    store.sweep()

    waits = ["available", "blocked"] if ended == "completed" else ["cancelled", "cancelled"]
    assert store.states(first, second) == waits


def test_mends_as_many_as_it_is_asked_to(store: Store, backend: PostgresBackend) -> None:
    lost = [store.add() for _ in range(5)]
    children = [store.add(a_job().after(parent)) for parent in lost]
    by_hand(backend, f"DELETE FROM pgqueue.job WHERE id <= {lost[-1]}")

    assert [store.sweep(limit=2).stranded for _ in range(4)] == [2, 2, 1, 0]
    assert store.states(*children) == ["available"] * 5


async def test_an_orphan_that_its_worker_is_just_completing_is_left_alone(
    store: Store, racer: Racers
) -> None:
    job = store.running()
    store.leave(store.worker)
    store.passes(minutes=2)
    worker = await racer()
    await worker.do(operations.complete([Completed(job.id, job.lease)], now=store.now))

    assert store.sweep() == Sweep(0, 0)
    await worker.commit()
    assert store.state(job) == "completed"
