"""join, leave, reserve: a worker's identity, and its leases."""

from __future__ import annotations

from itertools import pairwise

from pgqueue import operations
from pgqueue.testing.conformance.store import NOON, Store


def test_a_worker_that_joined_is_present(store: Store) -> None:
    member = store.join(name="alpha", host="h", pid=42, queues=["a", "b"], info={"version": "2"})

    worker = store.workers()[member.worker]
    assert (worker.name, worker.host, worker.pid) == ("alpha", "h", 42)
    assert (worker.queues, worker.info) == (["a", "b"], {"version": "2"})
    assert worker.started_at == worker.heartbeat_at == NOON
    assert (worker.running, worker.session, worker.leads) == (0, False, False)


def test_an_identity_is_never_given_twice(store: Store) -> None:
    members = [store.join(name="same") for _ in range(3)]
    for member in members:
        store.leave(member.worker)

    assert store.join(name="same").worker not in {member.worker for member in members}
    assert len({member.worker for member in members}) == 3


def test_blocks_of_leases_do_not_overlap(store: Store) -> None:
    blocks = sorted(
        lease for _ in range(2) for lease in (store.join().lease, store.do(operations.reserve()))
    )

    gaps = [after - before for before, after in pairwise(blocks)]
    assert all(gap >= 10_000_000 for gap in gaps)


def test_a_worker_that_left_is_gone(store: Store) -> None:
    staying, going = store.join().worker, store.join().worker
    store.leave(going)

    assert set(store.workers()) == {store.worker, staying}


def test_a_worker_may_leave_twice(store: Store) -> None:
    store.leave(store.worker)
    store.leave(store.worker)

    assert store.workers() == {}
