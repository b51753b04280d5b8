"""busy: what cannot be finished at this moment, because somebody else's transaction holds it."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.backends.base import carry_out
from pgqueue.testing.conformance.store import NOON, Store, a_job, needs


@needs("transactions", "concurrency")
def test_names_the_jobs_to_which_somebody_is_adding_children(store: Store) -> None:
    held, free = store.running(), store.running()
    leases = [(held.id, held.lease), (free.id, free.lease)]
    with store.backend.transaction() as executor:
        plan = operations.enqueue([a_job("child").after(held.id)], now=NOON)
        carry_out(plan, executor.execute)

        assert store.do(operations.busy(leases)) == {(held.id, held.lease)}

    assert store.do(operations.busy(leases)) == set()


@needs("transactions", "concurrency")
def test_a_lost_lease_is_not_busy(store: Store) -> None:
    held = store.running()
    with store.backend.transaction() as executor:
        plan = operations.enqueue([a_job("child").after(held.id)], now=NOON)
        carry_out(plan, executor.execute)

        assert store.do(operations.busy([(held.id, held.lease + 1)])) == set()


def test_nothing_is_held_for_long_by_asking(store: Store) -> None:
    job = store.running()

    assert store.do(operations.busy([(job.id, job.lease)])) == set()
    assert store.complete(job)
