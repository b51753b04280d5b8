"""Neighbours in the same database, who touch no worker but are in the way."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg

from pgqueue import migrations
from tests.faults.facts import NOBODY
from tests.faults.kinds import Kind


class Neighbour(Kind):
    """Goes on while other faults strike."""

    condition = True
    lasts = (5.0, 15.0)
    connection: psycopg.Connection[Any] | None = None

    def strike(self) -> frozenset[str]:
        self.connection = psycopg.connect(self.site.url("neighbour"))
        self.annoy(self.connection)
        return NOBODY

    def annoy(self, connection: psycopg.Connection[Any]) -> None:
        raise NotImplementedError

    def heal(self) -> None:
        if self.connection is not None:
            with suppress(psycopg.Error):
                self.connection.close()


class SnapshotHeld(Neighbour):
    """A report that keeps its snapshot: vacuum can remove nothing."""

    name = "snapshot-held"

    def annoy(self, connection: psycopg.Connection[Any]) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM pgqueue.job")


class WriterIdle(Neighbour):
    """A transaction that has enqueued a job, and is idle; in the end it rolls back."""

    name = "writer-idle"

    def annoy(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("INSERT INTO orders VALUES (0, '{}')")
        connection.execute(
            """SELECT pgqueue.enqueue('bake', '{"key": 0, "seconds": 0, "plan": "complete"}')"""
        )


class AutovacuumOff(Neighbour):
    name = "autovacuum-off"

    def strike(self) -> frozenset[str]:
        self._say("ALTER SYSTEM SET autovacuum = off")
        return NOBODY

    def heal(self) -> None:
        with suppress(psycopg.Error):
            self._say("ALTER SYSTEM RESET autovacuum")

    def _say(self, command: str) -> None:
        with self.site.admin() as admin:
            admin.execute(command.encode())
            admin.execute("SELECT pg_reload_conf()")


class Migrated(Kind):
    """What a later version's migration could be: a column and an index come, and go again."""

    name = "migrated"
    lasts = (0.5, 2.0)

    def strike(self) -> frozenset[str]:
        migrations.migrate(self.site.url("migrate"))
        self._patiently("ALTER TABLE pgqueue.job ADD COLUMN trial integer NOT NULL DEFAULT 0")
        self._patiently("CREATE INDEX job_trial ON pgqueue.job (trial)")
        return NOBODY

    def heal(self) -> None:
        self._patiently("ALTER TABLE pgqueue.job DROP COLUMN IF EXISTS trial")

    def _patiently(self, command: str) -> None:
        """Waits for the lock in small portions, so that nobody queues behind it for long."""
        for _ in range(50):
            try:
                with psycopg.connect(self.site.url("migrate"), autocommit=True) as connection:
                    connection.execute("SET lock_timeout = '300ms'")
                    connection.execute(command.encode())
                    return
            except (psycopg.errors.LockNotAvailable, psycopg.OperationalError):
                continue
