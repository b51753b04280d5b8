"""Finished jobs expire by themselves, once the store knows how long they are kept."""

from __future__ import annotations

from datetime import timedelta

import redis

from pgqueue import workflow
from pgqueue.backends.redis import RedisBackend
from pgqueue.jobs.retention import Retention
from pgqueue.testing.conformance import Store, a_job, until

SOON = Retention(*[timedelta(seconds=0.2)] * 3)


def test_a_job_goes_when_its_time_is_over(store: Store) -> None:
    store.now = None
    store.prune(SOON)
    completed, discarded = store.running(), store.running()
    store.complete(completed, result="1")
    store.discard(discarded)
    cancelled = store.add()
    store.cancel(cancelled)

    until(lambda: store.missing(completed, discarded, cancelled))
    assert store.listing() == []


def test_nothing_is_left_of_what_has_expired(store: Store, backend: RedisBackend) -> None:
    store.now = None
    store.prune(SOON)
    store.complete(*[store.running() for _ in range(5)])
    until(lambda: store.listing() == [])

    assert store.prune(SOON) == (0, 5)
    assert store.claim() == []
    names = redis.Redis.from_url(backend.url).scan_iter(f"{backend.namespace.tag}:*")
    kinds = {name.decode().split(":", 1)[1] for name in names}
    assert kinds <= {
        "id",
        "position",
        "worker",
        "runners",
        "retention",
        "server",
    }


def test_what_hangs_together_with_others_is_pruned_and_does_not_expire(store: Store) -> None:
    store.now = None
    store.prune(SOON)
    parent = store.running()
    child = store.add(a_job().after(parent.id))
    store.complete(parent, result="1")
    late = store.running(a_job(queue="late"))
    store.complete(late)
    later = store.add(a_job().after(late.id))
    flow = store.enqueue(workflow("flow", a_job(queue="flow")))
    store.work(queue="flow")
    alone = store.running(a_job(queue="alone"))
    store.complete(alone)
    until(lambda: store.missing(alone))

    assert store.states(parent, *flow) == ["completed"] * 2
    assert store.job(parent).result == 1
    store.prune(SOON)
    assert not store.missing(parent)
    assert store.missing(*flow)
    assert store.work() == ["task", "task"]
    until(lambda: store.prune(SOON) and store.missing(parent, child, later))


def test_a_retry_takes_the_expiry_away(store: Store) -> None:
    store.now = None
    store.prune(SOON)
    job = store.running()
    store.complete(job)
    other = store.running()
    assert store.retry(job) == {job.id: "available"}
    store.complete(other)
    until(lambda: store.missing(other))

    assert store.state(job) == "available"


def test_prunes_a_long_history_in_many_short_scripts(store: Store, backend: RedisBackend) -> None:
    for _ in range(3):
        store.enqueue(*(a_job() for _ in range(1_000)))
        store.complete(*store.claim(1_000))
    client = redis.Redis.from_url(backend.url)
    store.passes(days=3)
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert store.prune(Retention()) == (0, 3_000)
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before >= 6
    assert store.listing() == []
