"""A database where row level security was switched on for all tables."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue.backends.postgres import PostgresBackend
from pgqueue.doctor import Finding, examine
from pgqueue.errors import NotPermitted
from pgqueue.testing.conformance import Store, a_job
from tests.postgres.roles import a_role, as_role

TABLES = ("job", "archive", "worker", "migration")


def found(url: str) -> list[Finding]:
    backend = PostgresBackend(url)
    findings = list(examine(backend, "pgqueue"))
    backend.close()
    return [finding for finding in findings if finding.check == "row security"]


def test_the_doctor_names_it_and_what_it_advises_helps(postgres_url: str) -> None:
    with a_role(postgres_url, "worker") as role:
        url = as_role(postgres_url, role)
        assert [finding.level for finding in found(url)] == ["ok"]
        with psycopg.connect(postgres_url, autocommit=True) as owner:
            for table in TABLES:
                owner.execute(f"ALTER TABLE pgqueue.{table} ENABLE ROW LEVEL SECURITY".encode())
        [finding] = found(url)
        backend = PostgresBackend(url)
        with pytest.raises(NotPermitted, match=r"row-level security.*pgqueue doctor"):
            Store(backend)

        assert finding.level == "error"
        assert "archive and 3 more" in finding.message
        with psycopg.connect(postgres_url, autocommit=True) as owner:
            for table in TABLES:
                owner.execute(f"ALTER TABLE pgqueue.{table} DISABLE ROW LEVEL SECURITY".encode())
        assert [finding.level for finding in found(url)] == ["ok"]
        Store(backend).enqueue(a_job())
        backend.close()
