"""Plans are pinned: what a statement costs depends neither on the backlog nor on the history.

100,000 jobs wait and 60,000 have finished, and the statistics are as bad as they can be. Each
statement is run, and the server tells what it has read: a worker's on its own connection, an
application's on a connection as it comes, with a plan for its values and with a generic one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from pgqueue import operations
from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.plans import carry_out
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import Limits, Rate
from pgqueue.jobs.retention import Retention
from pgqueue.operations import (
    Completed,
    Failed,
    Floor,
    Operation,
    ProgressReport,
    Released,
    inspections,
)
from pgqueue.operations.browsing import Order, browse
from pgqueue.testing.conformance import NOON, PROFILE, a_job
from tests.postgres.plans import Plans

T = TypeVar("T")
WAITING = 100_000
CHILDREN = 20
BATCH = 100
LEASE = 77
A_LITTLE = 25 * BATCH

FILL = f"""
INSERT INTO pgqueue.job (state, task, priority, queue)
SELECT 'available', 'task', n % 4, CASE WHEN n % 10 = 0 THEN 'mail' ELSE 'default' END
FROM generate_series(1, {WAITING}) AS n;

INSERT INTO pgqueue.job (state, task, attempt, lease, worker, claimed_at)
SELECT 'running', 'parent', 1, {LEASE}, 1, now() FROM generate_series(1, 1000);

INSERT INTO pgqueue.job (state, task, run_at)
SELECT CASE WHEN n % 2 = 0 THEN 'scheduled' ELSE 'retryable' END, 'later',
       timestamptz '{NOON}' + (n - 1000) * interval '1 minute'
FROM generate_series(1, 20000) AS n;

WITH parent AS (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM pgqueue.job WHERE state = 'running'
), child AS (
    INSERT INTO pgqueue.job (state, task, blocked_by)
    SELECT 'blocked', 'child', 1 FROM generate_series(1, {1000 * CHILDREN}) RETURNING id
), numbered AS (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM child
)
INSERT INTO pgqueue.dependency (child_id, parent_id)
SELECT numbered.id, parent.id FROM numbered JOIN parent ON parent.n = 1 + numbered.n % 1000;

INSERT INTO pgqueue.archive (id, lease, run_at, enqueued_at, claimed_at, finished_at, priority,
                             attempt, max_attempts, rescues, state, queue, task, args)
SELECT nextval('pgqueue.job_id'), n, finished_at, finished_at, finished_at, finished_at, 0,
       1, 10, 0,
       CASE n % 200 WHEN 0 THEN 'discarded' WHEN 1 THEN 'cancelled' ELSE 'completed' END,
       'default', 'past', '{{}}'
FROM generate_series(1, 60000) AS n,
     LATERAL (SELECT timestamptz '{NOON}' - (n % 7) * interval '1 day') AS at(finished_at);
"""
NO_AUTOVACUUM = """
DO $$
DECLARE name regclass;
BEGIN
    FOR name IN
        SELECT oid FROM pg_class WHERE relnamespace = 'pgqueue'::regnamespace AND relkind = 'r'
    LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', name); END LOOP;
