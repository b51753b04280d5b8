"""A connection that is cut in the middle of a verb: all of it happened, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, get_args

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.redis.script_plans import SCRIPTS
from pgqueue.errors import StoreUnavailable
from pgqueue.jobs.retention import Retention
from pgqueue.jobs.unique import Unique
from pgqueue.operations import Completed, Failed, Operation, ProgressReport, Released, inspections
from pgqueue.testing.conformance import PROFILE, Store, a_job
from tests.redis.proxy import Cut, Proxy
from tests.valkey import Valkey

HOUR = timedelta(hours=1)


@pytest.fixture
def store(durable: Valkey) -> Iterator[Store]:
    """What is there, seen over a line that holds. The server knows the scripts."""
    for script in SCRIPTS.values():
        durable.client().script_load(script.text)
    backend = RedisBackend(durable.url)
    store = Store(backend)
    yield store
    store.check()
    backend.close()


def enqueue(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    plan = operations.enqueue([a_job(), a_job()], now=store.now)
    return plan.send(None), lambda: len(store.listing())


def enqueue_unique(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    plan = operations.enqueue([a_job(unique="k"), a_job()], now=store.now)
    return plan.send(None), lambda: len(store.listing())


def enqueue_once(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    id = store.add(a_job("old", unique="k"))
    rule = Unique(key="k", until="started", conflict="replace")
    plan = operations.enqueue([a_job("new").options(unique=rule)], now=store.now)
    return plan.send(None), lambda: store.job(id).task


def claim(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    ids = [store.add() for _ in range(3)]
    member = store.join()
    operation = operations.claim("default", member.worker, member.lease, 3, now=store.now)
    recall = operations.recall(member.worker, member.lease)

    def look() -> object:
        taken = [job.id for job in store.do(recall)]
        assert taken == [id for id in ids if store.state(id) == "running"]
        return taken

    return operation, look


def complete(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.running()
    child = store.add(a_job().after(job.id))
    done = [Completed(job.id, job.lease, "1")]
    return operations.complete(done, now=store.now), lambda: store.states(job, child)


def fail(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.running()
    child = store.add(a_job().after(job.id))
    failed = [Failed(job.id, job.lease, "discard")]
    return operations.fail(failed, now=store.now), lambda: store.states(job, child)


def release(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.running()
    released = [Released(job.id, job.lease, HOUR)]
    return operations.release(released, now=store.now), lambda: store.states(job)


def progress(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.running()
    report = [ProgressReport(job.id, job.lease, '{"note": "n"}')]
    return operations.progress(report), lambda: store.job(job).progress


def heartbeat(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    store.passes(seconds=5)
    beat = operations.heartbeat(store.worker, [], PROFILE, now=store.now)
    return beat, lambda: store.workers()[store.worker].heartbeat_at


def join(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    return operations.join(PROFILE, now=store.now), lambda: len(store.workers())


def cancel(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    parent = store.add()
    child = store.add(a_job().after(parent))
    return operations.cancel([parent], now=store.now), lambda: store.states(parent, child)


def retry(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.running()
    child = store.add(a_job().after(job.id))
    store.discard(job)
    return operations.retry([job.id], now=store.now), lambda: store.states(job, child)


def move(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    ids = [store.add() for _ in range(3)]

    def look() -> object:
        return [[job.id for job in store.listing(queue=queue)] for queue in ("default", "mail")]

    return operations.move(ids, queue="mail"), look


def purge(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.bring("completed")
    return operations.purge([job]), lambda: store.missing(job)


def expire(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    parent = store.add(a_job(expires=HOUR))
    child = store.add(a_job().after(parent))
    store.passes(hours=2)
    return operations.expire(now=store.now), lambda: store.states(parent, child)


def promote(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.add(a_job(delay=HOUR))
    store.passes(hours=2)
    return operations.promote(now=store.now), lambda: store.states(job)


def rescue(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.running(by=store.join().worker)
    store.passes(minutes=2)
    store.heartbeat()
    return operations.rescue(now=store.now), lambda: store.states(job)


def prune(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    job = store.bring("completed")
    store.passes(days=2)
    return operations.prune(Retention(), now=store.now), lambda: store.missing(job)


def elect(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    ask = operations.elect("leader", store.worker, HOUR, now=store.now)
    other = store.join().worker
    return ask, lambda: store.elect(other).elected and not store.resign(other)


def pause(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    def look() -> object:
        return [queue.paused_at for queue in store.do(inspections.queues())]

    return operations.pause("default", now=store.now), look


def direct(store: Store) -> tuple[Operation[Any], Callable[[], object]]:
    def look() -> object:
        return [worker.asked for worker in store.workers().values()]

    return operations.direct([store.worker], "quiet"), look


VERBS = [
    enqueue, enqueue_unique, enqueue_once, claim, complete, fail, release, progress, heartbeat,
    join, cancel, retry, move, purge, expire, promote, rescue, prune, elect, pause, direct,
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_all_of_a_verb_happens_or_nothing(
    verb: Callable[[Store], tuple[Operation[Any], Callable[[], object]]],
    store: Store,
    proxy: Proxy,
) -> None:
    operation, look = verb(store)
    cut_off = RedisBackend(proxy.url)
    before = look()

    proxy.cut("before it is carried out")
    with pytest.raises(StoreUnavailable):
        cut_off.execute(operation)
    assert look() == before

    proxy.cut("before its answer")
    with pytest.raises(StoreUnavailable):
        cut_off.execute(operation)
    after = look()
    assert after != before
    assert proxy.cuts == 2

    if operation.name not in ("enqueue", "join"):  # these are never asked again by themselves
        cut_off.execute(operation)
        assert (after if operation.name != "enqueue_unique" else 3) == look()
    cut_off.close()


@pytest.mark.parametrize("when", get_args(Cut))
def test_all_of_a_transaction_happens_or_nothing(when: Cut, store: Store, proxy: Proxy) -> None:
    parent = store.running()
    cut_off = RedisBackend(proxy.url)

    with pytest.raises(StoreUnavailable), cut_off.transaction() as executor:
        carry_out(operations.enqueue([a_job().after(parent.id)], now=store.now), executor.execute)
        proxy.cut(when)

    assert len(store.listing()) == (2 if when == "before its answer" else 1)
    cut_off.close()
