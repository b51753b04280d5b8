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


@pytest.mark.parametrize("both", [False, True])
def test_an_instant_is_not_skipped_for_a_job_that_ends_while_the_schedule_fires(
    store: Store, both: bool
) -> None:
    add(store, a_row(overlap="next"))
    store.passes(minutes=1)
    [first] = store.fire().became
    running = store.take()
    store.passes(minutes=1)
    [second] = store.fire().became
    assert store.states(first.job or 0, second.job or 0) == ["running", "blocked"]
    store.passes(minutes=1)

    def goes_on() -> None:
        store.complete(running)
        if both:
            store.complete(store.take())

    [became] = fire(store, goes_on, after="fired").became

    assert became.outcome == "fired"
    assert became.job not in (first.job, second.job)
    assert store.state(became.job or 0) == ("available" if both else "blocked")
    if not both:
        store.complete(store.take())
    assert store.take().id == became.job


def test_of_two_that_go_on_one_still_waits_and_the_instant_is_skipped(store: Store) -> None:
    add(store, a_row(overlap="next"))
    for _ in range(2):
        store.passes(minutes=1)
        [last] = store.fire().became
        if store.state(last.job or 0) == "available":
            store.take()
    store.passes(minutes=1)

    [became] = fire(store, lambda: None, after="fired").became

    assert (became.outcome, became.job) == ("skipped", last.job)
