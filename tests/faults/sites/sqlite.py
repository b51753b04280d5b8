"""SQLite: one file, in which the shop's own tables are too."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Self

import psutil

from pgqueue import App, enqueue, migrations
from pgqueue.errors import PgqueueError, StoreBusy, StoreUnavailable
from pgqueue.jobs.job import Handle
from tests.faults.facts import Fate, Job, Order
from tests.faults.orders import Draft
from tests.faults.sites import rows

BUSY_SECONDS = 30.0
TABLES = """
    CREATE TABLE orders (key INTEGER PRIMARY KEY, row TEXT NOT NULL);
    CREATE TABLE booking (job INTEGER NOT NULL, run TEXT NOT NULL);
    CREATE TABLE touched (id INTEGER PRIMARY KEY, at REAL NOT NULL);
"""
JOBS = """
    SELECT id, json_extract(args, '$.key'), state, result, metadata ->> '$.schedule', run_at
    FROM pgqueue_jobs
"""


def missing() -> str | None:
    return None if find_spec("pgqueue.backends.sqlite") else "pgqueue's port for SQLite"


class SqliteSite:
    """What is committed is on the disk: ``synchronous=full``."""

    transactional = True
    true_clock = True
    away = (sqlite3.OperationalError, StoreUnavailable, StoreBusy)

    def __init__(self, folder: Path) -> None:
        self.place(folder)

    def place(self, folder: Path) -> None:
        """The file is to be in *folder*."""
        self.path = folder / "shop.db"
        self.url = f"sqlite:///{self.path}?synchronous=full"

    def __enter__(self) -> Self:
        migrations.migrate(self.url)
        with closing(self.connect()) as connection:
            connection.executescript(TABLES)
        self._touching: sqlite3.Connection | None = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._touching is not None:
            self._touching.close()

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        return {"PGQUEUE_URL": self.url}

    def processes(self) -> list[psutil.Process]:
        """There is no server."""
        return []

    def app(self) -> App:
        return App(self.url)

    def till(self) -> SqliteTill:
        return SqliteTill(self.connect)

    def move_signs_of_life(self, seconds: int) -> None:
        with closing(self.connect()) as connection, connection:
            connection.execute(
                "UPDATE pgqueue_worker SET heartbeat_at = heartbeat_at + ?", [seconds * 1_000_000]
            )

    def keep(self) -> None:
        """A copy, as SQLite's own backup makes it."""
        with closing(self.connect()) as source, closing(sqlite3.connect(self._kept)) as target:
            source.backup(target)

    def restore(self) -> None:
        """What `keep` has kept takes the file's place; the old file's log goes with it."""
        for name in ("-wal", "-shm"):
            self.path.with_name(self.path.name + name).unlink(missing_ok=True)
        self._kept.replace(self.path)
        self._touching = None

    @property
    def _kept(self) -> Path:
        return self.path.with_name("kept.db")

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
            [
                rows.job(
                    *(id, key, state),
                    result and json.loads(result),
                    made and json.loads(made),
                    run_at,
                )
                for id, key, state, result, made, run_at in jobs
            ],
            bookings,
        )

    def touch(self) -> None:
        touching = self._touching = self._touching or self.connect()
        with touching:
            touching.execute("INSERT OR REPLACE INTO touched VALUES (1, ?)", [time.time()])


class SqliteTill:
    """The producer's connection: Python's own sqlite3."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection = connect()
        self._handles: dict[int, Handle[Any]] = {}

    def forget(self) -> None:
        self._handles.clear()
        self._connection.close()
        self._connection = self._connect()

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
