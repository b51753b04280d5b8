"""A full server takes no new job, and everything else goes on: it can be emptied and cleaned."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from pgqueue import enqueue
from pgqueue.backends.redis import RedisBackend
from pgqueue.errors import StoreUnavailable
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.retention import Retention
from pgqueue.operations import ClaimedJob
from pgqueue.testing.conformance import Store, a_job, a_session
from tests import valkey
from tests.conftest import require_valkey
from tests.valkey import Valkey


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    require_valkey()
    with valkey.server() as server:
        yield server


@pytest.fixture
def backend(server: Valkey) -> Iterator[RedisBackend]:
    server.client().flushall()
    server.client().config_set("maxmemory", 0)
    backend = RedisBackend(server.url)
    yield backend
    backend.close()


@pytest.fixture
def store(backend: RedisBackend) -> Store:
    return Store(backend)


def fill(server: Valkey) -> None:
    """From now on the server has less than it holds."""
    client = server.client()
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("more", "x")


def test_takes_no_job(server: Valkey, store: Store) -> None:
    parent = store.add()
    fill(server)

    for jobs in ([a_job()], [a_job(), a_job(unique="k")], [a_job().after(parent)]):
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            store.enqueue(*jobs)

    assert [job.id for job in store.listing()] == [parent]


def test_is_emptied_by_a_worker_that_came_later(server: Valkey, store: Store) -> None:
    first = a_job("first")
    store.enqueue(first, a_job("second").after(first), a_job("third", queue="mail"))
    store.add(a_job("later").options(delay=5))
    fill(server)

    member = store.join()
    assert member.lease > 0
    assert store.elect(member.worker).elected
    store.passes(seconds=10)
    store.promote()
    assert sorted(store.work()) == ["first", "later", "second"]
    assert store.work(queue="mail") == ["third"]
    store.leave(member.worker)
    store.check()


async def test_is_heard_by_its_workers(server: Valkey, store: Store) -> None:
    fill(server)
    async with a_session(store, store.join().worker) as session:
        assert await session.subscribe(["default", "@"])
        await session.check()


def test_what_a_dead_worker_had_is_rescued(server: Valkey, store: Store) -> None:
    job = store.running()
    store.passes(hours=1)
    fill(server)

    assert [rescued.id for rescued in store.rescue().jobs] == [job.id]


def test_a_running_job_reports_fails_and_is_tried_again(server: Valkey, store: Store) -> None:
    job = store.running()
    fill(server)

    assert store.progress(job, progress='{"fraction": 0.5}') == {job.id}
    store.fail(job, retry_in=timedelta(seconds=1))
    assert store.state(job.id) == "retryable"
    store.passes(seconds=2)
    store.promote()
    again = store.take()
    store.release(again)
    store.discard(store.take())
    assert store.state(job.id) == "discarded"
    store.retry(job.id)
    assert store.state(job.id) == "available"


def test_is_cleaned(server: Valkey, store: Store) -> None:
    done = store.bring("completed")
    waiting = [store.add() for _ in range(3)]
    running = store.running(a_job(queue="other"))
    store.passes(days=400)
    fill(server)

    store.cancel(*waiting, running.id)
    assert store.states(*waiting) == ["cancelled"] * 3
    store.prune(Retention())
    assert store.missing(done)
    store.pause()
    store.resume()
    store.sweep()


def test_a_pipeline_brings_both_or_neither_once_it_was_built(
    server: Valkey, store: Store, backend: RedisBackend
) -> None:
    client = server.client()
    client.set("draft", "7")
    with client.pipeline() as pipeline:
        pipeline.rename("draft", "order")  # takes no memory, so it is not refused
        handle = enqueue(pipeline, NewJob[None]("task"))
        fill(server)
        pipeline.execute()

    assert client.get("order") == b"7"
    assert store.state(handle) == "available"


def test_a_pipeline_is_refused_when_it_is_built(server: Valkey, backend: RedisBackend) -> None:
    fill(server)
    with (
        server.client().pipeline() as pipeline,
        pytest.raises(redis.ResponseError, match="maxmemory"),
    ):
        enqueue(pipeline, NewJob[None]("task"))


# A parent that goes between the look and the commit


@pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_child_hears_how_its_parent_ended_though_it_is_gone(
    server: Valkey, store: Store, backend: RedisBackend, state: str, when: str
) -> None:
    store.add(a_job(queue="other"))
    job = store.running()
    if when == "before":
        end(store, job, state)
    with server.client().pipeline() as pipeline:
        child, bold = enqueue(
            pipeline,
            [
                NewJob[None]("child").after(job.id),
                NewJob[None]("bold").after(job.id, on_failure="run"),
            ],
        )
        if when == "between":
            store.keep = frozenset()
            end(store, job, state)
        server.client().delete(f"{{pgqueue}}:ended:{job.id}")  # as it expires
        assert store.missing(job.id)
        pipeline.execute()

    assert store.state(child) == ("available" if state == "completed" else "cancelled")
    assert store.state(bold) == "available"


def end(store: Store, job: ClaimedJob, state: str) -> None:
    if state == "completed":
        store.complete(job)
    else:
        store.fail(job, verdict="cancel" if state == "cancelled" else "discard")
