"""Neighbours on the same SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from tests.faults.facts import NOBODY
from tests.faults.kinds import Kind


class FileNeighbour(Kind):
    command: str
    connection: sqlite3.Connection | None = None

    def strike(self) -> frozenset[str]:
        self.connection = self.site.connect()
        self.connection.isolation_level = None
        for command in self.command.split(";"):
            self.connection.execute(command)
        return NOBODY

    def heal(self) -> None:
        if self.connection is not None:
            with suppress(sqlite3.Error):
                self.connection.rollback()
            self.connection.close()


class FileLocked(FileNeighbour):
    """Somebody writes for seconds, now and then for longer than `frozen_after`: everybody else
    waits."""

    name = "file-locked"
    robs = False
    measure = "queue"
    lasts = (1.0, 9.0)
    command = "BEGIN IMMEDIATE"


class FileRead(FileNeighbour):
    """A long report: the log beside the file cannot be folded into it."""

    name = "file-read"
    condition = True
    lasts = (5.0, 15.0)
    command = "BEGIN;SELECT count(*) FROM pgqueue_job"
