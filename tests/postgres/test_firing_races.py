"""A schedule fires while the jobs of earlier instants go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.operations import Fired, Operation
from pgqueue.testing.conformance.schedules import a_row, add, in_hands
from pgqueue.testing.conformance.store import Store


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    backend = PostgresBackend(postgres_url)
    yield Store(backend)
    backend.close()


def fire(store: Store, then: Callable[[], object], *, after: str) -> Fired:
    """What a leader does; *then* somebody else does something, *after* that operation of it."""
    due = store.do(operations.due(10, now=store.now))
    moves = [operations.to_fire(row, due.now) for row in due.rows]
    todo = [then]
    with store.backend.transaction() as executor:

        def carried(operation: Operation[object]) -> object:
            answer = executor.execute(operation)
            if operation.name == after and todo:
                todo.pop()()
            return answer

        return carry_out(operations.fire(moves, keep=store.keep, now=store.now), carried)


def test_the_newer_job_is_made_when_the_older_one_ends_and_the_one_behind_it_begins(
    store: Store,
) -> None:
    add(store, a_row(overlap="replace"))
    jobs: list[int] = []
    for _ in range(2):
        store.passes(minutes=1)
        jobs += [each.job or 0 for each in store.fire().became]
        if len(jobs) == 1:
            store.take()
    assert store.states(*jobs) == ["running", "blocked"]
    store.passes(minutes=1)

    def goes_on() -> None:
        store.complete(in_hands(store, jobs[0]))
        assert store.take().id == jobs[1]

    [became] = fire(store, goes_on, after="fired").became

    assert became.outcome == "fired"
    assert became.job not in jobs
    assert store.job(jobs[1]).cancel_requested
    store.fail(in_hands(store, jobs[1]), verdict="cancel")
    assert store.take().id == became.job
