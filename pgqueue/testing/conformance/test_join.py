"""join, leave: a worker's identity, and its leases."""

from __future__ import annotations

import msgspec
import pytest

from pgqueue import operations
from pgqueue.errors import StoreBusy
from pgqueue.testing.conformance.store import NOON, PROFILE, Store


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


def test_an_identity_is_nothing_that_a_store_may_forget(store: Store) -> None:
    """After a restored backup or an emptied server, workers of the time before still live."""
    first, second = store.join(), store.join()

    assert first.worker >= 2**30 <= second.worker < 2**31
    assert abs(first.worker - second.worker) > 1
    assert abs(first.lease - second.lease) >= 10_000_000


def test_who_joins_again_because_the_answer_was_lost_is_the_same_worker(store: Store) -> None:
    join = operations.join({**PROFILE, "name": "once"}, now=NOON)

    assert store.do(join).worker == store.do(join).worker
    assert [worker.name for worker in store.workers().values()].count("once") == 1


def test_an_identity_that_another_worker_has_is_not_given(store: Store) -> None:
    join = operations.join({**PROFILE, "pid": 1}, now=NOON)
    other = operations.join({**PROFILE, "pid": 2}, now=NOON)
    store.do(join)

    with pytest.raises(StoreBusy, match="join again"):
        store.do(
            msgspec.structs.replace(other, params={**other.params, "worker": join.params["worker"]})
        )


def test_a_worker_that_left_is_gone(store: Store) -> None:
    staying, going = store.join().worker, store.join().worker
    store.leave(going)

    assert set(store.workers()) == {store.worker, staying}


def test_a_worker_may_leave_twice(store: Store) -> None:
    store.leave(store.worker)
    store.leave(store.worker)

    assert store.workers() == {}
