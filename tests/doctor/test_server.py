"""Vacuum, its horizon, and partitions: made sick, found, cured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import embedded, migrations
from pgqueue.doctor import server
from pgqueue.doctor.server import Holder
from pgqueue.operations import Retention
from pgqueue.testing.conformance import Store
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
        assert well(look("horizon"))


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
