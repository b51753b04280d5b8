"""whereabouts, remember, adopt: a store knows which one it is, and its environment."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.operations import Whereabouts, inspections
from pgqueue.testing.conformance.store import Store, a_job, needs


def look(store: Store) -> Whereabouts:
    return store.do(operations.whereabouts())


@needs("whereabouts")
def test_a_store_remembers_nothing_before_its_first_worker_tells_it(store: Store) -> None:
    found = look(store)

    assert (found.noted, found.environment) == (None, None)
    assert found.lacks(None)


@needs("whereabouts")
def test_what_was_noted_is_what_is_here(store: Store) -> None:
    store.do(operations.remember("production"))

    found = look(store)
    assert (found.noted, found.environment) == (found.place, "production")
    assert found.moved == []
    assert not found.lacks("production")


@needs("whereabouts")
def test_an_environment_is_noted_once(store: Store) -> None:
    store.do(operations.remember())
    assert look(store).lacks("production")
    for environment in ("production", "staging", None):
        store.do(operations.remember(environment))

    assert look(store).environment == "production"


@needs("whereabouts")
def test_a_store_keeps_its_name_until_it_is_adopted(store: Store) -> None:
    before = look(store).store_id
    store.do(operations.remember("production"))
    assert look(store).store_id == before

    adopted = store.do(operations.adopt("staging"))

    found = look(store)
    assert found.store_id == adopted.store_id != before
    assert (found.environment, adopted.paused) == ("staging", [])
    assert store.do(operations.adopt()).store_id not in (before, adopted.store_id)
    assert look(store).environment is None


@needs("whereabouts")
def test_who_adopts_a_store_may_pause_all_that_could_ever_run(store: Store) -> None:
    for state in ("blocked", "scheduled", "retryable", "running", "available"):
        store.bring(state, a_job(queue=state))
    store.pause("settled")

    adopted = store.do(operations.adopt(paused=True, now=store.now))

    queues = store.do(inspections.queues())
    assert adopted.paused == [queue.name for queue in queues]
    assert {"blocked", "scheduled", "retryable", "running", "available", "settled"} < {
        queue.name for queue in queues if queue.paused_at
    }
    assert store.claim(queue="available") == []
