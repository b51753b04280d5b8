"""locked: jobs that cannot be finished at this moment, because somebody else's transaction holds
them."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.testing.conformance.store import NOON, Store, a_job, needs


@needs("transactions", "concurrency")
def test_names_the_jobs_to_which_somebody_is_adding_children(store: Store) -> None:
    held, free = store.running(), store.running()
    leases = [(held.id, held.lease), (free.id, free.lease)]
    with store.backend.transaction() as executor:
        plan = operations.enqueue([a_job("child").after(held.id)], now=NOON)
        carry_out(plan, executor.execute)

        assert store.do(operations.locked(leases)) == {(held.id, held.lease)}

    assert store.do(operations.locked(leases)) == set()


@needs("transactions", "concurrency")
def test_a_lost_lease_is_not_busy(store: Store) -> None:
    held = store.running()
    with store.backend.transaction() as executor:
        plan = operations.enqueue([a_job("child").after(held.id)], now=NOON)
        carry_out(plan, executor.execute)

        assert store.do(operations.locked([(held.id, held.lease + 1)])) == set()


@needs("transactions", "concurrency")
def test_names_the_jobs_whose_child_is_held(store: Store) -> None:
    held, free = store.running(), store.running()
    child = store.add(a_job("child").after(held.id))
    leases = [(held.id, held.lease), (free.id, free.lease)]
    with store.backend.transaction() as executor:
        executor.execute(operations.cancel([child], now=NOON))

        assert store.do(operations.locked(leases)) == {(held.id, held.lease)}

    assert store.do(operations.locked(leases)) == set()


@needs("transactions", "concurrency")
def test_a_job_that_stays_may_get_children_meanwhile_unless_it_is_to_be_cancelled(
    store: Store,
) -> None:
    retried, last, cancelled = (store.running(a_job().options(max_attempts=n)) for n in (2, 1, 2))
    store.cancel(cancelled)
    leases = [(job.id, job.lease) for job in (retried, last, cancelled)]
    with store.backend.transaction() as executor:
        plan = operations.enqueue([a_job("child").after(*(id for id, _ in leases))], now=NOON)
        carry_out(plan, executor.execute)

        assert store.do(operations.locked(leases, staying=leases)) == set(leases[1:])


@needs("transactions")
def test_what_can_be_finished_is_finished_in_the_transaction_that_asked(store: Store) -> None:
    job = store.running()
    child = store.add(a_job("child").after(job.id))
    with store.backend.transaction() as executor:
        assert executor.execute(operations.locked([(job.id, job.lease)])) == set()
        executor.execute(operations.complete([operations.Completed(job.id, job.lease)], now=NOON))

    assert store.take().id == child


def test_nothing_is_held_for_long_by_asking(store: Store) -> None:
    job = store.running()

    assert store.do(operations.locked([(job.id, job.lease)])) == set()
    assert store.complete(job)
