"""A worker's connection after an operation went wrong on it: as if it had never been asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg.pq import PipelineStatus, TransactionStatus

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.postgres.lane import PostgresLane
from pgqueue.operations import ClaimedJob, Completed, Operation, Told
from pgqueue.testing.conformance.store import Store, a_job


@pytest.fixture
async def lane(backend: PostgresBackend) -> AsyncIterator[PostgresLane]:
    lane = backend.lane()
    assert isinstance(lane, PostgresLane)
    await lane.open()
    yield lane
    await lane.close()


def is_at_rest(lane: PostgresLane) -> bool:
    assert lane.connection is not None
    pgconn = lane.connection.pgconn
    idle = pgconn.transaction_status == TransactionStatus.IDLE
    return idle and pgconn.pipeline_status == PipelineStatus.OFF


@pytest.mark.parametrize(
    ("queue", "worker"),
    [("a NUL \0 in it", "1"), ("default", "no number")],
    ids=["refused by the driver", "refused by the server"],
)
async def test_a_single_statement_that_is_refused(
    lane: PostgresLane, store: Store, queue: str, worker: str
) -> None:
    id = store.add()
    claim = operations.claim("default", store.worker, 1, 1, now=store.now)
    wrong = Operation("claim", {**claim.params, "queue": queue, "worker": worker}, claim.decode)

    with pytest.raises(Exception, match=r"NUL|no number"):
        await lane.execute(wrong)

    assert is_at_rest(lane)
    assert [taken.id for taken in await lane.execute(claim)] == [id]


async def test_a_transaction_whose_first_statement_is_refused(
    lane: PostgresLane, store: Store
) -> None:
    """Those behind it were neither prepared nor run; they are the next time."""
    job = store.running()
    complete = operations.complete([Completed(job.id, job.lease)])
    wrong = Operation("complete", {**complete.params, "now": "no instant"}, complete.decode)

    for _ in range(2):
        with pytest.raises(Exception, match="no instant"):
            await lane.execute(wrong)
        assert is_at_rest(lane)

    assert await lane.execute(complete) == {(job.id, job.lease): True}
    assert await lane.execute(complete) == {(job.id, job.lease): False}
    assert is_at_rest(lane)


async def test_a_transaction_of_several_rounds(lane: PostgresLane, store: Store) -> None:
    """Each generation of descendants is a round of its own."""
    generations = [store.add()]
    for _ in range(3):
        generations.append(store.add(a_job().after(generations[-1])))

    ended = await lane.execute(operations.cancel([generations[0]], now=store.now))

    assert ended == {generations[0]: "cancelled"}
    assert [store.state(id) for id in generations] == ["cancelled"] * 4
    assert is_at_rest(lane)


async def test_a_transaction_on_the_same_connection_that_is_rolled_back(
    lane: PostgresLane, store: Store
) -> None:
    """What psycopg has prepared there it then takes back, and ours with it."""
    first, second = store.running(), store.running()

    async def complete(job: ClaimedJob) -> Told:
        return await lane.execute(operations.complete([Completed(job.id, job.lease)]))

    assert await complete(first) == {(first.id, first.lease): True}
    with pytest.raises(ZeroDivisionError):
        async with lane.transaction() as executor:
            await executor.execute(operations.complete([Completed(second.id, second.lease)]))
            raise ZeroDivisionError

    assert await complete(second) == {(second.id, second.lease): True}
    assert is_at_rest(lane)
