"""Many jobs at once: what a verb sends and is sent grows as their number, and not as its square."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.redis.script_plans import script_plan
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.graphs import workflow
from pgqueue.operations import Operation, acting, inspections
from pgqueue.testing.conformance import Store, a_job

FEW, MANY = 3_000, 12_000
Verb = Callable[[list[int]], Operation[Any]]
VERBS: dict[str, Verb] = {
    "cancel": operations.cancel,
    "get": inspections.get,
    "move": lambda ids: operations.move(ids, queue="mail"),
    "purge": operations.purge,
}


def traffic(backend: RedisBackend, operation: Operation[Any]) -> int:
    """How many bytes go to the server and back while *operation* is carried out."""
    count = 0
    plan = script_plan(operation)
    try:
        script, params = next(plan)
        while True:
            reply = backend._call(script, params)
            count += len(params) + len(reply)
            script, params = plan.send(reply)
    except StopIteration:
        return count


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_four_times_the_jobs_are_four_times_the_traffic(
    store: Store, backend: RedisBackend, verb: Verb
) -> None:
    sent = []
    for count in (FEW, MANY):
        ids = [handle.id for handle in store.enqueue(*(a_job() for _ in range(count)))]
        if verb is operations.purge:
            store.cancel(*ids)
        sent.append(traffic(backend, verb(ids)))

    assert sent[1] < 1.5 * MANY / FEW * sent[0], sent


def test_so_it_is_for_a_workflow(store: Store, backend: RedisBackend) -> None:
    sent = []
    for count in (FEW, MANY):
        flow = store.enqueue(workflow("flow", [a_job() for _ in range(count)]))[0].workflow
        sent.append(traffic(backend, operations.cancel(workflow=flow)))

    assert sent[1] < 1.5 * MANY / FEW * sent[0], sent


def test_a_workflow_and_ids_of_any_age_are_cancelled_youngest_first(store: Store) -> None:
    before = store.enqueue(*(a_job() for _ in range(1_100)))
    members = store.enqueue(workflow("flow", [a_job() for _ in range(1_100)]))
    after = store.enqueue(*(a_job().after(member) for member in members[:1_100]))

    told = store.cancel(*before, *after, workflow=members[0].workflow)

    everything = [*before, *members, *after]
    assert told == {handle.id: "cancelled" for handle in everything}
    assert {job.reason for job in store.jobs(*after)} == {"cancelled on request"}


def test_a_filter_sees_all_in_scripts_that_look_at_a_thousand(store: Store) -> None:
    store.enqueue(*(a_job(queue="mail" if n % 2 else "default") for n in range(5_000)))

    told = store.act(acting.cancelling(now=store.now), Filter(queue="mail"))

    assert len(told) == 2_500
    assert store.choose(state="available", queue="mail") == []
    assert len(store.choose(state="available")) == 2_500