END $$
"""


@pytest.fixture(scope="module", params=["never analyzed", "analyzed when empty", "analyzed"])
def full(
    request: pytest.FixtureRequest, postgres_server: str, template: str
) -> Iterator[PostgresBackend]:
    """A store with much in it, whose statistics are as the parameter says."""
    name = f"pgqueue_full_{os.getpid()}_{request.param.replace(' ', '_')}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    backend = PostgresBackend(make_conninfo(postgres_server, dbname=name))
    week = Retention(*(timedelta(days=8),) * 3)
    for days in range(-6, 2):
        carry_out(operations.tidy(week, now=NOON + timedelta(days=days)), backend.execute)
    with psycopg.connect(backend.url, autocommit=True) as connection:
        connection.execute(NO_AUTOVACUUM)
        if request.param == "analyzed when empty":
            connection.execute("ANALYZE")
        connection.execute(FILL.encode())
        if request.param == "analyzed":
            connection.execute("ANALYZE")
    backend.execute(operations.join(PROFILE, now=NOON))
    yield backend
    backend.close()
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


LANE, VALUES, GENERIC = "a worker_connection", "an application", "an application, generic plans"
everywhere = pytest.mark.parametrize("way", [LANE, VALUES, GENERIC])
with_values = pytest.mark.parametrize("way", [VALUES, GENERIC])


async def plans_of(backend: PostgresBackend, way: str, operation: Operation[T]) -> tuple[Plans, T]:
    """How *operation* was carried out on a connection of that kind, and what it answered."""
    async with watched(backend, way) as (plans, executor):
        answer = await executor.execute(operation)
    return plans, answer


@contextlib.asynccontextmanager
async def watched(
    backend: PostgresBackend, way: str
) -> AsyncIterator[tuple[Plans, AsyncOperationRunner]]:
    """A transaction on a connection of that kind, and how everything in it is carried out."""
    if way == LANE:
        worker_connection = backend.worker_connection()
        await worker_connection.open()
        assert worker_connection.connection is not None
        connection = worker_connection.connection
        await connection.set_autocommit(False)
    else:
        connection = await AsyncConnection.connect(backend.url, prepare_threshold=None)
        if way == GENERIC:
            connection.prepare_threshold = 0
            await connection.execute("SET plan_cache_mode = force_generic_plan")
    async with connection:
        plans = await Plans.watch(connection)
        async with backend.on_async(connection) as executor:
            yield plans, executor
        await connection.rollback()


def some(backend: PostgresBackend, state: str) -> list[int]:
    """A batch of jobs in *state*."""
    with psycopg.connect(backend.url) as connection:
        sql = "SELECT id FROM pgqueue.jobs WHERE state = %s LIMIT %s"
        return [id for (id,) in connection.execute(sql, [state, BATCH])]


# A worker's statements, in its worker_connection


@pytest.mark.parametrize("floors", [(), (Floor(1, 5_000), Floor(2, 60_000))], ids=["", "floors"])
async def test_claim_walks_the_order_of_the_queue(
    full: PostgresBackend, floors: Sequence[Floor]
) -> None:
    claim = operations.claim("default", 1, LEASE + 1, BATCH, floors=floors, now=NOON)
    plans, jobs = await plans_of(full, LANE, claim)

    assert len(jobs) == BATCH
    assert "Sort" not in plans.kinds()
    scans = {(scan.kind, scan.by) for scan in plans.scans("job")}
    assert scans == {("Index Scan", "job_plain"), ("Index Scan", "job_turn"), ("Tid Scan", None)}
    assert plans.rows() == 2 * BATCH


@pytest.mark.parametrize("floors", [(), (Floor(1, 5_000), Floor(2, 60_000))], ids=["", "floors"])
async def test_the_order_of_a_claim_is_no_accident_of_its_plan(
    full: PostgresBackend, floors: Sequence[Floor]
) -> None:
    claim = operations.claim("default", 1, LEASE + 1, BATCH, floors=floors, now=NOON)
    _, expected = await plans_of(full, LANE, claim)
    without_index = "-c enable_indexscan=off -c enable_bitmapscan=off"
    backend = PostgresBackend(make_conninfo(full.url, options=without_index))
    plans, jobs = await plans_of(backend, VALUES, claim)

    assert "Sort" in plans.kinds()
    assert [job.id for job in jobs] == [job.id for job in expected]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(concurrency=BATCH, rate=Rate(10 * BATCH, 60)),
        Limits(key_concurrency=2, key_rate=Rate(2, 60)),
        Limits(ordered=True),
    ],
    ids=["queue", "key", "ordered"],
)
async def test_a_claim_in_turn_reads_what_it_takes_and_a_row_for_each_key(
    full: PostgresBackend, limits: Limits
) -> None:
    with psycopg.connect(full.url, autocommit=True) as user:
        user.execute(
            "INSERT INTO pgqueue.job (state, task, queue, key)"
            " SELECT 'available', 'task', 'keyed', 'k' || n % 500"
            " FROM generate_series(1, 20000) AS n"
        )
        try:
            async with watched(full, LANE) as (plans, executor):
                await executor.execute(operations.declare_limits("keyed", limits))
                claim = operations.claim_in_turn("keyed", 1, LEASE + 1, BATCH, now=NOON)
                before = plans.rows()
                turn = await executor.execute(claim)
        finally:
            user.execute("DELETE FROM pgqueue.job WHERE queue = 'keyed'")

    assert len(turn.jobs) == BATCH
    assert {s.by for s in plans.scans("job")} <= {"job_plain", "job_turn", "job_permit", None}
    assert {s.kind for s in plans.scans("job")} <= {"Index Scan", "Index Only Scan", "Tid Scan"}
    assert plans.rows() - before <= 12 * BATCH


async def test_a_claim_in_turn_comes_round_without_reading_those_behind(
    full: PostgresBackend,
) -> None:
    """Its turn begins at the first of two keys, and ends there: what the other has more is left."""
    with psycopg.connect(full.url, autocommit=True) as user:
        user.execute(
            "INSERT INTO pgqueue.job (state, task, queue, key)"
            " SELECT 'available', 'task', 'keyed', 'k' || n % 2 FROM generate_series(1, 20000) AS n"
        )
        try:
            async with watched(full, LANE) as (plans, executor):
                await executor.execute(operations.declare_limits("keyed", Limits(ordered=True)))
                claim = operations.claim_in_turn("keyed", 1, LEASE + 1, BATCH, after="k0", now=NOON)
                before = plans.rows()
                turn = await executor.execute(claim)
        finally:
            user.execute("DELETE FROM pgqueue.job WHERE queue = 'keyed'")

    assert [job.key for job in turn.jobs] == ["k1", "k0"]
    assert plans.rows() - before <= BATCH


async def test_a_claim_in_turn_passes_over_full_keys_by_leaps(full: PostgresBackend) -> None:
    """Half the pages of a search in two indexes for each of them."""
    with psycopg.connect(full.url, autocommit=True) as user:
        user.execute(
            "INSERT INTO pgqueue.job (state, lease, permit, task, queue, key)"
            " SELECT 'running', n, n, 'task', 'keyed', 'k' || n FROM generate_series(1, 2000) AS n"
        )
        user.execute(
            "INSERT INTO pgqueue.job (state, task, queue, key)"
            " SELECT 'available', 'task', 'keyed', 'k' || n FROM generate_series(1, 2000) AS n"
        )
        user.execute(
            "INSERT INTO pgqueue.job (state, task, queue, key)"
            " SELECT 'available', 'task', 'keyed', 'k99-free'"
        )
        try:
            async with watched(full, LANE) as (plans, executor):
                await executor.execute(
                    operations.declare_limits("keyed", Limits(key_concurrency=1))
                )
                claim = operations.claim_in_turn("keyed", 1, LEASE + 1, BATCH, now=NOON)
                before = plans.pages()
                turn = await executor.execute(claim)
        finally:
            user.execute("DELETE FROM pgqueue.job WHERE queue = 'keyed'")

    assert [job.key for job in turn.jobs] == ["k99-free"]
    assert plans.pages() - before < 3 * 2_000


async def test_a_claim_in_turn_of_jobs_without_keys_walks_their_order(
    full: PostgresBackend,
) -> None:
    async with watched(full, LANE) as (plans, executor):
        await executor.execute(operations.declare_limits("default", Limits(concurrency=BATCH)))
        before = plans.rows()
        turn = await executor.execute(
            operations.claim_in_turn("default", 1, LEASE + 1, BATCH, now=NOON)
        )

    assert len(turn.jobs) == BATCH
    assert [job.position for job in turn.jobs] == sorted(job.position for job in turn.jobs)
    scans = plans.scans("job")
    assert "job_plain" in {scan.by for scan in scans}
    assert {scan.kind for scan in scans} <= {"Index Scan", "Index Only Scan", "Tid Scan"}
    assert plans.rows() - before <= 5 * BATCH


async def test_what_hands_over_reads_a_few_rows_for_each_key(full: PostgresBackend) -> None:
    with psycopg.connect(full.url, autocommit=True) as user:
        user.execute(
            "INSERT INTO pgqueue.job (state, task, queue, key)"
            " SELECT 'available', 'task', 'lines', 'k' || n % 50"
            " FROM generate_series(1, 20000) AS n"
        )
        try:
            async with watched(full, LANE) as (plans, executor):
                await executor.execute(operations.declare_limits("lines", Limits(ordered=True)))
                turn = await executor.execute(
                    operations.claim_in_turn("lines", 1, LEASE + 1, BATCH, now=NOON)
                )
                done = operations.complete([Completed(job.id, job.lease) for job in turn.jobs])
                before = plans.rows()
                _, jobs = await executor.execute(
                    operations.hand_over(done, "lines", 1, LEASE + 2, BATCH)
                )
        finally:
            user.execute("DELETE FROM pgqueue.job WHERE queue = 'lines'")

    assert jobs is not None
    assert {job.key for job in jobs} == {job.key for job in turn.jobs}
    assert plans.rows() - before <= 12 * len(turn.jobs)


async def test_a_floor_steps_over_what_a_held_snapshot_keeps_from_vacuum(
    backend: PostgresBackend,
) -> None:
    with psycopg.connect(backend.url) as report, psycopg.connect(backend.url) as user:
        user.execute(
            "INSERT INTO pgqueue.job (state, task)"
            " SELECT 'available', 't' FROM generate_series(1, 20000)"
        )
        user.commit()
        report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pgqueue.job")
        done = user.execute("DELETE FROM pgqueue.job WHERE position <= 19000 RETURNING position")
        floor = Floor(0, max(position for (position,) in done.fetchall()))
        user.commit()

        claim = operations.claim("default", 1, 1, 10)
        from_below, jobs = await plans_of(backend, LANE, claim)
        claim = operations.claim("default", 1, 1, 10, floors=[floor])
        from_the_floor, same = await plans_of(backend, LANE, claim)

    assert [job.id for job in same] == [job.id for job in jobs]
    assert 3 * from_the_floor.pages() < from_below.pages()


async def test_a_claim_that_does_not_count_walks_once_over_what_a_held_snapshot_keeps(
    backend: PostgresBackend,
) -> None:
    """To find the first job of a key, and to count in the second statement, not in the first."""
    backend.execute(operations.declare_limits("keyed", Limits(key_concurrency=8)))
    with psycopg.connect(backend.url) as report, psycopg.connect(backend.url) as user:
        report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pgqueue.job")
        user.execute(
            "INSERT INTO pgqueue.job (state, lease, permit, task, queue, key)"
            " SELECT 'running', n, n, 't', 'keyed', 'k' || n % 10"
            " FROM generate_series(1, 20000) AS n"
        )
        user.commit()
        user.execute("DELETE FROM pgqueue.job")
        user.execute(
            "INSERT INTO pgqueue.job (state, task, queue, key)"
            " SELECT 'available', 't', 'keyed', 'k' || n % 10 FROM generate_series(1, 100) AS n"
        )
        user.commit()

        claim = operations.claim_in_turn("keyed", 1, 1, 40)
        counting, turn = await plans_of(backend, LANE, claim)
        claim = operations.claim_in_turn("keyed", 1, 2, 40, after=turn.after, counting=False)
        trusting, other = await plans_of(backend, LANE, claim)

    assert len(other.jobs) == len(turn.jobs) == 40
    assert 1.7 * trusting.pages() < counting.pages()


@everywhere
async def test_claim_never_takes_more_than_its_limit(full: PostgresBackend, way: str) -> None:
    _, jobs = await plans_of(full, way, operations.claim("default", 1, LEASE + 1, 3, now=NOON))

    assert len(jobs) == 3


async def test_promote_walks_what_is_due(full: PostgresBackend) -> None:
    plans, promoted = await plans_of(full, LANE, operations.promote(BATCH, now=NOON))

    assert promoted.queues == {"default": BATCH}
    assert "Sort" not in plans.kinds()
    assert {scan.by for scan in plans.scans("job")} == {"job_due", "job_pkey"}
    assert plans.rows() <= 2 * BATCH + 1


async def test_a_promotion_of_nothing_looks_at_nothing(full: PostgresBackend) -> None:
    plans, _ = await plans_of(full, LANE, operations.promote(now=NOON - timedelta(days=99)))

    assert plans.rows() <= 1


async def test_rescue_reads_no_jobs_when_nobody_has_died(full: PostgresBackend) -> None:
    plans, rescued = await plans_of(full, LANE, operations.rescue(now=NOON))

    assert (rescued.jobs, rescued.workers) == ([], 1)
    assert plans.rows() <= 10


async def test_prune_reads_no_job_that_has_a_day_of_its_own(full: PostgresBackend) -> None:
    days = Retention(*(timedelta(days=5),) * 3)
    plans, pruned = await plans_of(full, LANE, operations.prune(days, now=NOON))

    assert pruned.dropped > 0
    assert sum(scan.rows for scan in plans.scans("archive")) == 0


async def test_letting_go_of_old_notes_reads_no_young_one(backend: PostgresBackend) -> None:
    with psycopg.connect(backend.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pgqueue.audit (at, who, verb)"
            " SELECT now() - n * interval '1 minute', 'ann', 'cancel'"
            " FROM generate_series(1, 5000) AS n"
        )
        connection.execute("ANALYZE pgqueue.audit")

    plans, gone = await plans_of(backend, LANE, operations.forget(100, audit=timedelta(days=90)))

    assert gone == 0
    assert sum(scan.rows for scan in plans.scans("audit")) == 0


# What a worker and an application both run


@pytest.mark.parametrize("keep", [operations.EVERYTHING, frozenset()], ids=["kept", "not kept"])
@everywhere
async def test_complete_goes_by_the_primary_key(
    full: PostgresBackend, way: str, keep: frozenset[State]
) -> None:
    done = [Completed(id, LEASE) for id in some(full, "running")]
    plans, completed = await plans_of(full, way, operations.complete(done, keep=keep, now=NOON))

    assert len(completed) == BATCH
    assert not plans.names("archive_cancelled")
    assert not plans.names("archive_discarded")
    assert not {scan.kind for scan in plans.scans("job")} & {"Seq Scan"}
    assert {scan.by for scan in plans.scans("dependency")} == {"dependency_parent"}
    assert plans.rows() <= BATCH + 4 * BATCH * CHILDREN


@everywhere
async def test_asking_again_goes_by_the_archives_ids(full: PostgresBackend, way: str) -> None:
    ended = full.execute(inspections.get(some(full, "completed")))
    again = [Completed(job.id, job.lease or 0) for job in ended.values()]
    plans, completed = await plans_of(full, way, operations.complete(again, now=NOON))

    assert completed == {(job.id, job.lease): False for job in again}
    assert plans.rows() <= A_LITTLE


def test_a_wide_parents_edges_are_decided_without_an_index_entry(backend: PostgresBackend) -> None:
    parent = a_job()
    children = [a_job().after(parent) for _ in range(1_000)]
    with psycopg.connect(backend.url) as connection:
        with backend.on(connection) as executor:
            carry_out(operations.enqueue([parent, *children]), executor.execute)
        connection.commit()
        worker = backend.execute(operations.join(PROFILE)).worker
        [job] = backend.execute(operations.claim("default", worker, LEASE, BATCH))
        with backend.on(connection) as executor:
            executor.execute(operations.complete([Completed(job.id, LEASE)]))
        counts = connection.execute(
            "SELECT pg_stat_get_xact_tuples_updated(d), pg_stat_get_xact_tuples_hot_updated(d)"
            " FROM (SELECT 'pgqueue.dependency'::regclass) AS t(d)"
        )
        assert counts.fetchall() == [(1_000, 1_000)]


ENDINGS: dict[str, Callable[[list[int]], Operation[Any]]] = {
    "fail": lambda ids: operations.fail([Failed(id, LEASE, "discard") for id in ids], now=NOON),
    "retry": lambda ids: operations.fail([Failed(id, LEASE, "retry") for id in ids], now=NOON),
    "release": lambda ids: operations.release([Released(id, LEASE) for id in ids], now=NOON),
    "progress": lambda ids: operations.progress([ProgressReport(id, LEASE, "{}") for id in ids]),
    "heartbeat": lambda ids: operations.heartbeat(1, [(id, LEASE) for id in ids], PROFILE),
}


@pytest.mark.parametrize("verb", ENDINGS)
async def test_what_a_worker_says_of_its_jobs_goes_by_the_primary_key(
    full: PostgresBackend, verb: str
) -> None:
    plans, told = await plans_of(full, LANE, ENDINGS[verb](some(full, "running")))

    assert len(told) == BATCH
    assert not {scan.kind for scan in plans.scans("job")} & {"Seq Scan"}
    assert plans.rows() <= 4 * BATCH + (4 * BATCH * CHILDREN if verb == "fail" else 0)


# An application's statements: they may read a small table whole, never the backlog or the history


@with_values
@pytest.mark.parametrize("state", ["available", "running", "blocked", "completed"])
@pytest.mark.parametrize("verb", [operations.cancel, operations.hold])
async def test_an_application_reaches_its_jobs_by_their_ids(
    full: PostgresBackend, way: str, state: str, verb: Callable[[list[int]], Operation[Any]]
) -> None:
    plans, answered = await plans_of(full, way, verb(some(full, state)))

    assert len(answered) == (0 if verb is operations.cancel and state == "completed" else BATCH)
    assert plans.rows() <= A_LITTLE


@with_values
@pytest.mark.parametrize("state", ["available", "completed"])
async def test_adding_children_reaches_their_parents_by_their_ids(
    full: PostgresBackend, way: str, state: str
) -> None:
    parents = some(full, state)
    plan = operations.enqueue([a_job().after(*parents)], now=NOON)
    async with watched(full, way) as (plans, executor):
        answer: Any = next(plan)
        with contextlib.suppress(StopIteration):
            while True:
                answer = plan.send(await executor.execute(answer))

    assert plans.rows() <= A_LITTLE


@with_values
@pytest.mark.parametrize("state", ["available", "running", "completed"])
async def test_jobs_are_read_by_their_ids(full: PostgresBackend, way: str, state: str) -> None:
    plans, found = await plans_of(full, way, inspections.get(some(full, state)))
    assert len(found) == BATCH
    assert plans.rows() <= A_LITTLE

    plans, ending = await plans_of(full, way, inspections.result(some(full, state)[0]))
    assert ending is not None
    assert plans.rows() <= A_LITTLE


@with_values
@pytest.mark.parametrize("newest", [False, True])
async def test_a_filter_looks_at_so_many_rows_whatever_it_means(
    full: PostgresBackend, way: str, newest: bool
) -> None:
    for filter in (Filter(task="nobody"), Filter(queue="mail"), Filter(older_than=1e9)):
        choose = operations.choose(filter, newest=newest, limit=BATCH, look=5 * BATCH)
        plans, chosen = await plans_of(full, way, choose)

        assert chosen.rest is not None
        assert plans.rows() <= A_LITTLE


@with_values
@pytest.mark.parametrize(
    ("filter", "order"),
    [
        (Filter(), "newest"),
        (Filter(task="nobody"), "newest"),
        (Filter(state="discarded"), "newest"),
        (Filter(task="nobody"), "due"),
        (Filter(queue="mail"), "next"),
    ],
    ids=str,
)
async def test_a_page_is_looked_for_among_so_many_rows(
    full: PostgresBackend, way: str, filter: Filter, order: Order
) -> None:
    plans, page = await plans_of(full, way, browse(filter, order=order, look=5 * BATCH))

    assert page.rest is not None
    assert plans.rows() <= A_LITTLE


@with_values
async def test_a_filter_of_one_state_reads_its_partitions_alone(
    full: PostgresBackend, way: str
) -> None:
    choose = operations.choose(Filter(state="discarded"), limit=BATCH)
    plans, chosen = await plans_of(full, way, choose)

    assert len(chosen.jobs) == BATCH
    assert plans.rows() <= A_LITTLE
    looked = {scan.table for scan in plans.scans("archive") if scan.rows > 1}
    assert all(table.startswith("archive_discarded") for table in looked)


@with_values
async def test_moving_and_purging_go_by_ids(full: PostgresBackend, way: str) -> None:
    plans, moved = await plans_of(full, way, operations.move(some(full, "available"), queue="m"))
    assert len(moved) == BATCH
    assert plans.rows() <= A_LITTLE

    plans, purged = await plans_of(full, way, operations.purge(some(full, "completed")))
    assert len(purged) == BATCH
    assert plans.rows() <= A_LITTLE


@pytest.mark.parametrize("state", ["available", "running", "blocked", "completed"])
async def test_a_retry_can_go_by_the_indexes(full: PostgresBackend, state: str) -> None:
    """Elsewhere it is the planner's choice whether a small partition is read whole."""
    plans, answered = await plans_of(full, LANE, operations.retry(some(full, state)))

    assert len(answered) == BATCH
    assert "Seq Scan" not in {scan.kind for scan in plans.scans()}
    assert plans.rows() <= 4 * A_LITTLE


