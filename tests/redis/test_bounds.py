"""Scripts stop everybody, so they are bounded: what is left over, the next one goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis

from pgqueue import App, chain, group, operations, workflow
from pgqueue.backends.redis import RedisBackend
from pgqueue.jobs.job import NewJob
from pgqueue.operations import Completed, Operation, inspections
from pgqueue.statements.lua import Script
from pgqueue.testing.conformance import Store, a_job

WIDE = 5_000


class Died(Exception):
    """The client, between two scripts."""


@contextmanager
def dies_after(backend: RedisBackend, scripts: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    call: Callable[[Script, bytes], bytes] = backend._call
    left = iter(range(scripts))

    def once(script: Script, wanted: bytes) -> bytes:
        if next(left, None) is None:
            raise Died
        return call(script, wanted)

    with patch.context() as patched:
        patched.setattr(backend, "_call", once)
        with pytest.raises(Died):
            yield


def complete(store: Store, id: int, lease: int) -> Operation[operations.CompletedLeases]:
    return operations.complete([Completed(id, lease)], now=store.now)


@pytest.mark.parametrize("goes_on", ["the next completion", "the leader", "the sweep"])
def test_children_of_a_client_that_died_are_told_by_others(
    goes_on: str, store: Store, backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.enqueue(*chain(a_job("top"), group(a_job() for _ in range(WIDE))).jobs)
    other = store.add(a_job(queue="other"))
    top = store.take()
    with dies_after(backend, 1, monkeypatch):
        store.do(complete(store, top.id, top.lease))
    assert store.state(top) == "completed"

    if goes_on == "the next completion":
        assert store.complete(store.take(queue="other")) == {other}
    elif goes_on == "the leader":
        store.promote()
    else:
        assert store.sweep() == operations.Sweep(0, 0)

    counts = {c.state: c.count for c in store.do(inspections.count()).counts if c.queue != "other"}
    assert counts == {"available": WIDE}


def test_a_cascade_of_a_client_that_died_goes_on(
    store: Store, backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = chain(a_job("top"), group(a_job() for _ in range(WIDE)), a_job("end"))
    handles = store.enqueue(*graph.jobs)
    with dies_after(backend, 1, monkeypatch):
        store.cancel(handles[0])

    assert store.retry(handles[0]) == {handles[0].id: "available"}

    assert set(store.states(*handles[1:])) == {"blocked"}
    store.complete(store.take())
    assert len(store.claim(WIDE)) == WIDE


def test_a_large_workflow_is_cancelled_in_short_scripts(
    store: Store, backend: RedisBackend
) -> None:
    client = redis.Redis.from_url(backend.url)
    handles = store.enqueue(workflow("wide", group(a_job() for _ in range(WIDE)).then(a_job())))
    id = handles[0].workflow

    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    told = store.cancel(workflow=id)

    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before >= 3
    assert len(told) == WIDE + 1
    assert set(store.states(*handles)) == {"cancelled"}
    assert len(store.retry(workflow=id)) == WIDE + 1


def test_one_of_many_who_enqueue_the_same_key_makes_the_job(app: App) -> None:
    def ask(n: int) -> list[tuple[int, bool]]:
        jobs = [NewJob("task", schema=app.schema, unique=f"key {k}") for k in (n % 3, n % 5, n)]
        return [(handle.id, handle.created) for handle in app.enqueue(jobs)]

    with ThreadPoolExecutor(8) as pool:
        answers = [answer for told in pool.map(ask, range(80)) for answer in told]

    created = [id for id, new in answers if new]
    assert len(created) == len(set(created)) == 80
    assert {id for id, _ in answers} == set(created)
    assert len(app.execute(inspections.list_jobs(limit=1_000))) == 80
