"""Every statement is one that the server accepts, in any schema, and that psql runs too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.embedded import binaries
from pgqueue.errors import SchemaMissing, SchemaOutOfDate
from pgqueue.jobs.retention import Retention
from pgqueue.operations import Rescue, inspections
from pgqueue.statements.files import folder, in_schema, load, schema_files
from pgqueue.testing.conformance import Store, a_job
from pgqueue.testing.conformance.store import PROFILE

FILES = sorted(path.stem for path in folder("postgres").glob("*.sql"))


@pytest.fixture
def elsewhere(empty_url: str) -> Iterator[PostgresBackend]:
    """A store in a schema of another name, in a database that has no other."""
    with psycopg.connect(empty_url) as connection:
        for file in schema_files("postgres"):
            connection.execute(in_schema(file.up, "my_jobs").encode())
    backend = PostgresBackend(empty_url, schema="my_jobs")
    yield backend
    backend.close()


def test_the_server_accepts_every_statement(elsewhere: PostgresBackend) -> None:
    with psycopg.connect(elsewhere.url) as connection:
        for name, statement in load("postgres", "my_jobs").items():
            for n, step in enumerate(statement.steps):
                if not step.sql.startswith(("DO", "LISTEN", "TRUNCATE")):
                    connection.execute(f'PREPARE "{name}_{n}" AS {step.sql}'.encode())


def test_another_schema_works_from_end_to_end(elsewhere: PostgresBackend) -> None:
    store = Store(elsewhere)
    parent = a_job("parent")
    store.enqueue(parent, a_job("child").after(parent), a_job("unique", unique="k"))
    assert not store.enqueue(a_job(unique="k"))[0].created
    assert store.work() == ["parent", "unique", "child"]
    job = store.running(a_job("fails", max_attempts=1))
    store.progress(job, progress="{}")
    store.fail(job)
    store.retry(job)
    store.cancel(job)
    late = store.add(a_job("late", delay=timedelta(hours=1)))
    store.passes(hours=1)
    store.heartbeat()
    store.promote()
    store.pause()
    store.resume()
    lost = store.take(by=store.join().worker)
    store.passes(minutes=2)
    store.heartbeat()
    assert [saved.id for saved in store.rescue().jobs] == [lost.id] == [late]
    assert store.elect(store.worker).elected
    store.resign(store.worker)
    store.release(store.take())
    assert store.work() == ["late"]
    store.prune(Retention())
    store.passes(days=90)
    assert store.prune(Retention())[0] > 0
    store.check()
    assert elsewhere.execute(inspections.version()) is not None

    with psycopg.connect(elsewhere.url) as connection:
        assert connection.execute("SELECT my_jobs.enqueue('by_sql')").fetchall()
        schemas = connection.execute(
            "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class"
            " WHERE relname LIKE 'archive%' OR relname IN ('job', 'worker', 'jobs')"
        )
        assert schemas.fetchall() == [("my_jobs",)]


async def test_a_rescue_asks_but_one_question_while_all_are_present(
    store: Store, backend: PostgresBackend
) -> None:
    with psycopg.connect(backend.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE pgqueue.archive RENAME TO elsewhere")
        worker_connection = backend.worker_connection()
        await worker_connection.open()
        try:
            for _ in range(2):
                assert store.rescue() == Rescue([], 1)
                assert await worker_connection.execute(operations.rescue(now=store.now)) == Rescue(
                    [], 1
                )
            store.passes(minutes=2)
            with pytest.raises(SchemaMissing):
                await worker_connection.execute(operations.rescue(now=store.now))
        finally:
            await worker_connection.close()
            connection.execute("ALTER TABLE pgqueue.elsewhere RENAME TO archive")


def test_arguments_come_to_the_archive_as_they_were_stored(
    store: Store, backend: PostgresBackend
) -> None:
    """They are compressed once, when the job is enqueued, also where that was in vain."""
    store.prune(Retention())
    stored = (
        "SELECT pg_column_size(args), pg_column_compression(args) FROM pgqueue.%s"
        " ORDER BY pg_column_size(args)"
    )
    small, large = "word " * 2_000, os.urandom(16_000).hex()
    for body in (small, large):
        store.enqueue(a_job(args=f'{{"body": "{body}"}}'))
    with psycopg.connect(backend.url, autocommit=True) as connection:
        before = connection.execute((stored % "job").encode()).fetchall()
        store.work()
        assert connection.execute((stored % "archive").encode()).fetchall() == before
        assert [how for _, how in before] == ["pglz", None]
        storages = connection.execute(
            "SELECT DISTINCT attstorage::text FROM pg_attribute"
            " WHERE attname = 'args' AND attrelid IN"
            " (SELECT relid FROM pg_partition_tree('pgqueue.archive'))"
        )
        assert storages.fetchall() == [("e",)]


def test_a_schema_can_be_undone(elsewhere: PostgresBackend) -> None:
    with psycopg.connect(elsewhere.url) as connection:
        for file in reversed(schema_files("postgres")):
            connection.execute(in_schema(file.down, "my_jobs").encode())
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'my_jobs'::regnamespace"
            " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'my_jobs'::regnamespace"
        )
        assert left.fetchall() == []


def test_a_schema_that_is_missing_or_old_is_named(
    elsewhere: PostgresBackend, empty_url: str
) -> None:
    with pytest.raises(SchemaMissing, match="pgqueue migrate"):
        PostgresBackend(empty_url).execute(operations.promote())
    with psycopg.connect(elsewhere.url) as connection:
        connection.execute("ALTER TABLE my_jobs.job RENAME COLUMN position TO place")
    with pytest.raises(SchemaOutOfDate, match="pgqueue migrate"):
        elsewhere.execute(operations.promote())


def test_psql_runs_the_same_files(store: Store, backend: PostgresBackend) -> None:
    psql = binaries.find().folder / "psql"
    if not psql.exists():
        pytest.skip("there is no psql here")
    script = f"""
\\set jobs '\\'[{{"task": "by_psql", "args": {{"n": 7}}}}]\\''
\\set notify true
\\set now '\\'2030-06-01T12:00:00Z\\''
\\i {folder("postgres") / "enqueue.sql"}
"""
    subprocess.run(
        [psql, "-X", "-v", "ON_ERROR_STOP=1", "-d", backend.url],
        input=script,
        text=True,
        check=True,
        capture_output=True,
    )

    job = store.take()
    assert (job.task, job.args) == ("by_psql", '{"n": 7}')


def test_a_beat_leaves_one_dead_row(backend: PostgresBackend) -> None:
    """Under a snapshot that somebody holds, all of them stay, and each look at the workers reads
    them."""
    profile = PROFILE | {"info": {"beats": 1}}
    worker = backend.execute(operations.join(PROFILE)).worker
    with psycopg.connect(backend.url) as connection, backend.on(connection) as executor:
        executor.execute(operations.alive(worker, 0, profile))
        executor.execute(operations.heartbeat(worker, [], profile))
        updated = "SELECT pg_stat_get_xact_tuples_updated('pgqueue.worker'::regclass)"
        assert connection.execute(updated).fetchall() == [(1,)]
