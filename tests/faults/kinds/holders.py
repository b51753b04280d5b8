"""Somebody's open transaction holds a row, or a table, and does not end."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Missed
from tests.faults.kinds.neighbours import Neighbour
from tests.faults.kinds.outages import Outage

HOLD_SECONDS = (20.0, 26.0)  # longer than anybody may wait behind it


class RowHeld(Neighbour):
    """All the time: a transaction that has locked a row keeps it, rolls back, and locks another."""

    always = True
    robs = False
    lasts = HOLD_SECONDS
    find: LiteralString
    held = frozenset()

    def annoy(self, connection: psycopg.Connection[Any]) -> None:
        row = connection.execute(self.find).fetchone()
        if row is None:
            connection.close()
            raise Missed("no such row")
        self.note(*row)

    def note(self, id: int) -> None:
        """Which job nobody else can have meanwhile."""
        self.held = frozenset({id})


class RunningHeld(RowHeld):
    """As one that has asked to cancel a job, and not committed."""

    name = "running-held"
    find = """
        UPDATE pgqueue.job SET cancel_requested = true
        WHERE id = (SELECT id FROM pgqueue.job WHERE state = 'running'
                    ORDER BY random() LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING id
    """


class BlockedHeld(RowHeld):
    """A child that waits for its parents, which end meanwhile."""

    name = "blocked-held"
    find = """
        SELECT id FROM pgqueue.job WHERE state = 'blocked'
        ORDER BY random() LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    """


class ParentHeld(RowHeld):
    """As one that adds a child to a job that has not ended."""

    name = "parent-held"
    find = """
        SELECT id FROM pgqueue.job WHERE state <> 'blocked'
        ORDER BY random() LIMIT 1 FOR KEY SHARE SKIP LOCKED
    """


class WorkerHeld(RowHeld):
    """Nobody can note in that row that the worker lives, or is dead."""

    name = "worker-held"
    find = "SELECT id FROM pgqueue.worker ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED"

    def note(self, id: int) -> None:
        """Holds no job."""


class QueueHeld(RowHeld):
    """As one that has paused a queue, and not committed."""

    name = "queue-held"
    find = """
        INSERT INTO pgqueue.queue (name, paused_at) VALUES ('default', now())
        ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at
        RETURNING 0
    """

    def note(self, id: int) -> None:
        """Holds no job."""


class ScheduleHeld(RowHeld):
    """As one that changes a schedule, which the timekeeper leaves alone, and has not committed."""

    name = "schedule-held"
    find = """
        SELECT name FROM pgqueue.schedule WHERE name LIKE 'every-%'
        ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED
    """

    def note(self, id: str) -> None:  # type: ignore[override]
        """Holds no job, and one schedule."""
        self.schedule = id


class TableLocked(Outage):
    """ACCESS EXCLUSIVE, as `VACUUM FULL` takes it, for longer than `frozen_after`."""

    name = "table-locked"
    tables = (
        "job", "job", "worker", "queue", "dependency", "archive", "leader", "schedule", "firing",
    )  # fmt: skip

    def strike(self) -> frozenset[str]:
        self.connection = psycopg.connect(self.site.url("neighbour"))
        self.connection.execute("SET lock_timeout = '5s'")
        table = self.scene.random.choice(self.tables)
        try:
            self.connection.execute(f"LOCK TABLE pgqueue.{table} IN ACCESS EXCLUSIVE MODE".encode())
        except psycopg.Error as error:
            self.connection.close()
            raise Missed(f"{table}: {error}") from error
        return EVERYBODY

    def heal(self) -> None:
        self.connection.close()
