"""The ways to the store: made sick, found, cured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgqueue import migrations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.sqlite import SqliteBackend
from pgqueue.doctor import CHECKS, connection, examine
from pgqueue.operations import inspections, rights
from pgqueue.statements.files import load
from tests.doctor.conftest import Look, well
from tests.postgres.pooler import pgbouncer
from tests.postgres.roles import a_role, as_role


def test_a_new_queue_is_healthy(look: Look) -> None:
    assert look() == []
    assert [found.check for check in CHECKS for found in look(check.name)] == [
        check.name for check in CHECKS
    ]


def test_a_store_has_only_the_checks_it_has_files_and_capabilities_for() -> None:
    common = [check.name for check in CHECKS if check.applies_to(frozenset(), {})]
    assert common == [
        "schema",
        *("workers", "queues", "waiting", "tasks", "schedules", "bridges", "tally"),
    ]
    everything = [check for check in CHECKS if check.applies_to({"push"}, load("postgres"))]
    assert everything == list(CHECKS)


def test_a_file_is_healthy_too(tmp_path: Path) -> None:
    backend = SqliteBackend(f"sqlite:///{tmp_path}/jobs.db")
    backend.execute(inspections.count())
    found = list(examine(backend, "pgqueue"))

    assert [(finding.check, finding.level) for finding in found] == [
        (check, "ok")
        for check in (
            *("schema", "workers", "queues", "waiting", "tasks", "schedules", "bridges", "tally"),
        )
    ]
    backend.close()


def test_a_server_that_is_away_is_all_there_is_to_say(look: Look) -> None:
    [finding] = look(url="postgresql://nobody:hunter2@127.0.0.1:1/nothing")

    assert (finding.check, finding.level) == ("connection", "error")
    assert "cannot be reached" in finding.message
    assert "--url" in (finding.cure or "")
    assert "hunter2" not in str(finding)


def test_a_schema_that_is_not_there(look: Look, empty_url: str) -> None:
    [finding] = look(url=empty_url)
    assert (finding.check, finding.level) == ("schema", "error")
    assert "pgqueue migrate" in (finding.cure or "")

    migrations.migrate(empty_url)
    assert look(url=empty_url) == []


def test_a_schema_of_another_version(look: Look, owner: psycopg.Connection[Any]) -> None:
    owner.execute("INSERT INTO pgqueue.migration VALUES ('9999')")
    [newer] = look("schema")
    owner.execute("DELETE FROM pgqueue.migration WHERE version > '0003'")
    [older] = look("schema")

    assert (newer.level, newer.cure) == ("warning", "upgrade pgqueue here")
    assert (older.level, older.cure) == ("error", "run `pgqueue migrate`")


@pytest.mark.parametrize("part", rights.PARTS)
def test_a_role_that_plays_its_part_is_healthy(look: Look, postgres_url: str, part: str) -> None:
    with a_role(postgres_url, part) as role:
        found = look("rights", url=as_role(postgres_url, role))
        assert well(found)
        assert part in found[0].message


def test_a_role_that_may_do_nothing(look: Look, postgres_url: str) -> None:
    with a_role(postgres_url) as role:
        [finding] = look(url=as_role(postgres_url, role))
        assert (finding.check, finding.level) == ("rights", "error")
        assert finding.message == "permission denied for schema pgqueue"
        assert "pgqueue grant" in (finding.cure or "")


def test_a_role_that_lacks_one_right(
    look: Look, postgres_url: str, owner: psycopg.Connection[Any]
) -> None:
    with a_role(postgres_url, "worker") as role:
        owner.execute(f"REVOKE DELETE ON pgqueue.leader FROM {role}".encode())
        [finding, _] = look("rights", url=as_role(postgres_url, role))
        assert finding.level == "warning"
        assert "not quite worker: it lacks rights on TABLE pgqueue.leader" in finding.message
        assert finding.cure == f"the schema's owner runs `pgqueue grant --worker {role}`"

        PostgresBackend(postgres_url).execute(rights.grant({"worker": [role]}))
        assert well(look("rights", url=as_role(postgres_url, role)))


def test_what_a_role_may_not_look_at_is_said(look: Look, postgres_url: str) -> None:
    with a_role(postgres_url, "enqueuer") as role:
        [finding] = look("workers", url=as_role(postgres_url, role))
        assert finding.level == "warning"
        assert "may not look: permission denied" in finding.message


@pytest.mark.parametrize(("off", "level"), [(5.0, "warning"), (-5.0, "warning"), (90.0, "error")])
def test_a_clock_that_is_wrong(
    look: Look, monkeypatch: pytest.MonkeyPatch, off: float, level: str
) -> None:
    right = connection.time
    monkeypatch.setattr(connection, "time", lambda: right() - off)

    [finding] = look("clock")

    assert finding.level == level
    assert float(finding.message.split()[4]) == pytest.approx(off, abs=1)
    assert "NTP" in (finding.cure or "")
    monkeypatch.undo()
    assert well(look("clock"))


def test_a_pooler_in_the_way(look: Look, postgres_url: str) -> None:
    with pgbouncer(postgres_url) as pooled:
        [finding] = look("notifications", url=pooled)
        assert finding.level == "warning"
        assert "a pooler is in the way" in finding.message
        assert "listen_url" in (finding.cure or "")

        assert well(look("notifications", url=pooled, listen_url=postgres_url))
        assert "through a pooler" in look("pooler", url=pooled)[0].message
    assert "straight" in look("pooler")[0].message


def test_a_listen_url_that_leads_elsewhere(
    look: Look, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ECHO_SECONDS", 0.3)
    [deaf] = look("notifications", listen_url=empty_url)
    [away] = look("notifications", listen_url="postgresql://nobody@127.0.0.1:1/nothing")

    assert (deaf.level, away.level) == ("error", "error")
    assert "listen_url lead to the database" in (deaf.cure or "")
    assert away.cure == "check listen_url"