async def test_results_of_parents_are_read_by_their_ids(full: PostgresBackend) -> None:
    plans, edges = await plans_of(full, LANE, inspections.parents(some(full, "blocked")))

    assert len(edges) == BATCH
    assert plans.rows() <= A_LITTLE


@with_values
@pytest.mark.parametrize("filters", [{}, {"before": 1_000}, {"queue": "default"}], ids=str)
async def test_a_page_of_jobs_is_read_from_the_ends_of_the_indexes(
    full: PostgresBackend, way: str, filters: dict[str, Any]
) -> None:
    plans, jobs = await plans_of(full, way, inspections.list_jobs(**filters))

    assert len(jobs) == 50
    assert plans.rows() <= A_LITTLE
    assert plans.sorted_rows() <= A_LITTLE


@with_values
@pytest.mark.parametrize("state", [State.DISCARDED, State.CANCELLED])
async def test_a_page_of_one_state_leaves_the_other_states_alone(
    full: PostgresBackend, way: str, state: State
) -> None:
    plans, jobs = await plans_of(full, way, inspections.list_jobs(state=state))

    assert len(jobs) == 50
    assert plans.rows() <= A_LITTLE
    assert not plans.names("archive_completed")


@with_values
async def test_what_is_shown_of_a_large_store_is_bounded(full: PostgresBackend, way: str) -> None:
    plans, counts = await plans_of(full, way, inspections.count(limit=5_000))
    assert not counts.exact
    assert {count.queue for count in counts.counts} == {"default", "mail"}
    # A first look, what is due, what is blocked, and each of the two queues, with its first ones.
    assert plans.rows() <= 5 * 5_000 + 2 * 1_000 + 100

    plans, queues = await plans_of(full, way, inspections.queues())
    assert [queue.name for queue in queues] == ["default", "mail"]
    assert plans.rows() <= 10_100

    plans, used = await plans_of(full, way, operations.usage("mail"))
    assert [key.key for key in used.keys] == [""]
    assert plans.rows() <= 15_000

    plans, _ = await plans_of(full, way, inspections.throughput(limit=5_000))
    assert plans.rows() <= 5_000
