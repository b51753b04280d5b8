"""Vacuum, its horizon, and partitions: made sick, found, cured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import embedded, migrations, operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.doctor import server
from pgqueue.doctor.server import Holder
from pgqueue.jobs.retention import Retention
from pgqueue.testing.conformance import Store, a_job
from tests.doctor.conftest import Look, well
from tests.worker.process import eventually

NO_TIME = timedelta(0)


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """The URL of a server whose settings may be changed."""
    with embedded.start(ephemeral=True, options={"max_prepared_transactions": "2"}) as own:
        migrations.migrate(own.url)
        yield own.url


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_transaction_that_holds_the_horizon(
    look: Look, postgres_url: str, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    assert well(look("horizon"))
    monkeypatch.setattr(server, f"HELD_{level.upper()}", NO_TIME)
    monkeypatch.setattr(server, "HELD_WARNING", NO_TIME)
    with psycopg.connect(postgres_url, application_name="report") as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 'hunter2'")
        pid = reader.info.backend_pid

        [finding] = look("horizon")
        assert finding.level == level
        assert f"session {pid} (report, postgres, idle in transaction" in finding.message
        assert f"pg_terminate_backend({pid})" in (finding.cure or "")
        assert "hunter2" not in str(finding)

        reader.rollback()
        # The server may do something of its own for a moment, which counts as long enough here.
        eventually(lambda: well(look("horizon")))


def test_a_session_that_keeps_a_queue_to_itself(
    look: Look, store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TURN_WARNING", NO_TIME)
    store.limit("mail", concurrency=1)
    store.enqueue(a_job(queue="mail", key="k"))
    backend = PostgresBackend(postgres_url)
    with psycopg.connect(postgres_url, application_name="frozen") as connection:
        with backend.on(connection) as executor:
            assert executor.execute(operations.claim_in_turn("mail", 1, 1, 1)).jobs
        pid = connection.info.backend_pid

        [finding] = look("turns")
        assert finding.level == "warning"
        assert f"session {pid} (frozen, postgres, idle in transaction) has held" in finding.message
        assert "all of queue mail for" in finding.message
        connection.rollback()
    assert well(look("turns"))
    backend.close()


def test_a_transaction_that_is_prepared_and_forgotten(
    look: Look, own_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HELD_WARNING", NO_TIME)
    with psycopg.connect(own_server) as connection:
        connection.execute("CREATE TABLE mine ()")
        connection.execute("PREPARE TRANSACTION 'forgotten'")

    [finding] = look("horizon", url=own_server)
    assert finding.level == "error"
    assert "prepared transaction (forgotten, postgres" in finding.message
    with psycopg.connect(own_server, autocommit=True) as connection:
        connection.execute("ROLLBACK PREPARED 'forgotten'")
    assert well(look("horizon", url=own_server))


@pytest.mark.parametrize(
    ("kind", "cure"), [("replication slot", "pg_drop_replication_slot"), ("standby", "standby")]
)
def test_whoever_else_holds_the_horizon_has_a_cure(kind: str, cure: str) -> None:
    finding = server._held(Holder(kind, "replica", None, None, 2_000_000))

    assert finding.level == "error"
    assert f"{kind} (replica, 2000000 transactions)" in finding.message
    assert cure in (finding.cure or "")


def test_rows_that_are_dead_and_stay(
    look: Look, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MANY_DEAD", 1_000)
    monkeypatch.setattr(server, "LARGE", 100_000)
    owner.execute("ALTER TABLE pgqueue.job SET (autovacuum_enabled = off)")
    owner.execute(
        "INSERT INTO pgqueue.job (state, task)"
        " SELECT 'available', 'never' FROM generate_series(1, 2000)"
    )
    owner.execute("DELETE FROM pgqueue.job")

    eventually(lambda: len(look("tables")) == 2)
    dead, heavy = look("tables")
    assert dead.level == heavy.level == "warning"
    assert "job has 2000 dead rows beside 0; vacuumed never" in dead.message
    assert "MiB for 0 rows" in heavy.message
    owner.execute((dead.cure or "").partition("then ")[2].encode())
    owner.execute("REINDEX TABLE pgqueue.job")
    eventually(lambda: well(look("tables")))


@pytest.mark.parametrize(
    ("harm", "level", "says", "cure"),
    [
        (
            "SET (autovacuum_enabled = off)",
            "error",
            "it is off for job",
            "RESET (autovacuum_enabled)",
        ),
        (
            "RESET (autovacuum_vacuum_scale_factor)",
            "warning",
            "job has lost its own settings",
            "SET (autovacuum_vacuum_scale_factor = 0.01)",
        ),
    ],
)
def test_a_table_whose_vacuum_was_meddled_with(
    look: Look, owner: psycopg.Connection[Any], harm: str, level: str, says: str, cure: str
) -> None:
    owner.execute(f"ALTER TABLE pgqueue.job {harm}".encode())
    [finding] = look("autovacuum")
    assert finding.level == level
    assert says in finding.message

    assert cure.partition("(")[2].rstrip(")") in (finding.cure or "")

    owner.execute(f"ALTER TABLE pgqueue.job {cure}".encode())
    assert well(look("autovacuum"))


def test_a_server_without_autovacuum(look: Look, own_server: str) -> None:
    with psycopg.connect(own_server, autocommit=True) as owner:
        owner.execute("ALTER SYSTEM SET autovacuum = off")
        owner.execute("SELECT pg_reload_conf()")
        [finding] = eventually(
            lambda: None if well(found := look("autovacuum", url=own_server)) else found
        )
        assert (finding.level, finding.message) == ("error", "autovacuum is off")

        owner.execute((finding.cure or "").removeprefix("run ").partition(",")[0].encode())
        owner.execute("SELECT pg_reload_conf()")
        eventually(lambda: well(look("autovacuum", url=own_server)))


def test_days_without_a_partition(look: Look, store: Store, owner: psycopg.Connection[Any]) -> None:
    store.join()
    store.worker = store.join().worker
    store.complete(store.running())
    [finding] = look("partitions")
    assert finding.level == "warning"
    assert "completed: 1 jobs ended, and no day has a partition" in finding.message
    assert "worker" in (finding.cure or "")

    store.prune(Retention())
    assert well(look("partitions"))

    ahead = "SELECT max(oid)::regclass::text FROM pg_class WHERE relname ~ '^archive_disc.*_\\d+$'"
    [(name,)] = owner.execute((ahead + " AND relkind = 'r'").encode())
    owner.execute(f"DROP TABLE {name}".encode())
    [finding] = look("partitions")
    assert (finding.level, finding.message) == ("warning", "discarded: there is none ahead")
    store.prune(Retention())
    assert well(look("partitions"))


def test_sequences_that_are_behind_the_rows(
    look: Look, owner: psycopg.Connection[Any], store: Store
) -> None:
    assert well(look("sequences"))
    store.enqueue(a_job(), a_job())
    owner.execute("ALTER SEQUENCE pgqueue.job_id RESTART")

    [finding] = look("sequences")

    assert finding.level == "error"
    assert finding.message == "pgqueue.job_id is at 0, but rows have numbers up to 2"
    owner.execute((finding.cure or "").encode())
    assert well(look("sequences"))


def test_an_index_that_a_large_table_lacks_and_one_that_is_left(
    look: Look, owner: psycopg.Connection[Any]
) -> None:
    assert well(look("indexes"))
    owner.execute("DROP INDEX pgqueue.job_plain, pgqueue.job_turn")
    owner.execute("CREATE INDEX job_claim ON pgqueue.job (queue, priority, position)")

    plain, turn, left = look("indexes")

    assert (plain.level, turn.level, left.level) == ("warning", "warning", "warning")
    assert "job_plain is not there" in plain.message
    assert "job_turn is not there" in turn.message
    assert "job_claim is left" in left.message
    for finding in (plain, turn, left):
        owner.execute((finding.cure or "").rpartition(": ")[2].encode())
    assert well(look("indexes"))


def test_a_constraint_that_older_rows_were_not_held_to(
    look: Look, owner: psycopg.Connection[Any]
) -> None:
    assert well(look("constraints"))
    owner.execute("ALTER TABLE pgqueue.job ADD CONSTRAINT odd CHECK (priority < 100) NOT VALID")

    [finding] = look("constraints")

    assert finding.level == "warning"
    assert "odd holds for new rows" in finding.message
    owner.execute((finding.cure or "").rpartition(": ")[2].encode())
    assert well(look("constraints"))
