"""direct: a worker is asked to claim nothing more, to stop, or to go on."""

from __future__ import annotations

from typing import Any

from pgqueue import operations
from pgqueue.operations.workers import Asked
from pgqueue.testing.conformance.store import PROFILE, Store


def asked(store: Store) -> dict[int, str | None]:
    return {worker.id: worker.asked for worker in store.workers().values()}


def beats(store: Store, worker: int, profile: Any = PROFILE) -> Asked | None:
    """Send the worker's sign of life, and return what the worker is asked to do."""
    return store.do(operations.alive(worker, 0, profile, now=store.now))


def test_a_worker_hears_it_with_its_next_sign_of_life(store: Store) -> None:
    other = store.join().worker
    assert beats(store, store.worker) is None

    assert store.do(operations.direct([store.worker, 4_711], "quiet")) == [store.worker]

    assert asked(store) == {store.worker: "quiet", other: None}
    assert beats(store, store.worker) == "quiet"
    assert beats(store, store.worker) == "quiet"
    assert beats(store, other) is None


def test_what_is_asked_last_holds_until_it_is_taken_back(store: Store) -> None:
    store.do(operations.direct([store.worker], "quiet"))
    store.do(operations.direct([store.worker], "stop"))
    assert beats(store, store.worker) == "stop"

    store.do(operations.direct([store.worker], None))

    assert asked(store) == {store.worker: None}
    assert beats(store, store.worker) is None


def test_no_other_sign_of_life_takes_it_back(store: Store) -> None:
    store.do(operations.direct([store.worker], "quiet"))
    store.heartbeat()
    beats(store, store.worker, {**PROFILE, "queues": ["other"]})

    assert asked(store) == {store.worker: "quiet"}


def test_a_worker_whose_row_was_taken_away_stays_as_it_says_it_is(store: Store) -> None:
    store.do(operations.direct([store.worker], "quiet"))
    store.do(operations.leave(store.worker))
    profile = {**PROFILE, "info": {"asked": "quiet"}}

    assert beats(store, store.worker, profile) == "quiet"
    assert asked(store) == {store.worker: "quiet"}
