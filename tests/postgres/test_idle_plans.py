"""A worker's connection plans once, perhaps in an idle hour; a minute later the store is full.

With one job in the table it costs nothing to read all of it. A plan that does so for each job of a
batch takes, a hundred thousand jobs later, longer than a connection may be silent.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from psycopg import AsyncConnection

from pgqueue import operations
from pgqueue.backends.plans import carry_out, carry_out_async
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.operations import ClaimedJob, Completed, Failed, Operation, ProgressReport, Released
from pgqueue.testing.conformance import NOON, PROFILE, a_job
from tests.postgres.plans import Plans

BATCH = 20
CHILDREN = 5
LEASE = 77
BACKLOG = 4_000

IDLE = """
INSERT INTO pgqueue.job (state, task, run_at) VALUES ('scheduled', 'later', '2999-01-01Z');
VACUUM ANALYZE pgqueue.job, pgqueue.dependency;
"""
FILL = f"""
INSERT INTO pgqueue.job (state, task) SELECT 'available', 'task' FROM generate_series(1, {BACKLOG});

INSERT INTO pgqueue.job (state, task, run_at)
SELECT 'scheduled', 'due', timestamptz '{NOON}' FROM generate_series(1, {BACKLOG});

WITH parent AS (
    INSERT INTO pgqueue.job (state, task, attempt, lease, worker, claimed_at)
    SELECT 'running', 'parent', 1, {LEASE}, 1, '{NOON}' FROM generate_series(1, {BATCH})
    RETURNING id
), child AS (
    INSERT INTO pgqueue.job (state, task, blocked_by)
    SELECT 'blocked', 'child', 1 FROM generate_series(1, {BACKLOG}) RETURNING id
)
INSERT INTO pgqueue.dependency (child_id, parent_id)
SELECT child.id, parent.id
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM parent) AS parent
JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM child) AS child
  ON (child.n + {CHILDREN} - 1) / {CHILDREN} = parent.n;
"""
VERBS: dict[str, Callable[[list[int]], Operation[Any]]] = {
    "claim": lambda ids: operations.claim("default", 1, LEASE + 1, BATCH, now=NOON),
    "complete": lambda ids: operations.complete([Completed(id, LEASE) for id in ids], now=NOON),
    "complete unkept": lambda ids: operations.complete(
        [Completed(id, LEASE) for id in ids], keep=frozenset(), now=NOON
    ),
    "fail": lambda ids: operations.fail([Failed(id, LEASE, "discard") for id in ids], now=NOON),
    "fail, retry": lambda ids: operations.fail(
        [Failed(id, LEASE, "retry") for id in ids], now=NOON
    ),
    "release": lambda ids: operations.release([Released(id, LEASE) for id in ids], now=NOON),
    "busy": lambda ids: operations.locked([(id, LEASE) for id in ids]),
    "progress": lambda ids: operations.progress([ProgressReport(id, LEASE, "{}") for id in ids]),
    "heartbeat": lambda ids: operations.heartbeat(1, [(id, LEASE) for id in ids], PROFILE),
    "cancel": lambda ids: operations.cancel(ids, now=NOON),
    "graft": lambda ids: operations.graft(
        cast(ClaimedJob, SimpleNamespace(id=min(ids, default=0), lease=LEASE)), ids[1:]
    ),
    "promote": lambda ids: operations.promote(BATCH, now=NOON),
    "sweep": lambda ids: operations.sweep(BATCH, now=NOON),
}


@pytest.fixture
def postgres_url(fresh_url: str) -> str:
    """Without anybody's pages and statistics."""
    return fresh_url


def be_idle(user: psycopg.Connection[Any]) -> None:
    for statement in IDLE.strip().split("\n"):
        user.execute(statement.encode())


@pytest.mark.parametrize("verb", VERBS)
async def test_a_plan_from_an_idle_hour_does_not_read_the_backlog(
    backend: PostgresBackend, verb: str
) -> None:
    worker_connection = backend.worker_connection()
    with psycopg.connect(backend.url, autocommit=True) as user:
        be_idle(user)
        backend.execute(operations.join(PROFILE, now=NOON))
        await worker_connection.open()
        await worker_connection.execute(VERBS[verb]([]))
        user.execute(FILL.encode())
        running = "SELECT id FROM pgqueue.job WHERE state = 'running' ORDER BY id"
        ids = [id for (id,) in user.execute(running.encode())]
    assert len(ids) == BATCH
    assert worker_connection.connection is not None
    plans = await Plans.watch(worker_connection.connection)
    await worker_connection.execute(VERBS[verb](ids))
    await worker_connection.close()

    looked_for_orphans = 3 * BACKLOG + 2 * BATCH if verb == "sweep" else 0
    assert len(plans) > 0
    assert plans.rows() - looked_for_orphans < BACKLOG


async def test_nor_does_an_enqueuers(backend: PostgresBackend) -> None:
    """Its session has plans too, of the function that makes the edges; the fifth is for good."""
    with psycopg.connect(backend.url, autocommit=True) as user:
        with backend.on(user) as executor:
            [parent] = carry_out(operations.enqueue([a_job()]), executor.execute)
        worker = backend.execute(operations.join(PROFILE, now=NOON)).worker
        [job] = backend.execute(operations.claim("default", worker, LEASE, 1))
        backend.execute(operations.complete([Completed(job.id, LEASE)]))
        be_idle(user)
        async with await AsyncConnection.connect(backend.url, autocommit=True) as session:
            for _ in range(10):
                async with backend.on_async(session) as executor_async:
                    child = operations.enqueue([a_job().after(parent)])
                    await carry_out_async(child, executor_async.execute)
            user.execute(FILL.encode())
            plans = await Plans.watch(session)
            async with backend.on_async(session) as executor_async:
                child = operations.enqueue([a_job().after(parent)])
                await carry_out_async(child, executor_async.execute)

    assert len(plans) > 0
    assert plans.rows() < BACKLOG
