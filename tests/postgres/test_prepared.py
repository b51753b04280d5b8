"""A worker's connection after an operation went wrong on it: as if it had never been asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg.pq import PipelineStatus, TransactionStatus

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.postgres.worker_connection import PostgresWorkerConnection
from pgqueue.operations import ClaimedJob, Completed, CompletedLeases, Operation
from pgqueue.testing.conformance.store import Store, a_job


@pytest.fixture
async def worker_connection(backend: PostgresBackend) -> AsyncIterator[PostgresWorkerConnection]:
    worker_connection = backend.worker_connection()
    assert isinstance(worker_connection, PostgresWorkerConnection)
    await worker_connection.open()
    yield worker_connection
    await worker_connection.close()


def is_at_rest(worker_connection: PostgresWorkerConnection) -> bool:
    assert worker_connection.connection is not None
    pgconn = worker_connection.connection.pgconn
    idle = pgconn.transaction_status == TransactionStatus.IDLE
    return idle and pgconn.pipeline_status == PipelineStatus.OFF


@pytest.mark.parametrize(
    ("queue", "worker"),
    [("a NUL \0 in it", "1"), ("default", "no number")],
    ids=["refused by the driver", "refused by the server"],
)
async def test_a_single_statement_that_is_refused(
    worker_connection: PostgresWorkerConnection, store: Store, queue: str, worker: str
) -> None:
    id = store.add()
    claim = operations.claim("default", store.worker, 1, 1, now=store.now)
    wrong = Operation("claim", {**claim.params, "queue": queue, "worker": worker}, claim.decode)

    with pytest.raises(Exception, match=r"NUL|no number"):
        await worker_connection.execute(wrong)

    assert is_at_rest(worker_connection)
    assert [taken.id for taken in await worker_connection.execute(claim)] == [id]


async def test_a_transaction_whose_first_statement_is_refused(
    worker_connection: PostgresWorkerConnection, store: Store
) -> None:
    """Those behind it were neither prepared nor run; they are the next time."""
    job = store.running()
    complete = operations.complete([Completed(job.id, job.lease)])
    wrong = Operation("complete", {**complete.params, "now": "no instant"}, complete.decode)

    for _ in range(2):
        with pytest.raises(Exception, match="no instant"):
            await worker_connection.execute(wrong)
        assert is_at_rest(worker_connection)

    assert await worker_connection.execute(complete) == {(job.id, job.lease): True}
    assert await worker_connection.execute(complete) == {(job.id, job.lease): False}
    assert is_at_rest(worker_connection)


async def test_a_transaction_of_several_rounds(
    worker_connection: PostgresWorkerConnection, store: Store
) -> None:
    """Each generation of descendants is a round of its own."""
    generations = [store.add()]
    for _ in range(3):
        generations.append(store.add(a_job().after(generations[-1])))

    ended = await worker_connection.execute(operations.cancel([generations[0]], now=store.now))

    assert ended == {generations[0]: "cancelled"}
    assert [store.state(id) for id in generations] == ["cancelled"] * 4
    assert is_at_rest(worker_connection)


async def test_a_transaction_on_the_same_connection_that_is_rolled_back(
    worker_connection: PostgresWorkerConnection, store: Store
) -> None:
    """What psycopg has prepared there it then takes back, and ours with it."""
    first, second = store.running(), store.running()

    async def complete(job: ClaimedJob) -> CompletedLeases:
        return await worker_connection.execute(operations.complete([Completed(job.id, job.lease)]))

    assert await complete(first) == {(first.id, first.lease): True}
    with pytest.raises(ZeroDivisionError):
        async with worker_connection.transaction() as executor:
            await executor.execute(operations.complete([Completed(second.id, second.lease)]))
            raise ZeroDivisionError

    assert await complete(second) == {(second.id, second.lease): True}
    assert is_at_rest(worker_connection)
