"""SQLite: one file, in which the shop's own tables are too."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Self

from pgqueue import enqueue, migrations
from pgqueue.errors import PgqueueError, StoreBusy, StoreUnavailable
from pgqueue.jobs import Handle
from tests.faults.facts import Fate, Job, Order
from tests.faults.orders import Draft
from tests.faults.sites import rows

BUSY_SECONDS = 30.0
TABLES = """
    CREATE TABLE orders (key INTEGER PRIMARY KEY, row TEXT NOT NULL);
    CREATE TABLE booking (job INTEGER NOT NULL, run TEXT NOT NULL);
    CREATE TABLE touched (id INTEGER PRIMARY KEY, at REAL NOT NULL);
"""
JOBS = "SELECT id, json_extract(args, '$.key'), state, result FROM pgqueue_jobs"


def missing() -> str | None:
    return None if find_spec("pgqueue.backends.sqlite") else "pgqueue's port for SQLite"


class SqliteSite:
    """What is committed is on the disk: ``synchronous=full``."""

    transactional = True
    away = (sqlite3.OperationalError, StoreUnavailable, StoreBusy)

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shop.db"
        self.url = f"sqlite:///{self.path}?synchronous=full"

    def __enter__(self) -> Self:
        migrations.migrate(self.url)
        with closing(self.connect()) as connection:
            connection.executescript(TABLES)
        self._touching = self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._touching.close()

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        return {"PGQUEUE_URL": self.url}

    def till(self) -> SqliteTill:
        return SqliteTill(self.connect())

    def unfinished(self) -> int:
        with closing(self.connect()) as connection:
            row = connection.execute("SELECT count(*) FROM pgqueue_job").fetchone()
        return int(row[0])

    def read(self) -> tuple[list[Order], list[Job], list[tuple[int, str]]]:
        with closing(self.connect()) as connection:
            kept = connection.execute("SELECT row FROM orders").fetchall()
            jobs = connection.execute(JOBS).fetchall()
            bookings = connection.execute("SELECT job, run FROM booking").fetchall()
        return (
            [rows.order(json.loads(row)) for (row,) in kept],
            [Job(id, key, state, result and json.loads(result)) for id, key, state, result in jobs],
            bookings,
        )

    def touch(self) -> None:
        with self._touching:
            self._touching.execute("INSERT OR REPLACE INTO touched VALUES (1, ?)", [time.time()])


class SqliteTill:
    """The producer's connection: Python's own sqlite3."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._handles: dict[int, Handle[Any]] = {}

    def sell(self, drafts: Sequence[Draft], *, keep: bool, linger: float) -> tuple[Fate, list[int]]:
        committing = False
        try:
            asked_at = monotonic()
            handles = enqueue(self._connection, rows.jobs(drafts, self._handles))
            kept = [
                (draft.key, json.dumps(rows.row(draft, handle, asked_at)))
                for draft, handle in zip(drafts, handles, strict=True)
            ]
            self._connection.executemany("INSERT INTO orders VALUES (?, ?)", kept)
            time.sleep(min(linger, 0.2))  # everybody waits for it
            if not keep:
                self._connection.rollback()
                return "rolled back", []
            committing = True
            self._connection.commit()
        except (sqlite3.Error, PgqueueError):
            with suppress(sqlite3.Error):
                self._connection.rollback()
            return ("unknown" if committing else "rolled back"), []
        free = rows.free(drafts, handles)
        self._handles |= free
        return "committed", list(free)
