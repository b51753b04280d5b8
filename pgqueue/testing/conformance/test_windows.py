"""windows, keep_windows: unique keys that hold until an instant are copied to another store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pgqueue.copying.copier import restore
from pgqueue.copying.windows import Window, keep_windows, windows
from pgqueue.jobs.job import Handle, NewJob
from pgqueue.jobs.unique import Unique
from pgqueue.testing.conformance.store import NOON, Store, a_job
from pgqueue.testing.conformance.test_restore import a_document

HOUR = timedelta(hours=1)


def hourly(key: str) -> NewJob[Any]:
    return a_job().options(unique=Unique(key=key, until=3600))


def enqueue(store: Store, *keys: str) -> list[Handle[Any]]:
    return store.enqueue(*map(hourly, keys))


def told(store: Store, limit: int = 500) -> list[Window]:
    """Return all windows, read page by page."""
    found: list[Window] = []
    last = None
    while page := store.do(windows(last, limit, now=store.now)):
        assert len(page) <= limit
        found += page
        last = page[-1]
    return found


def keep(store: Store, *given: Window, source: str = "there") -> list[str]:
    made: list[str] = store.do(keep_windows(source, given, now=store.now))
    return sorted(made)


def test_pages_tell_each_once(store: Store) -> None:
    first = enqueue(store, "b", "a", "ü")
    store.passes(minutes=10)
    later = enqueue(store, "d", "c")
    until = NOON + HOUR + timedelta(minutes=10)

    for limit in (1, 2, 500):
        found = told(store, limit)
        assert {w.key: (w.job, w.until) for w in found} == {
            "b": (first[0].id, NOON + HOUR),
            "a": (first[1].id, NOON + HOUR),
            "ü": (first[2].id, NOON + HOUR),
            "d": (later[0].id, until),
            "c": (later[1].id, until),
        }
        assert len(found) == 5


def test_one_whose_time_is_over_is_not_told(store: Store) -> None:
    enqueue(store, "a")
    store.passes(hours=1)

    assert told(store) == []


def test_a_key_holds_until_the_same_instant(store: Store) -> None:
    assert keep(store, Window("k", 7, NOON + HOUR)) == ["k"]

    [met] = enqueue(store, "k")
    assert met.outcome == "existing"
    [(key, job, until)] = [(w.key, w.job, w.until) for w in told(store)]
    assert (key, job, until) == ("k", met.id, NOON + HOUR)
    store.passes(hours=1)
    assert enqueue(store, "k")[0].created


def test_the_job_that_comes_afterwards_has_the_number(store: Store) -> None:
    job = a_document()
    keep(store, Window("k", job.id, NOON + HOUR))
    brought = store.do(restore("there", [job], [], now=store.now))

    [met] = enqueue(store, "k")
    assert met.id == brought[job.id]
    assert store.state(met.id) == "available"


def test_one_that_is_here_before_too(store: Store) -> None:
    job = a_document()
    brought = store.do(restore("there", [job], [], now=store.now))
    keep(store, Window("k", job.id, NOON + HOUR))

    assert enqueue(store, "k")[0].id == brought[job.id]


def test_a_key_that_holds_here_stays_as_it_is(store: Store) -> None:
    [own] = enqueue(store, "k")

    assert keep(store, Window("k", 7, NOON + 2 * HOUR)) == []

    assert [(w.job, w.until) for w in told(store)] == [(own.id, NOON + HOUR)]


def test_one_whose_time_is_over_here_does_not(store: Store) -> None:
    enqueue(store, "k")
    store.passes(hours=2)

    assert keep(store, Window("k", 7, NOON + 3 * HOUR)) == ["k"]
    assert not enqueue(store, "k")[0].created


def test_what_is_over_is_not_kept(store: Store) -> None:
    assert keep(store, Window("k", 7, NOON), Window("l", 8, NOON + HOUR)) == ["l"]

    assert enqueue(store, "k")[0].created


def test_kept_again_nothing_changes(store: Store) -> None:
    pair = Window("k", 7, NOON + HOUR), Window("l", 7, NOON + HOUR)
    assert keep(store, *pair) == ["k", "l"]
    [met] = enqueue(store, "k")

    assert keep(store, *pair) == []

    assert {w.job for w in told(store)} == {met.id}
