"""What is large: neither side waits for the other, and no document is more than a store takes."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pgqueue import App, enqueue, operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.jobs.job import NewJob
from pgqueue.operations import Completed
from pgqueue.testing.conformance import Store, a_job

LARGE = '{"a": "%s"}' % ("x" * 1_000_000)


@pytest.mark.timeout(30)
async def test_large_arguments_in_several_statements(url: str) -> None:
    """What does not fit into a socket is sent all the same, before an answer is awaited."""
    app = App(url)
    blocking = app.enqueue([NewJob("t", LARGE, unique="blocking"), NewJob("t", LARGE)])
    awaited = await app.enqueue_async([NewJob("t", LARGE, unique="awaited")])
    again = app.enqueue(NewJob("t", LARGE, unique="blocking"))

    assert again.id == blocking[0].id
    assert awaited[0].created
    app.close()
    await app.close_async()


@pytest.mark.timeout(30)
async def test_large_arguments_on_a_connection_of_the_applications_own(url: str) -> None:
    job = NewJob[None]("t", LARGE, unique="own")
    with psycopg.connect(url) as connection:
        assert enqueue(connection, job).created
        with connection.pipeline():
            assert enqueue(connection, NewJob("t", LARGE, unique="in a pipeline")).created
    async with await psycopg.AsyncConnection.connect(url) as connection:
        assert not (await enqueue(connection, job)).created


@pytest.mark.timeout(60)
async def test_many_large_results_at_once(postgres_url: str) -> None:
    backend = PostgresBackend(postgres_url)
    store = Store(backend)
    store.enqueue(*(a_job() for _ in range(24)))
    result = '"%s"' % ("x" * 250_000)
    first, second = store.claim(12), store.claim(12)

    assert store.complete(*first, result=result) == {job.id for job in first}
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    done = [Completed(job.id, job.lease, result) for job in second]
    async with asyncio.timeout(30):
        assert len(await worker_connection.execute(operations.complete(done))) == 12
    await worker_connection.close()
    backend.close()


def test_a_call_is_cut_into_documents_of_moderate_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgqueue.operations.rows.CHUNK_CHARACTERS", 1_000)
    monkeypatch.setattr("pgqueue.operations.rows.CHUNK", 5)
    sizes = [10, 10, 990, 2_000, 500, 500, 1, 1, 1, 1, 1, 1]
    jobs = [NewJob[None]("t", '{"a": "%s"}' % ("x" * (size - 10))) for size in sizes if size > 9]
    jobs += [NewJob[None]("t") for size in sizes if size < 10]
    plan = operations.enqueue(jobs)
    lengths = []
    answer = next(plan)
    with pytest.raises(StopIteration):
        while True:
            rows = str(answer.params["jobs"]).count('"task"')
            lengths.append(rows)
            answer = plan.send(list(range(rows)))

    assert lengths == [2, 1, 1, 3, 5]
    assert not operations.is_simple(jobs[:3])
    assert operations.is_simple(jobs[:2])
    assert operations.is_simple([])
